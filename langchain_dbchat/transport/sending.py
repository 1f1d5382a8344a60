"""Bound what a client that is not ours does until the head of an answer has come: it connects, sends and waits.

httpx's timeouts begin again with each byte. Here each phase has one deadline on the clock. httpcore reports its steps
in a trace (https://www.encode.io/httpcore/extensions/#trace).

Rule 1. The phases are `connect`, with a proxy's tunnel and TLS; `write`; and `first_event`, for the head. A deadline
counts only within a step: the wait for a free connection has httpx's own timeout, and what a user's hooks and
authentication do meanwhile has none. Until the first step, and if a transport reports none, an async client has the sum
of all timeouts.
Rule 2. An async client is cancelled when the time is up.
Rule 3. A sync client may be in a read that each byte prolongs. A thread shuts down the socket when the time is up,
while the step lasts, so never that of another call. httpcore tells which connection it uses only with the answer, so
it is looked up in the frame that reports the step. If it is not found, httpx's own timeouts remain: a timeout may come
late, but never early. They also bound connecting with its TLS.
Rule 4. Headers that frame a request are checked when it is sent: a hook or an authentication may have set them.
Rule 5. A call that fails leaves nothing behind in the client: what httpcore has lost is taken out of its pool, a
connection on which a stream is left gets no further calls (see `user_pools`), and a socket on which TLS or a way
through a proxy could not begin is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import sys
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import httpx

from langchain_dbchat.transport.call_traces import CallTrace, TaskCallTrace
from langchain_dbchat.transport.cancelling import cancelled_once, not_cancelled
from langchain_dbchat.transport.deadlines import AT_LEAST, LOOK, shut_down, watch
from langchain_dbchat.transport.foreign_errors import httpx_errors_only
from langchain_dbchat.transport.headers import refuse_framing_by_client
from langchain_dbchat.transport.user_pools import hold_whole, leave

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from anyio import CancelScope

    from langchain_dbchat.transport.deadlines import StreamDeadline
    from langchain_dbchat.transport.timeouts import Timeouts
    from langchain_dbchat.transport.user_pools import UserPool

__all__ = ["AsyncSending", "Sending", "ThreadSending"]

_PHASES: Mapping[str, type[httpx.TimeoutException]] = {
    "connect_tcp": httpx.ConnectTimeout,
    "connect_unix_socket": httpx.ConnectTimeout,
    "setup_socks5_connection": httpx.ConnectTimeout,
    "start_tls": httpx.ConnectTimeout,
    "send_request_headers": httpx.WriteTimeout,
    "send_request_body": httpx.WriteTimeout,
    "receive_response_headers": httpx.ReadTimeout,
    "receive_response_body": httpx.ReadTimeout,  # of an answer to an authentication that sends several requests
}
_FIRST_STEPS = frozenset(
    {"connect_tcp", "connect_unix_socket", "send_request_headers", "receive_response_headers"}
)  # a phase begins with one of these
_RESTARTS = ("connect_tcp.started", "connect_unix_socket.started", "send_request_headers.started")
_ON_CONNECTIONS = ("http11.", "http2.")
_LEFT = "http2.response_closed.started"  # the stream is read no more
_CONNECTS = frozenset({"connect_tcp", "connect_unix_socket"})
_DEPTH = 11  # frames between a connection and what it reports to, at most


class Sending(ABC):
    """What a client is doing with a request, and how long it may.

    Args:
        timeouts: The timeouts of the call.
        clock: Seconds of a clock that never goes back.
        answer: The deadline of the answer; its time begins when the request has been sent.
        setting: The name of the setting that the client was given as.
        pool: The pool that the client uses.
        streaming: Whether an event stream is requested.

    Attributes:
        head_at: When the head of the answer had come; None if it is not known.
        is_alone: Whether no other call uses the connection meanwhile, also over HTTP/2.
        sent: The names and values of all headers that were sent, also to a proxy; errors mask the secrets among them.
    """

    def __init__(  # noqa: PLR0913  # what it has to know of the call and of its client
        self,
        timeouts: Timeouts,
        clock: Callable[[], float],
        answer: StreamDeadline,
        setting: str,
        pool: UserPool,
        *,
        streaming: bool,
    ) -> None:
        self._seconds = {
            httpx.ConnectTimeout: timeouts.connect,
            httpx.WriteTimeout: timeouts.write,
            httpx.ReadTimeout: timeouts.first_event,
        }
        self._clock = clock
        self._answer = answer
        self._setting = setting
        self._pool = pool
        self.sent: list[tuple[str, str]] = []
        self._phase: type[httpx.TimeoutException] = httpx.ReadTimeout
        self._until = math.inf
        self._streaming = streaming
        self._is_stream = False  # a stream answers
        self.is_for_auth = False  # an authentication reads the answer, and not a hook, which has its own time
        self.head_at: float | None = None
        self.is_alone = False
        self._opening: Any = None  # the stream on which TLS or a way begins; if that fails, httpcore leaves it open
        self._is_shared = False  # other calls may use the connection at the same time
        self._trace: CallTrace | None = None  # of a call in a thread, which ends where its client returns
        self._is_over = False  # the head has come, or nothing will; httpcore still reports how it reads the body

    @abstractmethod
    def trace(self) -> CallTrace:
        """Return what httpcore reports each step to."""

    def end(self) -> None:
        """Note that an exception has ended the call: what it has left in the client is lost."""
        if self._trace is not None:
            self._trace.end()

    @abstractmethod
    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step that httpcore reports.

        Args:
            event: The part of httpcore, a dot, the step, and whether it has started, is complete or has failed.
            info: What belongs to it.

        Raises:
            ConfigurationError: The headers would change how the request is framed.
        """

    @abstractmethod
    async def run(self, send: Callable[[], Any]) -> httpx.Response:
        """Send, until the time of a phase is up.

        Args:
            send: Sends the request, and returns the open response, or what an event loop awaits for it.

        Returns:
            The open response.

        Raises:
            httpx.TimeoutException: The time is up.
            httpx.TransportError: Also where a library below httpx raises an exception of its own.
        """

    def _note(self, event: str, info: Mapping[str, Any]) -> bool | None:
        """Note a step.

        Returns:
            Whether a step of a phase has started or not, so that it has ended; None for any other event: within a step,
            httpcore also reports the settings of an HTTP/2 server.
        """
        if event == _LEFT:
            leave(_connection_of_caller(), info["stream_id"])
        step, _, state = event.partition(".")[2].rpartition(".")
        if step not in _PHASES:
            return None
        self._note_opening(step, state, info)
        if step == "receive_response_headers" and state == "complete":
            self._note_head(info.get("return_value"))
        if self._is_over or state != "started":
            return False
        self._is_shared = event.startswith("http2.")
        request: Any = info.get("request")
        is_tunnel = request is not None and request.method == b"CONNECT"
        if step == "send_request_headers":
            self._note_headers(request.headers, is_tunnel=is_tunnel)
        elif info.get("auth"):  # to a SOCKS proxy
            self.sent.append(("proxy-password", info["auth"][1].decode("latin-1")))
        if step == "receive_response_body" and self._is_stream and not self.is_for_auth:
            self._until = math.inf
        elif step in _FIRST_STEPS and not is_tunnel:
            self._phase = _PHASES[step]
            if self._phase is httpx.ReadTimeout:
                self._answer.sent()
            seconds = self._seconds[self._phase]
            self._until = math.inf if seconds is None else self._clock() + seconds
        return True

    def _note_opening(self, step: str, state: str, info: Mapping[str, Any]) -> None:
        """Note the stream of a new connection until TLS is on: from then on others may use it, over HTTP/2."""
        if step in _CONNECTS:
            self._opening = info.get("return_value")
        elif step == "start_tls" and state == "complete":
            self._opening = None

    def _note_headers(self, raw: Sequence[tuple[bytes, bytes]], *, is_tunnel: bool) -> None:
        """Note the headers of a request; raise if they change how it is framed. A tunnel's are httpcore's own."""
        self._opening = None
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
        self.sent += headers
        if not is_tunnel:
            setting = f"what the hooks and the authentication of {self._setting} set"
            refuse_framing_by_client(headers, setting, lengths=1)

    def _left_behind(self) -> list[Any]:
        """Return what a call that has failed leaves open: the socket of a beginning, and connections that are lost."""
        opening, self._opening = self._opening, None
        return [*([] if opening is None else [opening]), *self._pool.take_lost(self._trace)]

    def _note_head(self, head: Any) -> None:
        """Note the head of an answer, in the form of HTTP/1.1 or HTTP/2."""
        self.head_at, self._is_shared = self._clock(), False
        status = next((part for part in head or () if isinstance(part, int)), 0)
        self._is_stream = self._streaming and httpx.codes.is_success(status)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise httpx's exceptions alone; over HTTP/2, httpcore raises a timeout in all calls on the connection."""
        try:
            with httpx_errors_only():
                yield
        except httpx.ReadTimeout as error:
            is_early = self._phase is httpx.ReadTimeout and self._clock() < self._until - AT_LEAST
            if self._is_shared and is_early:
                raise httpx.RemoteProtocolError("the connection ended with another call on it") from error
            raise


