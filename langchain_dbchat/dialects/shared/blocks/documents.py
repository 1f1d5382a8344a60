"""Write a document as text, for wires and roles that have no documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.dialects.shared.blocks.content_blocks import TextBlock
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from langchain_dbchat.dialects.shared.blocks.content_blocks import DocumentBlock

__all__ = ["document_text"]


def document_text(block: DocumentBlock, where: str) -> str:
    """Write a document or a search result as text, with its title and its source.

    Args:
        block: The document.
        where: What to call the block in an error.

    Returns:
        The text.

    Raises:
        UnsupportedContentError: If the document contains images.
    """
    texts = [part.text for part in block.parts if isinstance(part, TextBlock)]
    if len(texts) < len(block.parts):
        raise UnsupportedContentError(
            f"{where}: a document that contains images cannot be sent; send its text and its images as blocks."
        )
    head = [line for line in (block.title, block.source) if line]
    return "\n".join([*head, *texts]) if block.search_result else "\n\n".join([*head, "\n".join(texts)])
