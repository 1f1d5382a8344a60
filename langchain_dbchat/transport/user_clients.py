"""The HTTP clients and the proxy that a user has given, for calls and for the token requests that sign them.

Importing this module does not load httpx.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

__all__ = ["UserClients"]


@dataclass(frozen=True, slots=True)
class UserClients:
    """A client for each way of calling, and a proxy.

    A pickle and a deep copy contain no client, because a client has sockets: a loaded model uses the shared clients.

    Attributes:
        for_sync: The client for sync calls; None for the one that the process shares.
        for_async: The client for async calls; None for the one that the event loop shares.
        proxy: The URL of a proxy for the shared clients, possibly with a password; None for the environment's.
    """

    for_sync: httpx.Client | None = None
    for_async: httpx.AsyncClient | None = None
    proxy: str | None = field(default=None, repr=False)

    def __reduce__(self) -> tuple[type[UserClients], tuple[None, None, str | None]]:
        return (UserClients, (None, None, self.proxy))
