"""The Responses API of the workspace: what it refuses, and its answers (docs/wire.md, 9)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat

if TYPE_CHECKING:
    import httpx

    from langchain_dbchat.local import LocalWorkspace

GPT = "databricks-gpt-5-2"
PATH = "/serving-endpoints/responses"
USER = {"type": "message", "role": "user", "content": "Hi"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It rains in {city}."


def post(client: httpx.Client, path: str = PATH, model: str = GPT, **body: Any) -> httpx.Response:
    return client.post(path, json={"model": model, "input": "Hi", **body})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"store": False}, "'store' is not supported"),
        ({"previous_response_id": "resp_1"}, "'previous_response_id' is not supported"),
        ({"n": 1}, "Unknown parameter: 'n'"),
        ({"max_tokens": 5}, "Unknown parameter: 'max_tokens'"),
        ({"temperature": 0}, "'temperature' is not supported with this model"),
        ({"reasoning": {"effort": "minimal"}}, "'reasoning.effort' does not support 'minimal'"),
        ({"input": []}, "'input'"),
        ({"input": [{**USER, "status": "completed"}]}, "Unknown parameter: 'input[0].status'"),
        ({"input": [{**USER, "id": None}]}, "Unknown parameter: 'input[0].id'"),
        ({"input": [{**USER, "content": None}]}, "Unknown parameter: 'input[0].content'"),
        ({"input": [{**USER, "id": "msg_" + "x" * 61}]}, "string too long"),
        ({"input": [{**USER, "id": "abc"}]}, "begins with 'msg'"),
        ({"input": [USER, {**CALL, "id": "call_1"}]}, "begins with 'fc'"),
        ({"input": [USER, CALL]}, "No tool output found for function call c1"),
        ({"input": [USER, {"type": "function_call_output", "call_id": "c1", "output": "x"}]}, "No tool call found"),
        ({"input": [{**USER, "content": [{"type": "text", "text": "Hi"}]}]}, "Invalid value: 'text'"),
        ({"input": [{**USER, "role": "assistant", "content": [{"type": "input_text", "text": "Hi"}]}]}, "input_text"),
        ({"input": [USER, {"type": "reasoning", "summary": [], "encrypted_content": "x"}, USER]}, "not be verified"),
        ({"tools": [{"type": "function"}]}, "'tools[0].name'"),
    ],
)
def test_what_is_refused(client: httpx.Client, body: dict[str, Any], says: str) -> None:
    response = post(client, **body)
    assert response.status_code == 400
    assert says in response.json()["message"]


def test_who_answers_where(client: httpx.Client) -> None:
    claude = "databricks-claude-sonnet-4-6"
    assert "passthrough is not supported" in post(client, model=claude).text
    assert post(client, "/serving-endpoints/open-responses", claude).status_code == 200
    assert post(client, "/ai-gateway/openai/v1/responses", "system.ai.gpt-5-5-pro").status_code == 200
    assert post(client, "/ai-gateway/codex/v1/responses", "system.ai.glm-5-3").status_code == 200


def test_a_stream_has_the_events_in_their_order(client: httpx.Client) -> None:
    text = post(client, stream=True, reasoning={"effort": "low", "summary": "auto"}).text
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    kinds = list(dict.fromkeys(event["type"].removeprefix("response.") for event in events))
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert text.startswith("event: response.created\n")


def llm(workspace: LocalWorkspace, model: str = GPT, **settings: Any) -> Any:
    given: dict[str, Any] = {"model": model, "host": workspace.host, "token": workspace.token, "api": "responses"}
    return ChatDatabricksCompat(**given, **settings)


@four_ways
@pytest.mark.parametrize("effort", ["none", "high"])
def test_reasoning_goes_back_over_two_turns_of_tools(workspace: LocalWorkspace, call: Way, effort: str) -> None:
    model = llm(workspace, reasoning_effort=effort).bind_tools([get_weather])
    history: list[Any] = [HumanMessage("What is the weather in Oslo?")]
    for question in ("What is the weather in Rome?", None):
        asked = call(model, history)
        assert asked.tool_calls
        history += [asked, *(get_weather.invoke(made) for made in asked.tool_calls)]
        said = call(model, history)
        assert "rains in" in said.text
        history.append(said)
        if question:
            history.append(HumanMessage(question))
    items = [item["type"] for item in workspace.requests[-1].json["input"]]
    assert items.count("reasoning") == (0 if effort == "none" else 3)
    assert all(isinstance(one, (AIMessage, HumanMessage)) or one.type == "tool" for one in history)


@four_ways
def test_a_structured_answer_and_a_limit(workspace: LocalWorkspace, call: Way) -> None:
    found: Any = call(llm(workspace).with_structured_output(Person), "Ann is 30 years old.")
    assert isinstance(found, Person)
    cut = call(llm(workspace, max_tokens=2), "Tell me a long story about a bear.")
    assert cut.response_metadata["finish_reason"] == "length"


@four_ways
@pytest.mark.parametrize("model", ["databricks-gpt-5-5", "databricks-gpt-6-astra", "databricks-gpt-5-5-pro"])
def test_models_of_this_wire_answer_without_being_told(workspace: LocalWorkspace, call: Way, model: str) -> None:
    assert call(llm(workspace, model).model_copy(update={"api": "auto"}), "Hi").text
    assert workspace.requests[-1].path == PATH


@four_ways
def test_a_scripted_answer(workspace: LocalWorkspace, call: Way) -> None:
    workspace.script("databricks-gpt-5-1").answer("Scripted.").call(get_weather, city="Oslo").then_rules()
    model = llm(workspace, "databricks-gpt-5-1").bind_tools([get_weather])
    assert call(model, "Hi").text == "Scripted."
    assert call(model, "Hi").tool_calls[0]["args"] == {"city": "Oslo"}
