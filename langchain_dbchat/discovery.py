"""What stands behind a serving endpoint: asked of the workspace once, for ``family="discover"``.

An endpoint's own name is free text; the workspace knows the served entity. The question is one ``GET``, it is asked
before the first call only, and its answer is kept for the process. Who may query an endpoint need not be allowed to
look at it: then the endpoint is treated like any other that says nothing about itself, and the user is told.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic_core import from_json

from langchain_dbchat.errors import DatabricksError, DatabricksNotFoundError, DatabricksPermissionDeniedError
from langchain_dbchat.models.families import GENERIC, family_of
from langchain_dbchat.notices import warn

if TYPE_CHECKING:
    from langchain_dbchat.auth.workspace import Workspace
    from langchain_dbchat.link import Link
    from langchain_dbchat.transport.exchange import Request

DISCOVER = "discover"
"""The value of ``family=`` that asks the workspace."""

_found: dict[tuple[str, str], str] = {}
_asking = threading.Lock()


def discovered(host: str, endpoint: str) -> str | None:
    """Return the family that was found behind an endpoint.

    Args:
        host: The host.
        endpoint: The endpoint's name.

    Returns:
        The row's name, or None if nobody has asked yet.
    """
    return _found.get((host, endpoint))


def discover(link: Link, endpoint: str) -> None:
    """Ask the workspace what is behind an endpoint, unless that is known; async code calls it in a thread.

    One question is under way at a time, so many calls at once ask once. A refusal (403, 404) is an answer that stays;
    a failure that may pass leaves the question open for the next call.

    Args:
        link: The connection.
        endpoint: The endpoint's name.
    """
    key = (link.workspace.host, endpoint)
    with _asking:
        if key in _found:
            return
        try:
            body = link.channel.post(_question(link.workspace, endpoint)).body or b"{}"
        except DatabricksError as error:
            if isinstance(error, (DatabricksPermissionDeniedError, DatabricksNotFoundError)):
                _found[key] = GENERIC.name
            warn(
                f"The workspace did not say what is behind {endpoint!r}, so its family is taken for {GENERIC.name!r}; "
                f"name it with family=... instead. {error}"
            )
        else:
            _found[key] = next(filter(None, map(_family, _names(from_json(body)))), GENERIC.name)


def _question(workspace: Workspace, endpoint: str) -> Request:
    from langchain_dbchat.transport.exchange import Request  # noqa: PLC0415  # loads with the transport

    url = f"{workspace.origin}/api/2.0/serving-endpoints/{quote(endpoint, safe='')}"
    return Request(url=url, headers={}, body=b"", endpoint=endpoint, host=workspace.host, method="GET")


def _names(answer: Any) -> list[str]:
    """List the names that the served entities go by."""
    config = answer.get("config") if isinstance(answer, Mapping) else None
    entities = config.get("served_entities") if isinstance(config, Mapping) else None
    names: list[str] = []
    for entity in entities if isinstance(entities, list) else []:
        for holder in (entity.get("foundation_model"), entity.get("external_model"), entity):
            if isinstance(holder, Mapping):
                names += [name for key in ("name", "entity_name") if isinstance(name := holder.get(key), str)]
    return names


def _family(name: str) -> str | None:
    """Find the row of a model by any of its names: ``system.ai.claude-sonnet-4-5``, ``claude-3.7``, ``gpt-5.2``."""
    plain = re.sub(r"[._\s]+", "-", name.lower()).removeprefix("system-ai-").removeprefix("databricks-")
    row = family_of(f"databricks-{plain}").name
    return None if row == GENERIC.name else row
