"""A pool of connections whose cost does not grow with their number.

httpx's own pool walks all its connections for every request and every answer, which is quadratic under load: 100
calls at once cost ten times what one call costs. Here `ConnectionPool` keeps idle connections on stacks, and decides
who may use which. The two transports are httpx's public interface (`BaseTransport.handle_request` and
`AsyncBaseTransport.handle_async_request`), so that anything that takes an httpx client takes them.
They serve what our own clients send: HTTP/1.1 without a proxy, one request at a time on a connection (never pipelined),
with a body that is known as a whole.

Rule 1. How long a read may take is asked before each read. The extension ``pace`` of a request says it; without one,
the timeout ``read`` of httpx bounds each read by itself, as in httpx.

Rule 2. What a finalizer does takes no lock, because the thread that it runs in may hold it (see `ConnectionPool.give`).

Rule 3. A child after a fork takes nothing of what it inherited: a lock may be held by a thread that does not exist
there, and the sockets are the parent's. It begins with an empty pool.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from langchain_dbchat.transport.http.http11 import Head, HeadReader, wants_close, write_request
from langchain_dbchat.transport.http.pool import ConnectionPool, PooledConnection, Waiter
from langchain_dbchat.transport.http.sockets import AsyncSocket, Socket, aconnect, connect

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from langchain_dbchat.transport.http.pool import Origin

__all__ = ["AsyncPooledTransport", "PooledTransport"]

_READ = 64 * 1024  # bytes of one read, as in httpx
_PORTS = {"http": 80, "https": 443}
_LOOK = 0.5  # seconds after which somebody in line looks for slots that were lost


class _Deadline(Protocol):
    """How long the reads of an answer may take."""

    def sent(self) -> None:
        """Note that the request has been sent."""

    def left(self) -> float | None:
        """Return how long the next read may take, in seconds; None for ever. Raise ReadTimeout if the time is up."""


class _Give(Protocol):
    """Takes a slot back."""

    def __call__(self, slot: PooledConnection[Any], *, honest: bool = True) -> None:
        """Take it; `honest` is False if the server said more than it was asked."""


class _EachRead:
    """httpx's own meaning of a read timeout: it bounds each read, and may be changed while a body is open."""

    __slots__ = ("_waits",)

    def __init__(self, waits: dict[str, float | None]) -> None:
        self._waits = waits

    def sent(self) -> None:
        pass

    def left(self) -> float | None:
        return self._waits.get("read")


class _Body:
    """What the sync and the async body of an answer share."""

    def __init__(self, head: Head, request: httpx.Request, slot: PooledConnection[Any], give: _Give) -> None:
        self._head = head
        self._left = _pace_of(request).left
        self._keeps = head.keeps and not wants_close(request.headers.raw)
        self._slot: PooledConnection[Any] | None = slot
        self._connection = slot.cell[0]
        self._give = give
        self._ended = False  # whoever iterates has been told of the end
        self._closed = False

    def _first(self) -> bytes:
        head = self._head
        if head.body.done:
            head.body.excess = bool(head.rest)
            return b""
        return head.body.feed(head.rest) if head.rest else b""

    def _give_back(self) -> None:
        """Give the connection back if the answer was read to its end, else close it."""
        slot, self._slot = self._slot, None  # once: a connection that is given back twice would have two users
        if slot is None:
            return
        if not (self._keeps and self._ended and not self._head.body.excess):
            self._closed = True
            slot.close()
        self._give(slot, honest=not self._head.body.excess)


