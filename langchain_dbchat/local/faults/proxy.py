"""A proxy that makes faults happen by plan, in front of a `LocalWorkspace` or of any other host.

    with LocalWorkspace() as workspace, FaultProxy(workspace.host, plan=[Fault(cut_after=500), None]) as proxy:
        llm = ChatDatabricksCompat(model=..., host=proxy.host, token=workspace.token)

The first request meets the plan's first row, and so on; None lets a request pass, and so does a plan that has
ended. The proxy is written on raw sockets, because no HTTP library does what it does: it takes a body out of its
chunks, changes it as the `Fault` says, and frames it again. It runs in its own thread and needs no extra.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from langchain_dbchat.local.faults.body_changer import COMMENT, COMMENT_SECONDS, NOT_HTTP, BodyChanger
from langchain_dbchat.local.faults.fault import Fault
from langchain_dbchat.local.faults.plan import FaultPlan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["FaultProxy"]

_START_SECONDS = 10.0  # seconds that starting and stopping may take
_LINE_LIMIT = 1024 * 1024  # bytes of a head
_READ = 64 * 1024
_LOOK = 0.01  # seconds between two looks whether the client is still there
# Headers of one hop, and those that the proxy sets itself.
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "accept-encoding"})
_PASS = Fault()


class _Lost(Exception):  # noqa: N818  # a planned fault, not an error
    """The connection to the client has to end."""


class _ProxiedHead:
    """The first line and the headers of a message."""

    def __init__(self, raw: bytes) -> None:
        first, *lines = raw.decode("latin-1").split("\r\n")
        self.words = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines if line)
        self.headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]

    def get(self, name: str) -> str:
        """Return the value of a header; empty if there is none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def length(self) -> int | None:
        """Return the length of the body, if the head has one."""
        given = self.get("content-length")
        return int(given) if given.isdecimal() else None

    @property
    def chunked(self) -> bool:
        """Return whether the body comes in chunks."""
        return "chunked" in self.get("transfer-encoding").lower()

    def passed_on(self) -> list[str]:
        """Return the headers that a proxy passes on, as lines."""
        return [f"{name}: {value}" for name, value in self.headers if name not in _HOP]


