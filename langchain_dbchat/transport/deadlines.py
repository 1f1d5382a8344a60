"""How long the next read of an answer may take.

httpx takes one read timeout for a whole body, which restarts with every byte. But the first event may
take longer than a pause between events, and comments that keep the connection alive would hide a model that hangs. So
`StreamDeadline` says before each read how long it may take, and raises when the time is up, whatever bytes arrive
meanwhile. Our own pool asks it. For a client of the user's, the connection's own `read` is given that time (the network stream is
httpcore's public response extension); where there is none (another transport, HTTP/2), httpx's read timeout is the
larger of the two and the clock is looked at after each read, so that a timeout may come late but never early.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.transport.timeouts import Timeouts

__all__ = ["PacedStream", "StreamDeadline"]

_LINGER = 0.25  # seconds for the end of the body after [DONE], which servers send together
_AT_LEAST = 0.05  # seconds a read may take even when its time is up: what has arrived already is read


class StreamDeadline:
    """The time that an answer has: for all of it, or for the next event of a stream.

    Args:
        timeouts: The timeouts of the call.
        clock: Seconds of a clock that never goes back.
        slack: Seconds that the answer may have on top, because nobody says when the request has been sent.
    """

    __slots__ = ("_clock", "_deadline", "_flowing", "_idle", "_late", "_lingers", "done", "seconds", "which")

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float], slack: float = 0.0) -> None:
        self._clock = clock
        self._idle = math.inf if timeouts.idle is None else timeouts.idle
        self._flowing = self._late = self._lingers = False
        self.which = "first_event"
        self.seconds = math.inf if timeouts.first_event is None else timeouts.first_event
        self._deadline = clock() + self.seconds + slack
        self.done = False

    def sent(self) -> None:
        """Note that the request has been sent: the time for the answer begins."""
        self._deadline = self._clock() + self.seconds

    def wait(self) -> None:
        """Begin to wait for events; the time the caller spent on the last ones does not count."""
        if self._flowing and not self._lingers:
            self._late = False
            self._lingers = self.done
            self._deadline = self._clock() + (_LINGER if self.done else self._idle)

    def arrived(self, payloads: list[bytes]) -> None:
        """Note that events arrived."""
        self._flowing, self.which, self.seconds = True, "idle", self._idle
        if b"[DONE]" in payloads:
            self.done = True

    def left(self) -> float | None:
        """Say how long the next read may take, in seconds; None for ever.

        When the time is up, one more read may take what has arrived already.

        Raises:
            httpx.ReadTimeout: The time was up before the last read.
        """
        if self._deadline == math.inf:
            return None
        left = self._deadline - self._clock()
        if left <= 0:
            if self._late:
                raise httpx.ReadTimeout("")
            self._late = True
        return max(_AT_LEAST, left)

    def overdue(self) -> bool:
        """Say whether the time for the next event is up."""
        return self._clock() > self._deadline


class PacedStream:
    """Lets the reads of a connection take the time that is left, where nobody asks the pace by himself.

    Args:
        response: The open response.
        pace: The time that is left.
    """

    __slots__ = ("_undo", "direct")

    def __init__(self, response: httpx.Response, pace: StreamDeadline) -> None:
        self._undo: Any = None
        self.direct = self._set(response, pace)  # whether each read is paced, and the raw body can be read

    def release(self) -> None:
        """Give the connection its own `read` back, before the response is closed and the connection reused."""
        stream, self._undo = self._undo, None
        if stream is not None:
            del stream.read

    def _set(self, response: httpx.Response, pace: StreamDeadline) -> bool:
        if response.is_closed or response.is_stream_consumed:  # by a hook of the user's client
            return False
        if "paced" in response.extensions:  # our own pool
            return True
        stream = response.extensions.get("network_stream")
        if stream is None or not response.http_version.startswith("HTTP/1"):
            return False
        read, left = stream.read, pace.left

        def paced(max_bytes: int, timeout: float | None = None) -> Any:  # noqa: ARG001 - as httpcore's own read
            return read(max_bytes, timeout=left())

        try:
            stream.read = paced
        except AttributeError:  # a stream with slots, of some other backend
            return False
        self._undo = stream
        return True
