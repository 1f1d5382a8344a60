"""Encode LangChain messages, one by one, as the ``messages`` of a chat-completions request; `history` orders them.

Rule 1. Serving endpoints validate strictly (``Extra inputs are not permitted``), so each wire message is written key by
key and nothing of LangChain's leaks into it.
Rule 2. What an earlier answer contains never stops a conversation: what cannot be sent back (another model's reasoning,
an answer that said nothing) is left out; what the endpoint does not take from an assistant is moved or named.
Rule 3. What a user says is sent as it is, or raises.
"""

from __future__ import annotations

from itertools import groupby
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

from langchain_dbchat.dialects.chat_completions.content import (
    collapse,
    encode_parts,
    encode_text,
    is_content,
    keep_text,
    write_parts,
    write_reasoning,
)
from langchain_dbchat.dialects.chat_completions.history import EncodedMessage, Wire, order
from langchain_dbchat.dialects.chat_completions.quirks import quirks_of
from langchain_dbchat.dialects.chat_completions.tool_results import (
    NO_OUTPUT,
    Context,
    encode_result,
    encode_result_block,
    see_next,
    write_or_name,
)
from langchain_dbchat.dialects.shared.content import read_block
from langchain_dbchat.dialects.shared.content_blocks import NeutralBlock, ReasoningBlock, ToolResultBlock, ToolUseBlock
from langchain_dbchat.dialects.shared.json_text import clean_text, write_json
from langchain_dbchat.dialects.shared.reasoning import may_replay, signed_extras
from langchain_dbchat.dialects.shared.tool_uses import read_calls
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_dbchat.dialects.chat_completions.quirks import ChatQuirks
    from langchain_dbchat.dialects.dialect import Target

__all__ = ["NO_OUTPUT", "encode_conversation"]


def encode_conversation(messages: Sequence[BaseMessage], target: Target) -> tuple[list[Wire], list[str]]:
    """Turn a conversation into wire messages, and say what was changed in it.

    Args:
        messages: The conversation, in LangChain's types.
        target: The model that is called.

    Returns:
        The wire messages, and warnings for the user.

    Raises:
        UnsupportedContentError: If a message or a block cannot be represented, or if nothing is left to send.
    """
    quirks = quirks_of(target)
    replaced: set[str] = set()
    entries: list[EncodedMessage] = []
    try:
        for number, message in enumerate(messages):
            context = Context(target.family, quirks, f"message {number} ({message.type})", replaced)
            entries.extend(_encode_message(message, target, context))
        wire = order(entries, target.family, quirks)
    except UnsupportedContentError as error:  # they speak of "the model"
        raise UnsupportedContentError(f"This conversation cannot be sent to {target.model!r}. {error}") from None
    if all(message["role"] == "system" for message in wire):
        raise UnsupportedContentError(
            f"{target.model!r}: there is nothing to answer: the conversation holds nothing besides system messages. "
            "Add a human message."
        )
    if not replaced:
        return wire, []
    kinds = ", ".join(sorted(replaced))
    what = f"tool results or earlier answers hold content that the endpoint does not take ({kinds})"
    return wire, [f"{what}, so text that names it was sent in its place"]


def _encode_message(message: BaseMessage, target: Target, context: Context) -> Iterable[EncodedMessage]:
    where = context.where
    if isinstance(message, AIMessage):
        return _encode_answer(message, target, context)
    if isinstance(message, ToolMessage):
        return [encode_result(message.tool_call_id, message.content, context, failed=message.status == "error")]
    if isinstance(message, HumanMessage):
        return _encode_prompt(message, context)
    if isinstance(message, SystemMessage):
        return _plain("system", message, context)
    if isinstance(message, ChatMessage):
        role = {"human": "user", "ai": "assistant", "developer": "system"}.get(message.role, message.role)
        if role in {"user", "assistant", "system"}:
            return _plain(role, message, context)
        raise UnsupportedContentError(
            f"{where}: the role {message.role!r} is refused by serving endpoints. Use system, user or assistant, "
            "and a ToolMessage for a tool's result."
        )
    if isinstance(message, FunctionMessage):
        raise UnsupportedContentError(
            f"{where}: function messages are the obsolete form of tool results; send a ToolMessage with the call's id."
        )
    raise UnsupportedContentError(f"{where}: messages of type {message.type!r} cannot be sent to a model.")


def _plain(role: str, message: BaseMessage, context: Context) -> list[EncodedMessage]:
    parts = encode_parts(message.content, context.family, context.where)
    return [EncodedMessage(_message(role, parts, message, context.quirks), context.where)] if parts else []


def _message(role: str, parts: list[Wire], message: BaseMessage, quirks: ChatQuirks) -> Wire:
    wire: Wire = {"role": role, "content": collapse(parts)}
    if message.name and quirks.message_names:
        wire["name"] = message.name
    return wire


