"""Read the messages that are more than text as turns: blocks of content, tool calls, results.

Rule 1. The result of each call is placed right behind the turn that called, with an id that the family accepts; see
`call_results`. Results that Anthropic's format puts into a user message are turns of their own.
Rule 2. Reasoning at the end of an answer is left out unless a call follows: "The final block in an assistant message
cannot be `thinking`" (forgecode #2107); OpenAI's Responses refuses a reasoning item "without its required following
item".
Rule 3. Text that the family refuses, empty or blank, is left out of what users and systems say (opencode #31259). Its
cache mark moves to the block before it, because a mark caches all that is before it.
"""

from __future__ import annotations

from dataclasses import replace
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

from langchain_dbchat.dialects.shared.blocks.block_fields import rest_of_streamed_text
from langchain_dbchat.dialects.shared.blocks.content import is_content, read_block, read_result_content
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    DocumentBlock,
    MediaBlock,
    NeutralBlock,
    ProviderBlock,
    ReasoningBlock,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from langchain_dbchat.dialects.shared.blocks.json_text import write_json
from langchain_dbchat.dialects.shared.blocks.reasoning import may_replay
from langchain_dbchat.dialects.shared.blocks.tool_uses import read_calls
from langchain_dbchat.dialects.shared.conversation.call_results import HistoryStep, place_results
from langchain_dbchat.dialects.shared.conversation.turns import ConversationTurn, NumberedBlock, is_taken, place_of
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.errors.sound_text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.models.families import Family

__all__ = ["place_turns", "read_message", "waits_for_provider"]

_PAUSED = "pause_turn"
"""The finish reason of an answer that its provider goes on with if it is sent back."""


def read_message(
    message: BaseMessage, target: Target, number: int, keeps: Callable[[ProviderBlock], bool] | None
) -> list[ConversationTurn]:
    """Read one message of a conversation.

    Args:
        message: The message. It is not changed.
        target: The called model.
        number: Its place in the conversation, from 0.
        keeps: Returns whether a provider's own block goes back in an earlier answer.

    Returns:
        Its turns; none if it says nothing, several if it contains results of tools.

    Raises:
        UnsupportedContentError: If it cannot be sent to any model.
    """
    if isinstance(message, AIMessage):
        turn = _read_answer(message, target, number, keeps)
        return [] if turn is None else [turn]
    if isinstance(message, ToolMessage):
        return [_read_tool_message(message, target.family, number)]
    if isinstance(message, HumanMessage):
        return _read_prompt(message, target.family, number)
    return _read_other(message, target.family, number)


def waits_for_provider(turn: ConversationTurn) -> bool:
    """Return whether an answer waits for its provider's own tools, so that it is not at its end.

    Anthropic continues such an answer if it comes back as it is (`pause_turn`).

    Args:
        turn: The answer.
    """
    waits = turn.message.response_metadata.get("finish_reason") == _PAUSED
    return waits and any(isinstance(block, ProviderBlock) for _, block in turn.blocks())


def place_turns(turns: Sequence[ConversationTurn], family: Family) -> list[ConversationTurn]:
    """Put each result behind its call, fit their ids, and answer for calls that nobody answered.

    Args:
        turns: The turns, in the caller's order.
        family: The row of the called model.

    Returns:
        The turns in the order in which to send them.

    Raises:
        UnsupportedContentError: If a result has no call, and the family refuses that.
    """
    ordered: list[ConversationTurn] = []
    for placed in place_results([*map(_step_of, turns)], family):
        turn = turns[placed.place]
        if placed.made_up:
            made = ConversationTurn("tool", turn.number, turn.message, placed.made_up, call_id=placed.answers)
            ordered.append(made._replace(failed=True, is_made_up=True))
        elif placed.calls:
            pairs = zip(turn.calls, placed.calls, strict=True)
            calls = [call if call.id == new else replace(call, id=new) for call, new in pairs]
            ordered.append(turn._replace(calls=calls))
        else:
            kept = placed.answers in ("", turn.call_id)
            ordered.append(turn if kept else turn._replace(call_id=placed.answers))
    return ordered


