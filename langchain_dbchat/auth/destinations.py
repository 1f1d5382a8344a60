"""Decide whether a secret that was found may be sent to the host that was asked for.

An argument can name the host and leave the secret to the environment. Then the secret of one workspace would be sent to
whatever host the argument names (RFC 6750, 5.3: a bearer token must not reach a party that it was not issued for,
https://www.rfc-editor.org/rfc/rfc6750#section-5.3). What the user passed as an argument is not judged here.

Rule 1. What a profile or Posit Workbench's file contains belongs to the `host` that it names. Everything else that was
found belongs to the hosts that the environment names: DATABRICKS_API_BASE and DATABRICKS_HOST or, where neither is set,
the host that is used if no argument names one.
Rule 2. A secret is sent to the hosts that it belongs to (same scheme, name and port).
Rule 3. It is also sent to a host of Databricks' own domains, and with `host=` to this machine.
Rule 4. If nothing says to which host it belongs, it is sent to the host that `host=` names, but not to that of
`base_url=`.
Rule 5. The rules apply to the host of the request and for the host that issues the token for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_dbchat.auth.search import HostFound, Search

ADVICE = (
    "Pass the credentials for this host as arguments too (token=..., or client_id=... and client_secret=..., or "
    "credentials=...), or name a profile of this host with profile=..."
)


def withheld(search: Search, owner: str | None) -> str | None:
    """Return why a secret that was found is not sent to the host of the request.

    Args:
        search: What is looked at.
        owner: The host that the source of the secret names; None if it names none.

    Returns:
        The reason, or None if the secret may be sent.
    """
    for found in (search.host, search.login):
        if found is not None and (owner is not None or not found.from_environment):
            homes = [search.origin_of(owner)] if owner is not None else search.environment_origins
            reason = _judge(found, homes)
            if reason is not None:
                return reason
    return None


def _judge(found: HostFound, homes: list[str]) -> str | None:
    """Judge one host by the origins that the secret belongs to."""
    workspace, is_base_url = found.workspace, found.source == "base_url argument"
    if workspace.origin in homes or workspace.is_databricks:
        return None
    if not is_base_url and (workspace.is_loopback or not homes):
        return None
    if not homes:
        return f"it is not sent to {workspace.host}, because base_url names a host that is not Databricks'"
    belongs = ", ".join(home.partition("://")[2] or "a host whose address is not valid" for home in homes)
    return f"it belongs to {belongs} and is not sent to {workspace.host} ({found.source})"
