"""Clients of the users' over HTTP/2: each timeout is a deadline there too, and one call does not end another."""

from __future__ import annotations

import asyncio
import queue
import signal
import ssl
import sys
import threading
import time
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from httpcore._async.http2 import AsyncHTTP2Connection

from kit.http2 import EVENTS, JSON, Talk, http2_server
from kit.interrupts import Interrupt
from kit.tls import contexts
from kit.ways import Way, ainvoke, astream, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksConnectionError, DatabricksError, DatabricksTimeoutError
from langchain_dbchat.transport.channel import Timeouts

WHOLE = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}'
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
LAST = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
pytestmark = pytest.mark.usefixtures("no_thread_stays")

LONG = 15.0


class Wrapping(httpx.BaseTransport):
    """Passes requests on, as a transport that repeats or measures them does."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts(tmp_path_factory.mktemp("tls"))


class Answers:
    """Does what the last message of each request says, and pings in each pause."""

    def __init__(self, *, greets: bool = True, at_once: int = 100, pings: bool = True, dead: int = 0) -> None:
        self.greets = greets
        self.pings = pings
        self.dead = dead  # connections, the first ones, on which nothing comes but the settings
        self.at_once = at_once
        self.connections = 0
        self.flowed = 0  # events of all streams
        self.may_end = threading.Event()  # a stream flows until then
        self.may_end.set()
        self.taken: queue.SimpleQueue[int] = queue.SimpleQueue()  # streams

    def __call__(self, talk: Talk, number: int) -> None:
        self.connections = number
        flowing: dict[int, int] = {}  # streams, and how many events they still get
        if self.greets:
            talk.greet(self.at_once)
        for request in talk.turns():
            if number <= self.dead:
                continue
            if request is None:
                if self.pings:
                    talk.ping()
                self.flow_on(talk, flowing)
                continue
            stream, words = request
            self.taken.put(stream)
            if words == "flow":
                talk.head(stream, EVENTS)
                flowing[stream] = 40
            elif "wrong" in words:
                answer_wrongly(talk, stream, words)
            elif words != "be silent":
                talk.head(stream, EVENTS if "event" in words else JSON)
                body = {"a head": b"", "half a body": WHOLE[:20], "half an event": EVENT[:20], "one event": EVENT}
                talk.h2.send_data(stream, body.get(words, WHOLE), end_stream=words == "answer")

    def flow_on(self, talk: Talk, flowing: dict[int, int]) -> None:
        for stream in [*flowing]:
            flowing[stream] = max(flowing[stream] - 1, 0 if self.may_end.is_set() else 1)
            talk.h2.send_data(stream, EVENT if flowing[stream] else LAST, end_stream=not flowing[stream])
            self.flowed += flowing[stream] > 0
            if not flowing[stream]:
                del flowing[stream]


def answer_wrongly(talk: Talk, stream: int, words: str) -> None:
    if words == "a wrong status":
        talk.h2.send_headers(stream, [(":status", "abc"), ("content-type", JSON)])
        return
    if words.startswith("events"):
        talk.head(stream, EVENTS)
        talk.h2.send_data(stream, EVENT)
    talk.send_raw(b"\x00\x00\x01\x05\xff\x00\x00\x00\x01\xff")


def model(url: str, client: httpx.Client, context: ssl.SSLContext, **more: Any) -> ChatDatabricksCompat:
    # Each event loop of its own has its own client, which goes with the loop.
    inside = httpx.AsyncClient(verify=context, http2=True, limits=httpx.Limits(max_keepalive_connections=0))
    theirs: dict[str, Any] = {"http_client": client, "http_async_client": inside}
    host = url.removesuffix("/x")
    return ChatDatabricksCompat(model="e", base_url=host, token="t", max_retries=0, **theirs | more)  # no secret


@four_ways
def test_an_answer_is_read(call: Way, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    words = "flow" if "stream" in call.__name__ else "answer"
    with http2_server(tls[0], Answers()) as server, httpx.Client(verify=tls[1], http2=True) as client:
        assert set(call(model(server.url, client, tls[1]), words).text) == {"a"}


@four_ways
@pytest.mark.parametrize("words", ["be silent", "a head", "half a body", "half an event", "one event"])
def test_a_server_that_only_keeps_the_connection_alive(
    call: Way, words: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    answers = Answers()
    with http2_server(tls[0], answers) as server, httpx.Client(verify=tls[1], http2=True) as client:
        llm = model(server.url, client, tls[1], timeout=Timeouts(first_event=0.5, idle=0.5))
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match="first_event|idle"):
            call(llm, words)
        assert 0.45 < time.monotonic() - began < LONG
        assert llm.model_copy(update={"timeout": LONG}).invoke("answer").text == "a"


@four_ways
def test_a_server_that_never_greets(call: Way, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with http2_server(tls[0], Answers(greets=False)) as server, httpx.Client(verify=tls[1], http2=True) as client:
        llm = model(server.url, client, tls[1], timeout=Timeouts(connect=0.2, write=0.2, pool=0.2, first_event=0.4))
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError):
            call(llm, "be silent")
        assert time.monotonic() - began < LONG


@pytest.mark.parametrize("words", ["be silent", "a head", "half a body"])
@pytest.mark.parametrize("pings", [False, True])
def test_a_call_that_ends_late_ends_no_other(
    words: str, pings: bool, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """Within a stream of the same thread."""
    answers = Answers(pings=pings)
    answers.may_end.clear()
    with http2_server(tls[0], answers) as server, httpx.Client(verify=tls[1], http2=True) as client:
        llm = model(server.url, client, tls[1], timeout=LONG)
        stream = llm.stream("flow")
        texts = [next(stream).text]
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError):
            llm.model_copy(update={"timeout": 0.4}).invoke(words)
        assert 0.35 < time.monotonic() - began < LONG  # while the stream flows
        answers.may_end.set()
        texts += [chunk.text for chunk in stream]
        assert llm.invoke("answer").text == "a"
    assert "".join(texts) == "a" * answers.flowed


def test_a_call_does_not_wait_for_the_read_of_another(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Httpcore reads a connection in one thread at a time, and knows no timeout for the others."""
    answers = Answers(pings=False)
    with httpx.Client(verify=tls[1], http2=True) as client:
        with http2_server(tls[0], answers) as server:
            llm = model(server.url, client, tls[1], timeout=60)
            assert llm.invoke("answer").text == "a"

            def wait() -> None:
                with pytest.raises(DatabricksError):
                    llm.invoke("be silent")

            waiting = threading.Thread(target=wait)
            waiting.start()
            answers.taken.get(timeout=LONG)
            answers.taken.get(timeout=LONG)
            for words in ("be silent", "half a body"):
                began = time.monotonic()
                with pytest.raises(DatabricksTimeoutError):
                    llm.model_copy(update={"timeout": 0.4}).invoke(words)
                assert 0.35 < time.monotonic() - began < LONG
            assert waiting.is_alive()
        waiting.join()  # its server has gone


