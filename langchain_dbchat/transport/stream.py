"""An open event stream: the events as they arrive, the two read timeouts, and the end.

`StreamReader` decides; `EventStream` and `AsyncEventStream` fetch the bytes and close the response. A stream is an
iterator over lists: all events that arrived together, so that whoever builds messages may join what came at once.

Rule 1. `StreamDeadline` gives the time of each read, and raises when the time is up.
Rule 2. The event that `Request.is_last` names is passed on like any event. After it, nothing is expected but the end of
the body, for a moment (see `StreamDeadline`): whoever iterates to the end gives the connection back for the next
request. Whoever leaves earlier closes it. What goes wrong after it does not matter: the answer is complete.
Rule 3. All that a stream brings is counted, decompressed, and bounded; what is compressed is read piece by piece.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, cast

import httpx

from langchain_dbchat.errors import DatabricksError, MalformedResponseError
from langchain_dbchat.transport.deadlines import ReadGuard, ReadsInTime, asks_deadline
from langchain_dbchat.transport.decompression import decompressor_for
from langchain_dbchat.transport.sse import EventStreamDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping

    from typing_extensions import Self

    from langchain_dbchat.transport.deadlines import StreamDeadline
    from langchain_dbchat.transport.decompression import Decompressor
    from langchain_dbchat.transport.exchange import Purpose, Request

__all__ = ["NETWORK_ERRORS", "AsyncEventStream", "EventStream", "StreamReader", "too_large"]

NETWORK_ERRORS: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.InvalidURL)
"""What httpx raises for reasons that lie between us and the server."""

_BREAKS: tuple[type[Exception], ...] = (
    *NETWORK_ERRORS,
    MalformedResponseError,
)


def too_large(limit: float, purpose: Purpose | None = None) -> str:
    """Describe an answer that is too large.

    Args:
        limit: The bound in bytes.
        purpose: What the request was for; None for a call of an endpoint, whose bound the user can change.
    """
    if purpose is not None:
        return f"{purpose.name}: the answer is larger than {limit:.0f} bytes, decompressed"
    return (
        f"The answer is larger than {limit:.0f} bytes, decompressed (max_response_bytes). If that is no mistake of the "
        "server, raise max_response_bytes"
    )


class StreamReader:
    """What the bytes of one stream mean: events, the end, or an error.

    Args:
        request: What was sent.
        response: The answer, whose body is open.
        headers: Its headers with lower-case names.
        auth: The way of signing in, as errors name it.
        deadline: The time for the next event.
        limit: The largest answer in bytes, decompressed.
        hide: What masks the secrets that were sent, in a text of the server.
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

    def __init__(  # noqa: PLR0913, PLR0917  # one record of what was asked and what came
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
        # Not asked for, but proxies do it. Not by httpx, whose iterator says nothing while the text says nothing.
        self._unpacker: Decompressor | None = None
        self.is_packed = self.direct and "content-encoding" in headers

    def takes(self, piece: bytes) -> list[bytes]:
        """Take bytes.

        Args:
            piece: The next bytes of the body.

        Returns:
            The events that are complete now; of a compressed body, there may be `more`.

        Raises:
            httpx.ReadTimeout: The time for the next event is up; the bytes were comments, or half an event.
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
        """Read on in a compressed body.

        Returns:
            The events that are complete now; None if more bytes are needed first.
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
            self.deadline.arrived(done=self._is_last is not None and any(map(self._is_last, payloads)))
        elif (self.is_packed or self._is_unwatched) and self.deadline.overdue():
            raise httpx.ReadTimeout("")
        return payloads

    def ends(self) -> list[bytes]:
        """Note that the body has ended.

        Returns:
            The last events, or the whole body if it is no event stream.
        """
        if not self.deadline.done and self._guard is not None and self._guard.has_fired:
            raise self._silence()  # the end of the body is that of the socket
        if self._whole is not None:
            whole, self._whole = bytes(self._whole), bytearray()
            return [whole] if whole.strip() else []
        return self._decoder.close()

    def breaks(self, error: Exception) -> DatabricksError | None:
        """Describe what an exception means here.

        Args:
            error: The exception, of httpx or our own.

        Returns:
            The error to raise; None if nothing more was expected anyhow.
        """
        if self.deadline.done:
            return None
        if isinstance(error, DatabricksError):
            return error
        if isinstance(error, httpx.ReadTimeout) or (self._guard is not None and self._guard.has_fired):
            return self._silence()
        from langchain_dbchat.transport.failures import interruption_of  # noqa: PLC0415  # where something went wrong

        return interruption_of(error, self._request, self._auth, self.headers, self.hide)

    def reads(self) -> Iterator[bytes]:
        """Iterate over the body of a sync client; a thread watches those that do not ask `StreamDeadline`."""
        if self._is_unwatched:
            self._guard = ReadGuard(self.response, self.deadline)
        body = self.response.stream if self.direct else self.response.iter_bytes()
        return iter(cast("Iterable[bytes]", body))  # a sync client's response has a sync stream

    def release(self) -> None:
        """Stop watching the response, before it is closed."""
        if self._guard is not None:
            self._guard.release()

    def areads(self) -> AsyncIterator[bytes]:
        """Iterate over the body of an async client; each read ends when the time is up."""
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


class EventStream:
    """A stream of events, read from sync code.

    Args:
        reading: What the bytes mean, and the response they come from.
    """

    __slots__ = ("_over", "_pieces", "_reading", "_response", "headers", "hide")

    def __init__(self, reading: StreamReader) -> None:
        self._reading = reading
        self._response = reading.response
        self._over = False
        self._pieces = reading.reads()
        self.headers = reading.headers
        self.hide = reading.hide

    def __iter__(self) -> Self:
        """Iterate over lists of payloads; no list is empty."""
        return self

    def __next__(self) -> list[bytes]:
        if self._over:
            raise StopIteration
        reading = self._reading
        reading.deadline.wait()
        try:
            if reading.is_packed and (payloads := self._unpack()):
                return payloads
            for piece in self._pieces:
                payloads = reading.takes(piece)
                if payloads or (reading.is_packed and (payloads := self._unpack())):
                    return payloads
        except _BREAKS as error:
            self.close()
            broken = reading.breaks(error)
            if broken is not None:
                raise broken from broken.__cause__
        self.close()
        payloads = reading.ends()
        if payloads:
            return payloads
        raise StopIteration

    def _unpack(self) -> list[bytes]:
        while (payloads := self._reading.more()) is not None:
            if payloads:
                return payloads
        return []

    def close(self) -> None:
        """Close the response; the connection too, unless the body was read to its end."""
        self._over = True
        self._reading.release()
        self._response.close()


class AsyncEventStream:
    """A stream of events, read from async code.

    Args:
        reading: What the bytes mean, and the response they come from.
    """

    __slots__ = ("_over", "_pieces", "_reading", "_response", "headers", "hide")

    def __init__(self, reading: StreamReader) -> None:
        self._reading = reading
        self._response = reading.response
        self._over = False
        self._pieces = reading.areads()
        self.headers = reading.headers
        self.hide = reading.hide

    def __aiter__(self) -> Self:
        """Iterate over lists of payloads; no list is empty."""
        return self

    async def __anext__(self) -> list[bytes]:
        if self._over:
            raise StopAsyncIteration
        reading = self._reading
        reading.deadline.wait()
        try:
            if reading.is_packed and (payloads := await self._unpack()):
                return payloads
            async for piece in self._pieces:
                payloads = reading.takes(piece)
                if payloads or (reading.is_packed and (payloads := await self._unpack())):
                    return payloads
        except _BREAKS as error:
            await self.aclose()
            broken = reading.breaks(error)
            if broken is not None:
                raise broken from broken.__cause__
        await self.aclose()
        payloads = reading.ends()
        if payloads:
            return payloads
        raise StopAsyncIteration

    async def _unpack(self) -> list[bytes]:
        while (payloads := self._reading.more()) is not None:
            if payloads:
                return payloads
            await asyncio.sleep(0)  # a small read may hold a thousand times as much: others have their turn
        return []

    async def aclose(self) -> None:
        """Close the response; the connection too, unless the body was read to its end."""
        self._over = True
        await self._response.aclose()
