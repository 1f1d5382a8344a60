"""The HTTP clients and the proxy that a user has given, for calls and for the token requests that sign them.

Importing this module does not load httpx; whoever gives a client has loaded it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_dbchat.errors import ConfigurationError

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

    Raises:
        ConfigurationError: A client is none of httpx's, or is for the other way of calling.
    """

    for_sync: httpx.Client | None = None
    for_async: httpx.AsyncClient | None = None
    proxy: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot send a request."""
        if self.for_sync is None and self.for_async is None:
            return
        import httpx  # noqa: PLC0415  # few users give a client

        _check("http_client", self.for_sync, httpx.Client)
        _check("http_async_client", self.for_async, httpx.AsyncClient)

    def __reduce__(self) -> tuple[type[UserClients], tuple[None, None, str | None]]:
        return (UserClients, (None, None, self.proxy))


def _check(setting: str, client: object, kind: type) -> None:
    if client is None or isinstance(client, kind):
        return
    given = f"the class {client.__name__}" if isinstance(client, type) else f"a {type(client).__name__}"
    raise ConfigurationError(
        f"{setting} is {given}, but it has to be an httpx.{kind.__name__}(): http_client is for sync calls, "
        "http_async_client for async calls."
    )
