"""Decide what the bytes of an open event stream mean: its events, its end, or an error.

Rule 1. The event that `Request.is_last` accepts is passed on like any other event. After it, only the end of the body
is expected, and for a short time only (see `StreamDeadline`). An error after the last event is ignored, because the
answer is complete. So is the one that ends a stream whose decoder says that nothing is missing.
Rule 2. The size of a stream is bounded, counted after decompression. A compressed stream is decompressed piece by
piece.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import httpx

from langchain_dbchat.errors import DatabricksError, MalformedResponseError
from langchain_dbchat.transport.deadlines import ReadGuard, ReadsInTime, asks_deadline
from langchain_dbchat.transport.decompression import decompressor_for
from langchain_dbchat.transport.messages import too_large
from langchain_dbchat.transport.sse import EventStreamDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping

    from langchain_dbchat.transport.deadlines import StreamDeadline
    from langchain_dbchat.transport.decompression import Decompressor
    from langchain_dbchat.transport.messages import Request

__all__ = ["StreamReader"]


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
        is_alone: Whether no other call uses the connection of a user's client meanwhile.
    """

    __slots__ = (
        "_auth",
        "_decoder",
        "_guard",
        "_is_alone",
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
        "is_over",
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
        is_alone: bool = False,
    ) -> None:
        self._request = request
        self._is_alone = is_alone
        self.hide = hide
        self._auth = auth
        self._limit = self._room = limit
        self.response = response
        self.is_over = False  # the response is closed, and has left nothing open
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
                self._unpacker = decompressor_for(self.headers["content-encoding"], self._limit)
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
        payloads: list[bytes] = []
        if self._whole is not None:
            self._whole += piece
        else:
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

    def complete(self) -> None:
        """Note that the answer is complete, so that an error of the stream, and text behind the events, is ignored."""
        self.deadline.done = True
        self._decoder.ignore_stray()

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
        from langchain_dbchat.errors.composing import locate  # noqa: PLC0415  # where something went wrong

        locate(error, endpoint=self._request.endpoint, host=self._request.host, auth=self._auth)

    def pieces(self) -> Iterator[bytes]:
        """Iterate over the body of a sync client; if it does not ask `StreamDeadline`, a thread watches it."""
        body = self.response.stream if self.direct else self.response.iter_bytes()
        pieces = cast("Iterable[bytes]", body)  # a sync client's response has a sync stream
        if not self._is_unwatched:
            return iter(pieces)
        from langchain_dbchat.transport.open_answers import keep_reading  # noqa: PLC0415  # not for our own clients

        self._guard = ReadGuard(self.response, self.deadline, is_alone=self._is_alone)
        reading = self._guard.pieces(pieces)
        keep_reading(self.response, reading)
        return reading

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
