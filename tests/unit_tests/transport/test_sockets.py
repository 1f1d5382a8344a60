"""Connections at their edges: what is left over, who has gone, what broke, and when the network is full."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.interrupts import Interrupt
from kit.raw import LIMITS, OK, OURS, WAITS, Caller, RawServer, answer_always, take_request
from kit.tls import contexts
from langchain_dbchat.transport.http import async_sockets, sockets
from langchain_dbchat.transport.http.async_sockets import AsyncSocket, aconnect
from langchain_dbchat.transport.http.http11 import Chunked
from langchain_dbchat.transport.http.sockets import FLOOD, connect
from langchain_dbchat.transport.http.transport import AsyncPooledTransport


@contextlib.contextmanager
def serving(serve: Callable[[Any, int], None], tls: ssl.SSLContext | None) -> Any:
    """Serve plainly or with TLS."""

    def secured(connection: socket.socket, number: int) -> None:
        if tls is None:
            serve(connection, number)
            return
        with tls.wrap_socket(connection, server_side=True) as wrapped:
            serve(wrapped, number)

    with RawServer(secured) as server:
        if tls is not None:
            server.url = server.url.replace("http://127.0.0.1", "https://localhost")
        yield server


def run(main: Any, loop: str) -> Any:
    """Run a coroutine on a loop of asyncio or uvloop."""
    if loop == "asyncio":
        return asyncio.run(main)
    try:
        import uvloop
    except ImportError:
        main.close()
        pytest.skip("uvloop is not installed")
    made = uvloop.new_event_loop()
    try:
        return made.run_until_complete(main)
    finally:
        made.close()


LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
SECURE = pytest.mark.parametrize("secure", [False, True])


@LOOPS
@SECURE
def test_a_connection_with_bytes_left_is_stale(loop: str, secure: bool, tmp_path: Path) -> None:
    """The loop has read them already, so that the socket itself has nothing more to tell."""
    of_server, trusting = contexts(tmp_path)
    was_read, said = threading.Event(), threading.Event()

    def serve(connection: Any, _: int) -> None:
        take_request(connection)
        connection.sendall(OK)
        was_read.wait(20.0)
        connection.sendall(OK)
        said.set()
        connection.recv(1)

    async def use(url: str) -> None:
        parts = httpx.URL(url)
        context = trusting if secure else None
        made = await aconnect(parts.host, parts.port or 0, context, 20.0)
        await made.write([b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"], 20.0)
        assert await made.read(20.0) == OK
        assert not made.is_stale()
        was_read.set()
        number = made._transport.get_extra_info("socket").fileno()  # type: ignore[union-attr]  # it is open
        socket_itself: Any = _Numbered(number)
        for _ in range(3000):
            if said.is_set() and made.is_stale() and not sockets.is_readable(socket_itself):
                break
            await asyncio.sleep(0.01)
        assert not sockets.is_readable(socket_itself)
        assert made.is_stale()
        made.close()
        await asyncio.sleep(0.05)

    with serving(serve, of_server if secure else None) as server:
        run(use(server.url), loop)


@LOOPS
def test_a_short_wait_behind_a_long_one_is_short(loop: str) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        time.sleep(0.2)
        connection.sendall(b"x")
        connection.recv(1)

    async def use(url: str) -> None:
        parts = httpx.URL(url)
        made = await aconnect(parts.host, parts.port or 0, None, 20.0)
        assert await made.read(20.0) == b"x"
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            await made.read(0.2)
        assert 0.15 < time.monotonic() - began < 15
        made.close()

    with RawServer(serve) as server:
        run(use(server.url), loop)


def _reads(timeouts: list[float]) -> tuple[sockets.Socket, socket.socket]:
    """Make a socket that has read something with each timeout, and the other end of it."""
    ours, theirs = socket.socketpair()
    made = sockets.Socket(ours)
    for timeout in timeouts:
        theirs.sendall(b"x")
        assert made.read(timeout or None) == b"x"
    return made, theirs


# The timeout of the socket is not set for each read.
EARLIER = pytest.mark.parametrize(
    ("earlier", "seconds"),
    [([0.5, 0.5, 0.49], 0.45), ([30.0], 0.5), ([0.5, 30.0], 0.5), ([0.5, 0.2], 0.5), ([0.0, 0.5], 0.45)],
)


@EARLIER
def test_a_read_ends_when_its_time_is_up(earlier: list[float], seconds: float) -> None:
    made, theirs = _reads(earlier)
    with contextlib.closing(theirs), contextlib.closing(made):
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            made.read(seconds)
        assert seconds - 0.01 < time.monotonic() - began < 15


@EARLIER
def test_a_read_takes_what_comes_at_the_end_of_its_time(earlier: list[float], seconds: float) -> None:
    """Where a busy machine has sent it too late, it is sent again."""
    got = b""
    for _ in range(20):
        made, theirs = _reads(earlier)
        sent: list[float] = []

        def send(to: socket.socket = theirs, sent: list[float] = sent) -> None:
            to.sendall(b"x")
            sent.append(time.monotonic())

        with contextlib.closing(theirs), contextlib.closing(made):
            sends = threading.Timer(seconds * 0.95, send)
            sends.start()
            end = time.monotonic() + seconds
            with contextlib.suppress(httpx.ReadTimeout):
                got = made.read(seconds)
            sends.join()
        if got or sent[0] < end:
            break
    assert got == b"x"


@LOOPS
@SECURE
def test_a_connection_that_is_reset_can_be_looked_at_in_each_turn_of_the_loop(
    loop: str, secure: bool, tmp_path: Path
) -> None:
    of_server, trusting = contexts(tmp_path)

    def serve(connection: Any, _: int) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    async def use(url: str) -> None:
        parts = httpx.URL(url)
        made = await aconnect(parts.host, parts.port or 0, trusting if secure else None, 20.0)
        await made.write([b"x"], 20.0)
        until = time.monotonic() + 20
        while made._transport is not None and time.monotonic() < until:
            made.is_stale()  # the connection may have been lost, and we not been told
            await asyncio.sleep(0)
        assert made._transport is None
        assert made.is_stale()

    with serving(serve, of_server if secure else None) as server:
        run(use(server.url), loop)


def test_a_connection_that_we_have_closed_is_stale() -> None:
    with RawServer(answer_always(OK)) as server:
        parts = httpx.URL(server.url)
        made = connect(parts.host, parts.port or 0, None, 20.0)
        assert not made.is_stale()
        made.close()
        assert made.is_stale()


class _Numbered:
    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


@LOOPS
@SECURE
def test_nobody_reads_so_the_server_is_slowed_down(loop: str, secure: bool, tmp_path: Path) -> None:
    of_server, trusting = contexts(tmp_path)
    sent = 0

    def serve(connection: Any, _: int) -> None:
        nonlocal sent
        take_request(connection)
        while sent < 200_000_000:
            connection.sendall(b"x" * 100_000)
            sent += 100_000

    async def use(url: str) -> None:
        parts = httpx.URL(url)
        made = await aconnect(parts.host, parts.port or 0, trusting if secure else None, 20.0)
        await made.write([b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"], 20.0)
        await asyncio.sleep(0.5)
        is_uvloop = not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)  # perhaps all loops are
        assert made._size < (20_000_000 if secure and is_uvloop else 1_000_000)
        before = sent
        assert before < 50_000_000
        got, sizes = 0, [0]
        while got < 60_000_000:
            sizes.append(len(await made.read(20.0)))
            got += sizes[-1]
        assert sent > before  # it goes on as soon as somebody reads
        assert max(sizes) < 600_000  # what somebody reads is worked through in one go
        made.close()
        await asyncio.sleep(0.05)

    with serving(serve, of_server if secure else None) as server:
        run(use(server.url), loop)


@LOOPS
@SECURE
def test_what_came_before_the_end_is_read_late_in_pieces_that_are_not_large(
    loop: str, secure: bool, tmp_path: Path
) -> None:
    of_server, trusting = contexts(tmp_path)
    said = bytes(range(256)) * 12_000

    def serve(connection: Any, _: int) -> None:
        connection.recv(1)
        connection.sendall(said)

    async def use(url: str) -> None:
        parts = httpx.URL(url)
        made = await aconnect(parts.host, parts.port or 0, trusting if secure else None, 20.0)
        await made.write([b"x"], 20.0)
        await asyncio.sleep(0.3)
        pieces = [await made.read(20.0)]
        while pieces[-1]:
            pieces.append(await made.read(20.0))
        assert b"".join(pieces) == said
        assert max(map(len, pieces)) < 600_000
        made.close()
        await asyncio.sleep(0.05)

    with serving(serve, of_server if secure else None) as server:
        run(use(server.url), loop)


def _flood_then_a_word(connection: socket.socket, _: int) -> None:
    take_request(connection)
    connection.sendall(b"x" * 2_000_000)
    take_request(connection)
    connection.sendall(b"word")
    take_request(connection)


def test_a_read_that_was_filled_is_followed_by_a_larger_one() -> None:
    """So that a flood of events becomes few chunks, and a slow stream pays nothing."""
    with RawServer(_flood_then_a_word) as server:
        parts = httpx.URL(server.url)
        made = connect(parts.host, parts.port or 0, None, 20.0)
        made.write([b"POST / HTTP/1.1\r\n\r\n"], 20.0)
        time.sleep(0.3)  # so that much has arrived
        sizes: list[int] = []
        while sum(sizes) < 2_000_000:
            sizes.append(len(made.read(20.0, FLOOD)))
        assert sizes[0] <= 65536 < max(sizes) <= 262144
        made.write([b"POST / HTTP/1.1\r\n\r\n"], 20.0)
        assert made.read(20.0) == b"word"
        assert made._most == 65536
        made.close()


def test_the_same_in_an_event_loop() -> None:
    async def use(url: str) -> None:
        if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            pytest.skip("uvloop does not use our buffer: it reads 250 kB at once by itself")
        parts = httpx.URL(url)
        made = await aconnect(parts.host, parts.port or 0, None, 20.0)
        assert isinstance(made, async_sockets._PlainSocket)
        try:
            await made.write([b"POST / HTTP/1.1\r\n\r\n"], 20.0)
            time.sleep(0.3)  # noqa: ASYNC251  # the loop is held, so that much has arrived when it reads
            got, buffers = 0, set()
            while got < 2_000_000:
                got += len(await made.read(20.0))
                buffers.add(len(made._buffer))
            assert 262144 in buffers
            await made.write([b"POST / HTTP/1.1\r\n\r\n"], 20.0)
            assert await made.read(20.0) == b"word"
            assert len(made._buffer) == 65536
        finally:
            made.close()
            await asyncio.sleep(0.05)

    with RawServer(_flood_then_a_word) as server:
        asyncio.run(use(server.url))


@pytest.mark.parametrize("way", OURS)
def test_a_reset_is_no_end(way: str) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    caller = Caller(way)
    with RawServer(serve) as server, pytest.raises(httpx.ReadError):
        caller.send(server.url)
    caller.close()


@LOOPS
def test_who_has_gone_leaves_no_connection(loop: str) -> None:
    """The connection is made in the very moment in which its caller is cancelled."""

    async def use(url: str) -> None:
        parts = httpx.URL(url)
        made: list[AsyncSocket] = []

        async def make() -> Any:
            transport, protocol = await asyncio.get_running_loop().create_connection(
                AsyncSocket, parts.host, parts.port or 0
            )
            made.append(protocol)
            return transport, protocol

        making = asyncio.ensure_future(make())
        while not made:  # noqa: ASYNC110  # the very moment counts
            await asyncio.sleep(0)
        async_sockets._abandon(making)
        await asyncio.wait({making})
        await asyncio.sleep(0.05)
        assert made[0]._transport is None

    with RawServer(lambda connection, _: connection.recv(1)) as server:  # type: ignore[arg-type]  # what it returns is not used
        run(use(server.url), loop)


@LOOPS
@SECURE
def test_a_closing_connection_takes_no_request(loop: str, secure: bool, tmp_path: Path) -> None:
    of_server, trusting = contexts(tmp_path)

    async def use(url: str) -> None:
        parts = httpx.URL(url)
        made = await aconnect(parts.host, parts.port or 0, trusting if secure else None, 20.0)
        made.close()  # closed by the loop's next turn, not yet
        with pytest.raises(httpx.WriteError):
            await made.write([b"x"], 1.0)
        await asyncio.sleep(0.05)
        with pytest.raises(httpx.WriteError):
            await made.write([b"x"], 1.0)

    with serving(lambda connection, _: connection.recv(1), of_server if secure else None) as server:
        run(use(server.url), loop)


@LOOPS
def test_a_server_that_ends_tls_leaves_no_warning(loop: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    of_server, trusting = contexts(tmp_path)
    gc.collect()
    recwarn.clear()  # what other tests left open

    def serve(connection: Any, _: int) -> None:
        take_request(connection)
        connection.sendall(OK)

    async def use(url: str) -> None:
        pool = AsyncPooledTransport(lambda: trusting, LIMITS)
        for _ in range(3):
            request = httpx.Request("POST", url, content=b"{}", extensions={"timeout": WAITS})
            async with contextlib.aclosing(await pool.handle_async_request(request)) as response:
                pieces = [piece async for piece in response.stream]  # type: ignore[union-attr]  # an async stream
                assert b"".join(pieces) == b"{}"
            await asyncio.sleep(0.05)
        await pool.aclose()

    with serving(serve, of_server) as server:
        run(use(server.url), loop)
    gc.collect()
    assert [str(warning.message) for warning in recwarn if warning.category is ResourceWarning] == []


@pytest.mark.parametrize("count", [1, 64])
@pytest.mark.parametrize(("pause", "timeout"), [(0.0, None), (0.0, 60.0), (0.2, 0.5)])
def test_a_write_has_one_deadline_for_all_bytes_or_none(pause: float, timeout: float | None, count: int) -> None:
    def drain() -> None:
        while server.recv(64 * 1024):
            time.sleep(pause)

    pieces = [bytes(8 * 1024 * 1024 // count)] * count
    ours, server = socket.socketpair()
    with server:
        reader = threading.Thread(target=drain)
        reader.start()
        connection = sockets.Socket(ours)
        began = time.monotonic()
        if pause:  # each piece is taken in time, and all of them would take 25 seconds
            with pytest.raises(httpx.WriteTimeout):
                connection.write(pieces, timeout)
            assert time.monotonic() - began < 15
        else:
            connection.write(pieces, timeout)
        connection.close()
        reader.join()


def test_a_host_with_an_address_that_leads_nowhere_is_reached_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = [socket.socket() for _ in range(4)]  # the queue is full: further connections get no answer
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(nowhere.getsockname())
    with RawServer(answer_always(OK)) as server:
        port = httpx.URL(server.url).port
        infos = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", nowhere.getsockname()),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
        connect("twofold", 80, None, 2.0).close()
        infos[1:] = infos[:1] * 19
        began = time.monotonic()
        with pytest.raises(httpx.ConnectTimeout):
            connect("twentyfold", 80, None, 1.0)
        assert time.monotonic() - began < 15  # a second for all addresses together
    for open_one in (nowhere, *fillers):
        open_one.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupt_while_tls_begins_closes_nobody_elses_socket(tmp_path: Path) -> None:
    """The tracer raises at the n-th line that runs within Python's ssl, for each n, until a connection is made."""
    of_server, trusting = contexts(tmp_path)
    kept: list[BaseException] = []
    with RawServer(lambda connection, _: connection.recv(1), of_server) as server:  # type: ignore[arg-type]  # what it returns is not used
        parts = httpx.URL(server.url)
        for number in range(200):
            lines = iter(range(10_000))

            def trace(frame: Any, event: str, _: Any, lines: Any = lines, number: int = number) -> Any:
                if frame.f_code.co_filename != ssl.__file__:
                    return None
                if event == "line" and next(lines) == number:
                    raise Interrupt
                return trace

            sys.settrace(trace)
            try:
                made = connect(parts.host, parts.port or 0, trusting, 20.0)
            except Interrupt as error:
                kept.append(error)  # its frames have what was under way
            else:
                sys.settrace(None)
                made.close()
                break
            finally:
                sys.settrace(None)
            others = socket.socketpair()  # one of them has the number that has just become free
            kept.clear()
            gc.collect()
            assert [other.send(b"x") for other in others] == [1, 1]
            for other in others:
                other.close()
    assert 10 < number < 199