class ThreadSending(Sending):
    """The same for a sync client, which a thread watches."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_alone = self._pool.is_found
        self._lock = threading.Lock()  # held while a step begins or ends, and while a socket is shut down
        self._watched: threading.Lock | None = None  # released when the client leaves; None while nothing is watched
        self._socket: socket.socket | None = None  # of the step
        self._late: type[httpx.TimeoutException] | None = None  # the phase whose time was up

    def trace(self) -> CallTrace:
        """Return what httpcore reports each step to."""
        self._trace = CallTrace(self)
        return self._trace

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step; the first one on a connection starts the thread."""
        with self._lock:
            is_step = self._note(event, info)
            if is_step is None:
                return
            self._socket = None
            if event.endswith(_RESTARTS):
                self._late = None
            if is_step:
                if event.startswith(_ON_CONNECTIONS):
                    connection = None if self._is_shared and not self.is_alone else _connection_of_caller()
                    hold_whole(getattr(connection, "_state_lock", None))
                    self._socket = None if connection is None else _socket_in(connection._network_stream)  # noqa: SLF001  # httpcore shows it nowhere else
                elif "stream" in info:  # that of a SOCKS proxy
                    self._socket = _socket_in(info["stream"])
        if self._socket is not None and self._watched is None:
            self._watched = watch(self)

    async def run(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send, until the time of a phase is up; it blocks."""
        for each in self._pool.recovered():
            each.close()
        self._pool.serve_one_call_each()
        try:
            with self._translated():
                response = send()
        except BaseException as error:
            for each in self._left_behind():
                with contextlib.suppress(Exception):  # the call's own exception says more
                    each.close()
            if self._late is not None and isinstance(error, httpx.TransportError):
                raise self._late("") from None
            raise
        finally:
            with self._lock:
                self._socket, self._is_over = None, True
            if self._watched is not None:
                self._watched.release()
        if self._late is not None:  # the rest of the head had just arrived
            response.close()
            raise self._late("")
        self._pool.keep(response)
        return response

    def look(self) -> float:
        """Shut down the socket if the time is up; return the seconds after which to look again."""
        with self._lock:
            if self._socket is not None and self._clock() > self._until:
                self._late = self._phase
                shut_down(self._socket)
                self._socket = None
        return min(max(AT_LEAST, self._until - self._clock() + AT_LEAST), LOOK)


class AsyncSending(Sending):
    """The same for an async client."""

    _scope: CancelScope

    def trace(self) -> CallTrace:
        """Return what httpcore reports each step to."""
        return TaskCallTrace(self)

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step."""
        is_step = self._note(event, info)
        if is_step is None:
            return
        self._scope.deadline = self._deadline() if is_step else math.inf

    async def run(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Send, until the time of a phase is up."""
        return await cancelled_once(self._send(send), httpx.Response.aclose)

    async def _send(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        from anyio import CancelScope  # noqa: PLC0415  # httpx's own, which few calls need

        self._until = self._answer.until
        try:
            with CancelScope(deadline=self._deadline()) as self._scope, self._translated():
                return await send()
        except (Exception, asyncio.CancelledError):
            await _close_all(self._left_behind())
            raise
        finally:
            self._is_over = True
        await _close_all(self._left_behind())
        raise self._phase("")

    def _deadline(self) -> float:
        """Return the deadline on the clock of the event loop."""
        from anyio import current_time  # noqa: PLC0415  # httpx's own, which few calls need

        return current_time() + self._until - self._clock()


async def _close_all(left: Sequence[Any]) -> None:
    """Close connections in order, also if the caller is cancelled meanwhile."""
    if left:
        await not_cancelled(_close_each(left))


async def _close_each(left: Sequence[Any]) -> None:
    for each in left:
        with contextlib.suppress(Exception):  # the call's own exception says more
            await each.aclose()


def _connection_of_caller() -> Any:
    """Return the connection that reports a step: the owner of one of the frames above, or of its part."""
    frame = sys._getframe(1)  # noqa: SLF001  # httpcore passes its connection to nobody
    for _ in range(_DEPTH):
        owner = frame.f_locals.get("self")
        for holder in (owner, getattr(owner, "_connection", None)):
            if getattr(holder, "_network_stream", None) is not None:
                return holder
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


def _socket_in(stream: Any) -> socket.socket | None:
    found = stream.get_extra_info("socket")
    return found if isinstance(found, socket.socket) else None
