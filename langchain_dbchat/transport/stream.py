"""An open event stream: read its bytes, and close its response.

A stream is an iterator over lists: each list has all events that arrived together, so that they can become one chunk.
With `decoded`, it yields what a decoder makes of each list, and at last of the end.

Rule 1. `StreamReader` reads the bytes as events. `StreamDeadline` limits how long each read may take, and raises if the
time is up.
Rule 2. `EventStream` and `AsyncEventStream` have the same loop (see `blocking`). If the end of the body is read, the
connection can be used again; if the caller stops earlier, the connection is closed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from langchain_dbchat.errors import MalformedResponseError
from langchain_dbchat.transport.blocking import finish
from langchain_dbchat.transport.deadlines import aclose_in_order, close_in_order
from langchain_dbchat.transport.turns import Gathering, loop_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Self

    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.transport.stream_reader import StreamReader

__all__ = ["NETWORK_ERRORS", "AsyncEventStream", "EventStream"]

NETWORK_ERRORS: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.InvalidURL)
"""The exceptions of httpx whose cause is the network or the server."""

_BREAKS: tuple[type[Exception], ...] = (*NETWORK_ERRORS, MalformedResponseError)
"""The exceptions that end a stream."""


class EventDecoder(Protocol):
    """What reads the events of a stream, without knowing where they come from."""

    def feed(self, events: list[bytes], /) -> Iterable[Any]:
        """Read events that arrived together."""

    def close(self) -> Iterable[Any]:
        """Read the end; raise if something is missing."""

    def is_complete(self) -> bool:
        """Return whether nothing is missing if the stream breaks now."""

    def keep_partial(self, error: DatabricksError, /) -> None:
        """Add to an error that ends the stream what was read before."""


class _OpenStream(ABC):
    """What the sync and the async stream share; the methods that it awaits block, or suspend a task.

    Args:
        reader: Reads the bytes of the response.
    """

    __slots__ = ("_close", "_decoder", "_feed", "_is_over", "_reader", "headers", "hide")

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._is_over = False
        self.headers = reader.headers
        self.hide = reader.hide
        self._decoder: EventDecoder | None = None
        self._feed: Callable[[list[bytes]], Iterable[Any]] = list
        self._close: Callable[[], Iterable[Any]] | None = None

    def decoded(self, make: Callable[[Mapping[str, str], Callable[[str], str]], EventDecoder]) -> Self:
        """Let a decoder read the events.

        Args:
            make: Makes the decoder, from the response's headers and a function that masks the request's secrets.

        Returns:
            This stream, which now yields what the decoder returns: for all events that arrived together, and at last
            for the end.
        """
        self._decoder = decoder = make(self.headers, self.hide)
        self._feed, self._close = decoder.feed, decoder.close
        return self

    def locate(self, error: DatabricksError) -> None:
        """Add to an error about the answer where the answer came from, and what was read of it.

        Args:
            error: The error, which is changed.
        """
        if self._decoder is not None:
            self._decoder.keep_partial(error)
        self._reader.locate(error)

    async def _next(self) -> Any:
        """Return what was read of the events that arrive next; raise StopAsyncIteration after the end."""
        if self._is_over:
            return self._last()
        reader = self._reader
        reader.deadline.wait()
        payloads: list[bytes] = []
        try:
            if not reader.is_packed or not (payloads := await self._unpack()):
                while (piece := await self._piece()) is not None:
                    payloads = reader.feed(piece)
                    if payloads or (reader.is_packed and (payloads := await self._unpack())):
                        break
        except _BREAKS as error:
            await self._end()
            self._settle()
            reader.check(error)
        if payloads:
            return self._feed(payloads)
        await self._end()
        self._settle()
        payloads = reader.close()
        return self._feed(payloads) if payloads else self._last()

    def _settle(self) -> None:
        """Let the decoder say that the answer is complete, because on some wires no event is known to be the last."""
        if self._decoder is not None and self._decoder.is_complete():
            self._reader.complete()

    def _last(self) -> Any:
        """Return what the decoder has to add at the end, once."""
        close, self._close = self._close, None
        if close is None:
            raise StopAsyncIteration
        return close()

    async def _unpack(self) -> list[bytes]:
        while (payloads := self._reader.more()) is not None:
            await self._give_way()  # a small read may contain a thousand times as much
            if payloads:
                return payloads
        return []

    @abstractmethod
    async def _piece(self) -> bytes | None:
        """Return the next bytes of the body; None at its end."""

    @abstractmethod
    async def _give_way(self) -> None:
        """Let other tasks of the event loop run, if its calls have used their share of its time."""

    async def _end(self) -> None:
        """Close the response; the connection too, unless the body was read to its end."""
        if not self._is_over:
            self._reader.release()
            was_closed = self._reader.response.is_closed  # an interrupt may have ended that before the body was closed
            await self._close_response()
            self._reader.is_over = not was_closed
            self._is_over = True  # last: an interrupt before lets the next call close it

    @abstractmethod
    async def _close_response(self) -> None:
        """Close the response."""


class EventStream(_OpenStream):
    """A stream of events, read from sync code.

    Args:
        reader: Reads the bytes of the response.
    """

    __slots__ = ("_pieces",)

    def __init__(self, reader: StreamReader) -> None:
        super().__init__(reader)
        self._pieces = reader.pieces()

    def __iter__(self) -> Self:
        """Iterate over lists of payloads; no list is empty."""
        return self

    def __next__(self) -> Any:
        try:
            return finish(self._next())
        except StopAsyncIteration:
            raise StopIteration from None

    async def _piece(self) -> bytes | None:
        return next(self._pieces, None)

    async def _give_way(self) -> None:
        pass

    async def _close_response(self) -> None:
        close_in_order(self._reader.response)

    def close(self) -> None:
        """Close the response; the connection too, unless the body was read to its end."""
        finish(self._end())


class AsyncEventStream(_OpenStream):
    """A stream of events, read from async code.

    Args:
        reader: Reads the bytes of the response.
    """

    __slots__ = ("_pieces",)

    def __init__(self, reader: StreamReader) -> None:
        super().__init__(reader)
        self._pieces = reader.apieces()

    def __aiter__(self) -> Self:
        """Iterate over lists of payloads; no list is empty."""
        return self

    __anext__ = _OpenStream._next  # noqa: SLF001  # of this class

    def gather(self) -> None:
        """Let events collect while the loop is busy (see `turns`); only on a connection of ours, which looks there."""
        self._reader.response.request.extensions["gather"] = Gathering().rest

    async def _piece(self) -> bytes | None:
        piece = await anext(self._pieces, None)
        if loop_share.is_used():
            await loop_share.give_way()
        return piece

    async def _give_way(self) -> None:
        if loop_share.is_used():
            await loop_share.give_way()

    async def _close_response(self) -> None:
        await aclose_in_order(self._reader.response)

    aclose = _OpenStream._end  # noqa: SLF001  # of this class
