"""What stands around an agent in LangChain: its built-in middleware, a SQLite checkpointer, tools of an MCP server."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents import middleware as installed
from langchain_core import exceptions
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricksCompat

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_dbchat.local import LocalWorkspace


MODELS = ["databricks-claude-sonnet-4-6", "databricks-gpt-5-2"]
models = pytest.mark.parametrize("model", MODELS)
QUESTION = "What is the weather in Oslo?"


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It rains in {city}."


@tool
def read_weather(city: str) -> str:
    """Get the current weather in a city."""
    raise RuntimeError(f"no sensor in {city}")


def _built(name: str) -> Any:
    """Return a middleware of LangChain's; a test of one that the installed version does not have is skipped."""
    found = getattr(installed, name, None)
    return found if found is not None else pytest.skip(f"this version of langchain has no {name}")


def _llm(workspace: LocalWorkspace, model: str, **settings: Any) -> ChatDatabricksCompat:
    given: dict[str, Any] = {"model": model, "host": workspace.host, "token": workspace.token, **settings}
    return ChatDatabricksCompat(**given)


def _agent(llm: ChatDatabricksCompat, *around: Any, tools: Any = (get_weather,), **more: Any) -> Any:
    return create_agent(llm, list(tools), middleware=list(around), **more)


def _ask(agent: Any, question: str = QUESTION, config: Any = None) -> list[Any]:
    messages: list[Any] = agent.invoke({"messages": [("human", question)]}, config)["messages"]
    return messages


def _results(messages: list[Any]) -> list[str]:
    return [message.text for message in messages if isinstance(message, ToolMessage)]


@models
def test_limits_of_calls(workspace: LocalWorkspace, model: str) -> None:
    llm = _llm(workspace, model)
    messages = _ask(_agent(llm, _built("ModelCallLimitMiddleware")(run_limit=1)))
    assert sum(bool(isinstance(message, AIMessage) and message.tool_calls) for message in messages) == 1
    messages = _ask(_agent(llm, _built("ToolCallLimitMiddleware")(run_limit=1, exit_behavior="end")))
    assert isinstance(messages[-1], AIMessage)


@models
def test_a_fallback_and_a_retry_after_an_error(workspace: LocalWorkspace, model: str) -> None:
    broken_llm = _llm(workspace, "no-such-endpoint", max_retries=0)
    messages = _ask(_agent(broken_llm, _built("ModelFallbackMiddleware")(_llm(workspace, model))))
    assert _results(messages) == ["It rains in Oslo."]
    llm = _llm(workspace, model, max_retries=0)
    workspace.fail_next(status=503)
    retry = _built("ModelRetryMiddleware")(max_retries=1, initial_delay=0.01, jitter=False, on_failure="error")
    assert _results(_ask(_agent(llm, retry))) == ["It rains in Oslo."]


@models
def test_personal_data_do_not_reach_the_endpoint(workspace: LocalWorkspace, model: str) -> None:
    _ask(_agent(_llm(workspace, model), _built("PIIMiddleware")("email")), f"I am ann@example.com. {QUESTION}")
    assert "ann@example.com" not in str(workspace.requests[-1].json)
    assert "REDACTED" in str(workspace.requests[-1].json)


@models
@pytest.mark.parametrize("trigger", [("messages", 4), ("fraction", 0.00002)], ids=["messages", "fraction"])
def test_a_summary_of_a_long_conversation(workspace: LocalWorkspace, model: str, trigger: Any) -> None:
    """A fraction of the context window needs the model's profile."""
    llm = _llm(workspace, model)
    agent = _agent(llm, _built("SummarizationMiddleware")(llm, trigger=trigger, keep=("messages", 1)))
    history = [
        HumanMessage("My name is Ann."),
        AIMessage("Hello, Ann!"),
        HumanMessage("I live in Oslo."),
        AIMessage("Nice."),
    ]
    state = agent.invoke({"messages": [*history, HumanMessage(QUESTION)]})
    assert "summary" in state["messages"][0].text.lower()
    assert isinstance(state["messages"][-1], AIMessage)


@models
def test_a_list_of_things_to_do_and_a_choice_of_tools(workspace: LocalWorkspace, model: str) -> None:
    llm = _llm(workspace, model)
    assert _ask(_agent(llm, _built("TodoListMiddleware")()))[-1].text
    names = [entry["function"]["name"] for entry in workspace.requests[-1].json["tools"]]
    assert {"write_todos", "get_weather"} == set(names)
    selector = _built("LLMToolSelectorMiddleware")(max_tools=1, always_include=["get_weather"])
    assert "It rains in Oslo." in _results(_ask(_agent(llm, selector, tools=(get_weather, read_weather))))


