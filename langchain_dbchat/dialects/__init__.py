"""The wire formats: one folder for each, behind one interface (`dialect`). No input or output happens here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from langchain_dbchat.models.names import is_own_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_dbchat.dialects.dialect import Dialect, Target
    from langchain_dbchat.models.families import WireName

__all__ = ["AUTO", "choose_dialect", "dialect", "dialect_named", "shared"]

_FOLDERS: dict[WireName, str] = {
    "chat": "chat_completions",
    "responses": "responses",
    "messages": "messages",
    "agent": "agents",
}
"""The folder of each dialect. It is imported when the dialect is first used."""

AUTO = "auto"
"""The value of ``api=`` that lets the client choose."""


def choose_dialect(
    api: str,
    target: Target,
    settings: Mapping[str, Any],
    *,
    requested: str | None = None,
    spoken: Sequence[str] = (),
) -> Dialect:
    """Choose the wire format of a call.

    Args:
        api: The user's choice: the name of a wire format, or ``"auto"``.
        target: The called model.
        settings: The settings of the call, by the names of their fields.
        requested: The wire format that the endpoint has asked for in a refusal, or that the address names.
        spoken: The wire formats that the workspace reports for the endpoint; empty if it reports none.

    Returns:
        The row of the user's choice, else what `requested` names, else the first one of the model's wire formats that
        the endpoint serves and that can express the settings. An endpoint with a name of the user's own answers chat
        completions, whatever its model is; if it does not, its refusal names the wire format.

    Raises:
        ValueError: If ``api`` is not the name of a wire format.
    """
    if api != AUTO and api not in _FOLDERS:
        raise ValueError(f"api={api!r} is not one of 'auto', {', '.join(map(repr, _FOLDERS))}.")
    requested = requested if api == AUTO else api
    if requested in _FOLDERS:
        return dialect_named(requested)
    wires: tuple[WireName, ...] = target.family.wires if spoken or is_own_name(target.model) else ("chat",)
    if spoken:
        wires = tuple(wire for wire in wires if wire in spoken) or cast("tuple[WireName, ...]", tuple(spoken))
    wires = tuple(wire for wire in wires if wire in _FOLDERS) or ("chat",)
    if len(wires) == 1:
        return dialect_named(wires[0])
    rows = map(dialect_named, wires)
    return next((row for row in rows if row.suits(settings, target)), dialect_named(wires[0]))


@cache
def dialect_named(name: WireName) -> Dialect:
    """Return the row of a wire format, and import its folder at the first call.

    Args:
        name: The name.

    Returns:
        The row.
    """
    found: Dialect = import_module(f"{__name__}.{_FOLDERS[name]}").DIALECT
    return found