def _encode_prompt(message: HumanMessage, context: Context) -> list[EncodedMessage]:
    """Encode a human message; Anthropic puts tool results into it, chat completions into messages of their own."""
    family, where = context.family, context.where
    content: Any = message.content
    blocks: list[tuple[int, NeutralBlock]] = []
    entries: list[EncodedMessage] = []
    if isinstance(content, str):
        parts = encode_parts(content, family, where)
    else:
        blocks = [(number, block) for number, given in enumerate(content) for block in read_block(given)]
        parts = write_parts([one for one in blocks if not isinstance(one[1], ToolResultBlock)], family, where)
        entries = [encode_result_block(block, context) for _, block in blocks if isinstance(block, ToolResultBlock)]
    if parts:
        entries.append(EncodedMessage(_message("user", parts, message, context.quirks), where))
    elif not entries:
        raise UnsupportedContentError(f"{where}: {_why_empty(content, blocks)}")
    return entries


def _why_empty(content: Any, blocks: list[tuple[int, NeutralBlock]]) -> str:
    if not content:
        return "the message is empty, and the model refuses empty text."
    if not all(is_content(block, in_answer=False) for _, block in blocks):
        return (
            "nothing is left of the message: reasoning and tool calls of an answer are not a user's to send. "
            "Send the answer's text: HumanMessage(answer.text)."
        )
    return "the message is empty but for white space, and the model refuses text without words."


def _encode_answer(message: AIMessage, target: Target, context: Context) -> list[EncodedMessage]:
    family, where = context.family, context.where
    content: Any = message.content
    obsolete = message.additional_kwargs.get("function_call")
    if obsolete and not message.tool_calls and not message.invalid_tool_calls:
        raise UnsupportedContentError(f"{where}: 'function_call' is the obsolete form of a tool call; use tool_calls.")
    blocks: list[NeutralBlock] = []
    if isinstance(content, str):
        parts = [encode_text(clean_text(content))]
    else:
        blocks = [block for given in content for block in read_block(given)]
        parts = _write_answer(blocks, context, replay=may_replay(message, target))
    made = read_calls(message, (block for block in blocks if isinstance(block, ToolUseBlock)))
    calls = [_write_call(use, where) for use in made]
    if any(use.extras for use in made) and may_replay(message, target):
        for use, call in zip(made, calls, strict=True):
            call.update(signed_extras(use.extras))
    refusal = message.additional_kwargs.get("refusal")
    if refusal and isinstance(refusal, str) and not calls and not any(part.get("text", True) for part in parts):
        parts.append(encode_text(refusal))  # it is all that the turn said
    parts, media = _fit_answer(_joined(parts), context, calls=bool(calls))
    if not parts and not calls:
        return []
    wire = _message("assistant", parts, message, context.quirks)
    if calls:
        if family.unsigned_call:
            for call in calls:
                call.setdefault("thoughtSignature", family.unsigned_call)
        wire["content"] = wire["content"] or None
        wire["tool_calls"] = calls
    malformed = frozenset(number for number, use in enumerate(made) if use.state == "malformed")
    return [EncodedMessage(wire, where, media, malformed)]


def _write_answer(blocks: list[NeutralBlock], context: Context, *, replay: bool) -> list[Wire]:
    """Write what an answer said, with the reasoning and the signatures that may go back.

    What another provider's own tools left in it (a web search and its results) is dropped like another family's
    reasoning; the answer's text, which speaks of it, stays.
    """
    parts: list[Wire] = []
    signs = replay and context.family.signed_text
    for is_reasoning, group in groupby(blocks, key=lambda block: isinstance(block, ReasoningBlock)):
        if is_reasoning:
            if replay:
                parts.extend(write_reasoning(block for block in group if isinstance(block, ReasoningBlock)))
            continue
        for block in group:
            if is_content(block, in_answer=True):
                part = write_or_name(block, context, edge="\n")
                signature = getattr(block, "signature", None) if signs else None
                parts.append({**part, "thoughtSignature": signature} if signature else part)
    return parts


def _write_call(call: ToolUseBlock, where: str) -> Wire:
    arguments = call.arguments
    if not isinstance(arguments, str):
        arguments = write_json(arguments, f"{where}: the arguments of the call {call.id!r} of {call.name!r}")
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _fit_answer(parts: list[Wire], context: Context, *, calls: bool) -> tuple[list[Wire], list[Wire]]:
    """Leave out what says nothing, and part with media that only users may send.

    Reasoning at the end goes as well, unless calls follow it: "The final block in an assistant message cannot be
    `thinking`" (forgecode #2107).

    Returns:
        The parts, and the media that follow in a user message.
    """
    parts = keep_text((part for part in parts if part != {"type": "text", "text": ""}), context.family)
    media: list[Wire] = []
    if not context.quirks.answer_media:
        media = [part for part in parts if part["type"] not in {"text", "reasoning"}]
        parts = [part for part in parts if part["type"] in {"text", "reasoning"}]
        if media and not any(part["type"] == "text" for part in parts):
            parts.append(encode_text(see_next(len(media))))
    while parts and parts[-1]["type"] == "reasoning" and not calls:
        parts.pop()
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
