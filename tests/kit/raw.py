"""HTTP/1.1 over raw sockets: a server that is written by hand, and one that calls it by our pool or by httpx's own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable

import httpx
from typing_extensions import Self

from langchain_dbchat.transport.http.transport import AsyncPooledTransport, PooledTransport

LIMITS = httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=5.0)
WAITS = {"connect": 20.0, "read": 20.0, "write": 20.0, "pool": 20.0}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
WAYS = ("sync", "async", "httpx sync", "httpx async")
OURS = ("sync", "async")
Sent = tuple[int, bytes]


class Caller:
    """Sends requests one after the other: by our pool, or by httpx's own, which says what is right."""

    def __init__(self, way: str, limits: httpx.Limits = LIMITS, context: ssl.SSLContext | None = None) -> None:
        context = context or ssl.create_default_context()
        self.sync: httpx.BaseTransport | None = None
        if way == "sync":
            self.sync = PooledTransport(lambda: context, limits)
        elif way == "httpx sync":
            self.sync = httpx.HTTPTransport(verify=context, limits=limits)
        else:
            self.loop = asyncio.new_event_loop()
            kind = AsyncPooledTransport if way == "async" else None
            self.pool: httpx.AsyncBaseTransport = (
                kind(lambda: context, limits) if kind else httpx.AsyncHTTPTransport(verify=context, limits=limits)
            )

    def send(self, url: str, body: bytes = b"{}", method: str = "POST", **headers: str) -> Sent:
        extensions = {"timeout": WAITS}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = httpx.Request(method, url, content=body, headers=headers, extensions=extensions)
        if self.sync is not None:
            with contextlib.closing(self.sync.handle_request(request)) as response:
                return response.status_code, b"".join(response.stream)  # type: ignore[arg-type]  # a sync stream
        return self.loop.run_until_complete(self._asend(request))

    async def _asend(self, request: httpx.Request) -> Sent:
        async with contextlib.aclosing(await self.pool.handle_async_request(request)) as response:
            pieces = [piece async for piece in response.stream]  # type: ignore[union-attr]  # an async stream
            return response.status_code, b"".join(pieces)

    def close(self) -> None:
        if self.sync is not None:
            self.sync.close()
        else:
            self.loop.run_until_complete(self.pool.aclose())
            self.loop.run_until_complete(asyncio.sleep(0.01))
            self.loop.close()


class RawServer:
    """Accepts connections and hands each to a function, with its number; over TLS if it has a context."""

    def __init__(self, serve: Callable[[socket.socket, int], None], context: ssl.SSLContext | None = None) -> None:
        self._serve = serve
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        start = "http://127.0.0.1" if context is None else "https://localhost"
        self.url = f"{start}:{self._listener.getsockname()[1]}/x"
        self.connections = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def stop_accepting(self) -> None:
        """Refuse connections from now on; those that are open stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __exit__(self, *_: object) -> None:
        self.stop_accepting()
        for connection in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS
        for thread in self._threads:
            thread.join(20)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                thread = threading.Thread(target=self._run, args=(connection, self.connections), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            if self._context is None:
                self._serve(connection, number)
                return
            with self._context.wrap_socket(connection, server_side=True) as secured:
                self._open.append(secured)
                self._serve(secured, number)


def take_request(connection: socket.socket) -> None:
    data, length = b"", 0
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < length:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError
        data += piece
        found = re.search(rb"content-length: (\d+)", data.lower())
        length = int(found[1]) if found else 0


def answer_always(reply: bytes) -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        while True:
            take_request(connection)
            connection.sendall(reply)

    return serve
