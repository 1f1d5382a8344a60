"""Answers that arrive drop by drop, for ever."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

JSON, EVENTS = b"application/json", b"text/event-stream"


def head(kind: bytes, framing: bytes = b"transfer-encoding: chunked") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b\r\n\r\n" % (kind, framing)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def dripping(start: Callable[[bytes], bytes], drop: bytes) -> Callable[[socket.socket, int], None]:
    """Answer with a beginning, which depends on what was asked for, then with a drop every 20 ms for ever."""

    def serve(connection: socket.socket, _: int) -> None:
        asked = connection.recv(65536)
        while b"\r\n\r\n" not in asked:
            asked += connection.recv(65536)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(start(EVENTS if b"text/event-stream" in asked else JSON))
        while True:
            for byte in drop:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)

    return serve


DRIPS: dict[str, tuple[Callable[[bytes], bytes], bytes]] = {
    "news before the head": (lambda _: b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a head": (lambda _: b"HTTP/1.1 200 OK\r\nx-long: ", b"x"),
    "many headers": (lambda _: b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "a chunk's extension": (lambda kind: head(kind) + b"5;", b"x"),
    "the blanks of a chunk's size": (lambda kind: head(kind) + b"5", b" "),
    "trailers": (lambda kind: head(kind) + b"0\r\n", b"x: y\r\n"),
    "comments": (head, chunk(b": ping\n\n")),
    "half an event": (lambda kind: head(kind) + chunk(b"data: "), chunk(b"x")),
    "spaces": (lambda kind: head(kind, b"content-length: 100000"), b" "),
    "a body without a length": (lambda kind: head(kind, b"x: y"), b'{"a": 1} '),
}