class _SyncBody(_Body, httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        body, connection, left = self._head.body, self._connection, self._left
        try:
            piece = self._first()
            if piece:
                yield piece
            while not body.done:
                if body.error is not None:
                    raise body.error  # noqa: TRY301  # the end of the body, as any other error
                piece = body.feed(connection.read(_READ, left()))
                if piece:
                    yield piece
            self._ended = True
        except BaseException:
            self._give_back()
            raise

    def close(self) -> None:
        self._give_back()


class _AsyncBody(_Body, httpx.AsyncByteStream):
    """Not an async generator: the end of a loop closes those in any order, and beside whoever closes this body."""

    _began = False

    def __aiter__(self) -> _AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        body, connection, left = self._head.body, self._connection, self._left
        try:
            if not self._began:
                self._began = True
                piece = self._first()
                if piece:
                    return piece
            while not body.done:
                if body.error is not None:
                    raise body.error  # noqa: TRY301  # the end of the body, as any other error
                piece = body.feed(await connection.read(_READ, left()))
                if piece:
                    return piece
            self._ended = True
        except BaseException:
            self._give_back()
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._give_back()
        if self._closed:
            await asyncio.sleep(0)  # the loop closes the socket in its next turn


class PooledTransport(httpx.BaseTransport):
    """The pool for threads.

    Args:
        context: Gives the TLS context; asked when a server is called that needs it.
        limits: How many connections.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], limits: httpx.Limits) -> None:
        self._context = context
        self._limits = limits
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pool: ConnectionPool[Socket] = ConnectionPool(self._limits)
        self._is_closing = False  # somebody wanted to close the pool while it was busy
        self._pid = os.getpid()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read the head of its answer; httpx's hook."""
        origin, name, waits = _where(request)
        pace = _pace_of(request)
        reader, data = write_request(request)
        slot = self._take(origin, waits.get("pool"))
        try:
            if slot.is_doubtful:
                self._look(slot)
            if not slot.cell:
                context = self._context() if origin[0] == "https" else None
                slot.cell.append(connect(origin[1], origin[2], context, waits.get("connect"), name))
            connection = slot.cell[0]
            late = None
            try:
                connection.write(data, waits.get("write"))
            except httpx.WriteError as error:  # the server may have refused early, and said why
                late = error
            pace.sent()
            head = None
            while head is None:
                head = _read(reader, connection.read(_READ, pace.left()), late)
            return _response(head, _SyncBody(head, request, slot, self._give), connection)
        except BaseException:
            slot.close()
            self._give(slot)
            raise

    def _take(self, origin: Origin, timeout: float | None) -> PooledConnection[Socket]:
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            slot = self._pool.take(origin)
        if self._is_closing:
            self.close()
        return self._wait(origin, timeout) if slot is None else slot

    def _look(self, slot: PooledConnection[Socket]) -> None:
        """Look at a connection: somebody who waited in line took it a moment ago, and some have to be watched."""
        if slot.cell:
            self._pool.judge(slot, stale=slot.cell[0].is_stale(self._pool.watch(slot)))

    def _wait(self, origin: Origin, timeout: float | None) -> PooledConnection[Socket]:
        # A SimpleQueue may be put to by a finalizer, at any time and in any thread; an Event may not.
        inbox: queue.SimpleQueue[PooledConnection[Socket] | None] = queue.SimpleQueue()
        waiter: Waiter[Socket] = Waiter(origin, inbox.put)
        until = math.inf if timeout is None else time.monotonic() + timeout
        try:
            with self._lock:
                self._pool.line_up(waiter)
            while True:
                slot = _next_in(inbox, until)
                if slot is not None:
                    return slot
                with self._lock:
                    self._pool.settle()
        finally:
            with self._lock:
                self._pool.leave(waiter)
            if self._is_closing:
                self.close()
            while not inbox.empty():
                unused = inbox.get_nowait()
                if unused is not None:
                    self._give(unused)

    def _give(self, slot: PooledConnection[Socket], *, honest: bool = True) -> None:
        if self._pid == os.getpid():
            if not honest:
                self._pool.distrust(slot.origin)
            self._pool.give(slot)
        else:
            slot.close()  # this process's end of the parent's socket; nothing is sent

    def close(self) -> None:
        """Close the idle connections; those in use are closed by whoever uses them.

        A signal handler may call it while its own thread holds the lock: then that thread does it after it has let go.
        """
        self._is_closing = self._pid == os.getpid()
        if self._is_closing and self._lock.acquire(blocking=False):
            try:
                self._is_closing = False
                self._pool.clear()
            finally:
                self._lock.release()


def _next_in(
    inbox: queue.SimpleQueue[PooledConnection[Socket] | None], until: float
) -> PooledConnection[Socket] | None:
    """Wait for a slot, for None, which says that there may be one, or for the time to look."""
    left = until - time.monotonic()
    try:
        return inbox.get(timeout=min(max(left, 0.0), _LOOK))
    except queue.Empty:
        if left > _LOOK:
            return None
        raise httpx.PoolTimeout("") from None


class AsyncPooledTransport(httpx.AsyncBaseTransport):
    """The pool for one event loop; as `PooledTransport`.

    Args:
        context: Gives the TLS context; asked in a thread when a server is called that needs it.
        limits: How many connections.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], limits: httpx.Limits) -> None:
        self._context = context
        self._made: ssl.SSLContext | None = None
        self._pool: ConnectionPool[AsyncSocket] = ConnectionPool(limits)
        self._pid = os.getpid()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read the head of its answer; httpx's hook."""
        origin, name, waits = _where(request)
        pace = _pace_of(request)
        reader, data = write_request(request)
        slot = await self._take(origin, waits.get("pool"))
        try:
            if slot.is_doubtful:
                await self._look(slot)
            if not slot.cell:
                if origin[0] == "https" and self._made is None:
                    self._made = await asyncio.to_thread(self._context)
                context = self._made if origin[0] == "https" else None
                slot.cell.append(await aconnect(origin[1], origin[2], context, waits.get("connect"), name))
            connection = slot.cell[0]
            late = None
            try:
                await connection.write(data, waits.get("write"))
            except httpx.WriteError as error:  # the server may have refused early, and said why
                late = error
            pace.sent()
            head = None
            while head is None:
                head = _read(reader, await connection.read(_READ, pace.left()), late)
            return _response(head, _AsyncBody(head, request, slot, self._give), connection)
        except BaseException:
            slot.close()
            self._give(slot)
            raise

    async def _take(self, origin: Origin, timeout: float | None) -> PooledConnection[AsyncSocket]:
        slot = self._pool.take(origin)
        return await self._wait(origin, timeout) if slot is None else slot

    async def _look(self, slot: PooledConnection[AsyncSocket]) -> None:
        """Look at a connection; as in `PooledTransport`."""
        wait = self._pool.watch(slot)
        if wait:
            await asyncio.sleep(wait)
        if slot.cell:
            self._pool.judge(slot, stale=slot.cell[0].is_stale())

    async def _wait(self, origin: Origin, timeout: float | None) -> PooledConnection[AsyncSocket]:
        given: asyncio.Future[PooledConnection[AsyncSocket]] = asyncio.get_running_loop().create_future()
        slot: PooledConnection[AsyncSocket] | None = None

        def call(offered: PooledConnection[AsyncSocket] | None) -> None:
            if offered is not None and not given.done():
                given.set_result(offered)

        waiter: Waiter[AsyncSocket] = Waiter(origin, call)
        until = math.inf if timeout is None else time.monotonic() + timeout
        try:
            self._pool.line_up(waiter)
            while not given.done():
                left = until - time.monotonic()
                await asyncio.wait({given}, timeout=min(max(left, 0.0), _LOOK))
                if not given.done() and left <= _LOOK:
                    raise httpx.PoolTimeout("")
                self._pool.settle()
            slot = given.result()
        finally:
            self._pool.leave(waiter)
            if slot is None and given.done():
                self._give(given.result())
        return slot

    def _give(self, slot: PooledConnection[AsyncSocket], *, honest: bool = True) -> None:
        if self._pid == os.getpid():  # a child shares even the loop's selector with its parent
            if not honest:
                self._pool.distrust(slot.origin)
            self._pool.give(slot)
            self._pool.settle()

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed by whoever uses them."""
        if self._pid == os.getpid():
            self._pool.clear()
            await asyncio.sleep(0)  # a transport is closed by the loop's next turn


def _pace_of(request: httpx.Request) -> _Deadline:
    pace: _Deadline | None = request.extensions.get("pace")
    return _EachRead(request.extensions.get("timeout", {})) if pace is None else pace


def _where(request: httpx.Request) -> tuple[Origin, str | None, dict[str, float | None]]:
    """Return where a request goes, the name its TLS asks for, and how long to wait for what."""
    url = request.url
    port = url.port or _PORTS.get(url.scheme)
    if port is None or not url.host:
        raise httpx.UnsupportedProtocol("Request URL is missing an 'http://' or 'https://' protocol.")
    extensions = request.extensions
    name: str | None = extensions.get("sni_hostname")
    return (url.scheme, url.raw_host.decode("ascii"), port), name, extensions.get("timeout", {})


def _read(reader: HeadReader, data: bytes, late: httpx.WriteError | None) -> Head | None:
    """Read the head; where there is none because the request did not leave us whole, that is the error."""
    try:
        return reader.feed(data)
    except httpx.RemoteProtocolError:
        if late is not None and not data:
            raise late from None
        raise


def _response(head: Head, stream: _SyncBody | _AsyncBody, connection: Socket | AsyncSocket) -> httpx.Response:
    extensions = {
        "http_version": head.version,
        "reason_phrase": head.reason,
        "network_stream": connection,
        "paced": True,  # the request's `pace` was asked before each read
    }
    return httpx.Response(head.status, headers=head.headers, stream=stream, extensions=extensions)
