"""Translate the messages of this package to LangChain's standard content blocks.

Rule 1. langchain-core calls the translator of a message's ``model_provider``; only ours reads Databricks' reasoning.
Rule 2. Text and reasoning of chunks have string indices, tool calls integer ones, so that all versions of merging in
langchain-core (v0, v1, v3) keep them separate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core import exceptions
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages import content as types

from langchain_dbchat.dialects.shared.answer.steps import without_handed_over
from langchain_dbchat.dialects.shared.blocks.block_fields import flat, rest_of_streamed_text
from langchain_dbchat.dialects.shared.blocks.call_arguments import with_reason
from langchain_dbchat.dialects.shared.blocks.citations import read_citation
from langchain_dbchat.dialects.shared.blocks.message_keys import CALL_EXTRAS
from langchain_dbchat.dialects.shared.blocks.openai_tools import standard_work
from langchain_dbchat.dialects.shared.blocks.server_tools import standard_step

_KNOWS_REFUSALS = hasattr(exceptions, "ModelRefusalError")
"""Whether langchain-core has a refusal block, as since 1.7.5."""


def translate_content(message: AIMessage) -> list[types.ContentBlock]:
    """Translate a whole message.

    Args:
        message: A message of this package.

    Returns:
        Its standard blocks.
    """
    return cast("list[types.ContentBlock]", [*_content(message, chunk=False), *_calls(message)])


def translate_content_chunk(message: AIMessageChunk) -> list[types.ContentBlock]:
    """Translate a chunk.

    Args:
        message: A chunk of this package, or the sum of several.

    Returns:
        Its standard blocks, with indices.
    """
    calls = _calls(message) if message.chunk_position == "last" else _call_chunks(message)
    return cast("list[types.ContentBlock]", [*_content(message, chunk=True), *calls])


def _content(message: AIMessage, *, chunk: bool) -> Iterator[dict[str, Any]]:
    content: Any = message.content
    called = {call["id"] for call in [*message.tool_calls, *message.invalid_tool_calls]}
    for block in [content] if isinstance(content, str) else _joined(without_handed_over(content, called)):
        if isinstance(block, str):
            if block:
                yield {"type": "text", "text": block, "index": "lc_txt_0"} if chunk else {"type": "text", "text": block}
        else:
            yield from _translate(block)
    refusal = message.additional_kwargs.get("refusal")
    if refusal:
        block = {"type": "refusal", "refusal": refusal}
        block = block if _KNOWS_REFUSALS else {"type": "non_standard", "value": block}
        yield {**block, "index": "lc_refusal"} if chunk else block


def _joined(content: Sequence[Any]) -> Sequence[Any]:
    """Join text that was streamed as a string with the block of its rest, which a late citation made a block."""
    place = rest_of_streamed_text(content)
    if not place:
        return content
    block = content[place]
    text = {**block, "text": content[0] + (block.get("text") or "")}
    return [text, *content[1:place], *content[place + 1 :]]


def _translate(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = block.get("type")
    index = {"index": block["index"]} if "index" in block else {}
    if kind == "text":
        yield _text(block)
    elif kind == "reasoning" and isinstance(block.get("summary"), list):
        for number, entry in enumerate(block["summary"] or [{}]):
            yield _reasoning(entry, block, number)
    elif kind == "image_url":
        yield {**_image(block), **index}
    elif isinstance(kind, str) and kind in types.KNOWN_BLOCK_TYPES and not _is_parsed(kind, block):
        yield dict(block)
    elif (step := standard_step(block)) is not None:
        yield {**step, **index}
    elif work := standard_work(block):
        yield {**work[0], **index}
        for result in work[1:]:
            yield {**result, **({"index": f"{block['index']}_result"} if index else {})}
    else:
        yield {"type": "non_standard", "value": {key: value for key, value in block.items() if key != "index"}, **index}


def _is_parsed(kind: str, block: Mapping[str, Any]) -> bool:
    """Return whether langchain-core would parse what a server sent as a fragment of a call, which may raise."""
    return kind.endswith("_chunk") or (kind == "server_tool_call" and not isinstance(block.get("args"), Mapping))


def _text(block: dict[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "text", "text": block.get("text") or ""}
    if "index" in block:
        text["index"] = block["index"]
    extras = {key: value for key, value in block.items() if key not in {"type", "text", "index", "annotations"}}
    annotations = [*flat(block.get("annotations")), *flat(extras.pop("citations", None))]
    if annotations:
        text["annotations"] = [read_citation(annotation) for annotation in annotations]
    if extras:
        text["extras"] = extras
    return text


def _reasoning(entry: Any, block: dict[str, Any], number: int) -> dict[str, Any]:
    fields = entry if isinstance(entry, Mapping) else {"text": str(entry)}
    reasoning: dict[str, Any] = {"type": "reasoning", "reasoning": fields.get("text") or ""}
    extras: dict[str, Any] = {}
    for key in ("signature", "data"):
        if fields.get(key):
            extras[key] = fields[key]
    if fields.get("type") == "reasoning_text":
        extras["verbatim"] = True
    position = fields.get("index", number)
    if position:
        extras["continues"] = True
    else:
        item = {key: value for key, value in block.items() if key not in {"type", "summary", "index"}}
        if "id" in item:
            reasoning["id"] = item.pop("id")
        extras.update(item)
    if extras:
        reasoning["extras"] = extras
    if "index" in block:
        reasoning["index"] = f"{block['index']}_{position}" if position else block["index"]
    return reasoning


def _image(block: dict[str, Any]) -> dict[str, Any]:
    image = block.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    if isinstance(url, str) and url.startswith("data:"):
        mime_type, _, data = url[5:].partition(";base64,")
        return {"type": "image", "mime_type": mime_type, "base64": data}
    return {"type": "image", "url": url}


def _calls(message: AIMessage) -> Iterator[dict[str, Any]]:
    extras = _call_extras(message)
    for call in message.tool_calls:
        yield _with_extras({"type": "tool_call", **call}, extras)
    for invalid in message.invalid_tool_calls:
        yield _with_extras({"type": "invalid_tool_call", **with_reason(invalid)}, extras)


def _call_chunks(message: AIMessageChunk) -> Iterator[dict[str, Any]]:
    extras = _call_extras(message)
    parts = message.tool_call_chunks
    for part in parts:
        block = _with_extras({"type": "tool_call_chunk", **part}, extras)
        if part["id"] is None and len(parts) == len(extras) == 1:  # sent after the fragment with the id
            block = {**block, "extras": dict(next(iter(extras.values())))}
        yield block


def _call_extras(message: AIMessage) -> Mapping[str, Any]:
    extras = message.additional_kwargs.get(CALL_EXTRAS)
    return extras if isinstance(extras, Mapping) else {}


def _with_extras(call: dict[str, Any], extras: Mapping[str, Any]) -> dict[str, Any]:
    call_extras = extras.get(call.get("id") or "")
    return {**call, "extras": dict(call_extras)} if isinstance(call_extras, Mapping) else call
