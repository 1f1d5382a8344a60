"""Find the URLs of an operation: the address, the paths of its wire, and the endpoint's name.

Rule 1. Every kind of endpoint answers at ``/serving-endpoints/<name>/invocations``, where the URL names it; anywhere
else the body names the model.
Rule 2. Model services of Unity Catalog (``<catalog>.<schema>.<name>``) answer at the AI gateway only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from langchain_dbchat.routing.address import Workspace

Paths = Mapping[str, tuple[str, ...]]
"""Where an operation is served, by the kind of address (`Workspace.kind`, and ``"service"`` for model services of a
workspace): paths below the address's base, or below its host where they begin with a slash; the first choice, then the
next to try. ``{model}`` stands for the endpoint's name."""

_SERVICE_DOTS = 2


class Route(NamedTuple):
    """One place where an operation is served.

    Attributes:
        url: The URL.
        names_model: Whether the body has to name the model.
    """

    url: str
    names_model: bool


def routes(workspace: Workspace, paths: Paths, model: str) -> tuple[Route, ...]:
    """Find where an operation is served.

    Args:
        workspace: The address.
        paths: The paths of the operation.
        model: The endpoint's or service's name.

    Returns:
        The first choice, then the next to try.
    """
    is_service = workspace.kind == "workspace" and model.count(".") >= _SERVICE_DOTS
    found = paths["service" if is_service else workspace.kind]
    return tuple(
        Route(
            (workspace.origin if path.startswith("/") else f"{workspace.base_url}/")
            + path.replace("{model}", quote(model, safe="")),
            "{model}" not in path,
        )
        for path in found
    )