def _step_of(turn: ConversationTurn) -> HistoryStep:
    calls = [call.id or "" for call in turn.calls]
    malformed = frozenset(number for number, call in enumerate(turn.calls) if call.state == "malformed")
    return HistoryStep(turn.role, turn.where, calls, malformed, turn.call_id)


def _read_other(message: BaseMessage, family: Family, number: int) -> list[ConversationTurn]:
    where = place_of(message, number)
    role: Any
    if isinstance(message, SystemMessage):
        role = "system"
    elif isinstance(message, ChatMessage):
        role = {"human": "user", "ai": "assistant", "developer": "system"}.get(message.role, message.role)
        if role not in {"user", "assistant", "system"}:
            raise UnsupportedContentError(
                f"{where}: the role {message.role!r} is refused by serving endpoints. Use system, user or assistant, "
                "and a ToolMessage for a tool's result."
            )
    elif isinstance(message, FunctionMessage):
        raise UnsupportedContentError(
            f"{where}: function messages are the obsolete form of tool results; send a ToolMessage with the call's id."
        )
    else:
        raise UnsupportedContentError(f"{where}: messages of type {message.type!r} cannot be sent to a model.")
    content: Any = message.content
    if isinstance(content, str):
        return [ConversationTurn(role, number, message, content)] if is_taken(content, family) else []
    said = _said(_numbered(content), family)
    return [ConversationTurn(role, number, message, said)] if said else []


def _numbered(content: Sequence[Any]) -> list[NumberedBlock]:
    return [NumberedBlock(number, block) for number, given in enumerate(content) for block in read_block(given)]


def _joined(blocks: list[NumberedBlock], content: Sequence[Any]) -> list[NumberedBlock]:
    """Join a text that was streamed as a string with its other fields, so that it goes back as a whole answer does."""
    place = rest_of_streamed_text(content)
    start = blocks[0].block if place else None
    rest = next((block for number, block in blocks if number == place), None)
    if not isinstance(start, TextBlock) or not isinstance(rest, TextBlock):
        return blocks
    text = replace(rest, text=start.text + rest.text)
    return [NumberedBlock(place, text), *(one for one in blocks[1:] if one.number != place)]


def _said(blocks: Iterable[NumberedBlock], family: Family) -> list[NumberedBlock]:
    """Return a message that is not the model's, without what a model has left in it, and without refused text."""
    kept: list[NumberedBlock] = []
    for number, block in (one for one in blocks if is_content(one.block, in_answer=False)):
        if not isinstance(block, TextBlock) or is_taken(block.text, family):
            kept.append(NumberedBlock(number, block))
        elif kept and block.cache_control:
            before = kept[-1].block
            if isinstance(before, (TextBlock, MediaBlock, DocumentBlock)) and not before.cache_control:
                kept[-1] = kept[-1]._replace(block=replace(before, cache_control=block.cache_control))
    return kept


def _read_prompt(message: HumanMessage, family: Family, number: int) -> list[ConversationTurn]:
    """Read a human message; Anthropic's format puts tool results into it."""
    content: Any = message.content
    if isinstance(content, str):
        if is_taken(content, family):
            return [ConversationTurn("user", number, message, content)]
        raise UnsupportedContentError(f"{place_of(message, number)}: {_why_empty(content, [])}")
    blocks = _numbered(content)
    turns = [
        ConversationTurn(
            "tool",
            number,
            message,
            _read_result(block.content, family, place_of(message, number)),
            call_id=block.call_id,
            failed=block.failed,
            cache_control=block.cache_control,
        )
        for _, block in blocks
        if isinstance(block, ToolResultBlock)
    ]
    said = _said((one for one in blocks if not isinstance(one.block, ToolResultBlock)), family)
    if said:
        turns.append(ConversationTurn("user", number, message, said))
    elif not turns:
        raise UnsupportedContentError(f"{place_of(message, number)}: {_why_empty(content, blocks)}")
    return turns


def _why_empty(content: Any, blocks: list[NumberedBlock]) -> str:
    if not content:
        return "the message is empty, and the model refuses empty text."
    if not all(is_content(block, in_answer=False) for _, block in blocks):
        return (
            "nothing is left of the message: reasoning and tool calls of an answer are not a user's to send. "
            "Send the answer's text: HumanMessage(answer.text)."
        )
    return "the message is empty but for white space, and the model refuses text without words."


