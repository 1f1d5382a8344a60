"""The wire formats: one folder for each, behind one interface (`dialect`). No input or output happens here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.dialects.dialect import Dialect, Target
    from langchain_dbchat.models.families import WireName

__all__ = ["AUTO", "choose_dialect", "dialect", "dialect_named", "shared"]

_FOLDERS: dict[WireName, str] = {"chat": "chat_completions"}
"""The folder of each dialect. It is imported when the dialect is first used."""

AUTO = "auto"
"""The value of ``api=`` that lets the client choose."""


def choose_dialect(
    api: str, target: Target, settings: Mapping[str, Any], *, known: str | None = None, addressed: str | None = None
) -> Dialect:
    """Choose the wire format of a call.

    Args:
        api: The user's choice: the name of a wire format, or ``"auto"``.
        target: The called model.
        settings: The settings of the call, by the names of their fields.
        known: The wire format that the endpoint is known to speak, from its own refusals or from the workspace.
        addressed: The wire format of the user's address.

    Returns:
        The row of the user's choice; else of what is known, else of the address, else the first one of the model's
        wire formats that can express the settings.

    Raises:
        ValueError: If ``api`` is not the name of a wire format.
    """
    if api != AUTO and api not in _FOLDERS:
        raise ValueError(f"api={api!r} is not one of 'auto', {', '.join(map(repr, _FOLDERS))}.")
    told = api if api != AUTO else known or addressed
    if told is not None:
        return dialect_named(cast("WireName", told))
    wires = [wire for wire in target.family.wires if wire in _FOLDERS] or ["chat"]
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
