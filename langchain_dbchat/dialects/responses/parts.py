"""Write neutral content blocks as the parts of a Responses message.

The parts are ``input_text``, ``input_image``, ``input_file`` and ``input_audio``
(platform.openai.com/docs/api-reference/responses/create, "input").

Rule 1. What the wire or the model's family does not take raises, and the error names the block.
Rule 2. An image has its URL, or its data as a data URL, and OpenAI's ``detail``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.blocks.content import CONTENT_TYPES
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    DocumentBlock,
    MediaBlock,
    NeutralBlock,
    ProviderBlock,
    TextBlock,
)
from langchain_dbchat.dialects.shared.blocks.documents import document_text
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

__all__ = ["write_part"]

_PARTS = {"image": "image_url", "file": "file", "audio": "input_audio", "video": "video_url"}
"""The kind of part that a family has to take, by the medium."""


def write_part(block: NeutralBlock, family: Family, where: str) -> dict[str, Any]:
    """Write one block.

    Args:
        block: The block.
        family: The row of the called model.
        where: What to call the block in an error.

    Returns:
        The part.

    Raises:
        UnsupportedContentError: If the wire or the family does not take it.
    """
    if isinstance(block, TextBlock):
        return {"type": "input_text", "text": block.text}
    if isinstance(block, DocumentBlock):
        return {"type": "input_text", "text": document_text(block, where)}
    if isinstance(block, MediaBlock):
        return _medium(block, family, where)
    if isinstance(block, ProviderBlock) and block.fault:
        raise UnsupportedContentError(f"{where}: {block.fault}")
    written = block.value if isinstance(block, ProviderBlock) else getattr(block, "written", {})
    raise UnsupportedContentError(
        f"{where}: a content block of type {written.get('type')!r} cannot be sent to a Responses endpoint. "
        f"Supported types: {', '.join(CONTENT_TYPES)}."
    )


def _medium(block: MediaBlock, family: Family, where: str) -> dict[str, Any]:
    if block.kind == "video" or (family.media is not None and _PARTS[block.kind] not in family.media):
        raise UnsupportedContentError(f"{where}: the model takes no {block.kind!r} content on Responses.")
    if block.file_id and family.media is None:
        kind = "input_image" if block.kind == "image" else "input_file"
        return {"type": kind, "file_id": block.file_id}
    if block.kind == "audio":
        if block.encoded is None:
            raise UnsupportedContentError(f"{where}: audio is sent as 'base64' and 'mime_type', not as a URL.")
        return {
            "type": "input_audio",
            "input_audio": {"data": block.data, "format": block.mime_type.rpartition("/")[2].replace("mpeg", "mp3")},
        }
    url = block.url if block.url is not None else block.data_url
    if url is None:
        raise UnsupportedContentError(
            f"{where}: Databricks stores no files, so a 'file_id' means nothing; send 'base64' and 'mime_type'."
        )
    if block.kind == "image":
        if not family.image_urls and not url.startswith("data:"):
            raise UnsupportedContentError(
                f"{where}: the model refuses image URLs. Send the image itself: "
                '{"type": "image", "base64": ..., "mime_type": "image/png"}.'
            )
        return {"type": "input_image", "image_url": url, "detail": block.detail or "auto"}
    if not url.startswith("data:"):
        return {"type": "input_file", "file_url": url}
    suffix = (block.mime_type.rpartition("/")[2] or "bin").partition(";")[0]
    return {"type": "input_file", "filename": block.name or f"document.{suffix}", "file_data": url}
