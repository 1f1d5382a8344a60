"""Bound how long the next read of an answer may take.

httpx has one read timeout for a whole body, which begins again with every byte. But the first event may take longer
than a pause between events, and comments that keep a connection alive would hide a model that has stopped.

Rule 1. `StreamDeadline` returns the time for each read, and raises if the time is up, whatever bytes arrive. Our own
pool asks it before each read.
Rule 2. A user's async client does not ask it, so each of its reads is cancelled when the time is up.
Rule 3. A user's sync client does not ask it either. A thread watches the body, and shuts the socket down when the time
is up (the socket is a public extension of httpcore, https://www.encode.io/httpcore/extensions/). If the call has no
socket of its own (another transport), httpx's read timeout is the larger one of the two, and the clock is checked after
each read. So a timeout may come late, but never early.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

import httpx

from langchain_dbchat.transport.bare_threads import start_thread
from langchain_dbchat.transport.cancelling import cancelled_once, not_cancelled
from langchain_dbchat.transport.foreign_errors import httpx_errors_only
from langchain_dbchat.transport.open_answers import close_answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

    from typing_extensions import Self

    from langchain_dbchat.transport.timeouts import Timeouts

__all__ = [
    "AT_LEAST",
    "LOOK",
    "ReadGuard",
    "ReadsInTime",
    "StreamDeadline",
    "aclose_in_order",
    "asks_deadline",
    "close_in_order",
    "shut_down",
    "watch",
]

_LINGER = 0.25  # seconds for the end of the body after the last event; servers send both together
LOOK = 0.25
"""Seconds after which a guard checks the clock again, because the deadline changes."""

AT_LEAST = 0.05
"""Seconds that a read may take although the time is up, to read what has arrived already."""


class StreamDeadline:
    """The time that an answer has: for all of it, or for the next event of a stream.

    Args:
        timeouts: The timeouts of the call.
        clock: Seconds of a clock that never goes back.
        slack: Additional seconds for the answer, because it is not known when the request has been sent.
    """

    __slots__ = ("_clock", "_deadline", "_flowing", "_idle", "_late", "_lingers", "done", "seconds", "waiting", "which")

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float], slack: float = 0.0) -> None:
        self._clock = clock
        self._idle = math.inf if timeouts.idle is None else timeouts.idle
        self._flowing = self._late = self._lingers = False
        self.which = "first_event"
        self.seconds = math.inf if timeouts.first_event is None else timeouts.first_event
        self._deadline = clock() + self.seconds + slack
        self.done = False
        self.waiting = True  # the time is running

    def sent(self) -> None:
        """Note that the request has been sent: the time for the answer begins."""
        self._deadline = self._clock() + self.seconds

    def put_off(self, seconds: float) -> None:
        """Do not count so many seconds."""
        self._deadline += seconds

    def wait(self) -> None:
        """Begin to wait for events; the time that the caller needed for the last ones does not count."""
        if self._flowing and not self._lingers:
            self._late = False
            self._lingers = self.done
            self._deadline = self._clock() + (_LINGER if self.done else self._idle)
        self.waiting = True

    def arrived(self, *, done: bool = False) -> None:
        """Note that events arrived.

        Args:
            done: The last event of the stream is among them.
        """
        self.waiting = False
        self._flowing, self.which, self.seconds = True, "idle", self._idle
        self.done = self.done or done

    def left(self) -> float | None:
        """Return how long the next read may take, in seconds; None for no limit.

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
        return max(AT_LEAST, left)

    @property
    def until(self) -> float:
        """Return when the time is up, on the clock."""
        return self._deadline

    def overdue(self) -> bool:
        """Return whether the time for the next event is up."""
        return self._clock() > self._deadline

    def rest(self) -> float:
        """Return the seconds after which to look at the clock again."""
        return min(max(AT_LEAST, self._deadline - self._clock() + AT_LEAST), LOOK)


class ReadsInTime:
    """Bounds each read of an async client that does not ask `StreamDeadline` itself.

    It is not an async generator: when an event loop ends, it closes those in any order.

    Args:
        pieces: The body, as httpx gives it: its iterator is a generator, whatever the client's transport has made.
        deadline: The time that is left.
    """

    __slots__ = ("_deadline", "_pieces")

    def __init__(self, pieces: AsyncGenerator[bytes, None], deadline: StreamDeadline) -> None:
        self._pieces = pieces
        self._deadline = deadline

    def __aiter__(self) -> Self:
        """Iterate over the pieces."""
        return self

    async def __anext__(self) -> bytes:
        piece = await cancelled_once(self._read())
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def _read(self) -> bytes | None:
        from anyio import move_on_after  # noqa: PLC0415  # httpx's own, which few calls need

        with move_on_after(self._deadline.left()), httpx_errors_only():
            return await anext(self._pieces, None)
        raise httpx.ReadTimeout("")

    async def aclose(self) -> None:
        """Close the body's iterator."""
        await not_cancelled(self._pieces.aclose())


