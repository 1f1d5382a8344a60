"""Every fault that the proxy knows, met by the chat model in the four ways of calling: recovery, or the right error."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, cast

import httpx
import pytest
from langchain_core.messages import AIMessage

from kit.ways import Way, ainvoke, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat, Timeouts
from langchain_dbchat.errors import (
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
    StreamInterruptedError,
)
from langchain_dbchat.local import Fault, FaultProxy, LocalWorkspace

QUESTION = "Please repeat after me: a wide blue sky over Oslo."
GEMINI = "databricks-gemini-3-5-flash"
streaming = pytest.mark.parametrize("call", [stream, astream])
whole = pytest.mark.parametrize("call", [invoke, ainvoke])


def weather(city: str) -> str:
    """Get the current weather in a city."""
    return city


def _misplaced(fault: str, number: int) -> Fault:
    return Fault(duplicate=number) if fault == "duplicate" else Fault(swap=number)


@pytest.fixture
def told(workspace: LocalWorkspace) -> str:
    """What the workspace says if nothing goes wrong."""
    return ChatDatabricksCompat(model=GEMINI, host=workspace.host, token=workspace.token).invoke(QUESTION).text


def _llm(proxy: FaultProxy, workspace: LocalWorkspace, **settings: Any) -> ChatDatabricksCompat:
    given = {"model": GEMINI, "host": proxy.host, "token": workspace.token, **settings}
    return ChatDatabricksCompat(**given)


def _fails(
    call: Way, workspace: LocalWorkspace, kind: type[DatabricksError], *plan: Fault | None, **settings: Any
) -> tuple[DatabricksError, int]:
    with FaultProxy(workspace.host, plan) as proxy:
        with pytest.raises(kind) as caught:
            call(_llm(proxy, workspace, **settings), QUESTION)
        assert type(caught.value) is kind
        end = time.monotonic() + 15
        while proxy.open_connections and isinstance(caught.value, DatabricksTimeoutError) and time.monotonic() < end:
            time.sleep(0.01)
        assert proxy.open_connections == 0 or not isinstance(caught.value, DatabricksTimeoutError)
        return caught.value, proxy.requests


def _recovers(
    call: Way, workspace: LocalWorkspace, *plan: Fault | None, **settings: Any
) -> tuple[AIMessage, int, float]:
    with FaultProxy(workspace.host, plan) as proxy:
        began = time.monotonic()
        answer = call(_llm(proxy, workspace, **settings), QUESTION)
        return answer, proxy.requests, time.monotonic() - began


@four_ways
@pytest.mark.parametrize(
    "mishap",
    [
        None,
        Fault(latency=0.2),
        Fault(drip=0.001, piece=7),
        Fault(latency=0.05, drip=0.001, piece=64),
    ],
    ids=["nothing", "latency", "drip", "both"],
)
def test_slowness_changes_nothing(call: Way, mishap: Fault | None, workspace: LocalWorkspace, told: str) -> None:
    answer, requests, took = _recovers(call, workspace, mishap)
    assert (answer.text, requests) == (told, 1)
    assert took >= (mishap.latency if mishap else 0)


@four_ways
def test_latency_beyond_the_timeout_is_a_timeout(call: Way, workspace: LocalWorkspace) -> None:
    error, requests = _fails(
        call, workspace, DatabricksTimeoutError, Fault(latency=5), timeout=Timeouts(first_event=0.3)
    )
    assert requests == 1
    assert "first_event" in str(error)


@streaming
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("after", [0, 1, 100, 900])
def test_a_stream_that_is_cut_keeps_what_had_arrived(
    call: Way, after: int, reset: bool, workspace: LocalWorkspace, told: str
) -> None:
    # A reset throws away what was on its way: the drip lets each byte arrive before it.
    mishap = Fault(cut_after=after, reset=reset, drip=0.001, piece=50)
    error, requests = _fails(call, workspace, StreamInterruptedError, mishap)
    assert requests == 1
    assert error.partial is not None
    assert told.startswith(error.partial.text)
    assert bool(error.partial.text) == (after == 900)
    assert "closed the connection in the middle of the answer" in str(error)
    assert error.endpoint == GEMINI


@whole
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("after", [0, 1, 100])
def test_an_answer_that_is_cut_is_not_sent_for_again(
    call: Way, after: int, reset: bool, workspace: LocalWorkspace
) -> None:
    error, requests = _fails(call, workspace, DatabricksConnectionError, Fault(cut_after=after, reset=reset))
    assert requests == 1
    assert "may have executed" in str(error)


@four_ways
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_lost_answer_is_not_sent_for_again_unless_that_is_wanted(
    call: Way, reset: bool, workspace: LocalWorkspace, told: str
) -> None:
    lost = Fault(lose=True, reset=reset)
    _, requests = _fails(call, workspace, DatabricksConnectionError, lost)
    assert requests == 1
    answer, requests, _ = _recovers(call, workspace, lost, resend_after_loss=True)
    assert (answer.text, requests) == (told, 2)


@four_ways
def test_an_answer_that_is_no_http(call: Way, workspace: LocalWorkspace) -> None:
    _, requests = _fails(call, workspace, DatabricksConnectionError, Fault(not_http=True))
    assert requests == 1


@streaming
def test_garbage_in_a_stream(call: Way, workspace: LocalWorkspace, told: str) -> None:
    error, requests = _fails(call, workspace, MalformedResponseError, Fault(garbage_after=900))
    assert requests == 1
    assert error.partial is not None
    assert error.partial.text
    assert told.startswith(error.partial.text)


@whole
def test_garbage_in_an_answer(call: Way, workspace: LocalWorkspace) -> None:
    _, requests = _fails(call, workspace, MalformedResponseError, Fault(garbage_after=50))
    assert requests == 1


@streaming
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("fault", ["duplicate", "swap"])
def test_frames_out_of_place_are_read_in_the_order_in_which_they_come(
    call: Way, fault: str, number: int, workspace: LocalWorkspace, told: str
) -> None:
    # Chat completions number nothing, so nobody can know that a delta came twice; what a client can keep is that each
    # fact about the answer comes once, and that the answer ends.
    answer, requests, _ = _recovers(call, workspace, _misplaced(fault, number))
    assert requests == 1
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] < 1000
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["model_name"] == GEMINI
    if fault == "duplicate":
        assert len(answer.text) >= len(told)
    else:
        assert sorted(answer.text) == sorted(told)


@streaming
@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("fault", ["duplicate", "swap"])
def test_a_tool_call_whose_frames_are_out_of_place_is_whole_or_never_executed(
    call: Way, fault: str, number: int, workspace: LocalWorkspace
) -> None:
    model = "databricks-claude-sonnet-4-6"
    with FaultProxy(workspace.host, [_misplaced(fault, number)]) as proxy:
        llm = _llm(proxy, workspace, model=model).bind_tools([weather], tool_choice="any")
        answer = call(llm, "What is the weather in Oslo?")
    assert all(valid["args"] == {"city": "Oslo"} for valid in answer.tool_calls)
    assert len(answer.tool_calls) + len(answer.invalid_tool_calls) >= 1


@four_ways
def test_a_storm_of_rate_limits_with_retry_after_is_waited_out(call: Way, workspace: LocalWorkspace, told: str) -> None:
    answer, requests, took = _recovers(call, workspace, Fault.rate_limit(3, retry_after="0.1"))
    assert (answer.text, requests) == (told, 4)
    assert took >= 0.3


@four_ways
def test_a_storm_of_rate_limits_without_retry_after_is_backed_off_from(
    call: Way, workspace: LocalWorkspace, told: str
) -> None:
    answer, requests, _ = _recovers(call, workspace, Fault.rate_limit())
    assert (answer.text, requests) == (told, 2)


@four_ways
def test_an_endless_storm_ends_in_its_own_error(call: Way, workspace: LocalWorkspace) -> None:
    plan = itertools.cycle([Fault.rate_limit(retry_after=0)])
    with FaultProxy(workspace.host, plan) as proxy:
        with pytest.raises(DatabricksRateLimitError) as caught:
            call(_llm(proxy, workspace, max_retries=3), QUESTION)
        assert proxy.requests == 4
    assert len(getattr(caught.value, "__notes__", [])) == 4
    assert caught.value.retry_after == 0


@four_ways
def test_a_retry_after_beyond_the_deadline_is_not_waited_for(call: Way, workspace: LocalWorkspace) -> None:
    began = time.monotonic()
    error, requests = _fails(call, workspace, DatabricksRateLimitError, Fault.rate_limit(9, retry_after=3600))
    assert requests == 1
    assert error.retry_after == 3600
    assert time.monotonic() - began < 15


@four_ways
@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_has_expired_is_renewed_once(call: Way, status: int, workspace: LocalWorkspace, told: str) -> None:
    asked = itertools.count()

    def token() -> str:
        return workspace.token if next(asked) % 2 else "of-yesterday"

    answer, requests, _ = _recovers(call, workspace, Fault.invalid_token(status=status), token=token)
    assert (answer.text, requests, next(asked)) == (told, 2, 2)
    error, requests = _fails(
        call, workspace, DatabricksAuthenticationError, Fault.invalid_token(9, status=status), token=token
    )
    assert (requests, error.status_code) == (2, status)


@four_ways
@pytest.mark.parametrize("status", [401, 403])
def test_a_token_without_a_successor_is_not_sent_again(call: Way, status: int, workspace: LocalWorkspace) -> None:
    for token in (workspace.token, lambda: workspace.token):
        error, requests = _fails(
            call, workspace, DatabricksAuthenticationError, Fault.invalid_token(9, status=status), token=token
        )
        assert (requests, error.status_code) == (1, status)


@four_ways
def test_a_login_page_with_status_200(call: Way, workspace: LocalWorkspace) -> None:
    error, requests = _fails(call, workspace, MalformedResponseError, Fault.login_page())
    assert requests == 1
    assert "a web page" in str(error)


@streaming
@pytest.mark.parametrize("after", [0, 2])
def test_comments_for_ever_do_not_hide_that_nothing_comes(
    call: Way, after: int, workspace: LocalWorkspace, told: str
) -> None:
    began = time.monotonic()
    timeout = Timeouts(first_event=60 if after else 1, idle=1)
    error, requests = _fails(call, workspace, DatabricksTimeoutError, Fault(comments_after=after), timeout=timeout)
    assert requests == 1
    assert time.monotonic() - began < 15
    assert ("idle" if after else "first_event") in str(error)
    assert error.partial is not None or not after
    if error.partial is not None:
        assert told.startswith(error.partial.text)


@four_ways
@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_any_answer_of_ones_own(call: Way, status: int, workspace: LocalWorkspace, told: str) -> None:
    plan = [Fault(status=status, body={"detail": "not now"}, headers={"Retry-After": "0"}, times=2)]
    answer, requests, _ = _recovers(call, workspace, *plan)
    assert (answer.text, requests) == (told, 3)


def test_a_plan_is_for_the_requests_that_are_counted() -> None:
    with LocalWorkspace() as workspace, FaultProxy(workspace.host, [Fault(status=500)], path="invocations") as proxy:
        assert httpx.get(f"{proxy.host}/.well-known/databricks-config").status_code == 200
        assert httpx.post(f"{proxy.host}/serving-endpoints/x/invocations").status_code == 500
        assert httpx.post(f"{proxy.host}/serving-endpoints/x/invocations").status_code in {400, 401, 404}
        assert proxy.requests == 2


def test_a_client_that_leaves_ends_the_request(workspace: LocalWorkspace) -> None:
    with FaultProxy(workspace.host, [Fault(comments_after=1)]) as proxy:
        for chunk in _llm(proxy, workspace).stream(QUESTION):
            assert chunk.id
            assert proxy.open_connections == 1
            break
        end = time.monotonic() + 15
        while proxy.open_connections and time.monotonic() < end:
            time.sleep(0.01)
        assert proxy.open_connections == 0


async def test_an_async_client_that_leaves_ends_the_request(workspace: LocalWorkspace) -> None:
    with FaultProxy(workspace.host, [Fault(comments_after=1)]) as proxy:
        async with aclosing(cast("AsyncGenerator[Any, None]", _llm(proxy, workspace).astream(QUESTION))) as chunks:
            assert (await anext(chunks)).id
            assert proxy.open_connections == 1
        end = time.monotonic() + 15
        while proxy.open_connections and time.monotonic() < end:  # noqa: ASYNC110  # it changes in another thread
            await asyncio.sleep(0.01)
        assert proxy.open_connections == 0


@pytest.mark.timeout(120)
def test_a_connection_that_ends_just_while_the_proxy_stops_keeps_it_from_nothing() -> None:
    for turns in range(24):  # of the proxy's loop, until the connection ends
        with FaultProxy("http://127.0.0.1:1") as proxy:
            inside: Any = proxy
            begin_to_stop, tasks = inside._stop.set, inside._tasks

            async def end(turns: int = turns) -> None:
                for _ in range(turns):
                    await asyncio.sleep(0)

            def stop(begin: Callable[[], None] = begin_to_stop, tasks: set[asyncio.Task[None]] = tasks) -> None:
                task = asyncio.create_task(end())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                begin()

            inside._stop.set = stop  # it is called in the loop


@pytest.mark.parametrize(
    "wrong", [{"latency": -1}, {"cut_after": -1}, {"times": 0}, {"piece": 0}, {"drip": -0.1}], ids=str
)
def test_a_plan_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Fault(**wrong)


def test_what_is_no_proxy_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an address"):
        FaultProxy("workspace.example")
    with pytest.raises(ValueError, match="401 or 403"):
        Fault.invalid_token(status=404)
    proxy = FaultProxy("http://127.0.0.1:1")
    with pytest.raises(RuntimeError, match="not running"):
        _ = proxy.host
    proxy.stop()
    with proxy, pytest.raises(RuntimeError, match="running already"):
        proxy.start()


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "dbchat-fault-proxy"]
