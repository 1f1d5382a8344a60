"""Tools that are bound again: converted once, seen when they change, not kept alive, never shared between callers."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, Field

from kit.operations import operations
from langchain_dbchat.dialects.shared.request.converted_tools import convert_once
from langchain_dbchat.dialects.shared.request.tools import convert_tool


class Place(BaseModel):
    """A place."""

    city: str = Field(description="Its city.")
    near: list[str] = []


def weather(city: str, days: int = 3) -> str:
    """Get the weather of a city."""
    return f"{city}: sun for {days} days"


def _from_function() -> StructuredTool:
    return StructuredTool.from_function(weather)


def _from_schema() -> StructuredTool:
    schema = {"title": "search", "type": "object", "properties": {"query": {"type": "string"}}}
    return StructuredTool(name="search", description="Search.", args_schema=schema, func=weather)


def _function() -> Callable[..., str]:
    def search(query: str) -> str:
        """Search the web."""
        return query

    return search


def _class() -> type[BaseModel]:
    class Search(BaseModel):
        """Search the web."""

        query: str

    return Search


KINDS: list[Callable[[], Any]] = [_from_function, _from_schema, _function, _class]


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("make", [*KINDS, lambda: Place, lambda: {"name": "x", "input_schema": {}}])
def test_it_is_what_convert_tool_returns_and_a_copy(make: Callable[[], Any], strict: bool | None) -> None:
    it = make()
    wanted = convert_tool(it, strict)
    first = convert_once(it, strict)
    assert first == wanted
    first["function"]["parameters"] = None
    first["function"]["name"] = "changed"
    assert convert_once(it, strict) == wanted


@pytest.mark.parametrize("make", KINDS)
def test_the_second_time_costs_little(make: Callable[[], Any]) -> None:
    it = make()
    first = operations(lambda: convert_once(it, None))
    assert operations(lambda: convert_once(it, None)) < first / 2


def test_a_changed_tool_is_seen() -> None:
    it = _from_schema()
    convert_once(it, None)
    it.description = "Search the web."
    assert convert_once(it, None) == convert_tool(it, None)
    it.name = "find"
    assert convert_once(it, None)["function"]["name"] == "find"
    assert isinstance(it.args_schema, dict)
    it.args_schema["properties"]["limit"] = {"type": "integer"}
    assert "limit" in convert_once(it, None)["function"]["parameters"]["properties"]
    it.args_schema = Place
    assert "city" in convert_once(it, None)["function"]["parameters"]["properties"]
    it.extras = {"defer_loading": True}
    assert convert_once(it, None)["defer_loading"] is True


def test_a_changed_function_is_seen() -> None:
    it = _function()
    convert_once(it, None)
    it.__doc__ = "Search the books."
    assert convert_once(it, None)["function"]["description"] == "Search the books."
    it.__annotations__["query"] = int
    assert convert_once(it, None)["function"]["parameters"]["properties"]["query"]["type"] == "integer"


@pytest.mark.parametrize("make", [_from_function, _from_schema, _function])
def test_a_tool_is_not_kept_alive(make: Callable[[], Any]) -> None:
    it = make()
    convert_once(it, None)
    gone = weakref.ref(it)
    del it
    gc.collect()
    assert gone() is None


def test_tools_in_the_place_of_a_freed_one_are_their_own() -> None:
    for number in range(200):
        schema = {"title": "x", "type": "object", "properties": {f"field_{number}": {"type": "string"}}}
        it = StructuredTool(name=f"tool_{number}", description="A tool.", args_schema=schema, func=weather)
        assert convert_once(it, None)["function"]["name"] == f"tool_{number}"


def test_a_schema_that_is_not_json_is_converted_each_time() -> None:
    schema = {"title": "x", "type": "object", "properties": {"a": {"type": "string", "default": object()}}}
    it = StructuredTool(name="x", description="A tool.", args_schema=schema, func=weather)
    assert convert_once(it, None) == convert_tool(it, None)
