"""Many callers of one endpoint that can take few: in batches they take turns, and the log tells of it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage

from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksRateLimitError
from langchain_dbchat.transport import limiter as limits

ANSWER = {"choices": [{"index": 0, "message": {"content": "Hi."}, "finish_reason": "stop"}]}
STREAMED = [
    b'data: {"choices":[{"index":0,"delta":{"content":"Hi."},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
]
MANY = 24


class Counter:
    """An endpoint that takes only so many requests at once, and counts those that it refused.

    With `until_refused`, the first ones last until one has been refused, however late that one comes.
    """

    def __init__(self, capacity: int, seconds: float = 0.02, *, until_refused: bool = False) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._until_refused = until_refused
        self._busy: list[float] = []
        self._lock = threading.Lock()
        self.refused = 0
        self.most = 0

    def __call__(self, received: Received) -> Scripted:
        now = time.monotonic()
        with self._lock:
            if self._is_open():
                self._busy = [end for end in self._busy if end > now]
            self.most = max(self.most, len(self._busy) + 1)
            if len(self._busy) >= self._capacity:
                self.refused += 1
                return Scripted({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "too many"}, status=429)
            self._busy.append(now + self._seconds)
        wait = self._seconds if self._is_open() else self._is_open
        if received.json.get("stream"):
            return Scripted(STREAMED, wait=wait, headers={"content-type": "text/event-stream"})
        return Scripted(ANSWER, wait=wait)

    def _is_open(self) -> bool:
        return self.refused > 0 or not self._until_refused


def _llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    given = {"model": "narrow", "host": server.url, "token": "dapi0", "max_retries": 30, **settings}
    return ChatDatabricksCompat(**given)


def _address(server: ScriptedServer) -> str:
    return f"{server.url}/serving-endpoints"


def _batch(llm: ChatDatabricksCompat, **settings: Any) -> list[Any]:
    return llm.batch(["Hello!"] * MANY, {"max_concurrency": 20}, **settings)


def _abatch(llm: ChatDatabricksCompat, **settings: Any) -> list[Any]:
    return asyncio.run(llm.abatch(["Hello!"] * MANY, **settings))


def _batch_as_completed(llm: ChatDatabricksCompat, **settings: Any) -> list[Any]:
    done = dict(llm.batch_as_completed(["Hello!"] * MANY, {"max_concurrency": 20}, **settings))
    return [done[number] for number in range(MANY)]


def _abatch_as_completed(llm: ChatDatabricksCompat, **settings: Any) -> list[Any]:
    async def collect() -> dict[int, Any]:
        return dict([pair async for pair in llm.abatch_as_completed(["Hello!"] * MANY, **settings)])

    done = asyncio.run(collect())
    return [done[number] for number in range(MANY)]


@pytest.mark.parametrize(
    ("run", "streams"),
    [*((run, False) for run in (_batch, _abatch, _batch_as_completed, _abatch_as_completed)), (_abatch, True)],
)
def test_a_batch_adapts_to_what_the_endpoint_takes(run: Any, streams: bool, caplog: pytest.LogCaptureFixture) -> None:
    endpoint = Counter(4, until_refused=True)
    with ScriptedServer(endpoint) as server, caplog.at_level(logging.INFO, logger="langchain_dbchat"):
        answers = run(_llm(server, streaming=streams))
    assert [answer.text for answer in answers] == ["Hi."] * MANY
    assert any("narrow" in line and "at most" in line for line in caplog.messages)
    gate = limits._limiters[_address(server), "narrow"]
    assert gate.limit.in_flight == 0
    assert gate.limit.bound < MANY


@pytest.mark.parametrize("run", [_batch, _abatch])
@pytest.mark.parametrize("how", ["field", "call"])
def test_it_can_be_switched_off(run: Any, how: str, caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer(Counter(8, seconds=0.005)) as server, caplog.at_level(logging.INFO, logger="langchain_dbchat"):
        off = {"adaptive_limit": False}
        answers = run(_llm(server, **(off if how == "field" else {})), **(off if how == "call" else {}))
    assert [answer.text for answer in answers] == ["Hi."] * MANY
    assert not limits._limiters
    assert not caplog.messages


async def test_taking_turns_spares_the_endpoint() -> None:
    refused = []
    for adaptive in (True, False):
        # So slow and so many that random pauses alone do not spread them: they would meet again and again.
        endpoint = Counter(2, seconds=0.1)
        with ScriptedServer(endpoint) as server:
            await _llm(server, adaptive_limit=adaptive).abatch(["Hello!"] * 36)
        refused.append(endpoint.refused)
    assert refused[0] < refused[1]


def test_single_calls_do_not_wait_unless_that_is_wanted() -> None:
    with ScriptedServer(lambda _: Scripted(ANSWER)) as server:
        _llm(server).invoke("Hello!")
        assert not limits._limiters
        llm = _llm(server, adaptive_limit="always")
        llm.invoke("Hello!")
        assert list(limits._limiters) == [(_address(server), "narrow")]
        limits._limiters.clear()
        asyncio.run(llm.ainvoke("Hello!"))
        assert list(limits._limiters) == [(_address(server), "narrow")]


def test_a_bound_model_and_a_chain_take_turns_too() -> None:
    with ScriptedServer(lambda _: Scripted(ANSWER)) as server:
        (_llm(server).bind(stop=["x"]) | AIMessage.model_validate).batch(["a", "b"])
        assert list(limits._limiters) == [(_address(server), "narrow")]
        assert all("adaptive_limit" not in request.json for request in server.requests)


def test_the_limit_is_one_for_all_models_of_an_endpoint() -> None:
    with ScriptedServer(lambda _: Scripted(ANSWER)) as server:
        for model in ("narrow", "narrow", "wide"):
            _llm(server, model=model).batch(["a", "b"])
        assert sorted(model for _, model in limits._limiters) == ["narrow", "wide"]


@pytest.mark.parametrize(
    ("one", "other"), [("/tenant-a/serving-endpoints", "/tenant-b/serving-endpoints"), ("?o=1", "?o=2")]
)
@pytest.mark.parametrize("run", [_batch, _abatch])
def test_two_workspaces_of_one_host_share_no_limit(run: Any, one: str, other: str) -> None:
    def answer(received: Received) -> Scripted:
        is_first = "/tenant-a/" in received.path or received.headers.get("x-databricks-workspace-id") == "1"
        return Scripted("no", 429, {"retry-after": "30"}) if is_first else Scripted(ANSWER)

    with ScriptedServer(answer) as server:
        with pytest.raises(DatabricksRateLimitError):
            _llm(server, host=f"{server.url}{one}", max_retries=0).batch(["Hello!"])
        began = time.monotonic()
        assert [answer.text for answer in run(_llm(server, host=f"{server.url}{other}"))] == ["Hi."] * MANY
    assert time.monotonic() - began < 20


def test_waiting_for_a_turn_does_not_use_up_the_deadline_of_the_retries() -> None:
    # One at a time, 0.5 s each: the last waits for 2.5 s, longer than its deadline, and meets a refusal then.
    told: list[Received] = []

    def answer(received: Received) -> Scripted:
        if received.json["messages"][0]["content"] == "last" and not told:
            told.append(received)
            return Scripted("busy", status=503, headers={"retry-after": "0.1"})
        return Scripted(ANSWER, wait=0.5)

    with ScriptedServer(answer) as server:
        limits.limiter_for(_address(server), "narrow").limit.bound = 1
        questions: list[Any] = ["a"] * 5 + ["last"]
        answers = asyncio.run(_llm(server, retry_deadline=2).abatch(questions))
    assert [answer.text for answer in answers] == ["Hi."] * 6
    assert told


def test_a_batch_that_fails_gives_its_turns_back() -> None:
    with ScriptedServer(lambda _: Scripted("no", status=429, headers={"retry-after": "0"})) as server:
        llm = _llm(server, max_retries=1)
        failed: list[Any] = llm.batch(["a"] * 6, return_exceptions=True)
    assert {type(error) for error in failed} == {DatabricksRateLimitError}
    assert limits.limiter_for(_address(server), "narrow").limit.in_flight == 0


async def test_a_batch_that_is_cancelled_gives_its_turns_back() -> None:
    with ScriptedServer(lambda _: Scripted(ANSWER, wait=5)) as server:
        task = asyncio.create_task(_llm(server).abatch(["a"] * 6))
        while len(server.requests) < 6:  # noqa: ASYNC110  # it changes in another thread
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.05)
    assert limits.limiter_for(_address(server), "narrow").limit.in_flight == 0


def test_a_callback_may_call_the_same_endpoint_while_a_streamed_batch_runs() -> None:
    class Nested(BaseCallbackHandler):
        def on_llm_new_token(self, token: str | list[Any], **_: Any) -> None:
            if token:
                answers.append(other.batch(["inner"])[0].text)

    answers: list[str] = []
    with ScriptedServer(Counter(10, seconds=0.001)) as server:
        limits.limiter_for(_address(server), "narrow").limit.bound = 1
        other = _llm(server)
        _llm(server, streaming=True).batch(["outer"] * 3, {"callbacks": [Nested()]})
    assert answers == ["Hi."] * 3


def test_a_batch_shares_the_cache_with_single_calls() -> None:
    with ScriptedServer(lambda _: Scripted(ANSWER)) as server:
        llm = _llm(server, cache=InMemoryCache())
        llm.invoke("Hello!")
        llm.batch(["Hello!"])
        assert len(server.requests) == 1


def test_taking_turns_leaves_no_trace_in_traces() -> None:
    seen: list[dict[str, Any]] = []

    class Tracer(BaseCallbackHandler):
        def on_chat_model_start(self, *_: Any, **kwargs: Any) -> None:
            seen.append(kwargs)

    with ScriptedServer(lambda _: Scripted(ANSWER)) as server:
        _llm(server).batch(["Hello!"], {"callbacks": [Tracer()]})
    assert seen
    assert "adaptive_limit" not in str(seen)
