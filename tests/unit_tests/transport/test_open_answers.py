"""Answers of httpx's own clients that are closed by the collector, by a signal handler and in a forked child."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import httpcore
import httpx
import pytest
from httpx._transports.default import ResponseStream

from kit.interrupts import Interrupt
from kit.scripted import Received, Scripted, ScriptedServer
from kit.ways import Way, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.transport import open_answers
from langchain_dbchat.transport.attempt import Attempt
from langchain_dbchat.transport.clients import sync_client
from langchain_dbchat.transport.stream_reader import StreamReader
from langchain_dbchat.transport.user_pools import UserPool

TESTS = Path(__file__).parents[2]
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
LAST = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}'
LIMITS = httpx.Limits(max_connections=1)
pytestmark = pytest.mark.usefixtures("no_thread_stays")


def answers(request: Any, delay: float = 0.5) -> Scripted:
    return Scripted([EVENT, LAST], delay=delay) if request.json.get("stream") else Scripted(WHOLE)


def model(url: str, whose: str) -> ChatDatabricksCompat:
    if whose == "the user's":
        settings: dict[str, Any] = {"base_url": url, "http_client": httpx.Client(limits=LIMITS)}
    else:
        settings = {"base_url": "http://models.example.com", "allow_http": True, "proxy": url}
    return ChatDatabricksCompat(model="e", token="t", max_retries=0, **settings)  # no secret


def lock_of(llm: ChatDatabricksCompat, url: str) -> Any:
    client: Any = llm.http_client or sync_client(url)
    return client._transport_for_url(httpx.URL(llm.base_url or ""))._pool._optional_thread_lock


def half_read(llm: ChatDatabricksCompat) -> None:
    """Begin to read a stream, and put it in a cycle that only the garbage collector can take apart."""
    stream = llm.stream("hi")
    next(stream)
    cycle: list[Any] = [stream]
    cycle.append(cycle)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("whose", ["the user's", "ours, behind a proxy"])
def test_a_stream_that_is_collected_waits_for_no_lock(whose: str) -> None:
    gc.disable()
    try:
        with ScriptedServer(answers) as server:
            llm = model(server.url, whose)
            half_read(llm)
            done = threading.Event()

            def collect() -> None:
                with lock_of(llm, server.url):
                    gc.collect()
                done.set()

            threading.Thread(target=collect, daemon=True).start()
            assert done.wait(30)
            assert server.wait_open(0) == 0  # its connection is closed at once
            assert llm.invoke("hi").text == "a"
            assert not open_answers._open
            if llm.http_client is not None:
                llm.http_client.close()
    finally:
        gc.enable()


@pytest.mark.timeout(120)
@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no such signal")
def test_a_stream_that_a_signal_handler_closes_waits_for_none() -> None:
    with ScriptedServer(answers) as server, httpx.Client(limits=LIMITS) as client:
        llm = ChatDatabricksCompat(model="e", base_url=server.url, token="t", http_client=client)  # no secret
        stream: Any = llm.stream("hi")
        next(stream)
        before = signal.signal(signal.SIGALRM, lambda *_: stream.close())
        try:
            with lock_of(llm, server.url):
                os.kill(os.getpid(), signal.SIGALRM)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert server.wait_open(0) == 0
        assert llm.invoke("hi").text == "a"


POINTS: dict[str, tuple[Way, Any, str]] = {  # an event loop runs no handler between the steps of a task
    f"{way.__name__}, {when}": (way, owner, name)
    for when, ways, owner, name in [
        ("before the answer has a request", [invoke, stream], httpx.Cookies, "extract_cookies"),
        ("before its head is read", [invoke, stream], Attempt, "begin"),
        ("before its body is read", [invoke], Attempt, "is_raw"),
        ("before its body is read", [stream], StreamReader, "pieces"),
        ("when a part of it is read", [invoke], Attempt, "feed"),
        ("when a part of it is read", [stream], StreamReader, "feed"),
        ("when it is read", [invoke, stream], Attempt, "reply"),
        ("before it is closed", [invoke], Attempt, "release"),
        ("before it is closed", [stream], StreamReader, "release"),
        ("while it is closed", [invoke, stream], httpx.Response, "close"),
        ("while httpcore closes it", [invoke, stream], httpcore.ConnectionPool, "_close_connections"),
        ("before httpcore closes it", [invoke, stream], ResponseStream, "close"),
    ]
    for way in ways
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", POINTS)
def test_an_interrupt_at_any_point_loses_no_place(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call finds what httpcore has lost; without that, two interrupts use up the pool.

    The exceptions are kept, as a notebook keeps the last one, and with each the frames of its call.
    """
    kept: list[Interrupt] = []
    call, owner, name = POINTS[point]
    with (
        ScriptedServer(partial(answers, delay=0.02)) as server,
        httpx.Client(limits=httpx.Limits(max_connections=2)) as client,
    ):
        llm = ChatDatabricksCompat(
            model="e", base_url=server.url, token="t", max_retries=0, http_client=client
        )  # no secret
        pool: Any = client._transport._pool  # type: ignore[attr-defined]  # of httpcore
        for _ in range(6):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, raise_interrupt)
                try:
                    call(llm, "hi")
                except Interrupt as interrupt:
                    kept.append(interrupt)
            assert "a" in call(llm, "hi").text
        assert kept
        assert not pool._requests
        assert not open_answers._open
    kept.clear()
    gc.collect()  # a thread watches each call whose end was interrupted, until the call's frames are gone


