"""What a request changed in its tools, which the reader of its answer undoes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class SentTools:
    """How the tools of one request differ from those that the caller bound.

    Attributes:
        names: The caller's name of each tool by the name that was sent; empty if none differs.
        closed: The caller's parameters of strict tools, by the caller's name, whose calls may hold nulls that the
            parameters do not allow. The arguments of such a call are held back until they are whole.
    """

    names: dict[str, str] = field(default_factory=dict)
    closed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
