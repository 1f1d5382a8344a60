"""The body of an answer on a pooled connection, read piece by piece.

Rule 1. How long a read may take is asked before each read. The extension ``deadline`` of a request decides; without it,
the timeout ``read`` of httpx bounds each read by itself, as in httpx. The extension ``gather``, which may be set until
the first read, lets reads of an event loop collect more (see `AsyncSocket.read`). The extension ``streaming`` says that
events are read, of which a thread may take more at once.
Rule 2. A connection is given back when the answer was read to its end and nothing follows it; otherwise it is closed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from langchain_dbchat.transport.http.http11 import wants_close
from langchain_dbchat.transport.http.sockets import BUFFER, FLOOD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_dbchat.transport.http.http11 import Head
    from langchain_dbchat.transport.http.pool import PooledConnection

__all__ = ["AsyncBody", "SyncBody", "deadline_of"]


class ReadDeadline(Protocol):
    """How long the reads of an answer may take."""

    def sent(self) -> None:
        """Note that the request has been sent."""

    def left(self) -> float | None:
        """Return the seconds that the next read may take, None for no limit; raise ReadTimeout if the time is up."""


class _Give(Protocol):
    """Takes a slot back."""

    def __call__(self, slot: PooledConnection[Any], *, excess: bool = False) -> None:
        """Take it; `excess` is True if the server sent more than its answer."""


class _ReadTimeout:
    """The meaning that httpx gives to a read timeout: it bounds each read, and may change while a body is open."""

    __slots__ = ("_waits",)

    def __init__(self, waits: dict[str, float | None]) -> None:
        self._waits = waits

    def sent(self) -> None:
        pass

    def left(self) -> float | None:
        return self._waits.get("read")


class _Body:
    """The decisions of a body, which the sync and the async one share."""

    def __init__(self, head: Head, request: httpx.Request, slot: PooledConnection[Any], give: _Give) -> None:
        self._head = head
        self._extensions = request.extensions
        self._deadline = deadline_of(request)
        self._keeps = head.keeps and not wants_close(request.headers.raw)
        self._slot: PooledConnection[Any] | None = slot
        self._connection = slot.cell[0]
        self._give = give
        self._ended = False  # the iteration has ended
        self._closed = False

    def _first(self) -> bytes:
        """Return what came together with the head."""
        head = self._head
        if head.body.done:
            head.body.excess = bool(head.rest)
            return b""
        return head.body.feed(head.rest) if head.rest else b""

    def _left(self) -> float | None:
        """Return the seconds that the next read may take; raise the error that follows what was read so far."""
        if self._head.body.error is not None:
            raise self._head.body.error
        return self._deadline.left()

    def _give_back(self) -> None:
        """Give the connection back if the answer was read to its end; otherwise close it."""
        slot, self._slot = self._slot, None  # only once: two callers would get a connection that is given back twice
        if slot is None:
            return
        if not (self._keeps and self._ended and not self._head.body.excess):
            self._closed = True
            slot.close()
        self._give(slot, excess=self._head.body.excess)


class SyncBody(_Body, httpx.SyncByteStream):
    """The body of an answer, for a thread."""

    def __iter__(self) -> Iterator[bytes]:
        body, connection = self._head.body, self._connection
        try:
            piece = self._first()
            if piece:
                yield piece
            most = FLOOD if self._extensions.get("streaming") else BUFFER
            while not body.done:
                piece = body.feed(connection.read(self._left(), most))
                if piece:
                    yield piece
                del piece
            self._ended = True
        except BaseException:
            self._give_back()
            raise

    def close(self) -> None:
        """Give the connection back, or close it."""
        self._give_back()


class AsyncBody(_Body, httpx.AsyncByteStream):
    """The body of an answer, for an event loop.

    It is not an async generator, because a loop that ends closes all of those in any order, while others close them.
    """

    _began = False
    _gather: Callable[[], float] | None = None

    def __aiter__(self) -> AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        body, connection = self._head.body, self._connection
        try:
            if not self._began:
                self._began, self._gather = True, self._extensions.get("gather")
                piece = self._first()
                if piece:
                    return piece
            while not body.done:
                piece = body.feed(await connection.read(self._left(), self._gather))
                if piece:
                    return piece
            self._ended = True
        except BaseException:
            self._give_back()
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the connection back, or close it."""
        self._give_back()
        if self._closed:
            await asyncio.sleep(0)  # the loop closes the socket in its next turn


def deadline_of(request: httpx.Request) -> ReadDeadline:
    """Return what is asked before each read of an answer.

    Args:
        request: The request, perhaps with the extension ``deadline``.
    """
    deadline: ReadDeadline | None = request.extensions.get("deadline")
    return _ReadTimeout(request.extensions.get("timeout", {})) if deadline is None else deadline
