"""An open event stream: the events as they arrive, the two read timeouts, and the end.

`Reading` decides; `Incoming` and `AsyncIncoming` fetch the bytes and close the response. A stream is an iterator over
lists: all events that arrived together, so that whoever builds messages may join what came at once.

**Timeouts.** httpx takes one read timeout for a whole body, which restarts with every byte. But the first event may
take longer than a pause between events, and comments that keep the connection alive would hide a model that hangs. So
for the time of the stream, the connection's own `read` is given the time that is left (`Pace`). The network stream is
httpcore's public response extension; where there is none (another transport, HTTP/2, a compressed body), httpx's read
timeout is the larger of the two and the clock is looked at after each read, so that a timeout may come late but never
early.

**End.** `[DONE]` is passed on like any event. After it, nothing is expected but the end of the body, for a moment
(`_LINGER`): whoever iterates to the end gives the connection back for the next request. Whoever leaves earlier closes
it.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any, cast

import httpx

from langchain_dbchat.errors import DatabricksError, MalformedResponseError
from langchain_dbchat.transport.sse import EventStreamDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping

    from typing_extensions import Self

    from langchain_dbchat.transport.exchange import Request
    from langchain_dbchat.transport.timeouts import Timeouts

__all__ = ["NETWORK_ERRORS", "AsyncIncoming", "Incoming", "Pace", "Reading"]

NETWORK_ERRORS: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.InvalidURL)
"""What httpx raises for reasons that lie between us and the server."""

_LINGER = 0.25  # seconds for the end of the body after [DONE], which servers send together
_AT_LEAST = 0.05  # seconds a read may take even when its time is up: what has arrived already is read


class Pace:
    """The time that a stream has for its next event; made when the request is sent.

    Args:
        timeouts: The timeouts of the call.
        clock: Seconds of a clock that never goes back.
    """

    __slots__ = ("_clock", "_deadline", "_flowing", "_idle", "done", "seconds", "which")

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._idle = math.inf if timeouts.idle is None else timeouts.idle
        self._flowing = False
        self.which = "first_event"
        self.seconds = math.inf if timeouts.first_event is None else timeouts.first_event
        self._deadline = clock() + self.seconds
        self.done = False

    def wait(self) -> None:
        """Begin to wait for events; the time the caller spent on the last ones does not count."""
        if self._flowing:
            self._deadline = self._clock() + (_LINGER if self.done else self._idle)

    def arrived(self, payloads: list[bytes]) -> None:
        """Note that events arrived."""
        self._flowing, self.which, self.seconds = True, "idle", self._idle
        self.done = payloads[-1] == b"[DONE]"

    def left(self) -> float | None:
        """Say how long the next read may take, in seconds; None for ever."""
        if self._deadline == math.inf:
            return None
        return max(_AT_LEAST, self._deadline - self._clock())

    def overdue(self) -> bool:
        """Say whether the time for the next event is up."""
        return self._clock() > self._deadline


class Reading:
    """What the bytes of one stream mean: events, the end, or an error.

    Args:
        request: What was sent.
        response: The answer, whose body is open.
        headers: Its headers with lower-case names.
        auth: The way of signing in, as errors name it.
        pace: The time for the next event.
        hide: What masks the secrets that were sent, in a text of the server.
    """

    __slots__ = (
        "_auth",
        "_decoder",
        "_inflate",
        "_request",
        "_undo",
        "_whole",
        "direct",
        "headers",
        "hide",
        "pace",
        "response",
    )

    def __init__(  # noqa: PLR0913 - what was sent and what came
        self,
        request: Request,
        response: httpx.Response,
        headers: Mapping[str, str],
        auth: str,
        pace: Pace,
        *,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._request = request
        self.hide = hide
        self._auth = auth
        self.response = response
        self.headers = headers
        self.pace = pace
        kind = headers.get("content-type", "").lower()
        # A server that ignores "stream": true (MLflow's scoring server) answers with one JSON object.
        self._whole: list[bytes] | None = [] if kind.startswith("application/json") else None
        self._decoder = EventStreamDecoder()
        self._inflate: Callable[[bytes], bytes] | None = None
        self._undo: Any = None
        self.direct = self._set_pace(response)

    def takes(self, piece: bytes) -> list[bytes]:
        """Take bytes.

        Args:
            piece: The next bytes of the body.

        Returns:
            The events that are complete now.

        Raises:
            DatabricksTimeoutError: The time for the next event is up; the bytes were comments, or half an event.
            MalformedResponseError: An event is too large.
        """
        try:
            if self._inflate is not None:
                piece = self._inflate(piece)
            if self._whole is not None:
                self._whole.append(piece)
                return []
            payloads = self._decoder.feed(piece)
        except (MalformedResponseError, zlib.error) as error:
            raise self._malformed(str(error)) from None
        if payloads:
            self.pace.arrived(payloads)
        elif self.pace.overdue():
            raise self._silence()
        return payloads

    def ends(self) -> list[bytes]:
        """Say that the body has ended.

        Returns:
            The last events, or the whole body if it is no event stream.
        """
        if self._whole is not None:
            whole, self._whole = b"".join(self._whole), []
            return [whole] if whole.strip() else []
        return self._decoder.close()

    def breaks(self, error: Exception) -> DatabricksError | None:
        """Say what an exception of httpx means here.

        Args:
            error: The exception.

        Returns:
            The error to raise; None if nothing more was expected anyhow.
        """
        if self.pace.done:
            return None
        if type(error).__name__ == "ReadTimeout":
            return self._silence()
        from langchain_dbchat.transport.failures import interruption_of  # noqa: PLC0415  # where something went wrong

        return interruption_of(error, self._request, self._auth, self.headers, self.hide)

    def release(self) -> None:
        """Give the connection its own `read` back, before the response is closed and the connection reused."""
        stream, self._undo = self._undo, None
        if stream is not None:
            del stream.read

    def _set_pace(self, response: httpx.Response) -> bool:
        """Let the connection's reads take the time that is left, and say whether the body is then read directly.

        Directly, because httpx's own iterators close the response at the end of the body, and with it give the
        connection to another request, before we could take our hands off it.
        """
        stream = response.extensions.get("network_stream")
        packing = response.headers.get("content-encoding", "identity").lower()
        known = packing in {"identity", "gzip"}
        if stream is None or response.is_closed or not known or not response.http_version.startswith("HTTP/1"):
            return False
        if packing == "gzip":
            # Not asked for, but proxies do it. Not by httpx, whose iterator says nothing while the text says nothing.
            self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
        read, left = stream.read, self.pace.left

        def paced(max_bytes: int, timeout: float | None = None) -> Any:  # noqa: ARG001 - as httpcore's own read
            return read(max_bytes, timeout=left())

        try:
            stream.read = paced
        except AttributeError:  # a stream with slots, of some other backend
            return False
        self._undo = stream
        return True

    def _silence(self) -> DatabricksError:
        from langchain_dbchat.transport.failures import silence  # noqa: PLC0415  # where something went wrong

        pace = self.pace
        return silence(self._request, self._auth, self.headers, which=pace.which, seconds=pace.seconds)

    def _malformed(self, why: str) -> DatabricksError:
        from langchain_dbchat.error_answers import malformed_response  # noqa: PLC0415  # where something went wrong

        return malformed_response(
            why,
            status=self.response.status_code,
            headers=self.headers,
            endpoint=self._request.endpoint,
            host=self._request.host,
            auth=self._auth,
            hide=self.hide,
        )


class Incoming:
    """A stream of events, read from sync code.

    Args:
        reading: What the bytes mean, and the response they come from.
    """

    __slots__ = ("_over", "_pieces", "_reading", "_response", "headers", "hide")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._response = reading.response
        self._over = False
        body = reading.response.stream if reading.direct else reading.response.iter_bytes()
        self._pieces = iter(cast("Iterable[bytes]", body))  # a sync client's response has a sync stream
        self.headers = reading.headers
        self.hide = reading.hide

    def __iter__(self) -> Self:
        """Iterate over lists of payloads; no list is empty."""
        return self

    def __next__(self) -> list[bytes]:
        if self._over:
            raise StopIteration
        reading = self._reading
        reading.pace.wait()
        try:
            for piece in self._pieces:
                payloads = reading.takes(piece)
                if payloads:
                    return payloads
        except NETWORK_ERRORS as error:
            self.close()
            broken = reading.breaks(error)
            if broken is not None:
                raise broken from broken.__cause__
        self.close()
        payloads = reading.ends()
        if payloads:
            return payloads
        raise StopIteration

    def close(self) -> None:
        """Close the response; the connection too, unless the body was read to its end."""
        self._over = True
        self._reading.release()
        self._response.close()


class AsyncIncoming:
    """A stream of events, read from async code.

    Args:
        reading: What the bytes mean, and the response they come from.
    """

    __slots__ = ("_over", "_pieces", "_reading", "_response", "headers", "hide")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._response = reading.response
        self._over = False
        body = reading.response.stream if reading.direct else reading.response.aiter_bytes()
        self._pieces = aiter(cast("AsyncIterable[bytes]", body))  # an async client's response has an async stream
        self.headers = reading.headers
        self.hide = reading.hide

    def __aiter__(self) -> Self:
        """Iterate over lists of payloads; no list is empty."""
        return self

    async def __anext__(self) -> list[bytes]:
        if self._over:
            raise StopAsyncIteration
        reading = self._reading
        reading.pace.wait()
        try:
            async for piece in self._pieces:
                payloads = reading.takes(piece)
                if payloads:
                    return payloads
        except NETWORK_ERRORS as error:
            await self.aclose()
            broken = reading.breaks(error)
            if broken is not None:
                raise broken from broken.__cause__
        await self.aclose()
        payloads = reading.ends()
        if payloads:
            return payloads
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the response; the connection too, unless the body was read to its end."""
        self._over = True
        self._reading.release()
        await self._response.aclose()
