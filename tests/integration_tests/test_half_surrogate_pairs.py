"""Halves of surrogate pairs, which no file and no request can contain, become U+FFFD in answers and in past calls."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors.sound_text import read_json

HALF = "\ud83d"
Api = Literal["chat", "responses", "messages"]


def _chat(*, stream: bool) -> list[dict[str, Any]]:
    call = {"index": 0, "id": f"i{HALF}", "function": {"name": f"n{HALF}", "arguments": "{}"}}
    message = {"reasoning_content": f"r{HALF}", "content": f"t{HALF}", "tool_calls": [call]}
    kind = "delta" if stream else "message"
    return [{"choices": [{"index": 0, kind: message, "finish_reason": "tool_calls"}]}]


def _responses(*, stream: bool) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = [
        {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": f"r{HALF}"}]},
        {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": f"t{HALF}"}]},
        {"type": "function_call", "id": "f1", "call_id": f"i{HALF}", "name": f"n{HALF}", "arguments": "{}"},
    ]
    whole = {"id": "a", "object": "response", "status": "completed", "output": output}
    if not stream:
        return [whole]
    done = [
        {"type": "response.output_item.done", "output_index": number, "item": item}
        for number, item in enumerate(output)
    ]
    return [*done, {"type": "response.completed", "response": whole}]


def _messages(*, stream: bool) -> list[dict[str, Any]]:
    blocks = [
        {"type": "thinking", "thinking": f"r{HALF}", "signature": "s"},
        {"type": "text", "text": f"t{HALF}"},
        {"type": "tool_use", "id": f"i{HALF}", "name": f"n{HALF}", "input": {}},
    ]
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": blocks, "usage": usage}
    if not stream:
        return [{**message, "stop_reason": "tool_use"}]
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**message, "content": []}}]
    for number, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": number, "content_block": block})
        events.append({"type": "content_block_stop", "index": number})
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}
    return [*events, end, {"type": "message_stop"}]


WIRES: dict[Api, Any] = {"chat": _chat, "responses": _responses, "messages": _messages}


def _answer(api: Api, request: Received) -> Scripted:
    stream = bool(request.json.get("stream"))
    texts = [json.dumps(event) for event in WIRES[api](stream=stream)]  # which writes "\ud83d"
    return Scripted(sse(*texts, done=api == "chat")) if stream else Scripted(texts[0])


@four_ways
@pytest.mark.parametrize("api", WIRES)
def test_an_answer_can_be_stored_and_sent_back(api: Api, call: Way) -> None:
    with ScriptedServer(lambda request: _answer(api, request)) as server:
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="dapi0", api=api)
        message = call(llm, "Hi")
        results = [ToolMessage("ok", tool_call_id=made["id"]) for made in message.tool_calls]
        call(llm, [HumanMessage("Hi"), message, *results])
    assert message.text == "t\ufffd"
    assert [(made["name"], made["args"], made["id"]) for made in message.tool_calls] == [("n\ufffd", {}, "i\ufffd")]
    assert "r\ufffd" in json.dumps(message.content, ensure_ascii=False)
    message.model_dump_json().encode()
    assert len(server.requests) == 2


@four_ways
@pytest.mark.parametrize("api", WIRES)
def test_the_arguments_of_a_past_call(api: Api, call: Way) -> None:
    """They have values that are written in another way than plain ones, such as a date."""
    arguments = {f"k{HALF}": [f"v{HALF}", {f"x{HALF}": date(2026, 5, 1)}], "set": {f"s{HALF}"}, "nan": float("nan")}
    past = AIMessage("", tool_calls=[{"name": "find", "args": arguments, "id": "c1"}])
    with ScriptedServer(lambda request: _answer(api, request)) as server:
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="dapi0", api=api)
        call(llm, [HumanMessage("Hi"), past, ToolMessage("ok", tool_call_id="c1")])
    body = server.requests[0].json
    if api == "chat":
        sent = json.loads(body["messages"][1]["tool_calls"][0]["function"]["arguments"])
    elif api == "responses":
        sent = json.loads(next(item for item in body["input"] if item.get("type") == "function_call")["arguments"])
    else:
        sent = next(block for block in body["messages"][1]["content"] if block["type"] == "tool_use")["input"]
    assert sent == {"k\ufffd": ["v\ufffd", {"x\ufffd": "2026-05-01"}], "set": ["s\ufffd"], "nan": "NaN"}
    assert f"k{HALF}" in arguments


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'"\ud83d\ude00"', "😀"),
        (r'"\uD83D\uDE00 \uD83D"', "😀 \ufffd"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (r'"\\ud83d \ud83d"', r"\ud83d " + "\ufffd"),
        (r'"\"\\\ud83d\n"', '"\\\ufffd\n'),
    ],
)
def test_pairs_and_other_escapes_stay(written: str, read: str) -> None:
    assert read_json(written) == read_json(written.encode()) == read


def test_text_that_is_not_json_raises() -> None:
    with pytest.raises(ValueError, match="JSON|EOF|expected"):
        read_json(r'{"a": "\ud83d"')
