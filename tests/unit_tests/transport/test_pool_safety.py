"""Nobody gets another caller's bytes, and no connection or right to one is lost, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.interrupts import Interrupt
from kit.raw import OK, OURS, Caller, RawServer, answer_always
from kit.scripted import Scripted, ScriptedServer, sse
from kit.signing import Rotating, request_to
from kit.tls import contexts
from langchain_dbchat.transport import clients as pools
from langchain_dbchat.transport.channel import Channel
from langchain_dbchat.transport.http.pool import ConnectionPool, Waiter
from langchain_dbchat.transport.http.transport import AsyncPooledTransport, PooledTransport
from langchain_dbchat.transport.limiter import EndpointLimiter, Permit

TESTS = Path(__file__).parents[2]
LIMITS = httpx.Limits(max_connections=5, max_keepalive_connections=5, keepalive_expiry=5.0)
WAITS = {"connect": 20.0, "read": 20.0, "write": 20.0, "pool": 100.0}  # who comes last waits for all others
Tls = tuple[ssl.SSLContext, ssl.SSLContext] | tuple[None, None]


HERE, THERE = ("http", "here", 80), ("http", "there", 80)
REQUEST = httpx.Request("POST", "http://here")


class Thing:
    """A connection that only remembers."""

    def __init__(self) -> None:
        self.closed = self.stale = False

    def close(self) -> None:
        self.closed = True

    def is_stale(self, wait: float = 0.0) -> bool:
        del wait
        return self.stale


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Tls:
    """The contexts of a server and of a client; None and None without TLS."""
    return contexts(tmp_path) if request.param == "TLS" else (None, None)


def _request(url: str, body: bytes = b"{}") -> httpx.Request:
    return httpx.Request("POST", url, content=body, extensions={"timeout": WAITS})


def _call(pool: PooledTransport, url: str, body: bytes = b"{}") -> bytes:
    with contextlib.closing(pool.handle_request(_request(url, body))) as response:
        return b"".join(response.stream)  # type: ignore[arg-type]  # a sync stream


async def _acall(pool: AsyncPooledTransport, url: str, body: bytes = b"{}") -> bytes:
    async with contextlib.aclosing(await pool.handle_async_request(_request(url, body))) as response:
        return b"".join([piece async for piece in response.stream])  # type: ignore[union-attr]  # an async stream


def call_all(way: str, url: str, bodies: list[bytes], trusting: ssl.SSLContext | None = None) -> list[Any]:
    """Call with all bodies at once, by a pool that is much smaller, and give the answers or the errors."""
    context = trusting or ssl.create_default_context()
    if way == "sync":
        pool = PooledTransport(lambda: context, LIMITS)

        def call(body: bytes) -> Any:
            try:
                return _call(pool, url, body)
            except httpx.HTTPError as error:
                return error

        with ThreadPoolExecutor(30) as threads:
            results = list(threads.map(call, bodies))
        assert pool._pool.total == pool._pool.idle
        pool.close()
        return results

    async def call_them() -> list[Any]:
        pool = AsyncPooledTransport(lambda: context, LIMITS)
        results = await asyncio.gather(*(_acall(pool, url, body) for body in bodies), return_exceptions=True)
        assert pool._pool.total == pool._pool.idle
        await pool.aclose()
        return results

    return asyncio.run(call_them())


def _echo(connection: socket.socket) -> bytes:
    """Read a request, and write the answer that repeats its body."""
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < 4:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError
        data += piece
    return b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n" + data.partition(b"\r\n\r\n")[2]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch a connection for a second: the thread of a server may take as long to close it on a busy machine.

    What the server does in that second, and much later, still counts as done at once.
    """
    monkeypatch.setattr("langchain_dbchat.transport.http.pool._WATCH", 1.0)
    monkeypatch.setattr("langchain_dbchat.transport.http.pool._AT_ONCE", 60.0)


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("way", OURS)
@pytest.mark.parametrize("late", [0.0, 0.001])
def test_those_in_line_get_no_connection_that_the_server_has_closed(way: str, late: float, tls: Tls) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        connection.sendall(_echo(connection))
        time.sleep(late)

    of_server, trusting = tls
    bodies = [b"%04d" % number for number in range(150 if trusting is None else 60)]
    with RawServer(serve, of_server) as server:
        assert call_all(way, server.url, bodies, trusting) == bodies


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("way", OURS)
@pytest.mark.parametrize("late", [None, 0.0, 0.001])
def test_those_in_line_get_nobody_elses_answer(way: str, late: float | None, tls: Tls) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            answer = _echo(connection)
            connection.sendall(answer if late is not None else answer + answer)
            if late is not None:
                time.sleep(late)
                connection.sendall(answer)

    of_server, trusting = tls
    bodies = [b"%04d" % number for number in range(150 if trusting is None else 60)]
    with RawServer(serve, of_server) as server:
        assert call_all(way, server.url, bodies, trusting) == bodies
        # A server that was caught is not asked twice on one connection, even if that looks clean.
        assert server.connections > len(bodies) - 10


