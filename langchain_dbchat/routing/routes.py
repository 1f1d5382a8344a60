"""Return the URLs of an operation, from the address, the paths of its wire format, and the endpoint's name.

Rule 1. Every kind of endpoint answers at ``/serving-endpoints/<name>/invocations``, and the URL contains its name. At
all other URLs the body contains the name of the model.
Rule 2. Model services of Unity Catalog (``<catalog>.<schema>.<name>``) answer at the AI gateway only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from langchain_dbchat.routing.address import Workspace

Paths = Mapping[str, tuple[str, ...]]
"""The paths of an operation, by the kind of address (`Workspace.kind`, and ``"service"`` for model services of a
workspace), in the order in which they are tried. A path is relative to the address's base, or to its host if it begins
with a slash. ``{model}`` is replaced by the endpoint's name."""

_SERVICE_DOTS = 2


class Route(NamedTuple):
    """One URL of an operation.

    Attributes:
        url: The URL.
        names_model: Whether the body must contain the name of the model.
    """

    url: str
    names_model: bool


def routes(workspace: Workspace, paths: Paths, model: str) -> tuple[Route, ...]:
    """Return the URLs of an operation.

    Args:
        workspace: The address.
        paths: The paths of the operation.
        model: The endpoint's or service's name.

    Returns:
        The routes, in the order in which they are tried.
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
