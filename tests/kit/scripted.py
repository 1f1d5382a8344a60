"""A real HTTP/1.1 server on loopback that answers by script, byte for byte.

It is written on raw streams, so that a test decides where a body is cut, when a piece is sent, and whether the
connection is closed in the middle. It runs in a thread of its own with its own event loop; everything it opened is
closed at exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_LIMIT = 64 * 1024 * 1024  # bytes of a request's body
_PATIENCE = 30.0  # seconds that starting, stopping and waiting may take


@dataclass(frozen=True)
class Received:
    """A request as the server got it."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """The number of the connection it came on, counted from 1."""

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return from_json(self.body)


@dataclass(frozen=True)
class Scripted:
    """One reply: its head, the pieces of its body, and how the server behaves in between.

    Attributes:
        status: The HTTP status.
        headers: Headers besides those of framing; a content-type is added if there is none.
        body: Bytes, text, a dict or list (sent as JSON), or a list of bytes that are flushed one by one.
        wait: Seconds before the head, or what the head waits for.
        delay: Seconds before each piece but the first, or what the piece with a number waits for.
        chunked: Whether to use chunked transfer; otherwise Content-Length. None: chunked if the body comes in pieces.
        drop_after: Close the connection after so many pieces, before the body's end; -1 before the head.
        stall: After the pieces, say nothing more until the client closes.
        stall_piece: With `stall`: a piece to send every 20 ms meanwhile, such as a comment.
    """

    body: bytes | str | dict[str, Any] | list[Any] | Sequence[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float | Callable[[], bool] = 0.0
    delay: float | Callable[[int], bool] = 0.0
    chunked: bool | None = None
    drop_after: int | None = None
    stall: bool = False
    stall_piece: bytes = b""

    @property
    def pieces(self) -> list[bytes]:
        """The body as it is flushed."""
        if isinstance(self.body, bytes):
            return [self.body]
        if isinstance(self.body, str):
            return [self.body.encode()]
        if self._in_pieces:
            return list(cast("Sequence[bytes]", self.body))
        return [to_json(self.body)]

    @property
    def _in_pieces(self) -> bool:
        return (
            not isinstance(self.body, (bytes, str, dict))
            and bool(self.body)
            and all(isinstance(piece, bytes) for piece in self.body)
        )

    @property
    def is_chunked(self) -> bool:
        """Whether chunked transfer is used."""
        return self._in_pieces if self.chunked is None else self.chunked

    def head(self) -> bytes:
        """The status line and the headers."""
        names = {name.lower() for name in self.headers}
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in self.headers.items())]
        if "content-type" not in names:
            is_events = self.pieces[0].lstrip(b"\xef\xbb\xbf").startswith((b"data:", b":", b"event:"))
            lines.append(f"content-type: {'text/event-stream' if is_events else 'application/json'}")
        if self.is_chunked:
            lines.append("transfer-encoding: chunked")
        else:
            lines.append(f"content-length: {sum(map(len, self.pieces))}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


Script = Sequence[Scripted] | Callable[[Received], Scripted]


def sse(*events: Any, done: bool = True) -> bytes:
    """Render an event stream.

    Args:
        events: Dicts (sent as JSON) and texts (sent as they are), one event each.
        done: Whether ``[DONE]`` ends it.

    Returns:
        The bytes.
    """
    payloads = [event.encode() if isinstance(event, str) else to_json(event) for event in events]
    return b"".join(b"data: " + payload + b"\n\n" for payload in (*payloads, *([b"[DONE]"] if done else [])))


class ScriptedServer:
    """A server on 127.0.0.1 that gives the scripted replies, one for each request.

    Args:
        script: Replies in order, or a function from the request to its reply. When replies run out, the answer is 418.
        tls: The context of a server of ``localhost``; None for plain HTTP.
    """

    def __init__(self, *script: Scripted | Script, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[Received] = []
        self.connections = 0
        self.open_connections = 0
        self.url = ""
        self._choose = _chooser(script)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="scripted-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_PATIENCE):
            raise TimeoutError("the scripted server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            raise TimeoutError("the scripted server did not stop")

    def wait_open(self, count: int, seconds: float = _PATIENCE) -> int:
        """Wait until that many connections are open.

        Args:
            count: How many.
            seconds: How long to wait.

        Returns:
            How many are open at the end.
        """
        end = time.monotonic() + seconds
        while self.open_connections != count and time.monotonic() < end:
            time.sleep(0.005)
        return self.open_connections

    async def await_open(self, count: int, seconds: float = _PATIENCE) -> int:
        """Do the same as `wait_open` without blocking the event loop.

        Args:
            count: How many.
            seconds: How long to wait.

        Returns:
            How many are open at the end.
        """
        end = time.monotonic() + seconds
        while self.open_connections != count and time.monotonic() < end:  # noqa: ASYNC110  # it changes in another thread
            await asyncio.sleep(0.005)
        return self.open_connections

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_LIMIT, ssl=self._tls)
        host, port = server.sockets[0].getsockname()
        self.url = f"https://localhost:{port}" if self._tls else f"http://{host}:{port}"
        self._ready.set()
        await self._stop.wait()
        # What has connected must get as far as its task before the server is closed: asyncio takes some turns for that,
        # and forgets the socket (a ResourceWarning) if the server is closed in between.
        for _ in range(10):
            await asyncio.sleep(0)
        server.close()
        # Only those that still run. The others leave the set one turn of the loop later, and since Python 3.12 a wait
        # for tasks that are all done takes no turn: the loop would never end.
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.open_connections += 1
        try:
            await self._converse(reader, writer, self.connections)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.open_connections -= 1

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            received = await _receive(reader, number)
            self.requests.append(received)
            await _answer(reader, writer, self._choose(received))


async def _receive(reader: asyncio.StreamReader, number: int) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    return Received(method, parts.path, parse_qs(parts.query), headers, body, number)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Scripted) -> None:
    await _wait(reader, reply.wait)
    if reply.drop_after == -1:
        raise ConnectionAbortedError
    writer.write(reply.head())
    pieces = [_framed(piece, chunked=reply.is_chunked) for piece in reply.pieces]
    if reply.is_chunked and reply.drop_after is None and not reply.stall:
        pieces[-1] += b"0\r\n\r\n"  # with the last piece, as servers send it: a client waits for it a moment only
    for number, piece in enumerate(pieces):
        if number == reply.drop_after:
            await writer.drain()
            raise ConnectionAbortedError
        if number:
            await _wait(reader, partial(reply.delay, number) if callable(reply.delay) else reply.delay)
        writer.write(piece)
        await writer.drain()
    if reply.drop_after is not None:
        raise ConnectionAbortedError
    while reply.stall:
        await _wait(reader, 0.02)
        writer.write(_framed(reply.stall_piece, chunked=reply.is_chunked))
        await writer.drain()


def _framed(piece: bytes, *, chunked: bool) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece and chunked else piece


async def _wait(reader: asyncio.StreamReader, until: float | Callable[[], bool]) -> None:
    """Sleep, or wait for what is to become true, but not longer than the client stays."""
    end = time.monotonic() + (_PATIENCE if callable(until) else until)
    while not (callable(until) and until()):
        left = end - time.monotonic()
        if left <= 0:
            if callable(until):
                raise TimeoutError("what the reply waits for has not come")
            return
        if reader.at_eof():
            raise ConnectionResetError
        await asyncio.sleep(min(0.005, left))


def _chooser(script: Sequence[Scripted | Script]) -> Callable[[Received], Scripted]:
    if len(script) == 1 and callable(script[0]):
        return script[0]
    replies: list[Scripted] = []
    for part in script:
        if isinstance(part, Scripted):
            replies.append(part)
        elif callable(part):
            raise TypeError("a function is the whole script")
        else:
            replies.extend(part)
    rest = iter(replies)
    return lambda _: next(rest, Scripted("the script has no reply left", 418))
