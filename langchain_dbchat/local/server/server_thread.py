"""A server on 127.0.0.1 in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import ASGIApp
    from typing_extensions import Self

START_SECONDS = 15.0
_KEEP_ALIVE = 75  # seconds for a connection without requests; with uvicorn's five, clients that pause meet its end


class ServerThread:
    """Serves an ASGI app from `start` to `stop`.

    Args:
        app: The app.
        name: What it is, for errors.
        port: The port; 0 for a free one.
    """

    def __init__(self, app: ASGIApp, name: str, port: int = 0) -> None:
        self._app = app
        self._name = name
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """Return the address of the server.

        Raises:
            RuntimeError: It is not running.
        """
        if self._server is None:
            raise RuntimeError(f"The {self._name} is not running: use it in a `with` block.")
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start serving.

        Raises:
            RuntimeError: If it is running already, or does not start.
            OSError: If the port is taken.
        """
        if self._server is not None:
            raise RuntimeError(f"The {self._name} is running already.")
        # asyncio switches Nagle's algorithm off, but only where the protocol is named; else each answer waits 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError:
            listener.close()
            raise
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app, interface="asgi3", http="h11", loop="asyncio", ws="none", lifespan="off", log_config=None,
            log_level="critical", access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=1, timeout_keep_alive=_KEEP_ALIVE, backlog=2048,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="dbchat-local", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"The {self._name} did not start within 15 seconds.")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop serving; open connections are closed."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._server = self._thread = None


class RunsServer:
    """An object whose server runs from `start` to `stop`, or for the length of a ``with`` block."""

    _server: ServerThread

    def start(self) -> Self:
        """Start serving.

        Raises:
            RuntimeError: If it is running already, or does not start.
            OSError: If the port is taken.
        """
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop serving; open connections are closed."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
