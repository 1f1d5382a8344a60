"""Connect, read and write with a blocking socket, for threads; `async_sockets` does the same for event loops.

Both have `read`, `write`, `close` and `is_stale`, and raise the exceptions of httpx's own transport.

Rule 1. A timeout for connecting or writing is a deadline for the whole of it, for any number of addresses and however
slowly the server takes the bytes.
Rule 2. The end of a TLS connection is its end, as in httpx, whether or not the server has said so in TLS
(close_notify): many servers do not, and asyncio does not tell. What can be cut off then is an answer without a length
and without chunks; JSON and event streams show that themselves.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from langchain_dbchat.transport.http.addresses import first_in_turn, time_left
from langchain_dbchat.transport.http.tls_sockets import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BUFFER", "FLOOD", "Socket", "connect", "connecting", "is_readable"]

BUFFER = 64 * 1024
"""Bytes of one read."""

FLOOD = 256 * 1024
"""Bytes of a stream's read after one that was filled: more has arrived, and fewer reads are fewer chunks."""

_SHORTER = 0.8  # of the time that a read has, so that the next ones may have a little less


class Socket:
    """A connected blocking socket.

    Args:
        connected: The socket, with its TLS.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._most = BUFFER
        self._timeout = -1.0  # the socket's own, in seconds; below 0 if no read has set it

    def read(self, timeout: float | None = None, most: int = BUFFER) -> bytes:
        """Read what has arrived, up to 64 KiB, or more after a read that was filled.

        Args:
            timeout: Seconds to wait for the first byte.
            most: How many bytes a read may take after one that was filled.

        Returns:
            The bytes; none at the end.

        Raises:
            httpx.ReadTimeout: Nothing came in time.
            httpx.ReadError: The connection broke.
        """
        try:
            if timeout is None or not timeout * _SHORTER * _SHORTER <= self._timeout <= timeout:
                self._set_timeout(timeout)
            try:
                data = self._socket.recv(self._most)
            except TimeoutError as error:
                data = self._receive_later(timeout, error)
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        self._most = most if len(data) >= BUFFER else BUFFER
        return data

    def _set_timeout(self, timeout: float | None) -> None:
        """Set the socket's own timeout a little shorter, so that it serves the next reads too: it is a system call."""
        self._timeout = -1.0 if timeout is None else timeout * _SHORTER
        self._socket.settimeout(None if timeout is None else self._timeout)

    def _receive_later(self, timeout: float | None, early: TimeoutError) -> bytes:
        """Wait for the rest of the time, if the socket's own timeout was shorter."""
        if early.errno is not None or timeout is None or timeout <= self._timeout:
            raise early
        rest, self._timeout = timeout - self._timeout, -1.0
        self._socket.settimeout(rest)
        return self._socket.recv(self._most)

    def write(self, pieces: Iterable[bytes], timeout: float | None = None) -> None:
        """Write all bytes.

        Args:
            pieces: The bytes, in order.
            timeout: Seconds the network may take to accept them.

        Raises:
            httpx.WriteTimeout: The network did not take them in time.
            httpx.WriteError: The connection broke.
        """
        until = None if timeout is None else time.monotonic() + timeout
        self._timeout = -1.0
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    self._socket.settimeout(time_left(until))
                    view = view[self._socket.send(view) :]
        except TimeoutError as error:
            raise httpx.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpx.WriteError(str(error)) from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __del__(self) -> None:
        """Close a socket that was lost, without a warning."""
        connected: socket.socket | None = self.__dict__.get("_socket")  # not set if an exception was raised before
        if connected is not None:
            connected.close()

    def is_stale(self, wait: float = 0.0) -> bool:
        """Return whether the server has closed the idle connection, or sent bytes that nobody asked for.

        Args:
            wait: Seconds to wait for that.
        """
        return is_readable(self._socket, wait)


def connect(
    host: str, port: int, context: ssl.SSLContext | None, timeout: float | None, name: str | None = None
) -> Socket:
    """Connect.

    Args:
        host: The host.
        port: The port.
        context: The TLS context; None for plain HTTP.
        timeout: Seconds for the connection with its TLS.
        name: The server's name for TLS, if it is not the host.

    Returns:
        The connection.

    Raises:
        httpx.ConnectTimeout: It took too long.
        httpx.ConnectError: There is no connection.
    """
    until = None if timeout is None else time.monotonic() + timeout
    with connecting():
        made = first_in_turn(host, port, until)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                made.settimeout(time_left(until))
                made = secured = wrapped(made, context, name or host)
                secured.do_handshake()
        except BaseException:
            made.close()
            raise
    return Socket(made)


@contextmanager
def connecting() -> Iterator[None]:
    """Raise httpx's exceptions instead of those of a socket that does not connect."""
    try:
        yield
    except TimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is not valid in DNS
        raise httpx.ConnectError(str(error)) from error


def is_readable(connection: socket.socket, wait: float = 0.0) -> bool:
    """Return whether a read would not wait, which means that an idle connection is over or has unexpected bytes."""
    number = connection.fileno()
    if number < 0:
        return True
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([number], [], [], wait)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(wait * 1000))
