"""Clients of the users': each timeout is a deadline, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage

from kit.drips import DRIPS, EVENTS, JSON, chunk, dripping, head
from kit.in_time import LONG, ends_in_time
from kit.raw import RawServer, answer_always, take_request
from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksTimeoutError,
)
from langchain_dbchat.transport.channel import Timeouts

HEADS = ("news before the head", "a head", "many headers")
WHOLE = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}'
LAST = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)
PROXIED = "https://models.example.com"  # the test's certificate has this name
pytestmark = pytest.mark.usefixtures("no_thread_stays")

NOT_KEPT = httpx.Limits(max_keepalive_connections=0)  # for clients that nobody closes in their event loop
HASTY = Timeouts(first_event=0.4)  # a busy machine may take longer to connect


def model(url: str, **more: Any) -> ChatDatabricksCompat:
    host = url.removesuffix("/x")
    return ChatDatabricksCompat(model="e", base_url=host, token="t", max_retries=0, **more)  # no secret


@four_ways
@pytest.mark.parametrize("drip", DRIPS)
def test_an_answer_that_comes_drop_by_drop(call: Way, drip: str) -> None:
    with RawServer(dripping(*DRIPS[drip])) as server, httpx.Client() as client:
        # Each event loop of its own has its own client, which goes with the loop.
        llm = model(server.url, timeout=HASTY, http_client=client, http_async_client=httpx.AsyncClient())
        ends_in_time(call, llm)


@four_ways
@pytest.mark.parametrize("drip", ["a head", "a chunk's extension", "half an event"])
@pytest.mark.parametrize("whose", ["the user's", "ours"])
def test_the_same_over_tls(
    call: Way,
    drip: str,
    whose: str,
    secured: tuple[ssl.SSLContext, ssl.SSLContext],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_server, of_client = secured
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "both.pem"))
    with RawServer(dripping(*DRIPS[drip]), of_server) as server, httpx.Client(verify=of_client) as client:
        theirs = {"http_client": client, "http_async_client": httpx.AsyncClient(verify=of_client)}
        ends_in_time(call, model(server.url, timeout=HASTY, **(theirs if whose == "the user's" else {})))


def _answers_then_drips(drip: str) -> Callable[[socket.socket, int], None]:
    drips = dripping(*DRIPS[drip])

    def serve(connection: socket.socket, number: int) -> None:
        take_request(connection)
        connection.sendall(ANSWER)
        if number <= 4:
            drips(connection, number)
        else:
            answer_always(ANSWER)(connection, number)

    return serve


@pytest.mark.parametrize("drip", HEADS)
def test_a_connection_that_is_used_again_is_given_back_when_the_time_is_up(drip: str) -> None:
    """A client with one connection: if it were lost, the next call would find none."""
    limits = httpx.Limits(max_connections=1)
    with RawServer(_answers_then_drips(drip)) as server, httpx.Client(limits=limits) as client:
        llm = model(server.url, timeout=LONG, http_client=client)
        hasty = llm.model_copy(update={"timeout": HASTY})
        for _ in range(4):
            assert llm.invoke("hi").text == "a"
            ends_in_time(lambda llm, text: llm.invoke(text), hasty)
        assert llm.invoke("hi").text == llm.invoke("hi").text == "a"


@pytest.mark.parametrize("drip", HEADS)
def test_the_same_in_an_event_loop(drip: str) -> None:
    async def calls(url: str) -> None:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            llm = model(url, timeout=LONG, http_async_client=client)
            hasty = llm.model_copy(update={"timeout": HASTY})
            for _ in range(4):
                assert (await llm.ainvoke("hi")).text == "a"
                with pytest.raises(DatabricksTimeoutError, match="first_event"):
                    await hasty.ainvoke("hi")
            assert (await llm.ainvoke("hi")).text == (await llm.ainvoke("hi")).text == "a"

    with RawServer(_answers_then_drips(drip)) as server:
        asyncio.run(calls(server.url))


@four_ways
def test_a_read_that_waits_for_its_next_byte_ends_too(call: Way) -> None:
    """The time is up between two bytes that come just within httpx's own timeout."""

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        for byte in ANSWER:
            time.sleep(3.9)
            connection.sendall(bytes([byte]))

    with RawServer(serve) as server, httpx.Client() as client:
        llm = model(server.url, timeout=4, http_client=client, http_async_client=httpx.AsyncClient())
        began = time.monotonic()
        ends_in_time(call, llm)
        assert time.monotonic() - began < 7.7  # the next byte comes after 7.8 s


