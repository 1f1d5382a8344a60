"""LangChain messages to the ``messages`` of a chat-completions request, one by one; `history` then orders them.

Rule 1. Serving endpoints validate strictly (``Extra inputs are not permitted``), so each wire message is written key by
key and nothing of LangChain's leaks into it.
Rule 2. What an earlier answer holds never stops a conversation: what cannot go back (another model's reasoning, an
answer that said nothing) is left out, what the endpoint does not take from an assistant is moved or named.
Rule 3. What a user says is sent as it is, or raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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

from langchain_dbchat.dialects.chat_completions.history import Entry, Wire, order
from langchain_dbchat.dialects.chat_completions.tool_results import (
    NO_OUTPUT,
    Context,
    encode_or_name,
    encode_result,
    see_next,
)
from langchain_dbchat.dialects.shared.content import block_role, collapse, encode_parts, encode_text, keep_text
from langchain_dbchat.dialects.shared.json_text import clean_text, write_json
from langchain_dbchat.dialects.shared.reasoning import CALL_EXTRAS, may_replay, replay_reasoning, signed_extras
from langchain_dbchat.dialects.shared.tools import UNNAMED, parse_arguments
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.messages import InvalidToolCall, ToolCall

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.models.families import Family

__all__ = ["NO_OUTPUT", "encode_conversation", "encode_messages"]

_SERVER_TOOL = re.compile(r"^server_tool_|_tool_result$|_call$|_call_output$|^mcp_")


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
    return encode_conversation(messages, target)[0]


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
    replaced: set[str] = set()
    entries: list[Entry] = []
    try:
        for number, message in enumerate(messages):
            context = Context(target.family, f"message {number} ({message.type})", replaced)
            entries.extend(_encode_message(message, target, context))
        wire = order(entries, target.family)
    except UnsupportedContentError as error:  # they speak of "the model"
        raise UnsupportedContentError(f"This conversation cannot be sent to {target.model!r}. {error}") from None
    if not any(message["role"] != "system" for message in wire):
        raise UnsupportedContentError(
            f"{target.model!r}: there is nothing to answer: the conversation holds nothing besides system messages. "
            "Add a human message."
        )
    if not replaced:
        return wire, []
    kinds = ", ".join(sorted(replaced))
    what = f"tool results or earlier answers hold content that the endpoint does not take ({kinds})"
    return wire, [f"{what}, so text that names it was sent in its place"]


def _encode_message(message: BaseMessage, target: Target, context: Context) -> Iterable[Entry]:
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


def _plain(role: str, message: BaseMessage, context: Context) -> list[Entry]:
    parts = encode_parts(message.content, context.family, context.where)
    return [Entry(_message(role, parts, message, context.family), context.where)] if parts else []


def _message(role: str, parts: list[Wire], message: BaseMessage, family: Family) -> Wire:
    wire: Wire = {"role": role, "content": collapse(parts)}
    if message.name and family.message_names:
        wire["name"] = message.name
    return wire


def _encode_prompt(message: HumanMessage, context: Context) -> list[Entry]:
    """Encode a human message; Anthropic puts tool results into it, chat completions into messages of their own."""
    family, where = context.family, context.where
    content: Any = message.content
    entries: list[Entry] = []
    if isinstance(content, list):
        results = [block for block in content if isinstance(block, Mapping) and block.get("type") == "tool_result"]
        for block in results:
            failed = bool(block.get("is_error"))
            result = encode_result(block.get("tool_use_id"), block.get("content"), context, failed=failed)
            entries.append(_marked(result, block, family))
        if results:
            content = [block for block in content if block not in results]
    parts = encode_parts(content, family, where)
    if parts:
        entries.append(Entry(_message("user", parts, message, family), where))
    elif not entries:
        raise UnsupportedContentError(f"{where}: {_why_empty(content)}")
    return entries


def _why_empty(content: Any) -> str:
    if not content:
        return "the message is empty, and the model refuses empty text."
    if isinstance(content, list) and any(block_role(block) != "content" for block in content):
        return (
            "nothing is left of the message: reasoning and tool calls of an answer are not a user's to send. "
            "Send the answer's text: HumanMessage(answer.text)."
        )
    return "the message is empty but for white space, and the model refuses text without words."


def _marked(result: Entry, block: Mapping[str, Any], family: Family) -> Entry:
    """Keep the cache marker of an Anthropic tool result: on the wire it stands on the result's last text."""
    if not (family.cache_control and block.get("cache_control")):
        return result
    content = result.wire["content"]
    parts = [encode_text(content)] if isinstance(content, str) else list(content)
    parts[-1] = {**parts[-1], "cache_control": block["cache_control"]}
    return result._replace(wire={**result.wire, "content": parts})


