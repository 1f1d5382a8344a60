"""Content blocks of every spelling are read once, into the same neutral records, and nothing of them is lost."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from dialects.targets import encode, target
from langchain_dbchat.dialects.chat_completions.content import encode_parts
from langchain_dbchat.dialects.chat_completions.messages import encode_conversation
from langchain_dbchat.dialects.shared.content import CONTENT_TYPES, read_block, read_result_content
from langchain_dbchat.dialects.shared.content_blocks import (
    DocumentBlock,
    MediaBlock,
    NeutralBlock,
    ProviderBlock,
    ReasoningBlock,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.models.families import FAMILIES

HI = HumanMessage("hi")
PNG = "iVBORw0KGgo="
EPHEMERAL = {"type": "ephemeral"}
quick = settings(max_examples=60, deadline=None)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
base64s = st.text("ABCabc123+/", min_size=4, max_size=12)
arguments = st.dictionaries(words, st.integers(0, 9) | words | st.none() | st.lists(words, max_size=2), max_size=3)


def read(*blocks: Any) -> list[NeutralBlock]:
    before = copy.deepcopy(blocks)
    records = [record for block in blocks for record in read_block(block)]
    assert blocks == before
    return records


def assert_alike(record: NeutralBlock, *spellings: Any) -> None:
    for spelling in spellings:
        blocks = spelling if isinstance(spelling, list) else [spelling]
        assert read(*blocks) == [record], spelling
    wrapped = [{"type": "non_standard", "value": spelling} for spelling in spellings if isinstance(spelling, dict)]
    assert all(read(block) == [record] for block in wrapped)


# The same thing in every spelling is the same record.


@quick
@given(words)
def test_text(said: str) -> None:
    assert_alike(
        TextBlock(said),
        said,
        {"type": "text", "text": said},
        {"type": "text", "text": said, "id": "lc_7", "index": "lc_txt_0", "annotations": [], "extras": {}},
        {"type": "text", "text": said, "source_type": "text"},
        {"type": "input_text", "text": said},
        {"type": "output_text", "text": said, "annotations": []},
    )
    assert_alike(TextBlock(said, refusal=True), {"type": "refusal", "refusal": said})
    assert_alike(
        TextBlock(said, cache_control=EPHEMERAL),
        {"type": "text", "text": said, "cache_control": EPHEMERAL},
        {"type": "text", "text": said, "extras": {"cache_control": EPHEMERAL}},
    )
    assert_alike(
        DocumentBlock((TextBlock(said),), title="T"),
        {"type": "text-plain", "text": said, "title": "T", "mime_type": "text/plain"},
        {"type": "file", "source_type": "text", "text": said, "title": "T", "mime_type": "text/plain"},
        {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": said}},
        {"type": "document", "title": "T", "source": {"type": "content", "content": said}},
        {"type": "document", "title": "T", "source": {"type": "content", "content": [{"type": "text", "text": said}]}},
    )


@quick
@given(base64s, words)
def test_images(data: str, name: str) -> None:
    link = f"https://x.org/{name}"
    url = f"data:image/png;base64,{data}"
    assert_alike(
        MediaBlock("image", data=data, mime_type="image/png"),
        {"type": "image", "base64": data, "mime_type": "image/png"},
        {"type": "image", "url": url},
        {"type": "image", "source_type": "base64", "data": data, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "input_image", "image_url": url},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "image", "data": data, "mimeType": "image/png"},
        {"type": "resource", "resource": {"blob": data, "mimeType": "image/png"}},
    )
    assert_alike(
        MediaBlock("image", url=link, detail="low"),
        {"type": "image", "url": link, "extras": {"detail": "low"}},
        {"type": "image", "source_type": "url", "url": link, "detail": "low"},
        {"type": "image_url", "image_url": {"url": link, "detail": "low"}},
        {"type": "input_image", "image_url": link, "detail": "low"},
        {"type": "image", "source": {"type": "url", "url": link}, "extras": {"detail": "low"}},
    )
    assert_alike(
        MediaBlock("image", file_id=name),
        {"type": "image", "file_id": name},
        {"type": "image", "source_type": "id", "id": name},
        {"type": "input_image", "file_id": name},
        {"type": "image", "source": {"type": "file", "file_id": name}},
    )


@quick
@given(base64s, words)
def test_files(data: str, name: str) -> None:
    url = f"data:application/pdf;base64,{data}"
    assert_alike(
        MediaBlock("file", data=data, mime_type="application/pdf", name=name),
        {"type": "file", "base64": data, "mime_type": "application/pdf", "filename": name},
        {"type": "file", "base64": data, "mime_type": "application/pdf", "extras": {"name": name}},
        {"type": "file", "source_type": "base64", "data": data, "mime_type": "application/pdf", "filename": name},
        {"type": "file", "file": {"file_data": url, "filename": name}},
        {"type": "input_file", "file_data": url, "filename": name},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": data},
            "title": name,
        },
        {"type": "resource", "resource": {"blob": data, "mimeType": "application/pdf", "name": name}},
    )
    assert_alike(
        MediaBlock("file", url="https://x.org/a.pdf"),
        {"type": "file", "url": "https://x.org/a.pdf"},
        {"type": "file", "source_type": "url", "url": "https://x.org/a.pdf"},
        {"type": "input_file", "file_url": "https://x.org/a.pdf"},
        {"type": "document", "source": {"type": "url", "url": "https://x.org/a.pdf"}},
    )
    assert_alike(
        MediaBlock("file", file_id=name),
        {"type": "file", "file_id": name},
        {"type": "file", "source_type": "id", "id": name},
        {"type": "file", "file": {"file_id": name}},
        {"type": "input_file", "file_id": name},
        {"type": "document", "source": {"type": "file", "file_id": name}},
    )


@quick
@given(base64s)
def test_sounds_and_videos(data: str) -> None:
    for form, mime_type in (("mp3", "audio/mpeg"), ("wav", "audio/wav")):
        assert_alike(
            MediaBlock("audio", data=data, mime_type=mime_type),
            {"type": "audio", "base64": data, "mime_type": mime_type},
            {"type": "audio", "source_type": "base64", "data": data, "mime_type": mime_type},
            {"type": "input_audio", "input_audio": {"data": data, "format": form}},
            {"type": "audio_url", "audio_url": {"url": f"data:{mime_type};base64,{data}"}},
            {"type": "audio", "data": data, "mimeType": mime_type},
            {"type": "resource", "resource": {"blob": data, "mimeType": mime_type}},
        )
    assert_alike(
        MediaBlock("video", data=data, mime_type="video/mp4"),
        {"type": "video", "base64": data, "mime_type": "video/mp4"},
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}},
    )
    for kind in ("audio", "video"):
        link = f"https://x.org/{kind}"
        written = {"type": f"{kind}_url", f"{kind}_url": {"url": link}}
        assert read(written) == read({"type": kind, "url": link}) != []


@quick
@given(words, base64s, words)
def test_reasoning(said: str, signature: str, more: str) -> None:
    entry = {"type": "summary_text", "text": said, "signature": signature}
    assert_alike(
        ReasoningBlock(said, signature),
        {"type": "reasoning", "summary": [entry], "index": "lc_rs_0"},
        {"type": "reasoning", "reasoning": said, "extras": {"signature": signature}},
        {"type": "thinking", "thinking": said, "signature": signature},
        {"type": "reasoning_content", "reasoning_content": {"text": said, "signature": signature}},
    )
    assert_alike(
        ReasoningBlock(data=signature),
        {"type": "reasoning", "summary": [{"type": "summary_encrypted_text", "data": signature}]},
        {"type": "reasoning", "reasoning": "", "extras": {"data": signature}},
        {"type": "redacted_thinking", "data": signature},
        {"type": "reasoning_content", "reasoning_content": {"redactedContent": signature}},
    )
    two = [ReasoningBlock(said, id="rs_1", extras={"encrypted_content": signature}),
           ReasoningBlock(more, id="rs_1", continues=True)]  # fmt: skip
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": said}, {"type": "summary_text", "text": more}],
        "encrypted_content": signature,
    }
    standard = [
        {"type": "reasoning", "id": "rs_1", "reasoning": said, "extras": {"encrypted_content": signature}},
        {"type": "reasoning", "id": "rs_1", "reasoning": more, "extras": {"continues": True}},
    ]
    assert read(item) == read(*standard) == two
    assert read({**item, "summary": []}) == [ReasoningBlock(id="rs_1", extras={"encrypted_content": signature})]


@quick
@given(words, words, arguments)
def test_tool_calls(call_id: str, name: str, given_arguments: dict[str, Any]) -> None:
    text = json.dumps(given_arguments)
    assert_alike(
        ToolUseBlock(call_id, name, given_arguments),
        {"type": "tool_use", "id": call_id, "name": name, "input": given_arguments},
        {"type": "tool_use", "id": call_id, "name": name, "input": text},
        {"type": "tool_call", "id": call_id, "name": name, "args": given_arguments, "index": 0},
        {"type": "function_call", "call_id": call_id, "name": name, "arguments": text},
    )
    broken = f"{text}]"
    assert_alike(
        ToolUseBlock(call_id, name, {"invalid_arguments": broken}, "malformed"),
        {"type": "invalid_tool_call", "id": call_id, "name": name, "args": broken},
        {"type": "tool_use", "id": call_id, "name": name, "input": broken},
        {"type": "function_call", "call_id": call_id, "name": name, "arguments": broken},
    )


@quick
@given(words, words, base64s)
def test_tool_results(call_id: str, said: str, data: str) -> None:
    image = {"type": "image", "base64": data, "mime_type": "image/png"}
    content = (TextBlock(said), MediaBlock("image", data=data, mime_type="image/png"))
    anthropic = [
        {"type": "text", "text": said},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
    ]
    openai = [
        {"type": "input_text", "text": said},
        {"type": "input_image", "image_url": f"data:image/png;base64,{data}"},
    ]
    assert_alike(
        ToolResultBlock(call_id, content),
        {"type": "tool_result", "tool_use_id": call_id, "content": anthropic},
        {"type": "function_call_output", "call_id": call_id, "output": openai},
        {"type": "custom_tool_call_output", "call_id": call_id, "output": openai},
    )
    assert_alike(
        ToolResultBlock(call_id, (TextBlock(said),)),
        {"type": "tool_result", "tool_use_id": call_id, "content": said},
        {"type": "tool_result", "tool_use_id": call_id, "content": [said]},
        {"type": "function_call_output", "call_id": call_id, "output": said},
    )
    nested = {"type": "tool_result", "tool_use_id": "z", "content": [said, [image]]}
    assert tuple(read_result_content(nested)) == tuple(read_result_content([said, image])) == content
    failed = {"type": "tool_result", "tool_use_id": call_id, "is_error": True}
    assert read(failed) == [ToolResultBlock(call_id, failed=True)]


# Nothing is lost.


ONE_OF_EACH: list[dict[str, Any]] = [
    {"type": "text", "text": "a"},
    {"type": "refusal", "refusal": "a"},
    {"type": "json", "json": {"a": 1}},
    {"type": "text-plain", "text": "a"},
    {"type": "text-plain", "base64": "aGk=", "mime_type": "text/plain"},
    {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "a"}]},
    {"type": "resource", "resource": {"uri": "u", "text": "a"}},
    {"type": "resource", "resource": {"uri": "u", "blob": PNG, "mimeType": "image/png"}},
    {"type": "image", "url": "https://x.org/a.png"},
    {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}},
    {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
    {"type": "video_url", "video_url": {"url": "https://x.org/a.mp4"}},
    {"type": "file", "file": {"file_id": "f"}},
    {"type": "document", "source": {"type": "text", "data": "a"}},
    {"type": "document", "source": {"type": "url", "url": "https://x.org/a.pdf"}},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]},
    {"type": "reasoning", "reasoning": "a"},
    {"type": "thinking", "thinking": "a", "signature": "S"},
    {"type": "reasoning_content", "reasoning_content": {"text": "a"}},
    {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "tool_call_chunk", "id": "c", "name": "f", "args": "{"},
    {"type": "tool_result", "tool_use_id": "c", "content": "a"},
    {"type": "function_call_output", "call_id": "c", "output": "a"},
]


@pytest.mark.parametrize("block", ONE_OF_EACH, ids=lambda block: str(block["type"]))
def test_what_has_no_field_is_kept_under_its_own_name(block: dict[str, Any]) -> None:
    for spelled in ({**block, "novel": {"a": [1]}}, {**block, "extras": {"novel": {"a": [1]}}}):
        (record,) = read(spelled)
        assert not isinstance(record, ProviderBlock)
        assert record.extras["novel"] == {"a": [1]}
    for key in ("resource", "image_url", "input_audio", "video_url", "file"):
        if key in block:
            (record,) = read({**block, key: {**block[key], "novel": 7}})
            assert not isinstance(record, ProviderBlock)
            assert record.extras[key]["novel"] == 7


def test_what_an_entry_of_reasoning_carries_is_kept_with_it() -> None:
    entries = [{"type": "summary_text", "text": "a", "novel": 1}, {"type": "summary_text", "text": "b", "novel": 2}]
    records = read({"type": "reasoning", "summary": entries})
    assert [record.extras for record in records if isinstance(record, ReasoningBlock)] == [
        {"summary": {"novel": 1}},
        {"summary": {"novel": 2}},
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "hologram", "depth": 3},
        {"type": "image"},
        {"type": "text", "text": 5},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"no": "type"},
        {"type": ["text"]},
    ],
)
def test_a_block_without_a_neutral_form_is_kept_whole(block: dict[str, Any]) -> None:
    (record,) = read(block)
    assert isinstance(record, ProviderBlock)
    assert record.value == block
    (wrapped,) = read({"type": "non_standard", "value": block})
    assert isinstance(wrapped, ProviderBlock)
    assert (wrapped.value, wrapped.wrapped) == (block, True)


def test_citations_and_signatures_are_kept_as_they_were_written() -> None:
    citation = {"type": "char_location", "cited_text": "a", "document_index": 0, "start_char_index": 1}
    for key in ("citations", "annotations"):
        assert read({"type": "text", "text": "a", key: [citation]}) == [TextBlock("a", citations=(citation,))]
    for block in ({"thoughtSignature": "T"}, {"extras": {"thoughtSignature": "T"}}):
        assert read({"type": "text", "text": "a", **block}) == [TextBlock("a", signature="T")]


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words | st.sampled_from(["type", "text"]), inner),
    max_leaves=5,
)
_KEYS = st.sampled_from(
    [
        *("text", "refusal", "json", "base64", "data", "url", "image_url", "audio_url", "video_url", "input_audio"),
        *("file", "source", "resource", "mime_type", "file_id", "content", "summary", "reasoning", "thinking", "title"),
        *("signature", "extras", "cache_control", "id", "call_id", "input", "args", "arguments", "output", "value"),
        *("source_type", "citations", "name"),
    ]
)
_TYPES = st.sampled_from(
    [*CONTENT_TYPES, *(str(block["type"]) for block in ONE_OF_EACH), "hologram", "web_search_call"]
)


@settings(max_examples=200, deadline=None)
@given(_TYPES, st.dictionaries(_KEYS, json_values | st.dictionaries(_KEYS, json_values, max_size=3), max_size=5))
def test_reading_never_fails_and_changes_nothing(kind: str, fields: dict[str, Any]) -> None:
    block = {"type": kind, **fields}
    assert len(read(block)) >= 1
    for family in ("generic", "claude", "gemini-3"):
        why = refusal_of(block, family)
        assert why == "" or "message 0 (human), block 0: " in why


def refusal_of(block: dict[str, Any], family: str) -> str:
    """Why a block is not sent, or nothing."""
    try:
        encode_parts([block], FAMILIES[family], "message 0 (human)")
    except UnsupportedContentError as error:
        return str(error)
    return ""


# The wires that come next can say every field: what they are written as is read as the same record.


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
pixels = st.builds(MediaBlock, st.just("image"), data=base64s, mime_type=st.just("image/png"))
papers = st.builds(
    MediaBlock, st.just("file"), data=base64s, mime_type=st.just("application/pdf"), name=st.none() | words
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


# What follows from it on this wire.


def call(call_id: str = "c1") -> ToolCall:
    return ToolCall(name="f", args={}, id=call_id, type="tool_call")


def test_parts_of_responses_are_sent_as_parts_of_this_wire() -> None:
    blocks: list[Any] = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "https://x.org/a.png", "detail": "low"},
        {"type": "input_file", "file_data": f"data:application/pdf;base64,{PNG}", "filename": "a.pdf"},
    ]
    assert encode(HumanMessage(blocks))[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "low"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}", "filename": "a.pdf"}},
    ]
    assert encode(HI, AIMessage([{"type": "output_text", "text": "b"}]), HI)[1]["content"] == "b"
    with pytest.raises(UnsupportedContentError, match="stores no files"):
        encode(HumanMessage([{"type": "input_file", "file_id": "file-1"}]))


def test_what_is_in_this_wires_spelling_goes_as_it_was_written() -> None:
    for block in (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "format": "image/png"}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{PNG}", "novel": 1}},
        {"type": "file", "file": {"file_id": "file-1", "format": "application/pdf"}},
        {"type": "video_url", "video_url": {"url": "https://x.org/a.mp4", "fps": 2}},
    ):
        assert encode(HumanMessage([block]))[0]["content"] == [block]


def test_a_result_in_openais_spelling_becomes_a_tool_message() -> None:
    output = {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "42"}]}
    wire = encode(HI, AIMessage("", tool_calls=[call()]), HumanMessage([output, "So?"]))
    assert wire[2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "user", "content": "So?"},
    ]


def test_an_error_names_the_block_by_its_place_in_the_callers_list() -> None:
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "42"}
    with pytest.raises(UnsupportedContentError, match="block 1"):
        encode(HI, AIMessage("", tool_calls=[call()]), HumanMessage([result, {"type": "hologram"}]))


def test_a_wrapped_block_says_what_it_says_unwrapped() -> None:
    marked = {"type": "text", "text": "a", "cache_control": EPHEMERAL}
    for block in (
        {"type": "non_standard", "value": marked},
        {"type": "non_standard", "value": {"type": "text", "text": "a"}, "cache_control": EPHEMERAL},
    ):
        assert encode(SystemMessage([block]), HI, family="claude")[0]["content"] == [marked]
        assert encode(HI, AIMessage([block]), HI, family="claude")[1]["content"] == [marked]
    redacted = {"type": "non_standard", "value": {"type": "redacted_thinking", "data": "E"}}
    made_by = {"model_provider": "anthropic"}
    wire = encode(HI, AIMessage([redacted, "a"], response_metadata=made_by), HI, family="claude")
    assert wire[1]["content"][0] == {
        "type": "reasoning",
        "summary": [{"type": "summary_encrypted_text", "data": "E"}],
    }
    unknown_maker = encode(HI, AIMessage([redacted, "a"]), HI, family="claude")
    assert unknown_maker[1]["content"] == "a"


def test_an_entry_that_continues_stays_with_its_own_part() -> None:
    def entry(text: str, signature: str | None) -> dict[str, Any]:
        return {"type": "summary_text", "text": text, **({"signature": signature} if signature else {})}

    blocks: list[Any] = [
        {"type": "reasoning", "summary": [entry("a", "S")]},
        {"type": "reasoning", "summary": [entry("b", None), {**entry("c", "V"), "novel": 1}]},
        "said",
    ]
    made_by = {"model_provider": "databricks", "model_name": "my-endpoint", "model_family": "claude"}
    wire = encode(HI, AIMessage(blocks, response_metadata=made_by), HI, family="claude")
    assert wire[1]["content"][:2] == [
        {"type": "reasoning", "summary": [entry("a", "S")]},
        {"type": "reasoning", "summary": [{**entry("c", "V"), "novel": 1}]},
    ]


def test_a_malformed_call_that_only_the_content_holds_is_answered_like_any_other() -> None:
    broken = {"type": "invalid_tool_call", "id": "c7", "name": "f", "args": '{"a', "error": "x"}
    wire = encode(HI, AIMessage([broken]), ToolMessage("no", tool_call_id="c7"))
    assert [made["id"] for made in wire[1]["tool_calls"]] == ["c7"]
    assert json.loads(wire[1]["tool_calls"][0]["function"]["arguments"]) == {"invalid_arguments": '{"a'}
    assert "malformed" in encode(HI, AIMessage([broken]), HI)[2]["content"]


def test_a_type_that_is_not_text_stops_no_thread() -> None:
    wire, warnings = encode_conversation([HI, AIMessage([{"type": ["a"]}, "b"]), HI], target("claude"))
    assert wire[1]["content"].endswith("b")
    assert len(warnings) == 1


def test_a_document_of_texts_is_sent_as_text() -> None:
    texts_within = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    block = {"type": "document", "title": "T", "source": {"type": "content", "content": texts_within}}
    assert encode(HumanMessage([block]))[0]["content"] == "T\n\na\nb"
    block["source"] = {"type": "content", "content": [{"type": "image", "base64": PNG, "mime_type": "image/png"}]}
    with pytest.raises(UnsupportedContentError, match="a document that holds images"):
        encode(HumanMessage([block]))


# What an answer or a tool left.

LEFT_BY_TOOLS: list[dict[str, Any]] = [
    {"type": "mcp_approval_request", "id": "m1", "name": "f"},
    {"type": "mcp_list_tools", "server_label": "s"},
    {"type": "computer_call_output", "call_id": "c1", "output": {}},
    {"type": "web_search_call"},
    {"type": "non_standard", "value": {"type": "hologram"}},
]


@pytest.mark.parametrize("block", LEFT_BY_TOOLS, ids=lambda block: str(block["type"]))
def test_what_a_providers_own_tools_left_in_an_answer_is_dropped_in_silence(block: dict[str, Any]) -> None:
    wire, warnings = encode_conversation([HI, AIMessage([block, "b"]), HI], target("claude"))
    assert (wire[1]["content"], warnings) == ("b", [])


def test_what_an_answer_says_and_cannot_be_sent_is_named_wrapped_or_not() -> None:
    for block in ({"type": "image"}, {"type": "non_standard", "value": {"type": "image"}}):
        wire, warnings = encode_conversation([HI, AIMessage([block]), HI], target("claude"))
        assert wire[1]["content"] == "\n[Left out, because this model does not take it: image]\n"
        assert len(warnings) == 1


def test_plain_data_in_a_result_is_json_wrapped_or_not() -> None:
    for block in ({"temperature": 3}, {"type": "non_standard", "value": {"temperature": 3}}):
        result = ToolMessage([block], tool_call_id="c1")
        wire, warnings = encode_conversation([HI, AIMessage("", tool_calls=[call()]), result], target("claude"))
        assert (wire[2]["content"], warnings) == ('{"temperature": 3}', [])


def test_a_result_that_stands_as_a_block_keeps_its_mark_where_marks_are_taken() -> None:
    result = {"type": "tool_result", "tool_use_id": "c1", "content": ["a", "b"], "cache_control": EPHEMERAL}
    history = [HI, AIMessage("", tool_calls=[call()]), HumanMessage([result, "So?"])]
    assert encode(*history, family="claude")[2]["content"] == [
        {"type": "text", "text": "a\nb", "cache_control": EPHEMERAL}
    ]
    assert encode(*history, family="gpt-5")[2]["content"] == "a\nb"


def test_a_call_that_langchain_calls_invalid_is_malformed_although_its_arguments_can_be_read() -> None:
    block = {"type": "invalid_tool_call", "id": "c7", "name": "f", "args": "{}", "error": "cut off"}
    wire = encode(HI, AIMessage([block]))
    assert wire[1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert "malformed" in wire[2]["content"]


@pytest.mark.parametrize("known", [True, False])
def test_a_signature_in_a_block_of_a_call_goes_back_to_its_maker(known: bool) -> None:
    block = {"type": "tool_call", "id": "c1", "name": "f", "args": {}, "extras": {"thoughtSignature": "T", "novel": 1}}
    made_by = {"model_provider": "databricks", "model_name": "databricks-gemini-3-flash", "model_family": "gemini-3"}
    answer = AIMessage([block], tool_calls=[call()] if known else [], response_metadata=made_by)
    (made,) = encode(HI, answer, family="gemini-3")[1]["tool_calls"]
    assert (made["thoughtSignature"], "novel" in made) == ("T", False)
    (elsewhere,) = encode(HI, answer, family="claude")[1]["tool_calls"]
    assert "thoughtSignature" not in elsewhere


def test_a_signature_of_text_goes_back_to_its_maker() -> None:
    made_by = {"model_provider": "databricks", "model_name": "databricks-gemini-3-flash", "model_family": "gemini-3"}
    for block in ({"thoughtSignature": "T"}, {"extras": {"thoughtSignature": "T"}}):
        answer = AIMessage([{"type": "text", "text": "a", **block}], response_metadata=made_by)
        signed = [{"type": "text", "text": "a", "thoughtSignature": "T"}]
        assert encode(HI, answer, HI, family="gemini-3")[1]["content"] == signed
        assert encode(HI, answer, HI, family="claude")[1]["content"] == "a"


@pytest.mark.parametrize(
    "url",
    [
        "data:image/svg+xml;utf8,<svg/>",
        "data:image/png;charset=x;base64,AAAA",
        "data:;base64,AAAA",
        "data:text/plain,a;base64,b",
    ],
)
def test_a_data_url_that_is_not_plain_base64_stays_as_it_is(url: str) -> None:
    assert read({"type": "image", "url": url}) == [MediaBlock("image", url=url)]
    for block in ({"type": "image", "url": url}, {"type": "input_image", "image_url": url}):
        assert encode(HumanMessage([block]))[0]["content"] == [{"type": "image_url", "image_url": {"url": url}}]
