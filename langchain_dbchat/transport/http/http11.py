"""Write a request and read its answer in HTTP/1.1, as bytes. This module does no input or output.

Rule 1. httpx reads an answer chunk by chunk, and a server of event streams sends each event as an HTTP chunk. That
takes 12 µs for each chunk, and does not show which events arrived together. `Chunked` and `Plain` return the content of
one read as one piece.
Rule 2. h11 reads and writes heads with all its checks, as in httpx. Heads that one simple pattern matches completely
are read and written without h11, in a sixth of the time.
Rule 3. httpx itself requires h11 (through httpcore), so h11 is not a further dependency; a test checks this.
Rule 4. Errors are httpx's own, with h11's words: `httpx.LocalProtocolError` for a request that cannot be written,
`httpx.RemoteProtocolError` for an answer that cannot be read or that ends too early.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import h11
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Chunked", "Head", "HeadReader", "Plain", "write_request"]

Pairs = Sequence[tuple[bytes, bytes]]

_HEAD_LIMIT = 100 * 1024  # bytes of a head, as in httpx; also of all informational answers (1xx) before it
_BITE = 16 * 1024  # bytes that h11 gets at once, because it takes its time for each informational answer
_COPIED = 64 * 1024  # bytes of a body that is copied behind its head, because a second write takes longer
_LINE_LIMIT = 16 * 1024  # bytes of a chunk's first line, or of the trailers
_BODILESS = frozenset({204, 304})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
# Heads with one possible meaning. No pattern can match in two ways, so that none takes long to fail.
_NAME = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_PLAIN_REQUEST = re.compile(rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:%b: (?:[!-~](?:[\t -~]*[!-~])?)?\r\n)+\r\n" % _NAME)
_PLAIN_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ([ -~]*)\r\n((?:%b:[\t -~]*\r\n)+)\r\n" % _NAME)
_PLAIN_FRAMING = re.compile(rb"content-length: [0-9]{1,15}|transfer-encoding: chunked")
_END = h11.EndOfMessage()
# The end of the chunk before, the size of this one (with as many digits as h11 accepts), and extensions.
_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,20})[ \t]*(?:;[^\r\n]*)?\r\n")
_BLANK = re.compile(rb"\n\r?\n")  # the end of the trailers, as h11 finds it


class Head:
    """The head of an answer.

    Args:
        version: The version, such as ``b"1.1"``.
        status: The status.
        reason: The reason phrase.
        headers: The headers as they were sent; h11 or a pattern has checked their framing.
        rest: The bytes that came together with them: the first bytes of the body.
        method: The request's method.
    """

    __slots__ = ("body", "headers", "keeps", "reason", "rest", "status", "version")

    def __init__(  # noqa: PLR0913, PLR0917  # a head's parts
        self, version: bytes, status: int, reason: bytes, headers: Pairs, rest: bytes, method: str
    ) -> None:
        self.status = status
        self.reason = reason
        self.version = b"HTTP/" + version
        self.headers = headers
        self.rest = rest
        self.keeps = version >= b"1.1"
        length: int | None = None
        chunked = False
        for name, value in headers:
            word = name.lower()
            if word == b"content-length":
                length = int(value)
            elif word == b"transfer-encoding":
                chunked = True
            elif word == b"connection" and _says_close(value):
                self.keeps = False
        if method == "HEAD" or status in _BODILESS:
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

    __slots__ = ("_left", "_length", "done", "error", "excess")

    def __init__(self, length: int | None) -> None:
        self._length = length
        self._left = math.inf if length is None else length
        self.done = length == 0
        self.error: httpx.RemoteProtocolError | None = None  # errors of this kind are raised at once
        self.excess = False  # there are bytes after the body, so the connection cannot be used again

    def feed(self, data: bytes) -> bytes:
        """Read bytes of the connection; no bytes mean that it has ended.

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

    __slots__ = ("_held", "_left", "_trailing", "done", "error", "excess")

    def __init__(self) -> None:
        self._held = b"\r\n"  # an incomplete line; at the beginning, the end of a chunk before the first one
        self._left = 0  # missing bytes of the open chunk
        self._trailing = False  # the last chunk was read, and trailers may follow
        self.done = False
        self.error: httpx.RemoteProtocolError | None = None  # the error to raise after the content before it
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        """Read bytes of the connection, cut anywhere; no bytes mean that it has ended.

        Returns:
            The content of all chunks among them, joined; `error` says whether something malformed follows it.

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
                position = start - 2  # the end of this line may be the empty line that ends the trailers
            elif position >= end:
                pieces.append(data[start:])
                self._left = position - end
                return b"".join(pieces)
            else:
                pieces.append(data[start:position])
        try:
            if self._trailing:
                self._trail(data, position)
            else:
                self._hold(data, position)
        except httpx.RemoteProtocolError as error:
            if not pieces:
                raise
            self.error = error
        return b"".join(pieces)

    def _trail(self, data: bytes, position: int) -> None:
        """Skip the trailers (the headers after the last chunk)."""
        found = _BLANK.search(data, position)
        if found is not None:
            if found.start() > position + 1:  # behind the end of the last chunk's line
                _check_trailers(data[position : found.end()])
            self.done = True
            self.excess = found.end() < len(data)
        elif len(data) - position > _LINE_LIMIT:
            raise httpx.RemoteProtocolError("the headers after the last chunk are too long")
        else:
            self._held = data[position:]

    def _hold(self, data: bytes, position: int) -> None:
        """Keep the beginning of a chunk's first line, if it can be one."""
        self._held = held = data[position:]
        if not b"\r\n".startswith(held[:2]) or held.count(b"\n") > 1 or len(held) > _LINE_LIMIT:
            raise httpx.RemoteProtocolError(f"illegal chunk header of {len(held)} bytes")


