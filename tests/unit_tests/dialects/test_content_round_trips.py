"""The wires that come next can say each neutral block: what they write is read as the same record."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kit.encoding import without_data_urls
from langchain_dbchat.dialects.shared.blocks.content import read_block
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

EPHEMERAL = {"type": "ephemeral"}
quick = settings(max_examples=60, deadline=None)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
base64s = st.text("ABCabc123+/", min_size=4, max_size=12)
arguments = st.dictionaries(words, st.integers(0, 9) | words | st.none() | st.lists(words, max_size=2), max_size=3)


def read(block: Any) -> list[NeutralBlock]:
    return list(map(without_data_urls, read_block(block)))


def as_anthropic(record: NeutralBlock) -> dict[str, Any]:
    """Write a record as a block of Anthropic's Messages."""
    block: dict[str, Any]
    if isinstance(record, TextBlock):
        block = {"type": "text", "text": record.text, "citations": list(record.citations)}
    elif isinstance(record, DocumentBlock) and record.search_result:
        parts = [as_anthropic(part) for part in record.parts]
        block = {"type": "search_result", "title": record.title, "source": record.source, "content": parts}
    elif isinstance(record, DocumentBlock):
        source = {"type": "content", "content": [as_anthropic(part) for part in record.parts]}
        block = {"type": "document", "source": source, "title": record.title}
    elif isinstance(record, MediaBlock):
        places: dict[str, dict[str, Any]] = {
            "base64": {"type": "base64", "media_type": record.mime_type, "data": record.data},
            "url": {"type": "url", "url": record.url},
            "file": {"type": "file", "file_id": record.file_id},
        }
        place = places["base64" if record.data else "url" if record.url else "file"]
        kind = {"image": "image", "file": "document"}[record.kind]
        block = {"type": kind, "source": place, "title": record.name}
    elif isinstance(record, ReasoningBlock):
        redacted = {"type": "redacted_thinking", "data": record.data}
        block = redacted if record.data else {
            "type": "thinking", "thinking": record.text, "signature": record.signature}  # fmt: skip
    elif isinstance(record, ToolUseBlock):
        block = {"type": "tool_use", "id": record.id, "name": record.name, "input": record.arguments}
    elif isinstance(record, ToolResultBlock):
        content = [as_anthropic(part) for part in record.content]
        block = {"type": "tool_result", "tool_use_id": record.call_id, "content": content, "is_error": record.failed}
    else:
        return dict(record.value)
    mark = getattr(record, "cache_control", None)
    return {**block, **record.extras, **({"cache_control": mark} if mark else {})}


def as_responses(record: NeutralBlock) -> dict[str, Any]:  # noqa: PLR0911  # one for each record
    """Write a record as a part or an item of OpenAI's Responses."""
    if isinstance(record, TextBlock):
        if record.refusal:
            return {"type": "refusal", "refusal": record.text}
        return {"type": "output_text", "text": record.text, "annotations": list(record.citations), **record.extras}
    if isinstance(record, MediaBlock):
        url = record.url or (f"data:{record.mime_type};base64,{record.data}" if record.data else None)
        if record.kind == "image":
            image = {"image_url": url} if url else {"file_id": record.file_id}
            return {"type": "input_image", **image, "detail": record.detail}
        place = {"file_url": url} if record.url else {"file_data": url} if url else {"file_id": record.file_id}
        return {"type": "input_file", **place, "filename": record.name}
    if isinstance(record, ReasoningBlock):
        summary = [{"type": "summary_text", "text": record.text}]
        return {"type": "reasoning", "id": record.id, "summary": summary, **record.extras}
    if isinstance(record, ToolUseBlock):
        call = {"call_id": record.id, "name": record.name, "arguments": json.dumps(record.arguments)}
        return {"type": "function_call", **call, **record.extras}
    if isinstance(record, ToolResultBlock):
        output = [as_responses(part) for part in record.content]
        return {"type": "function_call_output", "call_id": record.call_id, "output": output, **record.extras}
    assert isinstance(record, ProviderBlock)
    return dict(record.value)


images = st.builds(MediaBlock, st.just("image"), url=st.just("https://x.org/a"), detail=st.none())
pixels = st.builds(MediaBlock, st.just("image"), encoded=base64s, mime_type=st.just("image/png"))
papers = st.builds(
    MediaBlock, st.just("file"), encoded=base64s, mime_type=st.just("application/pdf"), name=st.none() | words
)
stored = st.builds(MediaBlock, st.sampled_from(["image", "file"]), file_id=words)
media = images | pixels | papers | stored
unknown = st.dictionaries(st.sampled_from(["novel", "status"]), words, max_size=2)
texts = st.builds(TextBlock, words, citations=st.just(()) | st.just(({"type": "x", "n": 1},)), extras=unknown)
uses = st.builds(ToolUseBlock, words, words, arguments, extras=unknown)
others = st.just(ProviderBlock("web_search_call", {"type": "web_search_call", "id": "ws_1"}))


@quick
@given(
    texts
    | media
    | uses
    | others
    | st.builds(TextBlock, words, cache_control=st.just(EPHEMERAL))
    | st.builds(DocumentBlock, st.lists(texts | pixels, max_size=2).map(tuple), title=st.none() | words, extras=unknown)
    | st.builds(
        DocumentBlock, st.lists(texts).map(tuple), st.just("T"), st.just("https://x.org"), search_result=st.just(True)
    )
    | st.builds(ReasoningBlock, words, base64s)
    | st.builds(ReasoningBlock, data=base64s)
    | st.builds(ToolResultBlock, words, st.lists(texts | media, max_size=2).map(tuple), st.booleans(), extras=unknown)
)
def test_anthropics_messages_can_say_a_record_without_loss(record: NeutralBlock) -> None:
    assert read(as_anthropic(record)) == [record]


@quick
@given(
    texts
    | media
    | uses
    | others
    | st.builds(TextBlock, words, refusal=st.just(True))
    | st.builds(MediaBlock, st.just("image"), url=st.just("https://x.org/a"), detail=st.just("high"))
    | st.builds(ReasoningBlock, words, id=st.just("rs_1"), extras=unknown)
    | st.builds(ToolUseBlock, words, words, arguments, extras=st.just({"id": "fc_1", "status": "completed"}))
    | st.builds(ToolResultBlock, words, st.lists(texts | media, max_size=2).map(tuple), extras=unknown)
)
def test_openais_responses_can_say_a_record_without_loss(record: NeutralBlock) -> None:
    assert read(as_responses(record)) == [record]
