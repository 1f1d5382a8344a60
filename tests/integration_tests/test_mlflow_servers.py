"""MLflow's own servers answer, stream, fail and drop, and the chat model says the right thing each time."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from kit.ways import Way, ainvoke, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksError,
    DatabricksInvalidRequestError,
    StreamInterruptedError,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("pandas") is None,
    reason="needs MLflow: pip install mlflow-skinny pandas (extra test-all)",
)
SCRIPT = Path(__file__).parents[1] / "kit" / "mlflow_server.py"
streaming = pytest.mark.parametrize("call", [stream, astream])
whole = pytest.mark.parametrize("call", [invoke, ainvoke])


@contextlib.contextmanager
def _serving(*agent: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), *agent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = next((line for line in process.stdout if line.startswith("port ")), "")
        assert line, "the server did not start"
        yield f"http://127.0.0.1:{line.split()[1]}"
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with _serving() as url:
        yield url


Ask = Callable[..., ChatDatabricksCompat]


def _llm(host: str, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=host, token="dapi0", max_retries=0, **settings)


@four_ways
def test_a_chat_model_answers_whole_whatever_was_asked(call: Way, host: str) -> None:
    answer = call(_llm(host, "chat-model"), "Hello!")
    assert answer.text == "You said: Hello!"
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["served_model"] == "mine"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 3


@four_ways
def test_a_chat_model_calls_a_tool_without_content(call: Way, host: str) -> None:
    answer = call(_llm(host, "chat-model"), "call")
    assert [(tool["name"], tool["args"], tool["id"]) for tool in answer.tool_calls] == [
        ("weather", {"city": "Oslo"}, "c1")
    ]
    assert answer.text == ""


@four_ways
def test_a_chat_model_that_crashes_is_a_refusal_that_is_not_retried(call: Way, host: str) -> None:
    with pytest.raises(DatabricksInvalidRequestError) as caught:
        call(_llm(host, "chat-model"), "fail")
    assert caught.value.status_code == 400
    assert caught.value.error_code == "BAD_REQUEST"
    assert "unexpected error while evaluating the model" in str(caught.value)
    assert "Traceback" not in caught.value.message.partition("\n")[0]


@four_ways
@pytest.mark.parametrize("api", ["agent", "auto"])
def test_a_chat_agent_answers_told_or_found_by_its_answer(call: Way, api: str, host: str) -> None:
    llm = _llm(host, "chat-agent", api=api, custom_inputs={"a": 1}, context={"user_id": "u"})
    first = call(llm, "Hello!")
    assert first.text == "You said: Hello!"
    second = call(llm, [HumanMessage("Hello!"), first, HumanMessage("Again!")])
    assert second.text == "You said: Again!"


@four_ways
def test_an_agent_that_speaks_chat_completions_answers(call: Way, host: str) -> None:
    assert call(_llm(host, "agent"), "Hello!").text == "You said: Hello!"


@streaming
def test_an_agent_that_streams_claudes_lists(call: Way, host: str) -> None:
    answer = call(_llm(host, "agent", family="claude"), "list")
    assert answer.text == "You said: list"
    assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text"]


@streaming
def test_an_agent_that_crashes_in_mid_stream(call: Way, host: str) -> None:
    with pytest.raises(DatabricksError, match="the agent crashed") as caught:
        call(_llm(host, "agent"), "fail")
    assert caught.value.partial is not None
    assert caught.value.partial.text == "You said: "


@whole
def test_an_agent_that_crashes(call: Way, host: str) -> None:
    with pytest.raises(DatabricksAPIError, match="the agent crashed") as caught:
        call(_llm(host, "agent"), "fail")
    assert caught.value.status_code == 500


@pytest.mark.parametrize("call", [stream])
def test_an_agent_that_dies_in_mid_stream(call: Way) -> None:
    with _serving() as url:
        with pytest.raises(StreamInterruptedError) as caught:
            call(_llm(url, "agent"), "drop")
    assert caught.value.partial is not None
    assert caught.value.partial.text == "You said: "


def test_what_a_responses_agent_refuses_teaches_its_wire_format() -> None:
    with _serving("ResponsesAgent") as url:
        for call in (invoke, ainvoke, stream, astream):
            assert call(_llm(url, "agent"), "Hello!").text == "You said: Hello!"
            with pytest.raises(DatabricksInvalidRequestError, match="ResponsesAgent") as caught:
                call(_llm(url, "agent", api="chat"), "Hello!")
            assert caught.value.status_code == 400


def test_a_responses_agent_answers_with_its_steps() -> None:
    with _serving("ResponsesAgent") as url:
        for call in (invoke, ainvoke, stream, astream):
            llm = _llm(url, "agent", api="responses", custom_inputs={"a": 1})
            first = call(llm, "Hello!")
            assert (first.text, first.tool_calls) == ("You said: Hello!", [])
            steps = [block["type"] for block in first.content_blocks]
            assert steps == ["server_tool_call", "server_tool_result", "text"]
            second = call(llm, [HumanMessage("Hello!"), first, HumanMessage("Again!")])
            assert second.text == "You said: Again!"
            if call in (invoke, ainvoke):
                assert first.response_metadata["custom_outputs"] == {"a": 1}
