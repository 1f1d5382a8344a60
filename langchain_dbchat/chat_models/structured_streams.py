"""Parse a structured answer while it arrives, piece by piece and in linear time."""

from __future__ import annotations

import functools
import operator
from dataclasses import fields, is_dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import BaseModel
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_dbchat.chat_models.partial_instances import PartialInstances
from langchain_dbchat.chat_models.partial_json import PartialJson
from langchain_dbchat.chat_models.structured_shapes import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_dbchat.chat_models.structured_answers import AnswerReader


_LOOSELY_EQUAL = (float, Decimal, datetime, time)
"""Types of which equal values may be written differently: 0.0 and -0.0, 1.0 and 1.00, two zones of one moment."""


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
        if found is not NOTHING and (self._found is NOTHING or _differ(found, self._found)):
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
        if answer is not NOTHING and (self._last is NOTHING or _differ(answer, self._last)):
            self._last = answer
            yield answer


class _PartialCall:
    """A tool call that is still arriving."""

    __slots__ = ("arguments", "name")

    def __init__(self) -> None:
        self.name = ""
        self.arguments = PartialJson()


def _differ(left: Any, right: Any) -> bool:
    """Return whether two partial answers differ; those that are nested too deeply to be compared may."""
    try:
        return bool(left != right)
    except RecursionError:
        return True


def _is_same(left: Any, right: Any) -> bool:
    """Return whether two answers are equal in what ``==`` ignores, too: types, signs of zero, which fields were set.

    It does not call itself, because an answer may be nested as deeply as can be read.
    """
    waiting = [(left, right)]
    while waiting:
        one, other = waiting.pop()
        if one is other:
            continue
        if type(one) is not type(other):
            return False
        ones, others = _content_of(one), _content_of(other)
        if ones is None or others is None:
            if not _is_same_value(one, other):
                return False
        elif ones.keys() != others.keys():
            return False
        else:
            waiting.extend((value, others[key]) for key, value in ones.items())
    return True


def _content_of(value: Any) -> dict[Any, Any] | None:
    """Return the values within a value, and which fields of it were set; None if it is a single value."""
    if isinstance(value, dict):
        return value
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    if isinstance(value, BaseModel):
        values = {name: value.__dict__.get(name, NOTHING) for name in type(value).model_fields}
        return {"values": values, "extra": value.__pydantic_extra__, "set": value.model_fields_set}
    if isinstance(value, BaseModelV1):
        return {"values": value.__dict__, "set": value.__fields_set__}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name, NOTHING) for field in fields(value)}
    return None


def _is_same_value(left: Any, right: Any) -> bool:
    if isinstance(left, (set, frozenset)):
        return sorted(map(repr, left)) == sorted(map(repr, right))
    return repr(left) == repr(right) if isinstance(left, _LOOSELY_EQUAL) else bool(left == right)


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
