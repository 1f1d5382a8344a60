"""LangChain's agents and LangGraph's graphs over the embedded workspace, sync and async."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from kit.scripted import Scripted, ScriptedServer, sse
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.local import LocalWorkspace

QUESTION = {"messages": [HumanMessage("What is the weather in Oslo, and what is the population of Oslo?")]}
MODELS = [
    "databricks-claude-sonnet-4-6",
    "databricks-claude-opus-5",
    "databricks-gpt-5-2",
    "databricks-gpt-5-6-sol",
    "databricks-gemini-3-5-flash",
    "databricks-gpt-oss-120b",
    "databricks-meta-llama-3-3-70b-instruct",
    "databricks-glm-5-2",
    "databricks-kimi-k3",
    "databricks-inkling",
]


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It is raining in {city}."


@tool
def get_population(city: str) -> str:
    """Get the population of a city."""
    return f"{city} has 709037 inhabitants."


def _llm(workspace: LocalWorkspace, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


def _check(messages: list[Any]) -> None:
    called = {message.name for message in messages if isinstance(message, ToolMessage)}
    assert called == {"get_weather", "get_population"}
    answer = messages[-1]
    assert isinstance(answer, AIMessage)
    assert "raining in Oslo" in answer.text
    assert "709037" in answer.text


@pytest.mark.parametrize("model", MODELS)
async def test_an_agent_calls_both_tools_and_answers(workspace: LocalWorkspace, model: str) -> None:
    agent: Any = create_agent(_llm(workspace, model), [get_weather, get_population])
    _check(agent.invoke(QUESTION)["messages"])
    _check((await agent.ainvoke(QUESTION))["messages"])


@pytest.mark.parametrize("model", MODELS)
async def test_an_agent_streams_its_messages(workspace: LocalWorkspace, model: str) -> None:
    agent: Any = create_agent(_llm(workspace, model), [get_weather, get_population])
    # LangGraph hands its callbacks to async nodes through the task's context, which Python has from 3.11 on.
    streamed = (
        [] if sys.version_info < (3, 11) else [[i async for i in agent.astream(QUESTION, stream_mode="messages")]]
    )
    for items in [*streamed, list(agent.stream(QUESTION, stream_mode="messages"))]:
        chunks = [message for message, _ in items if isinstance(message, AIMessageChunk)]
        answer = "".join(chunk.text for chunk in chunks)
        assert "raining in Oslo" in answer
        assert "709037" in answer
        assert {message.name for message, _ in items if isinstance(message, ToolMessage)} == {
            "get_weather",
            "get_population",
        }
        assert len({chunk.id for chunk in chunks}) <= 3


async def test_a_graph_with_a_checkpointer_streams_messages(workspace: LocalWorkspace) -> None:
    llm = _llm(workspace, "databricks-claude-sonnet-4-6", coalesce=False)

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [llm.invoke(state["messages"])]}

    async def aanswer(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        return {"messages": [await llm.ainvoke(state["messages"], config)]}

    for node, streams_async in ((answer, False), (aanswer, True)):
        graph: Any = (
            StateGraph(MessagesState)
            .add_node("answer", node)
            .add_edge(START, "answer")
            .compile(checkpointer=InMemorySaver())
        )
        config = {"configurable": {"thread_id": "1"}}
        for question in ("Hello, one!", "Hello, two!"):
            asked = {"messages": [HumanMessage(question)]}
            if streams_async:
                items = [item async for item in graph.astream(asked, config, stream_mode="messages")]
            else:
                items = list(graph.stream(asked, config, stream_mode="messages"))
            assert question in "".join(message.text for message, _ in items)
            assert len(items) > 2
        state = graph.get_state(config).values["messages"]
        assert [message.type for message in state] == ["human", "ai", "human", "ai"]


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    condition: str


@pytest.mark.parametrize(
    ("model", "strategy"),
    [
        ("databricks-gpt-5-2", ProviderStrategy),
        ("databricks-gemini-3-5-flash", ProviderStrategy),
        ("databricks-claude-sonnet-4-6", ToolStrategy),
    ],
)
def test_an_agent_answers_in_a_schema_by_what_the_model_can(
    workspace: LocalWorkspace, model: str, strategy: type[Any]
) -> None:
    agent: Any = create_agent(_llm(workspace, model), [get_weather], response_format=Weather)
    state = agent.invoke({"messages": [HumanMessage("What is the weather in Oslo?")]})
    assert isinstance(state["structured_response"], Weather)
    formats = [request.json.get("response_format") for request in workspace.requests if request.json]
    assert any(formats) == (strategy is ProviderStrategy)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_call_that_was_cut_off_is_not_executed(streamed: bool) -> None:  # a parameter of the test
    executed: list[str] = []

    @tool
    def send_email(to: str, body: str) -> str:
        """Send an email."""
        executed.append(to + body)
        return "sent"

    cut = '{"to": "bob@x.com", "body": "Dear Bo'
    function = {"name": "send_email", "arguments": cut}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    answers = iter([True, False])

    def reply(request: Any) -> Scripted:
        calls = next(answers)
        said: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [call]} if calls else {}
        said = said or {"role": "assistant", "content": "I could not send it."}
        reason = "length" if calls else "stop"
        if request.json.get("stream"):
            events = [
                {"id": "1", "choices": [{"index": 0, "delta": said, "finish_reason": None}]},
                {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            ]
            return Scripted(headers={"content-type": "text/event-stream"}, body=sse(*events))
        return Scripted({"id": "1", "choices": [{"index": 0, "message": said, "finish_reason": reason}]})

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="m", host=server.url, token="dapi0")
        agent: Any = create_agent(llm, [send_email])
        asked = {"messages": [HumanMessage("Mail Bob.")]}
        if streamed:
            list(agent.stream(asked, stream_mode="messages"))
        else:
            agent.invoke(asked)
    assert executed == []
