"""What is secret stays where the user put it: not in pickles, not in what is shown, logged or raised."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumps
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run

from kit.scripted import Received, Scripted, ScriptedServer
from kit.sign_in import EXCHANGE, PAT, Mirror, as_json, chat, on_connect, write_workbench
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.auth import m2m, posit
from langchain_dbchat.errors import ConfigurationError, DatabricksError
from langchain_dbchat.local import LocalWorkspace

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjE4MDAwMDAwMDB9.c2lnbmF0dXJlLW9mLWFkYQ"
CLIENT_SECRET = "dose" + "fedcba9876543210" * 2
MODEL = "databricks-claude-sonnet-4-6"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        yield server


# --- pickles, copies, other processes ---------------------------------------------------------------------------------


def _reopened(model: Any) -> list[Any]:
    """The model after a journey, each way."""
    return [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model), model.model_copy(deep=True)]


@four_ways
def test_what_was_given_travels_as_it_was_given(call: Way, mirror: Mirror) -> None:
    llm = chat(mirror.url, token=PAT)
    call(llm, "Who am I?")  # with a link and sockets at hand
    for opened in _reopened(llm):
        assert call(opened, "Who am I?").text == PAT
        assert opened == llm
    embeddings = DatabricksEmbeddings(model="e", host=mirror.url, token="mine")
    embeddings.embed_query("x")
    for opened in _reopened(embeddings):
        opened.embed_query("x")
    assert mirror.signers[-5:] == ["mine"] * 5


@four_ways
def test_what_the_environment_gave_is_left_behind_and_found_again(
    call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", mirror.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    llm = chat()
    call(llm, "Who am I?")
    data = pickle.dumps(llm)
    assert PAT.encode() not in data
    monkeypatch.setenv("DATABRICKS_TOKEN", "of-the-other-process")
    assert call(pickle.loads(data), "Who am I?").text == "of-the-other-process"
    monkeypatch.delenv("DATABRICKS_TOKEN")
    with pytest.raises(ConfigurationError, match="DATABRICKS_TOKEN"):
        call(pickle.loads(data), "Who am I?")


@pytest.mark.parametrize("source", ["arguments", "environment"])
def test_tokens_that_were_fetched_are_in_no_pickle(
    source: str, workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = set(workspace._identity._issued)
    pair = {"client_id": workspace.client_id, "client_secret": workspace.client_secret}
    for name, value in pair.items():
        monkeypatch.setenv(f"DATABRICKS_{name.upper()}", value)
    llm = chat(workspace.host, model=MODEL, **(pair if source == "arguments" else {}))
    assert llm.invoke("Hello!").text
    (fetched,) = set(workspace._identity._issued) - known
    data = pickle.dumps(llm)
    assert fetched.encode() not in data
    assert (workspace.client_secret.encode() in data) is (source == "arguments")
    m2m.CELLS.clear()
    assert pickle.loads(data).invoke("Hello!").text


@pytest.mark.parametrize("kind", ["profile", "workbench", "service account"])
def test_secrets_of_files_are_in_no_pickle(
    kind: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", mirror.url)
    if kind == "profile":
        Path(os.environ["HOME"], ".databrickscfg").write_text(f"[DEFAULT]\nhost = {mirror.url}\ntoken = {PAT}\n")
    elif kind == "workbench":
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(write_workbench(tmp_path, mirror.url, PAT)))
    else:
        for name, value in {**on_connect(mirror), "CONNECT_CONTENT_SESSION_TOKEN": PAT}.items():
            monkeypatch.setenv(name, value)
    llm = chat()
    said = llm.invoke("Who am I?").text
    assert PAT in said
    data = pickle.dumps(llm)
    assert PAT.encode() not in data
    assert b"connect-key" not in data
    assert pickle.loads(data).invoke("Who am I?").text == said


def test_cloudpickle_takes_what_the_user_wrote_in_place(mirror: Mirror) -> None:
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")
    llm = chat(mirror.url, token=lambda: "from-a-lambda")
    llm.invoke("Who am I?")
    opened = pickle.loads(cloudpickle.dumps(llm))
    assert opened.invoke("Who am I?").text == "from-a-lambda"


ELSEWHERE = """
import os, pickle, sys
llm, embeddings = pickle.load(open(sys.argv[1], "rb"))
print(llm.invoke("Who am I?").text)
embeddings.embed_query("x")
child = os.fork()
if not child:  # the parent's sockets are not the child's
    said = [llm.invoke("Who am I?").text for _ in range(2)]
    os._exit(0 if said == [os.environ["DATABRICKS_TOKEN"]] * 2 else 1)
assert os.waitpid(child, 0)[1] == 0
print(llm.invoke("Who am I?").text)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_another_process_and_its_fork_sign_as_themselves(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", mirror.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", "of-the-driver")
    models = (chat(), DatabricksEmbeddings(model="e"))
    models[0].invoke("Who am I?")
    file = tmp_path / "models.pickle"
    file.write_bytes(pickle.dumps(models))
    monkeypatch.setenv("DATABRICKS_TOKEN", "of-the-executor")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", ELSEWHERE, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["of-the-executor"] * 2, done.stderr
    assert mirror.signers == ["of-the-driver", *["of-the-executor"] * 5]
    connections = [received.connection for received in mirror.questions]
    assert connections[3] not in {*connections[:3], connections[5]}
    assert connections[5] == connections[1]


# --- what is shown, logged and raised ---------------------------------------------------------------------------------


