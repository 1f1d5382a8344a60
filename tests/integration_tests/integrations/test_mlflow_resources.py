"""The resources of models are found in chains, agents, graphs and in what users write themselves."""

from __future__ import annotations

import functools
import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, SummarizationMiddleware
from langchain_core.runnables import ConfigurableField, RunnableBranch, RunnableLambda, RunnableParallel
from langchain_core.tools import create_retriever_tool, tool
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph import START, MessagesState, StateGraph

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.integrations.mlflow import resources

pytestmark = [
    pytest.mark.skipif(
        find_spec("mlflow") is None or find_spec("pandas") is None,
        reason='needs MLflow: pip install "langchain-dbchat[mlflow]"',
    ),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),  # MLflow's own types, when imported
]

MODELS = """
from langchain_dbchat import ChatDatabricksCompat

llm = ChatDatabricksCompat(model="z")
other = [ChatDatabricksCompat(model="not used")]
"""

AGENTS = """
import functools

from databricks_of_mine.models import llm


class Agent:
    def predict(self, request):
        return llm.invoke(request)


class Child(Agent):
    pass


class Attribute:
    model = llm


class Property:
    @property
    def model(self):
        return llm


class Cached:
    @functools.cached_property
    def model(self):
        return llm


class Static:
    @staticmethod
    def ask(text):
        return llm.invoke(text)


class ForClass:
    @classmethod
    def ask(cls, text):
        return llm.invoke(text)
"""

FUNCTIONS = """
import databricks_of_mine.models as shared


def by_module(text):
    return shared.llm.invoke(text)


def by_import(text):
    from databricks_of_mine.models import llm

    return llm.invoke(text)


def by_relative_import(text):
    from .models import llm

    return llm.invoke(text)


def another(text):
    return shared.no_such_name
"""


def _named(found: list[Any]) -> list[tuple[str, str]]:
    return [(type(resource).__name__, resource.name) for resource in found]


def test_each_class_has_its_resource() -> None:
    assert _named(ChatDatabricksCompat(model="mine").resources()) == [("DatabricksServingEndpoint", "mine")]
    service = ChatDatabricksCompat(model="system.ai.gpt-5").resources()
    assert _named(service) == [("DatabricksUCModelService", "system.ai.gpt-5")]
    assert _named(ChatDatabricksCompat(model="apps/helper").resources()) == [("DatabricksApp", "helper")]
    (resource,) = DatabricksEmbeddings(model="databricks-gte-large-en").resources(on_behalf_of_user=True)
    assert resource.to_dict() == {"serving_endpoint": [{"name": "databricks-gte-large-en", "on_behalf_of_user": True}]}


def test_resources_are_found_wherever_a_model_is_used() -> None:
    class Mine:
        __slots__ = ("inner",)

        def __init__(self, inner: Any) -> None:
            self.inner = inner

    models = {name: ChatDatabricksCompat(model=name) for name in "abcdefgh"}
    store = InMemoryVectorStore(DatabricksEmbeddings(model="embedder"))

    @tool
    def ask(question: str) -> str:
        """Ask another model."""
        return models["c"].invoke(question).text

    agent = create_agent(models["a"], [ask, create_retriever_tool(store.as_retriever(), "search", "Search.")])
    wanted = {(kind, name) for kind, name in _named(resources(agent))}
    assert wanted >= {("DatabricksServingEndpoint", name) for name in ("a", "c", "embedder")}
    alone = ChatDatabricksCompat(model="z")
    chains: list[Any] = [
        alone.bind_tools([]),
        alone.with_fallbacks([ChatDatabricksCompat(model="z")]),
        RunnableParallel(answer=alone) | (lambda found: found),
        RunnableLambda(lambda text: alone.invoke(text)),  # noqa: PLW0108  # a function that uses the model
        alone.with_structured_output({"title": "T", "type": "object", "properties": {}}),
        alone.with_retry(),
        Mine({"deep": [alone]}),
        alone.invoke,
    ]
    for chain in chains:
        assert _named(resources(chain)) == [("DatabricksServingEndpoint", "z")], chain


