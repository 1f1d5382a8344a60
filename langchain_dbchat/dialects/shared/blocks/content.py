"""Read the content of a message: blocks of any spelling become neutral records.

A message's content is a string or a list of blocks, in any of the spellings that LangChain users have: LangChain's own
standard blocks and its older ones (docs.langchain.com/oss/python/langchain/messages#standard-content-blocks), the parts
of OpenAI's chat completions and Responses (platform.openai.com/docs/api-reference), Anthropic's blocks
(docs.claude.com/en/api/messages) and MCP's (modelcontextprotocol.io, "Tools").

Rule 1. Each block is read here and in no other place. What a wire or a model accepts is decided where it is written.
Rule 2. Reading never raises and changes nothing. A block of an unknown type, and one of a known type without what it
needs, becomes a `ProviderBlock`; the writer of a wire raises, or sends a text that names it.
Rule 3. A data URL with Base64 is the same as the data with its MIME type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Literal

from langchain_dbchat.dialects.shared.blocks.block_fields import (
    Block,
    first_text,
    flat,
    flattened,
    mapping_of,
    remaining,
    unwrapped,
)
from langchain_dbchat.dialects.shared.blocks.content_blocks import (
    DocumentBlock,
    MediaBlock,
    NeutralBlock,
    ProviderBlock,
    ReasoningBlock,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from langchain_dbchat.dialects.shared.blocks.json_text import write_json
from langchain_dbchat.dialects.shared.blocks.reasoning import REASONING_BLOCKS, read_reasoning
from langchain_dbchat.dialects.shared.blocks.tool_uses import CALL_BLOCKS, read_tool_use
from langchain_dbchat.errors import UnsupportedContentError

__all__ = ["CONTENT_TYPES", "is_content", "is_server_work", "read_block", "read_result_content"]

MediaKind = Literal["image", "audio", "video", "file"]

_COMMON = frozenset({"cache_control", "thoughtSignature"})
_TEXT = _COMMON | {"text", "refusal", "json", "annotations", "citations"}
_MEDIUM = _COMMON | {
    "url", "file_url", "base64", "data", "file_data", "blob", "file_id", "detail",
    "mime_type", "mimeType", "media_type", "format",
}  # fmt: skip
_DOCUMENT = _COMMON | {"text", "title", "mime_type", "media_type", "mimeType"}
_RESULT = frozenset({"tool_use_id", "call_id", "content", "output", "is_error", "cache_control"})

_HOLDERS = ("source", "image_url", "audio_url", "video_url", "input_audio", "file")
"""The keys of a block whose value is an object with the data or their address."""

_AUDIO_TYPES = {"mp3": "mpeg"}
"""Values of OpenAI's ``input_audio.format`` that are not the subtype of the MIME type."""

_SERVER_TOOL = re.compile(r"^server_tool_|_tool_result$|_call$|^mcp_(?!approval_response)|^agent_message$")
"""Blocks of a provider's own tools, such as a web search and its results. An approval is written by the user."""

_LEFT_IN_ANSWER = re.compile(r"^server_tool_|_tool_result$|_call$|_call_output$|^mcp_|^agent_message$")

_PLAIN_DATA_URL = re.compile(r"data:([^;,]+);base64,")
"""The head of a data URL of Base64 whose MIME type has no parameters."""

_IDS = frozenset({"id", "call_id", "tool_call_id", "tool_use_id"})
"""The ids that a server gives to the blocks of its own tools."""


