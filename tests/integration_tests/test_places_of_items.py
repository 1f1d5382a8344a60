"""A stream of Responses whose items have odd places: each item is read once, and none is lost."""

from __future__ import annotations

from typing import Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat

Event = dict[str, Any]

CALL: Event = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "inner", "arguments": '{"a": 1}'}
RESULT: Event = {"type": "function_call_output", "call_id": "c1", "output": "42"}
BOUND = {"type": "function", "function": {"name": "inner", "parameters": {"type": "object", "properties": {}}}}


def said(text: str, item_id: str = "msg_1") -> Event:
    return {"type": "message", "id": item_id, "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def thought(text: str, item_id: str = "rs_1") -> Event:
    return {"type": "reasoning", "id": item_id, "summary": [{"type": "summary_text", "text": text}]}


def done(item: Event, **place: Any) -> Event:
    return {"type": "response.output_item.done", "item": item, **place}


def delta(text: str, kind: str = "output_text", **place: Any) -> Event:
    return {"type": f"response.{kind}.delta", "delta": text, **place}


def blocks(call: Way, whole: list[Event], events: list[Event], *tools: Any) -> list[Any]:
    """Return the answer's blocks without what only identifies them."""

    def answer(request: Received) -> Scripted:
        streams = request.json.get("stream")
        return Scripted(sse(*events) if streams else {"object": "response", "output": whole, "status": "completed"})

    with ScriptedServer(answer) as server:
        model: Any = ChatDatabricksCompat(model="my-agent", host=server.url, token="dapi0", api="responses")
        found = call(model.bind_tools(list(tools)) if tools else model, "Hi")
    told = {"text", "reasoning", "args", "output", "tool_call_id"}
    standard: list[Any] = found.content_blocks
    return [(block["type"], *(block[key] for key in block if key in told)) for block in standard]


@four_ways
@pytest.mark.parametrize("place", [{}, {"output_index": 0}], ids=["none", "zero"])
def test_items_that_share_a_place_are_not_one(call: Way, place: Event) -> None:
    """MLflow's helpers for a ResponsesAgent write no ``output_index``; agents of one's own may write 0 everywhere."""
    items = [CALL, RESULT, said("It is"), said("42.", "msg_2")]
    assert blocks(call, items, [done(item, **place) for item in items]) == [
        ("server_tool_call", {"a": 1}),
        ("server_tool_result", "c1", "42"),
        ("text", "It is"),
        ("text", "42."),
    ]


@four_ways
def test_items_of_one_id_are_not_one(call: Way) -> None:
    """The OpenAI agents SDK gives all items the id ``__fake_id__``."""
    items = [said("First.", "__fake_id__"), said("Second.", "__fake_id__")]
    assert blocks(call, items, [done(item, output_index=0) for item in items]) == [
        ("text", "First."),
        ("text", "Second."),
    ]


@four_ways
@pytest.mark.parametrize("place", [{"output_index": 0}, {"item_id": "a"}, {}], ids=["index", "id", "none"])
def test_deltas_at_the_place_of_an_ended_item_begin_another(call: Way, place: Event) -> None:
    events = []
    for text in ("First.", "Second."):
        events += [delta(text[:3], **place), delta(text[3:], **place), done(said(text, "a"), **place)]
    assert blocks(call, [said("First.", "a"), said("Second.", "a")], events) == [
        ("text", "First."),
        ("text", "Second."),
    ]


@four_ways
@pytest.mark.parametrize("place", [{"item_id": "other"}, {}], ids=["another id", "no id"])
def test_a_text_is_told_once_whatever_the_ids_of_its_events(call: Way, place: Event) -> None:
    """The ids of an agent's events differ, and only what was said shows that they are one item."""
    events = [
        {"type": "response.output_item.added", "item": {**said(""), "content": []}},
        delta("Hello", **place),
        delta(" there", **place),
        done(said("Hello there!")),
    ]
    assert blocks(call, [said("Hello there!")], events) == [("text", "Hello there!")]


@four_ways
def test_reasoning_is_told_once_whatever_the_ids_of_its_events(call: Way) -> None:
    events = [
        delta("Let me", "reasoning_summary_text", item_id="other"),
        done(thought("Let me see.")),
        done(said("Hello!")),
    ]
    assert blocks(call, [thought("Let me see."), said("Hello!")], events) == [
        ("reasoning", "Let me see."),
        ("text", "Hello!"),
    ]


@four_ways
def test_a_call_is_made_once_whatever_the_ids_of_its_events(call: Way) -> None:
    events = [
        {"type": "response.output_item.added", "item": {**CALL, "id": "other", "arguments": ""}},
        delta('{"a"', "function_call_arguments", item_id="other"),
        done(CALL),
    ]
    assert blocks(call, [CALL], events, BOUND) == [("tool_call", {"a": 1})]


@four_ways
@pytest.mark.parametrize("item_id", ["msg_1", "msg_2"], ids=["one id", "another id"])
def test_an_item_that_is_repeated_is_read_once(call: Way, item_id: str) -> None:
    events = [done(said("Hello!"), output_index=0), done(said("Hello!", item_id), output_index=0)]
    assert blocks(call, [said("Hello!")], events) == [("text", "Hello!")]


@four_ways
def test_equal_items_without_a_place_stay_two(call: Way) -> None:
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ha. "}]}
    assert blocks(call, [item, item], [done(item), done(item)]) == [("text", "Ha. "), ("text", "Ha. ")]


@four_ways
@pytest.mark.parametrize("place", [{}, {"output_index": None, "item_id": None}], ids=["no place", "null"])
@pytest.mark.parametrize("stage", ["delta", "done"])
def test_only_the_end_of_an_item_has_an_index(call: Way, place: Event, stage: str) -> None:
    def told(kind: str, text: str) -> list[Event]:
        if stage == "done":
            return [{"type": f"response.{kind}.done", "text": text, **place}]
        return [delta(piece, kind, **place) for piece in (text[:2], text[2:])]

    items = [thought("Hm, so."), said("It is"), said("42.", "msg_2")]
    events = [
        *told("reasoning_summary_text", "Hm, so."),
        done(items[0], output_index=0),
        *told("output_text", "It is"),
        done(items[1], output_index=1),
        *told("output_text", "42."),
        done(items[2], output_index=2),
    ]
    assert blocks(call, items, events) == [("reasoning", "Hm, so."), ("text", "It is"), ("text", "42.")]


REPEATED = {"written in another way": '{"a":  1 }', "an object": {"a": 1}, "nothing": "", "null": None}


@four_ways
@pytest.mark.parametrize("repeated", REPEATED.values(), ids=REPEATED)
@pytest.mark.parametrize("place", [{}, {"output_index": 0}, {"item_id": "fc_1"}], ids=["none", "index", "id"])
def test_arguments_that_are_repeated_in_another_way_are_told_once(call: Way, repeated: Any, place: Event) -> None:
    kind = "response.function_call_arguments"
    begun = {"type": "response.output_item.added", "item": {**CALL, "arguments": ""}, **place}
    item = {**CALL, "arguments": repeated}
    events = [
        begun,
        *({"type": f"{kind}.delta", "delta": piece, **place} for piece in ('{"a"', ": 1}")),
        {"type": f"{kind}.done", "arguments": repeated, **place},
        done(item, **place),
    ]
    assert blocks(call, [CALL], events, BOUND) == [("tool_call", {"a": 1})]


@four_ways
@pytest.mark.parametrize("arguments", [{"a": 1}, '{"a": 1}', '"{\\"a\\": 1}"'], ids=["object", "text", "twice"])
@pytest.mark.parametrize("bound", [[], [BOUND]], ids=["an agent's", "the caller's"])
def test_arguments_may_be_an_object(call: Way, arguments: Any, bound: list[Event]) -> None:
    item = {**CALL, "arguments": arguments}
    kind = "tool_call" if bound else "server_tool_call"
    items = [item] if bound else [item, RESULT]
    found = blocks(call, items, [done(each) for each in items], *bound)
    assert found[0] == (kind, {"a": 1})
