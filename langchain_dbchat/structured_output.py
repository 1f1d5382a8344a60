"""Structured answers: how they are asked for, and how they are read.

A schema can be asked for as a tool that the model has to call, or as a response format that the endpoint enforces;
which of them works depends on the family. A model that could not be forced to call may answer with the JSON as text,
and a model that was given other tools may call one of those first; one parser reads all three.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser, JsonOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableGenerator
from langchain_core.runnables.utils import AddableDict
from langchain_core.utils.json import parse_json_markdown
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from langchain_dbchat.dialects.request import fit_format
from langchain_dbchat.dialects.schemas import drop_nulls
from langchain_dbchat.dialects.tools import convert_tool, encode_format, encode_tools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from langchain_dbchat.models.families import Family

StructuredMethod = Literal["function_calling", "json_schema", "json_mode"]

_REFUSAL_ERROR: type[Exception] = getattr(exceptions, "ModelRefusalError", OutputParserException)
"""langchain-core has an error for refusals since 1.7.5."""


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

    def put_otherwise(self, body: Mapping[str, Any], refused: str, family: Family) -> dict[str, Any] | None:
        """Write the request the other way.

        Args:
            body: The request's body.
            refused: ``"response_format"`` or ``"tool_choice"``.
            family: The row of the model that is called.

        Returns:
            A new body; None if there is no other way, because other tools are bound.
        """
        if not self.alone or refused not in body:
            return None
        rest = {key: value for key, value in body.items() if key not in {"response_format", "tools", "tool_choice"}}
        if refused == "tool_choice":
            fitted = fit_format(self.response_format, family, tools=False, drops_nulls=True)
            return {**rest, "response_format": fitted}
        choice = {"type": "function", "function": {"name": self.tool["function"]["name"]}}
        return {**rest, "tools": encode_tools([self.tool], family), "tool_choice": choice}


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
    asked = Structured(convert_tool(schema, strict), encode_format(schema), alone=not further)
    name = asked.tool["function"]["name"]
    if strict is not None:
        asked.response_format["json_schema"]["strict"] = strict
    bound = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema}}
    if method == "function_calling":
        choice = "any" if further else name
        bound |= {"tools": [asked.tool, *further], "tool_choice": choice, "structured": asked}
    else:
        schema_format = method == "json_schema"
        bound["response_format"] = asked.response_format if schema_format else {"type": "json_object"}
        bound |= {"structured": asked} if schema_format else {}
        bound |= {"tools": further} if further else {}
    wanted = asked.response_format["json_schema"]["schema"]
    return bound, StructuredAnswerParser(tool_name=name, schema_type=schema_class(schema), json_schema=wanted)


def with_raw(model: Runnable[Any, AIMessage], parser: StructuredAnswerParser) -> Runnable[Any, Any]:
    """Return the message along with what was parsed from it, and the error if nothing could be.

    Args:
        model: The model, bound.
        parser: The parser of its answer.

    Returns:
        A runnable that gives ``{"raw": ..., "parsed": ..., "parsing_error": ...}``; streamed, the raw chunks come as
        they arrive, and what was parsed from their sum at the end.
    """

    def judge(whole: Any) -> AddableDict:
        try:
            return AddableDict(parsed=parser.invoke(whole), parsing_error=None)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is reported beside the message
            return AddableDict(parsed=None, parsing_error=error)

    def transform(chunks: Iterator[Any]) -> Iterator[AddableDict]:
        whole = None
        for chunk in chunks:
            whole = chunk if whole is None else whole + chunk
            yield AddableDict(raw=chunk)
        yield judge(whole)

    async def atransform(chunks: AsyncIterator[Any]) -> AsyncIterator[AddableDict]:
        whole = None
        async for chunk in chunks:
            whole = chunk if whole is None else whole + chunk
            yield AddableDict(raw=chunk)
        yield judge(whole)

    return model | RunnableGenerator(transform, atransform)


class StructuredAnswerParser(BaseCumulativeTransformOutputParser[Any]):
    """Parse an answer into the schema that was asked for.

    Args:
        tool_name: Name of the tool that stands for the schema.
        schema_type: The Pydantic class to build, or None for a dict.
        json_schema: The caller's JSON schema; nulls are dropped that only the closed schema of a strict request allows.
    """

    tool_name: str
    schema_type: Any = None
    json_schema: Any = None

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse an answer, or as much of one as has arrived.

        Args:
            result: The answer as a single generation.
            partial: Whether the answer is still arriving.

        Returns:
            An instance of the class, or a dict; None while nothing can be parsed yet, or if other tools were called.

        Raises:
            OutputParserException: If the answer does not fit the schema.
        """
        generation = result[0]
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        ours = next((call for call in calls if call["name"] == self.tool_name), None)
        if ours is not None:
            return self._validated(ours["args"], partial=partial)
        if calls:
            return None
        if partial:
            parsed = JsonOutputParser().parse_result([ChatGeneration(message=AIMessage(message.text))], partial=True)
            return None if parsed is None else self._validated(parsed, partial=True)
        if isinstance(message, AIMessage):
            self._refuse_broken(message)
        return self._validated(self._read_json(message), partial=False)

    def _transform(self, input: Iterator[Any]) -> Iterator[Any]:  # noqa: A002  # core's name
        reading = _Reading(self)
        for chunk in input:
            yield from reading.add(chunk)
        yield from reading.end()

    async def _atransform(self, input: AsyncIterator[Any]) -> AsyncIterator[Any]:  # noqa: A002  # core's name
        reading = _Reading(self)
        async for chunk in input:
            for parsed in reading.add(chunk):
                yield parsed
        for parsed in reading.end():
            yield parsed

    def _read_json(self, message: Any) -> Any:
        """Read the whole answer's JSON as it is: unlike a partial one it is never completed."""
        try:
            return parse_json_markdown(message.text, parser=_strictly)
        except ValueError as error:
            cut = message.response_metadata.get("finish_reason") == "length"
            raise OutputParserException(
                f"The answer is not valid JSON{' (it was cut off: raise max_tokens)' if cut else ''}: {error}",
                llm_output=message.text,
            ) from error

    def parse(self, text: str) -> Any:
        """Parse text.

        Args:
            text: JSON, alone or in a Markdown fence.

        Returns:
            An instance of the class, or a dict.
        """
        return self.parse_result([Generation(text=text)])

    def _refuse_broken(self, message: AIMessage) -> None:
        refusal = message.additional_kwargs.get("refusal")
        if refusal:
            raise _REFUSAL_ERROR(f"The model refused to answer: {refusal}")
        reason = message.response_metadata.get("finish_reason")
        for call in message.invalid_tool_calls:
            cut = " (the answer was cut off: raise max_tokens)" if reason == "length" else ""
            raise OutputParserException(
                f"The model called {call['name']!r} with broken arguments{cut}: {call['error']}", call["args"]
            )
        if not message.text:
            raise OutputParserException(f"The model gave no structured answer (finish reason: {reason}).", "")

    def _validated(self, value: Any, *, partial: bool) -> Any:
        if self.json_schema is not None:
            value = drop_nulls(value, self.json_schema)
        if self.schema_type is None:
            return value
        try:
            return self._build()(value)
        except (ValidationError, ValidationErrorV1, TypeError) as error:
            if partial:
                return None
            raise OutputParserException(
                f"The answer does not fit {self.schema_type.__name__}: {error}", llm_output=str(value)
            ) from error

    def _build(self) -> Callable[[Any], Any]:
        schema = self.schema_type
        return schema.model_validate if issubclass(schema, BaseModel) else schema.parse_obj  # type: ignore[no-any-return]  # v2 or v1


