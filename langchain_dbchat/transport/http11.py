"""One request and its answer on a connection of HTTP/1.1, as bytes. No byte moves here.

httpx reads an answer chunk by chunk, and a server of event streams sends each event as an HTTP chunk: 12 µs for each
of them, and nobody can tell which had already arrived together. Here the heads are h11's work, with all its checks,
as in httpx; the body is read by `Chunked` or `Plain`, which give everything that came in one read as one piece.

h11 is what httpx itself reads HTTP/1.1 with (its engine, httpcore, requires it), so it is there wherever httpx is; a
test holds that.

Errors are httpx's own, with h11's words: `httpx.LocalProtocolError` for a request that cannot be written,
`httpx.RemoteProtocolError` for an answer that cannot be read or that ends too early.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import h11
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Chunked", "Head", "Plain", "read_head", "write_request"]

_HEAD_LIMIT = 100 * 1024  # bytes of a head, as in httpx
_LINE_LIMIT = 16 * 1024  # bytes of a chunk's first line, or of what comes after the last chunk
_BODILESS = frozenset({204, 304})
# The end of the chunk before, this chunk's size, and extensions, which nobody uses.
_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


class Head:
    """The head of an answer.

    Args:
        event: As h11 read it.
        rest: The bytes that had come with it: the body's first.
        method: The request's method.
    """

    __slots__ = ("body", "headers", "keeps", "reason", "rest", "status", "version")

    def __init__(self, event: h11.Response, rest: bytes, method: str) -> None:
        self.status = event.status_code
        self.reason = event.reason
        self.version = b"HTTP/" + event.http_version
        self.headers = event.headers.raw_items()
        self.rest = rest
        self.keeps = event.http_version >= b"1.1"
        length: int | None = None
        chunked = False
        for name, value in event.headers:  # in lower case; h11 has checked that framing makes sense
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"connection" and _says_close(value):
                self.keeps = False
        if method == "HEAD" or self.status in _BODILESS:
            self.body: Chunked | Plain = Plain(0)
        elif chunked:
            self.body = Chunked()
        else:
            self.body = Plain(length)
            self.keeps = self.keeps and length is not None


class Plain:
    """A body of known length, or one that ends with the connection.

    Args:
        length: Its bytes; None until the connection ends.
    """

    __slots__ = ("_left", "_length", "done", "excess")

    def __init__(self, length: int | None) -> None:
        self._length = length
        self._left = math.inf if length is None else length
        self.done = length == 0
        self.excess = False  # more came than belongs to the body: the connection cannot be used again

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the connection; none at all mean that it has ended.

        Returns:
            The bytes of the body among them.

        Raises:
            httpx.RemoteProtocolError: The connection ended too early.
        """
        if not data:
            if self._length is not None:
                got = self._length - self._left
                raise httpx.RemoteProtocolError(
                    "peer closed connection without sending complete message body "
                    f"(received {got} bytes, expected {self._length})"
                )
            self.done = True
            return b""
        self._left -= len(data)
        if self._left <= 0:
            self.done = True
            if self._left < 0:
                self.excess = True
                return data[: int(self._left)]
        return data


class Chunked:
    """A body in chunks."""

    __slots__ = ("_held", "_left", "_trailing", "done", "excess")

    def __init__(self) -> None:
        self._held = b"\r\n"  # what is not understood yet; as if a chunk had ended before the first one
        self._left = 0  # bytes that the open chunk still owes
        self._trailing = False  # the last chunk has come, and headers may follow
        self.done = False
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the connection, cut anywhere; none at all mean that it has ended.

        Returns:
            The content of all chunks among them, joined.

        Raises:
            httpx.RemoteProtocolError: A chunk is malformed, or the connection ended too early.
        """
        if not data:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body (incomplete chunked read)"
            )
        if self._left >= len(data):
            self._left -= len(data)
            return data
        pieces = [data[: self._left]] if self._left else []
        position, self._left = self._left, 0
        if self._held:
            data = self._held + data
            self._held = b""
        end = len(data)
        match = _CHUNK.match
        while not self._trailing and (found := match(data, position)) is not None:
            start = found.end()
            size = int(found[1], 16)
            position = start + size
            if size == 0:
                self._trailing = True
                position = start - 2  # an empty line ends the headers that may follow, this line's end included
            elif position >= end:
                pieces.append(data[start:])
                self._left = position - end
                return b"".join(pieces)
            else:
                pieces.append(data[start:position])
        if self._trailing:
            self._trail(data, position)
        else:
            self._hold(data, position)
        return b"".join(pieces)

    def _trail(self, data: bytes, position: int) -> None:
        """Skip the headers after the last chunk."""
        stop = data.find(b"\r\n\r\n", position)
        if stop >= 0:
            self.done = True
            self.excess = stop + 4 < len(data)
        elif len(data) - position > _LINE_LIMIT:
            raise httpx.RemoteProtocolError("the headers after the last chunk are too long")
        else:
            self._held = data[position:]

    def _hold(self, data: bytes, position: int) -> None:
        """Keep the beginning of a chunk's first line, if it can still become one."""
        self._held = held = data[position:]
        if not b"\r\n".startswith(held[:2]) or held.count(b"\n") > 1 or len(held) > _LINE_LIMIT:
            raise httpx.RemoteProtocolError(f"illegal chunk header: {held[:40]!r}")


def write_request(request: httpx.Request) -> tuple[h11.Connection, bytes]:
    """Write a request.

    Args:
        request: The request; its body is known as a whole.

    Returns:
        What will read the answer's head, and the bytes to send.

    Raises:
        httpx.LocalProtocolError: It cannot be written, for example for a line break in a header.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
    url = request.url
    try:
        head = h11.Request(method=request.method, target=url.raw_path, headers=request.headers.raw)
        parts = [connection.send(head), connection.send(h11.Data(data=request.content)), connection.send(_END)]
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    return connection, b"".join(part for part in parts if part)


def read_head(connection: h11.Connection, data: bytes, method: str) -> Head | None:
    """Read an answer's head.

    Args:
        connection: What `write_request` returned.
        data: The next bytes; none at all mean that the connection has ended.
        method: The request's method.

    Returns:
        The head, or None if it is not complete.

    Raises:
        httpx.RemoteProtocolError: It is malformed, or the connection has ended.
    """
    if not data:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
    try:
        connection.receive_data(data)
        while isinstance(event := connection.next_event(), h11.InformationalResponse):
            pass
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    return Head(event, connection.trailing_data[0], method) if isinstance(event, h11.Response) else None


def wants_close(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether a request asks for the connection to be closed after it.

    Args:
        headers: The request's raw headers.
    """
    return any(name.lower() == b"connection" and _says_close(value) for name, value in headers)


def _says_close(value: bytes) -> bool:
    return b"close" in [word.strip() for word in value.lower().split(b",")]


_END = h11.EndOfMessage()
