"""A pool of connections whose cost does not grow with their number, for threads and for event loops.

httpx's own pool looks at all its connections for every request and every answer, which is quadratic under load: at 100
calls at once, one call costs ten times as much. Here `ConnectionPool` decides who may use which connection, and keeps
idle ones on stacks. The two transports implement httpx's public interface (`BaseTransport.handle_request` and
`AsyncBaseTransport.handle_async_request`), so they can be given to any httpx client. They support what our own clients
send: HTTP/1.1 without a proxy, one request at a time on a connection (never pipelined), with a body that is known as a
whole.

What is done with a request is written once (see `blocking`); the two transports differ in how they wait.

Rule 1. Code that a finalizer runs takes no lock, because the thread that it interrupted may hold it (see
`ConnectionPool.give`).
Rule 2. After a fork, the child uses nothing of what it inherited: a lock may be held by a thread that does not exist in
the child, and the sockets are the parent's. The child begins with an empty pool.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

import httpx

from langchain_dbchat.transport.bare_threads import in_thread
from langchain_dbchat.transport.blocking import finish
from langchain_dbchat.transport.http.async_sockets import AsyncSocket, aconnect
from langchain_dbchat.transport.http.bodies import AsyncBody, SyncBody, deadline_of
from langchain_dbchat.transport.http.http11 import Head, HeadReader, write_request
from langchain_dbchat.transport.http.pool import ConnectionPool, PooledConnection, Waiter
from langchain_dbchat.transport.http.sockets import Socket, connect

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from langchain_dbchat.transport.http.pool import Origin

__all__ = ["AsyncPooledTransport", "PooledTransport"]

_PORTS = {"http": 80, "https": 443}
_LOOK = 0.5  # seconds after which a waiter looks for slots that were lost


_Connection = TypeVar("_Connection", Socket, AsyncSocket)


class _Sends(ABC, Generic[_Connection]):
    """Sends requests on the connections of a pool; the methods that it awaits block, or suspend a task."""

    _pool: ConnectionPool[_Connection]
    _pid: int
    _body: type[SyncBody | AsyncBody]
    _read: Callable[[_Connection, float | None], Awaitable[bytes]]
    _write: Callable[[_Connection, list[bytes], float | None], Awaitable[None]]

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its answer."""
        origin, name, waits = _where(request)
        deadline = deadline_of(request)
        reader, pieces = write_request(request)
        slot = self._take(origin, request) or await self._wait(origin, request, waits.get("pool"))
        try:
            if slot.is_doubtful:
                await self._look(slot)
            if not slot.cell:
                slot.cell.append(await self._connect(origin, waits.get("connect"), name))
            connection = slot.cell[0]
            late = None
            try:
                await self._write(connection, pieces, waits.get("write"))
            except httpx.WriteError as error:  # the server may have answered before it read everything, and closed
                late = error
            deadline.sent()
            head = None
            while head is None:
                head = _feed(reader, await self._read(connection, deadline.left()), late)
            return _response(request, head, self._body(head, request, slot, self._give))
        except BaseException:
            slot.close()
            self._give(slot)
            raise

    @abstractmethod
    def _take(self, origin: Origin, request: httpx.Request) -> PooledConnection[_Connection] | None:
        """Take a slot of the pool; None if it has none."""

    @abstractmethod
    async def _wait(
        self, origin: Origin, request: httpx.Request, timeout: float | None
    ) -> PooledConnection[_Connection]:
        """Wait for a slot of the pool."""

    @abstractmethod
    async def _look(self, slot: PooledConnection[_Connection]) -> None:
        """Check a connection again: time has passed since the pool did, and some are watched for a moment."""

    @abstractmethod
    async def _connect(self, origin: Origin, timeout: float | None, name: str | None) -> _Connection:
        """Open a connection to a server, which may have another name for TLS."""

    def _give(self, slot: PooledConnection[_Connection], *, excess: bool = False) -> None:
        """Give a slot back to the pool."""
        if self._pid != os.getpid():
            slot.close()  # this process's end of the parent's socket; nothing is sent
            return
        if excess:
            self._pool.distrust(slot.origin)
        self._pool.give(slot)


