"""Each command in a terminal of 80 columns: a right token, a wrong one, no host, a silent host, no permission."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from kit.scripted import Scripted, ScriptedServer
from kit.sign_in import DENIED, PAT
from langchain_dbchat.local import LocalWorkspace

pytest.importorskip("pyte")
pytest.importorskip("rich")
pytest.importorskip("pyarrow")
if sys.platform == "win32":  # pragma: no cover  # there are no pseudo-terminals
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

from kit.terminal import COLUMNS, Terminal, assert_well_shown

COMMANDS = {
    "ask": ("ask", "Hello!"),
    "chat": ("chat",),
    "embed": ("embed", "in.jsonl", "out.parquet"),
    "models": ("models",),
}
each_command = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.jsonl").write_text('{"text": "One."}\n{"text": "Two."}\n')
    return tmp_path


def show(command: str, folder: Path, variables: Mapping[str, str], *options: str) -> Terminal:
    """Run a command; a conversation has one question."""
    names = {"DATABRICKS_MODEL": "databricks-gpt-5-2", "DATABRICKS_EMBEDDING_MODEL": "databricks-gte-large-en"}
    with Terminal(*COMMANDS[command], *options, variables={**names, **variables}, folder=folder, rows=50) as screen:
        if command == "chat" and "DATABRICKS_HOST" in variables:
            screen.wait_for("Ctrl-D ends. >")
            screen.type("Hello!\n")
            screen.wait_for(">", times=2)
            screen.end()
        screen.finish()
    assert_well_shown(screen, PAT)
    return screen


def assert_failed(screen: Terminal, command: str, code: int) -> None:
    """Assert that one paragraph says what is wrong, and that a conversation has gone on."""
    assert screen.words.count("dbchat: ") == 1
    assert screen.scrolled == 0
    assert screen.code == (0 if command == "chat" and "> Hello!" in screen.words else code)


@each_command
def test_a_right_token(command: str, workspace: LocalWorkspace, folder: Path) -> None:
    variables = {"DATABRICKS_HOST": workspace.host, "DATABRICKS_TOKEN": workspace.token}
    screen = show(command, folder, variables)
    assert screen.code == 0
    assert workspace.token not in screen.words
    assert "dbchat: " not in screen.words
    shown = {
        "ask": "Hello!",
        "chat": " tokens in, ",
        "embed": "out.parquet: 2 rows embedded.",
        "models": "databricks-gpt-5-2 272k tools, reasoning, 1.75 in gpt-5-2: chat, responses images 14.00 out",
    }
    assert shown[command] in screen.words


@each_command
def test_a_wrong_token(command: str, workspace: LocalWorkspace, folder: Path) -> None:
    screen = show(command, folder, {"DATABRICKS_HOST": workspace.host, "DATABRICKS_TOKEN": PAT})
    assert_failed(screen, command, 3)
    assert "HTTP 401" in screen.words
    assert "`dbchat doctor` says more." in screen.words


@each_command
def test_no_host(command: str, folder: Path) -> None:
    screen = show(command, folder, {})
    assert_failed(screen, command, 3)
    assert "No Databricks workspace is known." in screen.words
    assert "Give --host https://<workspace> or set DATABRICKS_HOST." in screen.words


@each_command
def test_a_host_that_does_not_answer(command: str, folder: Path) -> None:
    with ScriptedServer(lambda _: Scripted(b"{}", wait=30)) as silent:
        variables = {"DATABRICKS_HOST": silent.url, "DATABRICKS_TOKEN": PAT}
        screen = show(command, folder, variables, "--timeout", "0.3", "--max-retries", "0")
    assert_failed(screen, command, 1)
    assert "0.3" in screen.words
    assert "--timeout" in screen.words


@each_command
def test_no_permission(command: str, folder: Path) -> None:
    with ScriptedServer(lambda _: DENIED) as server:
        screen = show(command, folder, {"DATABRICKS_HOST": server.url, "DATABRICKS_TOKEN": PAT})
    assert_failed(screen, command, 1)
    assert "HTTP 403 PERMISSION_DENIED" in screen.words
    assert ("CAN QUERY" in screen.words) == (command != "models")


@pytest.mark.parametrize("words", [(), ("--help",), *((name, "--help") for name in [*COMMANDS, "doctor", "local"])])
def test_help_fits_the_window(words: tuple[str, ...]) -> None:
    with Terminal(*words, rows=60) as screen:
        screen.finish()
    assert_well_shown(screen)
    assert screen.scrolled == 0
    assert screen.code == (0 if words else 2)
    assert max(map(len, screen.lines)) < COLUMNS - 1
    assert "usage: dbchat" in screen.text


def test_a_wrong_option_is_one_paragraph() -> None:
    with Terminal("ask", "--modle") as screen:
        assert screen.finish() == 2
    assert screen.words == "dbchat: Unrecognized arguments: --modle. `dbchat --help` lists the options."


def test_the_local_workspace_ends_with_what_to_paste_and_a_line_for_a_request(folder: Path) -> None:
    with Terminal("local", "--port", "0", rows=24) as screen:
        screen.wait_for("export DATABRICKS_TOKEN=")
        lines = screen.text.splitlines()
        host, token = (line.partition("=")[2] for line in lines[-2:])
        asked = show("ask", folder, {"DATABRICKS_HOST": host, "DATABRICKS_TOKEN": token})
        screen.wait_for("databricks-gpt-5-2 chat 200")
        screen.interrupt()
        assert screen.finish() == 0
    assert asked.code == 0
    assert_well_shown(screen)
    assert screen.scrolled == 0
