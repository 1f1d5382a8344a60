"""Encode the results of tools as ``tool`` messages of a chat-completions request.

Rule 1. A result never stops a conversation: content that the endpoint does not take (a link to a resource, an image for
a model that reads text, an unknown block) becomes text that names it, and the user is warned (langchain-aws #75).
Rule 2. Media that the endpoint takes from users alone follow in a user message (goose: "required by Claude via
Databricks").
Rule 3. The text says that a tool failed, because the wire has no field for it; a result without text is
``(no output)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.dialects.chat_completions.content import (
    WirePart,
    collapse,
    encode_text,
    is_content,
    keep_text,
    write_block,
)
from langchain_dbchat.dialects.chat_completions.history import EncodedMessage
from langchain_dbchat.dialects.shared.content import read_result_content
from langchain_dbchat.dialects.shared.content_blocks import (
    NeutralBlock,
    ProviderBlock,
    ReasoningBlock,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from langchain_dbchat.dialects.shared.json_text import clean_text, write_json
from langchain_dbchat.dialects.shared.stand_ins import kind_of_content, stand_in
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_dbchat.dialects.chat_completions.quirks import ChatQuirks
    from langchain_dbchat.models.families import Family

NO_OUTPUT = "(no output)"
"""What an empty tool result becomes where empty text is refused: the model has to see that the call was answered."""


class Context(NamedTuple):
    """What one message is encoded with."""

    family: Family
    """The facts of the model that is called."""
    quirks: ChatQuirks
    """What it accepts on this wire."""
    where: str
    """What to call the message in an error."""
    replaced: set[str]
    """The kinds of content that text stands for; kinds are added to it."""


def encode_result(call_id: str | None, content: Any, context: Context, *, failed: bool) -> EncodedMessage:
    """Encode the result of one tool call.

    Args:
        call_id: The id of the call that it answers; empty if the call has none.
        content: A string, a block, or a list of strings and blocks.
        context: The model and the message.
        failed: Whether the tool failed.

    Returns:
        The tool message, and the media that follow it.
    """
    if isinstance(content, str):
        return _entry(call_id, [encode_text(clean_text(content))], context, failed=failed)
    return _entry(call_id, _write(read_result_content(content), context), context, failed=failed)


def encode_result_block(block: ToolResultBlock, context: Context) -> EncodedMessage:
    """Encode a result that stands as a block in a message.

    Args:
        block: The result.
        context: The model and the message.

    Returns:
        The tool message, and the media that follow it. The block's cache mark stands on the last part.
    """
    entry = _entry(block.call_id, _write(block.content, context), context, failed=block.failed)
    if not (block.cache_control and context.family.cache_control):
        return entry
    content = entry.wire["content"]
    parts = [encode_text(content)] if isinstance(content, str) else list(content)
    parts[-1] = {**parts[-1], "cache_control": block.cache_control}
    return entry._replace(wire={**entry.wire, "content": parts})


def _write(blocks: Iterable[NeutralBlock], context: Context) -> list[WirePart]:
    parts: list[WirePart] = []
    for block in blocks:
        if isinstance(block, ProviderBlock) and block.kind is None:  # plain data
            parts.append(encode_text(write_json(block.value, f"{context.where}: a content block")))
        elif is_content(block, in_answer=False):
            parts.append(write_or_name(block, context))
    return parts


def _entry(call_id: str | None, parts: list[WirePart], context: Context, *, failed: bool) -> EncodedMessage:
    family = context.family
    parts = keep_text(parts, family)
    media: list[WirePart] = []
    if not context.quirks.tool_result_media:
        media = [part for part in parts if part["type"] != "text"]
        parts = [part for part in parts if part["type"] == "text"]
        if media and not parts:
            parts = [encode_text(see_next(len(media)))]
    if failed and not (parts and parts[0].get("text", "").lower().startswith("error")):
        parts.insert(0, encode_text("Error:"))
    if not parts:
        parts = [encode_text(NO_OUTPUT)]
    return EncodedMessage(
        {"role": "tool", "tool_call_id": call_id or "", "content": collapse(parts)}, context.where, media
    )


def write_or_name(block: NeutralBlock, context: Context, *, edge: str = "") -> WirePart:
    """Write a block that may not stop the conversation: as what it is, else as text that names it.

    Args:
        block: The block.
        context: The model and the message; the block's kind is added to `replaced` if text stands for it.
        edge: What to put around that text.

    Returns:
        The part.
    """
    try:
        part = write_block(block, context.family, context.where)
    except UnsupportedContentError:
        if isinstance(block, (TextBlock, ReasoningBlock, ToolUseBlock)):
            raise  # text is always taken, and the others are no content
        context.replaced.add(kind_of_content(block))
        part = encode_text(f"{edge}{stand_in(block)}{edge}")
    return {**part, "text": clean_text(part["text"])} if part["type"] == "text" else part


def see_next(count: int) -> str:
    """Write the text of a message whose media follow in a user message.

    Args:
        count: How many media follow.

    Returns:
        The text.
    """
    return f"(see the {count} attachment(s) in the next message)"