def read_block(block: str | Block) -> Iterator[NeutralBlock]:
    """Read one block of a message's content.

    Args:
        block: The block, or a string. It is not changed.

    Yields:
        Its record; several if the block contains several entries of reasoning.
    """
    if isinstance(block, str):
        yield TextBlock(block)
        return
    wrapped = block.get("type") == "non_standard"
    given = unwrapped(block) if wrapped else block
    fields = given
    if given is not block:
        around = {key: value for key, value in block.items() if key not in {"type", "value", "id", "index"}}
        fields = {**around, **given} if around else given
    kind = given.get("type")
    if not isinstance(kind, str):
        yield ProviderBlock(None, given, wrapped=wrapped)
    elif kind in REASONING_BLOCKS:
        yield from read_reasoning(fields)
    elif kind in CALL_BLOCKS:
        yield read_tool_use(fields)
    elif kind in _RESULTS:
        yield _read_result(fields)
    elif kind in _READERS:
        record = _READERS[kind](fields)
        yield replace(record, wrapped=True) if wrapped and isinstance(record, ProviderBlock) else record
    else:
        yield ProviderBlock(None if given is block and wrapped else kind, given, wrapped=wrapped)


def read_result_content(content: Any) -> Iterator[NeutralBlock]:
    """Read what a tool returned; a result within a result is replaced by its content.

    Args:
        content: A string, a block, or a list of them at any depth; any other value becomes text.

    Yields:
        The records.
    """
    if content is None:
        return
    if isinstance(content, Mapping):
        kind = content.get("type")
        key = _RESULTS.get(kind) if isinstance(kind, str) else None
        yield from read_block(content) if key is None else read_result_content(content.get(key))
    elif isinstance(content, (list, tuple)):
        for item in content:
            yield from read_result_content(item)
    else:
        yield TextBlock(str(content))


def is_server_work(block: ProviderBlock, *, in_answer: bool) -> bool:
    """Return whether a block comes from a provider's own tools, such as a web search and its results.

    Args:
        block: The block.
        in_answer: Whether it is in an answer, where only a provider can have written it.
    """
    if block.fault:
        return False
    if in_answer:
        return block.wrapped or bool(block.kind and _LEFT_IN_ANSWER.search(block.kind))
    return bool(block.kind and _SERVER_TOOL.search(block.kind)) and not _IDS.isdisjoint(block.value)


def is_content(block: NeutralBlock, *, in_answer: bool) -> bool:
    """Return whether a block is content, and not reasoning, a tool call, or a block of a provider's own tool.

    Args:
        block: The block.
        in_answer: Whether it is in an answer.
    """
    if isinstance(block, ProviderBlock):
        return not is_server_work(block, in_answer=in_answer)
    return not isinstance(block, (ReasoningBlock, ToolUseBlock))


def _common(fields: Block) -> dict[str, Any]:
    signature = fields.get("thoughtSignature")
    return {
        "signature": signature if isinstance(signature, str) else None,
        "cache_control": fields.get("cache_control") or None,
    }


def _faulty(block: Block, fault: str) -> ProviderBlock:
    return ProviderBlock(block["type"], block, fault)


def _read_text(block: Block, key: str = "text") -> TextBlock | ProviderBlock:
    text = block.get(key)
    if not isinstance(text, str):
        fault = f"a {block['type']} block needs a string under {key!r}, not {type(text).__name__}."
        return _faulty(block, fault)
    if len(block) == 2:  # noqa: PLR2004  # its type and its text
        return TextBlock(text, key == "refusal")
    fields = flattened(block)
    citations = (*flat(fields.get("annotations")), *flat(fields.get("citations")))
    return TextBlock(text, key == "refusal", citations, extras=remaining(fields, _TEXT), **_common(fields))


def _read_json(block: Block) -> TextBlock | ProviderBlock:
    try:
        text = write_json(block.get("json"), "the 'json' block")
    except UnsupportedContentError as error:
        return _faulty(block, error.message)
    fields = flattened(block)
    return TextBlock(text, extras=remaining(fields, _TEXT), **_common(fields))


