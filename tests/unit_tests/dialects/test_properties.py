"""What holds for every answer, not only for those that somebody thought of."""

from __future__ import annotations

import copy
import json
import pickle
from contextlib import suppress
from itertools import pairwise
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from pydantic_core import to_json

from kit.encoding import encode_messages
from kit.targets import call_delta, event, keeping_partial, summed, target
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder, decode_answer
from langchain_dbchat.dialects.shared.answer import translators
from langchain_dbchat.dialects.shared.answer.events import DONE
from langchain_dbchat.dialects.shared.request.merging import merge_deep
from langchain_dbchat.errors import DatabricksError, MalformedResponseError, StreamInterruptedError

translators.register()
quick = settings(max_examples=100, deadline=None)

words = st.text(st.characters(codec="utf-8"), max_size=12)
signatures = st.text("ABCabc123+/=", min_size=1, max_size=8)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words, json_values, max_size=4)


def cut(text: str, at: list[int]) -> list[str]:
    """Cut text into pieces; every character stays whole, as servers cut between tokens."""
    marks = sorted({0, len(text), *(place % (len(text) + 1) for place in at)})
    return [text[left:right] for left, right in pairwise(marks)] or [""]


cuts = st.lists(st.integers(0, 50), max_size=4)


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """A whole message, the deltas that stream it, and the finish reason."""
    parts: list[dict[str, Any]] = []
    deltas: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 3))):
        thought, signature = draw(words), draw(signatures)
        parts.append(_reasoning(thought, signature))
        deltas.extend({"content": [_reasoning(piece)]} for piece in cut(thought, draw(cuts)))
        deltas.append({"content": [_reasoning("", signature)]})
    text = draw(words)
    if text:
        parts.append({"type": "text", "text": text})
        listed = draw(st.booleans())
        pieces = cut(text, draw(cuts))
        deltas.extend({"content": [{"type": "text", "text": piece}] if listed else piece} for piece in pieces)
    calls = []
    for index in range(draw(st.integers(0, 3))):
        arguments = json.dumps(draw(objects), ensure_ascii=draw(st.booleans()))
        calls.append(_call(index, arguments))
        deltas.append(call_delta("", f"f{index}", index=index, call_id=f"c{index}"))
        deltas.extend(call_delta(piece, index=index) for piece in cut(arguments, draw(cuts)))
    message: dict[str, Any] = {"role": "assistant", "content": parts if len(parts) != 1 or not text else text}
    if calls:
        message["tool_calls"] = calls
    return message, deltas, "tool_calls" if calls else "stop"


def _reasoning(text: str, signature: str | None = None) -> dict[str, Any]:
    entry = {"type": "summary_text", "text": text}
    return {"type": "reasoning", "summary": [{**entry, "signature": signature} if signature else entry]}


def _call(index: int, arguments: str) -> dict[str, Any]:
    return {"id": f"c{index}", "type": "function", "function": {"name": f"f{index}", "arguments": arguments}}


def whole_message(body: dict[str, Any], family: str = "claude") -> AIMessage:
    message = decode_answer(to_json(body), target(family), None).generations[0].message
    assert isinstance(message, AIMessage)
    return message


def read_whole(message: dict[str, Any], finish: str) -> AIMessage:
    return whole_message({"id": "a1", "choices": [{"index": 0, "message": message, "finish_reason": finish}]})


def without_index(blocks_of: Any) -> list[dict[str, Any]]:
    return [{key: value for key, value in block.items() if key != "index"} for block in blocks_of]


@settings(max_examples=60, deadline=None)
@given(answers(), st.booleans())
def test_deltas_add_up_to_the_whole(said: tuple[dict[str, Any], list[dict[str, Any]], str], coalesce: bool) -> None:
    message, deltas, finish = said
    whole = read_whole(message, finish)
    events = [*map(event, deltas), event({}, finish)]
    total = summed(*events, family="claude", coalesce=coalesce)
    assert total.text == whole.text
    assert total.tool_calls == whole.tool_calls
    assert total.invalid_tool_calls == whole.invalid_tool_calls == []
    assert without_index(total.content_blocks) == without_index(whole.content_blocks)
    assert total.response_metadata == whole.response_metadata
    assert total.id == whole.id


@quick
@given(answers())
def test_messages_survive_their_trips_and_go_back_alike(said: tuple[dict[str, Any], list[dict[str, Any]], str]) -> None:
    message, deltas, finish = said
    forms = [read_whole(message, finish), summed(*map(event, deltas), event({}, finish), family="claude")]
    sent: list[list[dict[str, Any]]] = []
    for form in forms:
        trips = [
            copy.deepcopy(form),
            pickle.loads(pickle.dumps(form)),
            type(form).model_validate_json(form.model_dump_json()),
            loads(dumps(form), allowed_objects=[AIMessage, AIMessageChunk]),
            AIMessage(
                content=cast("list[Any]", form.content_blocks),
                tool_calls=form.tool_calls,
                response_metadata={**form.response_metadata, "output_version": "v1"},
            ),
        ]
        before = copy.deepcopy(form)
        sent.extend(
            encode_messages([HumanMessage("a"), trip, HumanMessage("b")], target("claude")) for trip in [form, *trips]
        )
        assert trips[:4] == [form] * 4
        assert form == before
    assert all(wire == sent[0] for wire in sent)
    back = [wire for wire in sent[0] if wire["role"] == "assistant"]
    parts = message["content"] if isinstance(message["content"], list) else []
    if back and [part for part in parts if part["type"] == "reasoning"]:
        # Claude refuses blank text.
        assert back[0]["content"] == [part for part in parts if part["type"] != "text" or part["text"].strip()]


