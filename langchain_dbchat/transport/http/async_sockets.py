"""Connect, read and write with a protocol of asyncio, for event loops; `sockets` does the same for threads.

It uses asyncio directly, because anyio takes a third of the time of a stream: here a read is a future and a timer. It
pauses the transport while nobody reads.

Rule 1. A forked child closes its copy of a socket and nothing else, because it shares an event loop's selector with its
parent.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, cast

import httpx

from langchain_dbchat.transport.http.addresses import first_to_answer
from langchain_dbchat.transport.http.sockets import BUFFER, FLOOD, connecting, is_readable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

__all__ = ["AsyncSocket", "aconnect"]

_HIGH_WATER = 256 * 1024  # bytes that may wait to be read before the transport is paused
# uvloop drops what a paused TLS connection holds when the server closes it, so few are ever paused there.
_HIGH_WATER_OF_UVLOOP_TLS = 16 * 1024 * 1024


class AsyncSocket(asyncio.Protocol):
    """A connection of an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._most = _HIGH_WATER
        self._reading_paused = False
        self._over = False  # no more bytes will come
        self._broken: Exception | None = None
        self._reader: asyncio.Future[bool] | None = None
        self._writer: asyncio.Future[bool] | None = None
        self._full = False  # the transport's buffer for writing
        self._due: float | None = None  # when the wait for the network is over
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)
        if not isinstance(self._loop, asyncio.BaseEventLoop) and transport.get_extra_info("ssl_object") is not None:
            self._most = _HIGH_WATER_OF_UVLOOP_TLS

    def data_received(self, data: bytes) -> None:
        """Store bytes, and wake the reader."""
        self._pieces.append(data)
        self._size += len(data)
        if self._reader is not None:
            _wake(self._reader)
        if self._size > self._most and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Note the end; asyncio then closes the transport."""
        self._over = True
        _wake(self._reader)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, and what broke the connection."""
        if self._transport is not None:
            self._transport.abort()  # on Python 3.10, a TLS transport that was not closed warns when it is collected
        self._over, self._broken, self._transport = True, exc, None
        _wake(self._reader)
        _wake(self._writer)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        """Let `write` wait."""
        self._full = True

    def resume_writing(self) -> None:
        """Let `write` continue."""
        self._full = False
        _wake(self._writer)

    async def read(self, timeout: float | None = None, gather: Callable[[], float] | None = None) -> bytes:
        """Read what has arrived, as `Socket.read`.

        Args:
            timeout: Seconds to wait for the first byte.
            gather: Called when bytes came that were waited for; returns for how many seconds to collect more.
        """
        if not self._pieces and not self._over:
            reader = self._reader = self._loop.create_future()
            self._start_timer(timeout)
            try:
                in_time = await reader
            finally:
                self._reader = self._due = None
            if not in_time:
                raise httpx.ReadTimeout("")
            rest = 0.0 if gather is None else gather()
            if rest:
                await asyncio.sleep(rest)
        if not self._pieces:
            if self._broken is not None:
                raise httpx.ReadError(str(self._broken)) from self._broken
            return b""
        data = self._take()
        if self._reading_paused and self._size <= self._most and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    def _take(self) -> bytes:
        """Take what has come, but no more than a large read: the caller works through it before the loop goes on."""
        count = len(self._pieces)
        if self._size > FLOOD:
            sizes = list(accumulate(map(len, self._pieces)))
            count = max(1, bisect_right(sizes, FLOOD))
        data = b"".join(self._pieces[:count])  # of one piece, this is that piece and no copy
        del self._pieces[:count]
        self._size -= len(data)
        return data

    async def write(self, pieces: Iterable[bytes], timeout: float | None = None) -> None:
        """Write all bytes, as `Socket.write`."""
        if self._transport is None or self._transport.is_closing():
            raise httpx.WriteError(str(self._broken or "the connection is closed")) from self._broken
        for piece in pieces:
            self._transport.write(piece)
        if self._full:
            writer = self._writer = self._loop.create_future()
            self._start_timer(timeout)
            try:
                in_time = await writer
            finally:
                self._writer = self._due = None
            if not in_time:
                raise httpx.WriteTimeout("")
            if self._broken is not None:
                raise httpx.WriteError(str(self._broken)) from self._broken

    def _start_timer(self, seconds: float | None) -> None:
        """Wake the waiting reader or writer after so many seconds.

        A stream waits for each of its events. The timer of an earlier wait is not cancelled: when it fires, it checks
        the time, and starts again if it is too early. So many reads need one timer.
        """
        if seconds is None:
            return
        self._due = due = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._on_timer)
            return
        _wake(self._reader, in_time=False)
        _wake(self._writer, in_time=False)

    def close(self) -> None:
        """Close at once; bytes that were not sent are lost."""
        if self._transport is not None and not self._loop.is_closed() and self._pid == os.getpid():
            self._transport.abort()

    def is_stale(self) -> bool:
        """Return whether the server has closed the idle connection, or sent bytes that nobody asked for."""
        transport = self._transport
        if transport is None or self._over or self._pieces or transport.is_closing():
            return True
        connected = transport.get_extra_info("socket")  # none where Python 3.10 has lost it and not yet told
        # The loop may not have polled since, for example after code that blocked it.
        return connected is None or is_readable(connected)


class _PlainSocket(AsyncSocket, asyncio.BufferedProtocol):
    """A connection without TLS, which gives the loop a buffer to read into.

    Without it, the loop allocates 256 KiB for each read. It is not used with TLS: when a server closes the connection,
    asyncio fills the buffer of such a protocol once, and drops the other bytes that had arrived.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffer = memoryview(bytearray(BUFFER))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Store a copy of what was read into it."""
        self.data_received(bytes(self._buffer[:nbytes]))
        most = FLOOD if nbytes >= BUFFER else BUFFER
        if most != len(self._buffer):
            self._buffer = memoryview(bytearray(most))


async def aconnect(
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    timeout: float | None,
    name: str | None = None,
) -> AsyncSocket:
    """Connect, as `connect`, in an event loop."""
    making = asyncio.get_running_loop().create_task(_make(host, port, context, name))
    try:
        done, _ = await asyncio.wait({making}, timeout=timeout)
    except BaseException:
        _abandon(making)
        raise
    if not done:
        _abandon(making)
        raise httpx.ConnectTimeout("")
    with connecting():
        return making.result()[1]


async def _make(
    host: str, port: int, context: ssl.SSLContext | None, name: str | None
) -> tuple[asyncio.Transport, AsyncSocket]:
    connected = await first_to_answer(host, port)
    loop = asyncio.get_running_loop()
    if context is None:
        return await loop.create_connection(_PlainSocket, sock=connected)
    return await loop.create_connection(AsyncSocket, sock=connected, ssl=context, server_hostname=name or host)


def _abandon(making: asyncio.Task[tuple[asyncio.Transport, AsyncSocket]]) -> None:
    """Cancel the making of a connection, and close it if it has been made at the same moment."""

    def discard(made: asyncio.Task[tuple[asyncio.Transport, AsyncSocket]]) -> None:
        if not made.cancelled() and made.exception() is None:
            made.result()[1].close()

    making.cancel()
    making.add_done_callback(discard)


def _wake(waiter: asyncio.Future[bool] | None, *, in_time: bool = True) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(in_time)
