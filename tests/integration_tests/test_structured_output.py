"""Structured output on every family: the method that suits it, partial objects, raw answers, other tools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from kit.scripted import Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.local import LocalWorkspace
from langchain_dbchat.models.learned import forget

ASK = "Tell me a joke about cats."


class Joke(BaseModel):
    """A joke."""

    setup: str = Field(description="question to set up a joke")
    punchline: str = Field(description="answer to resolve the joke")


class JokeDict(TypedDict):
    """A joke."""

    setup: str
    punchline: str


def _llm(workspace: LocalWorkspace, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


BY_FAMILY = [
    ("databricks-claude-sonnet-4-6", {}, "tools"),
    ("databricks-claude-sonnet-4-6", {"reasoning_effort": "low"}, "response_format"),
    ("databricks-claude-opus-5", {}, "tools"),
    ("databricks-claude-opus-5-5", {}, "response_format"),
    ("databricks-claude-fable-5", {}, "tools"),
    ("databricks-gpt-5-2", {}, "response_format"),
    ("databricks-gpt-5-6-sol", {}, "response_format"),
    ("databricks-gemini-3-5-flash", {}, "response_format"),
    ("databricks-gpt-oss-120b", {}, "response_format"),
    ("databricks-meta-llama-3-3-70b-instruct", {}, "response_format"),
    ("databricks-glm-5-2", {}, "response_format"),
    ("databricks-kimi-k3", {}, "tools"),
    ("databricks-deepseek-v4-1-flash", {}, "tools"),
    ("databricks-inkling", {}, "tools"),
]


@pytest.mark.parametrize(("model", "settings", "way"), BY_FAMILY)
def test_the_method_suits_the_family(workspace: LocalWorkspace, model: str, settings: dict[str, Any], way: str) -> None:
    structured = _llm(workspace, model, **settings).with_structured_output(Joke)
    workspace.requests.clear()
    assert isinstance(structured.invoke(ASK), Joke)
    assert isinstance(asyncio.run(structured.ainvoke(ASK)), Joke)
    assert isinstance(list(structured.stream(ASK))[-1], Joke)
    for request in workspace.requests:
        assert {"tools", "response_format"} & set(request.json) == {way}


@pytest.mark.parametrize(("model", "settings", "way"), BY_FAMILY)
def test_partial_objects_are_streamed(
    workspace: LocalWorkspace, model: str, settings: dict[str, Any], way: str
) -> None:
    del way
    structured = _llm(workspace, model, coalesce=False, **settings).with_structured_output(JokeDict)
    objects = list(structured.stream(ASK))
    assert set(objects[-1]) == {"setup", "punchline"}
    if "claude" not in model or (not settings and "opus-5-5" not in model):
        assert len(objects) > 2


@pytest.mark.parametrize("model", ["databricks-claude-sonnet-4-6", "databricks-gpt-5-2"])
def test_include_raw_is_honest(workspace: LocalWorkspace, model: str) -> None:
    class Impossible(BaseModel):
        """A joke."""

        setup: str = Field(pattern="^never-matches-anything-that-is-made-up$")

    found: Any = _llm(workspace, model).with_structured_output(Joke, include_raw=True).invoke(ASK)
    assert isinstance(found["parsed"], Joke)
    assert found["parsing_error"] is None
    assert found["raw"].response_metadata["model_name"] == model
    failed: Any = _llm(workspace, model).with_structured_output(Impossible, include_raw=True).invoke(ASK)
    assert failed["parsed"] is None
    assert isinstance(failed["parsing_error"], OutputParserException)
    assert failed["raw"].response_metadata["finish_reason"]


@pytest.mark.parametrize("model", ["databricks-claude-sonnet-4-6", "databricks-gpt-5-2", "databricks-kimi-k3"])
def test_other_tools_may_be_called_instead(workspace: LocalWorkspace, model: str) -> None:
    @tool
    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        return city

    structured = _llm(workspace, model).with_structured_output(Joke, tools=[get_weather], include_raw=True)
    found: Any = structured.invoke("What is the weather in Oslo?")
    assert [call["name"] for call in found["raw"].tool_calls] == ["get_weather"]
    assert found["parsed"] is None
    assert found["parsing_error"] is None


def test_json_mode(workspace: LocalWorkspace) -> None:
    llm = _llm(workspace, "databricks-gpt-5-2")
    ask = "Answer in json with the keys setup and punchline: a joke about cats."
    assert set(llm.with_structured_output(method="json_mode").invoke(ask)) == {"setup", "punchline"}
    with pytest.raises(ValueError, match="no JSON mode"):
        _llm(workspace, "databricks-claude-sonnet-4-6").with_structured_output(method="json_mode").invoke(ask)


def test_what_is_asked_has_to_make_sense(workspace: LocalWorkspace) -> None:
    llm = _llm(workspace, "databricks-gpt-5-2")
    with pytest.raises(ValueError, match="needs a schema"):
        llm.with_structured_output()
    with pytest.raises(ValueError, match="is not one of"):
        llm.with_structured_output(Joke, method="magic")  # type: ignore[arg-type]  # the mistake under test


REFUSED_FORMAT = {"error_code": "BAD_REQUEST", "message": "response_format: Extra inputs are not permitted"}
CALLED = {
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "Joke", "arguments": '{"setup": "a", "punchline": "b"}'},
                    }
                ],
            },
            "finish_reason": "tool_calls",
        }
    ]
}


def test_a_refused_method_is_asked_for_in_the_other_way_once_and_remembered() -> None:
    forget()

    def reply(request: Any) -> Scripted:
        return Scripted(REFUSED_FORMAT, status=400) if "response_format" in request.json else Scripted(CALLED)

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0")
        structured = llm.with_structured_output(Joke, method="json_schema")
        with pytest.warns(UserWarning, match="refused 'response_format', so it is asked for in another way"):
            assert structured.invoke(ASK) == Joke(setup="a", punchline="b")
        assert structured.invoke(ASK) == Joke(setup="a", punchline="b")
    assert ["response_format" in request.json for request in server.requests] == [True, False, False]
    assert server.requests[1].json["tool_choice"]["function"]["name"] == "Joke"
    forget()
