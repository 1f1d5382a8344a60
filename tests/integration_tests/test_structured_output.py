"""Structured output on every family: the method that suits it, partial objects, raw answers, other tools."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, StructuredOutputError, ToolStrategy
from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from kit.scripted import Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksRefusalError
from langchain_dbchat.local import LocalWorkspace

ModelRefusalError: Any = getattr(exceptions, "ModelRefusalError", OutputParserException)  # since langchain-core 1.7.5
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
    ("databricks-claude-opus-5-5", {}, "output_config"),
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
    assert isinstance(structured.invoke(ASK), Joke)
    assert isinstance(asyncio.run(structured.ainvoke(ASK)), Joke)
    assert isinstance(list(structured.stream(ASK))[-1], Joke)
    for request in workspace.requests:
        assert {"tools", "response_format", "output_config"} & set(request.json) == {way}


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


@four_ways
def test_json_mode_is_left_to_the_prompt_where_the_wire_has_none(call: Way) -> None:
    said = 'Here it is:\n```json\n{"setup": "a", "punchline": "b"}\n```'
    answer = {"choices": [{"index": 0, "message": {"content": said}, "finish_reason": "stop"}]}
    with ScriptedServer(lambda _: Scripted(answer)) as server:
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="dapi0")
        with pytest.warns(UserWarning, match="the prompt alone asks for JSON"):
            found: Any = call(llm.with_structured_output(Joke, method="json_mode"), "Answer in json: a joke.")
        assert found == Joke(setup="a", punchline="b")
        with pytest.raises(ValueError, match="the prompt alone asks for JSON"):
            llm.with_structured_output(Joke, method="json_mode").invoke("x", strict_params=True)
    assert "response_format" not in server.requests[0].json


def test_what_is_asked_has_to_make_sense(workspace: LocalWorkspace) -> None:
    llm = _llm(workspace, "databricks-gpt-5-2")
    with pytest.raises(ValueError, match="needs a schema"):
        llm.with_structured_output()
    with pytest.raises(ValueError, match="is not one of"):
        llm.with_structured_output(Joke, method="magic")  # type: ignore[call-overload]  # the mistake under test


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


def _answers(message: dict[str, Any], reason: str | None) -> Any:
    """Answer whole, and streamed in pieces of a few letters."""

    def reply(request: Any) -> Scripted:
        if not request.json.get("stream"):
            return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": reason}]})
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        for key in ("content", "refusal"):
            said = message.get(key)
            if isinstance(said, str):
                deltas += [{key: said[start : start + 5]} for start in range(0, len(said), 5)]
            elif said:
                for part in said:
                    words = part["refusal"]
                    deltas += [{key: [{**part, "refusal": words[i : i + 5]}]} for i in range(0, len(words), 5)]
        for index, one in enumerate(message.get("tool_calls") or []):
            deltas.append({"tool_calls": [{"index": index, **one}]})
        events: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        return Scripted(sse(*events, {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))

    return reply


def _called(arguments: str) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "Joke", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


WHOLE = '{"setup": "a", "punchline": "b"}'
REFUSALS = [
    ({"content": None, "refusal": "I cannot help with that."}, "stop", "I cannot help with that"),
    ({"content": [{"type": "refusal", "refusal": "I cannot help."}]}, "stop", "I cannot help"),
    ({"content": ""}, "content_filter", "content_filter"),
    ({"content": '{"setup": "a", "pun'}, "content_filter", "content_filter"),
    ({"content": WHOLE}, "content_filter", "content_filter"),
    (_called('{"setup": "a'), "content_filter", "content_filter"),
    (_called(""), "content_filter", "content_filter"),
    ({"content": "No."}, "refusal", "No"),
    ({"content": None}, "guardrail", "guardrail"),
    ({"content": "Blocked."}, "input_guardrail_triggered", "Blocked"),
    ({"content": "Blocked."}, "output_guardrail_triggered", "Blocked"),
    ({"content": None}, "SAFETY", "SAFETY"),
    ({"content": None}, "PROHIBITED_CONTENT", "PROHIBITED_CONTENT"),
]


def _outcomes(chain: Any) -> list[Exception]:
    async def collect() -> list[Any]:
        return [answer async for answer in chain.astream(ASK)]

    calls: list[Callable[[], Any]] = [
        lambda: chain.invoke(ASK),
        lambda: asyncio.run(chain.ainvoke(ASK)),
        lambda: list(chain.stream(ASK)),
        lambda: asyncio.run(collect()),
    ]
    errors = []
    for call in calls:
        with pytest.raises((ModelRefusalError, DatabricksRefusalError, OutputParserException)) as caught:
            call()
        errors.append(caught.value)
    return errors


@pytest.mark.parametrize(("message", "reason", "words"), REFUSALS)
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
@pytest.mark.parametrize("schema", [Joke, JokeDict, list[Joke]])
def test_a_refusal_is_langchains(message: dict[str, Any], reason: str, words: str, method: Any, schema: Any) -> None:
    with ScriptedServer(_answers(message, reason)) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0")
        for error in _outcomes(llm.with_structured_output(schema, method=method)):
            assert isinstance(error, (ModelRefusalError, DatabricksRefusalError))
            assert words in str(error)
            assert error.raw_message is not None
            assert error.raw_message.response_metadata["finish_reason"] == reason
            assert pickle.loads(pickle.dumps(error)).raw_message == error.raw_message
        raw: Any = llm.with_structured_output(schema, method=method, include_raw=True)
        if "guardrail_triggered" in reason:  # Databricks' own: an error of the call, as it is with status 400
            for error in _outcomes(raw):
                assert isinstance(error, (ModelRefusalError, DatabricksRefusalError))
                assert error.raw_message is not None
                assert error.raw_message.text == words + "."
            return
        found = raw.invoke(ASK)
        last = list(raw.stream(ASK))[-1]
        assert found["parsed"] is None is last["parsed"]
        assert isinstance(found["parsing_error"], ModelRefusalError)
        assert isinstance(last["parsing_error"], ModelRefusalError)


@pytest.mark.parametrize(
    "message", [_called('{"setup": "a'), _called(""), {"content": '{"setup": "a'}, {"content": ""}, {"content": None}]
)
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("reason", ["length", "max_tokens"])
def test_an_answer_that_was_cut_off_is_no_refusal_and_says_what_to_do(
    message: dict[str, Any], method: Any, reason: str
) -> None:
    with ScriptedServer(_answers(message, reason)) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0")
        for error in _outcomes(llm.with_structured_output(Joke, method=method)):
            assert isinstance(error, OutputParserException)
            assert "cut off: raise max_tokens" in str(error)


def test_a_plain_call_and_an_agent_give_the_refusal_as_a_message() -> None:
    said = {"content": None, "refusal": "I cannot help with that."}
    with ScriptedServer(_answers(said, "content_filter")) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0")
        assert llm.invoke(ASK).additional_kwargs["refusal"] == said["refusal"]

        @tool
        def get_weather(city: str) -> str:
            """Get the current weather in a city."""
            return city

        agent: Any = create_agent(llm, [get_weather], response_format=ToolStrategy(Joke))
        assert agent.invoke({"messages": [("human", ASK)]})["messages"][-1].additional_kwargs["refusal"]
        native: Any = create_agent(llm, [], response_format=ProviderStrategy(Joke))
        with pytest.raises(StructuredOutputError) as caught:
            native.invoke({"messages": [("human", ASK)]})
        assert caught.value.ai_message.additional_kwargs["refusal"] == said["refusal"]
