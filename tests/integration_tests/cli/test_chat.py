"""`dbchat chat` in a terminal: what is drawn, its commands, its history, and what Ctrl-C does."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.commands import Script
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.sign_in import PAT
from langchain_dbchat.local import LocalWorkspace

pytest.importorskip("pyte")
pytest.importorskip("rich")
if sys.platform == "win32":  # pragma: no cover  # there are no pseudo-terminals
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

from kit.terminal import Terminal, assert_well_shown


def _chunk(text: str, finish: str | None = None, **delta: object) -> dict[str, object]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text, **delta}, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _says(*texts: str) -> Scripted:
    return Scripted(sse(*map(_chunk, texts), _chunk("", "stop")))


@contextmanager
def talking(server: ScriptedServer, *options: str, state: Path) -> Iterator[Terminal]:
    """A conversation with a server; the test asks first."""
    with server:
        variables = {"DATABRICKS_HOST": server.url, "DATABRICKS_TOKEN": PAT, "XDG_STATE_HOME": str(state)}
        with Terminal("chat", "--model", "m", "--api", "chat", *options, variables=variables) as screen:
            screen.wait_for("m. /help lists the commands; Ctrl-D ends. >")
            yield screen
            if "/exit" not in screen.text.splitlines()[-1]:
                screen.end()
            assert screen.finish() == 0
    assert_well_shown(screen, PAT)


def wait_for_request(server: ScriptedServer) -> None:
    """Wait until the server has a request."""
    for _ in range(600):
        if server.requests:
            return
        time.sleep(0.05)
    raise AssertionError("there was no request")


def _sent(received: Received) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in received.json["messages"]]


def test_thinking_is_dimmed_and_the_answer_is_markdown(workspace: LocalWorkspace) -> None:
    variables = {"DATABRICKS_HOST": workspace.host, "DATABRICKS_TOKEN": workspace.token}
    words = ("chat", "--model", "databricks-claude-sonnet-4-6", "--reasoning-effort", "high")
    with Terminal(*words, variables=variables) as screen:
        screen.wait_for("Ctrl-D ends. >")
        screen.type("Tell me about Oslo.\n")
        screen.wait_for(" tokens in, ")
        screen.wait_for(" s >")
        screen.end()
        assert screen.finish() == 0
    assert_well_shown(screen, workspace.token)
    thought, answer = screen.text.index("Nothing to look up"), screen.text.index("Oslo is the capital")
    assert screen.text.index("Tell me about Oslo.") < thought < answer
    assert screen.words.count("Oslo is the capital of Norway.") == 1
    assert b"\x1b[2mNothing to look up" in screen.written
    assert "out, $0.00" in screen.words


def test_markdown_is_drawn_and_control_characters_are_not(tmp_path: Path) -> None:
    with talking(ScriptedServer(_says("A **bo", "ld** word\x1b]0;title\x07.")), state=tmp_path) as screen:
        screen.type("hi\n")
        screen.wait_for("A bold word")
        assert all(cell.bold for cell in screen.cells("bold"))
        screen.wait_for(" s >")
    assert b"\x1b]0;title" not in screen.written


def test_a_long_answer_scrolls_and_no_line_is_lost_or_shown_twice(tmp_path: Path) -> None:
    lines = [f"line {number:03}\n\n" for number in range(100)]
    with talking(ScriptedServer(_says(*lines)), state=tmp_path) as screen:
        screen.type("hi\n")
        screen.wait_for("line 099")
        screen.wait_for(" s >")
    assert [line for line in screen.lines if line.startswith("line")] == [line.strip() for line in lines]


def test_an_answer_is_drawn_while_it_arrives_and_ctrl_c_stops_it_alone(tmp_path: Path) -> None:
    slow = Scripted([sse(_chunk("half of it"), done=False), sse(_chunk(" the rest", "stop"))], delay=25)
    server = ScriptedServer(slow, _says("again"), _says("third"))
    with talking(server, state=tmp_path) as screen:
        screen.type("first\n")
        screen.wait_for("half of it")
        screen.interrupt()
        screen.wait_for("Stopped; what had arrived is part of the conversation.")
        screen.wait_for(">", times=2)
        screen.type("second\n")
        screen.wait_for("again")
        screen.wait_for(" s >")
        screen.type("not sent")
        screen.wait_for("> not sent")
        screen.interrupt()
        screen.wait_for("> not sent >")
        screen.type("third\n")
        screen.wait_for("third", times=2)
        screen.wait_for(" s >", times=2)
    assert "the rest" not in screen.text
    assert screen.text.count("half of it") == 1
    assert _sent(server.requests[1]) == [("user", "first"), ("assistant", "half of it"), ("user", "second")]
    assert _sent(server.requests[2])[-1] == ("user", "third")


def test_ctrl_c_before_the_first_word_leaves_the_question_out(tmp_path: Path) -> None:
    server = ScriptedServer(Scripted(b"{}", wait=25), _says("here"))
    with talking(server, state=tmp_path) as screen:
        screen.type("first\n")
        wait_for_request(server)
        screen.interrupt()
        screen.wait_for("Stopped. >")
        screen.type("second\n")
        screen.wait_for(" s >")
    assert _sent(server.requests[-1]) == [("user", "second")]


def test_an_error_is_a_paragraph_and_the_conversation_goes_on(tmp_path: Path) -> None:
    refused = Scripted({"error_code": "BAD_REQUEST", "message": "not this"}, 400)
    cut = Scripted(sse(_chunk("half"), done=False), chunked=True, drop_after=1)
    server = ScriptedServer(_says("one"), refused, cut, _says("four"))
    with talking(server, state=tmp_path) as screen:
        for number, question in enumerate(("first", "second", "third", "fourth"), 2):
            screen.type(f"{question}\n")
            screen.wait_for(">", times=number)
    assert screen.words.count("dbchat: ") == 2
    assert "not this" in screen.words
    assert _sent(server.requests[-1]) == [("user", "first"), ("assistant", "one"), ("user", "fourth")]


def test_the_commands(tmp_path: Path) -> None:
    def reply(received: Received) -> Scripted:
        listed = [{"name": "other", "task": "llm/v1/chat"}, {"name": "vectors", "task": "llm/v1/embeddings"}]
        return Scripted({"endpoints": listed}) if received.method == "GET" else _says("yes")

    server = ScriptedServer(reply)
    with talking(server, "--system", "Be brief.", state=tmp_path) as screen:
        screen.type("one\n")
        screen.wait_for(" s >")
        screen.type("/help\n")
        screen.wait_for("/exit end the conversation")
        screen.type("/nonsense\n")
        screen.wait_for("There is no command /nonsense.")
        screen.type("/model\n")
        screen.wait_for("The model is m. /model NAME changes it to one of: other >")
        screen.type("/model other\n")
        screen.wait_for("The model is other.")
        screen.type("/system Sing.\n")
        screen.wait_for("The system message is set.")
        screen.type("two\\\nlines\n")
        screen.wait_for(" s >", times=2)
        screen.type("/clear\n/system\n")
        screen.wait_for("There is no system message. >")
        screen.type("three\n")
        screen.wait_for(" s >", times=3)
        screen.type("/exit\n")
        screen.wait_for("> /exit")
    first, _, second, third = server.requests
    assert first.path == "/serving-endpoints/m/invocations"
    assert _sent(first) == [("system", "Be brief."), ("user", "one")]
    assert second.path == "/serving-endpoints/other/invocations"
    assert _sent(second) == [("system", "Sing."), ("user", "one"), ("assistant", "yes"), ("user", "two\nlines")]
    assert _sent(third) == [("user", "three")]


def test_the_history_outlives_the_conversation_and_is_the_owners_alone(tmp_path: Path) -> None:
    for number in (1, 2):
        server = ScriptedServer(_says("yes"))
        with talking(server, state=tmp_path / "state") as screen:
            screen.type("remember me\n" if number == 1 else "\x1b[A\n")
            screen.wait_for(" s >")
        assert _sent(server.requests[0]) == [("user", "remember me")]
    (file,) = (tmp_path / "state" / "langchain-dbchat").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_terminal_it_names_the_command_for_pipes(script: Script, home: LocalWorkspace) -> None:
    assert home.endpoints
    assert script("chat") == 2
    assert script.err == "dbchat: dbchat chat needs a terminal. In a pipe, use dbchat ask.\n"
