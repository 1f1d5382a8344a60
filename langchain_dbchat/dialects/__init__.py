"""The wire formats: one folder for each, behind one interface (`dialect`). No input or output happens here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Dialect

__all__ = ["choose_dialect", "dialect", "shared"]

_FOLDERS = {"chat": "chat_completions"}
"""The folder of each dialect. It is imported when the dialect is first used."""


def choose_dialect() -> Dialect:
    """Choose the wire format of a call: chat completions, as long as there is no other.

    Returns:
        The row of the dialect.
    """
    return _dialect_named("chat")


@cache
def _dialect_named(name: str) -> Dialect:
    found: Dialect = import_module(f"{__name__}.{_FOLDERS[name]}").DIALECT
    return found
