"""Request structured answers; `structured_parsers` parses them.

Rule 1. A schema is requested as a tool that the model must call, or as a response format, depending on the family.
Rule 2. One parser reads all kinds of answers, because a model that cannot be forced to call a tool may answer with JSON
as text, and a model that has other tools may call one of those first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.chat_models.structured_parsers import StructuredAnswerParser
from langchain_dbchat.chat_models.structured_shapes import AnswerShape
from langchain_dbchat.dialects.shared.request.formats import write_format
from langchain_dbchat.dialects.shared.request.spellings import Wanted, read_schema, wrap
from langchain_dbchat.dialects.shared.request.tools import convert_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_dbchat.dialects.dialect import ChatRequest, StructuredMethod

_WAYS = frozenset({"response_format", "tool_choice"})
"""The fields of which each is one way to request a structured answer."""


@dataclass(frozen=True, slots=True)
class Structured:
    """The two ways to request one structured answer; if an endpoint refuses one with a 400, the other is tried.

    Args:
        tool: The schema as a tool.
        response_format: The schema as a response format.
        is_only_tool: Whether the schema's tool is the only one.
    """

    tool: dict[str, Any]
    response_format: dict[str, Any]
    is_only_tool: bool

    def fitted(self, request: ChatRequest) -> ChatRequest:
        """Return a request that asks for the answer in the way that the endpoint has not refused.

        Args:
            request: The request, with the lessons of the endpoint.

        Returns:
            A request with other settings, and without the refused way in ``extra``. It is the given one if it has
            neither of the refused fields, if both ways are refused, or if other tools are bound. A family that writes
            its calls into the text is never asked with a tool.
        """
        refused = {"tool_choice"} if request.target.family.calls_as_text else _WAYS & request.target.lessons
        asked = {**request.settings, **request.extra}
        if not self.is_only_tool or len(refused) != 1 or all(asked.get(name) is None for name in refused):
            return request
        settings, extra = (
            {key: value for key, value in fields.items() if key not in _WAYS and key != "tools"}
            for fields in (request.settings, request.extra)
        )
        if "tool_choice" in refused:
            settings["response_format"] = self.response_format
        else:
            settings["tools"] = [self.tool]
            settings["tool_choice"] = {"type": "function", "function": {"name": self.tool["function"]["name"]}}
        return request._replace(settings=settings, extra=extra)


def ask_for(
    schema: Any, method: StructuredMethod, strict: bool | None, tools: Sequence[Any]
) -> tuple[dict[str, Any], StructuredAnswerParser]:
    """Return what has to be bound to a model for a structured answer.

    Args:
        schema: The schema; None only with ``"json_mode"``.
        method: How to request it.
        strict: Whether the answer must follow the schema exactly; None leaves that to the schema and the family.
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
    structured, key = _write(wanted, wanted.strict if strict is None else strict, is_only_tool=not further)
    name = wanted.name
    bound = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": structured.tool}}
    if method == "function_calling":
        choice = "any" if further else name
        bound |= {"tools": [structured.tool, *further], "tool_choice": choice, "structured": structured}
    else:
        schema_format = method == "json_schema"
        bound["response_format"] = structured.response_format if schema_format else {"type": "json_object"}
        bound |= {"structured": structured} if schema_format else {}
        bound |= {"tools": further} if further else {}
    return bound, StructuredAnswerParser(tool_name=name, shape=AnswerShape.of(wanted, key))


def _write(wanted: Wanted, strict: bool | None, *, is_only_tool: bool) -> tuple[Structured, str | None]:
    """Return a schema as a tool and as a response format, and the property that it is wrapped in, if any."""
    schema, key = wrap(wanted.schema)
    function: dict[str, Any] = {"name": wanted.name, "parameters": schema}
    if wanted.description:
        function["description"] = wanted.description
    tool = convert_tool({"type": "function", "function": function}, strict)
    return Structured(tool, write_format(wanted.name, wanted.description, schema, strict), is_only_tool), key
