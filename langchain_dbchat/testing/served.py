"""What the recorder and the replayer share: a server with a token of its own that logs what comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.server.identity import new_token
from langchain_dbchat.local.server.request_log import CallAssertions, RecordedRequest, RequestLog, keep_headers
from langchain_dbchat.local.server.server_thread import RunsServer, ServerThread
from langchain_dbchat.testing.http_message import read_request

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from langchain_dbchat.testing.http_message import IncomingRequest

__all__ = ["ServedWorkspace"]


class ServedWorkspace(RunsServer, CallAssertions):
    """A workspace on 127.0.0.1; each kind of it answers in its own way.

    Args:
        name: What it is, for errors.
    """

    def __init__(self, name: str) -> None:
        self.requests = RequestLog()
        self.base_path = ""
        """The path that a client has to append to the address of the server."""
        self._token = new_token()
        self._server = ServerThread(self._serve, name)

    @property
    def host(self) -> str:
        """Return the value for ``DATABRICKS_HOST``."""
        return self._server.host + self.base_path

    @property
    def token(self) -> str:
        """Return the value for ``DATABRICKS_TOKEN``; it is worth nothing elsewhere."""
        return self._token

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await read_request(scope, receive)
        self.requests.append(
            RecordedRequest(request.method, request.path, request.query, keep_headers(request.headers), request.body)
        )
        await self._answer(request, send)

    async def _answer(self, request: IncomingRequest, send: Send) -> None:
        """Answer one request.

        Args:
            request: The request.
            send: Of ASGI.
        """
        raise NotImplementedError
