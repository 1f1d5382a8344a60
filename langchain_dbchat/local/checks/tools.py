"""Offered tools and the choice among them (docs/wire.md, 2.2, 2.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.checks.schemas import NAME, check_schema
from langchain_dbchat.local.refusals import invalid, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked

MOST_TOOLS = 32


def check_tools(asked: Asked) -> None:
    """Refuse tools and choices that the model does not take."""
    tools = asked.body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise invalid(asked, "tools: Input should be a valid list")
    if tools and not asked.model.tools:
        raise invalid(asked, "Tool use is not supported by this model.")
    if len(tools or []) > MOST_TOOLS:
        raise invalid(asked, f"tools: at most {MOST_TOOLS} functions are supported, {len(tools or [])} were given")
    for place, tool in enumerate(tools or []):
        _check_tool(asked, place, tool)
    names = [tool["function"]["name"] for tool in tools or []]
    if len(set(names)) < len(names):
        raise invalid(asked, "tools: Tool names must be unique.")
    _check_choice(asked, names)
    if tools and asked.model.tools_need_no_effort and asked.body.get("reasoning_effort") != "none":
        name = re.sub(r"(\d)-(\d)", r"\1.\2", asked.model.name)
        raise invalid(
            asked,
            f"Function tools with reasoning_effort are not supported for {name} in /v1/chat/completions. To use "
            "function tools, use /v1/responses or set reasoning_effort to 'none'.",
        )


def check_name(asked: Asked, path: str, name: Any) -> None:
    """Refuse a name of a tool or schema that does not match; Gemini's begin with a letter or an underscore."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise invalid(asked, f"{path}: String should match pattern '{NAME.pattern}'")
    if asked.model.family.voice == "gemini" and name[0] in "0123456789-":
        raise invalid(
            asked,
            f"{path}: Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, "
            "0-9), underscores (_), dots (.) or dashes (-), with a maximum length of 64.",
        )


def _check_tool(asked: Asked, place: int, tool: Any) -> None:
    family = asked.model.family
    path = f"tools.{place}"
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or tool.get("type") != "function" or not isinstance(function, dict):
        raise invalid(asked, f"{path}: Input should be a function tool")
    marked = {"cache_control"} if family.cache == "marked" else set()
    for key in tool:
        if key not in {"type", "function"} | marked:
            raise unknown_field(asked, f"{path}.{key}")
    strict = {"strict"} if family.strict_tools else set()
    for key in function:
        if key not in {"name", "description", "parameters"} | marked | strict:
            raise unknown_field(asked, f"{path}.function.{key}")
    check_name(asked, f"{path}.function.name", function.get("name"))
    if not isinstance(function.get("description", ""), str):
        raise invalid(asked, f"{path}.function.description: Input should be a valid string")
    _check_parameters(asked, place, function)


def _check_parameters(asked: Asked, place: int, function: dict[str, Any]) -> None:
    family = asked.model.family
    if "parameters" not in function:
        if family.parameters_required:
            raise invalid(asked, '"parameters" is a required property for "function" object in parameter "tools"')
        return
    schema = function["parameters"]
    if not isinstance(schema, dict):
        raise invalid(asked, f"tools.{place}.function.parameters: Input should be a JSON schema")
    check_schema(asked, schema, place, function["name"], strict=function.get("strict") is True)


def _check_choice(asked: Asked, names: list[str]) -> None:
    """The choice names one of the tools, and may be forced (docs/wire.md, 2.2, 2.3)."""
    choice = asked.body.get("tool_choice")
    if choice is None:
        return
    forced = choice == "required"
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if choice.get("type") != "function" or name is None:
            raise invalid(asked, "tool_choice: Input should be 'auto', 'required', 'none' or a named function")
        if name not in names:
            raise invalid(asked, f"tool_choice: Tool '{name}' not found in provided tools")
        forced = True
    elif choice not in ("auto", "required", "none"):
        raise invalid(asked, "tool_choice: Input should be 'auto', 'required', 'none' or a named function")
    if not names and choice != "none":
        raise invalid(asked, "tool_choice may only be specified while providing tools.")
    if forced and not asked.model.forced_tool:
        raise invalid(asked, "tool_choice: forcing tool use is not supported for this model.")
    if forced and asked.model.family.voice == "claude" and asked.thinking in {"enabled", "adaptive"}:
        raise invalid(asked, "Thinking may not be enabled when tool_choice forces tool use.")
