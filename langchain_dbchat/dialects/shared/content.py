"""Content blocks on the way in: what LangChain calls them, what the serving endpoint calls them.

A message's content is a string or a list of blocks in any of the spellings that LangChain users meet: LangChain's own
standard blocks, the parts of OpenAI's chat completions, Anthropic's and MCP's blocks. Each becomes one part of the wire
(``text``, ``image_url``, ``file``, ``audio_url``, ``input_audio``, ``video_url``).

Rule 1. A block that cannot be said on the wire raises and is named; the caller's blocks are never changed.
Rule 2. What a model left in an answer besides the answer (reasoning, tool calls, the work of its provider's own tools)
is left out where somebody else says it: ``HumanMessage(content=answer.content)``.
Rule 3. Text that the family refuses, empty or blank, is left out (opencode #31259); its cache mark moves to the part
before it, because a mark caches all that stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from langchain_dbchat.dialects.shared.json_text import write_json
from langchain_dbchat.dialects.shared.reasoning import REASONING_BLOCKS
from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

Block = Mapping[str, Any]
Part = dict[str, Any]

CALL_BLOCKS = frozenset(
    {"tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "input_json_delta", "function_call"}
)
"""Blocks that repeat what the message's ``tool_calls`` already say."""

_MARKS = ("cache_control",)

_SERVER_TOOL = re.compile(r"^server_tool_|_tool_result$|_call$|^mcp_(?!approval_response)")
"""Blocks of a provider's own tools, such as a web search and its results. An approval is the user's own word."""

_IDS = frozenset({"id", "call_id", "tool_call_id", "tool_use_id"})
"""What a server names its tool's work by; a block without any is nobody's."""


def encode_parts(content: str | Sequence[str | Block], family: Family, where: str) -> list[Part]:
    """Turn a message's content into wire parts.

    Args:
        content: A string or a list of strings and blocks.
        family: The row of the model that is called.
        where: What to call the message in an error, such as ``"message 3 (human)"``.

    Returns:
        The parts, in order, without text that the family refuses and without what another speaker's answer left.

    Raises:
        UnsupportedContentError: If a block cannot be represented; the text names it.
    """
    if isinstance(content, str):
        return [encode_text(content)] if _is_taken(content, family) else []
    parts: list[Part] = []
    for number, block in enumerate(content):
        if isinstance(block, str):
            parts.append(encode_text(block))
        elif block_role(block) == "content":
            parts.append(encode_block(block, family, f"{where}, block {number}"))
    return keep_text(parts, family)


def block_role(block: Any) -> Literal["content", "reasoning", "call", "server_tool"]:
    """Tell what a block is in an answer: something said, reasoning, a tool call, or the work of a provider's own tool.

    Args:
        block: A block, or a string.

    Returns:
        The role.
    """
    if not isinstance(block, Mapping):
        return "content"
    kind = _unwrapped(block).get("type")
    if not isinstance(kind, str):
        return "content"
    if kind in REASONING_BLOCKS:
        return "reasoning"
    if kind in CALL_BLOCKS:
        return "call"
    return "server_tool" if _SERVER_TOOL.search(kind) and not _IDS.isdisjoint(block) else "content"


def _unwrapped(block: Block) -> Block:
    """Find the block that LangChain wrapped because it has no standard form."""
    value = block.get("value")
    return value if block.get("type") == "non_standard" and isinstance(value, Mapping) else block


def is_known(block: Block) -> bool:
    """Tell whether a block's type is one that some endpoint takes.

    Args:
        block: The block.

    Returns:
        True if so.
    """
    kind = _unwrapped(block).get("type")
    return isinstance(kind, str) and kind in _ENCODERS


def encode_text(text: str) -> Part:
    """Write text as a part.

    Args:
        text: The text.

    Returns:
        The part.
    """
    return {"type": "text", "text": text}


def keep_text(parts: Iterable[Part], family: Family) -> list[Part]:
    """Leave out text that the family refuses.

    Args:
        parts: The parts of one message.
        family: The row of the model that is called.

    Returns:
        The other parts, in order.
    """
    kept: list[Part] = []
    for part in parts:
        if part["type"] != "text" or _is_taken(part["text"], family):
            kept.append(part)
        elif kept:
            kept[-1] = {**{mark: part[mark] for mark in _MARKS if mark in part}, **kept[-1]}
    return kept


def _is_taken(text: str, family: Family) -> bool:
    if not text:
        return family.empty_text
    return family.blank_text or not text.isspace()