def raise_interrupt(*_: Any, **__: Any) -> None:
    raise Interrupt


@four_ways
@pytest.mark.parametrize("ends", ["answer", "error", "too late", "cut off"])
def test_nothing_is_kept_of_a_call_that_has_ended(call: Way, ends: str) -> None:
    scripted = {
        "answer": answers,
        "error": lambda _: Scripted(b"{}", status=400),
        "too late": lambda _: Scripted([EVENT], stall=True),
        "cut off": lambda _: Scripted([EVENT, LAST], drop_after=1),
    }[ends]
    with ScriptedServer(scripted) as server, httpx.Client() as client:
        inside = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0))
        theirs: dict[str, Any] = {"http_client": client, "http_async_client": inside}
        timeout = 0.3 if ends == "too late" else 5
        llm = ChatDatabricksCompat(
            model="e", base_url=server.url, token="t", max_retries=0, timeout=timeout, **theirs
        )  # no secret
        if ends == "answer":
            assert "a" in call(llm, "hi").text
        else:
            with pytest.raises(DatabricksError):
                call(llm, "hi")
        assert not open_answers._open


class Asking(httpx.Auth):
    """Gets a token first, with one request object for all calls."""

    requires_response_body = True

    def __init__(self, url: str) -> None:
        self.wanted = httpx.Request("POST", url, json={})

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        yield self.wanted
        yield request


def test_a_request_that_outlives_its_call_is_nobodys_loss() -> None:
    """It is sent again by an authentication and by what a hook has kept, while other calls look for lost ones."""
    kept: list[httpx.Request] = []
    with ScriptedServer(answers) as server:
        hooks: dict[str, Any] = {"request": [kept.append]}
        with httpx.Client(auth=Asking(server.url), event_hooks=hooks) as client:
            llm = ChatDatabricksCompat(
                model="e", base_url=server.url, token="t", max_retries=0, http_client=client
            )  # no secret
            for _ in range(3):
                assert {answer.text for answer in llm.batch(["hi"] * 12, {"max_concurrency": 6})} == {"a"}
                gc.collect()
            again = kept[-1]
            with ThreadPoolExecutor(4) as threads:
                sent = [threads.submit(client.send, again, auth=None) for _ in range(8)]
                assert {answer.text for answer in llm.batch(["hi"] * 12, {"max_concurrency": 4})} == {"a"}
                assert {one.result().status_code for one in sent} == {200}


