"""Write neutral content blocks as the parts of a chat-completions message.

The parts are ``text``, ``image_url``, ``file``, ``input_audio``, ``audio_url`` and ``video_url``
(docs.databricks.com/aws/en/machine-learning/foundation-model-apis/api-reference).

Rule 1. What the wire or the model's family does not take raises, and the error names the block.
Rule 2. A part that the caller wrote in this wire's own spelling goes out as it was written, as far as the family takes
it, because an endpoint of an unknown model may know fields that we do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.blocks.block_fields import mapping_of
from langchain_dbchat.dialects.shared.blocks.content import CONTENT_TYPES
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    DocumentBlock,
    MediaBlock,
    NeutralBlock,
    ProviderBlock,
    ReasoningBlock,
    TextBlock,
)
from langchain_dbchat.dialects.shared.blocks.documents import document_text
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from langchain_dbchat.dialects.shared.conversation.turns import NumberedBlock
    from langchain_dbchat.models.families import Family

__all__ = [
    "WirePart",
    "collapse",
    "encode_text",
    "write_block",
    "write_parts",
    "write_reasoning",
]

WirePart = dict[str, Any]

_NO_FILES = "Databricks stores no files, so a 'file_id' means nothing; send 'base64' and 'mime_type'."

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}
"""Subtypes of audio MIME types that OpenAI's ``input_audio.format`` spells differently."""

_PLAIN_TEXT = {"type", "text"}
"""The keys of a part that is nothing but text."""


def write_parts(blocks: Iterable[NumberedBlock], family: Family, where: str) -> list[WirePart]:
    """Write a message that is not the model's.

    Args:
        blocks: The blocks.
        family: The row of the model that is called.
        where: What to call the message in an error.

    Returns:
        The parts, in order.

    Raises:
        UnsupportedContentError: If a block cannot be represented; the text names it.
    """
    return [write_block(block, family, f"{where}, block {number}") for number, block in blocks]


def encode_text(text: str) -> WirePart:
    """Write text as a part.

    Args:
        text: The text.

    Returns:
        The part.
    """
    return {"type": "text", "text": text}


def write_reasoning(entries: Iterable[ReasoningBlock]) -> Iterator[dict[str, Any]]:
    """Write reasoning of one answer as the parts that it came as.

    Args:
        entries: Consecutive entries.

    Yields:
        A ``reasoning`` part for each part that has something signed or encrypted.
    """
    summaries: list[list[dict[str, Any]]] = []
    for entry in entries:
        if not (summaries and entry.continues):
            summaries.append([])
        if entry.data:
            said = {"type": "summary_encrypted_text", "data": entry.data}
        elif entry.signature:
            said = {"type": "summary_text", "text": entry.text, "signature": entry.signature}
        else:
            continue
        summaries[-1].append({**said, **mapping_of(entry.extras, "summary")})
    for summary in summaries:
        if summary:
            yield {"type": "reasoning", "summary": summary}


def collapse(parts: list[WirePart]) -> str | list[WirePart]:
    """Write plain text as a string, which every endpoint takes, and leave anything else a list.

    Databricks looks for the word "json" of a `json_object` request in string content only, and tool results are
    documented as strings.

    Args:
        parts: The parts of one message.

    Returns:
        The texts joined by newlines if there is nothing but unmarked text, else the parts.
    """
    if len(parts) == 1 and parts[0].keys() == _PLAIN_TEXT:
        text: str = parts[0]["text"]
        return text
    if all(part["type"] == "text" and len(part) == 2 for part in parts):  # noqa: PLR2004  # its type and its text
        return "\n".join(part["text"] for part in parts)
    return parts


def write_block(block: NeutralBlock, family: Family, where: str) -> WirePart:
    """Write one block as the part that says it.

    Args:
        block: The block.
        family: The row of the model that is called.
        where: What to call the block in an error.

    Returns:
        The part.

    Raises:
        UnsupportedContentError: If the wire or the family does not take it.
    """
    if isinstance(block, TextBlock):
        part = encode_text(block.text)
    elif isinstance(block, DocumentBlock):
        part = encode_text(document_text(block, where))
    elif isinstance(block, MediaBlock):
        part = _write_medium(block, family, where)
    else:
        raise UnsupportedContentError(f"{where}: {_why_not(block)}")
    if block.cache_control and family.cache_control:
        part["cache_control"] = block.cache_control
    return part


