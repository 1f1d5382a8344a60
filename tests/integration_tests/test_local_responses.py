"""The chat model and the workspace's Responses API: reasoning over turns, structured answers, limits, scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat

if TYPE_CHECKING:
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