def encode_block(block: Block, family: Family, where: str) -> Part:
    """Turn one block into the part that says it.

    Args:
        block: The block.
        family: The row of the model that is called.
        where: What to call the block in an error.

    Returns:
        The part.

    Raises:
        UnsupportedContentError: If the block cannot be represented.
    """
    kind = block.get("type")
    encode = _ENCODERS.get(kind) if isinstance(kind, str) else None
    if encode is None:
        raise UnsupportedContentError(
            f"{where}: a content block of type {kind!r} cannot be sent to a chat-completions endpoint. "
            f"Supported types: {', '.join(sorted(_ENCODERS))}."
        )
    part = encode(block, where)
    media = part["type"]
    if media != "text" and family.media is not None and media not in family.media:
        raise UnsupportedContentError(
            f"{where}: the model takes no {media!r} content. It takes text"
            + "".join(f", {name}" for name in sorted(family.media))
            + "."
        )
    if media == "image_url" and not family.image_urls and not part["image_url"]["url"].startswith("data:"):
        raise UnsupportedContentError(
            f"{where}: the model refuses image URLs. Send the image itself: "
            '{"type": "image", "base64": ..., "mime_type": "image/png"}.'
        )
    if media == "file" and family.media is not None and not part["file"].get("file_data"):
        raise UnsupportedContentError(f"{where}: {_NO_FILES}")
    if media == "input_audio" and family.media is not None and "audio_url" in family.media:
        audio = part["input_audio"]
        part = {"type": "audio_url", "audio_url": {"url": f"data:audio/{audio['format']};base64,{audio['data']}"}}
    if family.cache_control:
        extras = block.get("extras")
        for mark in _MARKS:
            value = block.get(mark) or (extras.get(mark) if isinstance(extras, Mapping) else None)
            if value:
                part[mark] = value
    return part


def collapse(parts: list[Part]) -> str | list[Part]:
    """Write plain text as a string, which every endpoint takes, and leave anything else a list.

    Databricks looks for the word "json" of a `json_object` request in string content only, and tool results are
    documented as strings.

    Args:
        parts: The parts of one message.

    Returns:
        The texts joined by newlines if there is nothing but unmarked text, else the parts.
    """
    if all(part["type"] == "text" and len(part) == 2 for part in parts):  # noqa: PLR2004  # its type and its text
        return "\n".join(part["text"] for part in parts)
    return parts


def _text(block: Block, where: str) -> Part:
    text = block.get("text")
    if not isinstance(text, str):
        raise UnsupportedContentError(f"{where}: a text block needs a string under 'text', not {type(text).__name__}.")
    return encode_text(text)


def _refusal(block: Block, where: str) -> Part:
    return _text({"text": block.get("refusal")}, where)


def _resource(block: Block, where: str) -> Part:
    """Write a resource that MCP embeds in a result: text with its address, or data."""
    resource = block.get("resource")
    if not isinstance(resource, Mapping):
        raise UnsupportedContentError(f"{where}: a 'resource' block needs a mapping under 'resource'.")
    if isinstance(resource.get("text"), str):
        return encode_text(f"{resource['uri']}\n\n{resource['text']}" if resource.get("uri") else resource["text"])
    mime_type = str(resource.get("mimeType") or resource.get("mime_type") or "")
    held = {"base64": resource.get("blob"), "mime_type": mime_type, "name": resource.get("name")}
    medium = {"image": _image, "audio": _audio, "video": _video}.get(mime_type.partition("/")[0], _file)
    return medium({"type": "resource", **held}, where)


def _plain_text(block: Block, where: str) -> Part:
    if not isinstance(block.get("text"), str):
        raise UnsupportedContentError(f"{where}: a 'text-plain' block is sent as text, so it needs its 'text'.")
    title = block.get("title")
    return {"type": "text", "text": f"{title}\n\n{block['text']}" if title else block["text"]}


def _json(block: Block, where: str) -> Part:
    return encode_text(write_json(block.get("json"), f"{where}: the 'json' block"))


