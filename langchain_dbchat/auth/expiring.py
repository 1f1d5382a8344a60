"""Credentials whose token expires: the base of all ways of signing in that fetch their token."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from langchain_dbchat.auth.credentials import bearer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.auth.tokens import TokenCell
    from langchain_dbchat.transport.effects import Effect


class ExpiringToken(ABC):
    """Credentials whose token comes from a `TokenCell`: what a way of signing in adds is where to fetch one.

    Subclasses are plain data: the cell is looked up for each attempt, so that a pickle contains neither token nor lock.
    """

    name: str

    @abstractmethod
    def _cell(self) -> TokenCell:
        """Return the cell that contains this identity's token."""

    @abstractmethod
    def _fetch(self, *, refresh: bool) -> Effect:
        """Return the effect of fetching a `Grant`; ``refresh`` says whether the last token was refused."""

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the header with a token that is good for a while.

        Args:
            refresh: The last token was refused.

        Raises:
            DatabricksError: No token can be fetched.
        """
        return bearer(self._cell().get(self._fetch(refresh=refresh), refresh=refresh), self.name)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same as `headers` without blocking the event loop."""
        # Finding the cell may read a secret from a file, once, in a process that opened a pickle.
        cell = self._cell() if self._at_hand else await asyncio.to_thread(self._cell)
        return bearer(await cell.aget(self._fetch(refresh=refresh), refresh=refresh), self.name)

    @property
    def _at_hand(self) -> bool:
        """Return whether the cell can be found without I/O."""
        return True