class _Reading:
    """An answer that is parsed as it arrives, and judged when it has ended."""

    def __init__(self, parser: StructuredAnswerParser) -> None:
        self._parser = parser
        self._whole: Any = None
        self._last: Any = None

    def add(self, chunk: Any) -> Iterator[Any]:
        """Add a chunk, and give what can be parsed now if it is new."""
        self._whole = chunk if self._whole is None else self._whole + chunk
        yield from self._new(partial=True)

    def end(self) -> Iterator[Any]:
        """Parse the whole answer; what is wrong with it is raised here."""
        if self._whole is not None:
            yield from self._new(partial=False)

    def _new(self, *, partial: bool) -> Iterator[Any]:
        generation = ChatGeneration(message=self._whole) if isinstance(self._whole, AIMessage) else None
        parsed = self._parser.parse_result([generation or Generation(text=str(self._whole))], partial=partial)
        if parsed is not None and parsed != self._last:
            self._last = parsed
            yield parsed


def _strictly(text: str) -> Any:
    """Parse JSON; raw control characters in strings, which models write, are let pass, as core lets them."""
    return json.loads(text, strict=False)


def schema_class(schema: Any) -> Any:
    """Return the Pydantic class that answers are to be built as.

    Args:
        schema: The schema that the caller gave.

    Returns:
        The class, or None if answers are to be dicts.
    """
    return schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
