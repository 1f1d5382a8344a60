"""Sign in as a service principal, with its id and secret (OAuth machine-to-machine).

Rule 1. The request is `POST {origin}/oidc/v1/token` with HTTP Basic and `grant_type=client_credentials&scope=all-apis`.
Databricks documents this path for every workspace
(https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m). The SDK first discovers it with two requests, and fails
where discovery is not served.
Rule 2. A token is valid for an hour. The whole process shares it, per workspace and service principal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_dbchat.auth.expiring import ExpiringToken
from langchain_dbchat.auth.grants import TokenRequest, basic, fetch_grant
from langchain_dbchat.auth.tokens import TokenCell, TokenCells

if TYPE_CHECKING:
    from langchain_dbchat.auth.secret import Secret
    from langchain_dbchat.transport.effects import Effect
    from langchain_dbchat.transport.user_clients import UserClients

CELLS = TokenCells(limit=256)

_ADVICE = {
    0: "Check that id and secret are a service principal's of this workspace, and that the secret has not expired.",
    404: "This host issues no tokens: check that it is a workspace's address.",
}


@dataclass(frozen=True)
class ClientCredentials(ExpiringToken):
    """A service principal.

    Args:
        origin: The origin of the workspace that issues the token.
        client_id: The service principal's id.
        client_secret: Its secret.
        name: Where they came from.
        clients: The clients that ask for the token.
    """

    origin: str
    client_id: str
    client_secret: Secret = field(repr=False)
    name: str = "client_id and client_secret arguments"
    clients: UserClients | None = field(default=None, repr=False, compare=False)

    def _cell(self) -> TokenCell:
        return CELLS.cell((self.origin, self.client_id, self.client_secret.digest()))

    def cache_identity(self) -> str | None:
        """Name the caller for a cache of answers: the service principal, and a digest of its secret."""
        return f"service principal {self.client_id} of {self.origin} {self.client_secret.digest()}"

    @property
    def _at_hand(self) -> bool:
        return self.client_secret.is_at_hand

    def _request(self) -> TokenRequest:
        return TokenRequest(
            url=f"{self.origin}/oidc/v1/token",
            authorization=basic(self.client_id, self.client_secret.reveal()),
            form={"grant_type": "client_credentials", "scope": "all-apis"},
            purpose="OAuth M2M token request",
            step=self.name,
            advice=_ADVICE,
            clients=self.clients,
        )

    def _fetch(self, *, refresh: bool) -> Effect:
        del refresh  # every fetch from the token endpoint gives a new token
        return fetch_grant(self._request)
