"""What stands beside the content: fields over several events, citations in every spelling, audio."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import to_json

from kit.targets import event, summed, target
from langchain_dbchat.dialects.chat_completions.decode import decode_answer
from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.dialects.shared.answer.fields import Fields
from langchain_dbchat.dialects.shared.blocks.citations import read_citation

translators.register()
STOP = event({}, "stop")


@pytest.mark.parametrize(
    ("values", "of_a_delta", "beside_choices"),
    [
        (["a", "a", "a"], "a", "a"),
        (["ha", "ha", "!"], "haha!", "!"),
        ([[1], [1, 2]], [1, 2], [1, 2]),
        ([[1], [1], [2]], [1, 1, 2], [1, 1, 2]),
        ([{"a": "x"}, {"a": "y", "b": [1]}, {"b": [2]}], {"a": "xy", "b": [1, 2]}, {"a": "y", "b": [1, 2]}),
        ([1, 2], 2, 2),
        ([True, False], False, False),
        (["a", 1], 1, 1),
        ([None, "", [], {}, 0], 0, 0),
        ([None, "", [], {}], None, None),
        ([[2**64, -(2**63)]], [str(2**64), -(2**63)], [str(2**64), -(2**63)]),
    ],
)
def test_the_values_of_a_field_become_one(values: list[Any], of_a_delta: Any, beside_choices: Any) -> None:
    for fragments, expected in ((True, of_a_delta), (False, beside_choices)):
        fields = Fields(fragments=fragments)
        for value in values:
            fields.add({"x": value, "y": 1}, {"y"})
        assert fields.whole() == ({} if expected is None else {"x": expected})
        assert fields.copy().whole() == fields.whole()


@pytest.mark.parametrize(
    ("citation", "standard"),
    [
        ("https://x", {"type": "citation", "url": "https://x"}),
        ("p. 3", {"type": "non_standard_annotation", "value": {"citation": "p. 3"}}),
        ({"type": "citation", "url": "u", "id": "1"}, {"type": "citation", "url": "u", "id": "1"}),
        (
            {"type": "url_citation", "url_citation": {"url": "u", "content": "c", "title": None, "n": 0}},
            {"type": "citation", "url": "u", "cited_text": "c", "extras": {"n": 0}},
        ),
        (
            {"type": "file_citation", "file_id": "f", "filename": "a.pdf", "index": 3},
            {"type": "citation", "title": "a.pdf", "extras": {"file_id": "f", "index": 3}},
        ),
        (
            {"type": "search_result_location", "source": "https://x", "cited_text": "c", "title": 7},
            {"type": "citation", "url": "https://x", "cited_text": "c", "extras": {"title": 7}},
        ),
        (
            {"type": "search_result_location", "source": "db", "cited_text": "c"},
            {"type": "citation", "cited_text": "c", "extras": {"source": "db"}},
        ),
        (
            {"type": "file_path", "file_id": "f"},
            {"type": "non_standard_annotation", "value": {"type": "file_path", "file_id": "f"}},
        ),
    ],
)
def test_citations(citation: Any, standard: dict[str, Any]) -> None:
    assert read_citation(citation) == standard


def annotations_of(message: Any) -> list[dict[str, Any]]:
    return [found for block in message.content_blocks for found in block.get("annotations", [])]


def both(message: dict[str, Any], *deltas: dict[str, Any], **beside: Any) -> list[Any]:
    """The message, whole and streamed."""
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **beside}
    whole = decode_answer(to_json(body), target(), None).generations[0].message
    return [whole, summed(*(event(delta, **beside) for delta in deltas or (message,)), STOP)]


@pytest.mark.parametrize("where", ["message", "choice", "answer", "provider"])
@pytest.mark.parametrize("key", ["groundingMetadata", "grounding_metadata"])
def test_grounding_is_found_wherever_it_stands(where: str, key: str) -> None:
    grounding = {key: {"groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}]}}
    message: dict[str, Any] = {"content": "a", **(grounding if where == "message" else {})}
    message |= {"provider_specific_fields": grounding} if where == "provider" else {}
    choice = {"index": 0, "finish_reason": "stop", **(grounding if where == "choice" else {})}
    beside = grounding if where == "answer" else {}
    whole = decode_answer(to_json({"choices": [{**choice, "message": message}], **beside}), target(), None)
    streamed = summed(to_json({"choices": [{**choice, "delta": message}], **beside}))
    for found in (whole.generations[0].message, streamed):
        assert annotations_of(found) == [{"type": "citation", "url": "https://x", "title": "X"}]
        assert (key in found.response_metadata) == (where in {"choice", "answer"})
        assert found.additional_kwargs == {name: value for name, value in message.items() if name != "content"}


def test_a_source_that_an_annotation_cites_is_not_cited_again() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://x", "start_index": 0}}
    for message in both({"content": "a", "annotations": [cited]}, citations=["https://x", "https://y"]):
        assert annotations_of(message) == [
            {"type": "citation", "url": "https://x", "start_index": 0},
            {"type": "citation", "url": "https://y"},
        ]


def test_citations_that_are_repeated_are_given_once() -> None:
    cited = {"type": "url_citation", "url": "https://x"}
    deltas: list[dict[str, Any]] = [
        {"content": "a"},
        {"annotations": [cited]},
        {"content": "b", "annotations": [cited]},
    ]
    for message in both({"content": "ab", "annotations": [cited]}, *deltas):
        assert (message.text, annotations_of(message)) == ("ab", [{"type": "citation", "url": "https://x"}])


def test_citations_before_a_call_and_without_text_are_kept() -> None:
    cited = {"type": "url_citation", "url": "https://x"}
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}
    for message in (
        *both({"content": "a", "tool_calls": [call], "annotations": [cited]}),
        *both({"content": None, "tool_calls": [call], "annotations": [cited]}),
    ):
        assert len(annotations_of(message)) == 1
        assert [found["id"] for found in message.tool_calls] == ["c1"]


def test_reasoning_under_two_names_is_read_once_and_other_words_are_kept() -> None:
    for message in both({"content": "a", "reasoning": "r", "reasoning_content": "r"}):
        assert message.additional_kwargs == {}
    for message in both({"content": "a", "reasoning": "other", "reasoning_content": "r"}):
        assert message.additional_kwargs == {"reasoning": "other"}
    fields = {"thinking_blocks": [{"type": "thinking", "thinking": "r", "signature": "S"}]}
    for message in both({"content": "a", "reasoning_content": "r", "provider_specific_fields": fields}):
        assert message.additional_kwargs == {}
        assert message.content_blocks[0]["extras"] == {"signature": "S"}


def test_names_that_mean_something_to_langchain_are_not_taken_by_a_server() -> None:
    ours = {"parsed": 1, "lc_source": "x", "databricks_tool_call_extras": 2, "function_call": "text"}
    for message in both({"content": "a", **ours}):
        assert message.additional_kwargs == {f"server_{key}": value for key, value in ours.items()}
        assert message.content == "a"


def test_audio_without_sound_is_kept_as_it_is() -> None:
    for message in both({"content": "a", "audio": {"id": "audio_1", "transcript": "a"}}):
        assert message.content == "a"
        assert message.additional_kwargs == {"audio": {"transcript": "a", "id": "audio_1"}}


@pytest.mark.parametrize("pieces", [["\u00e9\u00e9\u00e9"], ["AAAA", "\u00e9"], ["A", "?"], ["\U0001f3b5"]])
def test_sound_that_is_not_base64_is_kept_as_it_is(pieces: list[str]) -> None:
    sound: Any = {"content": "a", "audio": {"data": "".join(pieces)}}
    deltas: list[dict[str, Any]] = [{"content": "a"}, *({"audio": {"data": piece}} for piece in pieces)]
    for message in both(sound, *deltas):
        (audio,) = (block for block in message.content if isinstance(block, dict) and block["type"] == "audio")
        assert (audio["base64"], audio["mime_type"]) == ("".join(pieces), "audio/pcm")


def test_an_unknown_field_may_come_late_repeat_and_change() -> None:
    fields: list[dict[str, Any]] = [{}, {"x": [1]}, {"x": [1]}, {}, {"x": [1], "y": "a"}, {"x": [2]}, {}]
    message = summed(*(event({"content": "a"}, **more) for more in fields), event({}, "stop"))
    assert (message.response_metadata["x"], message.response_metadata["y"]) == ([1, 1, 2], "a")


def test_deep_objects_of_several_events_are_merged_in_a_deep_stack() -> None:
    """Python allows 1,000 calls within each other, and a program may have used hundreds when it calls a model."""

    def nested(leaf: int) -> Any:
        value: Any = {f"leaf {leaf}": leaf}
        for _ in range(180):
            value = {"a": value}
        return value

    def read(deeper: int) -> Any:
        if deeper:
            return read(deeper - 1)
        return summed(event({"content": "a"}, x=nested(1)), event({}, "stop", x=nested(2)))

    assert "a" in read(450).response_metadata["x"]["a"]


def test_each_of_several_answers_keeps_its_own() -> None:
    choices: list[dict[str, Any]] = [
        {"index": n, "message": {"content": "a", "note": n + 1}, "finish_reason": "stop", "matched_stop": str(n)}
        for n in range(2)
    ]
    choices[0]["content_filter_results"] = {"hate": "low"}
    found = decode_answer(to_json({"id": "x", "choices": choices, "custom_outputs": {"k": 1}}), target(), None)
    messages = [generation.message for generation in found.generations]
    assert [message.additional_kwargs for message in messages] == [{"note": 1}, {"note": 2}]
    assert [message.response_metadata["matched_stop"] for message in messages] == ["0", "1"]
    assert ["content_filter_results" in message.response_metadata for message in messages] == [True, False]
    assert [message.response_metadata["custom_outputs"] for message in messages] == [{"k": 1}] * 2
