"""Write tools and tool choices in the format of Anthropic's Messages.

Rule 1. A tool has ``name``, ``description`` and ``input_schema``; Anthropic's own tools, which the caller gives as
dicts with another ``type``, are sent as they are (docs.claude.com/en/docs/agents-and-tools/tool-use/overview).
Rule 2. ``tool_choice`` is ``auto``, ``any``, ``tool`` or ``none``; the request for one call at a time is a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_dbchat.dialects.shared.request.tools import TOOL_EXTRAS

__all__ = ["write_tool_choice", "write_tools"]


def write_tools(tools: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write tools.

    Args:
        tools: The tools in OpenAI's format, fitted to the family; others are written unchanged.
        given: The tools as they were bound, which may have fields that only this wire has.

    Returns:
        New tools.
    """
    extras = {_name_of(tool): {key: tool[key] for key in TOOL_EXTRAS if key in tool} for tool in given}
    written: list[dict[str, Any]] = []
    for place, tool in enumerate(tools):
        function = tool.get("function")
        if not isinstance(function, Mapping):
            written.append(dict(tool))
            continue
        one = {"name": function["name"]}
        if function.get("description"):
            one["description"] = function["description"]
        one["input_schema"] = function["parameters"]
        if "strict" in function:
            one["strict"] = function["strict"]
        if "cache_control" in tool:
            one["cache_control"] = tool["cache_control"]
        written.append(one | (extras.get(_name_of(given[place])) or {} if len(given) == len(tools) else {}))
    return written


def _name_of(tool: Mapping[str, Any]) -> str:
    function = tool.get("function")
    return str(function.get("name")) if isinstance(function, Mapping) else ""


def write_tool_choice(choice: Any, parallel: bool | None) -> dict[str, Any] | None:
    """Write a tool choice.

    Args:
        choice: The choice, as `convert_tool_choice` returns it; None for none.
        parallel: The user's ``parallel_tool_calls``.

    Returns:
        Anthropic's choice; None if nothing has to be sent.
    """
    if choice == "none":
        return {"type": "none"}
    single = {"disable_parallel_tool_use": True} if parallel is False else {}
    if isinstance(choice, Mapping):
        return {"type": "tool", "name": choice.get("function", choice).get("name"), **single}
    if choice == "required":
        return {"type": "any", **single}
    return {"type": "auto", **single} if choice == "auto" or single else None
