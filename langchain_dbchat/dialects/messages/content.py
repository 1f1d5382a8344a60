"""Write neutral content blocks as the blocks of Anthropic's Messages.

The blocks are ``text``, ``image``, ``document``, ``search_result``, ``thinking``, ``redacted_thinking``, ``tool_use``
and ``tool_result`` (docs.claude.com/en/api/messages), and those of Anthropic's own tools, which are sent as they came.

Rule 1. What the wire or the model's family does not take raises, and the error names the block.
Rule 2. Reasoning goes back byte for byte: text and signature, or the encrypted data ("Extended thinking", Anthropic).
Rule 3. A citation goes back in the form of Anthropic's API, also if LangChain's standard form of it was kept.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langchain_dbchat.dialects.shared.blocks.block_fields import flattened, mapping_of
from langchain_dbchat.dialects.shared.blocks.content import CONTENT_TYPES
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    DocumentBlock,
    MediaBlock,
    NeutralBlock,
    ProviderBlock,
    ReasoningBlock,
    TextBlock,
    ToolUseBlock,
)
from langchain_dbchat.dialects.shared.blocks.json_text import write_json
from langchain_dbchat.dialects.shared.blocks.server_tools import native_step
from langchain_dbchat.dialects.shared.blocks.storable import is_nested_too_deeply
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from langchain_dbchat.dialects.messages.quirks import MessagesQuirks
    from langchain_dbchat.models.families import Family

__all__ = ["MessageBlock", "write_block", "write_cited", "write_own", "write_reasoning", "write_tool_use"]

MessageBlock = dict[str, Any]

_NO_FILES = "Databricks stores no files, so a 'file_id' means nothing; send 'base64' and 'mime_type'."

_PDF = "application/pdf"

_USERS = frozenset({"container_upload", "tool_reference"})
"""Blocks of Anthropic's own that users and tools send."""

_PLACES = {
    "start_char_index": "char_location",
    "start_page_number": "page_location",
    "encrypted_index": "web_search_result_location",
    "search_result_index": "search_result_location",
    "start_block_index": "content_block_location",
}
"""The type of a citation, by the field that only this type has; the first one that is there counts."""

_LOCATIONS = frozenset(_PLACES.values())

_STANDARD_NAMES = {
    "char_location": {"title": "document_title"},
    "page_location": {"title": "document_title"},
    "content_block_location": {"title": "document_title"},
    "search_result_location": {"url": "source"},
}
"""Fields of LangChain's citations that have another name in Anthropic's, by the type."""


def write_block(block: NeutralBlock, family: Family, quirks: MessagesQuirks, where: str) -> MessageBlock:
    """Write one block of content.

    Args:
        block: The block.
        family: The row of the called model.
        quirks: What it accepts on this wire.
        where: What to call the block in an error.

    Returns:
        The block of the wire.

    Raises:
        UnsupportedContentError: If the wire or the family does not take it.
    """
    if isinstance(block, TextBlock):
        written: MessageBlock = {"type": "text", "text": block.text}
    elif isinstance(block, DocumentBlock):
        written = _write_document(block, family, quirks, where)
    elif isinstance(block, MediaBlock):
        written = _write_medium(block, family, quirks, where)
    elif isinstance(block, ProviderBlock) and block.kind in _USERS:
        return dict(block.value)
    else:
        written_as = block.value if isinstance(block, ProviderBlock) else getattr(block, "written", {})
        fault = block.fault if isinstance(block, ProviderBlock) else ""
        raise UnsupportedContentError(f"{where}: {fault or _not_taken(written_as)}")
    if block.cache_control and family.cache_control:
        written["cache_control"] = block.cache_control
    return written


def write_cited(block: TextBlock) -> MessageBlock:
    """Write a text of an earlier answer with its citations.

    Args:
        block: The text.

    Returns:
        The block of the wire; a citation of another provider is left out.
    """
    written: MessageBlock = {"type": "text", "text": block.text}
    citations = [place for place in map(_native_citation, block.citations) if place is not None]
    return {**written, "citations": citations} if citations else written


def write_reasoning(entry: ReasoningBlock) -> MessageBlock | None:
    """Write an entry of reasoning.

    Args:
        entry: The entry.

    Returns:
        The block of the wire; None if the entry is neither signed nor encrypted.
    """
    if entry.data:
        return {"type": "redacted_thinking", "data": entry.data}
    if entry.signature:
        return {"type": "thinking", "thinking": entry.text, "signature": entry.signature}
    return None


def write_tool_use(call: ToolUseBlock, name: str, where: str, *, replays: bool) -> MessageBlock:
    """Write a tool call.

    Args:
        call: The call.
        name: The name to send.
        where: What to call the message in an error.
        replays: Whether what only this provider understands goes back.

    Returns:
        The block of the wire.
    """
    given = call.arguments if isinstance(call.arguments, Mapping) else {"invalid_arguments": call.arguments}
    text = write_json(given, f"{where}: the arguments of the call {call.id!r} of {call.name!r}")
    arguments = {"invalid_arguments": text} if is_nested_too_deeply(text) else from_json(text)
    written: MessageBlock = {"type": "tool_use", "id": call.id or "", "name": name, "input": arguments}
    caller = call.extras.get("caller") if replays else None
    return {**written, "caller": caller} if caller else written


