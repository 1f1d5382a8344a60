"""Halves of surrogate pairs, which no file and no request can contain, become U+FFFD in answers and in past calls."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic_core import from_json

from kit.calling import Api, calling
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.dialects.shared.blocks.argument_fragments import ArgumentFragments
from langchain_dbchat.errors.sound_text import read_json, sound_escapes

HALF = "\ud83d"


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


ESCAPED = r'{"half": "x\ud83d", "\ude00": [1, "\ud83d\ude00"], "two": "\ud83d\ud83d\ude00", "slash": "\\ud83d"}'
READ = {"half": "x\ufffd", "\ufffd": [1, "😀"], "two": "\ufffd😀", "slash": r"\ud83d"}


@four_ways
@pytest.mark.parametrize("api", WIRES)
@pytest.mark.parametrize("length", [1, 2, 5, 11, 1000])
@pytest.mark.parametrize("coalesce", [True, False])
def test_the_arguments_of_a_new_call(api: Api, length: int, coalesce: bool, call: Way) -> None:
    """Wherever a stream is cut, the call is valid, and equal to that of a whole answer."""
    with ScriptedServer(
        lambda request: calling(api, ESCAPED, length, stream=bool(request.json.get("stream")))
    ) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", api=api, coalesce=coalesce)
        message = call(llm, "Hi")
    assert [(made["name"], made["args"]) for made in message.tool_calls] == [("find", READ)]
    assert message.invalid_tool_calls == []
    message.model_dump_json().encode()


@pytest.mark.parametrize("length", [1, 5, 1000])
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
async def test_each_part_of_a_structured_answer(method: Literal["json_schema", "json_mode"], length: int) -> None:
    pieces = [ESCAPED[start : start + length] for start in range(0, len(ESCAPED), length)]
    deltas = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    with ScriptedServer(lambda _: Scripted(sse(*deltas, end))) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", family="gpt-5", coalesce=False)
        schema = {"title": "Any", "type": "object", "additionalProperties": True}
        asked = llm.with_structured_output(schema, method=method, strict=False)
        partials = [[*asked.stream("Hi")], [part async for part in asked.astream("Hi")]]
    for parts in partials:
        assert parts[-1] == READ
        json.dumps(parts, ensure_ascii=False).encode()


@four_ways
@pytest.mark.parametrize("end", ["\\", "\\ud8", "\\ud83d", "\\ud83d\\u"])
def test_arguments_that_end_within_an_escape_are_invalid(end: str, call: Way) -> None:
    text = '{"a": "x' + end
    function = {"name": "find", "arguments": text}
    kept = {"index": 0, "id": "c1", "function": function}

    def answer(request: Received) -> Scripted:
        kind = "delta" if request.json.get("stream") else "message"
        body = {"choices": [{"index": 0, kind: {"tool_calls": [kept]}, "finish_reason": "tool_calls"}]}
        return Scripted(sse(body)) if kind == "delta" else Scripted(body)

    with ScriptedServer(answer) as server:
        message = call(ChatDatabricksCompat(model="mine", host=server.url, token="t"), "Hi")
    (invalid,) = message.invalid_tool_calls
    assert message.tool_calls == []
    assert str(invalid["args"]).startswith(text)


@four_ways
@pytest.mark.parametrize("way", ["text", "tool"])
def test_a_structured_answer(way: str, call: Way) -> None:
    def answer(request: Received) -> Scripted:
        stream = bool(request.json.get("stream"))
        if way == "tool":
            return calling("chat", ESCAPED, 3, stream=stream)
        if not stream:
            return Scripted({"choices": [{"index": 0, "message": {"content": ESCAPED}, "finish_reason": "stop"}]})
        deltas = [{"choices": [{"index": 0, "delta": {"content": ESCAPED[at : at + 3]}}]} for at in range(0, 99, 3)]
        return Scripted(sse(*deltas, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))

    schema = {"title": "find", "type": "object", "properties": {"half": {"type": "string"}}}
    with ScriptedServer(answer) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", coalesce=False)
        method: Any = "json_schema" if way == "text" else "function_calling"
        structured = llm.with_structured_output(schema, method=method)
        found: Any = call(structured, "Hi")
        parts = list(structured.stream("Hi"))
    assert found == parts[-1] == READ
    json.dumps(parts, ensure_ascii=False).encode()


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
    assert read_json(sound_escapes(written)) == read
    for length in (1, 2, 3, 7):
        fragments = ArgumentFragments()
        pieces = [fragments.add(written[start : start + length]) for start in range(0, len(written), length)]
        assert from_json("".join(pieces)) == read
        assert not fragments.held


def test_text_that_is_not_json_raises() -> None:
    with pytest.raises(ValueError, match="JSON|EOF|expected"):
        read_json(r'{"a": "\ud83d"')
