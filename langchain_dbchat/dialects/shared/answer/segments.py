"""The sequences of content of one kind that a growing answer consists of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ReasoningEntry", "Segment", "extend"]


@dataclass(slots=True)
class Segment:
    """A sequence of content of one kind."""

    kind: str
    index: str
    texts: list[str] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    entries: list[ReasoningEntry] = field(default_factory=list)
    has_ended: bool = False

    def end(self) -> list[dict[str, Any]]:
        """Return the extras of a text as a block, once, when the text has ended.

        langchain-core would concatenate two signatures, and its v3 events keep only the last citation.
        """
        if self.kind != "text" or self.has_ended or not self.extras:
            return []
        self.has_ended = True
        return [{"type": "text", "text": "", "index": self.index, **self.extras}]


@dataclass(slots=True)
class ReasoningEntry:
    """One entry of a reasoning block."""

    verbatim: bool = False
    texts: list[str] = field(default_factory=list)
    signature: str | None = None
    data: str | None = None

    @property
    def kind(self) -> str:
        """Return its type."""
        return "reasoning_text" if self.verbatim else "summary_text"

    def whole(self) -> dict[str, Any]:
        """Return the entry as a message has it."""
        if self.data is not None:
            return {"type": "summary_encrypted_text", "data": self.data}
        entry: dict[str, Any] = {"type": self.kind, "text": "".join(self.texts)}
        return entry if self.signature is None else {**entry, "signature": self.signature}


def extend(extras: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add extras of the same text: lists (citations) get longer, other values are replaced.

    Args:
        extras: The extras so far, which are changed.
        more: Those of the next part, which are not.
    """
    for key, value in more.items():
        known = extras.get(key)
        if isinstance(value, list) and isinstance(known, list):
            known.extend(value)
        else:
            extras[key] = value.copy() if isinstance(value, list) else value