def write_own(block: ProviderBlock) -> MessageBlock:
    """Write a block of an earlier answer that has no neutral form, such as the work of Anthropic's own tools.

    Args:
        block: The block, from an answer of this provider.

    Returns:
        The block as it is, or made of LangChain's standard form of it.
    """
    native = native_step(block.value)
    return {key: value for key, value in block.value.items() if key != "index"} if native is None else native


def _not_taken(written: Mapping[str, Any]) -> str:
    return (
        f"a content block of type {written.get('type')!r} cannot be sent to Anthropic's Messages. "
        f"Supported types: {', '.join(CONTENT_TYPES)}."
    )


def _native_citation(citation: Any) -> dict[str, Any] | None:
    """Return a citation in Anthropic's form, without what only answers have."""
    if not isinstance(citation, Mapping):
        return None
    fields = {key: value for key, value in flattened(citation).items() if value is not None and key != "file_id"}
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in _LOCATIONS:
        kind = next((place for key, place in _PLACES.items() if key in fields), None)
        if kind is None:
            return None
        names = _STANDARD_NAMES.get(kind, {})
        fields = {names.get(key, key): value for key, value in fields.items() if key not in {"extras", "id"}}
    return {**fields, "type": kind}


def _write_document(block: DocumentBlock, family: Family, quirks: MessagesQuirks, where: str) -> MessageBlock:
    inner = [_part_of_document(part, family, quirks, where) for part in block.parts]
    more = {key: block.extras[key] for key in ("citations", "context") if block.extras.get(key)}
    if block.search_result:
        source, title = block.source or block.title or "", block.title or block.source or ""
        more.pop("context", None)
        return {"type": "search_result", "source": source, "title": title, "content": inner, **more}
    is_list = isinstance(mapping_of(flattened(block.written), "source").get("content"), list)
    if len(inner) == 1 and inner[0]["type"] == "text" and not is_list:
        source_of: dict[str, Any] = {"type": "text", "media_type": "text/plain", "data": inner[0]["text"]}
    else:
        source_of = {"type": "content", "content": inner}
    title_of = block.title or block.source
    return {"type": "document", "source": source_of, **({"title": title_of} if title_of else {}), **more}


def _part_of_document(part: TextBlock | MediaBlock, family: Family, quirks: MessagesQuirks, where: str) -> MessageBlock:
    if isinstance(part, MediaBlock):
        return _write_medium(part, family, quirks, where)
    return {"type": "text", "text": part.text}


def _write_medium(block: MediaBlock, family: Family, quirks: MessagesQuirks, where: str) -> MessageBlock:
    kind = {"image": "image_url", "file": "file"}.get(block.kind, "")
    taken = ("image_url", "file") if family.media is None else family.media
    if kind not in taken:
        names = "".join({"image_url": ", images", "file": ", PDF and text documents"}.get(name, "") for name in taken)
        raise UnsupportedContentError(f"{where}: the model takes no {block.kind} content. It takes text{names}.")
    if block.kind == "image":
        return {"type": "image", "source": _image_source(block, family, quirks, where)}
    written: MessageBlock = {"type": "document", "source": _file_source(block, quirks, where)}
    if block.name:
        written["title"] = block.name
    return {**written, **{key: block.extras[key] for key in ("citations", "context") if block.extras.get(key)}}


def _image_source(block: MediaBlock, family: Family, quirks: MessagesQuirks, where: str) -> dict[str, Any]:
    if block.data is not None:
        return {"type": "base64", "media_type": block.mime_type, "data": block.data}
    if block.url is not None and family.image_urls:
        return {"type": "url", "url": block.url}
    if block.file_id and quirks.document_urls:
        return {"type": "file", "file_id": block.file_id}
    if block.url is None:
        raise UnsupportedContentError(f"{where}: {_NO_FILES}")
    raise UnsupportedContentError(
        f"{where}: the model refuses image URLs. Send the image itself: "
        '{"type": "image", "base64": ..., "mime_type": "image/png"}.'
    )


def _file_source(block: MediaBlock, quirks: MessagesQuirks, where: str) -> dict[str, Any]:
    if block.data is not None:
        mime_type = block.mime_type or _PDF
        if mime_type == _PDF:
            return {"type": "base64", "media_type": _PDF, "data": block.data}
        if mime_type.startswith("text/") or mime_type == "application/json":
            return {"type": "text", "media_type": "text/plain", "data": _text_of(block.data, where)}
        raise UnsupportedContentError(
            f"{where}: the model takes PDF and text documents, not {mime_type!r}. Send the text of the file."
        )
    if block.url is not None and quirks.document_urls:
        return {"type": "url", "url": block.url}
    if block.file_id and quirks.document_urls:
        return {"type": "file", "file_id": block.file_id}
    if block.url is None:
        raise UnsupportedContentError(f"{where}: {_NO_FILES}")
    raise UnsupportedContentError(f"{where}: a file cannot be sent as a URL; send it as 'base64' and 'mime_type'.")


def _text_of(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:  # not Base64, not even ASCII, or not UTF-8
        raise UnsupportedContentError(f"{where}: the file is not Base64 of UTF-8 text.") from None
