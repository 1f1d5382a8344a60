"""What the transport asks of the credentials that sign its requests.

Rule 1. Headers are asked for once for each attempt, never once for each client: an agent that runs for hours outlives
its token, and a callable token must see the user of this request.
Rule 2. ``refresh=True`` follows a 401 and means "what you gave me was refused".
Rule 3. A sync call asks `headers`, an async call `aheaders`; the latter never blocks the event loop. Each returns a new
dict, because callers add to it.
Rule 4. Credentials that know before they sign whom they stand for have a method ``cache_identity``, which names the
caller for a cache of answers. It returns None, or is missing, where only a signed request shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping


@runtime_checkable
class Credentials(Protocol):
    """Somebody who can sign requests."""

    @property
    def name(self) -> str:
        """Return the way of signing in as errors show it ("DATABRICKS_TOKEN"); never a secret."""
        ...

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Return the headers that sign one attempt.

        Args:
            refresh: The last headers were refused: get new ones, whatever a cache says.
        """
        ...

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Do the same for async code; never blocks the event loop.

        Args:
            refresh: The last headers were refused: get new ones, whatever a cache says.
        """
        ...
