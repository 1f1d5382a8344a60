"""Read a choice of an answer as a sequence of parts.

Rule 1. A streamed ``delta`` and a whole ``message`` are read by the same code. Both contain content (a string, a list
of parts or null), tool calls, a refusal, and reasoning in one of five places, depending on the model's family.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from langchain_dbchat.dialects.shared.answer.beside import (
    PLAIN,
    Other,
    UnknownFields,
    arguments_in,
    read_beside,
    reasoning_key,
    text_in,
    thinking_blocks,
)
from langchain_dbchat.dialects.shared.answer.fields import says_something
from langchain_dbchat.dialects.shared.answer.parts import Part, Reasoning, Refusal, Text, ToolCallPart
from langchain_dbchat.dialects.shared.blocks.block_fields import flat
from langchain_dbchat.dialects.shared.blocks.message_keys import FUNCTION_EXTRAS
from langchain_dbchat.dialects.shared.blocks.storable import storable
from langchain_dbchat.errors import MalformedResponseError

_CALLING = frozenset({"role", "content", "tool_calls"})
_TEXT_KEYS = frozenset({"type", "text", "index", "citation", "citations"})
_CALL_KEYS = frozenset({"index", "id", "type", "function"})
_FRAGMENT_KEYS = frozenset({"index", "type", "function"})
_FUNCTION_KEYS = frozenset({"name", "arguments"})


def read_parts(message: Mapping[str, Any]) -> Iterable[Part]:
    """Read one ``delta`` or ``message``.

    Args:
        message: The object that the server sent.

    Returns:
        Its parts: reasoning, content in its order, a refusal, other fields, tool calls.

    Raises:
        MalformedResponseError: If content or tool calls have an unknown format.
    """
    calls = message.get("tool_calls")
    if type(calls) is list and message.get("content") is None and _CALLING.issuperset(message):
        return map(_read_call, calls)  # as in nearly all events with a call
    return _read_all(message)


def _read_all(message: Mapping[str, Any]) -> Iterator[Part]:
    yield from _read_siblings(message)
    yield from read_content(message.get("content"))
    if message.get("refusal"):
        yield Refusal(_text_of(message["refusal"]))
    if not PLAIN.issuperset(message):
        yield from read_beside(message)
    yield from _read_calls(message)


def read_content(content: Any) -> Iterator[Part]:
    """Read the content of one ``delta`` or ``message``.

    Args:
        content: A string, a list of parts or null.

    Yields:
        Its parts, in order.

    Raises:
        MalformedResponseError: If it has an unknown format.
    """
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


def _read_siblings(message: Mapping[str, Any]) -> Iterator[Part]:
    """Read reasoning outside of the content; a LiteLLM proxy sends it twice, signed in ``thinking_blocks``.

    Reasoning in a format that is not documented, such as a list, is kept as an unknown field.
    """
    given = message.get("reasoning_content")
    if given and not isinstance(given, str):
        yield UnknownFields({"reasoning_content": given})
    blocks = thinking_blocks(message)
    if blocks:
        for block in blocks:
            if isinstance(block, Mapping):
                yield _reasoning(block, "thinking")
        return
    key = reasoning_key(message)
    if key is not None:
        yield Reasoning(message[key])


def _read_block(block: Any) -> Iterator[Part]:
    if isinstance(block, str):
        yield Text(block)
    elif not isinstance(block, dict):
        raise MalformedResponseError(f"A part of the answer's content is a {type(block).__name__}, not an object.")
    elif (block.get("type") or ("text" if "text" in block else None)) == "text":  # as langchain-core does
        extras = {
            key: storable(value) for key, value in block.items() if key not in _TEXT_KEYS and says_something(value)
        }
        citations = list(flat([storable(block.get("citations")), storable(block.get("citation"))]))
        if citations:
            extras["citations"] = citations
        yield Text(text_in(block, "text") or "", extras or None)
    elif block.get("type") == "reasoning":
        entries = block.get("summary") or block.get("content") or []
        for number, entry in enumerate(entries if isinstance(entries, list) else [{"text": entries}]):
            fields = entry if isinstance(entry, dict) else {"text": entry}
            yield _reasoning(fields, "text", opens=number == 0)
    elif block.get("type") == "refusal":  # where the Responses API puts it, and some servers after it
        yield Refusal(text_in(block, "refusal") or "")
    else:
        text_in(block, "type")
        yield Other(storable(block))


def _reasoning(entry: Mapping[str, Any], key: str, *, opens: bool = True) -> Reasoning:
    return Reasoning(text_in(entry, key) or "", text_in(entry, "signature"), text_in(entry, "data"), opens)


def _read_calls(message: Mapping[str, Any]) -> Iterable[ToolCallPart]:
    calls = message.get("tool_calls")
    if calls:
        if not isinstance(calls, list):
            raise MalformedResponseError(f"The answer's tool calls are a {type(calls).__name__}, not a list.")
        return map(_read_call, calls)
    obsolete = message.get("function_call")  # how a call was written before there were several
    if obsolete and isinstance(obsolete, Mapping) and (obsolete.get("name") or obsolete.get("arguments")):
        return [_read_call({"function": obsolete})]
    return []


def _read_call(call: Any) -> ToolCallPart:
    if not isinstance(call, dict):
        raise MalformedResponseError(f"A tool call of the answer is a {type(call).__name__}, not an object.")
    function, index = call.get("function"), call.get("index")
    if type(function) is dict and len(function) == 1 and _FRAGMENT_KEYS.issuperset(call):
        arguments = function.get("arguments")
        if type(arguments) is str and type(index) is int:  # as in nearly all events of a call
            return ToolCallPart(index, None, None, arguments)
    function = function if isinstance(function, dict) else {}
    extras: dict[str, Any] = {}
    if not _CALL_KEYS.issuperset(call):
        extras = {key: value for key, value in call.items() if key not in _CALL_KEYS and says_something(value)}
    if not _FUNCTION_KEYS.issuperset(function):
        more = {key: value for key, value in function.items() if key not in _FUNCTION_KEYS and says_something(value)}
        if more:
            extras[FUNCTION_EXTRAS] = more
    return ToolCallPart(
        index=index if isinstance(index, int) else None,
        id=text_in(call, "id"),
        name=text_in(function, "name"),
        arguments=arguments_in(function),
        extras=storable(extras) if extras else None,
    )


def _text_of(value: Any) -> str:
    """Return text unchanged, and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
