"""What becomes of content blocks on this wire, whatever spelling they came in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from kit.targets import encode, target
from langchain_dbchat.dialects.chat_completions.messages import encode_conversation
from langchain_dbchat.dialects.shared.blocks.content import read_block
from langchain_dbchat.dialects.shared.blocks.content_blocks import MediaBlock
from langchain_dbchat.errors import UnsupportedContentError

HI = HumanMessage("hi")
PNG = "iVBORw0KGgo="
EPHEMERAL = {"type": "ephemeral"}


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
    with pytest.raises(UnsupportedContentError, match="a document that contains images"):
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


def test_what_stands_around_a_wrapped_block_is_not_written_as_its_data() -> None:
    around = {"cache_control": EPHEMERAL, "extras": {"a": 1}, "id": "lc_1", "index": 0}
    for value in ({"temperature": 3}, {"type": "hologram", "depth": 3}):
        block = {"type": "non_standard", "value": value, **around}
        assert [getattr(record, "value", None) for record in read_block(block)] == [value]
        result = ToolMessage([block], tool_call_id="c1")
        wire, _ = encode_conversation([HI, AIMessage("", tool_calls=[call()]), result], target("claude"))
        assert json.loads(wire[2]["content"].splitlines()[-1]) == value


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
    assert list(read_block({"type": "image", "url": url})) == [MediaBlock("image", url=url)]
    for block in ({"type": "image", "url": url}, {"type": "input_image", "image_url": url}):
        assert encode(HumanMessage([block]))[0]["content"] == [{"type": "image_url", "image_url": {"url": url}}]
