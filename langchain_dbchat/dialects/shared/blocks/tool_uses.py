"""Tool calls that an answer made, whatever spelling they came in.

Rule 1. A message's ``tool_calls`` and ``invalid_tool_calls`` say what was called. Blocks of its content repeat them; a
block whose id none of them has is a call too: Anthropic's ``tool_use``, LangChain's ``tool_call`` and
``invalid_tool_call``, OpenAI's ``function_call``. Fragments of a stream are not calls.
Rule 2. Arguments that are not an object go back under ``invalid_arguments``, because every wire wants an object there,
and the model should see what it wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.blocks.block_fields import flattened, mapping_of, remaining
from langchain_dbchat.dialects.shared.blocks.call_arguments import UNNAMED, as_written, parse_arguments
from langchain_dbchat.dialects.shared.blocks.content_blocks import ToolUseBlock
from langchain_dbchat.dialects.shared.blocks.message_keys import CALL_EXTRAS
from langchain_dbchat.dialects.shared.blocks.storable import LARGE_INTEGERS, with_large_integers
from langchain_dbchat.errors.sound_text import clean_text

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

_SPELLINGS = {
    "tool_use": ("id", "name", "input"),
    "tool_call": ("id", "name", "args"),
    "invalid_tool_call": ("id", "name", "args"),
    "function_call": ("call_id", "name", "arguments"),
    "tool_call_chunk": ("id", "name", "args"),
    "input_json_delta": ("id", "name", "partial_json"),
}
"""Where blocks keep a call's id, name and arguments: Anthropic's, LangChain's, OpenAI's Responses."""

CALL_BLOCKS = frozenset(_SPELLINGS)
"""Types of blocks that are tool calls or fragments of them."""

_FRAGMENTS = frozenset({"tool_call_chunk", "input_json_delta"})


def read_tool_use(block: Mapping[str, Any]) -> ToolUseBlock:
    """Read a block that is a tool call.

    Args:
        block: The block. Its type is one of `CALL_BLOCKS`. It is not changed.

    Returns:
        The call.
    """
    spelling = _SPELLINGS[block["type"]]
    given, name, arguments = (block.get(key) for key in spelling)
    call_id = given if isinstance(given, str) else None
    extras = remaining(flattened(block), frozenset(spelling))
    if block["type"] in _FRAGMENTS:
        return ToolUseBlock(call_id, str(name or ""), arguments, "fragment", extras)
    arguments, malformed = _read_arguments(arguments)
    if malformed or block["type"] == "invalid_tool_call":
        return ToolUseBlock(call_id, str(name or ""), arguments, "malformed", extras)
    return ToolUseBlock(call_id, str(name or ""), arguments, "whole", extras)


def _read_arguments(given: Any) -> tuple[Any, bool]:
    """Read the arguments of a call, and return whether they are malformed too."""
    if not given:
        return {}, False
    if isinstance(given, str):
        given = as_written(clean_text(given))
        arguments, fault = parse_arguments(given)
        return (arguments, False) if fault is None else ({"invalid_arguments": given}, True)
    return (given, False) if isinstance(given, Mapping) else ({"invalid_arguments": given}, True)


def read_calls(message: AIMessage, in_content: Iterable[ToolUseBlock]) -> list[ToolUseBlock]:
    """List the tool calls of an answer, each with a name and with what it contained besides its function.

    Args:
        message: The answer.
        in_content: The calls and fragments that its content contains.

    Returns:
        The calls.
    """
    calls = [ToolUseBlock(call["id"], call["name"] or UNNAMED, call["args"]) for call in message.tool_calls]
    for broken in message.invalid_tool_calls:
        arguments, _ = _read_arguments(broken["args"])
        calls.append(ToolUseBlock(broken["id"], broken["name"] or UNNAMED, arguments, "malformed"))
    known = {call.id for call in calls}
    extras: dict[Any, Any] = dict(mapping_of(message.additional_kwargs, CALL_EXTRAS))
    for use in in_content:
        if use.extras:
            extras.setdefault(use.id, use.extras)
        if use.id not in known and use.state != "fragment":
            calls.append(ToolUseBlock(use.id, use.name or UNNAMED, use.arguments, use.state))
    if not extras:
        return calls
    return [_with_extras(call, extras.get(call.id) or {}) for call in calls]


def _with_extras(call: ToolUseBlock, extras: Any) -> ToolUseBlock:
    if not isinstance(extras, Mapping) or LARGE_INTEGERS not in extras:
        return ToolUseBlock(call.id, call.name, call.arguments, call.state, extras)
    arguments = with_large_integers(call.arguments, extras)
    return ToolUseBlock(call.id, call.name, arguments, call.state, remaining(extras, frozenset({LARGE_INTEGERS})))
