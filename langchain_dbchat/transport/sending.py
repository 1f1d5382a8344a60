"""Bound what a client that is not ours does until the head of an answer has come: it connects, sends and waits.

httpx's timeouts begin again with each byte and each address. Here each phase has one deadline on the clock. httpcore
reports the phases in a trace (https://www.encode.io/httpcore/extensions/#trace).

Rule 1. The phases are `connect`, with a proxy's tunnel and TLS; `write`; and `first_event`, for the head. The wait for
a free connection has httpx's own timeout, and a user's hooks and authentication have none. A transport that reports
nothing has the sum of all.
Rule 2. An async client is cancelled when the time is up.
Rule 3. A sync client may be in a read that each byte prolongs. A thread raises the timeout in the thread that sends, as
the interpreter raises KeyboardInterrupt (https://docs.python.org/3/c-api/threads.html#c.PyThreadState_SetAsyncExc), but
only in a phase, so only in httpcore, which closes the connection then. A connection that was opened for this request is
also shut down, so that a read that waits for the next byte ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import httpx

from langchain_dbchat.transport.deadlines import AT_LEAST, LOOK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from langchain_dbchat.transport.deadlines import StreamDeadline
    from langchain_dbchat.transport.timeouts import Timeouts

__all__ = ["AsyncSending", "Sending", "ThreadSending"]

_CONNECT, _WRITE, _READ = (httpx.ConnectTimeout, httpx.WriteTimeout, httpx.ReadTimeout)
_BEGINNINGS: Mapping[str, type[httpx.TimeoutException]] = {
    "connect_tcp.started": _CONNECT,
    "connect_unix_socket.started": _CONNECT,
    "send_request_headers.started": _WRITE,
    "receive_response_headers.started": _READ,
}
_HEAD = "receive_response_headers.complete"


class _TimeIsUp(httpx.TimeoutException):
    """What is raised in the thread that sends."""

    def __init__(self) -> None:
        super().__init__("")


def _translate(error: Exception) -> None:
    """Raise httpx's exception for one of the libraries below it, which httpx lets through.

    They refuse a request that a user's hook or authentication has changed: its Content-Length is wrong.
    """
    if type(error).__module__.partition(".")[0] in {"h11", "h2"}:
        raise httpx.LocalProtocolError(str(error)) from error


class Sending(ABC):
    """What a client is doing with a request, and how long it may.

    Args:
        timeouts: The timeouts of the call.
        clock: Seconds of a clock that never goes back.
        answer: The time for the answer, which is told when the request has been sent.

    Attributes:
        error: The exception of the phase.
    """

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float], answer: StreamDeadline) -> None:
        self._timeouts = timeouts
        self._clock = clock
        self._answer = answer
        self._until: float | None = None  # None for the answer's own deadline
        self._is_tunnel = False  # what is sent now asks a proxy for a tunnel
        self.error: type[httpx.TimeoutException] = _READ

    trace: Callable[[str, Mapping[str, Any]], Any]
    """What httpcore reports each step to."""

    @abstractmethod
    async def run(self, send: Callable[[], Any]) -> httpx.Response:
        """Send, until the time of a phase is up.

        Args:
            send: Sends the request, and returns the open response, or what an event loop awaits for it.

        Returns:
            The open response.

        Raises:
            httpx.TimeoutException: The time is up.
        """

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step that httpcore reports.

        Args:
            event: The part of httpcore, a dot, the step, and whether it has started, is complete or has failed.
            info: What belongs to it.
        """
        step = event.partition(".")[2]
        if step.endswith(".failed") or (step == _HEAD and not self._is_tunnel):
            self._until = math.inf
        request = info.get("request")
        if request is not None:
            self._is_tunnel = request.method == b"CONNECT"
        elif step == _HEAD:
            self._is_tunnel = False
        if self._is_tunnel or (begun := _BEGINNINGS.get(step)) is None:
            return
        self.error, self._until = begun, None
        if begun is _READ:
            self._answer.sent()
        else:
            seconds = self._timeouts.connect if begun is _CONNECT else self._timeouts.write
            self._until = self._clock() + (math.inf if seconds is None else seconds)

    def overdue(self) -> bool:
        """Return whether the time of the phase is up."""
        return self._answer.overdue() if self._until is None else self._clock() > self._until

    def rest(self) -> float:
        """Return the seconds after which to look at the clock again."""
        if self._until is None:
            return self._answer.rest()
        return min(max(AT_LEAST, self._until - self._clock() + AT_LEAST), LOOK)


class ThreadSending(Sending):
    """The same for a sync client, which a thread watches."""

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float], answer: StreamDeadline) -> None:
        super().__init__(timeouts, clock, answer)
        self._lock = threading.Lock()  # held while the phase changes, and while its time is found to be up
        self._left: threading.Event | None = None  # the client has left; None while nothing is watched
        self._opened: socket.socket | None = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step; the first one starts the thread."""
        with self._lock:
            self.note(event, info)
        extra = getattr(info.get("return_value"), "get_extra_info", None)
        if extra is not None:
            self._opened = extra("socket")
        if self._left is None:
            self._left = threading.Event()
            what = (threading.get_ident(), self._left)
            threading.Thread(target=self._watch, args=what, name="langchain-dbchat-sending", daemon=True).start()

    async def run(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send, until the time of a phase is up; it blocks."""
        try:
            return send()
        except _TimeIsUp:
            raise self.error("") from None
        except Exception as error:
            _translate(error)
            raise
        finally:
            if self._left is not None:
                self._left.set()

    def _watch(self, thread: int, left: threading.Event) -> None:
        while not left.wait(self.rest()):
            with self._lock:
                if self.overdue():
                    self._interrupt(thread)
                    return

    def _interrupt(self, thread: int) -> None:
        try:
            from ctypes import c_ulong, py_object, pythonapi  # noqa: PLC0415  # where something went wrong
        except ImportError:  # an interpreter without it
            return
        pythonapi.PyThreadState_SetAsyncExc(c_ulong(thread), py_object(_TimeIsUp))
        if self._opened is not None:
            with contextlib.suppress(OSError):  # it has been closed meanwhile
                socket.socket.shutdown(self._opened, socket.SHUT_RDWR)


class AsyncSending(Sending):
    """The same for an async client."""

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step."""
        self.note(event, info)

    async def run(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Send, until the time of a phase is up."""
        task = asyncio.ensure_future(send())
        try:
            while not task.done() and not self.overdue():
                await asyncio.wait({task}, timeout=self.rest())
            is_late = not task.done()
            if is_late:
                task.cancel()
                await asyncio.wait({task})  # it closes its connection
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled() and task.exception() is None:
                await task.result().aclose()
            raise
        finally:
            if not task.done() and not task.get_loop().is_closed():
                task.cancel()  # this coroutine is being closed
        if is_late and task.cancelled():
            raise self.error("")
        try:
            return task.result()
        except Exception as error:
            _translate(error)
            raise
