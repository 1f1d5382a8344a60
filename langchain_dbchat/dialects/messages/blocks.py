"""Read the content blocks of a Messages answer as parts.

Rule 1. A whole block and a streamed one give the same parts (docs.claude.com/en/api/messages,
docs.claude.com/en/docs/build-with-claude/streaming).
Rule 2. A text is a block of its own, with its own citations. Reasoning is Databricks' part of it, so that an answer
goes back on every wire.
Rule 3. A model may think between two calls. The calls know how much reasoning was before them, so that all blocks go
back in their order ("Preserving thinking blocks", docs.claude.com/en/docs/build-with-claude/extended-thinking).
Rule 4. A block that this package does not know, such as the work of Anthropic's own tools, is kept as it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.answer.beside import Other, text_in
from langchain_dbchat.dialects.shared.answer.fields import says_something
from langchain_dbchat.dialects.shared.answer.parts import Reasoning, Text, ToolCallPart
from langchain_dbchat.dialects.shared.blocks.block_fields import flat
from langchain_dbchat.dialects.shared.blocks.storable import storable
from langchain_dbchat.errors import MalformedResponseError
from langchain_dbchat.errors.sound_text import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_dbchat.dialects.shared.answer.parts import Part

__all__ = ["AFTER_REASONING", "REASONING_TYPES", "OpenBlock", "read_content_block"]

AFTER_REASONING = "after_reasoning"
"""The extra field of a call after a second or later block of reasoning: the number of such blocks before it."""

REASONING_TYPES = frozenset({"thinking", "redacted_thinking"})

_TEXT_KEYS = frozenset({"type", "text", "index"})  # blocks have an index of ours while they stream
_CALL_KEYS = frozenset({"type", "id", "name", "input"})


def read_content_block(block: Mapping[str, Any], index: int, thoughts: int = 0) -> Iterator[Part]:
    """Read a whole block.

    Args:
        block: The block.
        index: Its place in the answer.
        thoughts: The number of blocks of reasoning before it.

    Yields:
        Its parts.

    Raises:
        MalformedResponseError: If a field of it has another type than documented.
    """
    kind = block.get("type")
    if kind == "text":
        yield Text(text_in(block, "text") or "", _extras(block), opens=True)
    elif kind == "thinking":
        yield Reasoning(text_in(block, "thinking") or "", text_in(block, "signature"))
    elif kind == "redacted_thinking":
        yield Reasoning("", None, text_in(block, "data"))
    elif kind == "tool_use":
        given = block.get("input")
        # A call that a limit cut off has an empty input, as one without arguments has.
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False) if given else ""
        yield _call(block, index, arguments, thoughts)
    else:
        yield Other(storable(dict(block)))


def _extras(block: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a text has besides its words: its citations."""
    return {
        key: storable(value) for key, value in block.items() if key not in _TEXT_KEYS and says_something(value)
    } or None


def _call(block: Mapping[str, Any], index: int, arguments: str, thoughts: int) -> ToolCallPart:
    more = {key: storable(value) for key, value in block.items() if key not in _CALL_KEYS and says_something(value)}
    if thoughts > 1:
        more[AFTER_REASONING] = thoughts
    return ToolCallPart(index, text_in(block, "id"), text_in(block, "name"), arguments, more or None)


class OpenBlock:
    """A streamed block between its first and its last event.

    Args:
        block: The block of the first event.
        index: Its place in the answer.
        follows_text: Whether the answer has a text before it, from which a text is kept apart.
        thoughts: The number of blocks of reasoning before it.
    """

    __slots__ = ("_block", "_citations", "_index", "_json", "_thoughts", "kind", "opens")

    def __init__(self, block: dict[str, Any], index: int, *, follows_text: bool, thoughts: int) -> None:
        self.kind = text_in(block, "type")
        self._block = block
        self._index = index
        self._thoughts = thoughts
        self.opens = follows_text  # the next text begins a block
        self._citations: list[Any] = []
        self._json: list[str] = []  # the input of a call of Anthropic's own tools, in pieces

    def begin(self) -> Iterator[Part]:
        """Yield the parts of the first event."""
        block = self._block
        if self.kind == "text":
            yield from self._texts(text_in(block, "text") or "")
        elif self.kind == "thinking":
            yield from self._reasoning(block)
        elif self.kind == "tool_use":
            given = block.get("input")
            arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False) if given else ""
            yield _call(block, self._index, arguments, self._thoughts)

    def add(self, delta: Mapping[str, Any]) -> Iterator[Part]:
        """Add a change.

        Args:
            delta: The ``delta`` of an event.

        Yields:
            Its parts.

        Raises:
            MalformedResponseError: If it does not belong to a block of this type.
        """
        kind = text_in(delta, "type")
        if kind in _OWNERS and self.kind in _KNOWN and self.kind not in _OWNERS[kind]:
            raise MalformedResponseError(f"The stream contains a {kind!r} of a block of type {self.kind!r}.")
        if kind == "text_delta":
            yield from self._texts(text_in(delta, "text") or "")
        elif kind in {"thinking_delta", "signature_delta"}:
            yield from self._reasoning(delta)
        elif kind == "citations_delta":
            self._citations.append(delta.get("citation"))
        elif kind == "input_json_delta":
            text = text_in(delta, "partial_json") or ""
            if self.kind == "tool_use":
                yield ToolCallPart(self._index, None, None, text)
            else:
                self._json.append(text)
        else:  # a change that this package does not know
            for key, value in delta.items():
                before = self._block.get(key)
                joins = isinstance(before, str) and isinstance(value, str)
                if key != "type":
                    self._block[key] = f"{before}{value}" if joins else value

    def _texts(self, text: str) -> Iterator[Text]:
        if text:
            opens, self.opens = self.opens, False
            yield Text(text, None, opens)

    @staticmethod
    def _reasoning(fields: Mapping[str, Any]) -> Iterator[Reasoning]:
        text, signature = text_in(fields, "thinking") or "", text_in(fields, "signature")
        if text or signature:
            yield Reasoning(text, signature)

    def end(self) -> Iterator[Part]:
        """Yield the parts that are known only when the block is complete.

        Raises:
            MalformedResponseError: If the input of a call is not JSON.
        """
        block = self._block
        if self.kind == "text":
            if self._citations:
                block["citations"] = [*flat(block.get("citations")), *self._citations]
            extras = _extras(block)
            if extras:
                yield Text("", extras, self.opens)
        elif self.kind == "thinking":
            yield Reasoning("", item={})  # a block without a signature ends here, too
        elif self.kind != "tool_use":
            if self._json and "".join(self._json).strip():
                block["input"] = self._input()
            yield from read_content_block(block, self._index)

    def _input(self) -> Any:
        try:
            return read_json("".join(self._json))
        except ValueError as error:
            raise MalformedResponseError(f"The input of a {self.kind!r:.80} block is not JSON: {error}") from error


_OWNERS: dict[str | None, frozenset[str]] = {
    "text_delta": frozenset({"text"}),
    "citations_delta": frozenset({"text"}),
    "thinking_delta": frozenset({"thinking"}),
    "signature_delta": frozenset({"thinking"}),
}
"""The types of blocks that a change belongs to."""

_KNOWN = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
