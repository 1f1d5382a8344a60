"""LangChain's own ways to create a model by its name, and the middleware for prompt caching."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import base as chat_base
from langchain.chat_models import init_chat_model
from langchain.embeddings import base as embeddings_base
from langchain.embeddings import init_embeddings
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool

import langchain_dbchat
from langchain_dbchat import ChatDatabricksCompat, ConfigurationError, DatabricksEmbeddings
from langchain_dbchat.integrations.prompt_caching import DatabricksPromptCachingMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_dbchat.local import LocalWorkspace

CLAUDE = "databricks-claude-sonnet-4-6"


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It rains in {city}."


@pytest.fixture
def environment(workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sign in by the environment; the tables of LangChain are as they were afterwards."""
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    tables = [base._BUILTIN_PROVIDERS for base in (chat_base, embeddings_base)]
    before = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)
    chat_base._get_chat_model_creator.cache_clear()


@pytest.mark.usefixtures("environment")
def test_models_are_created_by_name() -> None:
    langchain_dbchat.register()
    langchain_dbchat.register()
    llm = init_chat_model(f"databricks:{CLAUDE}", temperature=0.5)
    assert isinstance(llm, ChatDatabricksCompat)
    assert (llm.model, llm.temperature) == (CLAUDE, 0.5)
    assert llm.invoke("Hello!").text
    assert init_chat_model(CLAUDE, model_provider="databricks").invoke("Hello!").text
    embeddings = init_embeddings("databricks:databricks-gte-large-en")
    assert isinstance(embeddings, DatabricksEmbeddings)
    assert len(embeddings.embed_query("Hello!")) == 1024


@pytest.mark.usefixtures("environment")
def test_a_configurable_model_and_an_agent_are_created_by_name() -> None:
    langchain_dbchat.register()
    llm = init_chat_model(configurable_fields=("model", "model_provider"))
    config: Any = {"configurable": {"model": CLAUDE, "model_provider": "databricks"}}
    assert llm.invoke("Hello!", config).text
    agent: Any = create_agent(f"databricks:{CLAUDE}", [get_weather])
    state = agent.invoke({"messages": [("human", "What is the weather in Oslo?")]})
    assert "rains in Oslo" in state["messages"][-1].text


@pytest.mark.usefixtures("environment")
def test_another_packages_row_is_replaced_and_another_name_is_possible() -> None:
    chat_base._BUILTIN_PROVIDERS["databricks"] = (
        "langchain_core.language_models",
        "FakeListChatModel",
        chat_base._call,
    )
    assert isinstance(init_chat_model("databricks:m", responses=["x"]), FakeListChatModel)
    langchain_dbchat.register()
    langchain_dbchat.register("dbx")
    assert isinstance(init_chat_model("databricks:m"), ChatDatabricksCompat)
    assert isinstance(init_chat_model("dbx:m"), ChatDatabricksCompat)


def test_a_version_of_langchain_without_the_table_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(embeddings_base, "_BUILTIN_PROVIDERS")
    before = dict(chat_base._BUILTIN_PROVIDERS)
    with pytest.raises(ConfigurationError, match="ChatDatabricksCompat"):
        langchain_dbchat.register()
    assert before == chat_base._BUILTIN_PROVIDERS


def _agent(workspace: LocalWorkspace, model: str, **settings: Any) -> Any:
    llm = ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token)
    middleware: Any = DatabricksPromptCachingMiddleware(**settings)
    return create_agent(llm, [get_weather], system_prompt="Be terse.", middleware=[middleware])


def _marks(body: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        (message["role"], part["cache_control"])
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if "cache_control" in part
    ]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_system_message_and_end_of_the_conversation_are_marked_in_each_step(
    workspace: LocalWorkspace, ttl: str, is_async: bool
) -> None:
    agent = _agent(workspace, CLAUDE, ttl=ttl)
    asked = {"messages": [HumanMessage("What is the weather in Oslo?")]}
    state = asyncio.run(agent.ainvoke(asked)) if is_async else agent.invoke(asked)
    mark = {"type": "ephemeral", "ttl": ttl}
    assert [_marks(request.json) for request in list(workspace.requests)[-2:]] == [
        [("system", mark), ("user", mark)],
        [("system", mark), ("tool", mark)],
    ]
    assert state["messages"][0].content == "What is the weather in Oslo?"  # nothing of the caller's is changed
    assert "rains in Oslo" in state["messages"][-1].text


def test_marks_of_the_user_count(workspace: LocalWorkspace) -> None:
    mark = {"type": "ephemeral"}
    marked: list[Any] = [{"type": "text", "text": f"part {number}", "cache_control": mark} for number in range(3)]
    agent = _agent(workspace, CLAUDE)
    agent.invoke({"messages": [SystemMessage(marked), HumanMessage("Hello!")]})
    assert len(_marks(workspace.requests[-1].json)) == 4
    agent.invoke({"messages": [SystemMessage(marked), HumanMessage([marked[0]])]})
    assert _marks(workspace.requests[-1].json) == [("system", mark)] * 3 + [("user", mark)]


def test_short_conversations_are_not_marked(workspace: LocalWorkspace) -> None:
    _agent(workspace, CLAUDE, min_messages_to_cache=3).invoke({"messages": [("human", "Hello!")]})
    assert not _marks(workspace.requests[-1].json)


def test_a_model_without_marks_is_left_as_it_is(workspace: LocalWorkspace) -> None:
    asked = {"messages": [("human", "Hello!")]}
    with pytest.warns(UserWarning, match="'databricks-gpt-5-2' has no marks for prompt caching"):
        _agent(workspace, "databricks-gpt-5-2").invoke(asked)
    assert not _marks(workspace.requests[-1].json)
    _agent(workspace, "databricks-gpt-5-2", unsupported_model_behavior="ignore").invoke(asked)
    with pytest.raises(ConfigurationError, match="documents them for Claude"):
        _agent(workspace, "databricks-gpt-5-2", unsupported_model_behavior="raise").invoke(asked)
