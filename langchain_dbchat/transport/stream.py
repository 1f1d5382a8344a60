"""An open event stream: its events as they arrive, its deadlines, and its end.

`StreamReader` decides; `EventStream` and `AsyncEventStream` read the bytes and close the response, both with the same
loop (see `blocking`). A stream is an iterator over lists: each list has all events that arrived together, so that they
can become one chunk.

Rule 1. `StreamDeadline` decides how long each read may take, and raises if the time is up.
Rule 2. The event that `Request.is_last` accepts is passed on like any other event. After it, only the end of the body
is expected, and for a short time only (see `StreamDeadline`). If it is read, the connection can be used again; if the
caller stops earlier, the connection is closed. An error after the last event is ignored, because the answer is
complete.
Rule 3. The size of a stream is bounded, counted after decompression. A compressed stream is decompressed piece by
piece.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

import httpx

from langchain_dbchat.errors import DatabricksError, MalformedResponseError
from langchain_dbchat.transport.blocking import finish
from langchain_dbchat.transport.deadlines import ReadGuard, ReadsInTime, asks_deadline
from langchain_dbchat.transport.decompression import decompressor_for
from langchain_dbchat.transport.sse import EventStreamDecoder
from langchain_dbchat.transport.turns import loop_share

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping

    from typing_extensions import Self

    from langchain_dbchat.transport.deadlines import StreamDeadline
    from langchain_dbchat.transport.decompression import Decompressor
    from langchain_dbchat.transport.exchange import Purpose, Request

__all__ = ["NETWORK_ERRORS", "AsyncEventStream", "EventStream", "StreamReader", "too_large"]

NETWORK_ERRORS: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.InvalidURL)
"""The exceptions of httpx whose cause is the network or the server."""

_BREAKS: tuple[type[Exception], ...] = (*NETWORK_ERRORS, MalformedResponseError)
"""The exceptions that end a stream."""


def too_large(limit: float, purpose: Purpose | None = None) -> str:
    """Describe an answer that is too large.

    Args:
        limit: The bound in bytes.
        purpose: What the request was for; None for a call of an endpoint, whose bound the user can change.
    """
    if purpose is not None:
        return f"{purpose.name}: the answer is larger than {limit:.0f} bytes, decompressed"
    return (
        f"The answer is larger than {limit:.0f} bytes, decompressed (max_response_bytes). If such an answer is right, "
        "raise max_response_bytes"
    )


class StreamReader:
    """Reads the bytes of one stream as events, its end, or an error.

    Args:
        request: The request.
        response: The answer, whose body is open.
        headers: Its headers with lower-case names.
        auth: The way of signing in, as errors name it.
        deadline: The time for the next event.
        limit: The maximum size of the answer in bytes, decompressed.
        hide: Masks the secrets that were sent, in a text of the server.
    """

    __slots__ = (
        "_auth",
        "_decoder",
        "_guard",
        "_is_last",
        "_is_unwatched",
        "_limit",
        "_request",
        "_room",
        "_unpacker",
        "_whole",
        "deadline",
        "direct",
        "headers",
        "hide",
        "is_packed",
        "response",
    )

    def __init__(  # noqa: PLR0913, PLR0917  # the parts of one request and its answer
        self,
        request: Request,
        response: httpx.Response,
        headers: Mapping[str, str],
        auth: str,
        deadline: StreamDeadline,
        limit: float = math.inf,
        *,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._request = request
        self.hide = hide
        self._auth = auth
        self._limit = self._room = limit
        self.response = response
        self.headers = headers
        self.deadline = deadline
        kind = headers.get("content-type", "").lower()
        # A server that ignores "stream": true (MLflow's scoring server) answers with one JSON object.
        self._whole: bytearray | None = bytearray() if kind.startswith("application/json") else None
        self._is_last = request.is_last
        self._decoder = EventStreamDecoder() if request.is_last is None else EventStreamDecoder(is_last=request.is_last)
        self._is_unwatched = not asks_deadline(response)
        self._guard: ReadGuard | None = None
        self.direct = not (response.is_closed or response.is_stream_consumed)
        # Streams are requested without compression, but proxies compress them. httpx would decompress, but its iterator
        # yields nothing for bytes that contain no text yet, so that no deadline could be checked.
        self._unpacker: Decompressor | None = None
        self.is_packed = self.direct and "content-encoding" in headers

    def feed(self, piece: bytes) -> list[bytes]:
        """Read the next bytes of the body.

        Args:
            piece: The bytes.

        Returns:
            The events that are complete now; of a compressed body, `more` returns them.

        Raises:
            httpx.ReadTimeout: The time for the next event is up; the bytes were comments, or an incomplete event.
            MalformedResponseError: An event or the stream is too large.
        """
        if self.is_packed:
            if self._unpacker is None:
                self._unpacker = decompressor_for(self.headers["content-encoding"])
            if self._unpacker is None:
                self.is_packed = False
            else:
                self._unpacker.push(piece)
                return []
        return self._read(piece)

    def more(self) -> list[bytes] | None:
        """Decompress the next piece of a compressed body.

        Returns:
            The events that are complete now; None if `feed` has to get more bytes first.
        """
        piece = None if self._unpacker is None else self._unpacker.pull()
        return None if piece is None else self._read(piece)

    def _read(self, piece: bytes) -> list[bytes]:
        self._room -= len(piece)
        if self._room < 0:
            raise self._malformed(too_large(self._limit))
        if self._whole is not None:
            self._whole += piece
            return []
        try:
            payloads = self._decoder.feed(piece)
        except MalformedResponseError as error:
            raise self._malformed(str(error)) from None
        if payloads:
            self.deadline.arrived(done=self._has_last(payloads))
        elif (self.is_packed or self._is_unwatched) and self.deadline.overdue():
            raise httpx.ReadTimeout("")
        return payloads

    def _has_last(self, payloads: list[bytes]) -> bool:
        is_last = self._is_last
        if is_last is not None:
            for payload in payloads:  # `any` takes twice as long, and this runs for each event
                if is_last(payload):
                    return True
        return False

    def close(self) -> list[bytes]:
        """Read the end of the body.

        Returns:
            The last events, or the whole body if it is not an event stream.

        Raises:
            DatabricksError: The body ended because the time was up.
        """
        if not self.deadline.done and self._guard is not None and self._guard.has_fired:
            raise self._silence()  # the guard has closed the socket, so the body ended
        if self._whole is not None:
            whole, self._whole = bytes(self._whole), bytearray()
            return [whole] if whole.strip() else []
        return self._decoder.close()

    def check(self, error: Exception) -> None:
        """Raise the error that an exception means, unless the answer is complete already.

        Args:
            error: The exception, of httpx or our own.

        Raises:
            DatabricksError: The answer is not complete.
        """
        if not self.deadline.done:
            broken = self._error_of(error)
            raise broken from broken.__cause__

    def _error_of(self, error: Exception) -> DatabricksError:
        if isinstance(error, DatabricksError):
            return error
        if isinstance(error, httpx.ReadTimeout) or (self._guard is not None and self._guard.has_fired):
            return self._silence()
        from langchain_dbchat.transport.failures import interruption_of  # noqa: PLC0415  # where something went wrong

        return interruption_of(error, self._request, self._auth, self.headers, self.hide)

    def locate(self, error: DatabricksError) -> None:
        """Add to an error about the answer where the answer came from.

        Args:
            error: The error, which is changed.
        """
        from langchain_dbchat.errors.answers import locate  # noqa: PLC0415  # where something went wrong

        locate(error, endpoint=self._request.endpoint, host=self._request.host, auth=self._auth)

    def pieces(self) -> Iterator[bytes]:
        """Iterate over the body of a sync client; if it does not ask `StreamDeadline`, a thread watches it."""
        if self._is_unwatched:
            self._guard = ReadGuard(self.response, self.deadline)
        body = self.response.stream if self.direct else self.response.iter_bytes()
        return iter(cast("Iterable[bytes]", body))  # a sync client's response has a sync stream

    def release(self) -> None:
        """Stop watching the response, before it is closed."""
        if self._guard is not None:
            self._guard.release()

    def apieces(self) -> AsyncIterator[bytes]:
        """Iterate over the body of an async client; if it does not ask `StreamDeadline`, each read is bounded."""
        body = self.response.stream if self.direct else self.response.aiter_bytes()
        pieces = aiter(cast("AsyncIterable[bytes]", body))  # an async client's response has an async stream
        return ReadsInTime(cast("AsyncGenerator[bytes, None]", pieces), self.deadline) if self._is_unwatched else pieces

    def _silence(self) -> DatabricksError:
        from langchain_dbchat.transport.failures import silence  # noqa: PLC0415  # where something went wrong

        deadline = self.deadline
        return silence(self._request, self._auth, self.headers, which=deadline.which, seconds=deadline.seconds)

    def _malformed(self, why: str) -> DatabricksError:
        from langchain_dbchat.errors.answers import malformed_response  # noqa: PLC0415  # where something went wrong

        return malformed_response(
            why,
            status=self.response.status_code,
            headers=self.headers,
            endpoint=self._request.endpoint,
            host=self._request.host,
            auth=self._auth,
            hide=self.hide,
        )


class _OpenStream(ABC):
    """What the sync and the async stream share; the methods that it awaits block, or suspend a task.

    Args:
        reader: Reads the bytes of the response.
    """

    __slots__ = ("_is_over", "_reader", "headers", "hide")

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._is_over = False
        self.headers = reader.headers
        self.hide = reader.hide

    def locate(self, error: DatabricksError) -> None:
        """Add to an error about the answer where the answer came from.

        Args:
            error: The error, which is changed.
        """
        self._reader.locate(error)

    async def _next(self) -> list[bytes]:
        """Return the payloads that arrive next, all that came together; raise StopAsyncIteration at the end."""
        if self._is_over:
            raise StopAsyncIteration
        reader = self._reader
        reader.deadline.wait()
        try:
            if reader.is_packed and (payloads := await self._unpack()):
                return payloads
            while (piece := await self._piece()) is not None:
                payloads = reader.feed(piece)
                if payloads or (reader.is_packed and (payloads := await self._unpack())):
                    return payloads
        except _BREAKS as error:
            await self._end()
            reader.check(error)
        await self._end()
        payloads = reader.close()
        if payloads:
            return payloads
        raise StopAsyncIteration

    async def _unpack(self) -> list[bytes]:
        while (payloads := self._reader.more()) is not None:
            if payloads:
                return payloads
            await self._let_others_run()  # a small read may contain a thousand times as much
        return []

    @abstractmethod
    async def _piece(self) -> bytes | None:
        """Return the next bytes of the body; None at its end."""

    @abstractmethod
    async def _let_others_run(self) -> None:
        """Let other tasks of the event loop run."""

    @abstractmethod
    async def _end(self) -> None:
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

    def __next__(self) -> list[bytes]:
        try:
            return finish(self._next())
        except StopAsyncIteration:
            raise StopIteration from None

    async def _piece(self) -> bytes | None:
        return next(self._pieces, None)

    async def _let_others_run(self) -> None:
        pass

    async def _end(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the response; the connection too, unless the body was read to its end."""
        self._is_over = True
        self._reader.release()
        self._reader.response.close()


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

    async def _piece(self) -> bytes | None:
        piece = await anext(self._pieces, None)
        if loop_share.is_used():
            await loop_share.give_way()
        return piece

    async def _let_others_run(self) -> None:
        await asyncio.sleep(0)

    async def _end(self) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the response; the connection too, unless the body was read to its end."""
        self._is_over = True
        await self._reader.response.aclose()
