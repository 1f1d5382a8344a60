"""A server in front of a real workspace that writes down what passes, so that tests can replay it.

Rule 1. The recorder signs the requests, with what the environment or the arguments have. Its clients need its own
token, which is worth nothing elsewhere, so that no other program of this machine can use it.
Rule 2. An exchange is written when its answer has ended, before the client sees that end. An answer that breaks off is
not written, and breaks off for the client too.
Rule 3. Nothing is written that was not masked (see `masking`); the token of the caller is masked wherever it is.
Rule 4. A client that leaves a stream early does not end the recording of it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from secrets import compare_digest
from typing import TYPE_CHECKING, Any

from langchain_dbchat.connection.without_model import WorkspaceConnection
from langchain_dbchat.errors import ConfigurationError, DatabricksError
from langchain_dbchat.local.server.request_log import keep_headers
from langchain_dbchat.testing.http_message import begin_answer, send_refusal
from langchain_dbchat.testing.masking import Masker
from langchain_dbchat.testing.recording import KEPT_HEADERS, AskedFor, Exchange, RecordingHead, first_line
from langchain_dbchat.testing.served import ServedWorkspace
from langchain_dbchat.transport.clients import async_client
from langchain_dbchat.transport.stream import NETWORK_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import BinaryIO

    from starlette.types import Send
    from typing_extensions import Self

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.testing.http_message import IncomingRequest

__all__ = ["RecordingWorkspace"]

_SECONDS = 600.0  # that the workspace may take for one answer, or for the next piece of it
_FAILURES: tuple[type[Exception], ...] = (*NETWORK_ERRORS, DatabricksError)
"""The network failed, or there is no token."""
_KINDS = {"workspace": False, "gateway": True, "openai": True}
"""The kinds of addresses that can be recorded, and whether a client has to be given their path."""
_OWN_HEADERS = frozenset({"accept-encoding", "authorization", "connection", "content-length", "cookie", "host", "te"})
"""The headers of a client that are not passed on."""


class RecordingWorkspace(ServedWorkspace):
    """A server on 127.0.0.1 that passes requests on to a workspace, and records them with their answers.

    Args:
        path: The file; what it has is replaced.
        secrets: Values that are masked wherever they are, beside those that look like secrets.
        **connection: Where and who, under the names that the models have: ``host``, ``token``, ``profile``, ...;
            missing values are read from the environment.
    """

    def __init__(self, path: str | Path, *, secrets: Iterable[str] = (), **connection: Any) -> None:
        super().__init__("recording workspace")
        self._path = Path(path)
        self._settings = WorkspaceConnection(**connection)
        self._masker = Masker([*secrets, self.token])
        self._session: Session | None = None
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()

    def start(self) -> Self:
        """Start recording.

        Raises:
            ConfigurationError: There is no host or no way to sign in, or the address cannot be recorded.
            RuntimeError: It is running already, or does not start.
        """
        session = self._settings.session()
        workspace = session.workspace
        if workspace.kind not in _KINDS:
            raise ConfigurationError(
                f"{workspace.host} cannot be recorded: its address is that of an app or of a route-optimized endpoint. "
                "Give the address of a workspace."
            )
        self._session = session
        self.base_path = workspace.base_path if _KINDS[workspace.kind] else ""
        super().start()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("wb")
        self._write(first_line(RecordingHead(self.base_path)))
        return self

    def stop(self) -> None:
        """Stop recording; answers that have not ended are not recorded."""
        super().stop()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    async def _answer(self, request: IncomingRequest, send: Send) -> None:
        given = request.headers.get("authorization", "").partition(" ")[2]
        if not compare_digest(given.encode(), self.token.encode()):
            text = "The recording workspace takes its own token only: sign in with its .token."
            await send_refusal(send, 401, "UNAUTHENTICATED", text)
            return
        is_begun = False
        try:
            async with _Upstream(self._session, self._settings, request) as upstream:
                self._masker.add(upstream.secrets)
                asked = AskedFor.of(request.method, request.path, request.query, request.body, self._masker)
                await begin_answer(send, upstream.status, upstream.headers)
                is_begun, pieces = True, []
                async for piece in upstream.pieces():
                    pieces.append(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except _FAILURES as error:
            if is_begun:
                raise ConnectionError from error  # the server closes the connection, so that the client sees it
            text = f"The recording workspace cannot reach the workspace: {type(error).__name__}: {error}"
            status = 400 if isinstance(error, DatabricksError) else 502  # the latter is sent again
            await send_refusal(send, status, "NOT_REACHED", self._masker.text(text))
            return
        self._write(self._exchange(asked, upstream, pieces).line())
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _exchange(self, asked: AskedFor, upstream: _Upstream, pieces: list[bytes]) -> Exchange:
        """Return the exchange without secrets."""
        headers = {name: self._masker.text(value) for name, value in upstream.headers.items()}
        if upstream.headers.get("content-type", "").startswith("text/event-stream"):
            return Exchange(asked, upstream.status, headers, pieces=tuple(self._masker.pieces(pieces)))
        return Exchange(asked, upstream.status, headers, self._masker.body(b"".join(pieces)))

    def _write(self, line: bytes) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(line)
                self._file.flush()


class _Upstream:
    """The answer of the workspace to one request."""

    def __init__(self, session: Session | None, settings: WorkspaceConnection, request: IncomingRequest) -> None:
        if session is None:
            raise RuntimeError  # not reached: the server is started after the session was made
        self._session = session
        self._settings = settings
        self._request = request
        self.secrets: list[str] = []
        """What signed the request."""

    async def __aenter__(self) -> Self:
        signature = await self._session.credentials.aheaders()
        shown = keep_headers({name.lower(): value for name, value in signature.items()})
        hidden = [value for name, value in signature.items() if name.lower() not in shown]
        self.secrets = [secret for value in hidden for secret in (value, value.rpartition(" ")[2])]
        request = self._request
        query = f"?{request.query}" if request.query else ""
        passed = {name: value for name, value in request.headers.items() if name not in _OWN_HEADERS}
        proxy = self._settings.proxy
        client = await async_client(proxy.get_secret_value() if proxy is not None else None)
        sent = client.build_request(
            request.method,
            f"{self._session.workspace.origin}{request.path}{query}",
            headers={**passed, "accept-encoding": "identity", **signature},
            content=request.body or None,
            timeout=_SECONDS,
        )
        self._response = await client.send(sent, stream=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._response.aclose()

    @property
    def status(self) -> int:
        """Return the status of the answer."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers of the answer that are recorded and passed on."""
        return {name.lower(): value for name, value in self._response.headers.items() if name.lower() in KEPT_HEADERS}

    def pieces(self) -> Any:
        """Return the pieces of the body as they arrive."""
        return self._response.aiter_bytes()