@pytest.mark.parametrize("wraps", [False, True])
def test_calls_of_several_threads_do_not_mix(wraps: bool, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Httpcore gives two threads the same stream of a connection, if they ask for one at once."""
    transport: httpx.BaseTransport = httpx.HTTPTransport(verify=tls[1], http2=True)
    transport = Wrapping(transport) if wraps else transport
    before = sys.getswitchinterval()
    with http2_server(tls[0], Answers()) as server, httpx.Client(transport=transport) as client:
        llm = model(server.url, client, tls[1], timeout=LONG)
        try:
            sys.setswitchinterval(1e-5)
            answers = llm.batch(["answer"] * 200, {"max_concurrency": 8})
        finally:
            sys.setswitchinterval(before)
    assert [answer.text for answer in answers] == ["a"] * 200


@pytest.mark.parametrize("interval", [0.005, 1e-5])
def test_more_threads_than_connections_take_turns(interval: float, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """No connection is closed for a call that waits, and none waits for ever."""
    answers, before = Answers(), sys.getswitchinterval()
    limits = httpx.Limits(max_connections=2)
    with http2_server(tls[0], answers) as server, httpx.Client(verify=tls[1], http2=True, limits=limits) as client:
        llm = model(server.url, client, tls[1], timeout=LONG)
        try:
            sys.setswitchinterval(interval)
            found = llm.batch(["answer"] * 150, {"max_concurrency": 10})
        finally:
            sys.setswitchinterval(before)
    assert [answer.text for answer in found] == ["a"] * 150
    assert answers.connections <= 4


def test_another_connection_serves_after_a_late_call(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    answers = Answers(dead=1)
    with http2_server(tls[0], answers) as server, httpx.Client(verify=tls[1], http2=True) as client:
        llm = model(server.url, client, tls[1], timeout=0.4)
        with pytest.raises(DatabricksTimeoutError):
            llm.invoke("answer")
        assert llm.model_copy(update={"timeout": LONG}).invoke("answer").text == "a"
    assert answers.connections == 2


@pytest.mark.parametrize("words", ["be silent", "a head", "half a body", "half an event", "one event"])
async def test_it_does_in_an_event_loop_too(words: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """A stream that is open on the old one goes on, and then it is closed."""
    answers = Answers(pings=False)
    with http2_server(tls[0], answers) as server, httpx.Client() as unused:
        async with httpx.AsyncClient(verify=tls[1], http2=True) as client:
            llm = model(server.url, unused, tls[1], timeout=LONG, http_async_client=client)
            late = llm.model_copy(update={"timeout": 0.3})
            async with aclosing(llm.astream("flow")) as chunks:  # type: ignore[type-var]  # it is a generator
                texts = [(await anext(chunks)).text]
                with pytest.raises(DatabricksTimeoutError):
                    await (late.ainvoke(words) if "event" not in words else read_all(late, words))
                assert (await llm.ainvoke("answer")).text == "a"
                texts += [chunk.text async for chunk in chunks]
            assert "".join(texts) == "a" * 39
            assert answers.connections == 2
            for _ in range(2):
                assert (await llm.ainvoke("answer")).text == "a"
            assert answers.connections == 2
            await asyncio.sleep(0.01)  # what was closed leaves the loop in its next turn


async def read_all(llm: ChatDatabricksCompat, words: str) -> None:
    async for _ in llm.astream(words):
        pass


async def test_the_same_in_an_event_loop(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    answers = Answers()
    answers.may_end.clear()
    with http2_server(tls[0], answers) as server, httpx.Client() as unused:
        client = httpx.AsyncClient(verify=tls[1], http2=True)
        llm = model(server.url, unused, tls[1], timeout=LONG, http_async_client=client)
        assert (await llm.ainvoke("answer")).text == "a"
        late = llm.model_copy(update={"timeout": 0.4})

        async def flow() -> str:
            return "".join([chunk.text async for chunk in llm.astream("flow")])

        streams = [asyncio.create_task(flow()) for _ in range(2)]
        began = time.monotonic()
        failed = await asyncio.gather(*[late.ainvoke("be silent") for _ in range(4)], return_exceptions=True)
        assert time.monotonic() - began < LONG / 2
        assert {type(error) for error in failed} == {DatabricksTimeoutError}
        assert not any(stream.done() for stream in streams)
        answers.may_end.set()
        assert "".join(await asyncio.gather(*streams)) == "a" * answers.flowed
        assert answers.connections == 1
        await client.aclose()


def test_an_interrupt_ends_a_call(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with http2_server(tls[0], Answers()) as server, httpx.Client(verify=tls[1], http2=True) as client:
            llm = model(server.url, client, tls[1], timeout=LONG)
            for words in ("be silent", "a head"):
                began = time.monotonic()
                with pytest.raises(Interrupt):  # noqa: PT012  # the signal may come before the call
                    signal.setitimer(signal.ITIMER_REAL, 0.3)
                    llm.invoke(words)
                assert time.monotonic() - began < LONG / 2
                assert llm.invoke("answer").text == "a"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@four_ways
def test_hooks_have_their_own_time(call: Way, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    seen: list[str] = []

    def look(response: httpx.Response) -> None:
        time.sleep(2.2)
        seen.append(response.http_version)

    async def alook(response: httpx.Response) -> None:
        await asyncio.sleep(2.2)
        seen.append(response.http_version)

    with (
        http2_server(tls[0], Answers()) as server,
        httpx.Client(verify=tls[1], http2=True, event_hooks={"response": [look]}) as client,
    ):
        llm = model(server.url, client, tls[1], timeout=2)
        llm.http_async_client.event_hooks["response"].append(alook)
        assert call(llm, "answer").text == "a"
    assert seen == ["HTTP/2"]


@four_ways
@pytest.mark.parametrize("words", ["a wrong status", "a wrong frame", "events, then a wrong frame"])
def test_nonsense_is_our_error(call: Way, words: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with http2_server(tls[0], Answers()) as server, httpx.Client(verify=tls[1], http2=True) as client:
        with pytest.raises(DatabricksError):
            call(model(server.url, client, tls[1], timeout=LONG), words)


@four_ways
def test_streams_that_are_left_early_use_nothing_up(call: Way, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """The server is not told that they are by httpcore, so their connection is closed."""
    answers = Answers(at_once=2)
    with http2_server(tls[0], answers) as server, httpx.Client(verify=tls[1], http2=True) as client:
        llm = model(server.url, client, tls[1], timeout=LONG)

        async def leave() -> None:
            for _ in range(3):
                async with aclosing(llm.astream("one event")) as chunks:  # type: ignore[type-var]  # it is a generator
                    await anext(chunks)
            assert (await llm.ainvoke("answer")).text == "a"
            await llm.http_async_client.aclose()

        if call in {ainvoke, astream}:
            asyncio.run(leave())
        else:
            for _ in range(3):
                next(llm.stream("one event"))
            assert call(llm, "answer").text == "a"
    assert answers.connections == 4


def test_streams_that_other_code_has_left_are_not_the_requests_fault(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    body = {"messages": [{"role": "user", "content": "a head"}]}
    with http2_server(tls[0], Answers(at_once=2)) as server, httpx.Client(verify=tls[1], http2=True) as client:
        for _ in range(2):
            with client.stream("POST", server.url, json=body):
                pass
        with pytest.raises(DatabricksConnectionError, match="too many open streams"):
            model(server.url, client, tls[1], timeout=LONG).invoke("answer")


async def test_a_call_that_is_cancelled_ends_none_on_its_connection(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Nor the next one: httpcore leaves a connection that is half open to it."""
    opened = asyncio.Event()
    begin = AsyncHTTP2Connection.__init__

    def beginning(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        opened.set()
        if turns < 0:
            call.cancel()

    with pytest.MonkeyPatch.context() as patch, http2_server(tls[0], Answers()) as server, httpx.Client() as unused:
        patch.setattr(AsyncHTTP2Connection, "__init__", beginning)
        for turns in (-1, 0, 1, 2, 5, 20, 60, 120):
            client = httpx.AsyncClient(verify=tls[1], http2=True, limits=httpx.Limits(max_connections=1))
            llm = model(server.url, unused, tls[1], timeout=LONG, http_async_client=client)
            opened.clear()
            call = asyncio.create_task(llm.ainvoke("answer"))
            await opened.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait({call})
            for _ in range(2):
                assert (await llm.ainvoke("answer")).text == "a", turns
            await client.aclose()
            await asyncio.sleep(0.01)  # what was cancelled closes its socket in the next turn
