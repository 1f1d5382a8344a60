"""Reasoning that a LiteLLM proxy sends in ``thinking_blocks`` goes back there, whole and streamed."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricks
from langchain_dbchat.local import LocalWorkspace

BLOCKS = [
    {"type": "thinking", "thinking": "Hm.", "signature": "sig-1"},
    {"type": "redacted_thinking", "data": "opaque"},
]
REASONED = {"content": "", "reasoning_content": "Hm.", "thinking_blocks": BLOCKS}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def _answer(request: Received) -> Scripted:
    is_second = any(message["role"] == "tool" for message in request.json["messages"])
    fields: dict[str, Any] = (
        {"content": "Rain."}
        if is_second
        else {
            "content": "",
            "reasoning_content": "Hm.",
            "thinking_blocks": BLOCKS,
            "tool_calls": [{**CALL, "index": 0}],
        }
    )
    end = "stop" if is_second else "tool_calls"
    if request.json.get("stream"):
        pieces = [
            {"reasoning_content": "H", "thinking_blocks": [{"type": "thinking", "thinking": "H", "signature": None}]},
            {"reasoning_content": "m.", "thinking_blocks": [{"type": "thinking", "thinking": "m.", "signature": None}]},
            {"reasoning_content": "", "thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "sig-1"}]},
            {"thinking_blocks": [BLOCKS[1]]},
            {"tool_calls": fields.get("tool_calls")},
        ]
        deltas = [{"choices": [{"index": 0, "delta": piece}]} for piece in ([fields] if is_second else pieces)]
        return Scripted(sse(*deltas, {"choices": [{"index": 0, "delta": {}, "finish_reason": end}]}))
    return Scripted({"choices": [{"index": 0, "message": fields, "finish_reason": end}]})


@four_ways
@pytest.mark.parametrize("path", ["", "/v1", "/proxy/v1"])
def test_thinking_blocks_go_back_over_two_turns(call: Way, path: str) -> None:
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricks(model="claude", base_url=server.url + path, token="sk-1")
        question = HumanMessage("Weather?")
        first = call(llm, [question])
        assert [block["type"] for block in first.content_blocks][:1] == ["reasoning"]
        assert call(llm, [question, first, ToolMessage("rain", tool_call_id="c1")]).text == "Rain."
        other = ChatDatabricks(model="another", base_url=server.url + path, token="sk-1")
        call(other, [question, first, ToolMessage("rain", tool_call_id="c1")])
    answered, elsewhere = (request.json["messages"][1] for request in server.requests[1:])
    assert answered["thinking_blocks"] == BLOCKS
    assert answered["tool_calls"][0]["id"] == "c1"
    assert "thinking_blocks" not in elsewhere  # another model has not signed it
    assert all(request.path == f"{path}/chat/completions" for request in server.requests)


def test_databricks_gets_its_own_shape(workspace: LocalWorkspace) -> None:
    llm = ChatDatabricks(
        model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token, reasoning_effort="low"
    )
    first = llm.invoke("Hello!")
    llm.invoke(["Hello!", first, "And now?"])
    assert "thinking_blocks" not in workspace.requests[-1].json["messages"][1]


REFUSALS: list[dict[str, Any]] = [
    {"error": {"message": "Unknown parameter: 'messages[1].thinking_blocks'.", "type": "invalid_request_error"}},
    {"error": {"message": "messages.1.thinking_blocks: Extra inputs are not permitted"}},
    {"error_code": "BAD_REQUEST", "message": 'Bad request: json: unknown field "thinking_blocks"'},
    {
        "error": {
            "message": "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property "
            "'thinking_blocks' is unsupported)]"
        }
    },
    {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", "messages", 1, "assistant", "thinking_blocks"],
                "msg": "Extra inputs are not permitted",
            }
        ]
    },
]


@four_ways
@pytest.mark.parametrize("refusal", REFUSALS, ids=["openai", "anthropic", "go", "groq", "fastapi"])
def test_a_server_that_refuses_thinking_blocks_gets_the_conversation_without_them(
    call: Way, refusal: dict[str, Any]
) -> None:
    def answer(request: Received) -> Scripted:
        if any("thinking_blocks" in message for message in request.json["messages"]):
            return Scripted(refusal, status=422 if "detail" in refusal else 400)
        return _answer(request)

    with ScriptedServer(answer) as server:
        llm = ChatDatabricks(model="claude", base_url=server.url + "/v1", token="sk-1")
        question = HumanMessage("Weather?")
        first = call(llm, [question])
        before = first.model_copy(deep=True)
        thread = [question, first, ToolMessage("rain", tool_call_id="c1")]
        with pytest.warns(UserWarning, match="thinking_blocks"):
            assert call(llm, thread).text == "Rain."
        assert call(llm, thread).text == "Rain."
        assert first == before
    sent = [request.json["messages"][1] for request in server.requests[1:]]
    assert ["thinking_blocks" in message for message in sent] == [True, False, False]
    assert sent[1]["tool_calls"] == sent[0]["tool_calls"]
    assert "reasoning" not in str(sent[1]["content"])