class _Watched(Protocol):
    """What a thread looks at again and again."""

    def look(self) -> float:
        """Look, and return the seconds after which to look again."""


def watch(thing: _Watched) -> threading.Lock:
    """Let a thread look at a thing again and again, until a lock is released or the thing exists no more.

    Args:
        thing: The thing.

    Returns:
        The lock, which is held. No signal handler can run within its release, as it can within a `threading.Event`.
    """
    held = threading.Lock()
    held.acquire()
    with contextlib.suppress(RuntimeError):  # the interpreter is about to end: httpx's own timeouts remain
        start_thread(_look, weakref.ref(thing), held)
    return held


def _look(of: weakref.ref[_Watched], held: threading.Lock) -> None:
    rest = AT_LEAST
    while not held.acquire(timeout=rest):
        thing = of()
        if thing is None:
            return
        rest = thing.look()
        del thing


def shut_down(connected: socket.socket) -> None:
    """End what a thread reads or writes; it must read to the end, or httpcore would use the connection again.

    Args:
        connected: The socket, that of TLS too.
    """
    with contextlib.suppress(OSError):  # it has been closed meanwhile
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class ReadGuard:
    """Ends a read of a sync client that does not ask `StreamDeadline`, by shutting the socket down.

    Args:
        response: The open response.
        deadline: The time that is left.
        is_alone: Whether no other call uses the connection, also over HTTP/2.
    """

    __slots__ = (
        "__weakref__",
        "_deadline",
        "_is_released",
        "_lock",
        "_pid",
        "_response",
        "_socket",
        "_watched",
        "has_fired",
    )

    def __init__(self, response: httpx.Response, deadline: StreamDeadline, *, is_alone: bool) -> None:
        stream = response.extensions.get("network_stream")
        self._socket: socket.socket | None = None
        if stream is not None and (is_alone or response.http_version.startswith("HTTP/1")):
            self._socket = stream.get_extra_info("socket")
        self._response = response
        self._deadline = deadline
        self._watched: threading.Lock | None = None
        self._is_released = False
        self._lock = threading.RLock()  # held while the socket is shut down; the collector may run there
        self._pid = os.getpid()
        self.has_fired = False
        if self._socket is not None and not response.is_closed:
            self._watched = watch(self)

    @staticmethod
    def pieces(body: Iterable[bytes]) -> Iterator[bytes]:
        """Iterate over the body; exceptions of libraries below httpx become its own."""
        with httpx_errors_only():
            yield from body

    def release(self) -> None:
        """Stop watching, before the response is closed and its connection used again; a forked child has no watch."""
        if self._pid == os.getpid():
            with self._lock:
                self._is_released = True
            if self._watched is not None and self._watched.locked():
                self._watched.release()

    def look(self) -> float:
        """Shut down the socket if the time is up; return the seconds after which to look again."""
        with self._lock:
            is_late = self._deadline.waiting and self._deadline.overdue()
            is_read = not self._is_released and not self._response.is_closed  # an interrupt may come before that
            if is_late and is_read and self._socket is not None:
                self.has_fired = self._is_released = True
                shut_down(self._socket)
        return self._deadline.rest()


def asks_deadline(response: httpx.Response) -> bool:
    """Decide whether the code that reads a response asks `StreamDeadline` before each read, as our own pool does."""
    return "deadline" in response.extensions


def close_in_order(response: httpx.Response) -> None:
    """Close a response; httpcore might wait for a lock for ever (see `open_answers`), and our own pool does not.

    Args:
        response: The open response of a sync client.
    """
    if asks_deadline(response):
        response.close()
    else:
        close_answer(response)


async def aclose_in_order(response: httpx.Response) -> None:
    """Close a response; httpcore would lose its place in the pool if that was cancelled, and our own pool does not.

    Args:
        response: The open response of an async client.
    """
    await (response.aclose() if asks_deadline(response) else not_cancelled(response.aclose()))
