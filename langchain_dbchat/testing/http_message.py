"""A request as an ASGI server has received it, and how an answer is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import Receive, Scope, Send

__all__ = ["IncomingRequest", "begin_answer", "read_request", "send_answer", "send_refusal"]


class IncomingRequest(NamedTuple):
    """A whole request.

    Attributes:
        method: The HTTP method.
        path: The path, as it was sent.
        query: The query.
        headers: The headers by lower-case name.
        body: The body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


async def read_request(scope: Scope, receive: Receive) -> IncomingRequest:
    """Read a request to its end.

    Args:
        scope: Of ASGI.
        receive: Of ASGI.
    """
    body, more = [], True
    while more:
        message = await receive()
        body.append(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    path = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
    return IncomingRequest(scope["method"], path, scope["query_string"].decode("latin-1"), headers, b"".join(body))


async def begin_answer(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Send the head of an answer.

    Args:
        send: Of ASGI.
        status: The status.
        headers: The headers.
    """
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def send_answer(send: Send, status: int, headers: Mapping[str, str], pieces: Iterable[bytes]) -> None:
    """Send an answer.

    Args:
        send: Of ASGI.
        status: The status.
        headers: The headers.
        pieces: The body.
    """
    await begin_answer(send, status, headers)
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_refusal(send: Send, status: int, code: str, text: str) -> None:
    """Send an error in Databricks' format.

    Args:
        send: Of ASGI.
        status: The status.
        code: The error code.
        text: What is wrong.
    """
    body = to_json({"error_code": code, "message": text})
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    await send_answer(send, status, headers, [body])
