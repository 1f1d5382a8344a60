"""Ask for structured answers; how they are read is in `structured_answers`.

A schema can be asked for as a tool that the model has to call, or as a response format that the endpoint enforces;
which of them works depends on the family. A model that could not be forced to call may answer with the JSON as text,
and a model that was given other tools may call one of those first; one parser reads all three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.chat_models.structured_answers import StructuredAnswerParser
from langchain_dbchat.chat_models.structured_shapes import AnswerShape
from langchain_dbchat.dialects.shared.spellings import Wanted, read_schema, wrap
from langchain_dbchat.dialects.shared.tools import convert_tool, write_format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_dbchat.dialects.dialect import StructuredMethod


@dataclass(frozen=True, slots=True)
class Structured:
    """The two ways of asking for one structured answer, so that a 400 to one can be answered with the other.

    Args:
        tool: The schema as a tool.
        response_format: The schema as a response format.
        alone: Whether the schema's tool is the only one.
    """

    tool: dict[str, Any]
    response_format: dict[str, Any]
    alone: bool

    def settings(self, asked: Mapping[str, Any], refused: frozenset[str]) -> dict[str, Any]:
        """Ask in the way that the endpoint has not refused.

        Args:
            asked: The settings of the call.
            refused: What the endpoint has refused.

        Returns:
            New settings; equal ones if nothing that they ask is refused, or if there is no other way: both are refused,
            or other tools are bound.
        """
        ways = {name for name in ("response_format", "tool_choice") if asked.get(name) is not None}
        if not self.alone or not ways & refused or {"response_format", "tool_choice"} <= refused:
            return dict(asked)
        rest = {name: value for name, value in asked.items() if name not in {"response_format", "tools", "tool_choice"}}
        if "tool_choice" in ways:
            return {**rest, "response_format": self.response_format}
        choice = {"type": "function", "function": {"name": self.tool["function"]["name"]}}
        return {**rest, "tools": [self.tool], "tool_choice": choice}


def ask_for(
    schema: Any, method: StructuredMethod, strict: bool | None, tools: Sequence[Any]
) -> tuple[dict[str, Any], StructuredAnswerParser]:
    """Write what has to be bound to a model for a structured answer.

    Args:
        schema: The schema; None only with ``"json_mode"``.
        method: How to ask for it.
        strict: Whether the answer has to follow the schema exactly; None says nothing.
        tools: Further tools that the model may call instead.

    Returns:
        The settings to bind, and the parser of the answer.

    Raises:
        ValueError: If the method is unknown or the schema is missing.
    """
    if method not in {"function_calling", "json_schema", "json_mode"}:
        raise ValueError(f"method={method!r} is not one of 'function_calling', 'json_schema' and 'json_mode'.")
    further = [convert_tool(tool, None) for tool in tools]
    if schema is None:
        if method != "json_mode":
            raise ValueError("with_structured_output needs a schema, unless method='json_mode'.")
        bound: dict[str, Any] = {"response_format": {"type": "json_object"}}
        return {**bound, **({"tools": further} if further else {})}, StructuredAnswerParser(tool_name="answer")
    wanted = read_schema(schema)
    asked, key = _ask(wanted, wanted.strict if strict is None else strict, alone=not further)
    name = wanted.name
    bound = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": asked.tool}}
    if method == "function_calling":
        choice = "any" if further else name
        bound |= {"tools": [asked.tool, *further], "tool_choice": choice, "structured": asked}
    else:
        schema_format = method == "json_schema"
        bound["response_format"] = asked.response_format if schema_format else {"type": "json_object"}
        bound |= {"structured": asked} if schema_format else {}
        bound |= {"tools": further} if further else {}
    return bound, StructuredAnswerParser(tool_name=name, shape=AnswerShape.of(wanted, key))


def _ask(wanted: Wanted, strict: bool | None, *, alone: bool) -> tuple[Structured, str | None]:
    """Write a schema as a tool and as a response format, and say which property holds the answer if it is wrapped."""
    schema, key = wrap(wanted.schema)
    function: dict[str, Any] = {"name": wanted.name, "parameters": schema}
    if wanted.description:
        function["description"] = wanted.description
    tool = convert_tool({"type": "function", "function": function}, strict)
    return Structured(tool, write_format(wanted.name, wanted.description, schema, strict), alone=alone), key