@quick
@given(objects.filter(bool), st.integers(0, 500), st.sampled_from(["length", "tool_calls", "stop"]), st.booleans())
def test_cut_off_arguments_are_never_a_call(value: dict[str, Any], at: int, finish: str, spaced: bool) -> None:
    arguments = json.dumps(value, ensure_ascii=False, indent=1 if spaced else None)
    part = arguments[: 1 + at % (len(arguments) - 1)]
    events = [event(call_delta("", "f", call_id="c1")), event(call_delta(part)), event({}, finish)]
    for coalesce in (True, False):
        total = summed(*events, coalesce=coalesce)
        assert total.tool_calls == []
        assert [call["id"] for call in total.invalid_tool_calls] == ["c1"]
        assert (total.invalid_tool_calls[0]["args"] or "").startswith(part)
    message = {"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": part}}]}
    assert read_whole(message, finish).tool_calls == []


def stands_for_no_object(value: Any) -> bool:
    """No object, nothing, or text that is neither."""
    return isinstance(value, (bool, int, float, list)) or (isinstance(value, str) and value.strip()[:1] in set("abc[1"))


@quick
@given(json_values.filter(stands_for_no_object), st.sampled_from(["length", "stop"]))
def test_arguments_that_are_json_but_no_object_are_never_a_call(value: Any, finish: str) -> None:
    text = json.dumps(value)
    total = summed(event(call_delta(text, "f", call_id="c1")), event({}, finish))
    assert (total.tool_calls, len(total.invalid_tool_calls)) == ([], 1)


@quick
@given(objects.filter(bool), st.integers(1, 3), cuts, st.booleans())
def test_arguments_encoded_again_are_the_object(value: dict[str, Any], times: int, at: list[int], spaced: bool) -> None:
    text = json.dumps(value)
    for _ in range(times):
        text = json.dumps(f" {text}\n" if spaced else text)
    fragments = [event(call_delta(piece)) for piece in cut(text, at)]
    for coalesce in (True, False):
        total = summed(event(call_delta("", "f", call_id="c1")), *fragments, event({}, "tool_calls"), coalesce=coalesce)
        assert [call["args"] for call in total.tool_calls] == [value]
        assert total.invalid_tool_calls == []


WHOLE: dict[str, Any] = {
    "id": "a1",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "logprobs": {"content": [{"token": "a", "logprob": -1.0}]},
            "message": {
                "role": "assistant",
                "content": [
                    _reasoning("t", "S"),
                    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "h"}]},
                    {"type": "text", "text": "a", "citations": [{"url": "u"}]},
                    {"type": "image_url", "image_url": {"url": "https://x"}},
                ],
                "reasoning_content": "r",
                "thinking_blocks": [{"type": "thinking", "thinking": "b", "signature": "S"}],
                "refusal": None,
                "tool_calls": [{**_call(0, '{"a": 1}'), "index": 0, "thoughtSignature": "T"}],
            },
        }
    ],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
    "system_fingerprint": "fp",
}


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(node)
    changed[path[0]] = replaced(node[path[0]], path[1:], value)
    return changed


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(places(WHOLE)), json_values)
def test_any_value_anywhere_is_read_or_is_a_malformed_answer(path: tuple[Any, ...], value: Any) -> None:
    body = replaced(WHOLE, path, value)
    try:
        whole_message(body)
    except MalformedResponseError:
        pass
    except DatabricksError:
        assert "error" in body or "error_code" in body or "message" in body
    streamed = copy.copy(body)
    if isinstance(body, dict) and isinstance(body.get("choices"), list):
        streamed["choices"] = [
            {**{k: v for k, v in choice.items() if k != "message"}, "delta": choice.get("message")}
            if isinstance(choice, dict)
            else choice
            for choice in body["choices"]
        ]
    decoder = ChatStreamDecoder(target())
    try:
        with keeping_partial(decoder):
            for events in ([to_json(streamed)], [event({"content": "b"})], [DONE]):
                list(decoder.feed(events))
            decoder.close()
    except (MalformedResponseError, StreamInterruptedError) as error:
        assert error.partial is not None  # noqa: PT017  # most values raise nothing
    except DatabricksError:
        assert "error" in body or "error_code" in body or "message" in body


@quick
@given(st.binary(max_size=60) | st.text('{}[]":,0123456789.eE-truefalsn \\u', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_are_a_malformed_answer(body: bytes) -> None:
    with suppress(DatabricksError):
        decode_answer(body, target(), None)
    with suppress(DatabricksError):
        list(ChatStreamDecoder(target()).feed([body]))


@quick
@given(objects, objects)
def test_merging_deep_is_what_it_says(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy((base, over))
    merged = merge_deep(base, over)
    assert (base, over) == before
    for key in base.keys() | over.keys():
        if key not in over:
            assert merged[key] == base[key]
        elif over[key] is None:
            assert key not in merged
        elif not isinstance(over[key], dict):
            assert merged[key] == over[key]
    assert merge_deep(merged, {}) == merged
    assert merge_deep(merge_deep(base, over), over) == merged
