"""Our own pool has the semantics of httpx's, over real sockets, in threads and in event loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.raw import LIMITS, OK, WAITS, WAYS, Caller, RawServer, answer_always, take_request
from kit.scripted import Scripted, ScriptedServer
from kit.tls import certificate, contexts
from langchain_dbchat.transport.http.pool import ConnectionPool, PooledConnection, Waiter
from langchain_dbchat.transport.http.transport import AsyncPooledTransport, PooledTransport


@pytest.fixture(params=WAYS)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    made = Caller(request.param)
    yield made
    made.close()


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
            assert left.wait(20)
            left.clear()
            time.sleep(0.02)
            assert server.connections == number
        caller.close()
        if caller.sync is None:
            caller.loop = asyncio.new_event_loop()  # the fixture closes it again


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
    pool = PooledTransport(ssl.create_default_context, LIMITS)

    def call(pool_timeout: float) -> bytes:
        waits = {**WAITS, "pool": pool_timeout}
        request = httpx.Request("POST", server.url, content=b"{}", extensions={"timeout": waits})
        with contextlib.closing(pool.handle_request(request)) as response:
            return b"".join(response.stream)  # type: ignore[arg-type]  # a sync stream

    late: list[httpx.PoolTimeout] = []

    def try_to_call(_: int) -> None:
        try:
            assert call(0.01) == b"{}"
        except httpx.PoolTimeout as error:
            late.append(error)

    with ScriptedServer(lambda _: Scripted({}, wait=0.05)) as server, ThreadPoolExecutor(12) as threads:
        assert list(threads.map(call, [20.0] * 24)) == [b"{}"] * 24
        assert server.connections <= 4
        server._choose = lambda _: Scripted({}, wait=lambda: len(late) == 8)
        list(threads.map(try_to_call, range(12)))
        assert len(late) == 8
        assert call(20.0) == b"{}"  # nothing was lost
        assert pool._pool.total == pool._pool.idle == 2
        pool.close()
        assert server.wait_open(0) == 0


async def _acall(pool: AsyncPooledTransport, url: str, pool_timeout: float = 20.0) -> bytes:
    waits = {**WAITS, "pool": pool_timeout}
    request = httpx.Request("POST", url, content=b"{}", extensions={"timeout": waits})
    async with contextlib.aclosing(await pool.handle_async_request(request)) as response:
        return b"".join([piece async for piece in response.stream])  # type: ignore[union-attr]  # an async stream


async def test_tasks_wait_for_their_turn_and_the_line_has_an_end() -> None:
    pool = AsyncPooledTransport(ssl.create_default_context, LIMITS)
    late: list[httpx.PoolTimeout] = []

    async def try_to_call() -> None:
        try:
            assert await _acall(pool, server.url, 0.01) == b"{}"
        except httpx.PoolTimeout as error:
            late.append(error)

    with ScriptedServer(lambda _: Scripted({}, wait=0.05)) as server:
        assert await asyncio.gather(*(_acall(pool, server.url) for _ in range(24))) == [b"{}"] * 24
        assert server.connections <= 4
        server._choose = lambda _: Scripted({}, wait=lambda: len(late) == 8)
        await asyncio.gather(*(try_to_call() for _ in range(12)))
        assert len(late) == 8
        assert await _acall(pool, server.url) == b"{}"
        assert pool._pool.total == pool._pool.idle == 2
        await pool.aclose()
        assert await server.await_open(0) == 0


async def test_a_right_that_is_given_back_goes_to_the_first_in_line_at_once() -> None:
    pool = AsyncPooledTransport(ssl.create_default_context, httpx.Limits(max_connections=1))
    origin = ("http", "127.0.0.1", 1)
    taken = pool._take(origin, REQUEST)
    assert taken is not None
    waiting = asyncio.create_task(pool._wait(origin, REQUEST, None))
    for _ in range(3):  # turns of the loop; no time passes
        await asyncio.sleep(0)
    assert not waiting.done()
    pool._give(taken)
    for _ in range(10):
        await asyncio.sleep(0)
    assert waiting.done()
    pool._give(waiting.result())
    assert pool._pool.total == 0
    await pool.aclose()


async def test_cancellation_gives_everything_back() -> None:
    pool = AsyncPooledTransport(ssl.create_default_context, LIMITS)
    with ScriptedServer(lambda _: Scripted([b"{", b"}"], wait=0.02, delay=0.02)) as server:
        for pause in (0.0, 0.001, 0.01, 0.02, 0.03, 0.045):
            tasks = [asyncio.create_task(_acall(pool, server.url)) for _ in range(10)]
            await asyncio.sleep(pause)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert pool._pool.total == pool._pool.idle
        assert await asyncio.gather(*(_acall(pool, server.url) for _ in range(8))) == [b"{}"] * 8
        await pool.aclose()
        assert await server.await_open(0) == 0


async def test_an_answer_left_early_closes_its_connection() -> None:
    pool = AsyncPooledTransport(ssl.create_default_context, LIMITS)
    with ScriptedServer(lambda _: Scripted([b"{"], stall=True)) as server:
        request = httpx.Request("POST", server.url, content=b"{}", extensions={"timeout": WAITS})
        response = await pool.handle_async_request(request)
        pieces: Any = aiter(response.stream)  # type: ignore[arg-type]  # an async stream
        assert await anext(pieces) == b"{"
        await pieces.aclose()
        await response.aclose()
        assert await server.await_open(0) == 0
        assert pool._pool.total == 0


async def test_many_loops_have_nothing_in_common() -> None:
    def run(_: int) -> bytes:
        async def use() -> bytes:
            pool = AsyncPooledTransport(lambda: context, LIMITS)
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

    def is_stale(self, wait: float = 0.0) -> bool:
        del wait
        return self.stale


A, B = ("http", "a", 80), ("http", "b", 80)
REQUEST = httpx.Request("POST", "http://a")


def take(connections: ConnectionPool[Thing], origin: tuple[str, str, int] = A) -> PooledConnection[Thing]:
    slot = connections.take(origin, REQUEST)
    assert slot is not None
    return slot


def give(connections: ConnectionPool[Thing], slot: PooledConnection[Thing], thing: Thing | None) -> None:
    slot.cell[:] = [] if thing is None else [thing]
    connections.give(slot)
    connections.settle()


def test_the_pool_gives_the_connection_used_last_and_drops_the_one_used_first() -> None:
    now = [0.0]
    connections: ConnectionPool[Thing] = ConnectionPool(LIMITS, lambda: now[0])
    things = [Thing() for _ in range(4)]
    slots = [take(connections) for _ in things]
    assert connections.take(B, REQUEST) is None
    given: list[PooledConnection[Thing] | None] = []
    waiting: Waiter[Thing] = Waiter(B, REQUEST, given.append)
    connections.line_up(waiting)
    assert given == []
    give(connections, slots[0], things[0])
    assert things[0].closed  # another server's: its place is what the line wants
    assert given[0] is None  # called to look
    assert given[1] is not None
    assert (given[1].origin, given[1].cell) == (B, [])
    connections.leave(waiting)
    for slot, thing in zip(slots[1:], things[1:], strict=True):
        give(connections, slot, thing)
        now[0] += 0.1
    assert [thing.closed for thing in things] == [True, False, False, True]  # more idle ones than may be
    last = take(connections)
    assert last.cell == [things[2]]
    now[0] = 6.0
    fresh = take(connections)
    assert (fresh.cell, things[1].closed) == ([], True)
    assert (connections.idle, connections.total) == (0, 3)


def test_an_idle_connection_that_has_expired_is_closed_whoever_comes() -> None:
    now = [0.0]
    connections: ConnectionPool[Thing] = ConnectionPool(LIMITS, lambda: now[0])
    old, young = Thing(), Thing()
    first, second = take(connections, A), take(connections, B)
    give(connections, first, old)
    now[0] = 3.0
    give(connections, second, young)
    now[0] = 5.5
    connections.settle()
    assert (old.closed, young.closed, connections.idle) == (True, False, 1)


def test_an_expired_connection_under_a_fresh_one_is_not_given() -> None:
    now = [0.0]
    connections: ConnectionPool[Thing] = ConnectionPool(httpx.Limits(keepalive_expiry=5.0), lambda: now[0])
    things = [Thing() for _ in range(3)]
    slots = [take(connections, A), take(connections, B), take(connections, A)]
    for slot, thing, moment in zip(slots, things, (0.0, 3.0, 4.0), strict=True):
        now[0] = moment
        give(connections, slot, thing)
    now[0] = 5.5
    first, second = take(connections, A), take(connections, A)
    assert (first.cell, second.cell) == ([things[2]], [])
    assert things[0].closed


def test_the_pool_takes_the_place_of_an_idle_connection_to_another_server() -> None:
    connections: ConnectionPool[Thing] = ConnectionPool(httpx.Limits(max_connections=1, max_keepalive_connections=1))
    thing = Thing()
    give(connections, take(connections), thing)
    other = take(connections, B)
    assert thing.closed
    late: Waiter[Thing] = Waiter(A, REQUEST, lambda _: None)
    connections.line_up(late)
    connections.leave(late)
    give(connections, other, None)
    assert (connections.idle, connections.total) == (0, 0)


@pytest.mark.parametrize("way", WAYS)
def test_tls(way: str, tmp_path: Path) -> None:
    public, private = certificate()
    (tmp_path / "both.pem").write_bytes(public + private)
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    of_server.load_cert_chain(tmp_path / "both.pem")
    trusting = ssl.create_default_context(cadata=public.decode())
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

    left = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        with of_server.wrap_socket(connection, server_side=True) as secured:
            for _ in range(2 if number == 1 else 1):
                take_request(secured)
                secured.sendall(chunked)
                for _ in range(20):
                    secured.sendall(b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000))
                secured.sendall(b"0\r\n\r\n")
        left.set()

    with RawServer(serve) as server:
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        caller = Caller(way, context=trusting)
        for connections, is_closed in ((1, False), (1, True), (2, True)):  # the third call finds its connection closed
            status, body = caller.send(url)
            assert (status, len(body), server.connections) == (200, 2_000_000, connections)
            assert not is_closed or left.wait(30)
            left.clear()
        with pytest.raises(httpx.ConnectError, match="(?i)certificate"):
            caller.send(url.replace("localhost", "127.0.0.1"))
        caller.close()
        stranger = Caller(way)
        with pytest.raises(httpx.ConnectError, match="(?i)certificate") as caught:
            stranger.send(url)
        causes: list[BaseException | None] = [caught.value]
        while causes[-1] is not None:
            causes.append(causes[-1].__cause__ or causes[-1].__context__)
        assert any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
        stranger.close()


async def test_tls_begins_also_while_all_threads_of_the_loop_are_busy(tmp_path: Path) -> None:
    of_server, trusting = contexts(tmp_path)
    free = threading.Event()
    busy = [asyncio.ensure_future(asyncio.to_thread(free.wait, 60)) for _ in range(100)]
    pool = AsyncPooledTransport(lambda: trusting, LIMITS)
    try:
        with RawServer(answer_always(OK), of_server) as server:
            url = server.url.replace("localhost", "127.0.0.1")
            extensions = {"timeout": WAITS, "sni_hostname": "localhost"}
            sent = httpx.Request("POST", url, content=b"{}", extensions=extensions)
            async with contextlib.aclosing(await asyncio.wait_for(pool.handle_async_request(sent), 15)) as response:
                assert response.status_code == 200
                async for _ in response.stream:  # type: ignore[union-attr]  # an async stream
                    pass
            await pool.aclose()
    finally:
        free.set()
        await asyncio.gather(*busy)


@pytest.mark.parametrize("secure", [True, False])
async def test_a_reader_that_takes_its_time_loses_nothing(secure: bool, tmp_path: Path) -> None:
    public, private = certificate()
    (tmp_path / "both.pem").write_bytes(public + private)
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    of_server.load_cert_chain(tmp_path / "both.pem")
    size = 1_000_000  # more than is taken before the transport is paused, and the server has long gone by then

    def serve(connection: socket.socket, _: int) -> None:
        with of_server.wrap_socket(connection, server_side=True) if secure else connection as talking:
            take_request(talking)
            talking.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            talking.sendall(b"x" * size)

    pool = AsyncPooledTransport(lambda: ssl.create_default_context(cadata=public.decode()), LIMITS)
    with RawServer(serve) as server:
        url = server.url.replace("http://127.0.0.1", "https://localhost") if secure else server.url
        sent = httpx.Request("POST", url, content=b"{}", extensions={"timeout": WAITS})
        async with contextlib.aclosing(await pool.handle_async_request(sent)) as response:
            got = 0
            async for piece in response.stream:  # type: ignore[union-attr]  # an async stream
                got += len(piece)
                await asyncio.sleep(0.1)
        assert got == size
        await pool.aclose()
