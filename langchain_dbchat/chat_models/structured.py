"""Ask for structured answers; how they are read is in `structured_answers`.

A schema can be asked for as a tool that the model has to call, or as a response format that the endpoint enforces;
which of them works depends on the family. A model that could not be forced to call may answer with the JSON as text,
and a model that was given other tools may call one of those first; one parser reads all three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_dbchat.chat_models.structured_answers import StructuredAnswerParser
from langchain_dbchat.chat_models.structured_shapes import AnswerShape
from langchain_dbchat.dialects.chat_completions.encode import fit_format
from langchain_dbchat.dialects.shared.spellings import Wanted, read_schema, wrap
from langchain_dbchat.dialects.shared.tools import convert_tool, encode_tools, write_format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_dbchat.dialects.shared.reasoning import Target
    from langchain_dbchat.dialects.shared.sent import SentTools
    from langchain_dbchat.models.families import Family

StructuredMethod = Literal["function_calling", "json_schema", "json_mode"]


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

    def put_otherwise(
        self, body: Mapping[str, Any], refused: str, target: Target, sent: SentTools
    ) -> dict[str, Any] | None:
        """Write the request the other way.

        Args:
            body: The request's body.
            refused: ``"response_format"`` or ``"tool_choice"``.
            target: The model that is called.
            sent: What the request changes in its tools; what this changes is added.

        Returns:
            A new body; None if there is no other way, because other tools are bound.
        """
        if not self.alone or refused not in body:
            return None
        rest = {key: value for key, value in body.items() if key not in {"response_format", "tools", "tool_choice"}}
        if refused == "tool_choice":
            fitted = fit_format(self.response_format, target, tools=False, drops_nulls=True)
            return {**rest, "response_format": fitted}
        choice = {"type": "function", "function": {"name": self.tool["function"]["name"]}}
        tools = encode_tools([self.tool], target.family, sent, model=target.model)
        return {**rest, "tools": tools, "tool_choice": choice}


def choose_method(family: Family, *, thinks: bool, tools: bool) -> StructuredMethod:
    """Pick how to ask for a structured answer.

    Args:
        family: The model's row.
        thinks: Whether the model will think.
        tools: Whether further tools are to be bound.

    Returns:
        The endpoint's own JSON schema where it is known to work in every way of calling, and where a tool cannot be
        forced; else the schema as a tool.
    """
    native = family.json_schema is True
    if native and family.format_with_stream and (family.format_with_tools or not tools):
        return "json_schema"
    forced = family.forced_tool_choice and (family.forced_choice_with_thinking or not thinks)
    return "json_schema" if native and not forced and not tools else "function_calling"


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