def _source(block: Block, where: str) -> str:
    """Find the URL or the data of a block, in LangChain's, in LangChain's older and in Anthropic's spelling."""
    source = block.get("source")
    if isinstance(source, Mapping):
        named = {"mime_type": source.get("media_type"), "base64": source.get("data")}
        block = {"type": block.get("type"), **named, "url": source.get("url"), "file_id": source.get("file_id")}
    if isinstance(block.get("url"), str):
        return str(block["url"])
    data = block.get("base64") or block.get("data")
    if isinstance(data, str):
        mime_type = block.get("mime_type") or block.get("mimeType")
        if not mime_type:
            raise UnsupportedContentError(f"{where}: base64 data needs its 'mime_type', for example 'image/png'.")
        return f"data:{mime_type};base64,{data}"
    if block.get("file_id"):
        raise UnsupportedContentError(f"{where}: {_NO_FILES}")
    raise UnsupportedContentError(f"{where}: a {block.get('type')!r} block needs a 'url', or 'base64' and 'mime_type'.")


def _image(block: Block, where: str) -> Part:
    image: dict[str, Any] = {"url": _source(block, where)}
    extras = block.get("extras")
    detail = block.get("detail") or (extras.get("detail") if isinstance(extras, Mapping) else None)
    if detail:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _image_url(block: Block, where: str) -> Part:
    image = block.get("image_url")
    if isinstance(image, str):
        image = {"url": image}
    if not isinstance(image, Mapping) or not isinstance(image.get("url"), str):
        raise UnsupportedContentError(f"{where}: an 'image_url' block needs {{'url': '...'}} under 'image_url'.")
    return {"type": "image_url", "image_url": dict(image)}


def _file(block: Block, where: str) -> Part:
    file = block.get("file")
    if isinstance(file, Mapping):
        return {"type": "file", "file": dict(file)}
    source = block.get("source")
    if isinstance(source, Mapping) and source.get("type") == "text":  # Anthropic's documents may be plain text
        return _plain_text({**block, "text": source.get("data")}, where)
    if block.get("source_type") == "text":
        return _plain_text(block, where)
    data = _source(block, where)
    if not data.startswith("data:"):
        raise UnsupportedContentError(f"{where}: a file cannot be sent as a URL; send it as 'base64' and 'mime_type'.")
    extras = block.get("extras")
    named = {**(extras if isinstance(extras, Mapping) else {}), **block}
    suffix = data[5:].partition(";")[0].rpartition("/")[2] or "bin"
    name = named.get("filename") or named.get("name") or named.get("title") or f"document.{suffix}"
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def _audio(block: Block, where: str) -> Part:
    audio = block.get("input_audio")
    if isinstance(audio, Mapping):
        return {"type": "input_audio", "input_audio": dict(audio)}
    url = _source(block, where)
    if not url.startswith("data:"):
        return {"type": "audio_url", "audio_url": {"url": url}}
    mime_type, _, data = url[5:].partition(";base64,")
    subtype = mime_type.rpartition("/")[2]
    return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(subtype, subtype)}}


def _video(block: Block, where: str) -> Part:
    return {"type": "video_url", "video_url": {"url": _source(block, where)}}


def _as_is(block: Block, where: str) -> Part:
    kind = block["type"]
    value = block.get(kind)
    if not isinstance(value, Mapping):
        raise UnsupportedContentError(f"{where}: a {kind!r} block needs a mapping under {kind!r}.")
    return {"type": kind, kind: dict(value)}


def _search_result(block: Block, where: str) -> Part:
    inner = block.get("content")
    texts = [_text(item, where)["text"] for item in inner] if isinstance(inner, list) else []
    head = [str(block[key]) for key in ("title", "source") if block.get(key)]
    return {"type": "text", "text": "\n".join([*head, *texts])}


def _non_standard(block: Block, where: str) -> Part:
    value = block.get("value")
    kind = value.get("type") if isinstance(value, Mapping) else None
    encode = _ENCODERS.get(kind) if isinstance(kind, str) and kind != "non_standard" else None
    if encode is None or not isinstance(value, Mapping):
        raise UnsupportedContentError(
            f"{where}: a non-standard block of type {kind!r} cannot be sent to this endpoint."
        )
    return encode(value, where)


_NO_FILES = "Databricks stores no files, so a 'file_id' means nothing; send 'base64' and 'mime_type'."

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}
"""Subtypes of audio MIME types that OpenAI's ``input_audio.format`` spells differently."""

_ENCODERS: dict[str, Callable[[Block, str], Part]] = {
    "text": _text,
    "text-plain": _plain_text,
    "refusal": _refusal,
    "json": _json,
    "search_result": _search_result,
    "resource": _resource,
    "image": _image,
    "image_url": _image_url,
    "file": _file,
    "document": _file,
    "audio": _audio,
    "input_audio": _audio,
    "audio_url": _as_is,
    "video": _video,
    "video_url": _as_is,
    "non_standard": _non_standard,
}