@four_ways
def test_a_request_that_is_taken_slowly(call: Way) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        while connection.recv(65536):  # fast enough for each part of it, too slow for the whole
            time.sleep(0.004)

    with RawServer(serve) as server, httpx.Client() as client:
        timeouts = Timeouts(write=0.4, first_event=9)
        llm = model(server.url, timeout=timeouts, http_client=client, http_async_client=httpx.AsyncClient())
        ends_in_time(call, llm.bind(extra_body={"metadata": {"x": "x" * 30_000_000}}), text="write", least=0.3)


@four_ways
def test_the_time_of_a_hook_before_sending_does_not_count(call: Way) -> None:
    def wait(_: Any) -> None:
        time.sleep(2.3)

    async def await_(_: Any) -> None:
        await asyncio.sleep(2.3)

    timeouts = Timeouts(first_event=2, connect=2, write=2, pool=2)
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server:
        with httpx.Client(event_hooks={"request": [wait]}) as client:
            theirs = httpx.AsyncClient(event_hooks={"request": [await_]}, limits=NOT_KEPT)
            llm = model(server.url, timeout=timeouts, http_client=client, http_async_client=theirs)
            assert call(llm, "hi").text == "a"


@four_ways
@pytest.mark.parametrize("streams", [False, True])
def test_the_time_of_a_hook_for_answers_does_not_count(call: Way, streams: bool) -> None:
    """It waits, and if a stream answers, it reads that, which takes longer than its first event may."""

    def look(response: httpx.Response) -> None:
        if streams:
            response.read()
        time.sleep(2.3)

    async def alook(response: httpx.Response) -> None:
        if streams:
            await response.aread()
        await asyncio.sleep(2.3)

    pieces = [b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n', *[b": ping\n\n"] * 6, LAST]
    reply = Scripted(pieces, delay=0.35, headers={"content-type": "text/event-stream"}) if streams else Scripted(WHOLE)
    timeouts = Timeouts(first_event=2, idle=2)
    with ScriptedServer(lambda _: reply) as server, httpx.Client(event_hooks={"response": [look]}) as client:
        theirs = httpx.AsyncClient(event_hooks={"response": [alook]}, limits=NOT_KEPT)
        llm = model(server.url, timeout=timeouts, http_client=client, http_async_client=theirs, streaming=streams)
        assert call(llm, "hi").text == "a"


class _Unending(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """Answers, and does not let itself be closed."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=self, request=request)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield WHOLE

    async def aclose(self) -> None:
        await asyncio.sleep(LONG)


async def test_a_call_can_be_cancelled_whatever_its_client_does() -> None:
    client = httpx.AsyncClient(transport=_Unending())  # not closed: that would not end either
    calling = asyncio.create_task(model("http://127.0.0.1", http_async_client=client).ainvoke("hi"))
    await asyncio.sleep(0.1)
    calling.cancel()
    done, _ = await asyncio.wait({calling}, timeout=LONG / 2)
    assert done
    assert calling.cancelled()


def test_a_call_that_is_cancelled_ends_the_request_of_the_users_client() -> None:
    taken, closed = threading.Event(), threading.Event()

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        taken.set()
        if connection.recv(1) == b"":
            closed.set()

    async def cancelled(url: str) -> None:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            task = asyncio.create_task(model(url, http_async_client=client).ainvoke("hi"))
            assert await asyncio.to_thread(taken.wait, LONG)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(closed.wait, LONG)

    with RawServer(serve) as server:
        asyncio.run(cancelled(server.url))


async def _twice(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()


async def _by_anyio(task: asyncio.Task[Any]) -> None:
    """As a cancel scope does: in each turn of the event loop, until the task has ended."""
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


@pytest.mark.parametrize("cancel", [_twice, _by_anyio])
@pytest.mark.parametrize("streams", [False, True])
def test_a_connection_is_given_back_however_often_its_call_is_cancelled(
    cancel: Callable[[Any], Any], streams: bool
) -> None:
    taken = threading.Event()

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(ANSWER)
        take_request(connection)
        if streams:
            connection.sendall(head(EVENTS) + chunk(b"data: "))
        taken.set()
        connection.recv(1)

    async def cancelled(url: str) -> None:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            llm = model(url, http_async_client=client, timeout=Timeouts(pool=3))
            for _ in range(3):
                assert (await llm.ainvoke("hi")).text == "a"
                task = asyncio.create_task(_all_of(llm.astream("hi")) if streams else llm.ainvoke("hi"))
                assert await asyncio.to_thread(taken.wait, LONG)
                taken.clear()
                await asyncio.sleep(0.05)
                await cancel(task)
                with pytest.raises(asyncio.CancelledError):
                    await task

    with RawServer(serve) as server:
        asyncio.run(cancelled(server.url))


async def _all_of(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


class _Answering(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """Answers after some turns of the event loop, and counts the answers that are open."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.open_ones = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.called.set()
        for _ in range(3):
            await asyncio.sleep(0)
        self.open_ones += 1
        return httpx.Response(200, stream=self, request=request)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
        yield WHOLE

    async def aclose(self) -> None:
        self.open_ones -= 1
        await asyncio.sleep(0)


async def test_a_call_that_is_cancelled_twice_leaves_no_answer_open() -> None:
    """At any two turns of the event loop: the second cancellation comes while the first one is obeyed."""
    for first in range(12):
        for second in range(5):
            pool = _Answering()
            async with httpx.AsyncClient(transport=pool) as client:
                calling = asyncio.ensure_future(model("http://127.0.0.1", http_async_client=client).ainvoke("hi"))
                await pool.called.wait()
                for turns in (first, second):
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    calling.cancel()
                await asyncio.wait({calling})
                for _ in range(10):
                    await asyncio.sleep(0)
                assert pool.open_ones == 0, (first, second)


# Clients that send several requests for one call


class _TwoRequests(httpx.Auth):
    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Any:
        yield request
        yield request


@four_ways
@pytest.mark.parametrize("status", [200, 401])
def test_an_answer_that_an_authentication_reads_has_a_deadline_too(call: Way, status: int) -> None:
    """An error that is cut off is that error, or a timeout: the deadline and httpx's own timeout may end together."""
    drips = dripping(lambda _: b"HTTP/1.1 %d X\r\ncontent-length: 100000\r\n\r\n" % status, b"x")
    with RawServer(drips) as server, httpx.Client(auth=_TwoRequests()) as client:
        theirs = httpx.AsyncClient(auth=_TwoRequests())
        llm = model(server.url, timeout=HASTY, http_client=client, http_async_client=theirs)
        if status == 200:
            ends_in_time(call, llm)
        else:
            began = time.monotonic()
            with pytest.raises(DatabricksError, match="first_event|HTTP 401"):
                call(llm, "hi")
            assert 0.35 < time.monotonic() - began < LONG


class _TriesAgain(httpx.BaseTransport):
    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()
        self.tries = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(2):
            self.tries += 1
            with contextlib.suppress(httpx.TransportError):
                return self.inner.handle_request(request)
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


def test_each_try_of_a_transport_has_its_deadline() -> None:
    transport = _TriesAgain()
    with RawServer(dripping(*DRIPS["a head"])) as server, httpx.Client(transport=transport) as client:
        ends_in_time(lambda llm, text: llm.invoke(text), model(server.url, timeout=HASTY, http_client=client))
        assert transport.tries == 2


class _WithoutSocket(httpx.BaseTransport):
    """Returns a new response without the extensions of the old one, so that its socket is not known."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.inner.handle_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("kind", [JSON, EVENTS])
@pytest.mark.parametrize("call", [invoke, stream])
def test_the_clock_is_looked_at_after_each_read_where_no_socket_is_known(call: Way, kind: bytes) -> None:
    """Also in the whole answer of a server that ignores the wish to stream."""
    drips = dripping(lambda _: head(kind), chunk(b": \n" if kind == EVENTS else b" "))
    with RawServer(drips) as server, httpx.Client(transport=_WithoutSocket()) as client:
        ends_in_time(call, model(server.url, timeout=HASTY, http_client=client))


@four_ways
def test_a_transport_that_says_that_the_time_is_up_is_believed(call: Way) -> None:
    def late(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    transport = httpx.MockTransport(late)
    with httpx.Client(transport=transport) as client:
        theirs = httpx.AsyncClient(transport=transport)
        with pytest.raises(DatabricksTimeoutError, match="first_event"):
            call(model("http://127.0.0.1", http_client=client, http_async_client=theirs), "hi")


# Headers that frame a request


@four_ways
@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Transfer_Encoding", "Expect", "Upgrade"])
def test_a_client_whose_headers_frame_a_request_is_refused(call: Way, name: str) -> None:
    headers = {name: "5"}
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server, httpx.Client(headers=headers) as client:
        llm = model(server.url, http_client=client, http_async_client=httpx.AsyncClient(headers=headers))
        with pytest.raises(ConfigurationError, match=rf"(?i){name}.*http_(async_)?client"):
            call(llm, "hi")
        assert server.requests == []


class _Setting(httpx.Auth):
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers[self._name] = self._value
        yield request


@four_ways
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Length", "5"),
        ("Content-Length", "x"),
        ("Content_Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Transfer_Encoding", "chunked"),
        ("Expect", "100-continue"),
        ("Connection", "close, Transfer-Encoding"),
    ],
)
def test_headers_that_an_authentication_sets_wrongly_are_our_error(call: Way, name: str, value: str) -> None:
    auth = _Setting(name, value)
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server, httpx.Client(auth=auth) as client:
        llm = model(server.url, http_client=client, http_async_client=httpx.AsyncClient(auth=auth))
        with pytest.raises(ConfigurationError, match=name):
            call(llm, "hi")
        assert server.requests == []


@four_ways
def test_a_redirect_to_a_name_that_is_not_valid_is_our_error(call: Way) -> None:
    headers = {"location": "https://xn--999999999b/"}
    with ScriptedServer(lambda _: Scripted(b"", 302, headers=headers)) as server, httpx.Client() as client:
        llm = model(server.url, http_client=client, http_async_client=httpx.AsyncClient(limits=NOT_KEPT))
        with pytest.raises(DatabricksConnectionError, match="host that is not valid|closed the connection"):
            call(llm, "hi")


@four_ways
def test_a_client_may_close_its_connections(call: Way) -> None:
    headers = {"Connection": "close"}
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server, httpx.Client(headers=headers) as client:
        llm = model(server.url, http_client=client, http_async_client=httpx.AsyncClient(headers=headers))
        answer: AIMessage = call(llm, "hi")
        assert answer.text == "a"
        assert server.requests[0].headers["connection"] == "close"


@pytest.mark.parametrize("how", ["timeouts", "one after another"])
@pytest.mark.parametrize("places", [1, 5])
async def test_calls_that_wait_for_a_place_cost_none(how: str, places: int) -> None:
    """Httpcore gives a place that is free to a call that has just left, and forgets it."""
    answering = threading.Event()

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        while not answering.wait(0.05) and not select.select([connection], [], [], 0)[0]:
            pass
        connection.sendall(ANSWER)

    limits = httpx.Limits(max_connections=places, max_keepalive_connections=0)
    with RawServer(serve) as server:
        async with httpx.AsyncClient(limits=limits) as client:
            llm = model(server.url, timeout=LONG, http_async_client=client)

            async def leave_early() -> None:
                """Leave as `asyncio.timeout` does, which Python 3.10 has not."""
                task = asyncio.current_task()
                assert task is not None
                asyncio.get_running_loop().call_later(0.5, task.cancel)
                await llm.ainvoke("hi")

            for _ in range(3):
                calls = [
                    asyncio.create_task(leave_early() if how == "timeouts" else llm.ainvoke("hi")) for _ in range(60)
                ]
                await asyncio.sleep(0.1)
                for call in calls if how != "timeouts" else ():
                    call.cancel()
                    await asyncio.sleep(0.0003)
                await asyncio.gather(*calls, return_exceptions=True)
            answering.set()
            for answer in await asyncio.gather(*[llm.ainvoke("hi") for _ in range(places)]):
                assert answer.text == "a"


async def test_a_stream_that_is_cancelled_at_its_end_costs_no_place() -> None:
    """In each turn of the event loop behind its last text, also while its answer is being closed."""
    events = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n' + LAST

    def serve(connection: socket.socket, _: int) -> None:
        while True:
            take_request(connection)
            connection.sendall(head(EVENTS) + chunk(events) + b"0\r\n\r\n")

    with RawServer(serve) as server:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            llm = model(server.url, timeout=Timeouts(pool=3), http_async_client=client)
            has_begun = asyncio.Event()

            async def read() -> None:
                async for _ in llm.astream("hi"):
                    has_begun.set()

            for turns in range(15):
                has_begun.clear()
                reading = asyncio.create_task(read())
                await has_begun.wait()
                for _ in range(turns):
                    await asyncio.sleep(0)
                reading.cancel()
                await asyncio.wait({reading})
            assert "".join([piece.text async for piece in llm.astream("hi")]) == "a"
        await asyncio.sleep(0.01)  # what was cancelled last closes its socket in the next turn
