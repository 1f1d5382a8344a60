"""Tools and ``tool_choice``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.schemas import error_in, excess_in
from langchain_dbchat.local.surfaces.messages.checks.content import NAME
from langchain_dbchat.local.surfaces.messages.refusals import invalid, missing, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody

FIELDS = frozenset({"type", "name", "description", "input_schema", "cache_control"})
SERVER_TOOL = re.compile(r".+_\d{8}$")
PROPERTY = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")
LATEST = "https://json-schema.org/draft/2020-12"


def check_tools(request: MessagesRequestBody) -> None:
    """Refuse tools and choices that the API or the model does not take."""
    tools = request.body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise invalid("tools: Input should be a valid list")
    for place, tool in enumerate(tools or []):
        _check_tool(f"tools.{place}", tool)
    names = [tool["name"] for tool in tools or []]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    _check_choice(request, names)


def _check_tool(path: str, tool: Any) -> None:
    kind = tool.get("type", "custom") if isinstance(tool, dict) else None
    if isinstance(kind, str) and SERVER_TOOL.fullmatch(kind):
        if not isinstance(tool.get("name"), str):
            raise missing(f"{path}.{kind}.name")
        return
    if kind != "custom":
        raise invalid(f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    for key in tool:
        if key not in FIELDS:
            raise unknown_field(f"{path}.custom.{key}")
    for key in ("name", "input_schema"):
        if key not in tool:
            raise missing(f"{path}.custom.{key}")
    if not isinstance(tool["name"], str) or not NAME.fullmatch(tool["name"]):
        raise invalid(f"{path}.custom.name: String should match pattern '{NAME.pattern}'")
    if not isinstance(tool.get("description", ""), str):
        raise invalid(f"{path}.custom.description: Input should be a valid string")
    _check_schema(f"{path}.custom.input_schema", tool["input_schema"])


def _check_schema(path: str, schema: Any) -> None:
    if not isinstance(schema, dict):
        raise invalid(f"{path}: Input should be an object")
    excess = excess_in(schema)
    if excess:
        raise invalid(f"{path}: JSON schema is too large: {excess}")
    if "type" not in schema:
        raise missing(f"{path}.type")
    if any(key in schema for key in ("oneOf", "allOf", "anyOf")):
        raise invalid(f"{path}: input_schema does not support oneOf, allOf, or anyOf at the top level")
    if schema["type"] != "object":
        raise invalid(f"{path}.type: Input should be 'object'")
    properties = schema.get("properties")
    if isinstance(properties, dict) and not all(map(PROPERTY.fullmatch, properties)):
        raise invalid(f"{path}.properties: Property keys should match pattern '{PROPERTY.pattern}'")
    if error_in(schema, latest_draft=True):
        raise invalid(f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12 ({LATEST}).")


def _check_choice(request: MessagesRequestBody, names: list[str]) -> None:
    choice = request.body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not isinstance(kind, str) or kind not in {"auto", "any", "tool", "none"}:
        raise invalid("tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'")
    known = {"auto": set(), "any": set(), "tool": {"name"}, "none": set()}[kind] | {"type"}
    known |= {"disable_parallel_tool_use"} if kind != "none" else set()
    for key in choice:
        if key not in known:
            raise unknown_field(f"tool_choice.{kind}.{key}")
    if not names and kind != "none":
        raise invalid("tool_choice may only be specified while providing tools.")
    if kind == "tool" and choice.get("name") not in names:
        raise invalid(f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")
    if kind in {"any", "tool"} and not request.model.forced_tool:
        raise invalid("tool_choice: forcing tool use is not supported for this model.")
    if kind in {"any", "tool"} and request.thinking in {"enabled", "adaptive"}:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
