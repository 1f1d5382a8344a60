"""A pool of connections whose cost does not grow with their number.

httpx's own pool walks all its connections for every request and every answer, which is quadratic under load: 100
calls at once cost ten times what one call costs. Here idle connections of a host lie on a stack: the one used last,
which is the least likely to have been closed, is on top, the one to expire first at the bottom.

`Shelf` decides and knows neither threads nor loops: whoever wants a connection is given an idle one, or the right to
open one, or has to wait in line; whatever is given back goes to the first in line. The two transports are httpx's
public extension point, so that anything that takes an httpx client takes them. They serve what our own clients send:
HTTP/1.1 without a proxy, one request at a time on a connection (never pipelined), with a body that is known as a whole.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import httpx

from langchain_dbchat.transport.http11 import Head, HeadReader, wants_close, write_request
from langchain_dbchat.transport.sockets import AsyncSocket, Socket, aconnect, connect

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["AsyncFreeList", "FreeList", "Shelf"]

_READ = 64 * 1024  # bytes of one read, as in httpx
_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


class _Closable(Protocol):
    def close(self) -> None: ...

    def is_stale(self) -> bool: ...


_C = TypeVar("_C", bound=_Closable)


class Ticket(Generic[_C]):
    """A place in the line, and what is given to it: a connection, or the right to open one.

    Args:
        origin: The server it is for.
        call: Called, without arguments, when something has been given.
    """

    __slots__ = ("call", "connection", "given", "origin")

    def __init__(self, origin: Origin, call: Callable[[], object]) -> None:
        self.origin = origin
        self.call = call
        self.given = False
        self.connection: _C | None = None


class Shelf(Generic[_C]):
    """Who may use which connection.

    Args:
        limits: How many there may be, how many of them idle, and for how long.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, limits: httpx.Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = limits.max_connections
        self._most_idle = limits.max_keepalive_connections
        self._expiry = limits.keepalive_expiry
        self._clock = clock
        self._idle: OrderedDict[Origin, deque[tuple[float, _C]]] = OrderedDict()  # by last return
        self._line: deque[Ticket[_C]] = deque()
        self.idle = 0
        self.total = 0  # idle ones, those in use, and rights to open one

    def take(self, ticket: Ticket[_C]) -> None:
        """Give an idle connection or the right to open one, or put the ticket in the line."""
        stack = self._idle.get(ticket.origin)
        while stack:
            since, connection = stack.pop()
            self.idle -= 1
            if not self._has_expired(since) and not connection.is_stale():
                ticket.given, ticket.connection = True, connection
                break
            self.total -= 1
            connection.close()
        if stack is not None and not stack:
            del self._idle[ticket.origin]
        if ticket.given:
            return
        if self._most is not None and self.total >= self._most and not self._drop_oldest():
            self._line.append(ticket)
            return
        self.total += 1
        ticket.given = True

    def put(self, origin: Origin, connection: _C | None) -> None:
        """Take a connection back, or None if it was closed.

        Args:
            origin: Its server.
            connection: The connection, ready for another request.
        """
        while self._line:
            ticket = self._line.popleft()
            if connection is not None and ticket.origin != origin:
                connection.close()
                connection = None
            ticket.given, ticket.connection = True, connection
            ticket.call()
            return
        if connection is None:
            self.total -= 1
            return
        self._idle.setdefault(origin, deque()).append((self._clock(), connection))
        self._idle.move_to_end(origin)
        self.idle += 1
        if self._most_idle is not None and self.idle > self._most_idle:
            self._drop_oldest()
        self._drop_expired()

    def leave(self, ticket: Ticket[_C]) -> None:
        """Leave the line; what was given meanwhile goes to the next."""
        if ticket.given:
            self.put(ticket.origin, ticket.connection)
        else:
            self._line.remove(ticket)

    def clear(self) -> None:
        """Close all idle connections."""
        while self._drop_oldest():
            pass

    def _has_expired(self, since: float) -> bool:
        return self._expiry is not None and self._clock() - since > self._expiry

    def _drop_expired(self) -> None:
        """Close what has expired, at the bottom of the stack that was used least recently."""
        while self._idle:
            stack = next(iter(self._idle.values()))
            if not self._has_expired(stack[0][0]):
                return
            self._drop_oldest()

    def _drop_oldest(self) -> bool:
        """Close the idle connection at the bottom of the stack that was used least recently, if there is one."""
        if not self._idle:
            return False
        origin, stack = next(iter(self._idle.items()))
        stack.popleft()[1].close()
        self.idle -= 1
        self.total -= 1
        if not stack:
            del self._idle[origin]
        return True


class _Body:
    """What the sync and the async body of an answer share."""

    def __init__(self, head: Head, request: httpx.Request, connection: Any, put: Callable[[Any], None]) -> None:
        self._head = head
        self._waits = request.extensions.get("timeout", {})
        self._keeps = head.keeps and not wants_close(request.headers.raw)
        self._connection = connection
        self._put = put
        self._ended = False  # whoever iterates has been told of the end
        self._returned = self._closed = False

    def _first(self) -> bytes:
        head = self._head
        if head.body.done:
            head.body.excess = bool(head.rest)
            return b""
        return head.body.feed(head.rest) if head.rest else b""

    def _give_back(self) -> None:
        """Give the connection back if the answer was read to its end, else close it."""
        if self._returned:
            return
        self._returned = True
        if self._keeps and self._ended and not self._head.body.excess:
            self._put(self._connection)
        else:
            self._closed = True
            self._connection.close()
            self._put(None)


