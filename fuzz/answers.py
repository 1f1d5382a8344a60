"""Bytes that a hostile or broken server could answer with, and what h11 reads in them.

The generator writes an answer from the rules of RFC 9112 (status lines, 1xx answers, headers, framing by length, by
chunks or by the end of the connection, trailers, a second answer behind the first) and then damages it: a rule that is
bent on purpose, or bytes that are changed, dropped, repeated or put in.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11

if TYPE_CHECKING:
    import random

_STATUSES = (
    b"200 OK",
    b"200 OK",
    b"200",
    b"200 ",
    b"204 No Content",
    b"304 Not Modified",
    b"404 Not Found",
    b"500 \xff",
)
_HEADERS = (
    b"x-request-id: 1", b"X-Request-ID:1", b"server: databricks", b"content-type: text/event-stream", b"x: \ty\t ",
    b"x:",
    b"connection: close", b"connection: keep-alive", b"Connection: Keep-Alive, Close", b"connection: upgrade",
    b"set-cookie: a=b", b"x: " + b"y" * 3000, b"date: now",
)  # fmt: skip
_BENT_HEADERS = (
    b"content-length: 5", b"content-length: -1", b"content-length: +2", b"content-length: 2, 2", b"content-length: 2,3",
    b"content-length: 1_0", b"content-length: 99999999999999999999999", b"Content-Length : 2", b"content-length:",
    b"transfer-encoding: chunked", b"transfer-encoding: gzip, chunked", b"transfer-encoding: identity",
    b"Transfer-Encoding: Chunked", b"transfer-encoding: \x0bchunked", b"transfer-encoding: chunked, chunked",
    b"x\n y: z",
    b" folded: line", b"no colon", b"a b: c", b": nameless", b"x: a\x00b", b"x: a\rb", b"x: \xff", b"\tx: y",
    b"x\n y: z",
)  # fmt: skip
_INFORMATIONAL = (
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", b"HTTP/1.1 102\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", b"HTTP/1.1 199 \r\nx: y\r\n\r\n",
)  # fmt: skip
_ENDS_OF_LINES = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\n")
_EXTENSIONS = (
    b"",
    b"",
    b"",
    b"",
    b";a=b",
    b" ",
    b"\t;x",
    b'; q="a;b"',
    b";" + b"e" * 300,
    b" ;",
    b"; \x00",
    b"x",
    b";\xff",
)
_TRAILERS = (
    b"",
    b"",
    b"",
    b"",
    b"x: y\r\n",
    b"x: y\r\nz: \xff\r\n",
    b"content-length: 3\r\n",
    b"a b: c\r\n",
    b"x\r\n",
    b"x: y\n",
)
_BODIES = (b"", b"{}", b"data: {}\n\n", b"x" * 70, b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"y" * 5000)
SECOND = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nstrangers"
_DAMAGE = (b"\r", b"\n", b"\r\n", b" ", b"0", b"f", b"\x00", b"\xff", b":", b";", b"-", b"HTTP/1.1 200 OK\r\n")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client makes of an answer.

    Attributes:
        kind: ``"whole"``; ``"waits"`` where more bytes have to come; ``"broken"`` where it is not HTTP or ended early.
        status: The status, where a head was read.
        body: The body, as far as it was read.
        keeps: Whether the connection may carry another request; None where the client does not say.
    """

    kind: str
    status: int | None = None
    body: bytes = b""
    keeps: bool | None = None


def answer(dice: random.Random) -> bytes:
    """Write an answer, most often with something wrong in it."""
    said = bytearray()
    for _ in range(dice.choice((0, 0, 0, 0, 1, 2))):
        said += dice.choice(_INFORMATIONAL)
    said += _whole(dice)
    if dice.random() < 0.2:
        said += dice.choice((SECOND, b"\r\n", b"x", b"0\r\n\r\n", b"HTTP/1.1 408 Request Timeout\r\n\r\n"))
    for _ in range(dice.choice((0, 0, 1, 1, 2, 5)) if dice.random() < 0.5 else 0):
        place = dice.randint(0, len(said))
        piece = dice.choice(_DAMAGE) if dice.random() < 0.7 else dice.randbytes(dice.randint(1, 3))
        said[place : place + dice.choice((0, 0, 1, 2, 9))] = piece
    return bytes(said)


