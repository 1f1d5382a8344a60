"""Parse a structured answer while it arrives, piece by piece and in linear time."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import BaseModel

from langchain_dbchat.chat_models.partial_instances import PartialInstances
from langchain_dbchat.chat_models.partial_json import PartialJson
from langchain_dbchat.chat_models.structured_shapes import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_dbchat.chat_models.structured_answers import AnswerReader


class IncrementalParse:
    """The incremental parsing of one streamed answer."""

    def __init__(self, reader: AnswerReader) -> None:
        self._reader = reader
        self._chunks: list[Any] = []
        self._text = PartialJson()
        self._calls: dict[Any, _PartialCall] = {}
        self._instances = None if reader.shape is None else PartialInstances(reader.shape)
        self._found: Any = NOTHING  # the JSON of the last partial answer
        self._last: Any = NOTHING

    def add(self, chunk: Any) -> Iterator[Any]:
        """Add a chunk, and yield the partial answer if it has changed."""
        self._chunks.append(chunk)
        if isinstance(chunk, AIMessageChunk):
            for fragment in chunk.tool_call_chunks:
                self._add_fragment(fragment)
            self._text.feed(chunk.text)
        elif isinstance(chunk, str):
            self._text.feed(chunk)
        source = self._source()
        if source is None:
            return
        found = source.value()
        if found is NOTHING and source is not self._text:
            found = {}  # the arguments of the call have not begun
        if found is not NOTHING and (self._found is NOTHING or found != self._found):
            self._found = found
            answer = self._reader.validated(
                found, partial=True, holds_null=source.holds_null, instances=self._instances
            )
            if answer is not None:
                yield from self._new(answer)

    def end(self) -> Iterator[Any]:
        """Parse the whole answer, and raise if it is not valid."""
        if self._chunks:
            whole = sum_of(self._chunks)
            is_message = isinstance(whole, AIMessage)
            generation = ChatGeneration(message=whole) if is_message else Generation(text=str(whole))
            answer = self._reader.find(generation, partial=False)
            if answer is not NOTHING and not _is_same(answer, self._last):
                yield answer

    def _add_fragment(self, fragment: Mapping[str, Any]) -> None:
        """Add a fragment of a tool call; one without an index is a call of its own."""
        index = fragment.get("index")
        call = self._calls.setdefault(len(self._calls) if index is None else (index,), _PartialCall())
        call.name += fragment.get("name") or ""
        call.arguments.feed(fragment.get("args") or "")

    def _source(self) -> PartialJson | None:
        """Return where the answer is: in the call of the schema's tool, else in the text if no tool is called."""
        for call in self._calls.values():
            if call.name == self._reader.tool_name:
                return call.arguments
        return None if self._calls else self._text

    def _new(self, answer: Any) -> Iterator[Any]:
        if answer is not NOTHING and (self._last is NOTHING or answer != self._last):
            self._last = answer
            yield answer


class _PartialCall:
    """A tool call that is still arriving."""

    __slots__ = ("arguments", "name")

    def __init__(self) -> None:
        self.name = ""
        self.arguments = PartialJson()


def _is_same(left: Any, right: Any) -> bool:
    """Return whether two answers are equal in what ``==`` ignores, too: types, signs of zero, which fields were set."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if isinstance(left, BaseModel):
        return left.model_fields_set == right.model_fields_set and _is_same(left.__dict__, right.__dict__)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_is_same(value, right[key]) for key, value in left.items())
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_is_same, left, right))
    return repr(left) == repr(right) if isinstance(left, float) else bool(left == right)


def sum_of(chunks: Sequence[Any]) -> Any:
    """Add the chunks of an answer, all at once: adding them one by one parses their tool calls again each time.

    Args:
        chunks: The chunks; at least one.

    Returns:
        Their sum.
    """
    if len(chunks) > 1 and all(isinstance(chunk, AIMessageChunk) for chunk in chunks):
        return add_ai_message_chunks(*chunks)
    return functools.reduce(operator.add, chunks)
