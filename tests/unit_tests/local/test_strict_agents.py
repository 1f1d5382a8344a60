"""What the agents of the workspace refuse (docs/wire.md, 9.2, 10; mlflow/types/agent.py and responses.py)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

HI = {"role": "user", "content": "Hi"}
SAID = {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "Hello."}]}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "12"}
ASKED = {"type": "mcp_approval_request", "id": "r1", "name": "f", "arguments": "{}", "server_label": "s"}
APPROVED = {"type": "mcp_approval_response", "approval_request_id": "r1", "approve": True}
TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": "", "tool_calls": [TOOL_CALL]}
TOOL = {"role": "tool", "content": "12", "name": "f", "tool_call_id": "c1"}


def send(client: httpx.Client, agent: str, **body: Any) -> httpx.Response:
    return client.post(f"/serving-endpoints/{agent}/invocations", json=body)


@pytest.mark.parametrize(
    "items",
    [
        [HI],
        [HI, SAID, HI],
        [HI, CALL, RESULT],
        [HI, CALL, {**RESULT, "output": [{"type": "input_text", "text": "12"}]}],
        [{"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]}, HI],
        [HI, ASKED, APPROVED],
        [HI, {"type": "reasoning", "id": "rs_1", "summary": []}, SAID, HI],
        [HI, {"type": "web_search_call", "id": "ws_1"}, SAID, HI],
    ],
)
def test_a_responses_agent_takes(client: httpx.Client, items: list[Any]) -> None:
    response = send(client, "agent-research", input=items, unknown=1, custom_inputs={"a": [1]})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ("Hi", "valid list"),
        ([], "not empty"),
        (["Hi"], "input.0: Input should be a valid dictionary"),
        ([{**HI, "status": "completed"}], "status"),
        ([{**HI, "id": None}], "null"),
        ([HI, {**SAID, "id": "msg_" + "x" * 61}], "maximum length 64"),
        ([{"role": "tool", "content": "x"}], "Invalid role"),
        ([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "Invalid type: text"),
        ([{"role": "user", "content": []}], "not empty"),
        ([{"role": "user", "content": 7}], "valid string or list"),
        ([{"role": "user", "content": [{"type": "input_text", "text": 7}]}], "valid string"),
        ([HI, CALL], "No tool output found"),
        ([HI, RESULT], "No tool call found"),
        ([HI, CALL, RESULT, RESULT], "single result"),
        ([HI, {**CALL, "arguments": {}}, RESULT], "arguments: Input should be a valid string"),
        ([HI, CALL, {**RESULT, "output": 12}], "output: Input should be"),
        ([HI, APPROVED], "No approval request found"),
        ([HI, ASKED, {**APPROVED, "approve": "yes"}], "valid boolean"),
        ([HI, {"type": "reasoning", "id": "rs_1"}], "summary"),
        ([HI, {"type": "nonsense"}], "Invalid type: nonsense"),
    ],
)
def test_a_responses_agent_refuses(client: httpx.Client, items: Any, text: str) -> None:
    response = send(client, "agent-research", input=items)
    assert response.status_code == 400
    assert response.json()["error_code"] == "BAD_REQUEST"
    assert text in response.json()["message"]


@pytest.mark.parametrize("messages", [[HI], [HI, CALLS, TOOL], [{**HI, "attachments": {"a": "b"}, "id": "1"}]])
def test_a_chat_agent_takes(client: httpx.Client, messages: list[Any]) -> None:
    response = send(client, "agent-support", messages=messages, temperature=0.5)
    assert response.status_code == 200, response.text
    assert "choices" not in response.json()
    ids = [message["id"] for message in response.json()["messages"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], "not empty"),
        ([{"role": "user"}], "Either 'content' or 'tool_calls' must be provided."),
        ([{**HI, "content": [{"type": "text", "text": "Hi"}]}], "content: Input should be a valid string"),
        ([{**HI, "refusal": "x"}], "refusal: Extra inputs are not permitted"),
        ([HI, CALLS, {**TOOL, "name": None}], "Both 'name' and 'tool_call_id'"),
        ([HI, CALLS], "No tool output found"),
        ([HI, TOOL], "No tool call found"),
        ([HI, {**CALLS, "tool_calls": [{"id": "c1"}]}, TOOL], "function"),
        ([HI, {**CALLS, "tool_calls": [{**TOOL_CALL, "function": {"name": "f", "arguments": {}}}]}, TOOL], "arguments"),
        ([{**HI, "attachments": {"a": 1}}], "attachments.a"),
        ([{**HI, "attachments": "a"}], "attachments"),
    ],
)
def test_a_chat_agent_refuses(client: httpx.Client, messages: Any, text: str) -> None:
    response = send(client, "agent-support", messages=messages)
    assert response.status_code == 400
    assert text in response.json()["message"]


@pytest.mark.parametrize("agent", ["agent-research", "agent-support", "agent-simple"])
@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"context": {"session": "x"}}, "context.session: Extra inputs"),
        ({"context": {"user_id": 3}}, "context.user_id"),
        ({"context": "x"}, "context: Input should be a valid dictionary"),
        ({"custom_inputs": [1]}, "custom_inputs: Input should be a valid dictionary"),
    ],
)
def test_every_agent_checks_what_the_caller_passes(
    client: httpx.Client, agent: str, field: dict[str, Any], text: str
) -> None:
    response = send(client, agent, **{"input" if agent == "agent-research" else "messages": [HI]}, **field)
    assert response.status_code == 400
    assert text in response.json()["message"]


def test_a_missing_field_is_named_with_those_that_are_extra(client: httpx.Client) -> None:
    message = send(client, "agent-research", messages=[HI]).json()["message"]
    assert message.endswith("Model is missing inputs ['input']. Note that there were extra inputs: ['messages'].")
    assert "missing inputs ['messages']" in send(client, "agent-simple", input=[HI]).json()["message"]


def test_a_stream_has_several_responses_and_bare_results(client: httpx.Client) -> None:
    response = send(client, "agent-research", input=[{"role": "user", "content": "What is a ChatAgent?"}], stream=True)
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    kinds = [httpx.Response(200, content=line).json()["type"] for line in lines[:-1]]
    assert kinds.count("response.created") == kinds.count("response.completed") == 2
    place = kinds.index("function_call_output")
    assert kinds[place - 1 : place + 2] == ["response.completed", "function_call_output", "response.created"]
    done = [number for number, kind in enumerate(kinds) if kind == "response.output_item.done"]
    assert '"function_call"' in lines[done[0]]
    assert '"message"' in lines[done[1]]


def test_apps_are_listed(client: httpx.Client) -> None:
    listed = client.get("/api/2.0/apps").json()["apps"]
    assert [app["name"] for app in listed] == ["agent-research", "agent-tickets"]
    assert client.get("/api/2.0/apps/agent-support").status_code == 404
    assert client.get("/api/2.0/apps/agent-tickets").json()["url"].endswith("/apps/agent-tickets")
