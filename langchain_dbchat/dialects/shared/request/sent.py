"""The changes of a request's tools, which the decoder of its answer reverts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class SentTools:
    """The differences between the tools of one request and the tools that the caller bound.

    Attributes:
        names: The caller's name of each sent name; empty if no name differs.
        closed: The caller's parameters of strict tools, by the caller's name. Calls of these tools may contain nulls
            that the parameters do not allow, so their arguments are buffered until they are complete.
        answer: The name of the tool that stands for a response format, as it was sent; see `other_formats`.
        bound: The sent names of the tools, where an agent that has tools of its own may answer.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    closed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    answer: str = ""
    bound: frozenset[str] = frozenset()
