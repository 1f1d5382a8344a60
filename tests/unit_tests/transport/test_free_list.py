"""Our own pool has the semantics of httpx's, over real sockets, in threads and in event loops."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from typing_extensions import Self

from kit.scripted import Scripted, ScriptedServer
from langchain_dbchat.transport.free_list import AsyncFreeList, FreeList, Shelf, Ticket
from langchain_dbchat.transport.http11 import Chunked

LIMITS = httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=5.0)
WAITS = {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 2.0}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
WAYS = ("sync", "async", "httpx sync", "httpx async")
OURS = ("sync", "async")
Sent = tuple[int, bytes]


class Caller:
    """Sends requests one after the other: by our pool, or by httpx's own, which says what is right."""

    def __init__(self, way: str, limits: httpx.Limits = LIMITS) -> None:
        context = ssl.create_default_context()
        self.sync: httpx.BaseTransport | None = None
        if way == "sync":
            self.sync = FreeList(context, limits)
        elif way == "httpx sync":
            self.sync = httpx.HTTPTransport(verify=context, limits=limits)
        else:
            self.loop = asyncio.new_event_loop()
            kind = AsyncFreeList if way == "async" else None
            self.pool: httpx.AsyncBaseTransport = (
                kind(context, limits) if kind else httpx.AsyncHTTPTransport(verify=context, limits=limits)
            )

    def send(self, url: str, body: bytes = b"{}", method: str = "POST", **headers: str) -> Sent:
        extensions = {"timeout": WAITS}
        request = httpx.Request(method, url, content=body, headers=headers, extensions=extensions)
        if self.sync is not None:
            with contextlib.closing(self.sync.handle_request(request)) as response:
                return response.status_code, b"".join(response.stream)  # type: ignore[arg-type]  # a sync stream
        return self.loop.run_until_complete(self._asend(request))

    async def _asend(self, request: httpx.Request) -> Sent:
        async with contextlib.aclosing(await self.pool.handle_async_request(request)) as response:
            return response.status_code, b"".join([piece async for piece in response.stream])  # type: ignore[union-attr]

    def close(self) -> None:
        if self.sync is not None:
            self.sync.close()
        else:
            self.loop.run_until_complete(self.pool.aclose())
            self.loop.run_until_complete(asyncio.sleep(0.01))
            self.loop.close()


@pytest.fixture(params=WAYS)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    made = Caller(request.param)
    yield made
    made.close()


