"""Calls with the same id, or without one: each stays a call of its own with all that it had, whichever way it came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, invoke, six_ways
from langchain_dbchat import ChatDatabricksCompat

FIND = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
OK = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}


def _call(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "arguments": json.dumps({"of": name}), "status": "completed", **more}


def _responses(got: Received, items: list[dict[str, Any]]) -> Scripted:
    first = isinstance(got.json["input"], str) or len(got.json["input"]) == 1
    items = items if first else [OK]
    whole = {"id": "r", "object": "response", "status": "completed", "output": items}
    if not got.json.get("stream"):
        return Scripted(whole)
    events: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        begun = {**item, "arguments": ""} if "arguments" in item else item
        events.append({"type": "response.output_item.added", "output_index": number, "item": begun})
        events.append({"type": "response.output_item.done", "output_index": number, "item": item})
    return Scripted(sse(*events, {"type": "response.completed", "response": whole}, done=False))


def _chat(got: Received, call: dict[str, Any]) -> Scripted:
    first = len(got.json["messages"]) == 1
    message = {"content": None, "tool_calls": [call]} if first else {"content": "ok"}
    if not got.json.get("stream"):
        return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return Scripted(sse({"choices": [{"index": 0, "delta": message}]}, end))


def _next_turn(llm: Any, answer: AIMessage) -> None:
    results = [ToolMessage("r", tool_call_id=made["id"]) for made in answer.tool_calls]
    invoke(llm, [HumanMessage("Hi"), answer, *results])


@six_ways
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("names", [["find", "agent_tool"], ["agent_tool", "find"]])
def test_a_bound_and_an_unbound_call_with_one_id(names: list[str], version: Any, call: Way) -> None:
    items = [_call(name, id=f"fc_{name}", call_id="c1") for name in names]
    with ScriptedServer(lambda got: _responses(got, items)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", api="responses", output_version=version)
        bound = llm.bind_tools([FIND])
        message = call(bound, "Hi")
        _next_turn(bound, message)
        sent = [item for item in server.requests[-1].json["input"] if item.get("type") == "function_call"]
    made = [(one["name"], one["args"], one["id"]) for one in message.tool_calls]
    assert made == [("find", {"of": "find"}, "c1"), ("agent_tool", {"of": "agent_tool"}, "c1-1")]
    assert sorted(item["name"] for item in sent) == ["agent_tool", "find"]


@six_ways
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_what_stands_beside_a_call_without_an_id(version: Any, call: Way) -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ZW5j"}
    items = [reasoning, _call("find", namespace="crm")]
    with ScriptedServer(lambda got: _responses(got, items)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", api="responses", output_version=version)
        bound = llm.bind_tools([FIND])
        message = call(bound, "Hi")
        _next_turn(bound, message)
        sent = server.requests[-1].json["input"]
    (made,) = [block for block in message.content_blocks if block["type"] == "tool_call"]
    assert made["id"] == message.tool_calls[0]["id"]
    assert made["extras"]["namespace"] == "crm"
    assert [item.get("type", "message") for item in sent][1:3] == ["reasoning", "function_call"]


@six_ways
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_the_signature_of_a_call_without_an_id(version: Any, call: Way) -> None:
    found = {"index": 0, "function": {"name": "find", "arguments": '{"a": 1}'}, "thoughtSignature": "c2ln"}
    with ScriptedServer(lambda got: _chat(got, found)) as server:
        llm = ChatDatabricksCompat(
            model="databricks-gemini-2-5-pro", host=server.url, token="t", api="chat", output_version=version
        )
        bound = llm.bind_tools([FIND])
        message = call(bound, "Hi")
        _next_turn(bound, message)
        (sent,) = server.requests[-1].json["messages"][1]["tool_calls"]
    assert message.tool_calls[0]["args"] == {"a": 1}
    assert sent["id"]
    assert sent["thoughtSignature"] == "c2ln"


@six_ways
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("ids", [{"call_id": "c1"}, {}], ids=["one id", "no id"])
def test_two_calls_of_an_agent(ids: dict[str, str], version: Any, call: Way) -> None:
    """They are not among the tools that were sent, and nobody has answered them, so both are the caller's."""
    items = [_call("book", **ids), {**_call("book", **ids), "arguments": '{"of": "another"}'}]
    with ScriptedServer(lambda got: _responses(got, items)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", api="responses", output_version=version)
        message = call(llm, "Hi")
        _next_turn(llm, message)
        sent = [item for item in server.requests[-1].json["input"] if item.get("type") == "function_call"]
    assert [one["args"] for one in message.tool_calls] == [{"of": "book"}, {"of": "another"}]
    assert len({one["id"] for one in message.tool_calls}) == 2
    assert [item["call_id"] for item in sent] == [one["id"] for one in message.tool_calls]


@six_ways
def test_a_result_leaves_an_agents_call_to_the_agent(call: Way) -> None:
    answered = {"type": "function_call_output", "call_id": "c1", "output": "booked"}
    items = [_call("book", call_id="c1"), answered, _call("book", call_id="c2"), OK]
    with ScriptedServer(lambda got: _responses(got, items)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", api="responses")
        message = call(llm, "Hi")
    assert [one["id"] for one in message.tool_calls] == ["c2"]
