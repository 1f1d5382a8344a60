"""Sign requests to a route-optimized endpoint: exchange the caller's token for a token of this endpoint.

Rule 1. Such an endpoint accepts only OAuth tokens that were issued for it
(https://docs.databricks.com/aws/en/machine-learning/model-serving/query-route-optimization). `OAuthOnly` refuses
personal access tokens before anything is sent.
Rule 2. The workspace exchanges its own tokens: `POST {workspace}/oidc/v1/token` with the grant of RFC 7523, 2.1
(`jwt-bearer`) and `authorization_details` (RFC 9396), and no client. So every way of signing in that gives a token of
the workspace works (databricks-sdk, `data_plane.py`).
Rule 3. `authorization_details` are in the endpoint's description, which is read once for each endpoint. Where they are
missing, they contain the endpoint's `id`; where the caller may query the endpoint but not view it (403), the first
label of the host, which is the id.
Rule 4. Tokens are cached for each workspace, endpoint and token of the caller. So callers never share one, whatever the
way of signing in.
Rule 5. A token that the user gives (`token=`, also as a callable, `credentials=`, `DATABRICKS_TOKEN`) is sent as it is,
because it may be a token of this endpoint. If the endpoint refuses it, and the same token is given again, it is
exchanged. Every other token belongs to the workspace and is exchanged at once.
Rule 6. If the workspace refuses the caller's token, the caller is asked for a new one, once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pydantic_core

from langchain_dbchat.auth.credentials import bearer
from langchain_dbchat.auth.derived import DerivedCredentials
from langchain_dbchat.auth.grants import TokenRequest, fetch_grant, sign_in_channel
from langchain_dbchat.auth.tokens import TokenCell, TokenCells
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksNotFoundError,
    DatabricksPermissionDeniedError,
)
from langchain_dbchat.transport.effects import Effect, aexecute, execute, post, sign

if TYPE_CHECKING:
    from collections.abc import Generator

    from langchain_dbchat.auth.tokens import Grant
    from langchain_dbchat.routing.address import Workspace
    from langchain_dbchat.transport.messages import Reply, Request
    from langchain_dbchat.transport.signing import Credentials
    from langchain_dbchat.transport.user_clients import UserClients

__all__ = ["EndpointCredentials"]

CELLS = TokenCells(limit=256)

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_NOT_PERMITTED = "invalid_authorization_details"
"""The workspace's code for a caller who may not query the endpoint. Another token of the same caller does not help."""

_details: dict[tuple[str, str], str] = {}
"""The `authorization_details` of each endpoint, by the workspace's origin and the endpoint's address."""

_sent: ContextVar[str] = ContextVar("langchain_dbchat_sent", default="")
"""The digest of the given token that this context last decided to send unchanged."""