class RawServer:
    """Accepts connections and hands each to a function, with its number."""

    def __init__(self, serve: Callable[[socket.socket, int], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/x"
        self.connections = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._run, args=(connection, self.connections), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            self._serve(connection, number)


def take_request(connection: socket.socket) -> None:
    data, length = b"", 0
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < length:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError
        data += piece
        found = re.search(rb"content-length: (\d+)", data.lower())
        length = int(found[1]) if found else 0


def answer_always(reply: bytes) -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        while True:
            take_request(connection)
            connection.sendall(reply)

    return serve


def test_one_connection_serves_one_call_after_the_other(caller: Caller) -> None:
    with RawServer(answer_always(OK)) as server:
        assert [caller.send(server.url) for _ in range(5)] == [(200, b"{}")] * 5
        assert server.connections == 1


@pytest.mark.parametrize("how", ["closed", "half-closed", "talking"])
def test_a_connection_that_the_server_has_left_is_not_used_again(caller: Caller, how: str) -> None:
    left = threading.Event()

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(OK)
        if how == "half-closed":
            connection.shutdown(socket.SHUT_WR)
        elif how == "talking":
            time.sleep(0.05)
            connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n")
        else:
            connection.close()
        left.set()
        if how != "closed":
            connection.recv(1)

    with RawServer(serve) as server:
        for number in range(1, 4):
            assert caller.send(server.url) == (200, b"{}")
            assert left.wait(2)
            left.clear()
            time.sleep(0.02)
            assert server.connections == number
        caller.close()
        if caller.sync is None:
            caller.loop = asyncio.new_event_loop()  # the fixture closes it again


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
def test_a_connection_that_cannot_be_kept_is_closed(caller: Caller, head: bytes) -> None:
    with RawServer(answer_always(head)) as server:
        assert [caller.send(server.url) for _ in range(2)] == [(200, b"{}")] * 2
        assert server.connections == 2


@pytest.mark.parametrize("way", OURS)
def test_a_server_that_says_too_much_is_left(way: str) -> None:
    caller = Caller(way)  # httpx, too, does not use the connection again, but fails the call
    with RawServer(answer_always(OK + b"too much")) as server:
        assert [caller.send(server.url) for _ in range(2)] == [(200, b"{}")] * 2
        assert server.connections == 2
    caller.close()


def test_a_body_that_ends_with_the_connection(caller: Caller) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n{")
        time.sleep(0.01)
        connection.sendall(b"}")

    with RawServer(serve) as server:
        assert [caller.send(server.url) for _ in range(2)] == [(200, b"{}")] * 2
        assert server.connections == 2


def test_the_callers_wish_to_close_is_heard(caller: Caller) -> None:
    with RawServer(answer_always(OK)) as server:
        for _ in range(2):
            assert caller.send(server.url, Connection="close") == (200, b"{}")
        assert server.connections == 2


def test_heads_without_bodies_and_news_before_the_head(caller: Caller) -> None:
    replies = [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
    ]

    def serve(connection: socket.socket, _: int) -> None:
        for reply in replies:
            take_request(connection)
            connection.sendall(reply)
        connection.recv(1)

    with RawServer(serve) as server:
        assert caller.send(server.url) == (204, b"")
        assert caller.send(server.url) == (200, b"{}")
        assert caller.send(server.url, b"", "HEAD") == (200, b"")
        assert server.connections == 1
        caller.close()
        if caller.sync is None:
            caller.loop = asyncio.new_event_loop()


CHUNKS = b'5\r\nhello\r\n6; name="x"\r\n world\r\n001\r\n!\r\nA \r\n0123456789\r\n0\r\nx-trailer: 1\r\n\r\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_chunks_cut_anywhere(caller: Caller, size: int) -> None:
    whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS

    def serve(connection: socket.socket, _: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            take_request(connection)
            for start in range(0, len(whole), size):
                connection.sendall(whole[start : start + size])

    with RawServer(serve) as server:
        for _ in range(2):
            assert caller.send(server.url) == (200, b"hello world!0123456789")
        assert server.connections == 1


def test_chunks_cut_at_every_two_places() -> None:
    for first in range(len(CHUNKS) + 1):
        for second in range(first, len(CHUNKS) + 1):
            body = Chunked()
            pieces = [CHUNKS[:first], CHUNKS[first:second], CHUNKS[second:]]
            assert b"".join(body.feed(piece) for piece in pieces if piece) == b"hello world!0123456789"
            assert body.done
            assert not body.excess


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 200_000,
    ],
)
def test_answers_that_are_none(caller: Caller, reply: bytes) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(reply)

    with RawServer(serve) as server, pytest.raises(httpx.RemoteProtocolError):
        caller.send(server.url)


def test_requests_that_cannot_be_written(caller: Caller) -> None:
    with RawServer(answer_always(OK)) as server:
        with pytest.raises(httpx.LocalProtocolError):
            caller.send(server.url, authorization="Bearer a\r\nx: y")
        assert caller.send(server.url) == (200, b"{}")


def test_addresses_that_cannot_be_called(caller: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        caller.send(f"http://127.0.0.1:{port}/")
    with pytest.raises(httpx.ConnectError):
        caller.send("http://workspace.invalid/")
    with pytest.raises(httpx.UnsupportedProtocol):
        caller.send("ftp://127.0.0.1/")


def test_tls_that_is_none(caller: Caller) -> None:
    with RawServer(lambda connection, _: connection.sendall(b"I speak no TLS")) as server:
        with pytest.raises(httpx.ConnectError) as caught:
            caller.send(server.url.replace("http:", "https:"))
        assert caught.value.__cause__ is not None


def test_a_silent_server(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WAITS, "read", 0.05)

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.recv(1)

    with RawServer(serve) as server, pytest.raises(httpx.ReadTimeout):
        caller.send(server.url)


def test_a_server_that_refuses_before_it_has_read_is_heard(caller: Caller) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass

    with RawServer(serve) as server:
        assert caller.send(server.url, b"x" * 8_000_000) == (413, b"{}")


def test_an_expired_connection_is_closed() -> None:
    for way in WAYS:
        caller = Caller(way, httpx.Limits(max_connections=4, max_keepalive_connections=4, keepalive_expiry=0.01))
        with RawServer(answer_always(OK)) as server:
            caller.send(server.url)
            time.sleep(0.05)
            caller.send(server.url)
            assert server.connections == 2
            caller.close()


def test_threads_wait_for_their_turn_and_the_line_has_an_end() -> None:
    pool = FreeList(ssl.create_default_context(), LIMITS)

    def call(pool_timeout: float) -> bytes:
        waits = {**WAITS, "pool": pool_timeout}
        request = httpx.Request("POST", server.url, content=b"{}", extensions={"timeout": waits})
        with contextlib.closing(pool.handle_request(request)) as response:
            return b"".join(response.stream)  # type: ignore[arg-type]  # a sync stream

    with ScriptedServer(lambda _: Scripted({}, wait=0.05)) as server, ThreadPoolExecutor(12) as threads:
        assert list(threads.map(call, [5.0] * 24)) == [b"{}"] * 24
        assert server.connections <= 4
        results = list(threads.map(lambda _: _caught(call), range(12)))
        assert results.count("PoolTimeout") == 8
        assert call(1.0) == b"{}"  # nothing was lost
        assert pool._shelf.total == pool._shelf.idle == 2
        pool.close()
        assert server.wait_open(0) == 0


def _caught(call: Callable[[float], bytes]) -> str:
    try:
        call(0.01)
    except httpx.PoolTimeout:
        return "PoolTimeout"
    return "answered"


async def _acall(pool: AsyncFreeList, url: str, pool_timeout: float = 5.0) -> bytes:
    waits = {**WAITS, "pool": pool_timeout}
    request = httpx.Request("POST", url, content=b"{}", extensions={"timeout": waits})
    async with contextlib.aclosing(await pool.handle_async_request(request)) as response:
        return b"".join([piece async for piece in response.stream])  # type: ignore[union-attr]  # an async stream


async def test_tasks_wait_for_their_turn_and_the_line_has_an_end() -> None:
    pool = AsyncFreeList(ssl.create_default_context(), LIMITS)
    with ScriptedServer(lambda _: Scripted({}, wait=0.05)) as server:
        assert await asyncio.gather(*(_acall(pool, server.url) for _ in range(24))) == [b"{}"] * 24
        assert server.connections <= 4
        results = await asyncio.gather(*(_acall(pool, server.url, 0.01) for _ in range(12)), return_exceptions=True)
        assert [type(result) for result in results].count(httpx.PoolTimeout) == 8
        assert await _acall(pool, server.url) == b"{}"
        assert pool._shelf.total == pool._shelf.idle == 2
        await pool.aclose()
        assert await server.await_open(0) == 0


async def test_cancellation_gives_everything_back() -> None:
    pool = AsyncFreeList(ssl.create_default_context(), LIMITS)
    with ScriptedServer(lambda _: Scripted([b"{", b"}"], wait=0.02, delay=0.02)) as server:
        for pause in (0.0, 0.001, 0.01, 0.02, 0.03, 0.045):
            tasks = [asyncio.create_task(_acall(pool, server.url)) for _ in range(10)]
            await asyncio.sleep(pause)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert pool._shelf.total == pool._shelf.idle
        assert await asyncio.gather(*(_acall(pool, server.url) for _ in range(8))) == [b"{}"] * 8
        await pool.aclose()
        assert await server.await_open(0) == 0


async def test_an_answer_left_early_closes_its_connection() -> None:
    pool = AsyncFreeList(ssl.create_default_context(), LIMITS)
    with ScriptedServer(lambda _: Scripted([b"{"], stall=True)) as server:
        request = httpx.Request("POST", server.url, content=b"{}", extensions={"timeout": WAITS})
        response = await pool.handle_async_request(request)
        pieces: Any = aiter(response.stream)  # type: ignore[arg-type]  # an async stream
        assert await anext(pieces) == b"{"
        await pieces.aclose()
        await response.aclose()
        assert await server.await_open(0) == 0
        assert pool._shelf.total == 0


async def test_many_loops_have_nothing_in_common() -> None:
    def run(_: int) -> bytes:
        async def use() -> bytes:
            pool = AsyncFreeList(context, LIMITS)
            try:
                return await _acall(pool, server.url) + await _acall(pool, server.url)
            finally:
                await pool.aclose()

        return asyncio.run(use())

    context = ssl.create_default_context()
    with ScriptedServer(lambda _: Scripted({}, wait=0.01)) as server, ThreadPoolExecutor(4) as threads:
        loop = asyncio.get_running_loop()
        assert await asyncio.gather(*(loop.run_in_executor(threads, run, n) for n in range(8))) == [b"{}{}"] * 8
        assert server.connections == 8


class Thing:
    """A connection that only remembers."""

    def __init__(self) -> None:
        self.closed = self.stale = False

    def close(self) -> None:
        self.closed = True

    def is_stale(self) -> bool:
        return self.stale


A, B = ("http", "a", 80), ("http", "b", 80)


def take(shelf: Shelf[Thing], origin: tuple[str, str, int] = A) -> Ticket[Thing]:
    ticket: Ticket[Thing] = Ticket(origin, lambda: None)
    shelf.take(ticket)
    return ticket


def test_the_shelf_gives_the_connection_used_last_and_drops_the_one_used_first() -> None:
    now = [0.0]
    shelf: Shelf[Thing] = Shelf(LIMITS, lambda: now[0])
    things = [Thing() for _ in range(4)]
    for _ in things:
        assert take(shelf).given
    waiting = take(shelf, B)
    assert waiting.given is False
    shelf.put(A, things[0])
    assert things[0].closed  # another server's: its place is what the line wants
    assert (waiting.given, waiting.connection) == (True, None)
    for thing in things[1:]:
        shelf.put(A, thing)
    assert things[1].closed  # more idle ones than may be
    assert take(shelf).connection is things[3]
    now[0] = 6.0
    assert take(shelf).connection is None
    assert things[2].closed
    assert (shelf.idle, shelf.total) == (0, 3)


def test_the_shelf_takes_the_place_of_an_idle_connection_to_another_server() -> None:
    shelf: Shelf[Thing] = Shelf(httpx.Limits(max_connections=1, max_keepalive_connections=1))
    thing = Thing()
    take(shelf)
    shelf.put(A, thing)
    assert take(shelf, B).given
    assert thing.closed
    late = take(shelf)
    shelf.leave(late)
    shelf.put(B, None)
    assert (shelf.idle, shelf.total) == (0, 0)