def _read_medium(block: Block, kind: MediaKind) -> NeutralBlock:
    fields = flattened(block)
    key = next((key for key in _HOLDERS if key in fields and isinstance(fields[key], Mapping)), "")
    inner = mapping_of(fields, key)
    if block["type"] in {"audio_url", "video_url"} and key != block["type"]:
        return _faulty(block, f"a {block['type']!r} block needs a mapping under {block['type']!r}.")
    if not key and isinstance(fields.get("image_url"), str):
        key, inner = "image_url", {"url": fields["image_url"]}
    if block["type"] == "image_url" and not isinstance(inner.get("url"), str):
        return _faulty(block, "an 'image_url' block needs {'url': '...'} under 'image_url'.")
    said = {**fields, **inner} if key else fields
    url, encoded, mime_type = _located(said, key)
    name = next((name for name in ("filename", "name", "title") if isinstance(said.get(name), str)), "")
    file_id = fields.get("id") if fields.get("source_type") == "id" else said.get("file_id")
    if key not in {"input_audio", "file", block["type"]}:  # the server checks those
        if url is None and encoded is None and not file_id:
            return _faulty(block, f"a {block['type']!r} block needs a 'url', or 'base64' and 'mime_type'.")
        if encoded is not None and not mime_type and "file_data" not in said:
            return _faulty(block, "base64 data needs its 'mime_type', for example 'image/png'.")
    read = _read_keys(key, name, "id" if fields.get("source_type") == "id" else "")
    left, extras = remaining(inner, read), remaining(fields, read)
    return MediaBlock(
        kind,
        url,
        encoded,
        mime_type,
        file_id if isinstance(file_id, str) else None,
        said[name] if name else None,
        first_text(said, ("detail",)),
        extras={**extras, key: left} if left else extras,
        written=block,
        **_common(fields),
    )


@lru_cache(maxsize=64)
def _read_keys(*keys: str) -> frozenset[str]:
    return _MEDIUM.union(keys)


def _located(said: Block, key: str) -> tuple[str | None, str | None, str]:
    """Return the URL of a medium or its data as they were written, and the MIME type."""
    mime_type = first_text(said, ("mime_type", "mimeType", "media_type", "format")) or ""
    if key == "input_audio" and mime_type and "/" not in mime_type:
        mime_type = f"audio/{_AUDIO_TYPES.get(mime_type, mime_type)}"
    url = first_text(said, ("url", "file_url"))
    data = None if url is not None else next(filter(None, map(said.get, ("base64", "data", "file_data", "blob"))), None)
    given = url if url is not None else data
    if not isinstance(given, str):
        return None, None, mime_type
    if given.startswith("data:"):
        media_type = _PLAIN_DATA_URL.match(given)
        return (given, None, mime_type) if media_type is None else (None, given, media_type[1])
    return url, data, mime_type


def _read_file(block: Block) -> NeutralBlock:
    """Read a file; Anthropic's documents and LangChain's older files may be text."""
    fields = flattened(block)
    source = mapping_of(fields, "source")
    if source.get("type") == "text":
        return _document(block, fields, source.get("data"), {**fields, **source}, "source")
    if source.get("type") == "content":
        return _document(block, fields, source.get("content"), fields, "source")
    if fields.get("source_type") == "text":
        return _document(block, fields, fields.get("text"), fields)
    return _read_medium(block, "file")


def _read_plain(block: Block) -> NeutralBlock:
    fields = flattened(block)
    if isinstance(fields.get("text"), str) or not {"base64", "url", "file_id"} & fields.keys():
        return _document(block, fields, fields.get("text"), fields)
    return _read_medium(block, "file")


def _document(block: Block, fields: Block, content: Any, said: Block, *holders: str) -> NeutralBlock:
    parts = _parts_of(content)
    if parts is None:
        return _faulty(block, f"a {block['type']!r} block is sent as text, so it needs its 'text'.")
    return DocumentBlock(
        parts,
        first_text(fields, ("title",)),
        mime_type=first_text(said, ("mime_type", "media_type", "mimeType")) or "text/plain",
        extras=remaining(fields, _DOCUMENT | set(holders)),
        written=block,
        **_common(fields),
    )