def _why_not(block: NeutralBlock) -> str:
    if isinstance(block, ProviderBlock) and block.fault:
        return block.fault
    if isinstance(block, ProviderBlock):
        kind = block.kind if block.kind or block.wrapped else block.value.get("type")
    else:
        kind = getattr(block, "written", {}).get("type")
    return (
        f"a content block of type {kind!r} cannot be sent to a chat-completions endpoint. "
        f"Supported types: {', '.join(CONTENT_TYPES)}."
    )


def _write_medium(block: MediaBlock, family: Family, where: str) -> WirePart:
    part = _part_of(block, where)
    kind = part["type"]
    if family.media is not None:
        if kind not in family.media:
            taken = "".join(f", {name}" for name in sorted(family.media))
            raise UnsupportedContentError(f"{where}: the model takes no {kind!r} content. It takes text{taken}.")
        if kind == "file" and not part["file"].get("file_data"):
            raise UnsupportedContentError(f"{where}: {_NO_FILES}")
        if kind == "input_audio" and "audio_url" in family.media:
            if block.encoded is None:
                raise UnsupportedContentError(f"{where}: an 'input_audio' block needs its 'data' and its 'format'.")
            return _linked("audio_url", f"data:audio/{_audio_format(block)};base64,{block.data}")
    if kind == "image_url" and not family.image_urls and not str(part["image_url"].get("url")).startswith("data:"):
        raise UnsupportedContentError(
            f"{where}: the model refuses image URLs. Send the image itself: "
            '{"type": "image", "base64": ..., "mime_type": "image/png"}.'
        )
    return part


def _part_of(block: MediaBlock, where: str) -> WirePart:
    """Write a medium in this wire's spelling; what is in that spelling already goes as it is."""
    written = block.written
    if block.kind == "audio":
        kind = "audio_url" if block.encoded is None or written.get("type") == "audio_url" else "input_audio"
        kind = "input_audio" if isinstance(written.get("input_audio"), Mapping) else kind
    else:
        kind = _PARTS[block.kind]
    own = written.get(kind)
    if isinstance(own, Mapping):
        return {"type": kind, kind: dict(own)}
    if kind == "file":
        return _file(block, where)
    if kind == "input_audio":
        return {"type": kind, kind: {"data": block.data, "format": _audio_format(block)}}
    part = _linked(kind, _url_of(block, where))
    if block.detail and kind == "image_url":
        part[kind]["detail"] = block.detail
    return part


_PARTS = {"image": "image_url", "video": "video_url", "file": "file"}


def _linked(kind: str, url: str) -> WirePart:
    return {"type": kind, kind: {"url": url}}


def _url_of(block: MediaBlock, where: str) -> str:
    if block.url is not None:
        return block.url
    if block.data_url is not None:
        return block.data_url
    raise UnsupportedContentError(f"{where}: {_NO_FILES}")


def _file(block: MediaBlock, where: str) -> WirePart:
    if block.written.get("type") == "text-plain":
        raise UnsupportedContentError(f"{where}: a 'text-plain' block is sent as text, so it needs its 'text'.")
    data = block.encoded if block.encoded is not None and not block.mime_type else _url_of(block, where)
    if block.encoded is None and not data.startswith("data:"):
        raise UnsupportedContentError(f"{where}: a file cannot be sent as a URL; send it as 'base64' and 'mime_type'.")
    mime_type = data[len("data:") :].partition(";")[0] if data.startswith("data:") else ""
    suffix = mime_type.rpartition("/")[2] or "bin"
    return {"type": "file", "file": {"filename": block.name or f"document.{suffix}", "file_data": data}}


def _audio_format(block: MediaBlock) -> str:
    subtype = block.mime_type.rpartition("/")[2]
    return _AUDIO_FORMATS.get(subtype, subtype)