class PooledTransport(_Sends[Socket], httpx.BaseTransport):
    """The pool for threads.

    Args:
        context: Returns the TLS context; called when a server needs TLS.
        limits: The maximum numbers of connections.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], limits: httpx.Limits) -> None:
        self._context = context
        self._limits = limits
        self._read, self._write, self._body = _read, _write, SyncBody
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pool: ConnectionPool[Socket] = ConnectionPool(self._limits)
        self._is_closing = False  # the pool was to be closed while its lock was held
        self._pid = os.getpid()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its answer (the method that httpx calls)."""
        return finish(self._send(request))

    def end(self, request: httpx.Request) -> None:
        """Note that an exception has ended the call of a request: what it has left in the pool is lost."""
        if self._pid == os.getpid():
            self._pool.end(request)

    def _take(self, origin: Origin, request: httpx.Request) -> PooledConnection[Socket] | None:
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            slot = self._pool.take(origin, request)
        if self._is_closing:
            self.close()
        return slot

    async def _look(self, slot: PooledConnection[Socket]) -> None:
        if slot.cell:
            self._pool.judge(slot, stale=slot.cell[0].is_stale(self._pool.watch(slot)))

    async def _connect(self, origin: Origin, timeout: float | None, name: str | None) -> Socket:
        context = self._context() if origin[0] == "https" else None
        return connect(origin[1], origin[2], context, timeout, name)

    async def _wait(self, origin: Origin, request: httpx.Request, timeout: float | None) -> PooledConnection[Socket]:
        # A finalizer may put into a SimpleQueue at any time and in any thread; an Event takes a lock.
        inbox: queue.SimpleQueue[PooledConnection[Socket] | None] = queue.SimpleQueue()
        waiter: Waiter[Socket] = Waiter(origin, request, inbox.put)
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

    def close(self) -> None:
        """Close the idle connections; those in use are closed by the requests that use them.

        A signal handler may call it while its own thread holds the lock: then that thread closes them when it has
        released the lock.
        """
        self._is_closing = self._pid == os.getpid()
        if self._is_closing and self._lock.acquire(blocking=False):
            try:
                self._is_closing = False
                self._pool.clear()
            finally:
                self._lock.release()


async def _read(connection: Socket, timeout: float | None) -> bytes:
    return connection.read(timeout)


async def _write(connection: Socket, pieces: list[bytes], timeout: float | None) -> None:
    connection.write(pieces, timeout)


def _next_in(
    inbox: queue.SimpleQueue[PooledConnection[Socket] | None], until: float
) -> PooledConnection[Socket] | None:
    """Wait for a slot, for None (there may be a slot), or until it is time to look for lost slots."""
    left = until - time.monotonic()
    try:
        return inbox.get(timeout=min(max(left, 0.0), _LOOK))
    except queue.Empty:
        if left > _LOOK:
            return None
        raise httpx.PoolTimeout("") from None


class AsyncPooledTransport(_Sends[AsyncSocket], httpx.AsyncBaseTransport):
    """The pool for one event loop; otherwise as `PooledTransport`.

    Args:
        context: Returns the TLS context; called in a thread when a server needs TLS.
        limits: The maximum numbers of connections.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], limits: httpx.Limits) -> None:
        self._context = context
        self._read, self._write, self._body = AsyncSocket.read, AsyncSocket.write, AsyncBody
        self._made: ssl.SSLContext | None = None
        self._pool: ConnectionPool[AsyncSocket] = ConnectionPool(limits)
        self._pid = os.getpid()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of its answer (the method that httpx calls)."""
        return await self._send(request)

    def _take(self, origin: Origin, request: httpx.Request) -> PooledConnection[AsyncSocket] | None:
        return self._pool.take(origin, request)

    async def _look(self, slot: PooledConnection[AsyncSocket]) -> None:
        wait = self._pool.watch(slot)
        if wait:
            await asyncio.sleep(wait)
        if slot.cell:
            self._pool.judge(slot, stale=slot.cell[0].is_stale())

    async def _connect(self, origin: Origin, timeout: float | None, name: str | None) -> AsyncSocket:
        if origin[0] == "https" and self._made is None:
            self._made = await in_thread(self._context)
        return await aconnect(origin[1], origin[2], self._made if origin[0] == "https" else None, timeout, name)

    async def _wait(
        self, origin: Origin, request: httpx.Request, timeout: float | None
    ) -> PooledConnection[AsyncSocket]:
        given: asyncio.Future[PooledConnection[AsyncSocket]] = asyncio.get_running_loop().create_future()
        slot: PooledConnection[AsyncSocket] | None = None

        def call(offered: PooledConnection[AsyncSocket] | None) -> None:
            if offered is None:
                self._pool.settle()
            elif not given.done():
                given.set_result(offered)

        waiter: Waiter[AsyncSocket] = Waiter(origin, request, call)
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

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed by the requests that use them."""
        if self._pid == os.getpid():
            self._pool.clear()
            await asyncio.sleep(0)  # the loop closes the sockets in its next turn


def _where(request: httpx.Request) -> tuple[Origin, str | None, dict[str, float | None]]:
    """Return the server of a request, the name for TLS if it differs from the host, and the timeouts."""
    url = request.url
    port = url.port or _PORTS.get(url.scheme)
    if port is None or not url.host:
        raise httpx.UnsupportedProtocol("Request URL is missing an 'http://' or 'https://' protocol.")
    extensions = request.extensions
    name: str | None = extensions.get("sni_hostname")
    return (url.scheme, url.raw_host.decode("ascii"), port), name, extensions.get("timeout", {})


def _feed(reader: HeadReader, data: bytes, late: httpx.WriteError | None) -> Head | None:
    """Read the head; if there is none because the request could not be sent completely, raise that error."""
    try:
        return reader.feed(data)
    except httpx.RemoteProtocolError:
        if late is not None and not data:
            raise late from None
        raise


def _response(request: httpx.Request, head: Head, stream: SyncBody | AsyncBody) -> httpx.Response:
    extensions = {
        "http_version": head.version,
        "reason_phrase": head.reason,
        "deadline": True,  # the request's `deadline` was asked before each read
    }
    return httpx.Response(head.status, headers=head.headers, stream=stream, extensions=extensions, request=request)
