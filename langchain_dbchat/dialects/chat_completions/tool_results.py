"""Encode the results of tools as ``tool`` messages of a chat-completions request.

Rule 1. A result never stops a conversation: content that the endpoint does not take (a link to a resource, an image for
a model that reads text, an unknown block) becomes text that names it, and the user is warned (langchain-aws #75).
Rule 2. Media that the endpoint takes from users alone follow in a user message (goose: "required by Claude via
Databricks").
Rule 3. The text says that a tool failed, because the wire has no field for it; a result without text is
``(no output)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from langchain_dbchat.dialects.chat_completions.content import WirePart, collapse, encode_text, write_block
from langchain_dbchat.dialects.chat_completions.history import EncodedMessage
from langchain_dbchat.dialects.shared.blocks.stand_ins import see_next, write_or_name
from langchain_dbchat.dialects.shared.conversation.turns import NO_OUTPUT, is_taken

if TYPE_CHECKING:
    from langchain_dbchat.dialects.chat_completions.quirks import ChatQuirks
    from langchain_dbchat.dialects.shared.blocks.content_blocks import NeutralBlock
    from langchain_dbchat.dialects.shared.conversation.turns import ConversationTurn
    from langchain_dbchat.models.families import Family


class Context(NamedTuple):
    """What a conversation is encoded with."""

    family: Family
    """The facts of the model that is called."""
    quirks: ChatQuirks
    """What it accepts on this wire."""
    replaced: set[str]
    """The kinds of content that text stands for; kinds are added to it."""


def encode_result(turn: ConversationTurn, context: Context) -> EncodedMessage:
    """Encode the result of one tool call.

    Args:
        turn: The result.
        context: The model.

    Returns:
        The tool message, and the media that follow it. The cache mark of the result is on its last part.
    """
    family, content = context.family, turn.content
    if isinstance(content, str):
        parts = [encode_text(content)] if is_taken(content, family) else []
    else:
        parts = [write_part(block, context, turn.where) for _, block in content]
    media: list[WirePart] = []
    if not context.quirks.tool_result_media:
        media = [part for part in parts if part["type"] != "text"]
        parts = [part for part in parts if part["type"] == "text"]
        if media and not parts:
            parts = [encode_text(see_next(len(media)))]
    if turn.failed and not (parts and parts[0].get("text", "").lower().startswith("error")):
        parts.insert(0, encode_text("Error:"))
    if not parts:
        parts = [encode_text(NO_OUTPUT)]
    written = collapse(parts)
    if turn.cache_control and family.cache_control:
        written = [encode_text(written)] if isinstance(written, str) else list(written)
        written[-1] = {**written[-1], "cache_control": turn.cache_control}
    return EncodedMessage({"role": "tool", "tool_call_id": turn.call_id, "content": written}, media)


def write_part(block: NeutralBlock, context: Context, where: str, *, edge: str = "") -> WirePart:
    """Write a block that may not stop the conversation: as what it is, else as text that names it.

    Args:
        block: The block.
        context: The model; the block's kind is added to `replaced` if text stands for it.
        where: What to call the message in an error.
        edge: What to put around that text.

    Returns:
        The part.
    """
    return write_or_name(block, lambda one: write_block(one, context.family, where), context.replaced, edge=edge)
