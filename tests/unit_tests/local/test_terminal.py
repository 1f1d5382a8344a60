"""``dbchat local`` as a terminal of 80 columns and 24 lines shows it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.local import Fault, LocalWorkspace
from langchain_dbchat.local.server.answer_log import SentAnswer
from langchain_dbchat.local.server.request_log import RecordedRequest
from langchain_dbchat.local.server.terminal import MAKES, STARTS_SMALL_MODEL, answer_line, greeting

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
pyte = pytest.importorskip("pyte", reason="pyte is the terminal")

COLUMNS, LINES = 80, 24
TOKEN = "dapi" + "0" * 32
NAME = "databricks-meta-llama-3-3-70b-instruct"


class Window:
    """A program in a terminal, and what the terminal shows."""

    def __init__(self, *arguments: str) -> None:
        own, its = pty.openpty()
        self._file = own
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)
        command = [sys.executable, "-m", "langchain_dbchat.local", *arguments]
        self.process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, start_new_session=True)
        os.close(its)

    @property
    def rows(self) -> list[str]:
        """Return the lines of the screen, without spaces at their ends."""
        return [row.rstrip() for row in self._screen.display]

    def wait_for(self, pattern: str) -> str:
        """Return the row that matches, as soon as there is one."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            found = [row for row in self.rows if re.search(pattern, row)]
            if found:
                return found[-1]
            if select.select([self._file], [], [], 0.2)[0]:
                self._stream.feed(os.read(self._file, 4096))
        raise AssertionError(f"no row matches {pattern!r}: {self.rows}")

    def interrupt(self) -> int:
        """Send Ctrl+C to the program and return its exit code."""
        os.kill(self.process.pid, 2)
        return self.process.wait(90)

    def rest(self) -> str:
        """Return what the program has written and nobody has read."""
        waiting = select.select([self._file], [], [], 0)[0]
        try:
            return os.read(self._file, 4096).decode() if waiting else ""
        except OSError:  # Linux says in this way that the other end is closed
            return ""

    def close(self) -> None:
        """End the program if it runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(90)
        os.close(self._file)


@contextmanager
def window(*arguments: str) -> Iterator[Window]:
    """Run the command in a terminal."""
    shown = Window("--port", "0", "--token", TOKEN, *arguments)
    try:
        yield shown
    finally:
        shown.close()


def test_the_lines_to_paste_are_on_the_screen_and_each_request_is_a_line() -> None:
    with window() as shown:
        token = shown.wait_for(r"^export DATABRICKS_TOKEN=")
        assert token == f"export DATABRICKS_TOKEN={TOKEN}"
        host = shown.wait_for(r"^export DATABRICKS_HOST=http://127.0.0.1:\d+$").partition("=")[2]
        assert shown.rows[0].startswith("A local workspace with ")
        assert f'$env:DATABRICKS_HOST = "{host}"' in shown.rows
        assert f"DATABRICKS_HOST={host}" in shown.rows

        here: dict[str, Any] = {"host": host, "token": TOKEN}
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", **here)
        llm.invoke("Hello!")
        line = shown.wait_for(r"claude-sonnet-4-6.* s$")
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d databricks-claude-sonnet-4-6 +chat +200 \d+\+\d+ tokens +\d+\.\d\d s", line
        )
        assert "".join(chunk.text for chunk in ChatDatabricksCompat(model=NAME, **here).stream("Hello!"))
        shown.wait_for(r"databricks-meta-llama-3-3-7\.\.\. chat +200 \d+\+\d+ tokens +\d+\.\d\d s$")
        ChatDatabricksCompat(model="databricks-gpt-5-2", api="responses", **here).invoke("Hello!")
        shown.wait_for(r"databricks-gpt-5-2 +responses +200 \d+\+\d+ tokens")
        ChatDatabricksCompat(model="databricks-claude-opus-5", api="messages", **here).invoke("Hello!")
        shown.wait_for(r"databricks-claude-opus-5 +messages +200 \d+\+\d+ tokens")
        DatabricksEmbeddings(model="databricks-gte-large-en", **here).embed_query("Hello!")
        shown.wait_for(r"databricks-gte-large-en +embeddings +200 \d+ tokens")
        with pytest.raises(DatabricksError):
            ChatDatabricksCompat(model="no-such-endpoint", host=host, token="dapi-wrong").invoke("Hello!")
        shown.wait_for(r"no-such-endpoint +chat +401 +\d+\.\d\d s$")
        assert shown.interrupt() == 0


def test_a_small_model_that_is_not_installed_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dasllama.py").write_text("raise ModuleNotFoundError('gone', name='dasllama')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with window("--backend", "smollm2") as shown:
        shown.wait_for("the package 'dasllama'. Install it with")
        assert shown.rows[0] == STARTS_SMALL_MODEL.strip()
        assert not any("Traceback" in row for row in shown.rows)
        assert shown.process.wait(90) == 1


def test_a_backend_that_is_nothing_is_an_error() -> None:
    with window("--backend", "smollm") as shown:
        assert "'smollm2', and not 'smollm'" in shown.wait_for("backend is the base URL")
        assert shown.process.wait(90) == 1


def test_quiet_prints_no_line_for_a_request() -> None:
    with window("--quiet") as shown:
        host = shown.wait_for(r"^export DATABRICKS_HOST=").partition("=")[2]
        shown.wait_for(r"^export DATABRICKS_TOKEN=")
        with pytest.raises(DatabricksError):
            ChatDatabricksCompat(model="no-such-endpoint", host=host, token=TOKEN).invoke("Hello!")
        assert shown.interrupt() == 0  # everything that it has to say is written by then
        assert "no-such-endpoint" not in shown.rest()


@pytest.mark.parametrize("makes", MAKES.values())
def test_every_line_fits(makes: str) -> None:
    text = greeting("http://127.0.0.1:65535", TOKEN, 1000, makes)
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert len(text.splitlines()) < LINES - 4
    assert text.rstrip().endswith(f"export DATABRICKS_TOKEN={TOKEN}")


@pytest.mark.parametrize(
    ("request_", "answer", "line"),
    [
        (
            RecordedRequest("POST", "/serving-endpoints/a/invocations", "", {}, b'{"input": ["x"]}'),
            SentAnswer(200, 3, None, 0.004),
            "09:00:00 a                              embeddings 200 3 tokens         0.00 s",
        ),
        (
            RecordedRequest("GET", "/api/2.0/serving-endpoints", "", {}, b""),
            SentAnswer(403, None, None, 12.3),
            "09:00:00 GET /api/2.0/serving-endpoints            403                 12.30 s",
        ),
        (
            RecordedRequest("POST", "/serving-endpoints/a%1B[2J/invocations", "", {}, b"{}"),
            SentAnswer(None, None, None, 1),
            "09:00:00 a?[2J                          chat       cut                  1.00 s",
        ),
        (
            RecordedRequest("POST", f"/serving-endpoints/{'n' * 60}/invocations", "", {}, b"{}"),
            SentAnswer(200, 200_000, 64_000, 100),
            f"09:00:00 {'n' * 23}... chat       200 200000+64000 tokens 100.00 s",
        ),
    ],
)
def test_the_line_of_a_request(request_: RecordedRequest, answer: SentAnswer, line: str) -> None:
    assert answer_line(request_, answer, "09:00:00") == line
    assert len(line) <= COLUMNS


def test_an_observer_gets_each_answer_once() -> None:
    seen: list[tuple[str | None, SentAnswer]] = []
    with LocalWorkspace(on_answer=lambda request, answer: seen.append((request.endpoint, answer))) as workspace:
        workspace.inject(Fault(cut_after=10))
        headers = {"authorization": f"Bearer {workspace.token}"}
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        with httpx.Client(base_url=workspace.host, headers=headers, trust_env=False) as client:
            path = f"/serving-endpoints/{NAME}/invocations"
            with pytest.raises(httpx.HTTPError):
                client.post(path, json=body)
            usage = client.post(path, json=body).json()["usage"]
            assert client.get("/api/2.0/nothing").status_code == 404
        deadline = time.monotonic() + 30
        while len(seen) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [(name, answer.status) for name, answer in seen] == [(NAME, 200), (NAME, 200), (None, 404)]
    assert (seen[1][1].input_tokens, seen[1][1].output_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
