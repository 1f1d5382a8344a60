"""Tools and ``tool_choice`` (docs/wire.md, 2.2, 2.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.surfaces.chat_completions.checks.schemas import NAME, check_schema
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

MOST_TOOLS = 32


def check_tools(request: ChatRequestBody) -> None:
    """Refuse tools and choices that the model does not accept."""
    tools = request.body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise invalid(request, "tools: Input should be a valid list")
    if tools and not request.model.tools:
        raise invalid(request, "Tool use is not supported by this model.")
    if len(tools or []) > MOST_TOOLS:
        raise invalid(request, f"tools: at most {MOST_TOOLS} functions are supported, {len(tools or [])} were given")
    for place, tool in enumerate(tools or []):
        _check_tool(request, place, tool)
    names = [tool["function"]["name"] for tool in tools or []]
    if len(set(names)) < len(names):
        raise invalid(request, "tools: Tool names must be unique.")
    _check_choice(request, names)
    if tools and request.model.tools_need_no_effort and request.body.get("reasoning_effort") != "none":
        name = re.sub(r"(\d)-(\d)", r"\1.\2", request.model.name)
        raise invalid(
            request,
            f"Function tools with reasoning_effort are not supported for {name} in /v1/chat/completions. To use "
            "function tools, use /v1/responses or set reasoning_effort to 'none'.",
        )


def check_name(request: ChatRequestBody, path: str, name: Any) -> None:
    """Refuse a name of a tool or schema that does not match; Gemini's begin with a letter or an underscore."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise invalid(request, f"{path}: String should match pattern '{NAME.pattern}'")
    if request.family.error_style == "gemini" and name[0] in "0123456789-":
        raise invalid(
            request,
            f"{path}: Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, "
            "0-9), underscores (_), dots (.) or dashes (-), with a maximum length of 64.",
        )


def _check_tool(request: ChatRequestBody, place: int, tool: Any) -> None:
    family = request.family
    path = f"tools.{place}"
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(tool, dict) or tool.get("type") != "function" or not isinstance(function, dict):
        raise invalid(request, f"{path}: Input should be a function tool")
    marked = {"cache_control"} if family.cache == "marked" else set()
    for key in tool:
        if key not in {"type", "function"} | marked:
            raise unknown_field(request, f"{path}.{key}")
    strict = {"strict"} if family.strict_tools else set()
    for key in function:
        if key not in {"name", "description", "parameters"} | marked | strict:
            raise unknown_field(request, f"{path}.function.{key}")
    check_name(request, f"{path}.function.name", function.get("name"))
    if not isinstance(function.get("description", ""), str):
        raise invalid(request, f"{path}.function.description: Input should be a valid string")
    _check_parameters(request, place, function)


def _check_parameters(request: ChatRequestBody, place: int, function: dict[str, Any]) -> None:
    family = request.family
    if "parameters" not in function:
        if family.parameters_required:
            raise invalid(request, '"parameters" is a required property for "function" object in parameter "tools"')
        return
    schema = function["parameters"]
    if not isinstance(schema, dict):
        raise invalid(request, f"tools.{place}.function.parameters: Input should be a JSON schema")
    check_schema(request, schema, place, function["name"], strict=function.get("strict") is True)


def _check_choice(request: ChatRequestBody, names: list[str]) -> None:
    """Refuse a choice that names none of the tools, or may not be forced (docs/wire.md, 2.2, 2.3)."""
    choice = request.body.get("tool_choice")
    if choice is None:
        return
    forced = choice == "required"
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if choice.get("type") != "function" or name is None:
            raise invalid(request, "tool_choice: Input should be 'auto', 'required', 'none' or a named function")
        if name not in names:
            raise invalid(request, f"tool_choice: Tool '{name}' not found in provided tools")
        forced = True
    elif choice not in ("auto", "required", "none"):
        raise invalid(request, "tool_choice: Input should be 'auto', 'required', 'none' or a named function")
    if not names and choice != "none":
        raise invalid(request, "tool_choice may only be specified while providing tools.")
    if forced and not request.model.forced_tool:
        raise invalid(request, "tool_choice: forcing tool use is not supported for this model.")
    if forced and request.family.error_style == "claude" and request.thinking in {"enabled", "adaptive"}:
        raise invalid(request, "Thinking may not be enabled when tool_choice forces tool use.")
