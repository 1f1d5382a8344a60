"""Ask for a response format in another way, where an endpoint refuses it, at all or in this call.

Rule 1. A schema becomes one more tool, which the model calls to give its answer. Some tool has to be called, so that
the model either goes on with its work or answers. `answer_tools` makes the call the text of the answer, as a response
format would have: LangChain's `ProviderStrategy` reads the text, and no agent executes the call.
Rule 2. A family that writes its calls into the text gets JSON mode, and the schema in the prompt.
Rule 3. A response format without a schema is left out if the endpoint refuses it: the prompt alone asks for JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from langchain_dbchat.dialects.shared.request.formats import encode_format, fit_named_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_dbchat.dialects.dialect import Target

__all__ = ["OtherFormat", "ask_otherwise"]

_DESCRIPTION = "Give the final answer to the user by calling this tool."
_PROMPT = "Answer with one JSON object that fits this JSON schema, and with nothing else:"


class OtherFormat(NamedTuple):
    """A response format that is asked for in another way.

    Attributes:
        settings: The settings of the call.
        tool: The name of the tool that stands for the response format; empty if there is none.
        prompt: The text of a further system message; empty if there is none.
        warning: The warning for the user; empty if there is none.
    """

    settings: dict[str, Any]
    tool: str = ""
    prompt: str = ""
    warning: str = ""


def ask_otherwise(settings: Mapping[str, Any], target: Target, unfit: str) -> OtherFormat | None:
    """Ask for the response format of a call in another way; see `other_format`.

    Args:
        settings: The settings of the call, with ``response_format``. They are not changed.
        target: The called model, with the lessons of its endpoint.
        unfit: Why the model does not take the response format in this call; empty if it does.

    Returns:
        Other settings; None if the response format can be sent.

    Raises:
        ValueError: If its schema cannot be fitted.
    """
    is_refused, by_prompt = "response_format" in target.lessons, target.family.calls_as_text
    if not (is_refused or by_prompt or unfit):
        return None
    given = settings["response_format"]
    encoded = encode_format(given)
    named = encoded.get("json_schema")
    rest = {key: value for key, value in settings.items() if key != "response_format"}
    if not isinstance(named, dict):
        return OtherFormat(rest) if is_refused else None
    if by_prompt:
        fit_named_schema(encoded, given, target, drops_nulls=False)
        prompt = f"{_PROMPT}\n```json\n{to_json(named.get('schema') or {}).decode()}\n```"
        mode = {} if is_refused else {"response_format": {"type": "json_object"}}
        return OtherFormat({**rest, **mode}, prompt=prompt, warning="it takes no schema, so the prompt describes it")
    tools = settings.get("tools") or []
    tool = _answer_tool(named, tools)
    name, choice = tool["function"]["name"], settings.get("tool_choice") or "any"
    if choice in ("none", {"type": "none"}):  # none of the user's tools
        choice = name
    asked = {**rest, "tools": [*tools, tool], "tool_choice": choice}
    warning = "" if is_refused else f"{unfit}, so the schema is sent as a tool, and its call is the answer"
    return OtherFormat(asked, name, warning=warning)


def _answer_tool(named: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the tool that stands for a named schema; its name differs from those of the bound tools."""
    name, taken = str(named.get("name")), {(tool.get("function") or tool).get("name") for tool in tools}
    while name in taken:
        name += "_answer"
    schema = dict(named.get("schema") or {})
    described = schema.pop("description", None)
    description = f"{_DESCRIPTION} {described}" if described else _DESCRIPTION
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}
