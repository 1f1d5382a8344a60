"""`dbchat --completion`: a shell completes the commands, options, choices and files of `dbchat`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_dbchat.cli.completion import PrintCompletion
from langchain_dbchat.cli.main import COMMANDS, main

pytest.importorskip("shtab")

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"
_shtab_dbchat dbchat "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def _script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["--completion", shell])
    assert ended.value.code == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ([""], {command.name for command in COMMANDS}),
        (["do"], {"doctor"}),
        (["--co"], {"--completion"}),
        (["--completion", "f"], {"fish"}),
        (["chat", "--reas"], {"--reasoning-effort"}),
        (["ask", "--api", "m"], {"messages"}),
        (["ask", "--image", "pic"], {"picture.png"}),
        (["embed", "tab"], {"table.parquet"}),
        (["local", "--no"], {"--no-gateway"}),
    ],
)
def test_bash_completes(
    words: list[str], completed: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "completion"
    script.write_text(_script("bash", capsys), "utf-8")
    for name in ("picture.png", "table.parquet"):
        (tmp_path / name).touch()
    run = ["bash", "--norc", "-c", COMPLETE, "bash", str(script), "dbchat", *words]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=True, timeout=120)
    assert {word for word in done.stdout.split() if not words[-1] or word.startswith(words[-1])} >= completed
    if words[-1]:
        assert set(done.stdout.split()) == completed


@pytest.mark.parametrize("shell", PrintCompletion.SHELLS)
def test_each_shell_has_a_script_with_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = _script(shell, capsys)
    assert all(command.name in script for command in COMMANDS)
    assert "no-gateway" in script


def test_another_shell_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--completion", "elvish"])
    assert ended.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install() -> None:
    program = (
        "import sys\nsys.modules['shtab'] = None\n"
        "from langchain_dbchat.cli.main import main\nmain(['--completion', 'bash'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stdout == ""
    assert 'pip install "langchain-dbchat[cli]"' in done.stderr
