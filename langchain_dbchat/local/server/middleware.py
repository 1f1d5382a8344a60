"""What every request passes before the routes: the record, planned faults, sign-in, the size limit; and common headers.

Rule 1. Every request is recorded, refused ones too; headers with secrets are not.
Rule 2. A fault comes before the sign-in, as a gateway in front of the workspace would answer.
Rule 3. A body over 4 MiB is read and then refused (docs/wire.md, 6.3), so that the client reads the refusal.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from langchain_dbchat.local.endpoints import APPS
from langchain_dbchat.local.faults.body_changer import COMMENT, COMMENT_SECONDS, NOT_HTTP, BodyChanger
from langchain_dbchat.local.faults.fault import Fault
from langchain_dbchat.local.faults.plan import PlannedOutcome
from langchain_dbchat.local.refusals import Refused, plain
from langchain_dbchat.local.server.answer_log import AnswerMeter
from langchain_dbchat.local.server.request_log import RecordedRequest, keep_headers
from langchain_dbchat.local.server.routes import OUTCOME
from langchain_dbchat.local.surfaces.surface import json_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from langchain_dbchat.local.faults.plan import FaultPlan
    from langchain_dbchat.local.server.answer_log import AnswerObserver
    from langchain_dbchat.local.server.identity import Identity
    from langchain_dbchat.local.server.request_log import RequestLog

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a request (docs/wire.md, 6.3)."""
OPEN_PATHS = ("/.well-known/", "/oidc/")
"""Paths that need no token of the workspace."""


class _Ended(BaseException):
    """The connection has been closed by a fault: no error, and no handler of errors gets it."""


@dataclass(frozen=True, slots=True)
class Middleware:
    """An ASGI app around the routes."""

    app: ASGIApp
    identity: Identity
    faults: FaultPlan
    requests: RequestLog
    latency: float
    """Seconds before each answer."""
    on_answer: AnswerObserver | None = None
    """Called after each answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body, size = await _read(receive)
        query = scope["query_string"].decode("latin-1")
        recorded = RecordedRequest(scope["method"], scope["path"], query, keep_headers(headers), body)
        self.requests.append(recorded)
        fault = self.faults.take(scope["path"], body)
        if self.latency or fault is not None:
            await asyncio.sleep(self.latency + (fault.latency if fault is not None else 0))
        app = self._answerer(scope, headers.get("authorization"), size, fault)
        outcome = PlannedOutcome(fault)
        meter = AnswerMeter(_WithFault(send, outcome))
        try:
            await app({**scope, OUTCOME: outcome}, _replay(body, receive), meter)
            self._report(recorded, meter)
        except _Ended:
            self._report(recorded, meter)
            while (await receive())["type"] != "http.disconnect":  # uvicorn would answer 500 for an app that returns
                continue

    def _answerer(self, scope: Scope, authorization: str | None, size: int, fault: Fault | None) -> ASGIApp:
        """Return what answers: the fault, a refusal, or the routes."""
        if fault is not None and fault.status is not None:
            headers, content = fault.own_answer()
            return Response(content, fault.status, headers)
        try:
            if not scope["path"].startswith(OPEN_PATHS):
                self.identity.authenticate(authorization, oauth_only=scope["path"].startswith(APPS))
            if size > BODY_LIMIT:
                raise plain(400, "BAD_REQUEST", f"Request size cannot exceed {BODY_LIMIT} bytes.")
        except Refused as refused:
            return json_response(refused.body, refused.status, refused.headers)
        return self.app

    def _report(self, request: RecordedRequest, meter: AnswerMeter) -> None:
        if self.on_answer is not None:
            self.on_answer(request, meter.answer)


class _WithHeaders:
    """Sends a response with the workspace's headers.

    Args:
        send: The server's ``send``.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", []),
                (b"x-request-id", str(uuid.uuid4()).encode()),
                (b"server", b"databricks"),
                (b"x-databricks-org-id", b"1"),
            ]
        await self._send(message)


class _WithFault(_WithHeaders):
    """Sends a response as its fault says; which fault that is, is known when the response begins.

    ASGI has no way to close a connection, so this uses the transport of uvicorn's request cycle, whose bound method
    ``send`` is.
    """

    def __init__(self, send: Send, outcome: PlannedOutcome) -> None:
        super().__init__(send)
        self._outcome = outcome
        self._fault = Fault()
        self._changer = BodyChanger(self._fault)
        self._transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]  # see above

    async def __call__(self, message: Message) -> None:
        if self._outcome.fault is None:
            await super().__call__(message)
            return
        if message["type"] == "http.response.start":
            self._fault = self._outcome.fault
            self._changer = BodyChanger(self._fault)
        fault = self._fault
        if message["type"] == "http.response.start":
            if fault.not_http:
                self._transport.write(NOT_HTTP)
            if fault.not_http or fault.lose:
                self._end()
            if fault.garbage_after is not None or fault.comments_after is not None:
                # The body gets longer than announced; without a length uvicorn sends it in chunks.
                message["headers"] = [pair for pair in message["headers"] if pair[0] != b"content-length"]
            await super().__call__(message)
            return
        await self._pass_on(self._changer.feed(message.get("body", b"")))
        if not message.get("more_body", False):
            await self._pass_on(self._changer.close())
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass_on(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            await asyncio.sleep(self._fault.drip)
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        while self._changer.only_comments and not self._transport.is_closing():
            await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
            await asyncio.sleep(COMMENT_SECONDS)
        if self._changer.cut or self._changer.only_comments:
            self._end()

    def _end(self) -> None:
        """Close the connection.

        Raises:
            _Ended: Always.
        """
        if self._fault.reset:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        self._transport.close()
        raise _Ended


async def _read(receive: Receive) -> tuple[bytes, int]:
    """Return the body and its size; what is over the limit is read and dropped."""
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
    """Return a ``receive`` that gives the body again, and then the events of the connection."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