def _whole(dice: random.Random) -> bytes:
    version = (
        b"HTTP/1.1" if dice.random() < 0.9 else dice.choice((b"HTTP/1.0", b"HTTP/2", b"HTTP/1.2", b"http/1.1", b"ICY"))
    )
    lines = [version + b" " + dice.choice(_STATUSES)]
    lines += [dice.choice(_HEADERS) for _ in range(dice.randint(0, 3))]
    if dice.random() < 0.15:
        lines.append(dice.choice(_BENT_HEADERS))
    body = dice.choice(_BODIES)
    if dice.random() < 0.1:
        lines.append(b"content-encoding: gzip")
        body = gzip.compress(body, mtime=0) if dice.random() < 0.8 else zlib.compress(body)
    way = dice.random()
    if way < 0.35:
        lines.append(b"content-length: %d" % max(0, len(body) + dice.choice((0, 0, 0, 0, 1, -1))))
    elif way < 0.85:
        lines.append(b"transfer-encoding: chunked")
        body = chunked(dice, body)
    headers = lines[1:]
    dice.shuffle(headers)
    end = b"\r\n" if dice.random() < 0.9 else dice.choice(_ENDS_OF_LINES)
    return end.join([lines[0], *headers, b"", b""]) + body


def chunked(dice: random.Random, body: bytes) -> bytes:
    """Write a body in chunks, some of whose rules may be bent."""
    said = bytearray()
    bent = dice.random() < 0.3
    position = 0
    while position < len(body):
        size = dice.choice((1, 2, 3, 10, 100, 5000))
        piece = body[position : position + size]
        position += size
        said += _size(dice, len(piece), bent=bent) + _end(dice, bent=bent) + piece + _end(dice, bent=bent)
    said += _size(dice, 0, bent=bent) + _end(dice, bent=bent)
    said += (dice.choice(_TRAILERS) if bent or dice.random() < 0.1 else b"") + _end(dice, bent=bent)
    return bytes(said)


def _size(dice: random.Random, size: int, *, bent: bool) -> bytes:
    if not bent:
        return b"%x" % size
    digits = dice.choice(
        (b"%x", b"%X", b"%04x", b"%015x", b"%016x", b"%020x", b"%021x", b" %x", b"+%x", b"0x%x", b"%xg", b"-%x")
    )
    return digits % size + dice.choice(_EXTENSIONS)


def _end(dice: random.Random, *, bent: bool) -> bytes:
    return dice.choice(_ENDS_OF_LINES) if bent and dice.random() < 0.2 else b"\r\n"


def as_h11_reads(said: bytes, *, ends: bool, method: bytes = b"POST") -> Outcome:
    """Read an answer with h11 alone.

    Args:
        said: All bytes that the server sends.
        ends: Whether the server then closes the connection.
        method: The request's method.

    Returns:
        What h11 makes of it.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    status: int | None = None
    body = bytearray()
    try:
        for piece in (said, b"") if ends else (said,):
            if piece or ends:
                connection.receive_data(piece)
            while (event := connection.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
                if isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    rest, over = connection.trailing_data
                    keeps = connection.their_state is h11.DONE and not rest and not over
                    return Outcome("whole", status, bytes(body), keeps)
                elif isinstance(event, h11.ConnectionClosed):
                    return Outcome("broken", status, bytes(body))
    except h11.RemoteProtocolError:
        return Outcome("broken", status, bytes(body))
    return Outcome("broken" if ends else "waits", status, bytes(body))