@pytest.mark.parametrize("way", OURS)
def test_a_server_that_said_too_much_once_is_not_believed_the_next_time(way: str, tls: Tls) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        answer = _echo(connection)
        connection.sendall(answer * 2 if number == 1 else answer)
        connection.sendall(_echo(connection))

    of_server, trusting = tls
    caller = Caller(way, context=trusting)
    with RawServer(serve, of_server) as server:
        assert [caller.send(server.url, b"%04d" % number)[1] for number in range(4)] == [
            b"0000",
            b"0001",
            b"0002",
            b"0003",
        ]
        assert server.connections == 4
    caller.close()


@pytest.mark.parametrize("way", OURS)
def test_a_server_that_behaves_keeps_its_connections(way: str, tls: Tls) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        while True:
            connection.sendall(_echo(connection))

    of_server, trusting = tls
    bodies = [b"%04d" % number for number in range(150)]
    with RawServer(serve, of_server) as server:
        assert call_all(way, server.url, bodies, trusting) == bodies
        assert server.connections <= 5


def _plain_pool(most: int = 2) -> tuple[ConnectionPool[Any], list[float]]:
    now = [0.0]
    return ConnectionPool(httpx.Limits(max_connections=most, max_keepalive_connections=most), lambda: now[0]), now


def test_a_server_is_watched_until_it_is_proven_and_again_after_it_was_caught() -> None:
    connections, now = _plain_pool()
    slot = connections.take(HERE, REQUEST)
    assert slot is not None
    assert connections.watch(slot) == 0  # there is no connection yet
    for _ in range(3):
        slot.cell[:] = [Thing()]
        connections.give(slot)
        now[0] += 0.005
        slot = connections.take(HERE, REQUEST)
        assert slot is not None
        assert connections.watch(slot) == pytest.approx(0.015)
        now[0] += 0.02
        connections.judge(slot, stale=False)
    connections.give(slot)
    slot = connections.take(HERE, REQUEST)
    assert slot is not None
    assert connections.watch(slot) == 0
    thing = slot.cell[0]
    thing.stale = True
    connections.give(slot)
    slot = connections.take(HERE, REQUEST)
    assert slot is not None
    assert (thing.closed, slot.cell) == (True, [])
    for patience, kept in ((1.0, 0), (70.0, 1)):  # for a minute, nothing is kept
        now[0] += patience
        slot.cell[:] = [Thing()]
        connections.give(slot)
        assert connections.idle == kept
        slot = connections.take(HERE, REQUEST)
        assert slot is not None
    assert connections.watch(slot) > 0


def test_a_connection_that_was_closed_long_after_its_answer_says_nothing_about_its_server() -> None:
    connections, now = _plain_pool()
    slot = connections.take(HERE, REQUEST)
    assert slot is not None
    thing = Thing()
    slot.cell.append(thing)
    connections.give(slot)
    now[0] += 2.0
    thing.stale = True
    slot = connections.take(HERE, REQUEST)
    assert slot is not None
    assert (thing.closed, slot.cell) == (True, [])
    slot.cell.append(Thing())
    connections.give(slot)
    assert connections.idle == 1