def _encode_answer(message: AIMessage, target: Target, context: Context) -> list[Entry]:
    family, where = context.family, context.where
    replay = may_replay(message, target)
    content: Any = message.content
    blocks: list[Any] = [content] if isinstance(content, str) else list(content)
    obsolete = message.additional_kwargs.get("function_call")
    if obsolete and not message.tool_calls and not message.invalid_tool_calls:
        raise UnsupportedContentError(f"{where}: 'function_call' is the obsolete form of a tool call; use tool_calls.")
    parts: list[Wire] = []
    for role, group in groupby(blocks, key=_role_of):
        if role == "reasoning" and replay:
            parts.extend(replay_reasoning(list(group)))
        elif role == "content":
            parts.extend(_said(block, context, replay=replay) for block in group)
    in_content = [] if isinstance(content, str) else [block for block in blocks if _role_of(block) == "call"]
    calls, malformed = _encode_calls(message, in_content, where, replay=replay)
    refusal = message.additional_kwargs.get("refusal")
    if refusal and isinstance(refusal, str) and not calls and not any(part.get("text", True) for part in parts):
        parts.append(encode_text(refusal))  # it is all that the turn said
    parts, media = _fit_answer(_joined(parts), family, calls=bool(calls))
    if not parts and not calls:
        return []
    wire = _message("assistant", parts, message, family)
    if calls:
        if family.unsigned_call:
            for call in calls:
                call.setdefault("thoughtSignature", family.unsigned_call)
        wire["content"] = wire["content"] or None
        wire["tool_calls"] = calls
    return [Entry(wire, where, media, malformed)]


def _said(block: Any, context: Context, *, replay: bool) -> Wire:
    """Encode one block of an answer's own words, with the signature that it may carry back."""
    if not isinstance(block, Mapping):
        return encode_text(clean_text(block))
    part = encode_or_name(block, context, edge="\n")
    signature = _text_signature(block) if replay and context.family.signed_text else None
    return {**part, "thoughtSignature": signature} if signature else part


def _role_of(block: Any) -> str:
    # What another provider's own tools left in an answer (a web search and its results) is not ours to send: like
    # another family's reasoning it is dropped, and the answer's text, which speaks of it, stays.
    if isinstance(block, str):
        return "content"
    role = block_role(block)
    kind = block.get("type") if isinstance(block, Mapping) else None
    if role == "content" and isinstance(kind, str) and (kind == "non_standard" or _SERVER_TOOL.search(kind)):
        return "server_tool"
    return role


def _encode_calls(
    message: AIMessage, blocks: list[Mapping[str, Any]], where: str, *, replay: bool
) -> tuple[list[Wire], frozenset[int]]:
    """Encode the tool calls of an answer, with what each carried besides its function if it may go back.

    Returns:
        The calls, and which of them were malformed.
    """
    calls = [_valid_call(call, where) for call in message.tool_calls]
    malformed = range(len(calls), len(calls) + len(message.invalid_tool_calls))
    calls += [_invalid_call(call, where) for call in message.invalid_tool_calls]
    known = {call["id"] for call in calls}
    extras = dict(message.additional_kwargs.get(CALL_EXTRAS) or {})
    for block in blocks:
        made = _CALLS_IN_CONTENT.get(block["type"])
        if made is not None and block.get(made[0]) not in known:
            call_id, name, arguments = (block.get(key) for key in made)
            calls.append(_call(call_id, str(name or UNNAMED), arguments or {}, where))
        elif isinstance(block.get("extras"), Mapping):
            extras.setdefault(block.get("id"), block["extras"])
    if replay:
        for call in calls:
            call.update(signed_extras(extras.get(call["id"])))
    return calls, frozenset(malformed)


_CALLS_IN_CONTENT = {
    "tool_use": ("id", "name", "input"),
    "tool_call": ("id", "name", "args"),
    "function_call": ("call_id", "name", "arguments"),
}
"""Where blocks that are tool calls keep their id, name and arguments: Anthropic's, LangChain's, OpenAI's Responses."""


def _fit_answer(parts: list[Wire], family: Family, *, calls: bool) -> tuple[list[Wire], list[Wire]]:
    """Leave out what says nothing, and part with media that only users may send.

    Reasoning at the end goes as well, unless calls follow it: "The final block in an assistant message cannot be
    `thinking`" (forgecode #2107).

    Returns:
        The parts, and the media that follow in a user message.
    """
    parts = keep_text((part for part in parts if part != {"type": "text", "text": ""}), family)
    media: list[Wire] = []
    if not family.answer_media:
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


def _text_signature(block: Any) -> str | None:
    if not isinstance(block, Mapping):
        return None
    extras = block.get("extras")
    signature = block.get("thoughtSignature") or (
        extras.get("thoughtSignature") if isinstance(extras, Mapping) else None
    )
    return signature if isinstance(signature, str) else None


def _call(call_id: str | None, name: str, arguments: Any, where: str) -> Wire:
    if not isinstance(arguments, str):
        arguments = write_json(arguments, f"{where}: the arguments of the call {call_id!r} of {name!r}")
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _valid_call(call: ToolCall, where: str) -> Wire:
    return _call(call["id"], call["name"] or UNNAMED, call["args"], where)


def _invalid_call(call: InvalidToolCall, where: str) -> Wire:
    """Send a call back whose arguments were not JSON: they have to be on the wire, and the model should see them."""
    text: Any = call["args"] or ""
    arguments, error = parse_arguments(clean_text(text)) if isinstance(text, str) else (text, None)
    return _call(call["id"], call["name"] or UNNAMED, {"invalid_arguments": text} if error else arguments, where)
