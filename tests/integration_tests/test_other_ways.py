"""Ask for what a model refuses in another way: a schema beside tools, a conversation that ends with an answer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksInvalidRequestError
from langchain_dbchat.dialects.shared.conversation.turns import CONTINUE

if TYPE_CHECKING:
    from langchain_dbchat.local import LocalWorkspace

CLAUDE = "databricks-claude-sonnet-4-6"


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    condition: str


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It rains in {city}."


def _called(*calls: tuple[str, str], text: str | None = None) -> Scripted:
    made = [
        {"id": f"c{n}", "type": "function", "function": {"name": a, "arguments": b}} for n, (a, b) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text, "tool_calls": made}
    return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})


def _streamed(name: str, *fragments: str) -> Scripted:
    first = {"index": 0, "id": "c0", "type": "function", "function": {"name": name, "arguments": ""}}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": [first]}]
    deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": fragment}}]} for fragment in fragments]
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return Scripted(sse(*events, {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}))


def _llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(**{"model": CLAUDE, "host": server.url, "token": "dapi0", "max_retries": 0, **settings})


@four_ways
@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize(
    "fragments",
    [
        ['{"city": ', '"Oslo", "condition": "rain"}'],
        ["{}", '{"city": "Oslo"}'],
        ["{}"],
        ['{"city": ', "{}", ', "condition": ', "{}", "}"],
        ["", "", "{}", '{"city": "Oslo"}'],
    ],
)
def test_the_call_of_the_schema_is_the_text_of_the_answer(call: Way, coalesce: bool, fragments: list[str]) -> None:
    whole = "".join(fragments).removeprefix("{}") or "{}"

    def answer(request: Received) -> Scripted:
        name = request.json["tools"][-1]["function"]["name"]
        return _streamed(name, *fragments) if request.json.get("stream") else _called((name, whole))

    with ScriptedServer(answer) as server:
        bound = _llm(server, coalesce=coalesce).bind_tools([get_weather], response_format=Weather)
        with pytest.warns(UserWarning, match="either tools or a response format"):
            message = call(bound, "Hi")
    assert (message.text, message.tool_calls, message.invalid_tool_calls) == (whole, [], [])
    (request,) = server.requests
    assert [entry["function"]["name"] for entry in request.json["tools"]] == ["get_weather", "Weather"]
    assert request.json["tool_choice"] == "required"
    assert "response_format" not in request.json


@four_ways
def test_a_call_of_another_tool_stays_a_call(call: Way) -> None:
    def answer(request: Received) -> Scripted:
        if request.json.get("stream"):
            return _streamed("get_weather", '{"city": ', '"Oslo"}')
        return _called(("get_weather", '{"city": "Oslo"}'))

    with ScriptedServer(answer) as server, pytest.warns(UserWarning, match="either tools"):
        message = call(_llm(server).bind_tools([get_weather], response_format=Weather), "Hi")
    assert [(made["name"], made["args"]) for made in message.tool_calls] == [("get_weather", {"city": "Oslo"})]
    assert not message.text


def test_a_tool_of_the_same_name_stays_another_tool() -> None:
    @tool("Weather")
    def weather(city: str) -> str:
        """Get the weather."""
        return city

    with ScriptedServer(lambda _: _called(("Weather", '{"city": "Oslo"}'))) as server:
        with pytest.warns(UserWarning, match="either tools"):
            message = _llm(server).bind_tools([weather], response_format=Weather).invoke("Hi")
    assert [entry["function"]["name"] for entry in server.requests[0].json["tools"]] == ["Weather", "Weather_answer"]
    assert message.tool_calls[0]["name"] == "Weather"


@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_with_the_providers_strategy(streamed: bool) -> None:
    """The agent calls its tool first, and then gives the answer."""

    def answer(request: Received) -> Scripted:
        has_result = any(message["role"] == "tool" for message in request.json["messages"])
        name, said = (
            ("Weather", '{"city": "Oslo", "condition": "rain"}') if has_result else ("get_weather", '{"city": "Oslo"}')
        )
        return _streamed(name, said) if request.json.get("stream") else _called((name, said))

    with ScriptedServer(answer) as server:
        agent: Any = create_agent(_llm(server), [get_weather], response_format=ProviderStrategy(Weather))
        asked = {"messages": [("human", "What is the weather in Oslo?")]}
        with pytest.warns(UserWarning, match="either tools"):
            states = list(agent.stream(asked, stream_mode=["values", "messages"] if streamed else ["values"]))
    state = [found for mode, found in states if mode == "values"][-1]
    assert state["structured_response"] == Weather(city="Oslo", condition="rain")
    assert len(server.requests) == 2


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "glm-5-2", "gpt-5-2", "gemini-3-flash"])
def test_the_providers_strategy_on_the_local_workspace(workspace: LocalWorkspace, model: str) -> None:
    llm = ChatDatabricksCompat(model=f"databricks-{model}", host=workspace.host, token=workspace.token)
    agent: Any = create_agent(llm, [get_weather], response_format=ProviderStrategy(Weather))
    if model.startswith(("claude", "glm")):
        with pytest.warns(UserWarning, match="either tools"):
            state = agent.invoke({"messages": [("human", "What is the weather in Oslo?")]})
    else:
        state = agent.invoke({"messages": [("human", "What is the weather in Oslo?")]})
    assert isinstance(state["structured_response"], Weather)


@four_ways
def test_a_chosen_schema_that_the_endpoint_refuses_is_asked_for_by_a_tool(workspace: LocalWorkspace, call: Way) -> None:
    model = "databricks-qwen3-next-80b-a3b-instruct"
    llm = ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, user_agent=call.__name__)
    with pytest.warns(UserWarning, match="refused 'response_format', so it is asked for in another way"):
        found: Any = call(llm.with_structured_output(Weather, method="json_schema"), "It rains in Oslo.")
    assert isinstance(found, Weather)


REFUSED = "response_format.type: 'json_schema' is not supported for this model."


def _refusing_formats(request: Received) -> Scripted:
    if "response_format" in request.json:
        return Scripted({"error_code": "BAD_REQUEST", "message": REFUSED}, status=400)
    name, said = request.json["tools"][-1]["function"]["name"], '{"city": "Oslo", "condition": "rain"}'
    return _streamed(name, said) if request.json.get("stream") else _called((name, said))


@four_ways
@pytest.mark.parametrize("tools", [[], [get_weather]])
def test_a_bound_schema_that_the_endpoint_refuses_is_asked_for_by_a_tool(call: Way, tools: list[Any]) -> None:
    """Also without other tools; the warning comes once, and the endpoint is asked in this way from then on."""
    with ScriptedServer(_refusing_formats) as server:
        llm = _llm(server, model="databricks-kimi-k3")
        bound = llm.bind_tools(tools, response_format=Weather) if tools else llm.bind(response_format=Weather)
        with pytest.warns(UserWarning, match="refused 'response_format', so it is asked for in another way") as warned:
            first = call(bound, "Hi")
        second = call(bound, "Hi")
        parsed: Any = call(llm.with_structured_output(Weather, method="json_schema", tools=tools), "Hi")
    assert len(warned) == 1
    for message in (first, second):
        assert (message.text, message.tool_calls) == ('{"city": "Oslo", "condition": "rain"}', [])
    assert parsed == Weather(city="Oslo", condition="rain")
    assert ["response_format" in request.json for request in server.requests] == [True, False, False, False]
    assert [entry["function"]["name"] for entry in server.requests[1].json["tools"]][len(tools) :] == ["Weather"]
    assert server.requests[1].json["tool_choice"] == "required"


@four_ways
def test_a_bound_schema_is_not_asked_for_in_another_way_with_strict_params(call: Way) -> None:
    with ScriptedServer(_refusing_formats) as server:
        llm = _llm(server, model="databricks-kimi-k3", strict_params=True)
        with pytest.raises(DatabricksInvalidRequestError, match="response_format"):
            call(llm.bind(response_format=Weather), "Hi")


@pytest.mark.parametrize(
    "model", ["kimi-k3", "qwen3-next-80b-a3b-instruct", "grok-4-6", "deepseek-v4-flash-0731", "inkling"]
)
@pytest.mark.parametrize("tools", [[], [get_weather]])
def test_the_providers_strategy_where_a_schema_is_refused(
    workspace: LocalWorkspace, model: str, tools: list[Any]
) -> None:
    llm = ChatDatabricksCompat(model=f"databricks-{model}", host=workspace.host, token=workspace.token)
    agent: Any = create_agent(llm, tools, response_format=ProviderStrategy(Weather))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*refused 'response_format'")  # once an endpoint, by the first test
        state = agent.invoke({"messages": [("human", "What is the weather in Oslo?")]})
    assert isinstance(state["structured_response"], Weather)


ENDS = [HumanMessage("Name a city."), AIMessage("Oslo is")]


@four_ways
@pytest.mark.parametrize("model", [CLAUDE, "databricks-claude-opus-5", "databricks-meta-llama-3-3-70b-instruct"])
def test_a_conversation_that_ends_with_an_answer_is_continued(workspace: LocalWorkspace, call: Way, model: str) -> None:
    llm = ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token)
    assert call(llm, ENDS).text
    assert [message["role"] for message in workspace.requests[-1].json["messages"]] == ["user", "assistant", "user"]
    assert workspace.requests[-1].json["messages"][-1]["content"] == CONTINUE
    assert len(ENDS) == 2


def test_a_model_that_continues_an_answer_gets_it_last(workspace: LocalWorkspace) -> None:
    llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-5", host=workspace.host, token=workspace.token)
    assert llm.invoke(ENDS).text
    assert [message["role"] for message in workspace.requests[-1].json["messages"]] == ["user", "assistant"]


@four_ways
def test_an_endpoint_teaches_that_it_does_not_continue_an_answer(call: Way) -> None:
    words = "This model does not support assistant message prefill. The conversation must end with a user message."

    def answer(request: Received) -> Scripted:
        if request.json["messages"][-1]["role"] == "assistant":
            return Scripted({"error_code": "BAD_REQUEST", "message": words}, status=400)
        message = {"content": "a city."}
        if request.json.get("stream"):
            return Scripted(sse({"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}))
        return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    with ScriptedServer(answer) as server:
        llm = _llm(server, model="my-endpoint")
        with pytest.warns(UserWarning, match="followed by a user's message"):
            assert call(llm, ENDS).text == "a city."
        assert call(llm, ENDS).text == "a city."
    assert [request.json["messages"][-1]["role"] for request in server.requests] == ["assistant", "user", "user"]


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gpt-5-2", "gemini-3-flash", "meta-llama-3-3-70b-instruct"])
def test_langgraphs_react_agent_with_a_response_format(workspace: LocalWorkspace, model: str) -> None:
    prebuilt = pytest.importorskip("langgraph.prebuilt")
    llm = ChatDatabricksCompat(model=f"databricks-{model}", host=workspace.host, token=workspace.token)
    with pytest.warns(Warning, match="create_react_agent"):  # LangGraph has deprecated it
        agent = prebuilt.create_react_agent(llm, [get_weather], response_format=Weather)
    state = agent.invoke({"messages": [("human", "What is the weather in Oslo?")]})
    assert isinstance(state["structured_response"], Weather)


def test_chunks_of_the_answer_arrive_one_by_one() -> None:
    events = _streamed("Weather", '{"city": ', '"Oslo"', "}")
    with ScriptedServer(lambda _: events) as server:
        bound = _llm(server, coalesce=False).bind_tools([get_weather], response_format=Weather)
        with pytest.warns(UserWarning, match="either tools"):
            chunks = list(bound.stream("Hi"))
    assert [chunk.text for chunk in chunks if chunk.text] == ['{"city": ', '"Oslo"', "}"]