@dataclass(frozen=True)
class EndpointCredentials(DerivedCredentials):
    """Credentials for the host of a route-optimized endpoint.

    Args:
        credentials: What signs for the workspace.
        endpoint: The address of the endpoint.
        workspace: The workspace that issues tokens for it; None if none is known, so that tokens are sent as they are.
        is_given: Whether the user gave the token that `credentials` sends (rule 5).
        clients: The clients that send the requests to the workspace.
    """

    endpoint: Workspace
    workspace: Workspace | None
    is_given: bool = False
    clients: UserClients | None = field(default=None, repr=False, compare=False)

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the header with a token of the endpoint, or the given headers (rule 5).

        Args:
            refresh: The last token was refused.

        Raises:
            ConfigurationError: If the caller's token is a personal access token, or the workspace is not that of the
                endpoint.
            DatabricksError: If the workspace gives no token.
        """
        return execute(self._sign(refresh=refresh))

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers` without blocking the event loop."""
        return await aexecute(self._sign(refresh=refresh))

    def _sign(self, *, refresh: bool) -> Generator[Effect, Any, Mapping[str, str]]:
        signed: Mapping[str, str] = yield sign(self.credentials, refresh=refresh and self.is_given)
        cell = self._cell(signed, refresh=refresh)
        if cell is None:
            return signed
        fetch = self._fetch(signed)
        token = yield Effect(lambda: cell.get(fetch, refresh=refresh), lambda: cell.aget(fetch, refresh=refresh))
        return bearer(token, self.name)

    def home(self) -> tuple[Workspace, Credentials]:
        """Return the workspace of the endpoint, and what signs for it.

        Raises:
            ConfigurationError: If the workspace is not known.
        """
        if self.workspace is None:
            raise ConfigurationError(
                f"The workspace of the route-optimized endpoint {self.endpoint.endpoint!r} is not known. Set "
                "DATABRICKS_HOST to its address, or name a profile of it with profile=....",
                host=self.endpoint.host,
                endpoint=self.endpoint.endpoint,
            )
        return self.workspace, self.credentials

    def _cell(self, signed: Mapping[str, str], *, refresh: bool) -> TokenCell | None:
        """Return the cell of the endpoint's token; None if the caller's headers are sent as they are."""
        token = _token_in(signed)
        if self.workspace is None or token is None:
            return None
        digest = hashlib.sha256(token.encode()).hexdigest()
        key = (self.workspace.origin, self._address, digest)
        if not self.is_given:
            return CELLS.cell(key)
        cell = CELLS.filled(key)
        if cell is None and refresh and _sent.get() == digest:
            return CELLS.cell(key)
        _sent.set(digest)
        return cell

    @property
    def _address(self) -> str:
        return f"{self.endpoint.base_url}/{self.endpoint.endpoint}"

    def _fetch(self, signed: Mapping[str, str]) -> Effect:
        return Effect(lambda: execute(self._plan(signed)), lambda: aexecute(self._plan(signed)))

    def _plan(self, signed: Mapping[str, str]) -> Generator[Effect, Any, Grant]:
        """Decide what is sent to the workspace, in which order."""
        try:
            return (yield from self._exchange(signed))
        except DatabricksAuthenticationError as error:
            if error.error_code == _NOT_PERMITTED:
                raise
            renewed = yield sign(self.credentials, refresh=True)
            if _token_in(renewed) in {None, _token_in(signed)}:
                raise
        return (yield from self._exchange(renewed))

    def _exchange(self, signed: Mapping[str, str]) -> Generator[Effect, Any, Grant]:
        workspace, _ = self.home()
        key = (workspace.origin, self._address)
        details = _details.get(key)
        if details is None:
            try:
                details = self._details_in((yield post(sign_in_channel(self.name, self.clients), self._lookup(signed))))
            except DatabricksPermissionDeniedError:
                details = _details_of(self.endpoint.hostname.partition(".")[0])
            except DatabricksNotFoundError as error:
                raise self._elsewhere(f"has no endpoint {self.endpoint.endpoint!r}") from error
            else:
                _details[key] = details
        request = TokenRequest(
            url=f"{workspace.origin}/oidc/v1/token",
            authorization=None,
            form={
                "grant_type": _GRANT_TYPE,
                "authorization_details": details,
                "assertion": _token_in(signed) or "",
            },
            purpose=f"Request for a token of the route-optimized endpoint {self.endpoint.endpoint!r}",
            step=self.name,
            advice={
                0: f"The caller needs the permission CAN QUERY on the endpoint, and {workspace.host} has to be its "
                "workspace: see host=..., DATABRICKS_HOST or the profile.",
                404: "This host issues no tokens: set DATABRICKS_HOST to the address of the endpoint's workspace.",
            },
            clients=self.clients,
        )
        grant: Grant = yield fetch_grant(lambda: request)
        return grant

    def _lookup(self, signed: Mapping[str, str]) -> Request:
        from langchain_dbchat.transport.messages import Request  # noqa: PLC0415  # loads with the transport

        name, (workspace, _) = self.endpoint.endpoint or "", self.home()
        url = f"{workspace.origin}/api/2.0/serving-endpoints/{quote(name, safe='')}"
        return Request(url=url, headers=signed, body=b"", endpoint=name, host=workspace.host, method="GET")

    def _details_in(self, reply: Reply) -> str:
        """Return the `authorization_details` in the endpoint's description.

        Raises:
            ConfigurationError: If the workspace's endpoint of this name has another URL.
        """
        described = _object(_json(reply.body))
        query = _object(_object(described.get("data_plane_info")).get("query_info"))
        url = described.get("endpoint_url") or query.get("endpoint_url")
        if isinstance(url, str) and _host_of(url) not in {"", self.endpoint.hostname}:
            raise self._elsewhere(
                f"has an endpoint {self.endpoint.endpoint!r} at {_host_of(url)}, not at {self.endpoint.hostname}"
            )
        found = query.get("authorization_details")
        if isinstance(found, str) and found:
            return found
        if isinstance(found, list):
            return json.dumps(found)
        endpoint_id = described.get("id")
        has_id = isinstance(endpoint_id, str) and endpoint_id
        return _details_of(str(endpoint_id) if has_id else self.endpoint.hostname.partition(".")[0])

    def _elsewhere(self, reason: str) -> ConfigurationError:
        host = self.home()[0].host
        return ConfigurationError(
            f"The workspace {host} {reason}. The tokens of a route-optimized endpoint come from its own workspace: set "
            "DATABRICKS_HOST to it, or name a profile of it with profile=....",
            host=host,
            endpoint=self.endpoint.endpoint,
            auth=self.name,
        )


def forget() -> None:
    """Delete all tokens of endpoints, and what is known of the endpoints."""
    CELLS.clear()
    _details.clear()


def _token_in(signed: Mapping[str, str]) -> str | None:
    """Return the bearer token in headers; None if there is none."""
    value = next((value for name, value in signed.items() if name.lower() == "authorization"), "")
    scheme, _, token = value.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _details_of(endpoint_id: str) -> str:
    """Return the `authorization_details` that Databricks documents, for one endpoint."""
    return json.dumps(
        [
            {
                "type": "workspace_permission",
                "object_type": "serving-endpoints",
                "object_path": f"/serving-endpoints/{endpoint_id}",
                "actions": ["query_inference_endpoint"],
            }
        ]
    )


def _json(body: bytes) -> Any:
    try:
        return pydantic_core.from_json(body)
    except ValueError:
        return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _host_of(url: str) -> str:
    try:
        return urlsplit(url if "://" in url else f"https://{url}").hostname or ""
    except ValueError:
        return ""
