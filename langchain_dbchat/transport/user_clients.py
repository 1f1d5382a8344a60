"""The HTTP clients and the proxy that a user has given, for calls and for the token requests that sign them.

Importing this module does not load httpx.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

__all__ = ["UserClients", "pool_of"]


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


def pool_of(client: httpx.Client | httpx.AsyncClient | None, url: str) -> Any:
    """Find httpcore's pool that a client would use for a URL.

    Args:
        client: The client; None if it is not known.
        url: The URL.

    Returns:
        The pool; None if there is none, or if the client does not show it.
    """
    choose = getattr(client, "_transport_for_url", None)  # httpx offers no other way to ask
    if choose is None:
        return None
    from httpx import URL  # noqa: PLC0415  # see above

    return getattr(choose(URL(url)), "_pool", None)
