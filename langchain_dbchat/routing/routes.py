"""Return the URLs of an operation, from the address, the paths of its wire format, and the endpoint's name.

Rule 1. Every kind of endpoint answers at ``/serving-endpoints/<name>/invocations``, and the URL contains its name. At
all other URLs the body contains the name of the model.
Rule 2. Model services of Unity Catalog (``<catalog>.<schema>.<name>``) answer at the AI gateway only. The services of
``system.ai`` are also serving endpoints with the prefix ``databricks-``; where a workspace has no gateway, they answer
there (omnigent #3307; litellm #31213).
Rule 3. The gateway is used if the name is that of a service, or if the user asks for it.
Rule 4. The host of a route-optimized endpoint serves that endpoint alone, at ``/invocations``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote

from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_dbchat.routing.address import Workspace

Paths = Mapping[str, tuple[str, ...]]
"""The paths of an operation, in the order in which they are tried, by the kind of address: `Workspace.kind`, and for a
workspace's gateway ``"service"``, or ``"native"`` for its API of OpenAI's models. A path is relative to the address's
base, or to its host if it begins with a slash. ``{model}`` is replaced by the endpoint's name."""

Gateway = Literal["", "service", "native"]
"""Whether the user asks for the workspace's gateway, and for which of its APIs."""

_SERVICE_DOTS = 2
_SYSTEM, _ENDPOINT = "system.ai.", "databricks-"


class Route(NamedTuple):
    """One URL of an operation.

    Attributes:
        url: The URL.
        model: The name of the model that the body must contain; None if the URL contains it.
    """

    url: str
    model: str | None


def routes(workspace: Workspace, paths: Paths, model: str, gateway: Gateway = "") -> tuple[Route, ...]:
    """Return the URLs of an operation.

    Args:
        workspace: The address.
        paths: The paths of the operation.
        model: The endpoint's or service's name.
        gateway: Whether the user asks for the workspace's gateway.

    Returns:
        The routes, in the order in which they are tried.

    Raises:
        ConfigurationError: If the operation has no path at this kind of address, or if another endpoint than ``model``
            answers there.
    """
    if workspace.kind == "optimized" and model != workspace.endpoint:
        raise ConfigurationError(
            f"{workspace.host} is the host of the route-optimized endpoint {workspace.endpoint!r}, and {model!r} is "
            "not served there. Leave out model=..., or give the address of the other endpoint."
        )
    place = workspace.origin, workspace.base_url
    is_workspace = workspace.kind == "workspace"
    if is_workspace and (gateway or model.count(".") >= _SERVICE_DOTS):
        found = _routes(*place, paths.get(gateway or "service", paths.get("service", ())), model)
        endpoint = _ENDPOINT + model.removeprefix(_SYSTEM) if model.startswith(_SYSTEM) else model
        if endpoint.startswith(_ENDPOINT):
            found += _routes(*place, paths.get("workspace", ()), endpoint)
    else:
        found = _routes(*place, paths.get(workspace.kind, ()), model)
    if not found:
        raise ConfigurationError(
            f"{workspace.host} does not serve this API: it is not known at this kind of address ({workspace.kind}). "
            "Choose another one with api=..., or give the address of a workspace."
        )
    return found


@lru_cache(maxsize=256)  # each call needs them
def _routes(origin: str, base_url: str, paths: tuple[str, ...], model: str) -> tuple[Route, ...]:
    return tuple(
        Route(
            (origin if path.startswith("/") else f"{base_url}/") + path.replace("{model}", quote(model, safe="")),
            None if "{model}" in path else model,
        )
        for path in paths
    )
