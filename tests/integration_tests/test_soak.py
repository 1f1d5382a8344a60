"""The soak for some seconds, in a process of its own: nothing is left over, and a leak is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "soak" / "soak.py"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SOAK), *arguments], capture_output=True, text=True, check=False)


def test_nothing_is_left_over() -> None:
    done = _run("--seconds", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is left over" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell of file descriptors")
def test_a_leak_is_noticed() -> None:
    done = _run("--seconds", "4", "--leak")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "descriptors" in done.stdout