def test_resources_are_found_in_what_a_user_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "databricks_of_mine").mkdir()
    for name, code in {"__init__": "", "models": MODELS, "agents": AGENTS, "functions": FUNCTIONS}.items():
        (tmp_path / "databricks_of_mine" / f"{name}.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    agents, functions = (importlib.import_module(f"databricks_of_mine.{name}") for name in ("agents", "functions"))
    for name in ("Agent", "Child", "Attribute", "Property", "Cached", "Static", "ForClass"):
        kind = getattr(agents, name)
        assert _named(resources(kind())) == [("DatabricksServingEndpoint", "z")], name
        assert _named(resources(kind)) == [("DatabricksServingEndpoint", "z")], name
    for name in ("by_module", "by_import", "by_relative_import"):
        chain = RunnableLambda(getattr(functions, name))
        assert _named(resources(chain)) == [("DatabricksServingEndpoint", "z")], name
    assert _named(resources(agents)) == [("DatabricksServingEndpoint", "z")]
    assert resources(functions.another) == []


def test_resources_are_found_in_graphs_and_what_an_agent_falls_back_to() -> None:
    one, two, three = (ChatDatabricksCompat(model=name) for name in ("one", "two", "three"))

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [one.invoke(state["messages"])]}

    async def answer_async(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await one.ainvoke(state["messages"])]}

    def graph_of(node: Any) -> Any:
        return StateGraph(MessagesState).add_node("answer", node).add_edge(START, "answer").compile()

    def choose(state: MessagesState) -> str:
        return "answer" if one.invoke(state["messages"]).text else "end"

    branching = (
        StateGraph(MessagesState).add_node("answer", lambda _: {}).add_conditional_edges(START, choose).compile()
    )
    inner = graph_of(answer)
    for graph in (
        inner,
        graph_of(answer_async),
        graph_of(inner),
        graph_of(lambda state: inner.invoke({**state})),
        branching,
    ):
        assert _named(resources(graph)) == [("DatabricksServingEndpoint", "one")]
    careful = create_agent(one, [], middleware=[SummarizationMiddleware(two), ModelFallbackMiddleware(three)])
    assert {name for _, name in _named(resources(careful))} == {"one", "two", "three"}
    choice = one.configurable_alternatives(
        ConfigurableField(id="model"), default_key="one", two=two, three=lambda: three
    )
    branch = RunnableBranch((lambda _: True, one), (lambda _: True, two), three)
    for chain in (one.with_fallbacks([two, three]), branch, choice):
        assert {name for _, name in _named(resources(chain))} == {"one", "two", "three"}


def test_tools_say_themselves_what_they_need() -> None:
    from mlflow.models.resources import DatabricksFunction

    class Tool:
        def __init__(self) -> None:
            self.resources = [DatabricksFunction("main.default.f")]

    found = resources([Tool(), Tool()], ChatDatabricksCompat(model="z"))
    assert _named(found) == [("DatabricksServingEndpoint", "z"), ("DatabricksFunction", "main.default.f")]


def test_genie_and_functions_are_found_by_the_name_that_they_keep() -> None:
    def keeps(module: str, kind: str, **names: str) -> Any:
        made = type(kind, (), {"__module__": module})()
        vars(made).update(names)
        return made

    genie = keeps("databricks_ai_bridge.genie", "Genie", space_id="01f0")
    function = keeps("unitycatalog.ai.langchain.toolkit", "UnityCatalogTool", uc_function_name="main.default.f")
    mine = keeps("mine", "Genie", space_id="not theirs")
    found = resources({"partial": functools.partial(print, genie=genie)}, [function, mine])
    assert sorted(_named(found)) == [("DatabricksFunction", "main.default.f"), ("DatabricksGenieSpace", "01f0")]
