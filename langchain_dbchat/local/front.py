"""The front of the workspace, before any route: the record, rehearsed faults, who may come in, sizes and headers."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langchain_dbchat.local.faults import SECRET_HEADERS, Fault, Faults, Recorded
from langchain_dbchat.local.refusals import Refused, plain
from langchain_dbchat.local.server import json_response

if TYPE_CHECKING:
    from collections import deque

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from langchain_dbchat.local.identity import Identity

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a request (docs/wire.md, 6.3)."""
OPEN_PATHS = ("/.well-known/", "/oidc/")
"""Paths that need no token of the workspace."""


class _Dropped(Exception):  # noqa: N818  # a signal within this module
    """The connection is to be cut here."""


class Front:
    """An ASGI app around the routes.

    Args:
        app: The routes.
        identity: Who may come in.
        faults: The queue of rehearsed faults.
        requests: Where requests are recorded.
        latency: Seconds before each answer.
    """

    def __init__(
        self, app: ASGIApp, identity: Identity, faults: Faults, requests: deque[Recorded], latency: float
    ) -> None:
        self._app = app
        self._identity = identity
        self._faults = faults
        self._requests = requests
        self._latency = latency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body, size = await _read(receive)
        self._record(scope, headers, body)
        fault = self._faults.take(scope["path"])
        if self._latency:
            await asyncio.sleep(self._latency)
        if fault is not None and fault.drop:
            await _hang_up(receive, send)
            return
        replies = _Replies(send, fault)
        try:
            await self._route(scope, headers, body, size, fault, receive, replies)
        except _Dropped:
            return

    async def _route(  # noqa: PLR0913, PLR0917  # the parts of one request
        self,
        scope: Scope,
        headers: dict[str, str],
        body: bytes,
        size: int,
        fault: Fault | None,
        receive: Receive,
        send: Send,
    ) -> None:
        app = self._app
        try:
            if fault is not None:
                fault.strike()
            if not scope["path"].startswith(OPEN_PATHS):
                self._identity.admit(headers.get("authorization"))
            check_size(size)
        except Refused as refused:
            app = json_response(refused.body, refused.status, refused.headers)
        await app(scope, _replay(body, receive), send)

    def _record(self, scope: Scope, headers: dict[str, str], body: bytes) -> None:
        try:
            parsed: Any = from_json(body) if body else None
        except ValueError:
            parsed = None
        shown = {name: value for name, value in headers.items() if name not in SECRET_HEADERS}
        query = scope["query_string"].decode("latin-1")
        self._requests.append(Recorded(scope["method"], scope["path"], query, shown, body, parsed))


class _Replies:
    """Sends a response with the workspace's headers, and cuts it where a fault wants that."""

    def __init__(self, send: Send, fault: Fault | None) -> None:
        self._send = send
        self._left = fault.drop_after if fault is not None else None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            request_id = str(uuid.uuid4()).encode()
            message["headers"] = [
                *message.get("headers", []),
                (b"x-request-id", request_id),
                (b"server", b"databricks"),
                (b"x-databricks-org-id", b"1"),
            ]
        elif self._left is not None and message["type"] == "http.response.body":
            if self._left <= 0:
                raise _Dropped
            self._left -= 1
        await self._send(message)


def check_size(size: int) -> None:
    """Refuse a body that is too large (docs/wire.md, 6.3)."""
    if size > BODY_LIMIT:
        raise plain(400, "BAD_REQUEST", f"Request size cannot exceed {BODY_LIMIT} bytes.")


async def _read(receive: Receive) -> tuple[bytes, int]:
    """The body and its size; what is over the limit is read and thrown away, so that the client gets to hear why."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= BODY_LIMIT:
            chunks.append(chunk)
        if not message.get("more_body", False):
            break
    return b"".join(chunks), size


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body again, and then what the connection says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _hang_up(receive: Receive, send: Send) -> None:
    """Close the connection without a word.

    ASGI has no way to say this, and uvicorn answers 500 for an app that says nothing; so this reaches for the transport
    of uvicorn's request cycle, whose bound method ``send`` is.
    """
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is not None:
        transport.abort()
    while (await receive())["type"] != "http.disconnect":
        continue
