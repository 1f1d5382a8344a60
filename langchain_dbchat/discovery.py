"""What stands behind a serving endpoint: asked of the workspace once, for ``family="discover"``.

An endpoint's own name is free text; the workspace knows the served entity. The question is one ``GET``, it is asked
before the first call only, and its answer is kept for the process. Who may query an endpoint need not be allowed to
look at it: then the endpoint is treated like any other that says nothing about itself, and the user is told.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic_core import from_json

from langchain_dbchat.models.families import GENERIC, family_of

if TYPE_CHECKING:
    from langchain_dbchat.auth.workspace import Workspace
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.transport.exchange import Request

DISCOVER = "discover"
"""The value of ``family=`` that asks the workspace."""

_found: dict[tuple[str, str], str] = {}


def discovered(host: str, endpoint: str) -> str | None:
    """Return the family that was found behind an endpoint.

    Args:
        host: The host.
        endpoint: The endpoint's name.

    Returns:
        The row's name, or None if nobody has asked yet.
    """
    return _found.get((host, endpoint))


def question(workspace: Workspace, endpoint: str) -> Request:
    """Write the question.

    Args:
        workspace: The workspace.
        endpoint: The endpoint's name.

    Returns:
        The request.
    """
    from langchain_dbchat.transport.exchange import Request  # noqa: PLC0415  # loads with the transport

    url = f"{workspace.origin}/api/2.0/serving-endpoints/{quote(endpoint, safe='')}"
    return Request(url=url, headers={}, body=b"", endpoint=endpoint, host=workspace.host, method="GET")


def note(workspace: Workspace, endpoint: str, body: bytes | None) -> None:
    """Keep the answer.

    Args:
        workspace: The workspace.
        endpoint: The endpoint's name.
        body: The response body.
    """
    _found[workspace.host, endpoint] = next(filter(None, map(_family, _names(from_json(body or b"{}")))), GENERIC.name)


def note_failure(workspace: Workspace, endpoint: str, error: DatabricksError) -> None:
    """Keep that the workspace did not say, and tell the user.

    Args:
        workspace: The workspace.
        endpoint: The endpoint's name.
        error: Why it did not.
    """
    _found[workspace.host, endpoint] = GENERIC.name
    warnings.warn(
        f"The workspace did not say what is behind {endpoint!r}, so its family is taken for {GENERIC.name!r}; name it "
        f"with family=... instead. {error}",
        stacklevel=2,
    )


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