def _check_trailers(block: bytes) -> None:
    """Refuse trailers that h11 refuses, because it is not certain where they end."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    connection.send(_END)
    try:
        connection.receive_data(b"HTTP/1.1 200 " + block)
        connection.next_event()
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(f"malformed headers after the last chunk: {error}") from error


def write_request(request: httpx.Request) -> tuple[HeadReader, list[bytes]]:
    """Write a request.

    Args:
        request: The request; its body is known as a whole.

    Returns:
        The reader of the answer's head, and the bytes to send: a large body, such as an image, is not copied behind its
        head.

    Raises:
        httpx.LocalProtocolError: It cannot be written, for example for a line break in a header.
    """
    head = _plain_request(request)
    reader = HeadReader(request)
    if head is not None:
        body = request.content
        return reader, [head, body] if len(body) > _COPIED else [head + body]
    if any(name.lower() == b"transfer-encoding" for name, _ in request.headers.raw):
        raise httpx.LocalProtocolError("a body that is known as a whole is framed by its length alone")
    return reader, [reader.written()]


def _plain_request(request: httpx.Request) -> bytes | None:
    """Return a request's head as bytes; None if h11 has to check and write it."""
    headers = request.headers.raw
    words = [name.lower() for name, _ in headers]
    framing = [(word, value) for word, (_, value) in zip(words, headers, strict=True) if word in _FRAMING]
    if len(set(words)) != len(words) or b"host" not in words or b":" in b"".join(words):
        return None
    if framing != [(b"content-length", b"%d" % len(request.content))]:
        return None
    lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode(), request.url.raw_path, lines)
    # A line break within a header would look like the end of the header, so the lines are counted.
    is_plain = head.count(b"\n") == len(headers) + 2 and _PLAIN_REQUEST.fullmatch(head)
    return head if is_plain else None


class HeadReader:
    """Reads the head of the answer to a request.

    Args:
        request: The request.
    """

    __slots__ = ("_connection", "_request", "_room")

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._room = _HEAD_LIMIT
        self._connection: h11.Connection | None = None

    def written(self) -> bytes:
        """Write the request with h11.

        Returns:
            Its bytes.

        Raises:
            httpx.LocalProtocolError: It cannot be written.
        """
        request = self._request
        connection = self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            parts = [connection.send(head), connection.send(h11.Data(data=request.content)), connection.send(_END)]
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        return b"".join(part for part in parts if part)

    def feed(self, data: bytes) -> Head | None:
        """Read a head.

        Args:
            data: The next bytes; no bytes mean that the connection has ended.

        Returns:
            The head, or None if it is not complete.

        Raises:
            httpx.RemoteProtocolError: It is malformed, or the connection has ended.
        """
        if not data:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        connection = self._connection
        if connection is None:
            head = _plain_head(data, self._request.method)
            if head is not None:
                return head
            self.written()
            connection = cast("h11.Connection", self._connection)
        for start in range(0, len(data), _BITE):
            if self._room < 0:
                raise httpx.RemoteProtocolError("the head of the answer, with all that came before it, is too long")
            bite = data[start : start + _BITE]
            event, rest = _next_head(connection, bite)
            if event is not None:
                rest += data[start + _BITE :]
                headers = event.headers.raw_items()
                return Head(event.http_version, event.status_code, event.reason, headers, rest, self._request.method)
            self._room -= len(bite)
        return None


def _next_head(connection: h11.Connection, data: bytes) -> tuple[h11.Response | None, bytes]:
    """Let h11 read bytes; return the head if it is complete now, and the bytes behind it."""
    try:
        connection.receive_data(data)
        while isinstance(event := connection.next_event(), h11.InformationalResponse):
            pass
    except (h11.RemoteProtocolError, ValueError) as error:  # ValueError: a length of thousands of digits
        raise httpx.RemoteProtocolError(str(error)) from error
    return (event, connection.trailing_data[0]) if isinstance(event, h11.Response) else (None, b"")


def _plain_head(data: bytes, method: str) -> Head | None:
    """Return a complete head with one possible meaning; None if h11 has to read it."""
    found = _PLAIN_HEAD.match(data)
    if found is None or found.end() > _HEAD_LIMIT:
        return None
    headers = []
    framing = []
    for line in found[3][:-2].split(b"\r\n"):
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        headers.append((name, value))
        word = name.lower()
        if word in _FRAMING:
            framing.append(b"%b: %b" % (word, value))
    if len(framing) != 1 or not _PLAIN_FRAMING.fullmatch(framing[0]):
        return None
    return Head(b"1.1", int(found[1]), found[2], headers, data[found.end() :], method)


def wants_close(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request asks for the connection to be closed after it.

    Args:
        headers: The request's raw headers.
    """
    return any(_says_close(value) for name, value in headers if name.lower() == b"connection")


def _says_close(value: bytes) -> bool:
    return b"close" in [word.strip() for word in value.lower().split(b",")]
