"""LangChain messages to the ``messages`` of a chat-completions request.

Serving endpoints validate strictly (``Extra inputs are not permitted``), so each wire message is written key by key
and nothing of LangChain's leaks into it. Families differ in where system messages may stand, how several tool calls
of one turn are sent and what may stand in a tool message; those rules are fields of the family's row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_dbchat.dialects.content import CALL_BLOCKS, collapse, encode_block, encode_parts
from langchain_dbchat.dialects.reasoning import (
    CALL_EXTRAS,
    REASONING_BLOCKS,
    Target,
    may_replay,
    replay_reasoning,
    signed_extras,
)
from langchain_dbchat.dialects.tools import UNNAMED, parse_arguments
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.messages import InvalidToolCall, ToolCall

    from langchain_dbchat.models.families import Family

Wire = dict[str, Any]

_SERVER_TOOL = re.compile(r"^server_tool_|_tool_result$|_call$|_call_output$|^mcp_")

NO_OUTPUT = "(no output)"
"""What an empty tool result becomes where empty text is refused: the model has to see that the call was answered."""


def encode_messages(messages: Sequence[BaseMessage], target: Target) -> list[Wire]:
    """Turn a conversation into wire messages.

    Args:
        messages: The conversation, in LangChain's types.
        target: The model that is called.

    Returns:
        The wire messages.

    Raises:
        UnsupportedContentError: If a message or a block cannot be represented, or if nothing is left to send.
    """
    family = target.family
    wire: list[Wire] = []
    media: list[Wire] = []
    for number, message in enumerate(messages):
        where = f"message {number} ({message.type})"
        for encoded in _encode_message(message, target, where):
            if encoded["role"] != "tool" and media:
                wire.append({"role": "user", "content": media})
                media = []
            media.extend(encoded.pop("media", ()))
            wire.append(encoded)
    if media:
        wire.append({"role": "user", "content": media})
    if family.system == "first":
        wire = _system_first(wire)
    if family.tool_history == "split":
        wire = _split_calls(wire)
    if not any(message["role"] != "system" for message in wire):
        raise UnsupportedContentError(
            "There is nothing to answer: the conversation holds nothing besides system messages. Add a human message."
        )
    return wire


def _encode_message(message: BaseMessage, target: Target, where: str) -> Iterable[Wire]:
    family = target.family
    if isinstance(message, AIMessage):
        return _encode_answer(message, target, where)
    if isinstance(message, ToolMessage):
        content: Any = message.content
        return [_tool_result(message.tool_call_id, content, family, where, failed=message.status == "error")]
    if isinstance(message, HumanMessage):
        return _encode_prompt(message, family, where)
    if isinstance(message, SystemMessage):
        return _plain("system", message, family, where)
    if isinstance(message, ChatMessage):
        role = {"human": "user", "ai": "assistant", "developer": "system"}.get(message.role, message.role)
        if role in {"user", "assistant", "system"}:
            return _plain(role, message, family, where)
        raise UnsupportedContentError(
            f"{where}: the role {message.role!r} is refused by serving endpoints. Use system, user or assistant, "
            "and a ToolMessage for a tool's result."
        )
    if isinstance(message, FunctionMessage):
        raise UnsupportedContentError(
            f"{where}: function messages are the obsolete form of tool results; send a ToolMessage with the call's id."
        )
    raise UnsupportedContentError(f"{where}: messages of type {message.type!r} cannot be sent to a model.")


def _plain(role: str, message: BaseMessage, family: Family, where: str) -> list[Wire]:
    parts = encode_parts(message.content, family, where)
    return [_message(role, parts, message, family)] if parts else []


def _message(role: str, parts: list[Wire], message: BaseMessage, family: Family) -> Wire:
    wire: Wire = {"role": role, "content": collapse(parts)}
    if message.name and family.message_names:
        wire["name"] = message.name
    return wire


def _encode_prompt(message: HumanMessage, family: Family, where: str) -> list[Wire]:
    """Encode a human message; Anthropic puts tool results into it, chat completions into messages of their own."""
    content: Any = message.content
    wire: list[Wire] = []
    if isinstance(content, list):
        results = [block for block in content if isinstance(block, Mapping) and block.get("type") == "tool_result"]
        for block in results:
            failed = bool(block.get("is_error"))
            result = _tool_result(block.get("tool_use_id"), block.get("content"), family, where, failed=failed)
            wire.append(_marked(result, block, family))
        if results:
            content = [block for block in content if block not in results]
    parts = encode_parts(content, family, where)
    if parts:
        wire.append(_message("user", parts, message, family))
    elif not wire:
        raise UnsupportedContentError(
            f"{where}: the message is empty, and the family {family.name!r} refuses empty text."
        )
    return wire


def _tool_result(call_id: str | None, content: Any, family: Family, where: str, *, failed: bool) -> Wire:
    """Encode one tool result; the wire has no field for a failure, so the text says it."""
    if not call_id:
        raise UnsupportedContentError(f"{where}: a tool result needs the id of the call that it answers.")
    parts = encode_parts(content if content is not None else "", family, where)
    media: list[Wire] = []
    if not family.tool_result_media:
        media = [part for part in parts if part["type"] != "text"]
        parts = [part for part in parts if part["type"] == "text"]
        if media and not parts:
            parts = [{"type": "text", "text": f"(see the {len(media)} attachment(s) in the next message)"}]
    if failed and not (parts and parts[0].get("text", "").lower().startswith("error")):
        parts.insert(0, {"type": "text", "text": "Error:"})
    if not parts:
        parts = [{"type": "text", "text": NO_OUTPUT}]
    wire: Wire = {"role": "tool", "tool_call_id": call_id, "content": collapse(parts)}
    if media:
        wire["media"] = media
    return wire


def _marked(result: Wire, block: Mapping[str, Any], family: Family) -> Wire:
    """Keep the cache marker of an Anthropic tool result: on the wire it stands on the result's last text."""
    if not (family.cache_control and block.get("cache_control")):
        return result
    content = result["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    parts[-1] = {**parts[-1], "cache_control": block["cache_control"]}
    return {**result, "content": parts}


def _encode_answer(message: AIMessage, target: Target, where: str) -> list[Wire]:
    family = target.family
    replay = may_replay(message, target)
    content: Any = message.content
    blocks: list[Any] = [content] if isinstance(content, str) else list(content)
    obsolete = message.additional_kwargs.get("function_call")
    if obsolete and not message.tool_calls and not message.invalid_tool_calls:
        raise UnsupportedContentError(f"{where}: 'function_call' is the obsolete form of a tool call; use tool_calls.")
    parts: list[Wire] = []
    for kind, group in groupby(enumerate(blocks), key=lambda item: _kind_of(item[1])):
        if kind == "reasoning" and replay:
            parts.extend(replay_reasoning([block for _, block in group]))
        elif kind == "content":
            for number, block in group:
                place = f"{where}, block {number}"
                encoded = (
                    list(encode_block(block, family, place))
                    if isinstance(block, Mapping)
                    else encode_parts(block, family, where)
                )
                signature = _text_signature(block) if replay and family.signed_text else None
                if signature:
                    encoded = encoded or [{"type": "text", "text": ""}]
                    encoded[-1]["thoughtSignature"] = signature
                parts.extend(encoded)
    calls = _encode_calls(message, [block for block in blocks if _kind_of(block) == "call"], replay=replay)
    refusal = message.additional_kwargs.get("refusal")
    if refusal and isinstance(refusal, str) and not calls and not any(part.get("text", True) for part in parts):
        parts.append({"type": "text", "text": refusal})  # it is all that the turn said
    if family.unsigned_call:
        for call in calls:
            call.setdefault("thoughtSignature", family.unsigned_call)
    return _assemble(message, _joined(parts), calls, family)


def _kind_of(block: Any) -> str:
    kind = block.get("type") if isinstance(block, Mapping) else None
    if kind in REASONING_BLOCKS:
        return "reasoning"
    if kind in CALL_BLOCKS:
        return "call"
    # What another provider's own tools left in an answer (a web search and its results) is not ours to send: like
    # another family's reasoning it is dropped, and the answer's text, which speaks of it, stays.
    return "foreign" if isinstance(kind, str) and (kind == "non_standard" or _SERVER_TOOL.search(kind)) else "content"


def _encode_calls(message: AIMessage, blocks: list[Mapping[str, Any]], *, replay: bool) -> list[Wire]:
    """Encode the tool calls of an answer, with what each carried besides its function if it may go back."""
    calls = [*map(_valid_call, message.tool_calls), *map(_invalid_call, message.invalid_tool_calls)]
    known = {call["id"] for call in calls}
    extras = dict(message.additional_kwargs.get(CALL_EXTRAS) or {})
    for block in blocks:
        if block["type"] == "tool_use" and block.get("id") not in known:
            calls.append(_call(block.get("id"), block["name"], block.get("input") or {}))
        elif isinstance(block.get("extras"), Mapping):
            extras.setdefault(block.get("id"), block["extras"])
    if replay:
        for call in calls:
            call.update(signed_extras(extras.get(call["id"])))
    return calls


def _assemble(message: AIMessage, parts: list[Wire], calls: list[Wire], family: Family) -> list[Wire]:
    parts = [part for part in parts if len(part) > 2 or part.get("text") != ""]  # noqa: PLR2004  # unmarked and empty
    if not parts and not calls:
        return []
    wire = _message("assistant", parts, message, family)
    if calls:
        wire["content"] = wire["content"] or None
        wire["tool_calls"] = calls
    return [wire]


def _joined(parts: list[Wire]) -> list[Wire]:
    """Join neighbouring plain texts: an answer's text is one text, and a signature after bare text belongs to it."""
    joined: list[Wire] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last is not None and set(last) == {"type", "text"} and part["type"] == "text":
            joined[-1] = {**part, "text": last["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def _text_signature(block: Any) -> str | None:
    if not isinstance(block, Mapping):
        return None
    extras = block.get("extras")
    signature = block.get("thoughtSignature") or (
        extras.get("thoughtSignature") if isinstance(extras, Mapping) else None
    )
    return signature if isinstance(signature, str) else None


def _call(call_id: str | None, name: str, arguments: Any) -> Wire:
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _valid_call(call: ToolCall) -> Wire:
    return _call(call["id"], call["name"] or UNNAMED, call["args"])


def _invalid_call(call: InvalidToolCall) -> Wire:
    """Send a call back whose arguments were not JSON: they have to be on the wire, and the model should see them."""
    text = call["args"] or ""
    arguments, error = parse_arguments(text)
    return _call(call["id"], call["name"] or UNNAMED, {"invalid_arguments": text} if error else arguments)


def _system_first(wire: list[Wire]) -> list[Wire]:
    system = [message for message in wire if message["role"] == "system"]
    if not system or (len(system) == 1 and wire[0] is system[0]):
        return wire
    contents = [message["content"] for message in system]
    merged: str | list[Wire]
    if all(isinstance(content, str) for content in contents):
        merged = "\n\n".join(contents)
    else:
        merged = []
        for content in contents:
            merged.extend([{"type": "text", "text": content}] if isinstance(content, str) else content)
    return [{"role": "system", "content": merged}, *(message for message in wire if message["role"] != "system")]


def _split_calls(wire: list[Wire]) -> list[Wire]:
    """Send several calls of one turn as several turns with one call and its result each."""
    split: list[Wire] = []
    for position, message in enumerate(wire):
        calls = message.get("tool_calls") or []
        if len(calls) > 1:
            answered = list(takewhile(lambda other: other["role"] == "tool", wire[position + 1 :]))
            for number, call in enumerate(calls):
                split.append({**message, "content": message["content"] if number == 0 else None, "tool_calls": [call]})
                split.extend(result for result in answered if result["tool_call_id"] == call["id"])
        elif message["role"] != "tool" or not _was_moved(wire, position):
            split.append(message)
    return split


def _was_moved(wire: list[Wire], position: int) -> bool:
    """Tell whether a tool result belongs to a turn of several calls, which took it along."""
    turn = next(message for message in reversed(wire[:position]) if message["role"] != "tool") if position else {}
    calls = turn.get("tool_calls") or []
    return len(calls) > 1 and any(call["id"] == wire[position]["tool_call_id"] for call in calls)
