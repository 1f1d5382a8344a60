"""A recording has no secrets, and its replay answers as the workspace did, whole and streamed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.ways import Way, ainvoke, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    StreamInterruptedError,
)
from langchain_dbchat.local import Fault, FaultProxy, LocalWorkspace
from langchain_dbchat.testing import RecordingWorkspace, ReplayWorkspace

CLAUDE = "databricks-claude-sonnet-4-6"
GPT = "databricks-gpt-5-2"
GEMINI = "databricks-gemini-3-5-flash"
GTE = "databricks-gte-large-en"
PAT = "dapi" + "fedcba9876543210" * 2
OPAQUE = "correct-horse-battery-staple"


class City(BaseModel):
    """A city."""

    name: str


@tool
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"Rain in {city}."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recordings" / "one.jsonl"


@pytest.fixture
def real() -> Iterator[LocalWorkspace]:
    """The workspace whose traffic is recorded."""
    with LocalWorkspace() as one:
        yield one


def chat(workspace: Any, model: str = GEMINI, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


def recorder(path: Path, real: LocalWorkspace, **options: Any) -> RecordingWorkspace:
    return RecordingWorkspace(path, host=real.host, token=real.token, **options)


def program(workspace: Any) -> list[Any]:
    """Call in all four ways, on every API, and embed."""
    said: list[Any] = []
    for model, api in ((GEMINI, "chat"), (CLAUDE, "messages"), (GPT, "responses")):
        for number, way in enumerate((invoke, ainvoke, stream, astream)):
            answer = way(chat(workspace, model, api=api), f"Say: number {number} is fine")
            said.append((answer.content, answer.usage_metadata, answer.tool_calls))
    said.append(chat(workspace, GPT).bind_tools([get_weather]).invoke("Weather in Oslo?").tool_calls)
    said.append(chat(workspace, CLAUDE).with_structured_output(City).invoke("The city is Oslo."))
    embeddings = DatabricksEmbeddings(model=GTE, host=workspace.host, token=workspace.token)
    said.append(embeddings.embed_documents(["a", "b"]))
    return said


def test_a_replay_answers_as_the_workspace_did(path: Path) -> None:
    with LocalWorkspace() as real, recorder(path, real) as recording:
        recorded = program(recording)
        tokens = {real.token, recording.token}
    text = path.read_text("utf-8")
    assert not [token for token in tokens if token in text]
    assert "authorization" not in text.lower()
    with ReplayWorkspace(path) as replay:
        assert program(replay) == recorded
        replay.assert_all_recorded()
        replay.assert_all_used()


def test_an_agent_is_replayed(path: Path, real: LocalWorkspace) -> None:
    def ask(workspace: Any) -> list[str]:
        agent: Any = create_agent(chat(workspace, CLAUDE), [get_weather])
        return [one.text for one in agent.invoke({"messages": [HumanMessage("Weather in Oslo?")]})["messages"]]

    with recorder(path, real) as recording:
        recorded = ask(recording)
    real.stop()
    with ReplayWorkspace(path) as replay:
        assert ask(replay) == recorded
    assert "Rain in Oslo." in recorded[-1]


def test_a_stream_is_replayed_in_its_pieces(path: Path, real: LocalWorkspace) -> None:
    real.script(GEMINI).answer("one two three four").slowly(0.05)
    with recorder(path, real) as recording:
        recorded = [chunk.text for chunk in chat(recording).stream("Count.")]
    pieces = json.loads(path.read_text("utf-8").splitlines()[-1])["response"]["pieces"]
    assert len(pieces) > 3
    with ReplayWorkspace(path) as replay:
        headers = {"authorization": f"Bearer {replay.token}"}
        url = f"{replay.host}/serving-endpoints/{GEMINI}/invocations"
        with httpx.stream("POST", url, headers=headers, json=replay_body(path), trust_env=False) as answer:
            assert "".join(answer.iter_text()) == "".join(pieces)
        assert len(recorded) > 3


def replay_body(path: Path) -> Any:
    return json.loads(path.read_text("utf-8").splitlines()[-1])["request"]["body"]


@four_ways
def test_secrets_of_the_conversation_are_not_written(path: Path, real: LocalWorkspace, call: Way) -> None:
    """The model repeats them, streamed in words and, in the arguments of a call, in pieces of seven characters."""
    prompt = f"The key is {PAT}, the word is {OPAQUE}, and password: hunter22hunter"

    def ask(workspace: Any) -> str:
        answer = call(chat(workspace, default_headers={"x-tag": OPAQUE}), prompt)
        calls = call(chat(workspace).bind_tools([get_weather]), f"Again: {prompt}").tool_calls
        return answer.text + str(calls[0]["args"])

    real.script(GEMINI).answer(prompt).call(get_weather, city=PAT, password="hunter22hunter", word=OPAQUE)
    with recorder(path, real, secrets=[OPAQUE]) as recording:
        recorded = ask(recording)
    assert PAT in recorded, "the program itself sees what the workspace sent"
    text = path.read_text("utf-8")
    assert not [secret for secret in (PAT, OPAQUE, "hunter22hunter", real.token, recording.token) if secret in text]
    assert not [piece for piece in (PAT[4:11], PAT[-7:]) if piece in text]
    with ReplayWorkspace(path, secrets=[OPAQUE]) as replay:
        assert ask(replay) == recorded.replace(PAT, "***").replace(OPAQUE, "***").replace("hunter22hunter", "***")


@pytest.mark.parametrize("way", [invoke, ainvoke, stream, astream])
def test_a_request_that_was_not_recorded_shows_the_nearest(path: Path, real: LocalWorkspace, way: Way) -> None:
    with recorder(path, real) as recording:
        chat(recording, temperature=0).invoke("Weather in Oslo?")
        chat(recording, CLAUDE).invoke("Weather in Oslo?")
        way(chat(recording, temperature=0), "Something else")
    with ReplayWorkspace(path) as replay:
        with pytest.raises(DatabricksInvalidRequestError, match="NOT_RECORDED") as caught:
            way(chat(replay, temperature=0.5, max_tokens=5), "Weather in Bergen?")
        assert "messages[0].content is 'Weather in Bergen?'; recorded was 'Weather in Oslo?'" in str(caught.value) or (
            "messages[0].content is 'Weather in Bergen?'; recorded was 'Something else'" in str(caught.value)
        )
        assert "temperature is 0.5; recorded was 0" in str(caught.value)
        assert "max_tokens was not recorded, and is 5" in str(caught.value)
        assert len(replay.requests.calls) == 1, "it is not sent again"
        with pytest.raises(AssertionError, match="The nearest recorded request is POST"):
            replay.assert_all_recorded()
        with pytest.raises(AssertionError, match="3 calls of .* were not made"):
            replay.assert_all_used()


def test_the_same_call_is_answered_as_often_as_it_was_recorded(path: Path, real: LocalWorkspace) -> None:
    real.script(GEMINI).answer("first").answer("second")
    with recorder(path, real) as recording:
        assert [chat(recording).invoke("Hi").text for _ in range(2)] == ["first", "second"]
    with ReplayWorkspace(path) as replay:
        assert [chat(replay).invoke("Hi").text for _ in range(2)] == ["first", "second"]
        with pytest.raises(DatabricksInvalidRequestError, match="was recorded 2 times .*, and this is request 3"):
            chat(replay).invoke("Hi")


def test_the_order_of_keys_does_not_count_and_a_boolean_is_no_number(path: Path, real: LocalWorkspace) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "stream": False}
    url = f"/serving-endpoints/{GEMINI}/invocations"
    with recorder(path, real) as recording, client_of(recording) as client:
        assert client.post(url, json=body).status_code == 200
    with ReplayWorkspace(path) as replay, client_of(replay) as client:
        assert client.post(url, json={**body, "stream": 0}).status_code == 412
        assert client.post(url, json=dict(reversed(body.items()))).status_code == 200


def client_of(workspace: Any) -> httpx.Client:
    headers = {"authorization": f"Bearer {workspace.token}"}
    return httpx.Client(base_url=workspace.host, headers=headers, trust_env=False)


def test_fields_may_be_left_out_of_the_comparison(path: Path, real: LocalWorkspace) -> None:
    with recorder(path, real) as recording:
        chat(recording, temperature=0.1).invoke("Hi")
    with ReplayWorkspace(path, ignore=["temperature"]) as replay:
        assert chat(replay, temperature=0.2).invoke("Hi").text
    with ReplayWorkspace(path) as replay, pytest.raises(DatabricksInvalidRequestError, match="temperature is 0.2"):
        chat(replay, temperature=0.2).invoke("Hi")


def test_a_lookup_may_be_repeated(path: Path, real: LocalWorkspace) -> None:
    with recorder(path, real) as recording, client_of(recording) as client:
        first = client.get("/api/2.0/serving-endpoints?a=1&o=123").json()
    with ReplayWorkspace(path) as replay, client_of(replay) as client:
        for _ in range(3):
            assert client.get("/api/2.0/serving-endpoints?o=456&a=1").json() == first
        assert client.get("/api/2.0/serving-endpoints?a=2").status_code == 412
        replay.assert_all_used()


def test_errors_and_retries_are_replayed(path: Path, real: LocalWorkspace) -> None:
    real.fail_next(429, headers={"retry-after": "0"}, times=2)
    with recorder(path, real) as recording:
        assert chat(recording).invoke("Say: hi").text == "hi"
        real.fail_next("rate_limit")
        with pytest.raises(DatabricksRateLimitError):
            chat(recording, max_retries=0).invoke("Say: ho")
    with ReplayWorkspace(path) as replay:
        assert chat(replay).invoke("Say: hi").text == "hi"
        replay.assert_called(3)
        with pytest.raises(DatabricksRateLimitError):
            chat(replay, max_retries=0).invoke("Say: ho")


@four_ways
def test_an_answer_that_breaks_off_is_not_recorded(path: Path, real: LocalWorkspace, call: Way) -> None:
    real.inject(Fault(cut_after=60, times=1))
    with recorder(path, real) as recording:
        with pytest.raises((StreamInterruptedError, DatabricksConnectionError)):
            call(chat(recording, max_retries=0), "Say: one")
        assert call(chat(recording), "Say: two").text == "two"
    assert len(path.read_text("utf-8").splitlines()) == 2


def test_a_client_that_leaves_a_stream_does_not_end_its_recording(path: Path, real: LocalWorkspace) -> None:
    real.script(GEMINI).answer("one two three four").slowly(0.02)
    written = threading.Event()
    with recorder(path, real) as recording:
        for _ in chat(recording).stream("Count."):
            break
        for _ in range(600):
            if len(path.read_text("utf-8").splitlines()) == 2:
                written.set()
                break
            threading.Event().wait(0.05)
    assert written.is_set()
    with ReplayWorkspace(path) as replay:
        assert "".join(chunk.text for chunk in chat(replay).stream("Count.")) == "one two three four"


def test_only_the_clients_of_the_recorder_are_signed(path: Path, real: LocalWorkspace) -> None:
    with recorder(path, real) as recording:
        llm = ChatDatabricksCompat(model=GEMINI, host=recording.host, token="dapi-of-somebody-else")
        with pytest.raises(DatabricksAuthenticationError, match="takes its own token only"):
            llm.invoke("Hi")
    assert not real.requests
    assert len(path.read_text("utf-8").splitlines()) == 1


def test_the_recorder_signs_in_as_the_models_do(
    path: Path, real: LocalWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", real.host)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", real.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", real.client_secret)
    with RecordingWorkspace(path) as recording:
        assert chat(recording).invoke("Say: hi").text == "hi"
    sent = path.read_text("utf-8")
    assert real.client_secret not in sent
    assert not re.search(r"eyJ[\w-]+\.eyJ", sent)  # no JSON web token; the random signatures of thoughts may have "eyJ"


def test_the_gateway_is_recorded(path: Path, real: LocalWorkspace) -> None:
    with RecordingWorkspace(path, host=f"{real.host}/ai-gateway/mlflow/v1", token=real.token) as recording:
        assert chat(recording, "system.ai.gemini-3-5-flash").invoke("Say: hi").text == "hi"
    assert real.requests[-1].path.startswith("/ai-gateway/")
    with ReplayWorkspace(path) as replay:
        assert chat(replay, "system.ai.gemini-3-5-flash").invoke("Say: hi").text == "hi"


def test_what_was_sent_is_asserted_alike(path: Path, real: LocalWorkspace) -> None:
    with recorder(path, real) as recording:
        chat(recording).bind_tools([get_weather]).invoke("Weather in Oslo?")
        recording.assert_called_once(endpoint=GEMINI, tools=[get_weather], text="Oslo")
    with ReplayWorkspace(path) as replay:
        chat(replay).bind_tools([get_weather]).invoke("Weather in Oslo?")
        replay.assert_called_once(endpoint=GEMINI, tools=[get_weather], text="Oslo")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1 is not a JSON object"),
        (b"no JSON", "line 1 is not a JSON object"),
        (b'{"dbchat_recording": 99}\n', "is not a recording of version 1"),
        (b'{"dbchat_recording": 1}\n{"request": {}}\n', "line 2 is not an exchange: KeyError"),
        (b'{"dbchat_recording": 1}\n\n[]\n', "line 3 is not a JSON object"),
        (b'{"dbchat_recording": 1}\n{"request": 1, "response": 2}\n', "line 2 is not an exchange"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        ReplayWorkspace(path)


def test_a_missing_file_says_how_to_record(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="pytest --dbchat-record"):
        ReplayWorkspace(path)


def test_what_cannot_be_recorded_says_so_before_anything_is_written(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DATABRICKS_HOST"):
        RecordingWorkspace(path).start()
    with pytest.raises(ConfigurationError, match="cannot be recorded"):
        RecordingWorkspace(path, host="https://x.databricksapps.com", token="t").start()
    assert not path.exists()


def test_a_workspace_that_cannot_be_reached_is_said(path: Path, real: LocalWorkspace) -> None:
    with FaultProxy(real.host, [Fault(lose=True)]) as proxy:
        with RecordingWorkspace(path, host=proxy.host, token=real.token) as recording, client_of(recording) as client:
            answer = client.post("/serving-endpoints/x/invocations", json={})
    assert answer.status_code == 502
    assert "cannot reach the workspace" in answer.json()["message"]
    assert len(path.read_text("utf-8").splitlines()) == 1
