"""Read a conversation as turns, and write it.

Rule 1. What an earlier answer contains never stops a conversation: another model's reasoning and an answer that said
nothing are left out. What a user says is sent as it is, or raises.
Rule 2. A conversation that ends with an answer is continued by a user message where the model refuses to continue the
assistant's (deepagents #1585); agents that ask for a structured answer at their end send such a conversation.
Rule 3. Messages that are text alone are read here. `block_turns` reads all others, and is loaded for them only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
)

from langchain_dbchat.dialects.shared.conversation.turns import CONTINUE, ConversationTurn, is_taken
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.errors.sound_text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.blocks.content_blocks import ProviderBlock
    from langchain_dbchat.models.families import Family

__all__ = ["read_turns", "write_conversation"]

WireT = TypeVar("WireT")

_Role = Literal["system", "user", "assistant"]

# By their exact class, because pydantic makes `isinstance` of a message that is not one take 1 µs.
_ROLES: Mapping[type, _Role] = {
    AIMessage: "assistant",
    AIMessageChunk: "assistant",
    HumanMessage: "user",
    HumanMessageChunk: "user",
    SystemMessage: "system",
    SystemMessageChunk: "system",
}

_BESIDE = frozenset({"function_call", "refusal"})
"""What may stand beside the text of an answer in ``additional_kwargs`` and is not text alone."""


def write_conversation(
    messages: Sequence[BaseMessage],
    target: Target,
    write: Callable[[list[ConversationTurn], set[str]], WireT],
    keeps: Callable[[ProviderBlock], bool] | None = None,
) -> tuple[WireT, list[str]]:
    """Read a conversation, write it, and say what was changed in it.

    Args:
        messages: The conversation, in LangChain's types.
        target: The called model.
        write: Writes the turns. It adds the kinds of content that it replaced by text to the set.
        keeps: Returns whether a provider's own block goes back in an earlier answer, if its signed parts do; none
            does by default.

    Returns:
        What was written, and warnings for the user.

    Raises:
        UnsupportedContentError: If a message or a block cannot be represented, or if nothing is left to answer.
    """
    replaced: set[str] = set()
    try:
        turns = read_turns(messages, target, keeps)
        written = write(turns, replaced)
    except UnsupportedContentError as error:  # they mention "the model"
        raise UnsupportedContentError(f"This conversation cannot be sent to {target.model!r}. {error}") from None
    if all(turn.role == "system" for turn in turns):
        raise UnsupportedContentError(
            f"{target.model!r}: there is nothing to answer: the conversation contains nothing besides system messages. "
            "Add a human message."
        )
    if not replaced:
        return written, []
    kinds = ", ".join(sorted(replaced))
    what = f"tool results or earlier answers contain content that the endpoint does not take ({kinds})"
    return written, [f"{what}, so text that names it was sent in its place"]


def read_turns(
    messages: Sequence[BaseMessage], target: Target, keeps: Callable[[ProviderBlock], bool] | None = None
) -> list[ConversationTurn]:
    """Read a conversation.

    Args:
        messages: The conversation, in LangChain's types. They are not changed.
        target: The called model.
        keeps: Returns whether a provider's own block goes back in an earlier answer; see `write_conversation`.

    Returns:
        The turns in the order in which to send them: each result right behind its call. Empty ones are left out.

    Raises:
        UnsupportedContentError: If a message cannot be sent to any model, or a result has no call.
    """
    family = target.family
    turns: list[ConversationTurn] = []
    has_calls = False
    for number, message in enumerate(messages):
        turn = _text_turn(message, number, family)
        if turn is not None:
            turns.append(turn)
            continue
        from langchain_dbchat.dialects.shared.conversation.block_turns import read_message  # noqa: PLC0415  # many conversations are text

        read = read_message(message, target, number, keeps)
        has_calls = has_calls or any(turn.calls or turn.role == "tool" for turn in read)
        turns.extend(read)
    if has_calls:
        from langchain_dbchat.dialects.shared.conversation.block_turns import place_turns  # noqa: PLC0415  # the same

        turns = place_turns(turns, family)
    if turns and not family.prefill and _needs_continuing(turns[-1]):
        turns.append(turns[-1]._replace(role="user", content=CONTINUE, replays=False))
    return turns


def _text_turn(message: BaseMessage, number: int, family: Family) -> ConversationTurn | None:
    """Return the turn of a message that is text which the family takes, and nothing else; None for other messages."""
    role, content = _ROLES.get(type(message)), message.content
    if role is None or not isinstance(content, str) or not content or not is_taken(content, family):
        return None
    if role == "assistant":
        answer: Any = message
        beside = answer.additional_kwargs
        if answer.tool_calls or answer.invalid_tool_calls or (beside and not _BESIDE.isdisjoint(beside)):
            return None
        content = clean_text(content)
    return ConversationTurn(role, number, message, content)


def _needs_continuing(turn: ConversationTurn) -> bool:
    """Return whether a conversation ends with an answer that does not wait for its provider's own tools."""
    if turn.role != "assistant" or turn.calls:
        return False
    if isinstance(turn.content, str):
        return True
    from langchain_dbchat.dialects.shared.conversation.block_turns import waits_for_provider  # noqa: PLC0415  # the same

    return not waits_for_provider(turn)
