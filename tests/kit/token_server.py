"""Counterparts for the tests of `langchain_dbchat.auth`: a token server on loopback and a fake clock."""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

SECRET = "dose" + "0123456789abcdef" * 2
PAT = "dapi" + "0123456789abcdef" * 2


def jwt(**claims: object) -> str:
    def piece(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{piece({'alg': 'none'})}.{piece(claims)}.signature"


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


@dataclass
class Fault:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class TokenServer:
    """OIDC, Connect's exchange and the metadata that databricks-sdk asks for."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.expires_in: object = 3600
        self.delay = 0.0
        self.token: str | None = None
        self.extra: dict[str, object] = {}
        self._lock = threading.Lock()
        self._count = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, *args: object) -> None:
                del args

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                del args  # a client that stopped waiting

        self._server = Server(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def posts(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "POST"]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        seen = Seen(handler.command, handler.path, {k.lower(): v for k, v in handler.headers.items()}, form)
        with self._lock:
            self.seen.append(seen)
            fault = self.faults.pop(0) if self.faults and seen.method == "POST" else None
        if seen.method == "POST":
            time.sleep(self.delay)
        reply = fault or self._reply(seen)
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)

    def _reply(self, seen: Seen) -> Fault:  # noqa: PLR0911  # one return per path
        if seen.path == "/.well-known/databricks-config":
            return Fault(200, json.dumps({"oidc_endpoint": f"{self.origin}/oidc"}).encode())
        if seen.path == "/oidc/.well-known/oauth-authorization-server":
            urls = {
                "authorization_endpoint": f"{self.origin}/oidc/v1/authorize",
                "token_endpoint": f"{self.origin}/oidc/v1/token",
            }
            return Fault(200, json.dumps(urls).encode())
        if "subject_token" in seen.form and seen.path == "/oidc/v1/token":
            return self._grant(seen.form["subject_token"])
        if seen.path == "/oidc/v1/token":
            right = "Basic " + base64.b64encode(f"id:{SECRET}".encode()).decode()
            if seen.headers.get("authorization") != right:
                error = {"error": "invalid_client", "error_description": f"Client authentication failed {SECRET}"}
                return Fault(401, json.dumps(error).encode())
            return self._grant("m2m")
        if seen.path == "/__api__/v1/oauth/integrations/credentials":
            return self._grant(seen.form["subject_token"])
        return Fault(404, b"{}")

    def _grant(self, prefix: str) -> Fault:
        with self._lock:
            self._count += 1
            token = self.token or f"{prefix}-{self._count}"
        payload = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in, **self.extra}
        return Fault(200, json.dumps({k: v for k, v in payload.items() if v is not None}).encode())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class FakeClock:
    def __init__(self) -> None:
        self.ticks = 1000.0
        self.date = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.ticks

    def wall(self) -> float:
        return self.date

    def advance(self, seconds: float) -> None:
        self.ticks += seconds
        self.date += seconds
