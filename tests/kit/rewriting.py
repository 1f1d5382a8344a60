"""llmock behind a small rewrite of paths: it speaks at OpenAI's paths, and we call Databricks'."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from typing_extensions import Self

_INVOCATIONS = re.compile(r"^/serving-endpoints/([^/]+)/invocations$")
_PATIENCE = 60.0  # seconds


def _rewritten(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Lead ``/serving-endpoints/<name>/invocations`` to ``/v1/chat/completions``, and name the model in the body."""

    async def rewrite(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        found = _INVOCATIONS.match(scope.get("path", ""))
        if found is None:
            await app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        body = json.dumps({"model": found[1], **json.loads(body)}).encode()
        headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return waiting.pop() if waiting else await receive()

        path = "/v1/chat/completions"
        await app({**scope, "path": path, "raw_path": path.encode(), "headers": headers}, again, send)

    return rewrite


class Rewriting:
    """A running llmock, as ``DATABRICKS_HOST`` would name it."""

    def __enter__(self) -> Self:
        from llmock.main import create_app

        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            _rewritten(create_app()), http="h11", loop="asyncio", ws="none", lifespan="off", log_level="critical",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        end = time.monotonic() + _PATIENCE
        while not self._server.started:
            assert time.monotonic() < end, "llmock did not start"
            time.sleep(0.01)
        self._client = httpx.Client(base_url=f"{self.url}/_llmock", trust_env=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._server.should_exit = True
        self._thread.join(_PATIENCE)

    def expect(self, *behaviors: dict[str, Any]) -> None:
        """Queue what goes wrong next."""
        self._client.post("/scenario", json={"behaviors": list(behaviors)}).raise_for_status()

    def reset(self) -> None:
        """Forget everything."""
        self._client.post("/reset").raise_for_status()

    def verdict(self) -> dict[str, Any]:
        """What llmock thinks of the client."""
        said: dict[str, Any] = self._client.get("/verdict").raise_for_status().json()
        return said
