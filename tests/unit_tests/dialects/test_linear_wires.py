"""Large answers in the other wire formats: the work grows with their size, streamed and whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kit.operations import is_linear, operations
from langchain_dbchat.dialects import dialect_named
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.models.families import family_of

Event = dict[str, Any]
Events = Callable[[int], Iterator[Event]]


def _item(kind: str, number: int) -> tuple[Event, Event]:
    """Return an item of Responses, and the event with its one delta."""
    item: Event
    if kind == "call":
        item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"c{number}", "name": "f", "arguments": "{}"}
        return item, {"type": "response.function_call_arguments.delta", "output_index": number, "delta": "{}"}
    if kind == "reasoning":
        item = {"type": "reasoning", "id": f"rs_{number}", "encrypted_content": "x",
                "summary": [{"type": "summary_text", "text": "hm"}]}  # fmt: skip
        return item, {"type": "response.reasoning_summary_text.delta", "output_index": number, "delta": "hm"}
    content = [{"type": "output_text", "text": "word", "annotations": []}]
    item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "content": content}
    return item, {"type": "response.output_text.delta", "output_index": number, "content_index": 0, "delta": "word"}


def _responses(kind: str) -> Events:
    def events(count: int) -> Iterator[Event]:
        output = []
        for number in range(count):
            item, delta = _item(kind, number)
            empty: Event = {key: type(item[key])() for key in ("summary", "content", "arguments") if key in item}
            begun = {**item, **empty}
            yield {"type": "response.output_item.added", "output_index": number, "item": begun}
            yield delta
            yield {"type": "response.output_item.done", "output_index": number, "item": item}
            output.append(item)
        yield {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": output}}

    return events


_BLOCKS: dict[str, tuple[Event, list[Event]]] = {
    "call": ({"type": "tool_use", "name": "f", "input": {}}, [{"type": "input_json_delta", "partial_json": "{}"}]),
    "text": (
        {"type": "text", "text": ""},
        [
            {"type": "text_delta", "text": "word"},
            {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "a", "document_index": 0}},
        ],
    ),
    "reasoning": (
        {"type": "thinking", "thinking": "", "signature": ""},
        [{"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "s"}],
    ),
}


def _messages(kind: str) -> Events:
    def events(count: int) -> Iterator[Event]:
        yield {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": [], "usage": {}}}
        block, deltas = _BLOCKS[kind]
        for number in range(count):
            begun = {**block, "id": f"t{number}"} if kind == "call" else block
            yield {"type": "content_block_start", "index": number, "content_block": begun}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": number, "delta": delta}
            yield {"type": "content_block_stop", "index": number}
        yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
        yield {"type": "message_stop"}

    return events


def _agent(kind: str) -> Events:
    def events(count: int) -> Iterator[Event]:
        for number in range(count):
            said = {"role": "assistant", "id": f"x{number}", "content": "" if kind == "call" else "word"}
            call = {"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            yield {"delta": {**said, "tool_calls": [call]} if kind == "call" else said}
            if kind == "call":
                yield {"delta": {"role": "tool", "id": f"y{number}", "tool_call_id": f"c{number}", "content": "1"}}
        yield {"delta": {"role": "assistant", "id": "end", "content": "Done."}, "finish_reason": "stop"}

    return events


STREAMS = {
    **{f"responses {kind}": ("responses", "databricks-gpt-5-5-pro", _responses(kind))
       for kind in ("call", "text", "reasoning")},
    **{f"messages {kind}": ("messages", "databricks-claude-opus-5-5", _messages(kind))
       for kind in ("call", "text", "reasoning")},
    **{f"agent {kind}": ("agent", "my-agent", _agent(kind)) for kind in ("call", "text")},
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_many_parts_of_a_stream(name: str) -> None:
    wire, model, events_of = STREAMS[name]
    dialect, target = dialect_named(wire), Target(model, family_of(model))

    def work(count: int) -> Callable[[], Any]:
        events = [json.dumps(event).encode() for event in events_of(count)]

        def read() -> None:
            decoder = dialect.decoder(target, None, coalesce=True, usage=True, sent=None, mask=None)
            for event in events:
                list(decoder.feed([event]))
            decoder.close()

        return read

    assert is_linear(work)


def _seconds(events: list[Event]) -> float:
    target = Target("my-agent", family_of("my-agent"))
    decoder = dialect_named("responses").decoder(target, None, coalesce=True, usage=True, sent=None, mask=None)
    began = time.thread_time()
    for event in [*events, {"type": "response.completed", "response": {"output": []}}]:
        list(decoder.feed([json.dumps(event).encode()]))
    decoder.close()
    return time.thread_time() - began


def _ended(count: int) -> list[Event]:
    items = ({"type": "message", "id": f"m{number}", "content": []} for number in range(count))
    return [{"type": "response.output_item.done", "item": item} for item in items]


def test_items_that_end_while_others_are_open() -> None:
    def work(count: int) -> Callable[[], Any]:
        opened = [{"type": "response.refusal.delta", "item_id": f"r{number}", "delta": "x"} for number in range(count)]
        return lambda: _seconds([*opened, *_ended(count)])

    assert is_linear(work)


def test_items_that_end_while_a_long_one_is_open() -> None:
    """Joining the text each time takes many seconds. CPU time is measured, because C code does the work."""
    said: Event = {"type": "response.refusal.delta", "item_id": "r", "delta": "word "}
    assert _seconds([*[said] * 60_000, *_ended(15_000)]) < 3


def test_arguments_that_are_repeated_again_and_again() -> None:
    """The same."""
    item = {"type": "function_call", "name": "f", "call_id": "c"}
    begun: Event = {"type": "response.output_item.added", "output_index": 0, "item": item}
    delta: Event = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "0" * 100}
    done: Event = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": ""}
    assert _seconds([begun, *[delta] * 20_000, *[done] * 20_000]) < 3


@pytest.mark.parametrize("kind", ["call", "text", "reasoning"])
def test_many_items_of_a_whole_response(kind: str) -> None:
    target = Target("databricks-gpt-5-5-pro", family_of("databricks-gpt-5-5-pro"))

    def work(count: int) -> Callable[[], Any]:
        body = {"id": "r", "status": "completed", "output": [_item(kind, number)[0] for number in range(count)]}
        encoded = json.dumps(body).encode()
        return lambda: dialect_named("responses").decode(encoded, target, None, SentTools())

    assert is_linear(work)


DELTAS: dict[str, Event] = {
    "chat": {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "word"}, "finish_reason": None}]},
    "responses": {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "word"},
    "messages": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word"}},
    "agent": {"id": "run_1", "delta": {"role": "assistant", "content": "word", "id": "msg_1"}},
}


def _operations_of_a_text(wire: Any) -> int:
    target = Target("my-own", family_of("my-own"))
    decoder = dialect_named(wire).decoder(target, None, coalesce=True, usage=True, sent=None, mask=None)
    if wire == "messages":
        list(decoder.feed([json.dumps(event).encode() for event in _messages("text")(1)][:2]))
    events = [json.dumps(DELTAS[wire]).encode()] * 200
    list(decoder.feed(events))  # the first ones begin the text
    return operations(lambda: list(decoder.feed(events)))


@pytest.mark.parametrize("wire", ["responses", "messages", "agent"])
def test_a_delta_of_text_costs_about_what_one_of_chat_completions_costs(wire: str) -> None:
    assert _operations_of_a_text(wire) <= 2 * _operations_of_a_text("chat"), "`make bench` has the times"