# Interrupts


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that interrupt")
@pytest.mark.parametrize("streaming", [False, True])
def test_interrupts_at_any_moment_lose_no_slot(streaming: bool, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler raises at some point of each call: between any two steps of it."""
    of_server, trusting = tls
    # A call that begins with TLS takes longer, so that fewer moments are further apart.
    rounds, apart = (600, 0.000004) if trusting is None else (300, 0.000012)
    context = trusting or ssl.create_default_context()
    pool = PooledTransport(lambda: context, LIMITS)
    client = _Client(pool)
    monkeypatch.setattr("langchain_dbchat.transport.waits.sync_client", lambda _: client)
    # An interrupt in the very step in which a socket is made or forgotten is reported by Python, not raised. Pytest
    # keeps what is reported, and with it the frames, one of which may have a slot.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    channel = Channel(Rotating())
    armed = False

    def interrupt(*_: object) -> None:
        if armed:
            raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    hits = 0
    kept: list[BaseException] = []
    try:
        with ScriptedServer(lambda _: Scripted(sse({"a": 1}) if streaming else {"a": 1}), tls=of_server) as server:
            request = request_to(server, streaming=streaming)
            for number in range(rounds):
                signal.setitimer(signal.ITIMER_REAL, 0.00002 + apart * (number % 400))
                try:
                    armed = True
                    _use(channel, request, streaming=streaming)
                    armed = False
                except Interrupt as error:
                    armed = False
                    hits += 1
                    kept[:-2] = []
                    kept.append(error)  # its frames may still refer to a slot; it is recovered with them
            assert hits > rounds / 6
            signal.setitimer(signal.ITIMER_REAL, 0)
            _use(channel, request, streaming=streaming)
            kept.clear()
            gc.collect()
            assert pool._pool.total == pool._pool.idle <= 1
            pool.close()
            assert server.wait_open(0) == 0
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("way", OURS)
def test_a_stream_that_an_exception_takes_from_its_caller_is_closed(way: str) -> None:
    """Between its opening and its first event, also while somebody keeps the exception and with it the frames."""

    class Leaving(EndpointLimiter):
        def release(self, permit: Permit, outcome: Any) -> None:
            super().release(permit, outcome)
            raise Interrupt

    async def aread() -> None:
        async with Channel(Rotating()).astream(request, limiter=Leaving("g")):
            pass

    def read() -> None:
        with Channel(Rotating()).stream(request, limiter=Leaving("g")):
            pass

    async def use() -> None:
        with pytest.raises(Interrupt) as caught:
            await aread()
        assert await server.await_open(0) == 0
        assert caught.value.__traceback__ is not None

    with ScriptedServer(lambda _: Scripted([b"data: 1\n\n"], stall=True)) as server:
        request = request_to(server, streaming=True)
        if way == "async":
            asyncio.run(use())
            return
        with pytest.raises(Interrupt) as caught:
            read()
        assert server.wait_open(0) == 0
        assert caught.value.__traceback__ is not None


def _use(channel: Channel, request: Any, *, streaming: bool) -> None:
    if not streaming:
        assert channel.post(request).body == b'{"a":1}'
        return
    with channel.stream(request) as incoming:
        assert [payload for payloads in incoming for payload in payloads] == [b'{"a":1}', b"[DONE]"]


class _Client(pools._Client):
    """Our client, with a pool of the test."""

    def __init__(self, pool: PooledTransport) -> None:
        super().__init__(ssl.create_default_context)
        self._pool = pool


@pytest.mark.parametrize("where", ["settle", "_find", "_place", "_retire", "give", "take"])
def test_the_pool_recovers_from_an_exception_at_each_of_its_steps(where: str) -> None:
    """The tracer raises at the n-th line that runs within a method, for each n."""
    for number in range(60):
        connections, _ = _plain_pool(3)
        things = [Thing() for _ in range(3)]
        slots = [connections.take(HERE, REQUEST) for _ in things]
        for slot, thing in zip(slots, things, strict=True):
            assert slot is not None
            slot.cell.append(thing)
        first, second, third = slots
        del slots, slot
        lines = iter(range(10_000))

        def trace(frame: Any, event: str, _: Any, lines: Any = lines, number: int = number) -> Any:
            if frame.f_code.co_name != where:
                return trace if event == "call" else None
            if event == "line" and next(lines) == number:
                raise Interrupt
            return trace

        sys.settrace(trace)
        try:
            assert first is not None
            connections.give(first)
            connections.take(THERE, REQUEST)
            assert second is not None
            connections.give(second)
            connections.take(HERE, REQUEST)
        except Interrupt:
            pass
        finally:
            sys.settrace(None)
        del first, second, third
        assert connections.total == connections.idle
        open_ones = [thing for thing in things if not thing.closed]
        assert len(open_ones) == connections.idle
        taken = [connections.take(HERE, REQUEST) for _ in range(3)]
        assert all(slot is not None for slot in taken)
        assert len({id(slot) for slot in taken}) == 3


def test_a_waiter_that_vanishes_does_not_hold_up_the_line() -> None:
    connections, _ = _plain_pool(1)
    slot = connections.take(HERE, REQUEST)
    assert slot is not None
    given: list[Any] = []
    gone: Waiter[Any] = Waiter(HERE, REQUEST, given.append)
    waiting: Waiter[Any] = Waiter(HERE, REQUEST, given.append)
    connections.line_up(gone)
    connections.line_up(waiting)
    del gone  # no `leave`: an exception came in between
    connections.give(slot)
    connections.settle()
    assert [offered for offered in given if offered is not None] != []


def test_a_waiter_whose_call_has_ended_does_not_hold_up_the_line() -> None:
    connections, _ = _plain_pool(1)
    slot = connections.take(HERE, REQUEST)
    assert slot is not None
    given: list[Any] = []
    ended = httpx.Request("POST", "http://here")
    kept: Waiter[Any] = Waiter(HERE, ended, lambda _: None)
    waiting: Waiter[Any] = Waiter(HERE, REQUEST, given.append)
    connections.line_up(kept)
    connections.line_up(waiting)
    connections.end(ended)  # no `leave`, and the exception that came in between is kept
    connections.give(slot)
    connections.settle()
    assert kept.has_left
    assert [offered for offered in given if offered is not None] != []


class Compared(Waiter[Any]):
    """A waiter that counts how often it is compared with another one."""

    times = 0
    __hash__ = Waiter.__hash__

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return self is other


@pytest.mark.parametrize("order", ["in order", "last first", "in any order"])
def test_a_thousand_that_leave_the_line_are_not_looked_for_one_by_one(order: str) -> None:
    connections, _ = _plain_pool(1)
    slot = connections.take(HERE, REQUEST)
    assert slot is not None
    given: list[Any] = []
    waiters = [Compared(HERE, REQUEST, lambda _: None) for _ in range(1000)]
    stays: Waiter[Any] = Waiter(HERE, REQUEST, given.append)
    for waiter in [*waiters[:500], stays, *waiters[500:]]:
        connections.line_up(waiter)
    Compared.times = 0
    leaving = {"in order": waiters, "last first": waiters[::-1], "in any order": waiters[::2] + waiters[1::2]}[order]
    for waiter in leaving:
        connections.leave(waiter)
    assert Compared.times == 0
    assert len(connections._line) <= 2
    connections.give(slot)
    connections.settle()
    assert any(given)


@pytest.mark.parametrize("way", OURS)
def test_who_waits_in_line_finds_what_was_lost(way: str) -> None:
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    with ScriptedServer(lambda _: Scripted({})) as server:
        if way == "sync":
            pool = PooledTransport(ssl.create_default_context, limits)
            held = [pool._take(("http", "127.0.0.1", int(server.url.rpartition(":")[2])), REQUEST)]
            threading.Timer(0.1, held.clear).start()
            assert _call(pool, server.url) == b"{}"
            pool.close()
            return

        async def use() -> None:
            pool = AsyncPooledTransport(ssl.create_default_context, limits)
            held = [pool._take(("http", "127.0.0.1", int(server.url.rpartition(":")[2])), REQUEST)]
            asyncio.get_running_loop().call_later(0.1, held.clear)
            assert await _acall(pool, server.url) == b"{}"
            await pool.aclose()

        asyncio.run(use())


@pytest.mark.parametrize("kind", [PooledTransport, AsyncPooledTransport])
def test_a_forked_child_closes_its_copy_of_a_connection_and_gives_nothing_back(kind: Any) -> None:
    pool, thing = kind(ssl.create_default_context, LIMITS), Thing()
    slot = pool._take(HERE, REQUEST)
    slot.cell.append(thing)
    pool._pid += 1  # so it is the pool of another process
    pool._give(slot)
    assert thing.closed
    assert not slot.cell
    assert pool._pool.idle == 0


# Finalizers


def _half_read(pool: PooledTransport, url: str) -> list[Any]:
    """Begin to read an answer, and put it in a cycle that only the garbage collector can take apart."""
    response = pool.handle_request(_request(url))
    pieces = iter(response.stream)  # type: ignore[arg-type]  # a sync stream
    next(pieces)
    cycle: list[Any] = [pieces, response]
    cycle.append(cycle)
    return cycle


def test_a_stream_that_is_collected_waits_for_no_lock() -> None:
    pool = PooledTransport(ssl.create_default_context, LIMITS)
    done = threading.Event()
    gc.disable()
    try:
        with ScriptedServer(lambda _: Scripted([b"{", b"}"], delay=30)) as server:
            _half_read(pool, server.url)

            def collect() -> None:
                with pool._lock:
                    gc.collect()
                done.set()

            threading.Thread(target=collect, daemon=True).start()
            assert done.wait(30)
            assert server.wait_open(0) == 0  # its connection is closed at once
            assert pool._pool.total == 0
    finally:
        gc.enable()


def test_a_stream_that_is_collected_calls_who_waits_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_dbchat.transport.http.transport._LOOK", 60.0)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    pool = PooledTransport(ssl.create_default_context, limits)
    gc.disable()
    try:
        with ScriptedServer(lambda r: Scripted([b"{", b"}"], delay=0 if r.body == b"{}" else 30)) as server:
            for _ in range(3):
                response = pool.handle_request(_request(server.url, b"1"))
                pieces = iter(response.stream)  # type: ignore[arg-type]  # a sync stream
                next(pieces)
                cycle: list[Any] = [pieces, response]
                cycle.append(cycle)
                del response, pieces, cycle
                threading.Timer(0.05, gc.collect).start()
                assert _call(pool, server.url) == b"{}"
    finally:
        gc.enable()
    pool.close()


FORK = """
import os, sys, gc, threading, asyncio, ssl, httpx
sys.path.insert(0, {tests!r})
from kit.signing import Rotating, request_to
from langchain_dbchat.transport import clients as pools
from langchain_dbchat.transport.channel import Channel
channel = Channel(Rotating())
request = request_to({url!r}, {{"n": 1}}, streaming=True)
def streams():
    with channel.stream(request) as incoming:
        for payloads in incoming:
            yield payloads
async def astreams():
    async with channel.astream(request) as incoming:
        async for payloads in incoming:
            yield payloads
def last(child):
    for _ in range(1200):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        __import__("time").sleep(0.05)
    os.kill(child, 9)
    return "hung"
stream = streams()
assert next(stream) == [b"1"]
pool = pools.sync_client()._pool
lock = pool._lock
with lock:  # a thread of the parent might hold it
    child = os.fork()
    if child == 0:
        stream.close()
        del stream
        gc.collect()
        assert channel.post(request_to({url!r}, {{"n": 0}})).body == b"{{}}"
        # The same for a pool in a client of the user's, which no other part of ours looks after.
        with httpx.Client(transport=pool) as client:
            assert client.post({url!r}, json={{"n": 0}}).content == b"{{}}"
        os._exit(7)
assert last(child) == 7
assert next(stream) == [b"2"]  # the parent's stream has not suffered
stream.close()

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # in development mode, a busy machine would be told of
    stream = astreams()
    assert await anext(stream) == [b"1"]
    child = os.fork()
    if child == 0:
        kept = pools._states[-1].async_clients
        try:
            stream.aclose().send(None)
        except StopIteration:
            pass
        os._exit(7)
    assert await asyncio.to_thread(last, child) == 7
    assert await anext(stream) == [b"2"]
    await stream.aclose()
asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system does not fork")
def test_a_forked_child_that_drops_a_stream_neither_hangs_nor_hurts_its_parent() -> None:
    def reply(received: Any) -> Scripted:
        return Scripted([b"data: 1\n\n", b"data: 2\n\n"], delay=1.5, stall=True) if received.json["n"] else Scripted({})

    with ScriptedServer(reply) as server:
        script = FORK.format(tests=str(TESTS), url=server.url)
        warned = ["-W", "error", "-W", "ignore::ResourceWarning", "-W", "ignore::DeprecationWarning"]
        done = subprocess.run(
            [sys.executable, *warned, "-c", script], capture_output=True, text=True, timeout=120, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.timeout(120)
def test_a_pool_may_be_closed_by_the_thread_that_holds_its_lock() -> None:
    with RawServer(answer_always(OK)) as server:
        pool = PooledTransport(ssl.create_default_context, LIMITS)
        held = pool.handle_request(_request(server.url))
        assert _call(pool, server.url) == b"{}"
        with pool._lock:
            pool.close()  # as a signal handler would
        assert pool._pool.idle == 1
        again = pool.handle_request(_request(server.url))
        with pool._lock:
            held.close()
        assert not pool._is_closing
        assert pool._pool.idle == 0
        again.close()
        pool.close()
