"""Tools that cannot be sent raise before anything is sent; fields of tools that say nothing are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat

if TYPE_CHECKING:
    from langchain_dbchat.local import LocalWorkspace


@tool
def get_weather(city: str) -> str:
    """Get the weather."""
    return city


def _model(host: str, token: str = "t", api: Any = "chat") -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=host, token=token, api=api, max_retries=0)


@pytest.mark.parametrize("tools", [None, get_weather, {"a": get_weather}, "get_weather", BaseModel, 5])
def test_tools_that_are_no_list(tools: Any) -> None:
    with pytest.raises(TypeError, match=r"tools has to be a list of tools, not .* Give \[tool\] for one"):
        _model("http://127.0.0.1:9").bind_tools(tools)


@four_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("function", [{}, {"name": None}, {"name": 5}, {"name": " "}])
def test_a_tool_without_a_name(function: Any, api: str, call: Way) -> None:
    with ScriptedServer(Scripted({})) as server:
        with pytest.raises(ValueError, match="A tool has (no|an empty) name"):
            call(_model(server.url, api=api).bind(tools=[{"type": "function", "function": function}]), "Hi")
        assert not server.requests


@four_ways
@pytest.mark.parametrize("api", ["chat", "messages"])
def test_a_tool_whose_fields_are_null(api: str, call: Way, workspace: LocalWorkspace) -> None:
    nulls = {"name": "f", "description": None, "parameters": None, "strict": None}
    llm = _model(workspace.host, workspace.token, api)
    assert call(llm.bind_tools([{"type": "function", "function": nulls}]), "Hi").text
    assert call(llm.bind_tools([nulls]), "Hi").text
    assert "null" not in workspace.requests[-1].body.decode()
