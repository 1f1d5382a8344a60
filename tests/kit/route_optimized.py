"""A workspace with route-optimized endpoints: issues and exchanges tokens, describes endpoints, and is each endpoint.

The endpoints have hosts of their own, as on Databricks. `route` makes their names lead to this machine, so that
requests go over sockets and nothing of ours is replaced.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kit.scripted import Received, Scripted, ScriptedServer
from kit.sign_in import answer, signer

SUFFIX = ".serving.cloud.databricks.com"
SPACE = "/99/serving-endpoints"
TOKENS = "/oidc/v1/token"
DESCRIPTIONS = "/api/2.0/serving-endpoints/"
MISSING = Scripted({"error_code": 401, "message": "Missing authorization details"}, 401)
FORBIDDEN = Scripted({"error_code": "PERMISSION_DENIED", "message": "User may not view the endpoint"}, 403)


def route(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the names of route-optimized hosts lead to this machine."""
    system = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return system("127.0.0.1" if name and name.endswith(SUFFIX) else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


class OptimizedWorkspace(ScriptedServer):
    """The workspace and its endpoints; the endpoint ``e`` has the id and the host ``e-id``.

    A caller's tokens begin with ``of-<caller>-``, an endpoint's with ``for-<endpoint id>-of-<caller>-``.

    Attributes:
        lifetime: Seconds that a token of an endpoint is good for.
        described: What descriptions contain besides name and id; None in a value removes the key.
        refusals: Replies that are given instead, by the beginning of the path; one for each request.
        revoked: Tokens that nobody accepts any more.
        given: Tokens of endpoints that were issued elsewhere, such as on the endpoint's page.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._reply, tls=tls)
        self.lifetime: float = 3600
        self.described: dict[str, Any] = {}
        self.refusals: list[tuple[str, Scripted]] = []
        self.revoked: set[str] = set()
        self.given: set[str] = set()
        self.issued: list[str] = []
        self.callers: set[str] = set()

    def endpoint(self, name: str = "e") -> str:
        """Return the URL of an endpoint, as its page shows it."""
        own = urlsplit(self.url)
        return f"{own.scheme}://{name}-id{SUFFIX}:{own.port}{SPACE}/{name}/invocations"

    @property
    def exchanges(self) -> list[dict[str, str]]:
        """The forms of the exchanges, in order."""
        forms = [parse_qs(it.body.decode()) for it in self.requests if it.path == TOKENS]
        return [{key: value[0] for key, value in form.items()} for form in forms if "assertion" in form]

    @property
    def lookups(self) -> list[Received]:
        """The requests for descriptions, in order."""
        return [it for it in self.requests if it.path.startswith(DESCRIPTIONS)]

    @property
    def questions(self) -> list[Received]:
        """What the endpoints were asked, in order."""
        return [it for it in self.requests if it.path.endswith("/invocations")]

    @property
    def signers(self) -> list[str]:
        """The tokens with which the endpoints were asked, in order."""
        return [signer(it) for it in self.questions]

    def _reply(self, received: Received) -> Scripted:
        for number, (path, reply) in enumerate(self.refusals):
            if received.path.startswith(path):
                del self.refusals[number]
                return reply
        if received.path == TOKENS:
            return self._token(received)
        if SUFFIX in received.headers["host"]:
            return self._ask(received)
        if f"{received.path}/" == DESCRIPTIONS and self._knows(signer(received)):
            return Scripted({"endpoints": [{"name": "e", "task": "llm/v1/chat"}]})
        if received.path.startswith(DESCRIPTIONS) and self._knows(signer(received)):
            name = received.path.removeprefix(DESCRIPTIONS)
            described = {"name": name, "id": f"{name}-id", "endpoint_url": self.endpoint(name), **self.described}
            return Scripted({key: value for key, value in described.items() if value is not None})
        return Scripted({"error_code": "403", "message": "Invalid Token"}, 403)

    def _token(self, received: Received) -> Scripted:
        form = {key: value[0] for key, value in parse_qs(received.body.decode()).items()}
        if form["grant_type"] == "client_credentials":
            credentials = received.headers["authorization"].removeprefix("Basic ")
            return self._issue(f"of-{base64.b64decode(credentials).decode().partition(':')[0]}", 3600)
        assertion = form["assertion"]
        if not self._knows(assertion):
            return Scripted({"error": "invalid_grant", "error_description": f"Invalid assertion {assertion}"}, 400)
        (detail,) = json.loads(form["authorization_details"])
        return self._issue(f"for-{detail['object_path'].rpartition('/')[2]}-{assertion}", self.lifetime)

    def _issue(self, prefix: str, lifetime: float) -> Scripted:
        token = f"{prefix}-{len(self.issued)}"
        self.issued.append(token)
        return Scripted({"access_token": token, "token_type": "Bearer", "expires_in": lifetime})

    def _knows(self, token: str) -> bool:
        return token not in self.revoked and (token in self.issued or token in self.callers)

    def _ask(self, received: Received) -> Scripted:
        token, endpoint_id = signer(received), received.headers["host"].partition(".")[0]
        own = token in self.issued and token.startswith(f"for-{endpoint_id}-")
        if token in self.revoked or not (own or token in self.given):
            return MISSING
        return answer(received, token)