class Gossip(ScriptedServer):
    """A server that repeats every secret it was told, in every kind of refusal."""

    def __init__(self) -> None:
        self.turn = 0
        self.silent = False
        super().__init__(self._reply)

    def _reply(self, received: Received) -> Scripted:
        heard = f"{received.headers.get('authorization')} {received.body.decode()} {PAT} {JWT} {CLIENT_SECRET}"
        if received.path == "/oidc/v1/token" and not self.silent:
            return Scripted({"access_token": JWT, "expires_in": 3600})
        if received.path == EXCHANGE and not self.silent:
            return Scripted({"access_token": JWT, "expires_in": 3600})
        refusals = (
            Scripted({"error_code": "401", "message": f"I do not know {heard}"}, 401),
            Scripted({"error_code": "403", "message": f"Invalid Token {heard}"}, 403),
            Scripted({"error_code": "PERMISSION_DENIED", "message": f"Not with {heard}"}, 403),
            Scripted({"error_code": "BAD_REQUEST", "message": heard}, 400, {"x-request-id": JWT}),
            Scripted({"error": heard, "error_description": heard}, 400),
            Scripted({"message": heard}, 500, {"retry-after": "0"}),
            Scripted(f"<html>{heard}</html>", 200, {"content-type": "text/html"}),
            Scripted(heard, 200, {"content-type": "application/json"}),
            Scripted(b"", 302, {"location": f"{self.url}/login?token={PAT}"}),
            *([] if self.silent else [Scripted(b"", drop_after=-1)]),
        )
        self.turn += 1
        return refusals[self.turn % len(refusals)]


class Everything(BaseTracer):
    """A tracer that keeps every run."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(as_json(run.__dict__))


WAYS: dict[str, Callable[[], dict[str, Any]]] = {
    "token": lambda: {"token": PAT},
    "callable": lambda: {"token": lambda: JWT},
    "service principal": lambda: {"client_id": "id", "client_secret": CLIENT_SECRET},
    "viewer": lambda: {"user_session_token": JWT},
    "header": lambda: {"token": PAT, "default_headers": {"Authorization": f"Bearer {JWT}"}},
    "environment": dict,
}


@four_ways
@pytest.mark.parametrize("way", list(WAYS))
def test_nothing_that_is_shown_logged_or_raised_holds_a_secret(
    call: Way, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tracer = Everything()
    with Gossip() as server:
        for name, value in {**on_connect(server), "CONNECT_API_KEY": CLIENT_SECRET, "DATABRICKS_TOKEN": PAT}.items():
            monkeypatch.setenv(name, value)
        llm = chat(server.url, **WAYS[way](), max_retries=1, retry_deadline=5, timeout=5)
        shown = [repr(llm), str(llm), dumps(llm) if way != "callable" else ""]
        for _ in range(10):
            with pytest.raises(DatabricksError) as caught:
                call(llm.with_config(callbacks=[tracer]), "Hello!")
            shown += _all_of(caught.value)
        server.silent = True
        m2m.CELLS.clear()
        posit.CELLS.clear()
        for _ in range(5 if way in {"service principal", "viewer"} else 0):
            with pytest.raises(DatabricksError) as caught:
                call(llm, "Hello!")
            shown += _all_of(caught.value)
    # httpcore, asked for DEBUG, shows the headers that a server sends; those that we send it shows never.
    logged = [record.getMessage() + str(record.__dict__) for record in caplog.records]
    shown += [text for text in logged if "receive_response_headers.complete" not in text] + tracer.runs
    assert len(tracer.runs) == 10
    for text in shown:
        for secret in (PAT, JWT, CLIENT_SECRET, JWT.rpartition(".")[2], CLIENT_SECRET[4:]):
            assert secret not in text, text


def _all_of(error: BaseException) -> list[str]:
    """Everything that can be read off an error."""
    return [
        str(error),
        repr(error),
        as_json(error.__dict__),
        as_json(getattr(getattr(error, "response", None), "headers", {})),
        str(getattr(getattr(error, "response", None), "text", "")),
        "".join(traceback.format_exception(type(error), error, error.__traceback__)),
        repr(pickle.dumps(error)),
    ]


@four_ways
def test_a_users_token_is_in_no_trace_of_a_call_that_works(call: Way, mirror: Mirror) -> None:
    tracer = Everything()
    llm = chat(mirror.url, token=CLIENT_SECRET)
    bound = llm.bind(token=JWT, extra_headers={"X-Api-Key": PAT}).with_config(callbacks=[tracer])
    assert call(bound, "Who am I?").text == JWT
    assert mirror.questions[0].headers["x-api-key"] == PAT
    (run,) = tracer.runs
    # The mirror's answer is the token, on purpose; everything else of the run is ours.
    assert run.count(JWT) <= run.count("Who am I?") * 20
    said = run.replace(f'"content": "{JWT}"', "").replace(f'"text": "{JWT}"', "")
    assert CLIENT_SECRET not in said
    assert PAT not in said


@pytest.mark.parametrize("wrong", [{"token": 3}, {"token": [PAT]}, {"client_secret": {PAT}}, {"tokn": PAT}])
def test_what_is_refused_at_construction_is_not_quoted(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # pydantic's and ours are both ValueErrors
        ChatDatabricksCompat(model="m", host="https://workspace.example", **wrong)
    assert PAT not in "".join(traceback.format_exception(caught.value)).partition("wrong=")[0]


def test_the_async_path_of_embeddings_shows_nothing_either() -> None:
    with Gossip() as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token=PAT, max_retries=0)
        for _ in range(10):
            with pytest.raises(DatabricksError) as caught:
                asyncio.run(embeddings.aembed_query("x"))
            assert PAT not in "".join(_all_of(caught.value))
        assert PAT not in repr(embeddings)
