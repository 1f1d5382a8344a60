"""The fuzz targets run for a bounded time; `make fuzz` runs them for longer. And each can find something."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
TARGETS = {"fuzz_sse": 5000, "fuzz_dialects": 500, "fuzz_http11": 1000, "fuzz_pool": 60, "fuzz_calls": 30}
"""The targets, and how many cases a bounded run has: about two seconds of them."""


@pytest.mark.parametrize("target", TARGETS)
def test_a_bounded_run_finds_nothing(target: str) -> None:
    options = ["--cases", str(TARGETS[target]), "--seconds", "200"]
    command = [sys.executable, str(FUZZ / f"{target}.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) == TARGETS[target]


def _load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FUZZ))
    spec = importlib.util.spec_from_file_location(name, FUZZ / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _search(target: Callable[[random.Random], None]) -> None:
    for number in range(2000):
        target(random.Random(number))  # noqa: S311  # dice that can be thrown again


def test_a_decoder_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _load("fuzz_sse", monkeypatch)
    monkeypatch.setattr(module.EventStreamDecoder, "close", lambda _: [])
    with pytest.raises(AssertionError, match="instead of"):
        _search(module.decoding)


@pytest.mark.parametrize(
    ("function", "careless"),
    [
        ("chat_completions.decode.read_parts", lambda says: iter(says["content"])),
        ("responses.reader._checked", lambda item: item),
        ("messages.blocks.text_in", lambda block, key: block[key]),
        ("agents.answers._checked", lambda message: message),
    ],
)
def test_a_dialect_that_stumbles_is_found(
    function: str, careless: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = _load("fuzz_dialects", monkeypatch)
    monkeypatch.setattr(f"langchain_dbchat.dialects.{function}", careless)
    with pytest.raises((AttributeError, KeyError, TypeError)):
        _search(module.reading)
