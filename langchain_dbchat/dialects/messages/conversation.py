"""Encode a conversation as ``system`` and ``messages`` of a Messages request.

Rule 1. User and assistant alternate, and the user begins: neighbours of one role are one message, and tool results are
blocks of a user message, before its other blocks ("tool_result blocks must come first",
docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use).
Rule 2. System messages become ``system``, because ``messages`` has no such role; text that is marked for caching stays
a block of its own.
Rule 3. No text is empty or blank: ``messages: text content blocks must be non-empty``. What an endpoint does not take
in an earlier answer or in a result becomes text that names it.
Rule 4. Images and documents of an earlier answer, which another model made, follow in a user message, because an answer
cannot have them here.
Rule 5. Reasoning and the blocks of Anthropic's own tools go back unchanged to who signs alike, at their places; tool
calls follow them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from langchain_core.messages import AIMessage

from langchain_dbchat.dialects.messages.blocks import AFTER_REASONING
from langchain_dbchat.dialects.messages.content import (
    MessageBlock,
    write_block,
    write_cited,
    write_own,
    write_reasoning,
    write_tool_use,
)
from langchain_dbchat.dialects.messages.quirks import quirks_of
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    NeutralBlock,
    ProviderBlock,
    ReasoningBlock,
    TextBlock,
    ToolUseBlock,
)
from langchain_dbchat.dialects.shared.blocks.stand_ins import see_next, write_or_name
from langchain_dbchat.dialects.shared.conversation.conversation import write_conversation
from langchain_dbchat.dialects.shared.conversation.turns import NO_OUTPUT, OPENING, is_taken
from langchain_dbchat.dialects.shared.request.names import fit_past_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.messages.quirks import MessagesQuirks
    from langchain_dbchat.dialects.shared.conversation.turns import ConversationTurn
    from langchain_dbchat.models.families import Family

__all__ = ["EncodedConversation", "encode_conversation"]

_PLAIN_TEXT = {"type", "text"}

_USERS_ALONE = frozenset({"image", "document", "search_result"})
"""Blocks that only users and results may have."""


class EncodedConversation(NamedTuple):
    """The part of a request that is the conversation."""

    system: str | list[MessageBlock] | None
    messages: list[dict[str, Any]]
    calls_without_reasoning: bool
    """Whether the answer whose tools are being used begins with something else than reasoning."""


class _Writer(NamedTuple):
    """What turns are written with."""

    family: Family
    quirks: MessagesQuirks
    replaced: set[str]
    names: Mapping[str, str]

    def named(self, block: NeutralBlock, where: str, *, edge: str = "") -> MessageBlock:
        """Write a block that may not stop the conversation."""
        return write_or_name(
            block, lambda one: write_block(one, self.family, self.quirks, where), self.replaced, edge=edge
        )


def encode_conversation(
    messages: Sequence[BaseMessage], target: Target, bound: Mapping[str, str]
) -> tuple[EncodedConversation, list[str]]:
    """Encode a conversation.

    Args:
        messages: The conversation, in LangChain's types.
        target: The called model, with the facts of this wire format.
        bound: The sent name of each bound tool.

    Returns:
        The conversation, and warnings for the user.

    Raises:
        UnsupportedContentError: If a message or a block cannot be represented, or if nothing is left to answer.
    """
    family = target.family

    def write(turns: list[ConversationTurn], replaced: set[str]) -> EncodedConversation:
        past = fit_past_names((call.name for turn in turns for call in turn.calls), bound, family)
        writer = _Writer(family, quirks_of(target), replaced, past)
        system = [block for turn in turns if turn.role == "system" for block in _write_said(turn, writer)]
        written = _alternating(_written_turns(turns, writer), family)
        return EncodedConversation(_system(system), written, _has_calls_without_reasoning(written))

    return write_conversation(messages, target, write, keeps=_is_own)


def _is_own(block: ProviderBlock) -> bool:
    return bool(block.kind) or block.wrapped


def _written_turns(turns: list[ConversationTurn], writer: _Writer) -> Iterator[tuple[str, list[MessageBlock]]]:
    """Write the turns; media of an answer follow in a user message, behind the results of the answer's calls."""
    media: list[MessageBlock] = []
    for turn in turns:
        if turn.role == "tool":
            yield "user", [_write_result(turn, writer)]
            continue
        if media:
            yield "user", media
            media = []
        if turn.role == "assistant" and isinstance(turn.message, AIMessage):
            said = _write_answer(turn, writer)
            media = [block for block in said if block["type"] in _USERS_ALONE]
            said = [block for block in said if block["type"] not in _USERS_ALONE]
            named = [{"type": "text", "text": see_next(len(media))}] if media else []
            yield "assistant", said or named
        elif turn.role != "system":
            yield turn.role, _write_said(turn, writer)
    if media:
        yield "user", media


def _write_said(turn: ConversationTurn, writer: _Writer) -> list[MessageBlock]:
    return [
        write_block(block, writer.family, writer.quirks, f"{turn.where}, block {number}")
        for number, block in turn.blocks()
    ]


