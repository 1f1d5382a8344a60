"""The kinds of parts of an answer, which all wire formats share."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

from langchain_dbchat.dialects.shared.answer.beside import Audio, Cited, Other, UnknownFields


class Text(NamedTuple):
    """Text of the answer; its other fields (citations, a signature) are in ``extras``; ``opens`` if it is a new block.

    Most wire formats have one text, in pieces. In Anthropic's, each block of text has its own citations.
    """

    text: str
    extras: dict[str, Any] | None = None
    opens: bool = False


class Reasoning(NamedTuple):
    """One entry of reasoning: its text and its signature, or encrypted data; ``opens`` if it begins a new part.

    Reasoning itself, and not a summary of it, is ``verbatim``. What the provider sent with the whole part, such as its
    id, is ``item``, which ends the part.
    """

    text: str
    signature: str | None = None
    data: str | None = None
    opens: bool = True
    verbatim: bool = False
    item: dict[str, Any] | None = None


@dataclass(slots=True)
class ToolCallPart:
    """A tool call or a fragment of one."""

    index: int | None
    id: str | None
    name: str | None
    arguments: str
    extras: dict[str, Any] | None = None

    def is_rest_of(self, call: ToolCallPart) -> bool:
        """Return whether this is nothing but further arguments of a call."""
        same = self.index == call.index and self.index is not None
        return same and self.id is None and self.name is None and self.extras is None


def new_call_id() -> str:
    """Return an id for a call that has none."""
    return f"call_{uuid.uuid4().hex}"


class Refusal(NamedTuple):
    """The model's text of a refusal."""

    text: str


EMPTY = "{}"
"""Arguments with which some servers begin each call, before the fragments of the real ones."""

Part = Text | Reasoning | Other | ToolCallPart | Refusal | Cited | Audio | UnknownFields

SILENT: frozenset[type[Part]] = frozenset({Refusal, Cited, Audio, UnknownFields})
"""Kinds of parts that change a message only at its end."""


def join_parts(left: Part, right: Part) -> Part | None:
    """Join two parts that arrived together, if one part is equivalent; the stream decoder joins those of a call itself.

    Args:
        left: The earlier part.
        right: The later part.

    Returns:
        The joined part, or None if they cannot be joined.
    """
    if type(left) is Text and type(right) is Text:
        if left.extras is None and right.extras is None and not right.opens:
            return Text(left.text + right.text, None, left.opens)
        return None
    if type(left) is Reasoning and type(right) is Reasoning:
        is_open = left.signature is None and left.data is None and left.item is None
        if is_open and right.data is None and right.opens and right.item is None and left.verbatim == right.verbatim:
            return Reasoning(left.text + right.text, right.signature, None, left.opens, left.verbatim)
    return None
