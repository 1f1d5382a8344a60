"""Content blocks of every spelling are read once, into the same neutral records, and nothing of them is lost."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from kit.encoding import encode_parts, without_data_urls
from langchain_dbchat.dialects.shared.blocks.content import CONTENT_TYPES, read_block, read_result_content
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
        assert list(map(without_data_urls, read(*blocks))) == [record], spelling
    wrapped = [{"type": "non_standard", "value": spelling} for spelling in spellings if isinstance(spelling, dict)]
    assert all(list(map(without_data_urls, read(block))) == [record] for block in wrapped)


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
        MediaBlock("image", encoded=data, mime_type="image/png"),
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
    (record,) = read({"type": "image", "url": url})
    assert isinstance(record, MediaBlock)
    assert record.data_url is url  # megabytes that a wire takes as they were written are not copied
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
        MediaBlock("file", encoded=data, mime_type="application/pdf", name=name),
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
            MediaBlock("audio", encoded=data, mime_type=mime_type),
            {"type": "audio", "base64": data, "mime_type": mime_type},
            {"type": "audio", "source_type": "base64", "data": data, "mime_type": mime_type},
            {"type": "input_audio", "input_audio": {"data": data, "format": form}},
            {"type": "audio_url", "audio_url": {"url": f"data:{mime_type};base64,{data}"}},
            {"type": "audio", "data": data, "mimeType": mime_type},
            {"type": "resource", "resource": {"blob": data, "mimeType": mime_type}},
        )
    assert_alike(
        MediaBlock("video", encoded=data, mime_type="video/mp4"),
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
    content = (TextBlock(said), MediaBlock("image", encoded=data, mime_type="image/png"))
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


def test_reasoning_that_has_a_summary_and_the_whole_keeps_both() -> None:
    whole = [{"type": "reasoning_text", "text": "all of it"}]
    summary = [{"type": "summary_text", "text": "a"}]
    assert read({"type": "reasoning", "content": whole}) == [ReasoningBlock("all of it", verbatim=True)]
    assert read({"type": "reasoning", "summary": summary, "content": whole}) == [
        ReasoningBlock("a", extras={"content": whole})
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
@example("image", {"image_url": {}, "text": {}, "file_id": 1})
def test_reading_never_fails_and_changes_nothing(kind: str, fields: dict[str, Any]) -> None:
    block = {"type": kind, **fields}
    assert len(read(block)) >= 1
    for family in ("generic", "claude", "gemini-3"):
        why = refusal_of(block, family)
        assert why == "" or "message 0 (human)" in why


def refusal_of(block: dict[str, Any], family: str) -> str:
    """Why a block is not sent, or nothing."""
    try:
        encode_parts([block], FAMILIES[family])
    except UnsupportedContentError as error:
        return str(error)
    return ""
