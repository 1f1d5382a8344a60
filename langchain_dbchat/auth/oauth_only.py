"""Refuse a personal access token, before anything is sent, where a host accepts OAuth tokens only.

Rule 1. Databricks Apps accept OAuth tokens only; a personal access token gets a redirect to the login page, or 401
    (docs.databricks.com/aws/en/dev-tools/databricks-apps/connect-local).
Rule 2. Only what is known not to be an OAuth token is refused: personal access tokens begin with ``dapi``, and a user
    name with a password (Basic) is not a token. Any other token is sent, and the server decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_dbchat.auth.derived import WrappedCredentials
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OAuthOnly"]

_NOT_OAUTH = re.compile(r"bearer\s+dapi|basic\s", re.IGNORECASE)


@dataclass(frozen=True)
class OAuthOnly(WrappedCredentials):
    """Credentials that sign for a host that accepts OAuth tokens only.

    Args:
        credentials: The credentials that sign.
        what: What accepts OAuth tokens only, for the error, such as ``"The app 'helper'"``.
    """

    what: str

    def _wrap(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        for key, value in headers.items():
            if key.lower() == "authorization" and _NOT_OAUTH.match(value):
                raise ConfigurationError(
                    f"{self.what} accepts OAuth tokens only, and these credentials are a personal access token or a "
                    f"password (from: {self.name}). Nothing was sent. Give client_id=... and client_secret=... of a "
                    "service principal, or sign in with `databricks auth login` and give profile=...; within an app, "
                    "pass the user's token from the header x-forwarded-access-token.",
                    auth=self.name,
                )
        return headers
