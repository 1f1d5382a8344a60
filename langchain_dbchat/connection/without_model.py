"""A connection to a workspace, of which no endpoint is called."""

from __future__ import annotations

from pydantic import PrivateAttr

from langchain_dbchat.connection.session import FieldCache, Session
from langchain_dbchat.connection.settings import DatabricksConnection

__all__ = ["WorkspaceConnection"]


class WorkspaceConnection(DatabricksConnection):
    """Where and who, under the names that the models have."""

    _session_cache: FieldCache[Session] = PrivateAttr(default_factory=FieldCache)

    def _default_model(self) -> str:
        return ""

    def session(self) -> Session:
        """Return the resolved connection.

        Raises:
            ConfigurationError: If there is no host or no way to sign in.
        """
        return self._session()

    async def asession(self) -> Session:
        """Do the same as `session` without blocking the event loop."""
        return await self._asession()
