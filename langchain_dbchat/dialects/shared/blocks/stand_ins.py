"""Write the text that replaces content that an endpoint does not accept.

Rule 1. The text names what it replaces: the kind, and the name, type, URL, file id and size, if the block has them in
any spelling (LangChain's, OpenAI's, Anthropic's, or MCP's: modelcontextprotocol.io, "Tools", "Tool Result").
Rule 2. Data of an unknown format is also written as JSON, if it is short, because a model can read that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    DocumentBlock,
    MediaBlock,
    NeutralBlock,
    ProviderBlock,
    TextBlock,
    ToolResultBlock,
)
from langchain_dbchat.dialects.shared.blocks.json_text import write_json
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.errors.sound_text import clean_text

Named = MediaBlock | DocumentBlock | ToolResultBlock | ProviderBlock
"""The blocks that a text can replace."""

PartT = TypeVar("PartT")

_KINDS = {
    "image_url": "image",
    "input_image": "image",
    "audio_url": "audio",
    "input_audio": "audio",
    "video_url": "video",
    "input_file": "file",
}
_NAMES = ("name", "filename", "title")
_TYPES = ("mime_type", "mimeType", "media_type", "format")
_LINKS = ("url", "file_url", "uri")
_DATA = ("base64", "data", "blob", "file_data")
_LONGEST = 4000  # characters of JSON that are sent


def write_or_name(
    block: NeutralBlock, write: Callable[[NeutralBlock], PartT], replaced: set[str], *, edge: str = ""
) -> PartT:
    """Write a block whose refusal must not end the conversation: as it is, or as text that names it.

    Args:
        block: The block.
        write: Writes a block in the spelling of a wire; raises for a block that the endpoint does not accept.
        replaced: The kinds of content that were replaced by text; the block's kind is added if it is replaced.
        edge: A text around that text.

    Returns:
        The result of `write`.
    """
    try:
        return write(block)
    except UnsupportedContentError:
        if not isinstance(block, (MediaBlock, DocumentBlock, ToolResultBlock, ProviderBlock)):
            raise  # text is always accepted, and the others are not content
        replaced.add(kind_of_content(block))
        return write(TextBlock(clean_text(f"{edge}{stand_in(block)}{edge}")))


def see_next(count: int) -> str:
    """Write the text of a message whose media follow in a user message.

    Args:
        count: How many media follow.

    Returns:
        The text.
    """
    return f"(see the {count} attachment(s) in the next message)"


def kind_of_content(block: Named) -> str:
    """Return the kind of a block in plain words.

    Args:
        block: The block.

    Returns:
        Its type, or the medium that the type means.
    """
    kind = str(_written(block).get("type"))
    return _KINDS.get(kind, kind)


def stand_in(block: Named) -> str:
    """Return the text that replaces a block.

    Args:
        block: The block. It is not changed.

    Returns:
        The text.
    """
    written = _written(block)
    named = [kind_of_content(block), *_details(written)]
    text = f"[Left out, because this model does not take it: {', '.join(named)}]"
    if isinstance(block, (MediaBlock, DocumentBlock)) or (isinstance(block, ProviderBlock) and block.fault):
        return text
    try:
        data = write_json(written, "a content block")
    except UnsupportedContentError:
        return text
    return f"{text}\n{data}" if len(data) <= _LONGEST else text


def _written(block: Named) -> Mapping[str, Any]:
    """Return a block as it was written, without the index that a stream gave it here."""
    written = block.value if isinstance(block, ProviderBlock) else block.written
    is_ours = str(written.get("index", "")).startswith("lc_")
    return {key: value for key, value in written.items() if key != "index"} if is_ours else written


def _details(block: Mapping[str, Any]) -> list[str]:
    fields: dict[str, Any] = {}
    for holder in (block, *(block.get(key) for key in ("extras", "source", "resource", "file", "input_audio"))):
        if isinstance(holder, Mapping):
            fields.update({key: value for key, value in holder.items() if key not in fields and value})
    link = next((block[key] for key in ("image_url", "audio_url", "video_url") if block.get(key)), None)
    link = link.get("url") if isinstance(link, Mapping) else link
    link = next((url for url in (link, *map(fields.get, _LINKS)) if isinstance(url, str)), "")
    data = next((fields[key] for key in _DATA if isinstance(fields.get(key), (str, bytes))), "")
    if link.startswith("data:"):
        link, data = "", data or link
    name = next((fields[key] for key in _NAMES if isinstance(fields.get(key), str)), "")
    mime_type = next((fields[key] for key in _TYPES if isinstance(fields.get(key), str)), "")
    if isinstance(data, str) and data.startswith("data:"):
        mime_type = mime_type or data[5:].partition(";")[0]
    file_id = fields.get("file_id")
    size = fields.get("size") if isinstance(fields.get("size"), int) else _size(data)
    description = fields.get("description")
    details = [
        f"name {name!r}" if name else "",
        mime_type,
        link,
        f"file id {file_id!r}" if file_id else "",
        f"{size} bytes" if size else "",
        f"description {description!r}" if isinstance(description, str) else "",
    ]
    return [detail for detail in details if detail]


def _size(data: str | bytes) -> int:
    """Return the number of bytes that a Base64 text encodes."""
    if isinstance(data, bytes):
        return len(data)
    text = data.partition(",")[2] if data.startswith("data:") else data
    return len(text) * 3 // 4 - text[-2:].count("=")