# Chunks


def chunked(*pieces: bytes) -> Chunked:
    body = Chunked()
    for piece in pieces:
        body.feed(piece)
    return body


@pytest.mark.parametrize("pieces", [(b"0\r\n\r\nx",), (b"0\r\n", b"\r\nx"), (b"1\r\na\r\n0\r\na: b\r\n\r\nx",)])
def test_bytes_behind_the_last_chunk_are_noticed(pieces: tuple[bytes, ...]) -> None:
    body = chunked(*pieces)
    assert (body.done, body.excess) == (True, True)


@pytest.mark.parametrize("way", OURS)
def test_bytes_behind_the_last_chunk_are_nobodys_answer(way: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    caller = Caller(way)
    with RawServer(answer_always(answer + OK.replace(b"{}", b"no"))) as server:
        assert [caller.send(server.url) for _ in range(3)] == [(200, b"{}")] * 3
        assert server.connections == 3
    caller.close()


def test_trailers_have_a_limit() -> None:
    chunked(b"0\r\n", b"x: " + b"y" * 16_000)
    with pytest.raises(httpx.RemoteProtocolError, match="too long"):
        chunked(b"0\r\n", b"x: " + b"y" * 17_000)
    with pytest.raises(httpx.RemoteProtocolError, match="too long"):
        chunked(b"0\r\n", *[b"x: y\r\n"] * 3_000)


@pytest.mark.parametrize(
    "head", [b"5\n\n", b"5\nhello\r\n", b";\n\n", b"5;a\nb\n", b"5;" + b"x" * 17_000, b"5\r\r\n", b"\r\n\r\n"]
)
def test_a_chunks_header_is_one_line(head: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="illegal chunk header"):
        chunked(head)


@pytest.mark.parametrize("digits", range(15, 21))
def test_a_chunks_size_may_have_as_many_digits_as_h11_reads(digits: int) -> None:
    body = Chunked()
    assert body.feed(b"%0*x\r\nhello\r\n0\r\n\r\n" % (digits, 5)) == b"hello"
    assert body.done
    with pytest.raises(httpx.RemoteProtocolError):
        Chunked().feed(b"%0*x\r\nhello\r\n0\r\n\r\n" % (digits + 21, 5))
    assert Chunked().feed(b"f" * digits + b"\r\nhello") == b"hello"


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\r\n\n", b"0\r\na: b\r\n\r\n", b"0\r\na: b\n\n", b"0\r\na: b\n\r\n"])
def test_the_last_chunk_ends_as_h11_reads_it(end: bytes) -> None:
    whole = b"5\r\nhello\r\n" + end
    for cut in range(len(whole) + 1):
        body = Chunked()
        assert b"".join(body.feed(piece) for piece in (whole[:cut], whole[cut:]) if piece) == b"hello"
        assert (body.done, body.excess) == (True, False)


def test_what_came_before_a_malformed_chunk_is_kept_and_the_error_follows() -> None:
    body = Chunked()
    assert body.feed(b"5\r\nhello\r\nnonsense\r\n") == b"hello"
    assert body.error is not None


@pytest.mark.parametrize("way", OURS)
@pytest.mark.parametrize("head", [b"content-length: " + b"9" * 5000, b"content-length: +2", b"content-length: 2, 3"])
def test_lengths_that_are_none(way: str, head: bytes) -> None:
    caller = Caller(way)
    with RawServer(answer_always(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n{}")) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            caller.send(server.url)
    caller.close()


@pytest.mark.parametrize("way", OURS)
def test_a_body_is_framed_once(way: str) -> None:
    caller = Caller(way)
    with RawServer(answer_always(OK)) as server:
        for value in ("chunked", "gzip"):
            with pytest.raises(httpx.LocalProtocolError):
                caller.send(server.url, Transfer_Encoding=value)
        with pytest.raises(httpx.LocalProtocolError):
            caller.send(server.url, Content_Length="1")
        assert caller.send(server.url) == (200, b"{}")
    caller.close()