def _read_tool_message(message: ToolMessage, family: Family, number: int) -> ConversationTurn:
    content: Any = message.content
    if isinstance(content, str):
        said: str | list[NumberedBlock] = clean_text(content)
    else:
        said = _read_result(read_result_content(content), family, place_of(message, number))
    call_id, failed = message.tool_call_id or "", message.status == "error"
    return ConversationTurn("tool", number, message, said, call_id=call_id, failed=failed)


def _read_result(blocks: Iterable[NeutralBlock], family: Family, where: str) -> list[NumberedBlock]:
    said = (NumberedBlock(number, _clean(block, where)) for number, block in enumerate(blocks))
    return _said(said, family)


def _clean(block: NeutralBlock, data_in: str = "") -> NeutralBlock:
    """Return a block with text that JSON can contain; plain data in a result, which that names, become text."""
    if data_in and isinstance(block, ProviderBlock) and block.kind is None:
        return TextBlock(write_json(block.value, f"{data_in}: a content block"))
    if not isinstance(block, TextBlock):
        return block
    text = clean_text(block.text)
    return block if text is block.text else replace(block, text=text)


def _read_answer(
    message: AIMessage, target: Target, number: int, keeps: Callable[[ProviderBlock], bool] | None
) -> ConversationTurn | None:
    content: Any = message.content
    if message.additional_kwargs.get("function_call") and not message.tool_calls and not message.invalid_tool_calls:
        where = place_of(message, number)
        raise UnsupportedContentError(f"{where}: 'function_call' is the obsolete form of a tool call; use tool_calls.")
    refusal = _refusal_beside(message, target.family)
    if isinstance(content, str) and refusal is None:
        calls = read_calls(message, ())
        text = clean_text(content)
        said: str | list[NumberedBlock] = text if is_taken(text, target.family) else ""
        replays = bool(calls) and any(call.extras for call in calls) and may_replay(message, target)
    else:
        content = [content] if isinstance(content, str) else content
        blocks = _joined(_numbered(content), content)
        if refusal is not None and not any(isinstance(block, TextBlock) and block.refusal for _, block in blocks):
            blocks = [*blocks, NumberedBlock(len(content), refusal)]
        calls = read_calls(message, (block for _, block in blocks if isinstance(block, ToolUseBlock)))
        replays = may_replay(message, target)
        said = [
            NumberedBlock(number, _clean(block))
            for number, block in blocks
            if _goes_back(block, keeps if replays else None, replays=replays)
        ]
        said = said if calls else _without_last_reasoning(said, target.family)
    if said or calls:
        return ConversationTurn("assistant", number, message, said, calls, replays=replays)
    return None


def _refusal_beside(message: AIMessage, family: Family) -> TextBlock | None:
    """Return the refusal beside an answer's content, which the standard blocks have behind it."""
    refusal = message.additional_kwargs.get("refusal")
    takes = isinstance(refusal, str) and bool(refusal) and is_taken(refusal, family)
    return TextBlock(str(refusal), refusal=True) if takes else None


def _goes_back(block: NeutralBlock, keeps: Callable[[ProviderBlock], bool] | None, *, replays: bool) -> bool:
    if isinstance(block, ReasoningBlock):
        return replays
    if is_content(block, in_answer=True):
        return True
    return isinstance(block, ProviderBlock) and keeps is not None and keeps(block)


def _without_last_reasoning(blocks: list[NumberedBlock], family: Family) -> list[NumberedBlock]:
    """Return an answer up to the last block that says something; nothing if none does."""
    last = max((place for place, (_, block) in enumerate(blocks) if _says_something(block, family)), default=-1)
    if last < 0:
        return []
    rest = (one for one in blocks[last + 1 :] if not isinstance(one.block, ReasoningBlock))
    return [*blocks[: last + 1], *rest]


def _says_something(block: NeutralBlock, family: Family) -> bool:
    if isinstance(block, TextBlock):
        return is_taken(block.text, family) and bool(block.text or block.signature or block.cache_control)
    return not isinstance(block, ReasoningBlock)
