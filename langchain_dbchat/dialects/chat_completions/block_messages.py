"""Encode the turns that are more than text: blocks of content, tool calls, results.

Rule 1. What the endpoint does not take from an assistant is moved or named, because an earlier answer never stops a
conversation (`shared.conversation`).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage

from langchain_dbchat.dialects.chat_completions.content import (
    collapse,
    encode_text,
    write_parts,
    write_reasoning,
)
from langchain_dbchat.dialects.chat_completions.history import EncodedMessage, Wire, message_of
from langchain_dbchat.dialects.chat_completions.tool_results import Context, encode_result, write_part
from langchain_dbchat.dialects.shared.blocks.content_blocks import NeutralBlock, ReasoningBlock, ToolUseBlock
from langchain_dbchat.dialects.shared.blocks.json_text import write_json
from langchain_dbchat.dialects.shared.blocks.reasoning import signed_extras
from langchain_dbchat.dialects.shared.blocks.stand_ins import see_next
from langchain_dbchat.dialects.shared.conversation.turns import is_taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_dbchat.dialects.shared.conversation.turns import ConversationTurn, NumberedBlock

__all__ = ["Context", "encode_turn"]


def encode_turn(turn: ConversationTurn, context: Context) -> EncodedMessage:
    """Encode one turn.

    Args:
        turn: The turn.
        context: The model.

    Returns:
        The message, and the media that follow it.

    Raises:
        UnsupportedContentError: If it cannot be represented.
    """
    if turn.role == "tool":
        return encode_result(turn, context)
    if turn.role == "assistant" and isinstance(turn.message, AIMessage):
        return _encode_answer(turn, context)
    written = collapse(write_parts(turn.blocks(), context.family, turn.where))
    return EncodedMessage(message_of(turn, written, context.quirks))


def _encode_answer(turn: ConversationTurn, context: Context) -> EncodedMessage:
    family = context.family
    media: list[Wire] = []
    thinking: Wire = {}
    content: str | list[Wire]
    if isinstance(turn.content, str):
        content = turn.content
    else:
        parts, media = _fit_answer(_joined(_write_answer(turn.content, turn, context)), context)
        if context.quirks.thinking_blocks:
            parts, thinking = _beside(parts)
        content = collapse(parts)
    if not turn.calls:
        return EncodedMessage({**message_of(turn, content, context.quirks), **thinking}, media)
    calls = [_write_call(use, turn.where) for use in turn.calls]
    if turn.replays:
        for use, call in zip(turn.calls, calls, strict=True):
            call.update(signed_extras(use.extras))
    if family.unsigned_call:
        for call in calls:
            call.setdefault("thoughtSignature", family.unsigned_call)
    return EncodedMessage({**message_of(turn, content or None, context.quirks), **thinking, "tool_calls": calls}, media)


def _write_answer(blocks: Sequence[NumberedBlock], turn: ConversationTurn, context: Context) -> list[Wire]:
    """Write what an answer said, with the reasoning and the signatures that may go back."""
    parts: list[Wire] = []
    signs = turn.replays and context.family.signed_text
    for is_reasoning, group in groupby((block for _, block in blocks), key=_is_reasoning):
        if is_reasoning:
            parts.extend(write_reasoning(block for block in group if isinstance(block, ReasoningBlock)))
            continue
        for block in group:
            part = write_part(block, context, turn.where, edge="\n")
            signature = getattr(block, "signature", None) if signs else None
            parts.append({**part, "thoughtSignature": signature} if signature else part)
    return parts


def _beside(parts: list[Wire]) -> tuple[list[Wire], Wire]:
    """Return the parts without reasoning, and the reasoning as the field ``thinking_blocks`` if there is any."""
    blocks = [
        {"type": "redacted_thinking", "data": entry["data"]}
        if "data" in entry
        else {"type": "thinking", "thinking": entry["text"], "signature": entry["signature"]}
        for part in parts
        if part["type"] == "reasoning"
        for entry in part["summary"]
    ]
    return [part for part in parts if part["type"] != "reasoning"], {"thinking_blocks": blocks} if blocks else {}


def _is_reasoning(block: NeutralBlock) -> bool:
    return isinstance(block, ReasoningBlock)


def _write_call(call: ToolUseBlock, where: str) -> Wire:
    arguments = call.arguments
    if not isinstance(arguments, str):
        arguments = write_json(arguments, f"{where}: the arguments of the call {call.id!r} of {call.name!r}")
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _fit_answer(parts: list[Wire], context: Context) -> tuple[list[Wire], list[Wire]]:
    """Leave out what says nothing, and part with media that only users may send.

    Returns:
        The parts, and the media that follow in a user message.
    """
    said = (part for part in parts if part != {"type": "text", "text": ""})
    parts = [part for part in said if part["type"] != "text" or is_taken(part["text"], context.family)]
    media: list[Wire] = []
    if not context.quirks.answer_media:
        media = [part for part in parts if part["type"] not in {"text", "reasoning"}]
        parts = [part for part in parts if part["type"] in {"text", "reasoning"}]
        if media and not any(part["type"] == "text" for part in parts):
            parts.append(encode_text(see_next(len(media))))
    return parts, media


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