class FaultProxy:
    """A proxy on 127.0.0.1 in front of a host, with a plan of what goes wrong.

    Args:
        target: The host, such as ``workspace.host``.
        plan: For each request, in the order in which they come, what happens to it; None for nothing. May be endless
            (``itertools.cycle``).
        path: Only requests whose path contains this text are counted; all others pass.

    Attributes:
        requests: How many requests have been counted.
        open_connections: How many clients are connected.

    Raises:
        ValueError: If the target is not an address.
    """

    def __init__(self, target: str, plan: Iterable[Fault | None] = (), *, path: str = "") -> None:
        address = urlsplit(target)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError(f"{target!r} is not an address: it has to begin with http:// or https://.")
        self.requests = 0
        self.open_connections = 0
        self._name = address.netloc
        self._address = (address.hostname, address.port or (443 if address.scheme == "https" else 80))
        self._context = ssl.create_default_context() if address.scheme == "https" else None
        self._plan = FaultPlan(plan)
        self._path = path
        self._host = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def host(self) -> str:
        """Return the address for a client."""
        if self._thread is None:
            raise RuntimeError("The proxy is not running: use `with FaultProxy(...) as proxy:`.")
        return self._host

    def start(self) -> Self:
        """Start.

        Raises:
            RuntimeError: If it is running already, or does not start.
        """
        if self._thread is not None:
            raise RuntimeError("The proxy is running already.")
        ready = threading.Event()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(ready),), name="dbchat-fault-proxy", daemon=True
        )
        self._thread.start()
        if not ready.wait(_START_SECONDS):
            raise RuntimeError("The proxy did not start.")
        return self

    def stop(self) -> None:
        """Stop; open connections are closed."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_SECONDS)
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_LINE_LIMIT, backlog=1024)
        self._host = "http://{}:{}".format(*server.sockets[0].getsockname())
        ready.set()
        await self._stop.wait()
        for _ in range(10):  # what has connected gets as far as its task: asyncio takes some turns for that
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
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.open_connections += 1
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, _Lost, asyncio.CancelledError, ValueError):
            pass  # the client has gone, the plan ends the connection, or what came is not HTTP
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.open_connections -= 1

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = _ProxiedHead((await reader.readuntil(b"\r\n\r\n"))[:-4])
            body = await reader.readexactly(head.length or 0)
            answering = asyncio.ensure_future(self._answer(head, body, writer))
            leaving = asyncio.ensure_future(_left(reader))
            try:
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                answering.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
                with contextlib.suppress(asyncio.CancelledError):
                    await answering

    def _next(self, path: str, body: bytes) -> Fault:
        """Return the fault that a request meets."""
        if self._path not in path:
            return _PASS
        self.requests += 1
        return self._plan.take(path, body) or _PASS

    async def _answer(self, head: _ProxiedHead, body: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self._next(head.words[1], body)
        await asyncio.sleep(fault.latency)
        if fault.not_http:
            writer.write(NOT_HTTP)
            await writer.drain()
            raise _Lost
        if fault.status is not None:
            headers, content = fault.own_answer()
            lines = [f"HTTP/1.1 {fault.status} Planned", *(f"{name}: {value}" for name, value in headers.items())]
            writer.write(_join([*lines, f"content-length: {len(content)}"]) + content)
            await writer.drain()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._address, ssl=self._context, limit=_LINE_LIMIT)
        try:
            length = [f"content-length: {len(body)}"] if head.length is not None else []
            own = [f"host: {self._name}", "accept-encoding: identity", "connection: close", *length]
            far_writer.write(_join([" ".join(head.words), *head.passed_on(), *own]) + body)
            await far_writer.drain()
            await self._pass_back(far_reader, writer, fault)
        finally:
            far_writer.close()

    async def _pass_back(self, far: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
        head = _ProxiedHead((await far.readuntil(b"\r\n\r\n"))[:-4])
        if fault.lose:
            _end(writer, reset=fault.reset)
        # A body that is cut keeps its announced length, by which a client can see the cut; a longer one cannot.
        chunked = head.chunked or head.length is None or fault.garbage_after is not None
        framing = "transfer-encoding: chunked" if chunked else f"content-length: {head.length}"
        writer.write(_join([" ".join(head.words), *head.passed_on(), framing]))
        changer = BodyChanger(fault)
        async for data in _body(far, head):
            await _send(writer, changer.feed(data), fault.drip, chunked=chunked)
            if changer.only_comments:
                await _comment_for_ever(writer, chunked=chunked)
            if changer.cut:
                _end(writer, reset=fault.reset)
        await _send(writer, changer.close(), fault.drip, chunked=chunked)
        if changer.cut:
            _end(writer, reset=fault.reset)
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _body(far: asyncio.StreamReader, head: _ProxiedHead) -> AsyncIterator[bytes]:
    """Yield the server's body, out of its chunks."""
    if head.chunked:
        while size := int((await far.readline()).split(b";")[0], 16):
            yield await far.readexactly(size)
            await far.readexactly(2)
        return
    left = head.length
    while left is None or left > 0:
        data = await far.read(_READ if left is None else min(left, _READ))
        if not data:
            if left:
                raise EOFError
            return
        left = None if left is None else left - len(data)
        yield data


async def _send(writer: asyncio.StreamWriter, pieces: Iterable[bytes], drip: float, *, chunked: bool) -> None:
    for piece in pieces:
        await asyncio.sleep(drip)
        writer.write(_chunk(piece) if chunked else piece)
        await writer.drain()


async def _comment_for_ever(writer: asyncio.StreamWriter, *, chunked: bool) -> None:
    while True:
        writer.write(_chunk(COMMENT) if chunked else COMMENT)
        await writer.drain()
        await asyncio.sleep(COMMENT_SECONDS)


async def _left(reader: asyncio.StreamReader) -> None:
    """Wait until the client has gone."""
    while not reader.at_eof():  # noqa: ASYNC110  # a reader has no event for it
        await asyncio.sleep(_LOOK)


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """End the connection here.

    Raises:
        _Lost: Always.
    """
    if reset:
        connection = writer.get_extra_info("socket")
        # No lingering: what is not yet sent is thrown away, and the other side gets a reset instead of an end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    raise _Lost


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _join(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