class _SyncBody(_Body, httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        body, connection, waits = self._head.body, self._connection, self._waits
        try:
            piece = self._first()
            if piece:
                yield piece
            while not body.done:
                piece = body.feed(connection.read(_READ, waits.get("read")))
                if piece:
                    yield piece
            self._ended = True
        except BaseException:
            self._give_back()
            raise

    def close(self) -> None:
        self._give_back()


class _AsyncBody(_Body, httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        body, connection, waits = self._head.body, self._connection, self._waits
        try:
            piece = self._first()
            if piece:
                yield piece
            while not body.done:
                piece = body.feed(await connection.read(_READ, waits.get("read")))
                if piece:
                    yield piece
            self._ended = True
        except BaseException:
            self._give_back()
            raise

    async def aclose(self) -> None:
        self._give_back()
        if self._closed:
            await asyncio.sleep(0)  # the loop closes the socket in its next turn


class FreeList(httpx.BaseTransport):
    """The pool for threads.

    Args:
        context: Gives the TLS context; asked when a server is called that needs it.
        limits: How many connections.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], limits: httpx.Limits) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._shelf: Shelf[Socket] = Shelf(limits)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read the head of its answer; httpx's hook."""
        origin, name, waits = _where(request)
        reader, data = write_request(request)
        connection = self._take(origin, waits.get("pool"))
        try:
            if connection is None:
                context = self._context() if origin[0] == "https" else None
                connection = connect(origin[1], origin[2], context, waits.get("connect"), name)
            late = None
            try:
                connection.write(data, waits.get("write"))
            except httpx.WriteError as error:  # the server may have refused early, and said why
                late = error
            head = None
            while head is None:
                head = _read(reader, connection.read(_READ, waits.get("read")), late)
        except BaseException:
            if connection is not None:
                connection.close()
            self._put(origin, None)
            raise
        return _response(head, _SyncBody(head, request, connection, lambda given: self._put(origin, given)), connection)

    def _take(self, origin: Origin, timeout: float | None) -> Socket | None:
        given = threading.Event()
        ticket: Ticket[Socket] = Ticket(origin, given.set)
        with self._lock:
            self._shelf.take(ticket)
        if not ticket.given:
            try:
                in_time = given.wait(timeout)
            except BaseException:
                with self._lock:
                    self._shelf.leave(ticket)
                raise
            if not in_time:
                with self._lock:
                    if not ticket.given:
                        self._shelf.leave(ticket)
                        raise httpx.PoolTimeout("")
        return ticket.connection

    def _put(self, origin: Origin, connection: Socket | None) -> None:
        with self._lock:
            self._shelf.put(origin, connection)

    def close(self) -> None:
        """Close the idle connections; those in use are closed by whoever uses them."""
        with self._lock:
            self._shelf.clear()


class AsyncFreeList(httpx.AsyncBaseTransport):
    """The pool for one event loop; as `FreeList`.

    Args:
        context: Gives the TLS context; asked in a thread when a server is called that needs it.
        limits: How many connections.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], limits: httpx.Limits) -> None:
        self._context = context
        self._made: ssl.SSLContext | None = None
        self._shelf: Shelf[AsyncSocket] = Shelf(limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read the head of its answer; httpx's hook."""
        origin, name, waits = _where(request)
        reader, data = write_request(request)
        connection = await self._take(origin, waits.get("pool"))
        try:
            if connection is None:
                if origin[0] == "https" and self._made is None:
                    self._made = await asyncio.to_thread(self._context)
                context = self._made if origin[0] == "https" else None
                connection = await aconnect(origin[1], origin[2], context, waits.get("connect"), name)
            late = None
            try:
                await connection.write(data, waits.get("write"))
            except httpx.WriteError as error:  # the server may have refused early, and said why
                late = error
            head = None
            while head is None:
                head = _read(reader, await connection.read(_READ, waits.get("read")), late)
        except BaseException:
            if connection is not None:
                connection.close()
            self._shelf.put(origin, None)
            raise
        put = self._shelf.put
        return _response(head, _AsyncBody(head, request, connection, lambda given: put(origin, given)), connection)

    async def _take(self, origin: Origin, timeout: float | None) -> AsyncSocket | None:
        given: asyncio.Future[bool] | None = None

        def call() -> None:
            if given is not None and not given.done():
                given.set_result(True)

        ticket: Ticket[AsyncSocket] = Ticket(origin, call)
        self._shelf.take(ticket)
        if not ticket.given:
            given = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait({given}, timeout=timeout)
            except BaseException:
                self._shelf.leave(ticket)
                raise
            if not ticket.given:
                self._shelf.leave(ticket)
                raise httpx.PoolTimeout("")
        return ticket.connection

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed by whoever uses them."""
        self._shelf.clear()
        await asyncio.sleep(0)  # a transport is closed by the loop's next turn


def _where(request: httpx.Request) -> tuple[Origin, str | None, dict[str, float | None]]:
    """Say where a request goes, the name its TLS asks for, and how long to wait for what."""
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
    extensions = {"http_version": head.version, "reason_phrase": head.reason, "network_stream": connection}
    return httpx.Response(head.status, headers=head.headers, stream=stream, extensions=extensions)