@pytest.mark.parametrize("call", [invoke, stream])
@pytest.mark.parametrize("status", [200, 400])
def test_a_request_that_a_hook_sends_in_another_thread_goes_on_when_its_call_has_ended(call: Way, status: int) -> None:
    """Its answer is not yet read when the call ends, and other calls look for lost requests."""
    ended, mirrored = threading.Event(), list[bytes]()

    def answer(received: Received) -> Scripted:
        if len(server.requests) == 2:
            return Scripted([b"a", b"b"], delay=lambda _: ended.is_set())
        return Scripted(b"{}", status=400) if status != 200 and len(server.requests) == 1 else answers(received)

    def mirror(response: httpx.Response) -> None:
        if not senders:
            senders.append(threading.Thread(target=send_again, args=[response.request]))
            senders[0].start()
            while len(server.requests) < 2:
                time.sleep(0.01)

    def send_again(request: httpx.Request) -> None:
        with contextlib.closing(client.send(request, stream=True)) as response:
            mirrored.append(response.read())

    senders = list[threading.Thread]()
    with ScriptedServer(answer) as server, httpx.Client(event_hooks={"response": [mirror]}) as client:
        llm = ChatDatabricksCompat(
            model="e", base_url=server.url, token="t", max_retries=0, http_client=client
        )  # no secret
        with contextlib.nullcontext() if status == 200 else pytest.raises(DatabricksError):
            call(llm, "hi")
        gc.collect()
        for _ in range(3):
            assert "a" in call(llm, "hi").text
        ended.set()
        senders[0].join()
    assert mirrored == [b"ab"]


def test_what_is_no_pool_is_left_alone() -> None:
    class Two(httpx.BaseTransport):
        def __init__(self) -> None:
            self.first, self.second = httpx.HTTPTransport(), httpx.HTTPTransport()

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return self.second.handle_request(request)

        def close(self) -> None:
            self.first.close()
            self.second.close()

    url = httpx.URL("http://localhost")
    with httpx.Client(transport=Two()) as client:
        assert not UserPool(client, url).is_found
    assert not UserPool(MagicMock(spec=httpx.Client), url).is_found


async def test_a_stream_that_a_loop_drops_is_closed_in_order(caplog: pytest.LogCaptureFixture) -> None:
    async with httpx.AsyncClient(limits=LIMITS) as client:
        with ScriptedServer(answers) as server:
            llm = ChatDatabricksCompat(model="e", base_url=server.url, token="t", http_async_client=client)  # no secret
            for _ in range(3):
                stream = llm.astream("hi")
                await anext(stream)
                cycle: list[Any] = [stream]
                cycle.append(cycle)
                del stream, cycle
                gc.collect()
                assert (await llm.ainvoke("hi")).text == "a"
            await asyncio.sleep(0.1)
    assert not caplog.records


FORK = """
import gc, os, sys, threading
sys.path.insert(0, {tests!r})
import httpx
from langchain_dbchat import ChatDatabricksCompat
client = httpx.Client()
llm = ChatDatabricksCompat(model="e", base_url={url!r}, token="t", http_client=client)
stream = llm.stream("hi")
assert next(stream).text == "a"
with client._transport._pool._optional_thread_lock:  # a thread of the parent might hold it
    child = os.fork()
    if child == 0:
        stream.close()
        del stream
        gc.collect()
        os._exit(7)
for _ in range(1200):
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid:
        break
    __import__("time").sleep(0.05)
else:
    os.kill(child, 9)
    sys.exit("the child hung")
assert os.waitstatus_to_exitcode(status) == 7
assert "".join(chunk.text for chunk in stream) == ""
assert llm.invoke("hi").text == "a"
client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_that_drops_a_stream_neither_hangs_nor_hurts_its_parent() -> None:
    with ScriptedServer(answers) as server:
        script = FORK.format(tests=str(TESTS), url=server.url)
        warned = ["-W", "error", "-W", "ignore::DeprecationWarning"]
        done = subprocess.run(
            [sys.executable, *warned, "-c", script], capture_output=True, text=True, timeout=120, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("call", [invoke, stream])
def test_a_method_of_your_client_that_is_called_end_is_yours(call: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs(httpx.Client):
        def end(self, *_: Any) -> None:
            ended.append(self)

    ended: list[Theirs] = []
    monkeypatch.setattr(httpx.Cookies, "extract_cookies", raise_interrupt)  # before the answer is ours
    with ScriptedServer(answers) as server, Theirs() as client:
        llm = ChatDatabricksCompat(model="e", base_url=server.url, token="t", http_client=client)  # no secret
        with pytest.raises(Interrupt):
            call(llm, "hi")
    assert not ended
