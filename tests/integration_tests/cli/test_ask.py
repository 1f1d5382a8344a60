"""`dbchat ask`: pipes in and out, images, schemas, and what it never prints."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.commands import Script
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.sign_in import DENIED, PAT
from langchain_dbchat.local import LocalWorkspace

pytest.importorskip("rich")

CITY = {
    "title": "City",
    "description": "A city.",
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def _chunk(text: str, finish: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _echo(received: Received) -> Scripted:
    """Answer with the words of the question."""
    text = received.json["messages"][-1]["content"]
    return Scripted(sse(_chunk(text), _chunk("", "stop")))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    return ScriptedServer(_echo)


def test_the_output_is_the_answer_alone(script: Script, home: LocalWorkspace) -> None:
    assert script("ask", "Tell me about Oslo.", "--reasoning-effort", "high") == 0
    assert script.out.startswith("Oslo is the capital of Norway.")
    assert script.out.count("\n") == 1
    assert script.err == ""
    assert home.token not in script.out


@pytest.mark.parametrize(
    ("words", "stdin", "question"),
    [
        (["What", "is", "this?"], "", "What is this?"),
        ([], "What is this?\n", "What is this?\n"),
        (["Summarize:"], "\ufeffLong text.\n", "Summarize:\n\nLong text.\n"),
        (["--", "--model?"], "", "--model?"),
    ],
)
def test_arguments_and_the_input_make_the_question(
    words: list[str], stdin: str, question: str, script: Script, server: ScriptedServer
) -> None:
    with server:
        assert script("ask", "--host", server.url, "--model", "m", *words, stdin=stdin) == 0
    (asked,) = server.requests
    assert asked.json["messages"] == [{"role": "user", "content": question}]
    assert script.out == question.rstrip("\n") + "\n"


def test_no_question_and_a_binary_one_are_refused(script: Script, server: ScriptedServer) -> None:
    with server:
        assert script("ask", "--host", server.url, stdin=" \n") == 2
        assert "There is no question." in script.err
        assert script("ask", "--host", server.url, stdin=b"a\xff") == 2
        assert "The standard input is not text in UTF-8 (byte 1)." in script.err
        assert script.out == ""
    assert server.requests == []


def test_what_is_written_arrives_as_it_is_answered(server: ScriptedServer) -> None:
    def stalling(_: Received) -> Scripted:
        return Scripted([sse(_chunk("first"), done=False), sse(_chunk(" last", "stop"))], delay=2)

    server._choose = stalling
    with server:
        words = [sys.executable, "-m", "langchain_dbchat", "ask", "hi", "--host", server.url, "--model", "m"]
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert os.read(process.stdout.fileno(), 100) == b"first"
            process.stdout.close()  # the reader has seen enough
            assert process.stderr.read() == b""
            assert process.wait(90) == 141


def test_the_system_message_the_api_and_the_limit_are_sent(script: Script, server: ScriptedServer) -> None:
    with server:
        words = ("--system", "Be brief.", "--api", "chat", "--max-tokens", "7", "--model", "m")
        assert script("ask", "hi", "--host", server.url, *words) == 0
    (asked,) = server.requests
    assert asked.json["messages"][0] == {"role": "system", "content": "Be brief."}
    assert asked.json["max_tokens"] == 7


def test_images_are_sent(script: Script, server: ScriptedServer, tmp_path: Path) -> None:
    server._choose = lambda _: Scripted(sse(_chunk("seen"), _chunk("", "stop")))
    path = tmp_path / "pixel.png"
    path.write_bytes(PIXEL)
    with server:
        words = ("--host", server.url, "--model", "databricks-gpt-5-2", "--api", "chat")
        assert script("ask", "What is it?", "--image", str(path), "--image", "https://x.test/a.png", *words) == 0
    (asked,) = server.requests
    text, local, remote = asked.json["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert local["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    assert remote["image_url"]["url"] == "https://x.test/a.png"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--image", "missing.png", "--image missing.png: No such file or directory."),
        ("--image", "notes.txt", "give a file whose name ends with .png"),
        ("--schema", "missing.json", "--schema missing.json: No such file or directory."),
        ("--schema", "{", "--schema is not JSON: "),
        ("--reasoning-effort", "lots", "reasoning_effort='lots' is not one of none, minimal, low"),
        ("--api", "soap", "Argument --api: invalid choice: 'soap'"),
        ("--max-tokens", "many", "Argument --max-tokens: invalid int value: 'many'"),
        ("--timeout", "-1", "Argument --timeout: '-1' is not a number of seconds above 0"),
        ("--max-retries", "-1", "dbchat: --max-retries: Input should be greater than or equal to 0.\n"),
        ("--token-env", "NOT_SET", "--token-env names NOT_SET, which is not set."),
        ("--token-env", "hunter2-secret", "--token-env names a variable, which is not set."),
        ("--profile", "nobody", "The profile that was asked for cannot be used"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    option: str, value: str, said: str, script: Script, server: ScriptedServer
) -> None:
    with server:
        code = script("ask", "hi", "--host", server.url, option, value)
    assert code == (3 if option in {"--token-env", "--profile"} else 2)
    assert said in script.err
    assert "hunter2" not in script.err
    assert server.requests == []


@pytest.mark.parametrize("is_file", [True, False])
def test_a_schema_makes_json(is_file: bool, script: Script, home: LocalWorkspace, tmp_path: Path) -> None:
    given = json.dumps(CITY)
    if is_file:
        path = tmp_path / "city.json"
        path.write_text(given)
        given = str(path)
    assert home.endpoints
    assert script("ask", "I live in Oslo.", "--schema", given) == 0
    assert script.json == {"city": "Oslo"}
    assert script("ask", "I live in Oslo.", "--schema", given, "--json") == 0
    assert script.json["parsed"] == {"city": "Oslo"}
    assert script.json["usage"]["total_tokens"] > 0


def test_an_answer_that_does_not_fit_the_schema_is_a_failure(script: Script, server: ScriptedServer) -> None:
    message = {"role": "assistant", "content": "no idea"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    server._choose = lambda _: Scripted({"id": "1", "object": "chat.completion", "created": 1, "choices": choices})
    with server:
        assert script("ask", "hi", "--host", server.url, "--model", "m", "--schema", json.dumps(CITY)) == 1
    assert script.out == ""
    assert script.err.startswith("dbchat: ")


def test_json_has_usage_and_cost(script: Script, home: LocalWorkspace) -> None:
    assert script("ask", "Hello!", "--json") == 0
    assert script.json["model"] == "databricks-claude-sonnet-4-6"
    assert script.json["text"].startswith("Hello!")
    assert script.json["usage"]["input_tokens"] > 0
    assert 0 < script.json["dollars"] < 0.01
    assert home.endpoints


def test_the_model_of_the_environment_answers(
    script: Script, home: LocalWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_MODEL", "databricks-gpt-5-2")
    assert script("ask", "Hello!", "--json") == 0
    assert script.json["model"] == "databricks-gpt-5-2"
    assert home.requests[-1].endpoint == "databricks-gpt-5-2"


def test_a_server_without_a_default_model_asks_for_one(script: Script, server: ScriptedServer) -> None:
    with server:
        assert script("ask", "hi", "--base-url", f"{server.url}/v1", "--token-env", "DATABRICKS_TOKEN") == 2
    assert "Name a model of this server with --model" in script.err


def test_a_stream_that_breaks_is_a_failure_after_its_words(script: Script, server: ScriptedServer) -> None:
    server._choose = lambda _: Scripted(sse(_chunk("half an answer"), done=False), chunked=True, drop_after=1)
    with server:
        assert script("ask", "hi", "--host", server.url, "--model", "m") == 1
    assert script.out == "half an answer"
    assert script.err.startswith("dbchat: ")
    assert script.err.count("\n") == 1


def test_errors_are_one_line_and_name_no_secret(script: Script, server: ScriptedServer) -> None:
    server._choose = lambda _: Scripted({"error_code": "BAD_REQUEST", "message": f"token {PAT}"}, 400)
    with server:
        assert script("ask", "hi", "--host", server.url, "--model", "m") == 1
        assert PAT not in script.err
        assert script.err.count("\n") == 1
        server._choose = lambda _: DENIED
        assert script("ask", "hi", "--host", server.url, "--model", "m") == 1
        assert "needs CAN QUERY on the endpoint 'm'" in script.err


def test_a_note_of_the_library_is_a_line_and_not_a_line_of_code(script: Script, home: LocalWorkspace) -> None:
    assert home.endpoints
    assert script(
        "ask", "Hello!", "--model", "databricks-meta-llama-3-3-70b-instruct", "--reasoning-effort", "low"
    ) in {0, 2}
    assert "UserWarning" not in script.err
    assert ".py" not in script.err


WITHOUT_RICH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rich":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from langchain_dbchat.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_the_extra_it_says_what_to_install() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_RICH, *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL
        )

    done = run("ask", "hi")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'dbchat: dbchat ask needs the extra "cli". Install it: pip install "langchain-dbchat[cli]"\n'
    assert run("--version").stdout.startswith("dbchat ")
    assert run("doctor").returncode == 3