def _write_answer(turn: ConversationTurn, writer: _Writer) -> list[MessageBlock]:
    written: list[MessageBlock] = []
    calls, thoughts = _calls_by_reasoning(turn), 0
    for _, block in turn.blocks():
        if isinstance(block, ReasoningBlock):
            if thoughts:
                written += [_write_call(call, turn, writer) for call in calls.pop(thoughts, ())]
            thoughts += 1
            reasoning = write_reasoning(block)
            if reasoning is not None:
                written.append(reasoning)
        elif isinstance(block, ProviderBlock) and turn.replays and block.kind and not block.fault:
            written.append(write_own(block))
        elif isinstance(block, TextBlock) and turn.replays and block.citations:
            written.append(write_cited(block))
        elif _follows_plain_text(block, written):
            written[-1] = {"type": "text", "text": written[-1]["text"] + block.text}
        else:
            written.append(writer.named(block, turn.where, edge="\n"))
    written = [block for block in written if block["type"] != "text" or is_taken(block["text"], writer.family)]
    return [*written, *(_write_call(call, turn, writer) for group in calls.values() for call in group)]


def _write_call(call: ToolUseBlock, turn: ConversationTurn, writer: _Writer) -> MessageBlock:
    return write_tool_use(call, writer.names.get(call.name, call.name), turn.where, replays=turn.replays)


def _calls_by_reasoning(turn: ConversationTurn) -> dict[int, list[ToolUseBlock]]:
    """Return the calls of an answer by the number of blocks of reasoning before them; 0 if all of them are at its end.

    The first calls do not know their number, because most answers have reasoning only before all calls.
    """
    numbers = [call.extras.get(AFTER_REASONING) if turn.replays else None for call in turn.calls]
    first = 1 if any(isinstance(number, int) for number in numbers) else 0
    calls: dict[int, list[ToolUseBlock]] = {}
    for call, number in zip(turn.calls, numbers, strict=True):
        calls.setdefault(number if isinstance(number, int) else first, []).append(call)
    return calls


def _follows_plain_text(block: NeutralBlock, written: list[MessageBlock]) -> TypeGuard[TextBlock]:
    """Return whether a text continues the text before it, because an answer's text is one text."""
    return (
        isinstance(block, TextBlock) and not block.cache_control and bool(written) and written[-1].keys() == _PLAIN_TEXT
    )


def _write_result(turn: ConversationTurn, writer: _Writer) -> MessageBlock:
    content: str | list[MessageBlock]
    mark = turn.cache_control
    if isinstance(turn.content, str):
        content = turn.content
    else:
        content = [writer.named(block, turn.where) for _, block in turn.content]
        for block in content:  # a mark within a result means the result
            mark = block.pop("cache_control", None) or mark
        if len(content) == 1 and content[0].keys() == _PLAIN_TEXT:
            content = content[0]["text"]
    if not content or (isinstance(content, str) and not is_taken(content, writer.family)):
        content = NO_OUTPUT
    written: MessageBlock = {"type": "tool_result", "tool_use_id": turn.call_id, "content": content}
    if turn.failed:
        written["is_error"] = True
    if mark and writer.family.cache_control:
        written["cache_control"] = mark
    return written


def _system(blocks: list[MessageBlock]) -> str | list[MessageBlock] | None:
    if not blocks:
        return None
    if all(block.keys() == _PLAIN_TEXT for block in blocks):
        return "\n\n".join(block["text"] for block in blocks)
    return blocks


def _alternating(said: Iterable[tuple[str, list[MessageBlock]]], family: Family) -> list[dict[str, Any]]:
    """Join neighbours of one role, put results first, and let the user begin."""
    messages: list[dict[str, Any]] = []
    for role, blocks in said:
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"].extend(blocks)
        else:
            messages.append({"role": role, "content": list(blocks)})
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": OPENING}]})
    last = messages[-1] if messages else None
    if last is not None and last["role"] == "assistant" and not family.final_space:
        _strip_end(last["content"])
    for message in messages:
        message["content"] = _collapsed(message["content"], message["role"])
    return messages


def _strip_end(blocks: list[MessageBlock]) -> None:
    """Take the white space from the end of an answer that the model continues."""
    if blocks[-1]["type"] == "text":
        blocks[-1] = {**blocks[-1], "text": blocks[-1]["text"].rstrip()}


def _collapsed(blocks: list[MessageBlock], role: str) -> str | list[MessageBlock]:
    if len(blocks) == 1 and blocks[0].keys() == _PLAIN_TEXT:
        text: str = blocks[0]["text"]
        return text
    if role == "user":
        blocks.sort(key=lambda block: block["type"] != "tool_result")
    return blocks


def _has_calls_without_reasoning(messages: list[dict[str, Any]]) -> bool:
    """Return whether the last answer called tools, which are being used, and does not begin with reasoning."""
    if len(messages) < 2 or messages[-1]["role"] != "user":  # noqa: PLR2004  # an answer and the results
        return False
    content, results = messages[-2]["content"], messages[-1]["content"]
    if isinstance(content, str) or isinstance(results, str) or results[0]["type"] != "tool_result":
        return False
    return content[0]["type"] not in {"thinking", "redacted_thinking"}
