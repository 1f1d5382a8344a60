"""Odd names of tools and schemas, and roots that are not objects, over a socket in all four ways of calling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksInvalidRequestError
from langchain_dbchat.local import LocalWorkspace

T = TypeVar("T")
MODELS = [
    "databricks-claude-sonnet-4-6",
    "databricks-gpt-5-2",
    "databricks-gemini-3-5-flash",
    "databricks-gpt-oss-120b",
    "databricks-meta-llama-3-3-70b-instruct",
    "databricks-glm-5-2",
    "databricks-kimi-k3",
]
LONG = "mcp__weather_and_climate_of_the_whole_world__get_the_current_weather_in_a_city"
ODD = ["weather.get", "get weather", "wetter_für_städte", "天気", LONG, "3d_weather"]


class Box(BaseModel, Generic[T]):
    """A box of something."""

    content: T


class Cat(BaseModel):
    """A cat."""

    meow: int


class Dog(BaseModel):
    """A dog."""

    bark: str


def _llm(workspace: LocalWorkspace, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


def _weather(name: str, does: Callable[[str], str] = lambda city: f"It is raining in {city}.") -> StructuredTool:
    def get(city: str) -> str:
        return does(city)

    return StructuredTool.from_function(get, name=name, description="Get the current weather in a city.")


@four_ways
@pytest.mark.parametrize("model", MODELS)
def test_a_tool_with_any_name_is_called_by_its_own(workspace: LocalWorkspace, model: str, call: Way) -> None:
    for name in ODD:
        llm, tools = _llm(workspace, model), [_weather(name)]
        answer = call(llm.bind_tools(tools, tool_choice=name), "What is the weather in Oslo?")
        assert [(one["name"], one["args"]) for one in answer.tool_calls] == [(name, {"city": "Oslo"})]
        sent = workspace.requests[-1].json["tools"][0]["function"]["name"]
        assert sent.isascii()
        messages = [HumanMessage("What is the weather in Oslo?"), answer]
        messages += [ToolMessage("It is raining.", tool_call_id=str(one["id"])) for one in answer.tool_calls]
        assert "raining" in call(llm.bind_tools(tools), messages).text
        body = workspace.requests[-1].json
        past = [one["function"]["name"] for message in body["messages"] for one in message.get("tool_calls") or []]
        assert past == [sent] == [one["function"]["name"] for one in body["tools"]]


@four_ways
def test_a_forced_tool_with_an_odd_name_among_two_that_collide(workspace: LocalWorkspace, call: Way) -> None:
    tools = [_weather("weather.get"), _weather("weather/get"), _weather("weather_get")]
    for tool in tools:
        for choice in (tool.name, {"type": "function", "function": {"name": tool.name}}):
            bound = _llm(workspace, "databricks-gpt-5-2").bind_tools(tools, tool_choice=choice)
            assert [one["name"] for one in call(bound, "Oslo").tool_calls] == [tool.name]


@pytest.mark.parametrize("model", MODELS)
async def test_an_agent_with_odd_names_runs_over_several_turns(workspace: LocalWorkspace, model: str) -> None:
    tools = [
        _weather("weather.get"),
        StructuredTool.from_function(
            lambda city: f"{city} has 709037 inhabitants.",
            name="population get",
            description="Get the population of a city.",
            args_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        ),
    ]
    agent: Any = create_agent(_llm(workspace, model), tools, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    state: Any = None
    for turn in ("What is the weather in Oslo?", "What is the population of Oslo?", "What is the weather in Bergen?"):
        state = agent.invoke({"messages": [HumanMessage(turn)]}, config)
    called = [message.name for message in state["messages"] if isinstance(message, ToolMessage)]
    assert called == ["weather.get", "population get", "weather.get"]
    assert "Bergen" in state["messages"][-1].text
    lists = [request.json["tools"] for request in workspace.requests if request.body]
    assert all(tools == lists[0] for tools in lists)


@pytest.mark.parametrize("model", ["databricks-claude-sonnet-4-6", "databricks-gpt-5-2", "databricks-gemini-3-5-flash"])
@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_an_agent_answers_in_a_schema_with_an_odd_name(workspace: LocalWorkspace, model: str, strategy: Any) -> None:
    agent: Any = create_agent(_llm(workspace, model), [], response_format=strategy(Box[int]))
    assert isinstance(agent.invoke({"messages": [HumanMessage("Put 7 in a box.")]})["structured_response"], Box)


def _ways(chain: Any, ask: str) -> list[Any]:
    async def collect() -> list[Any]:
        return [answer async for answer in chain.astream(ask)]

    return [chain.invoke(ask), asyncio.run(chain.ainvoke(ask)), list(chain.stream(ask))[-1], asyncio.run(collect())[-1]]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", [None, "function_calling"])
@pytest.mark.parametrize(
    ("schema", "check"),
    [
        (Box[int], lambda answer: isinstance(answer, Box)),
        (list[int], lambda answer: answer == [7]),
        (int, lambda answer: answer == 7),
        (Cat | Dog, lambda answer: isinstance(answer, Cat)),
        (
            {"title": "Pet", "anyOf": [Cat.model_json_schema(), Dog.model_json_schema()]},
            lambda answer: set(answer) == {"meow"},
        ),
        ({"title": "a list of numbers", "type": "array", "items": {"type": "integer"}}, lambda answer: answer == [7]),
        (
            {"name": "Person", "schema": Dog.model_json_schema(), "strict": False},
            lambda answer: set(answer) == {"bark"},
        ),
    ],
    ids=["generic", "list", "int", "union", "anyOf", "array", "inner"],
)
@pytest.mark.filterwarnings("ignore:strict was left out")
def test_any_schema_gets_its_answer_in_every_way(
    workspace: LocalWorkspace, model: str, method: Any, schema: Any, check: Any
) -> None:
    chain: Any = _llm(workspace, model).with_structured_output(schema, method=method)
    for answer in _ways(chain, "The number is 7."):
        assert check(answer), answer
    raw: Any = _llm(workspace, model).with_structured_output(schema, method=method, include_raw=True)
    for found in _ways(raw, "The number is 7.")[:2]:
        assert found["parsing_error"] is None
        assert check(found["parsed"])


def _text(*pieces: str) -> bytes:
    events: list[Any] = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    return sse(*events, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


@pytest.mark.parametrize("coalesce", [True, False])
def test_what_is_wrapped_is_streamed_as_it_grows(coalesce: bool) -> None:
    pieces = ['{"val', 'ue": ', '[{"meow": 1}', ', {"meow": 2}', "]}"]
    with ScriptedServer(lambda _: Scripted([_text(*pieces)], delay=0.01)) as server:
        llm = ChatDatabricksCompat(model="m", host=server.url, token="dapi0", coalesce=coalesce)
        chain = llm.with_structured_output(list[Cat], method="json_schema")
        answers = list(chain.stream("x"))
    assert answers[-1] == [Cat(meow=1), Cat(meow=2)]
    assert all(isinstance(answer, list) for answer in answers)
    if not coalesce:
        assert [Cat(meow=1)] in answers


def test_null_is_an_answer_in_a_stream_too() -> None:
    with ScriptedServer(lambda _: Scripted(_text('{"value": ', "null}"))) as server:
        llm = ChatDatabricksCompat(model="m", host=server.url, token="dapi0")
        assert list(llm.with_structured_output(Cat | None, method="json_schema").stream("x")) == [None]


def _calls(request: Received) -> Scripted:
    name = request.json["tools"][0]["function"]["name"]
    pieces = [name[:3], name[3:7], name[7:]]
    if not request.json.get("stream"):
        call = {"id": "c", "type": "function", "function": {"name": name, "arguments": '{"content": 7}'}}
        return Scripted({"choices": [{"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]})
    deltas: list[Any] = [{"index": 0, "id": "c", "type": "function", "function": {"name": pieces[0], "arguments": ""}}]
    deltas += [{"index": 0, "function": {"name": piece, "arguments": ""}} for piece in pieces[1:] if piece]
    deltas += [{"index": 0, "function": {"arguments": piece}} for piece in ('{"content"', ": 7}")]
    events: list[Any] = [{"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]} for delta in deltas]
    return Scripted(sse(*events, {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}))


@four_ways
@pytest.mark.parametrize("model", ["m", *MODELS])
def test_a_name_that_is_streamed_in_pieces_is_mapped_when_it_is_whole(model: str, call: Way) -> None:
    with ScriptedServer(_calls) as server:
        llm = ChatDatabricksCompat(model=model, host=server.url, token="dapi0")
        answer = call(llm.bind_tools([Box[int], _weather("Box_int")]), "x")
        assert [(one["name"], one["args"]) for one in answer.tool_calls] == [("Box[int]", {"content": 7})]
        chain = llm.with_structured_output(Box[int], method="function_calling")
        assert list(chain.stream("x"))[-1] == Box[int](content=7)


def test_names_fit_where_a_refusal_makes_the_client_ask_in_another_way() -> None:
    def reply(request: Received) -> Scripted:
        if "response_format" in request.json:
            refused = {"error_code": "BAD_REQUEST", "message": "response_format: Extra inputs are not permitted"}
            return Scripted(refused, status=400)
        return _calls(request)

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0")
        chain = llm.with_structured_output(Box[int], method="json_schema")
        with pytest.warns(UserWarning, match="asked for in another way"):
            assert chain.invoke("x") == Box[int](content=7)
        assert _ways(chain, "x") == [Box[int](content=7)] * 4
        assert server.requests[0].json["response_format"]["json_schema"]["name"] == "Box_int_"
        assert server.requests[1].json["tool_choice"]["function"]["name"] == "Box_int_"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tools": [{"type": "function", "function": {"name": "a.b", "parameters": {"type": "object"}}}]}, "tools.0"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {"type": "object"}}}},
            "response_format.json_schema.name",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "x"},
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "a.b", "arguments": "{}"}}],
                    },
                    {"role": "tool", "tool_call_id": "c", "content": "y"},
                ]
            },
            "messages.1.tool_calls.0.function.name",
        ),
    ],
    ids=["tools", "format", "history"],
)
@pytest.mark.parametrize("model", ["databricks-claude-sonnet-4-6", "databricks-gpt-5-2"])
def test_the_workspace_refuses_odd_names(
    workspace: LocalWorkspace, model: str, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(DatabricksInvalidRequestError, match=f"{words}.*should match pattern"):
        _llm(workspace, model).invoke("x", extra_body=change)
