"""What a choice of an answer says, read into a few kinds of parts.

A streamed ``delta`` and a whole ``message`` are read alike: both hold content (a string, a list of parts or null), tool
calls, a refusal, and reasoning in one of five places, depending on the family behind the endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from langchain_dbchat.dialects.beside import (
    PLAIN,
    Beside,
    Cited,
    Other,
    Spoken,
    read_beside,
    reasoning_key,
    thinking_blocks,
    words,
)
from langchain_dbchat.dialects.citations import flat
from langchain_dbchat.dialects.fields import says_something, storable
from langchain_dbchat.dialects.reasoning import FUNCTION_EXTRAS
from langchain_dbchat.errors import MalformedResponseError


class Text(NamedTuple):
    """Text of the answer; what else its part carried (citations, a signature) is in ``extras``."""

    text: str
    extras: dict[str, Any] | None = None


class Reasoning(NamedTuple):
    """One entry of reasoning: its text and its signature, or encrypted data; ``opens`` where a new part begins."""

    text: str
    signature: str | None = None
    data: str | None = None
    opens: bool = True


@dataclass(slots=True)
class Call:
    """A tool call or a fragment of one."""

    index: int | None
    id: str | None
    name: str | None
    arguments: str
    extras: dict[str, Any] | None = None


class Refusal(NamedTuple):
    """The model's words on why it does not answer."""

    text: str


Part = Text | Reasoning | Other | Call | Refusal | Cited | Spoken | Beside

SILENT: frozenset[type[Part]] = frozenset({Refusal, Cited, Spoken, Beside})
"""Kinds of parts that add nothing to a message before its end."""

_TEXT_KEYS = frozenset({"type", "text", "index", "citation", "citations"})
_CALL_KEYS = frozenset({"index", "id", "type", "function"})
_FUNCTION_KEYS = frozenset({"name", "arguments"})


def read_parts(says: Mapping[str, Any]) -> Iterator[Part]:
    """Read one ``delta`` or ``message``.

    Args:
        says: The object as sent.

    Yields:
        Its parts: reasoning first, then content in its order, what stands beside the content, a refusal, tool calls.

    Raises:
        MalformedResponseError: If content or tool calls are of no known shape.
    """
    yield from _read_siblings(says)
    content = says.get("content")
    if isinstance(content, str):
        if content:
            yield Text(content)
    elif isinstance(content, list):
        for block in content:
            yield from _read_block(block)
    elif content is not None:
        raise MalformedResponseError(
            f"The answer's content is a {type(content).__name__}, not text or a list of parts."
        )
    if says.get("refusal"):
        yield Refusal(_text_of(says["refusal"]))
    if not says.keys() <= PLAIN:
        yield from read_beside(says)
    yield from _read_calls(says)


def join_parts(left: Part, right: Part) -> Part | None:
    """Join two parts that arrived together, if one part says the same.

    Args:
        left: The earlier part.
        right: The later part.

    Returns:
        The one part, or None if they have to stay two.
    """
    if type(left) is Text and type(right) is Text:
        return Text(left.text + right.text) if left.extras is None and right.extras is None else None
    if type(left) is Reasoning and type(right) is Reasoning:
        if left.signature is None and left.data is None and right.data is None and right.opens:
            return Reasoning(left.text + right.text, right.signature, None, left.opens)
        return None
    if type(left) is Call and type(right) is Call:
        same = left.index is not None and left.index == right.index
        if same and right.id is None and right.name is None and right.extras is None and left.arguments != "{}":
            return Call(left.index, left.id, left.name, left.arguments + right.arguments, left.extras)
    return None


def _read_siblings(says: Mapping[str, Any]) -> Iterator[Part]:
    """Read reasoning that stands beside the content; a LiteLLM proxy sends it twice, signed in ``thinking_blocks``."""
    blocks = thinking_blocks(says)
    if blocks:
        for block in blocks:
            if isinstance(block, Mapping):
                yield _reasoning(block, "thinking")
        return
    key = reasoning_key(says)
    if key is not None:
        yield Reasoning(says[key])


def _read_block(block: Any) -> Iterator[Part]:
    if isinstance(block, str):
        yield Text(block)
    elif not isinstance(block, dict):
        raise MalformedResponseError(f"A part of the answer's content is a {type(block).__name__}, not an object.")
    elif (block.get("type") or ("text" if "text" in block else None)) == "text":  # langchain-core reads it so, too
        extras = {
            key: storable(value) for key, value in block.items() if key not in _TEXT_KEYS and says_something(value)
        }
        citations = list(flat([storable(block.get("citations")), storable(block.get("citation"))]))
        if citations:
            extras["citations"] = citations
        yield Text(words(block, "text") or "", extras or None)
    elif block.get("type") == "reasoning":
        entries = block.get("summary") or block.get("content") or []
        for number, entry in enumerate(entries if isinstance(entries, list) else [{"text": entries}]):
            said = entry if isinstance(entry, Mapping) else {"text": entry}
            yield _reasoning(said, "text", opens=number == 0)
    elif block.get("type") == "refusal":  # where the Responses API puts it, and some servers after it
        yield Refusal(words(block, "refusal") or "")
    else:
        words(block, "type")
        yield Other(storable(block))


def _reasoning(said: Mapping[str, Any], key: str, *, opens: bool = True) -> Reasoning:
    return Reasoning(words(said, key) or "", words(said, "signature"), words(said, "data"), opens)


def _read_calls(says: Mapping[str, Any]) -> Iterator[Call]:
    calls = says.get("tool_calls")
    if calls:
        if not isinstance(calls, list):
            raise MalformedResponseError(f"The answer's tool calls are a {type(calls).__name__}, not a list.")
        yield from map(_read_call, calls)
        return
    obsolete = says.get("function_call")  # how a call was written before there were several
    if isinstance(obsolete, Mapping) and (obsolete.get("name") or obsolete.get("arguments")):
        yield _read_call({"function": obsolete})


def _read_call(call: Any) -> Call:
    if not isinstance(call, Mapping):
        raise MalformedResponseError(f"A tool call of the answer is a {type(call).__name__}, not an object.")
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    index = call.get("index")
    extras = {key: value for key, value in call.items() if key not in _CALL_KEYS and says_something(value)}
    more = {key: value for key, value in function.items() if key not in _FUNCTION_KEYS and says_something(value)}
    if more:
        extras[FUNCTION_EXTRAS] = more
    arguments = function.get("arguments")
    return Call(
        index=index if isinstance(index, int) else None,
        id=words(call, "id"),
        name=words(function, "name"),
        arguments="" if arguments is None else _text_of(arguments),
        extras=storable(extras) if extras else None,
    )


def _text_of(value: Any) -> str:
    """Return text as it is, and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
