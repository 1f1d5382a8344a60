"""A chat that survives what a service does: rate limits, restarts, slowness, streams that break."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.messages import HumanMessage

from kit.scripted import Scripted, ScriptedServer, sse
from kit.ways import Way, ainvoke, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksContextOverflowError,
    DatabricksError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
    StreamInterruptedError,
)
from langchain_dbchat.local import LocalWorkspace

TOKEN = "dapi0"


def _llm(host: str, token: str = TOKEN, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=host, token=token, **settings)


def _event(text: str | None = None, reason: str | None = None) -> dict[str, Any]:
    delta = {} if text is None else {"role": "assistant", "content": text}
    return {"id": "msg_1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def _streamed(body: bytes | list[bytes], **how: Any) -> Scripted:
    return Scripted(body=body, headers={"content-type": "text/event-stream"}, **how)


@four_ways
def test_a_rate_limit_with_retry_after_is_waited_for(call: Way) -> None:
    with LocalWorkspace() as workspace:
        workspace.fail_next(429, headers={"retry-after": "1"})
        began = time.monotonic()
        assert call(_llm(workspace.host, workspace.token), "Hello!").text
        assert time.monotonic() - began >= 1
        assert len(workspace.requests) == 2


@four_ways
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_failures_that_pass_are_tried_again(call: Way, status: int) -> None:
    with LocalWorkspace() as workspace:
        workspace.fail_next(status, headers={"retry-after": "0"}, times=2)
        assert call(_llm(workspace.host, workspace.token), "Hello!").text
        assert len(workspace.requests) == 3


@four_ways
def test_the_last_error_of_the_service_is_raised_with_the_attempts_in_its_notes(call: Way) -> None:
    with LocalWorkspace() as workspace:
        workspace.fail_next(429, headers={"retry-after": "0"}, times=9)
        with pytest.raises(DatabricksRateLimitError) as caught:
            call(_llm(workspace.host, workspace.token, max_retries=2), "Hello!")
        assert len(workspace.requests) == 3
    assert isinstance(caught.value, core.ModelRateLimitError)
    assert caught.value.is_retryable
    assert len(getattr(caught.value, "__notes__", [])) == 3


@four_ways
def test_no_retry_when_none_is_wanted(call: Way) -> None:
    with LocalWorkspace() as workspace:
        workspace.fail_next(503)
        with pytest.raises(DatabricksAPIError):
            call(_llm(workspace.host, workspace.token, max_retries=0), "Hello!")
        assert len(workspace.requests) == 1


@four_ways
def test_a_context_that_is_too_long_is_langchains_own_error(call: Way) -> None:
    text = {"error_code": "BAD_REQUEST", "message": "prompt is too long: 210000 tokens > 200000 maximum"}
    with ScriptedServer(lambda _: Scripted(text, status=400)) as server:
        with pytest.raises(DatabricksContextOverflowError) as caught:
            call(_llm(server.url), "Hello!")
    assert isinstance(caught.value, core.ContextOverflowError)


@pytest.mark.parametrize("call", [invoke, ainvoke, stream, astream])
def test_the_timeout_is_kept(call: Way) -> None:
    with ScriptedServer(lambda _: Scripted(wait=20)) as server:
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match=r"0\.3"):
            call(_llm(server.url, timeout=0.3), "Hello!")
        assert time.monotonic() - began < 15


streaming = pytest.mark.parametrize("call", [stream, astream])


@streaming
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (sse(_event("Hel"), _event("lo"), done=False), StreamInterruptedError),
        (sse(_event("Hel"), _event("lo"), {"error": "the model crashed"}), DatabricksError),
        (sse(_event("Hel"), _event("lo"), {"error": {"message": "slow down", "code": 429}}), DatabricksRateLimitError),
        (sse(_event("Hel"), _event("lo"), {"error_code": "INTERNAL_ERROR", "message": "oops"}), DatabricksAPIError),
        (sse(_event("Hel"), _event("lo"), done=False) + b"data: {broken\n\n", MalformedResponseError),
        (sse(_event("Hel"), _event("lo"), done=False) + b"data: [1, 2]\n\n", MalformedResponseError),
    ],
)
def test_a_stream_that_breaks_raises_and_keeps_what_had_arrived(
    call: Way, body: bytes, kind: type[DatabricksError]
) -> None:
    with ScriptedServer(lambda _: _streamed(body)) as server, pytest.raises(kind) as caught:
        call(_llm(server.url), "Hello!")
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello"
    assert len(server.requests) == 1


@streaming
def test_bytes_that_are_missing_are_an_interrupted_stream(call: Way) -> None:
    pieces = [sse(_event("Hel"), done=False), sse(_event("lo"), done=False), sse(_event(None, "stop"))]
    with ScriptedServer(lambda _: _streamed(pieces, drop_after=2)) as server:
        with pytest.raises(StreamInterruptedError) as caught:
            call(_llm(server.url), "Hello!")
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello"


@streaming
def test_an_end_by_done_alone_or_by_finish_reason_alone_is_an_end(call: Way) -> None:
    for body in (sse(_event("Hi.")), sse(_event("Hi."), _event(None, "stop"), done=False)):
        with ScriptedServer(lambda _, body=body: _streamed(body)) as server:
            assert call(_llm(server.url), "Hello!").text == "Hi."


def test_leaving_a_stream_closes_its_connection() -> None:
    events = [sse(_event(f"{number} "), done=False) for number in range(3)]
    with ScriptedServer(lambda _: _streamed(events, stall=True)) as server:
        for chunk in _llm(server.url).stream("Hello!"):
            assert chunk.text
            assert server.open_connections == 1
            break
        assert server.wait_open(0) == 0


async def test_cancelling_a_task_closes_its_connection() -> None:
    events = [sse(_event("Hello"), done=False)]
    with ScriptedServer(lambda _: _streamed(events, stall=True)) as server:
        llm = _llm(server.url)
        seen = asyncio.Event()

        async def read() -> None:
            async for _ in llm.astream("Hello!"):
                seen.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(seen.wait(), 30)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_open, 0) == 0


def test_many_event_loops_one_after_the_other() -> None:
    with LocalWorkspace() as workspace:
        llm = _llm(workspace.host, workspace.token)
        for _ in range(5):
            assert asyncio.run(llm.ainvoke("Hello!")).text


async def test_a_batch_of_many() -> None:
    with LocalWorkspace() as workspace:
        llm = _llm(workspace.host, workspace.token)
        questions = [f"Hello, {number}!" for number in range(50)]
        for answers in (await llm.abatch(list(questions)), llm.batch(list(questions))):
            assert [question in answer.text for question, answer in zip(questions, answers, strict=True)] == [True] * 50


@four_ways
def test_what_is_on_the_wire_is_what_was_asked_and_nothing_else(call: Way) -> None:
    with LocalWorkspace() as workspace:
        call(_llm(workspace.host, workspace.token), [HumanMessage("Hello!", name="me", id="1")])
        (request,) = workspace.requests
    body = dict(request.json)
    assert body.pop("stream", True) is True
    assert body == {"messages": [{"role": "user", "content": "Hello!"}]}


@four_ways
def test_extra_body_is_merged_last_and_deep(call: Way) -> None:
    answer = {"choices": [{"index": 0, "message": {"content": "Hi."}, "finish_reason": "stop"}]}
    with ScriptedServer(lambda _: Scripted(answer)) as server:
        llm = ChatDatabricksCompat(
            model="m",
            host=server.url,
            token="dapi0",
            temperature=0.5,
            max_tokens=5,
            extra_body={"a": {"b": 1, "c": 2}, "max_tokens": None},
            default_headers={"x-team": "one"},
            default_query={"trace": "yes"},
        )
        bound = llm.bind(extra_body={"a": {"c": None}, "temperature": 0.7}, extra_headers={"x-call": "two"})
        call(bound, "Hello!")
        (request,) = server.requests
    body = request.json
    assert body["a"] == {"b": 1}
    assert body["temperature"] == 0.7
    assert "max_tokens" not in body
    assert request.headers["x-team"] == "one"
    assert request.headers["x-call"] == "two"
    assert request.query == {"trace": ["yes"]}


@pytest.mark.parametrize(
    ("settings", "path", "named"),
    [
        ({"host": "{url}"}, "/serving-endpoints/m/invocations", False),
        ({"host": "{url}/"}, "/serving-endpoints/m/invocations", False),
        ({"host": "{url}/serving-endpoints"}, "/serving-endpoints/m/invocations", False),
        ({"host": "{url}/?o=123"}, "/serving-endpoints/m/invocations", False),
        ({"host": "{url}/ai-gateway/mlflow/v1"}, "/ai-gateway/mlflow/v1/chat/completions", True),
        ({"base_url": "{url}/v1"}, "/v1/chat/completions", True),
        ({"base_url": "{url}/serving-endpoints"}, "/serving-endpoints/m/invocations", False),
        ({"host": "{url}", "model": "system.ai.m"}, "/ai-gateway/mlflow/v1/chat/completions", True),
    ],
    ids=str,
)
@four_ways
def test_every_shape_of_address(call: Way, settings: dict[str, str], path: str, named: bool) -> None:
    answer = {"choices": [{"index": 0, "message": {"content": "Hi."}, "finish_reason": "stop"}]}
    with ScriptedServer(lambda _: Scripted(answer)) as server:
        given: dict[str, Any] = {key: value.replace("{url}", server.url) for key, value in settings.items()}
        llm = ChatDatabricksCompat(**{"model": "m", "token": "dapi0", **given})
        assert call(llm, "Hello!").text == "Hi."
        (request,) = server.requests
    assert request.path == path
    assert request.json.get("model") == (llm.model if named else None)
    assert ("x-databricks-workspace-id" in request.headers) == ("?o=" in str(settings))


def test_a_request_that_is_no_json_is_refused() -> None:
    llm = _llm("https://workspace.example", extra_body={"x": object()})
    with pytest.raises(DatabricksError, match="cannot be written as JSON"):
        llm.invoke("Hello!")
