"""Who may call: one personal access token, and OAuth tokens for one service principal (docs/wire.md, 11)."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import Any
from urllib.parse import parse_qs

from pydantic_core import to_json

from langchain_dbchat.local.refusals import Refused, credential_refused, token_expired


class Identity:
    """The workspace's tokens.

    Args:
        token: The personal access token; None for a random one.
        lifetime: Lifetime of an OAuth token, in seconds.
    """

    def __init__(self, token: str | None, lifetime: float) -> None:
        self.token = token or new_token()
        self.client_id = "4b0f9c1e-local-workspace"
        self.client_secret = f"dose{secrets.token_hex(16)}"
        self.lifetime = lifetime
        self._issued: dict[str, float] = {}

    def authenticate(self, authorization: str | None, *, oauth_only: bool = False) -> None:
        """Accept a request that is signed by a known token.

        Args:
            authorization: The header.
            oauth_only: Whether the personal access token is refused, as apps do.

        Raises:
            Refused: 401 for a wrong or absent token, 403 for an OAuth token that has expired.
        """
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() == "basic":
            user, _, value = _basic(value)
            if user != "token":
                raise credential_refused()
        elif scheme.lower() != "bearer":
            raise credential_refused()
        if not oauth_only and secrets.compare_digest(value.strip().encode(), self.token.encode()):
            return
        expires = self._issued.get(value.strip())
        if expires is None:
            raise credential_refused()
        if time.monotonic() >= expires:
            raise token_expired()

    def issue(self, authorization: str | None, form: bytes) -> dict[str, Any]:
        """Return an OAuth token for the service principal.

        Args:
            authorization: The Basic header with client id and secret.
            form: The body of the request.

        Raises:
            Refused: 401 for a wrong client, 400 for another grant or no scope.
        """
        fields = parse_qs(form.decode("utf-8", "replace"))
        scheme, _, value = (authorization or "").partition(" ")
        client, _, secret = _basic(value) if scheme.lower() == "basic" else ("", "", "")
        right = secrets.compare_digest(secret.encode(), self.client_secret.encode())
        if client != self.client_id or not right:
            error = {"error": "invalid_client", "error_description": "Client authentication failed"}
            raise Refused(401, error, {"www-authenticate": 'Basic realm="oidc"'})
        if fields.get("grant_type") != ["client_credentials"]:
            raise Refused(400, {"error": "unsupported_grant_type", "error_description": "Use client_credentials"})
        if not fields.get("scope"):
            raise Refused(400, {"error": "invalid_scope", "error_description": "Scope is required: all-apis"})
        token = _token(self.client_id, self.lifetime)
        self._issued[token] = time.monotonic() + self.lifetime
        return {
            "access_token": token,
            "scope": fields["scope"][0],
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
        }

    def discovery(self, host: str) -> dict[str, Any]:
        """Return the body of ``/oidc/.well-known/oauth-authorization-server``."""
        return {
            "issuer": f"{host}/oidc",
            "authorization_endpoint": f"{host}/oidc/v1/authorize",
            "token_endpoint": f"{host}/oidc/v1/token",
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "scopes_supported": ["all-apis"],
        }


def new_token() -> str:
    """Return a personal access token that is valid nowhere else."""
    return f"dapi{secrets.token_hex(16)}"


def _basic(value: str) -> tuple[str, str, str]:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", "", ""


def _token(subject: str, lifetime: float) -> str:
    """Return a token in the shape of a JWT; only this workspace knows whether it is valid."""
    now = int(time.time())
    header = {"alg": "RS256", "typ": "at+jwt"}
    claims = {"sub": subject, "iat": now, "exp": now + int(lifetime), "jti": secrets.token_hex(8)}
    parts = (to_json(header), to_json(claims), secrets.token_bytes(32))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
