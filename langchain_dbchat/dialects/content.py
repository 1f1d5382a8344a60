"""Content blocks on the way in: what LangChain calls them, what the serving endpoint calls them.

A message's content is a string or a list of blocks in any of the spellings that LangChain users meet: LangChain's own
standard blocks, the parts of OpenAI's chat completions, Anthropic's blocks. Each becomes one part of the wire
(``text``, ``image_url``, ``file``, ``audio_url``, ``input_audio``, ``video_url``). A block that cannot be said on the
wire raises and is named; nothing is dropped in silence, and the caller's blocks are never changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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


def encode_parts(content: str | Sequence[str | Block], family: Family, where: str) -> list[Part]:
    """Turn a message's content into wire parts.

    Args:
        content: A string or a list of strings and blocks.
        family: The row of the model that is called.
        where: What to call the message in an error, such as ``"message 3 (human)"``.

    Returns:
        The parts, in order. Text is empty only where the family accepts that.

    Raises:
        UnsupportedContentError: If a block cannot be represented; the text names it.
    """
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content or family.empty_text else []
    parts: list[Part] = []
    for number, block in enumerate(content):
        if isinstance(block, str):
            parts.extend(encode_parts(block, family, where))
        else:
            parts.extend(encode_block(block, family, f"{where}, block {number}"))
    return parts


def encode_block(block: Block, family: Family, where: str) -> Iterator[Part]:
    """Turn one block into the part that says it.

    Args:
        block: The block.
        family: The row of the model that is called.
        where: What to call the block in an error.

    Yields:
        One part, or none for empty text that the family refuses.

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
    if media == "text":
        if not part["text"] and not family.empty_text:
            return
    elif family.media is not None and media not in family.media:
        raise UnsupportedContentError(
            f"{where}: models of the family {family.name!r} take no {media!r} content. They take text"
            + "".join(f", {name}" for name in sorted(family.media))
            + "."
        )
    if media == "image_url" and not family.image_urls and not part["image_url"]["url"].startswith("data:"):
        raise UnsupportedContentError(
            f"{where}: models of the family {family.name!r} refuse image URLs. Send the image itself: "
            '{"type": "image", "base64": ..., "mime_type": "image/png"}.'
        )
    if media == "input_audio" and family.media is not None and "audio_url" in family.media:
        audio = part["input_audio"]
        part = {"type": "audio_url", "audio_url": {"url": f"data:audio/{audio['format']};base64,{audio['data']}"}}
    if family.cache_control:
        extras = block.get("extras")
        for mark in _MARKS:
            value = block.get(mark) or (extras.get(mark) if isinstance(extras, Mapping) else None)
            if value:
                part[mark] = value
    yield part


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
    return {"type": "text", "text": text}


def _refusal(block: Block, where: str) -> Part:
    return _text({"text": block.get("refusal")}, where)


def _plain_text(block: Block, where: str) -> Part:
    if not isinstance(block.get("text"), str):
        raise UnsupportedContentError(f"{where}: a 'text-plain' block is sent as text, so it needs its 'text'.")
    title = block.get("title")
    return {"type": "text", "text": f"{title}\n\n{block['text']}" if title else block["text"]}


def _json(block: Block, where: str) -> Part:
    del where
    return {"type": "text", "text": json.dumps(block.get("json"), ensure_ascii=False)}


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
        mime_type = block.get("mime_type")
        if not mime_type:
            raise UnsupportedContentError(f"{where}: base64 data needs its 'mime_type', for example 'image/png'.")
        return f"data:{mime_type};base64,{data}"
    if block.get("file_id"):
        raise UnsupportedContentError(
            f"{where}: Databricks stores no files, so a 'file_id' means nothing; send 'base64'."
        )
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


_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}
"""Subtypes of audio MIME types that OpenAI's ``input_audio.format`` spells differently."""

_ENCODERS: dict[str, Callable[[Block, str], Part]] = {
    "text": _text,
    "text-plain": _plain_text,
    "refusal": _refusal,
    "json": _json,
    "search_result": _search_result,
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
