"""A model with fallbacks: what is set on the whole is set on each, and after an error the next one answers."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any, get_type_hints

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel

from kit.formats import in_each_format
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import DatabricksAPIError, DatabricksRateLimitError

FIRST, SECOND = "databricks-gpt-5-2", "databricks-gpt-5-4"


@tool
def get_weather(city: str) -> str:
    """Get the weather."""
    return city


class City(BaseModel):
    """A city."""

    name: str


def _first_fails(request: Received) -> Scripted:
    if FIRST in request.path:
        return Scripted({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "no capacity"}, status=503)
    if "tools" in request.json:
        call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
        return _answer(request, {"content": None, "tool_calls": [call]}, "tool_calls")
    if "response_format" in request.json:
        return _answer(request, {"content": json.dumps({"name": "Oslo"})}, "stop")
    return in_each_format(request)


def _answer(request: Received, message: dict[str, Any], reason: str) -> Scripted:
    if request.json.get("stream"):
        return Scripted(sse({"choices": [{"index": 0, "delta": message, "finish_reason": reason}]}))
    return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": reason}]})


def _llm(server: ScriptedServer, model: str) -> Any:
    return ChatDatabricksCompat(model=model, host=server.url, token="t", max_retries=0)


def _both(server: ScriptedServer, **options: Any) -> Any:
    return _llm(server, FIRST).with_fallbacks([_llm(server, SECOND)], **options)


@four_ways
def test_tools_are_bound_to_each(call: Way) -> None:
    with ScriptedServer(_first_fails) as server:
        answer = call(_both(server).bind_tools([get_weather], tool_choice="any"), "Hi")
    assert [one["name"] for one in answer.tool_calls] == ["get_weather"]
    assert [request.json["tool_choice"] for request in server.requests] == ["required", "required"]
    assert answer.response_metadata["model_name"] == SECOND


@four_ways
def test_a_schema_is_asked_of_each(call: Way) -> None:
    with ScriptedServer(_first_fails) as server:
        found: Any = call(_both(server).with_structured_output(City), "Where?")
    assert found == City(name="Oslo")
    assert len(server.requests) == 2


@four_ways
def test_only_the_errors_that_are_named_lead_to_the_next(call: Way) -> None:
    with ScriptedServer(_first_fails) as server:
        assert call(_both(server, exceptions_to_handle=(DatabricksAPIError,)), "Hi").text == "ok"
        with pytest.raises(DatabricksAPIError, match="no capacity"):
            call(_both(server, exceptions_to_handle=(DatabricksRateLimitError,)), "Hi")
    assert [SECOND in request.path for request in server.requests] == [False, True, False]


def test_a_method_that_returns_no_runnable_is_that_of_the_first() -> None:
    with ScriptedServer(_first_fails) as server:
        both = _both(server)
        assert both.get_num_tokens("Hello, world") == _llm(server, FIRST).get_num_tokens("Hello, world")
        assert both.get_num_tokens_from_messages([HumanMessage("Hi")]) > 0
        assert both.with_credentials(token="u").model == FIRST


def test_annotations_that_langchain_resolves_can_be_resolved() -> None:
    # `RunnableWithFallbacks` does so with each method of a model that it does not have itself.
    own = {
        name: method
        for name, method in inspect.getmembers(ChatDatabricksCompat, callable)
        if not name.startswith("_")
        and getattr(method, "__module__", "").startswith("langchain_dbchat")
        and not hasattr(Runnable, name)
    }
    assert {"bind_tools", "with_structured_output", "get_num_tokens_from_messages", "with_credentials"} <= own.keys()
    for method in own.values():
        get_type_hints(method)


def test_embedding_a_query_can_be_a_tool_and_a_step_of_a_chain() -> None:
    def rows(request: Received) -> Scripted:
        return Scripted({"data": [{"index": n, "embedding": [1.0, 0.0]} for n, _ in enumerate(request.json["input"])]})

    with ScriptedServer(rows) as server:
        embeddings = DatabricksEmbeddings(model="m", host=server.url, token="t")
        as_tool = StructuredTool.from_function(embeddings.embed_documents, name="embed", description="Embed texts.")
        assert as_tool.invoke({"texts": ["a", "b"]}) == [[1.0, 0.0], [1.0, 0.0]]
        chain = RunnableLambda(embeddings.embed_query, afunc=embeddings.aembed_query)
        assert chain.invoke("a") == asyncio.run(chain.ainvoke("a")) == [1.0, 0.0]


@four_ways
def test_other_credentials_are_those_of_each_model(call: Way) -> None:
    with ScriptedServer(_first_fails) as server:
        first, second = (
            ChatDatabricksCompat(model=name, host=server.url, token="dapi0", max_retries=0) for name in (FIRST, SECOND)
        )
        whole: Any = first.with_fallbacks([second])
        assert call(whole.with_credentials(token="dapi-of-ann"), "Hi").text
    assert [FIRST in request.path for request in server.requests] == [True, False]
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer dapi-of-ann"}
    assert first.with_credentials(token="dapi-of-ann").model == FIRST
