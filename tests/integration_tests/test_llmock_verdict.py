"""Faults and a verdict made by others: llmock breaks its answers on purpose and judges how the client copes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from kit.rewriting import Rewriting
from kit.ways import Way, ainvoke, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
    StreamInterruptedError,
)

pytest.importorskip("llmock", reason="needs llmock: pip install llmock (extra test-all)")
streaming = pytest.mark.parametrize("call", [stream, astream])


def weather(city: str) -> str:
    """Get the current weather in a city."""
    return city


@pytest.fixture(scope="module")
def running() -> Iterator[Rewriting]:
    with Rewriting() as server:
        yield server


@pytest.fixture
def mock(running: Rewriting) -> Iterator[Rewriting]:
    """A server that has forgotten everything; at the end its verdict has no FAIL."""
    running.reset()
    yield running
    verdict = running.verdict()
    assert verdict["errors"] == 0, verdict["findings"]
    assert verdict["calls"] > 0


def _llm(mock: Rewriting, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="my-endpoint", host=mock.url, token="dapi0", **settings)


@four_ways
def test_nothing_goes_wrong(call: Way, mock: Rewriting) -> None:
    assert call(_llm(mock), "Hello!").text


@four_ways
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_failures_that_pass(call: Way, status: int, mock: Rewriting) -> None:
    mock.expect({"type": "fail", "status": status, "times": 2, "retry_after": 0.2})
    assert call(_llm(mock), "Hello!").text
    assert mock.verdict()["attempts"] == 3


@four_ways
def test_failures_without_a_word_on_when_to_come_back(call: Way, mock: Rewriting) -> None:
    mock.expect({"type": "fail", "status": 503, "times": 2})
    assert call(_llm(mock), "Hello!").text


@four_ways
@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_no_retry_can_fix_is_not_retried(call: Way, status: int, mock: Rewriting) -> None:
    mock.expect({"type": "fail", "status": status, "times": 9})
    with pytest.raises(DatabricksError) as caught:
        call(_llm(mock), "Hello!")
    assert caught.value.status_code == status
    assert isinstance(caught.value, DatabricksInvalidRequestError) or status == 404
    assert mock.verdict()["attempts"] == 1


@four_ways
def test_a_limit_that_stays_is_given_up_on(call: Way, mock: Rewriting) -> None:
    mock.expect({"type": "fail", "status": 429, "times": None, "retry_after": 0.05})
    with pytest.raises(DatabricksRateLimitError):
        call(_llm(mock, max_retries=3), "Hello!")
    assert mock.verdict()["attempts"] == 4


@streaming
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("disconnect", StreamInterruptedError),
        ("truncate", StreamInterruptedError),
        ("malformed", MalformedResponseError),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_stream_that_breaks_says_so_and_can_be_asked_for_again(
    call: Way, kind: str, error: type[DatabricksError], after: int, mock: Rewriting
) -> None:
    mock.expect({"type": "stream_fault", "kind": kind, "after_chunks": after})
    with pytest.raises(error) as caught:
        call(_llm(mock), "Please tell me a long story.")
    assert caught.value.partial is not None or (kind, after) == ("disconnect", 0)
    # llmock calls a client that takes half an answer for a whole one a FAIL; ours was told, and asks again.
    assert call(_llm(mock), "Please tell me a long story.").text


@streaming
def test_a_stream_that_stalls_is_a_timeout(call: Way, mock: Rewriting) -> None:
    mock.expect({"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 3})
    with pytest.raises(DatabricksTimeoutError) as caught:
        call(_llm(mock, timeout=1.5), "Please tell me a long story.")
    assert caught.value.partial is not None
    assert caught.value.partial.text


@four_ways
def test_a_slow_answer_is_waited_for(call: Way, mock: Rewriting) -> None:
    mock.expect({"type": "delay", "seconds": 0.3})
    assert call(_llm(mock), "Hello!").text


@streaming
def test_a_slow_first_token_is_waited_for(call: Way, mock: Rewriting) -> None:
    mock.expect({"type": "slow_first_token", "seconds": 0.3})
    assert call(_llm(mock), "Hello!").text


@four_ways
def test_a_tool_call_that_is_no_json_is_never_executed(call: Way, mock: Rewriting) -> None:
    mock.expect({"type": "tool_fault", "kind": "malformed_arguments"})
    answer = call(_llm(mock).bind_tools([weather], tool_choice="any"), "What is the weather in Oslo?")
    assert answer.tool_calls == []
    assert len(answer.invalid_tool_calls) == 1


@four_ways
def test_a_tool_that_was_never_offered_is_handed_on_as_it_came(call: Way, mock: Rewriting) -> None:
    mock.expect({"type": "tool_fault", "kind": "unknown_tool"})
    answer = call(_llm(mock).bind_tools([weather], tool_choice="any"), "What is the weather in Oslo?")
    assert [tool["name"] == "weather" for tool in answer.tool_calls] == [False]


def test_a_batch_in_a_storm(mock: Rewriting) -> None:
    mock.expect({"type": "fail", "status": 429, "times": 6, "retry_after": 0.2})
    questions = [f"Hello, {number}!" for number in range(12)]
    answers = asyncio.run(_llm(mock).abatch(list(questions)))
    assert all(answer.text for answer in answers)


@pytest.mark.parametrize("call", [invoke, ainvoke])
def test_a_model_that_fails_for_good(call: Way, mock: Rewriting) -> None:
    mock.expect({"type": "fail", "status": 500, "times": None})
    with pytest.raises(DatabricksAPIError):
        call(_llm(mock, max_retries=2, retry_deadline=10), "Hello!")
