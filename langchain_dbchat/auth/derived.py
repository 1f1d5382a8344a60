"""Credentials that use other credentials, and check or change the headers that these return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.transport.signing import Credentials

__all__ = ["DerivedCredentials", "ForWorkspace", "WrappedCredentials"]

_WORKSPACE_HEADER = "X-Databricks-Workspace-Id"


@dataclass(frozen=True)
class DerivedCredentials:
    """Credentials that are made of others, for the same caller.

    Args:
        credentials: The credentials that sign.
    """

    credentials: Credentials

    @property
    def name(self) -> str:
        """Return the name of the credentials that sign."""
        return self.credentials.name

    def cache_identity(self) -> str | None:
        """Return the caller's identity for a cache of answers; None if it is not known before signing."""
        identity = getattr(self.credentials, "cache_identity", None)
        return identity() if callable(identity) else None


@dataclass(frozen=True)
class WrappedCredentials(DerivedCredentials, ABC):
    """Credentials that check or change the headers of others."""

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the headers for one attempt.

        Args:
            refresh: Passed on.

        Raises:
            DatabricksError: If the credentials cannot sign, or if their headers cannot be used for this host.
        """
        return self._wrap(self.credentials.headers(refresh=refresh))

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers` without blocking the event loop."""
        return self._wrap(await self.credentials.aheaders(refresh=refresh))

    @abstractmethod
    def _wrap(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers to send."""


@dataclass(frozen=True)
class ForWorkspace(WrappedCredentials):
    """Credentials that also say which workspace of a unified host is meant, unless the headers name one themselves.

    One host may front many workspaces; `X-Databricks-Workspace-Id` selects one (the `?o=` of a browser address).

    Args:
        credentials: The credentials that sign.
        workspace_id: The workspace's id.
    """

    workspace_id: str

    def _wrap(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return {_WORKSPACE_HEADER: self.workspace_id, **headers}

    def cache_identity(self) -> str | None:
        """Return the identity of the caller in this workspace; None if it is not known before signing."""
        caller = super().cache_identity()
        return None if caller is None else f"{caller} in {self.workspace_id}"