@models
def test_a_tool_that_a_model_plays(workspace: LocalWorkspace, model: str) -> None:
    llm = _llm(workspace, model)
    (result,) = _results(_ask(_agent(llm, _built("LLMToolEmulator")(model=llm), tools=(read_weather,))))
    assert result
    assert "no sensor" not in result


@models
def test_errors_of_a_tool_are_results(workspace: LocalWorkspace, model: str) -> None:
    retry = _built("ToolRetryMiddleware")(max_retries=1, initial_delay=0.01, jitter=False)
    messages = _ask(_agent(_llm(workspace, model), retry, tools=(read_weather,)))
    assert "no sensor in Oslo" in _results(messages)[0]
    assert isinstance(messages[-1], AIMessage)


@models
def test_a_person_approves_a_call(workspace: LocalWorkspace, model: str) -> None:
    approve = _built("HumanInTheLoopMiddleware")({"get_weather": True})
    agent = _agent(_llm(workspace, model), approve, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    state = agent.invoke({"messages": [("human", QUESTION)]}, config)
    assert state["__interrupt__"]
    assert not _results(state["messages"])
    state = agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert _results(state["messages"]) == ["It rains in Oslo."]


@models
def test_old_results_are_cleared_and_files_are_searched(workspace: LocalWorkspace, model: str, tmp_path: Path) -> None:
    edit = _built("ClearToolUsesEdit")(trigger=1, keep=0)
    messages = _ask(_agent(_llm(workspace, model), _built("ContextEditingMiddleware")(edits=[edit])))
    assert isinstance(messages[-1], AIMessage)
    assert "It rains in Oslo." not in str(workspace.requests[-1].json)
    (tmp_path / "a.py").write_text("x = 1")
    search = _built("FilesystemFileSearchMiddleware")(root_path=str(tmp_path), use_ripgrep=False)
    messages = _ask(
        _agent(_llm(workspace, model), search, tools=()), "Find all files with glob_search and the pattern *.py"
    )
    assert isinstance(messages[-1], AIMessage)


def test_a_refusal_is_raised() -> None:
    def refuse(_: Received) -> Scripted:
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
        return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    with ScriptedServer(refuse) as server:
        middleware = _built("ModelRefusalMiddleware")()
        llm = ChatDatabricksCompat(model="databricks-gpt-5-2", host=server.url, token="dapi0")
        with pytest.raises(exceptions.ModelRefusalError):  # as old as the middleware
            _ask(_agent(llm, middleware))


@pytest.mark.parametrize("model", ["databricks-claude-sonnet-4-6", "databricks-gemini-3-flash", "databricks-gpt-5-2"])
def test_a_thread_goes_on_from_a_database(workspace: LocalWorkspace, model: str, tmp_path: Path) -> None:
    """Signed reasoning survives the file: the workspace checks the signatures."""
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")
    config: Any = {"configurable": {"thread_id": "1"}}
    messages: list[Any] = []
    for question in (QUESTION, "And in Rome?"):
        llm = _llm(workspace, model, reasoning_effort="low")
        with sqlite.SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
            messages = _ask(_agent(llm, checkpointer=saver), question, config)
    assert len([message for message in messages if isinstance(message, HumanMessage)]) == 2
    assert isinstance(messages[-1], AIMessage)


SERVER = '''
from mcp.server.fastmcp import FastMCP

server = FastMCP("weather")


@server.tool()
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It rains in {city}."


server.run(transport="stdio")
'''


@models
def test_tools_of_an_mcp_server(workspace: LocalWorkspace, model: str, tmp_path: Path) -> None:
    adapters = pytest.importorskip("langchain_mcp_adapters.client")
    script = tmp_path / "server.py"
    script.write_text(SERVER)

    async def ask() -> list[Any]:
        served = {"weather": {"command": sys.executable, "args": [str(script)], "transport": "stdio"}}
        tools = await adapters.MultiServerMCPClient(served).get_tools()
        state = await _agent(_llm(workspace, model), tools=tools).ainvoke({"messages": [("human", QUESTION)]})
        messages: list[Any] = state["messages"]
        return messages

    messages = asyncio.run(ask())
    assert _results(messages) == ["It rains in Oslo."]
    assert "rains in Oslo" in messages[-1].text
