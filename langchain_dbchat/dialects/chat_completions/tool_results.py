"""Results of tools to ``tool`` messages of a chat-completions request.

Rule 1. A result never stops a conversation: content that the endpoint does not take (a link to a resource, an image for
a model that reads text, an unknown block) becomes text that names it, and the user is warned (langchain-aws #75).
Rule 2. Media that the endpoint takes from users alone follow in a user message (goose: "required by Claude via
Databricks").
Rule 3. A failure is said in the text, because the wire has no field for it; a result without text says ``(no output)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.dialects.chat_completions.history import Entry
from langchain_dbchat.dialects.shared.content import (
    block_role,
    collapse,
    encode_block,
    encode_text,
    is_known,
    keep_text,
)
from langchain_dbchat.dialects.shared.json_text import clean_text, write_json
from langchain_dbchat.dialects.shared.stand_ins import kind_of_content, stand_in
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

NO_OUTPUT = "(no output)"
"""What an empty tool result becomes where empty text is refused: the model has to see that the call was answered."""

_RESULTS = {"tool_result": "content", "custom_tool_call_output": "output", "function_call_output": "output"}
"""Blocks that hold the result of a tool, and under which key."""


class Context(NamedTuple):
    """What a message is encoded for, and what is to be said of it."""

    family: Family
    """The row of the model that is called."""
    where: str
    """What to call the message in an error."""
    replaced: set[str]
    """The kinds of content that text stands for; kinds are added to it."""


def encode_result(call_id: str | None, content: Any, context: Context, *, failed: bool) -> Entry:
    """Encode the result of one tool call.

    Args:
        call_id: The id of the call that it answers; empty if the call has none.
        content: A string, a block, or a list of strings and blocks.
        context: The model and the message.
        failed: Whether the tool failed.

    Returns:
        The tool message, and the media that follow it.
    """
    family, where = context.family, context.where
    parts: list[dict[str, Any]] = []
    for block in _flat(content):
        if isinstance(block, str):
            parts.append(encode_text(clean_text(block)))
        elif not isinstance(block.get("type"), str):
            parts.append(encode_text(write_json(block, f"{where}: a content block")))
        elif block_role(block) == "content":
            parts.append(encode_or_name(block, context))
    parts = keep_text(parts, family)
    media: list[dict[str, Any]] = []
    if not family.tool_result_media:
        media = [part for part in parts if part["type"] != "text"]
        parts = [part for part in parts if part["type"] == "text"]
        if media and not parts:
            parts = [encode_text(see_next(len(media)))]
    if failed and not (parts and parts[0].get("text", "").lower().startswith("error")):
        parts.insert(0, encode_text("Error:"))
    if not parts:
        parts = [encode_text(NO_OUTPUT)]
    return Entry({"role": "tool", "tool_call_id": call_id or "", "content": collapse(parts)}, where, media)


def encode_or_name(block: Mapping[str, Any], context: Context, *, edge: str = "") -> dict[str, Any]:
    """Encode a block that may not stop the conversation: as what it is, else as text that names it.

    Args:
        block: The block.
        context: The model and the message; the block's kind is added to `replaced` if text stands for it.
        edge: What to put around that text.

    Returns:
        The part.
    """
    try:
        part = encode_block(block, context.family, context.where)
    except UnsupportedContentError:
        context.replaced.add(kind_of_content(block))
        part = encode_text(f"{edge}{stand_in(block, known=is_known(block))}{edge}")
    return {**part, "text": clean_text(part["text"])} if part["type"] == "text" else part


def see_next(count: int) -> str:
    """Write the text of a message whose media follow in a user message.

    Args:
        count: How many media follow.

    Returns:
        The text.
    """
    return f"(see the {count} attachment(s) in the next message)"


def _flat(content: Any) -> Iterator[str | Mapping[str, Any]]:
    """List what a result holds; a result within a result is what it holds."""
    if content is None:
        return
    if isinstance(content, Mapping):
        key = _RESULTS.get(str(content.get("type")))
        if key is None:
            yield content
        else:
            yield from _flat(content.get(key))
    elif isinstance(content, (list, tuple)):
        for item in content:
            yield from _flat(item)
    else:
        yield str(content)
