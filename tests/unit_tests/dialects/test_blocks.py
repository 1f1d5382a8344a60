"""LangChain's standard blocks for our messages."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.block_translators import get_translator

from langchain_dbchat.dialects.shared.answer import standard_blocks as blocks
from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.dialects.shared.blocks.message_keys import CALL_EXTRAS, PROVIDER

translators.register()
OURS = {"model_provider": PROVIDER}


def of(content: Any, **more: Any) -> list[Any]:
    return AIMessage(content=content, response_metadata=OURS, **more).content_blocks


def of_chunk(content: Any, **more: Any) -> list[Any]:
    return AIMessageChunk(content=content, response_metadata=OURS, **more).content_blocks


def test_our_translators_are_registered() -> None:
    registered = get_translator("databricks")
    message, chunk = AIMessage("a"), AIMessageChunk(content="a")
    assert registered is not None
    assert registered["translate_content"](message) == blocks.translate_content(message) == [TEXT]
    assert registered["translate_content_chunk"](chunk) == blocks.translate_content_chunk(chunk)
    assert blocks.translate_content_chunk(chunk) == [{**TEXT, "index": "lc_txt_0"}]


TEXT = {"type": "text", "text": "a"}


CITED = {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "c", "encrypted_index": "e"}


CITATION = {"type": "citation", "url": "u", "title": "t", "cited_text": "c"}
ENCRYPTED = {"type": "summary_encrypted_text", "data": "E"}
REFUSAL = {"type": "refusal", "refusal": "no"}


@pytest.mark.parametrize(
    ("block", "standard"),
    [
        ("a", [{"type": "text", "text": "a"}]),
        ("", []),
        ({"type": "text", "text": "a"}, [{"type": "text", "text": "a"}]),
        (
            {"type": "text", "text": "a", "thoughtSignature": "T"},
            [{"type": "text", "text": "a", "extras": {"thoughtSignature": "T"}}],
        ),
        (
            {"type": "text", "text": "a", "citations": [CITED, "p. 3"]},
            [
                {
                    "type": "text",
                    "text": "a",
                    "annotations": [
                        {**CITATION, "extras": {"encrypted_index": "e"}},
                        {"type": "non_standard_annotation", "value": {"citation": "p. 3"}},
                    ],
                }
            ],
        ),
        (
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a", "signature": "S"}]},
            [{"type": "reasoning", "reasoning": "a", "extras": {"signature": "S"}}],
        ),
        (
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}, ENCRYPTED]},
            [
                {"type": "reasoning", "reasoning": "a"},
                {"type": "reasoning", "reasoning": "", "extras": {"data": "E", "continues": True}},
            ],
        ),
        ({"type": "reasoning", "reasoning": "a"}, [{"type": "reasoning", "reasoning": "a"}]),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            [{"type": "image", "mime_type": "image/png", "base64": "iVBO"}],
        ),
        ({"type": "image_url", "image_url": {"url": "https://x"}}, [{"type": "image", "url": "https://x"}]),
        ({"type": "tool_thing", "a": 1}, [{"type": "non_standard", "value": {"type": "tool_thing", "a": 1}}]),
    ],
)
def test_every_kind_of_content(block: Any, standard: list[Any]) -> None:
    assert of([block]) == standard


def test_calls_come_last_with_what_they_carried() -> None:
    call = {"type": "tool_call", "name": "f", "args": {"a": 1}, "id": "c1"}
    broken = {"type": "invalid_tool_call", "name": "f", "args": "{", "id": "c2", "error": "x"}
    extras = {CALL_EXTRAS: {"c1": {"thoughtSignature": "T"}}}
    said = of("a", tool_calls=[call], invalid_tool_calls=[broken], additional_kwargs=extras)
    assert said == [{"type": "text", "text": "a"}, {**call, "extras": {"thoughtSignature": "T"}}, broken]


def test_a_refusal_is_a_block() -> None:
    (block,) = of("", additional_kwargs={"refusal": "no"})
    assert block in (
        {"type": "refusal", "refusal": "no"},
        {"type": "non_standard", "value": {"type": "refusal", "refusal": "no"}},
    )


def test_chunks_carry_string_indices_for_content_and_whole_numbers_for_calls() -> None:
    part = {"type": "tool_call_chunk", "name": "f", "args": "{}", "id": "c1", "index": 0}
    (text, call) = of_chunk("a", tool_call_chunks=[part])
    assert text == {"type": "text", "text": "a", "index": "lc_txt_0"}
    assert call == part
    entry = {"type": "summary_text", "text": "a", "index": 1}
    (reasoning,) = of_chunk([{"type": "reasoning", "summary": [entry], "index": "lc_rs_0"}])
    assert reasoning == {"type": "reasoning", "reasoning": "a", "extras": {"continues": True}, "index": "lc_rs_0_1"}


def test_extras_that_come_after_their_calls_id_stay_with_the_call() -> None:
    part = {"type": "tool_call_chunk", "name": None, "args": "", "id": None, "index": 0}
    chunk = of_chunk("", tool_call_chunks=[part], additional_kwargs={CALL_EXTRAS: {"c1": {"thoughtSignature": "T"}}})
    assert chunk == [{**part, "extras": {"thoughtSignature": "T"}}]


def test_the_last_chunk_shows_calls_instead_of_fragments() -> None:
    part = {"type": "tool_call_chunk", "name": "f", "args": '{"a": 1}', "id": "c1", "index": 0}
    assert of_chunk("", tool_call_chunks=[part], chunk_position="last") == [
        {"type": "tool_call", "name": "f", "args": {"a": 1}, "id": "c1"}
    ]


def test_text_that_began_as_a_string_is_one_block() -> None:
    rest = {"type": "text", "text": "b", "citations": ["c"], "index": "lc_txt_0"}
    (block,) = of_chunk(["a", rest])
    assert (block["text"], len(block["annotations"])) == ("ab", 1)
    assert [block["text"] for block in of_chunk(["a", {**rest, "index": "lc_txt_2"}])] == ["a", "b"]


def test_without_our_translators_nothing_breaks() -> None:
    """A process that never imported the package reads our messages by best effort."""
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a", "signature": "S"}]}
    message = AIMessage(
        content=[reasoning, {"type": "text", "text": "b"}], tool_calls=[{"name": "f", "args": {}, "id": "c"}]
    )
    assert message.text == "b"
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text", "tool_call"]