def _parts_of(content: Any) -> tuple[TextBlock | MediaBlock, ...] | None:
    """Return the parts of a document; None if they are not text and media."""
    listed = [content] if isinstance(content, str) else content
    if not isinstance(listed, list):
        return None
    parts: list[TextBlock | MediaBlock] = []
    for item in listed:
        for part in read_block(item) if isinstance(item, (str, Mapping)) else [None]:
            if not isinstance(part, (TextBlock, MediaBlock)):
                return None
            parts.append(part)
    return tuple(parts)


def _read_search_result(block: Block) -> NeutralBlock:
    fields = flattened(block)
    parts = _parts_of(fields.get("content") or [])
    if parts is None:
        return _faulty(block, "a 'search_result' block needs a list of text blocks under 'content'.")
    title, source = (str(fields[key]) if fields.get(key) else None for key in ("title", "source"))
    extras = remaining(fields, _COMMON | {"content", "title", "source"})
    return DocumentBlock(parts, title, source, search_result=True, extras=extras, written=block, **_common(fields))


def _read_resource(block: Block) -> NeutralBlock:
    """Read a resource that MCP embeds in a result: text with its URI, or data."""
    resource = block.get("resource")
    if not isinstance(resource, Mapping):
        return _faulty(block, "a 'resource' block needs a mapping under 'resource'.")
    mime_type = first_text(resource, ("mimeType", "mime_type")) or ""
    fields = flattened(block)
    extras = remaining(fields, _COMMON | {"resource"})
    if isinstance(resource.get("text"), str):
        left = remaining(resource, _DOCUMENT | {"uri"})
        return DocumentBlock(
            (TextBlock(resource["text"]),),
            source=str(resource["uri"]) if resource.get("uri") else None,
            mime_type=mime_type or "text/plain",
            extras={**extras, "resource": left} if left else extras,
            written=block,
            **_common(fields),
        )
    data = resource.get("blob")
    if not isinstance(data, str) or not data:
        return _faulty(block, "a 'resource' block needs its 'text', or a 'blob' and its 'mimeType'.")
    if not mime_type:
        return _faulty(block, "base64 data needs its 'mime_type', for example 'image/png'.")
    kind = _KINDS.get(mime_type.partition("/")[0], "file")
    left = remaining(resource, frozenset({"blob", "mimeType", "mime_type", "name"}))
    extras = {**extras, "resource": left} if left else extras
    name = first_text(resource, ("name",))
    return MediaBlock(kind, None, data, mime_type, name=name, extras=extras, written=block, **_common(fields))


def _read_result(block: Block) -> ToolResultBlock:
    fields = flattened(block)
    return ToolResultBlock(
        first_text(fields, ("tool_use_id", "call_id")) or "",
        tuple(read_result_content(block.get(_RESULTS[block["type"]]))),
        bool(fields.get("is_error")),
        fields.get("cache_control") or None,
        remaining(fields, _RESULT),
        block,
    )


_RESULTS = {"tool_result": "content", "custom_tool_call_output": "output", "function_call_output": "output"}
"""The blocks with the result of a tool, and the keys of that result."""

_KINDS: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}

_READERS: dict[str, Callable[[Block], NeutralBlock]] = {
    "text": _read_text,
    "input_text": _read_text,
    "output_text": _read_text,
    "refusal": partial(_read_text, key="refusal"),
    "json": _read_json,
    "text-plain": _read_plain,
    "search_result": _read_search_result,
    "resource": _read_resource,
    "image": partial(_read_medium, kind="image"),
    "image_url": partial(_read_medium, kind="image"),
    "input_image": partial(_read_medium, kind="image"),
    "file": _read_file,
    "input_file": _read_file,
    "document": _read_file,
    "audio": partial(_read_medium, kind="audio"),
    "audio_url": partial(_read_medium, kind="audio"),
    "input_audio": partial(_read_medium, kind="audio"),
    "video": partial(_read_medium, kind="video"),
    "video_url": partial(_read_medium, kind="video"),
}

CONTENT_TYPES = (*sorted(_READERS), "non_standard")
"""The types of blocks that a user may send, for errors."""
