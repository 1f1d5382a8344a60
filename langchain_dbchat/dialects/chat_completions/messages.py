"""Encode a conversation as the ``messages`` of a chat-completions request; `history` orders them.

Rule 1. Serving endpoints validate strictly (``Extra inputs are not permitted``), so each wire message is written key by
key and nothing of LangChain's leaks into it.
Rule 2. Turns that are text alone are written here. `block_messages` writes all others, and is loaded for them only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.dialects.chat_completions.history import Wire, message_of, order
from langchain_dbchat.dialects.chat_completions.quirks import quirks_of
from langchain_dbchat.dialects.shared.conversation.conversation import write_conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.conversation.turns import ConversationTurn

__all__ = ["encode_conversation"]


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
    family, quirks = target.family, quirks_of(target)

    def write(turns: list[ConversationTurn], replaced: set[str]) -> list[Wire]:
        wires: list[Wire] = []
        media: dict[int, Sequence[Wire]] = {}
        for turn in turns:
            if isinstance(turn.content, str) and not turn.calls and turn.role != "tool":
                wires.append(message_of(turn, turn.content, quirks))
                continue
            from langchain_dbchat.dialects.chat_completions.block_messages import Context, encode_turn  # noqa: PLC0415  # many conversations are text

            encoded = encode_turn(turn, Context(family, quirks, replaced))
            if encoded.media:
                media[len(wires)] = encoded.media
            wires.append(encoded.wire)
        return order(wires, media, family, quirks)

    return write_conversation(messages, target, write)
