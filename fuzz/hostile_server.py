"""Servers on loopback that send what a fuzz target plans, byte for byte, and an honest answer to every probe.

POST /case/<number>   the planned bytes, in pieces, then the planned end
POST /probe/<number>  200 with the body ``probe-<number>``
POST /echo/<number>   the same number as an event stream in chunks, with pauses; for cancellations
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from kit.tls import contexts  # found by the line above

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

_REQUEST = re.compile(rb"POST /(case|probe|echo)/(\d+)")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset
_NO_RECORD = b"HTTP/1.1 400 Bad Request\r\n\r\n"  # what a proxy may put into the middle of TLS

ENDS = ("keep", "close", "close", "half", "reset")
"""How a connection may end behind an answer (see `Plan`)."""
ENDS_OF_TLS = (*ENDS, "cut", "torn")
"""The same for TLS."""


@dataclass(frozen=True)
class Plan:
    """What the server does with one case.

    Attributes:
        pieces: What it sends, piece by piece.
        end: What it does then: ``"keep"`` the connection, ``"close"`` it, ``"reset"`` it, or ``"half"``: close its
            sending side alone. TLS says so before it closes, unless it is ``"cut"``; ``"torn"`` are bytes that are not
            TLS, on a connection that stays open.
        pause: Seconds between two pieces.
        said: Set when all has been done.
    """

    pieces: Sequence[bytes]
    end: str
    pause: float = 0.0
    said: threading.Event = field(default_factory=threading.Event)


class HostileServer:
    """The server; it runs in threads of its own and closes all that it opened.

    Args:
        secure: Whether it speaks TLS.
    """

    def __init__(self, *, secure: bool = False) -> None:
        self.plans: dict[int, Plan] = {}
        self.secure = secure
        with tempfile.TemporaryDirectory() as folder:
            self._context, self.trusting = contexts(Path(folder))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        start = "https://localhost" if secure else "http://127.0.0.1"
        self.url = f"{start}:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def wait_closed(self, seconds: float = 2.0) -> int:
        """Wait until no client holds a connection, and return how many still do."""
        end = time.monotonic() + seconds
        while self._open and time.monotonic() < end:
            time.sleep(0.002)
        return len(self._open)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(10)
                self._open.add(connection)
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, accepted: socket.socket) -> None:
        connection = accepted
        try:
            with contextlib.suppress(OSError):
                if self.secure:  # the first read shakes hands
                    connection = self._context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
                    self._open.add(connection)
                with connection:
                    self._converse(connection)
        finally:
            self._open.discard(connection)
            self._open.discard(accepted)

    def _converse(self, connection: socket.socket) -> None:
        held = b""
        while True:
            kind, number, held = _take(connection, held)
            if kind == "probe":
                _honest(connection, b"probe-%d" % number)
            elif kind == "echo":
                _echo(connection, number)
            elif not self._hostile(connection, self.plans[number]):
                return

    def _hostile(self, connection: socket.socket, plan: Plan) -> bool:
        """Do what is planned, and say whether the connection goes on."""
        try:
            for piece in plan.pieces:
                connection.sendall(piece)
                if plan.pause:
                    time.sleep(plan.pause)
            if plan.end == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()
            elif plan.end in {"close", "half"}:
                _say_goodbye(connection)
            elif plan.end == "torn":
                socket.socket.sendall(connection, _NO_RECORD)  # past TLS
            if plan.end in {"half", "torn"}:
                plan.said.set()
                connection.recv(1)  # until the client closes, or speaks where nobody listens
        finally:
            plan.said.set()
        return plan.end == "keep"


@contextlib.contextmanager
def hostile_servers() -> Iterator[tuple[HostileServer, HostileServer]]:
    """Run a plain server and one with TLS."""
    with HostileServer() as plain, HostileServer(secure=True) as secured:
        yield plain, secured


def _say_goodbye(connection: socket.socket) -> None:
    """Say that nothing more will come, in the connection's own way, and do not wait for the client to say it, too."""
    if not isinstance(connection, ssl.SSLSocket):
        connection.shutdown(socket.SHUT_WR)
        return
    patience = connection.gettimeout()
    connection.settimeout(0)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.unwrap()
    connection.settimeout(patience)


def _take(connection: socket.socket, held: bytes) -> tuple[str, int, bytes]:
    """Read one request, and return its kind, its number and what came behind it."""
    while b"\r\n\r\n" not in held:
        held += _received(connection)
    head, _, rest = held.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    size = int(length[1]) if length else 0
    while len(rest) < size:
        rest += _received(connection)
    found = _REQUEST.match(head)
    if found is None:
        raise ConnectionAbortedError(f"no request of ours: {head[:60]!r}")
    return found[1].decode(), int(found[2]), rest[size:]


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError
    return data


def _honest(connection: socket.socket, body: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


def _echo(connection: socket.socket, number: int) -> None:
    """Answer slowly, in a way that the number decides: chunks with the number in each; some end the connection."""
    event = b"data: %d\n\n" % number
    ends = number % 7 == 0
    connection.sendall(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        + (b"connection: close\r\n\r\n" if ends else b"\r\n")
    )
    for _ in range(number % 4 + 1):
        if number % 3 == 0:
            time.sleep(0.001)
        connection.sendall(b"%x\r\n%b\r\n" % (len(event), event))
    connection.sendall(b"0\r\n\r\n")
    if ends:
        raise ConnectionAbortedError
