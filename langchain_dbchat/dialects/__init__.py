"""What is said: one folder for each wire, behind one seam. No input or output happens here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Dialect

__all__ = ["dialect", "dialect_named", "shared"]

_FOLDERS = {"chat": "chat_completions"}
"""The folder of each dialect. It is imported when the dialect is first used."""


@cache
def dialect_named(name: str) -> Dialect:
    """Get a dialect.

    Args:
        name: Its name.

    Returns:
        Its row.
    """
    found: Dialect = import_module(f"{__name__}.{_FOLDERS[name]}").DIALECT
    return found
