"""Parse structured answers: whole or partial, from a tool call or from text.

Rule 1. The answer is the call of the schema's tool, else the JSON in the text; there is none if other tools are called.
Rule 2. A refusal raises `ModelRefusalError` with the raw message, whether the server reports it in ``refusal``, in a
content part, or in the finish reason (OpenAI "content_filter", Anthropic "refusal", Gemini "SAFETY", guardrails).
Rule 3. An answer that the token limit cut off, or that does not fit the schema, raises `OutputParserException`.
"""

from __future__ import annotations

import functools
import json
import operator
from typing import TYPE_CHECKING, Any, Union

from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableGenerator
from langchain_core.runnables.utils import AddableDict
from langchain_core.utils.json import parse_json_markdown
from pydantic import BaseModel, ValidationError, create_model
from pydantic.v1 import ValidationError as ValidationErrorV1
from typing_extensions import TypedDict

from langchain_dbchat.chat_models.partial_instances import PartialInstances
from langchain_dbchat.chat_models.partial_json import PartialJson
from langchain_dbchat.chat_models.structured_shapes import NOTHING
from langchain_dbchat.dialects.shared.schemas import drop_nulls
from langchain_dbchat.errors.sound_text import sound_escapes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from langchain_core.runnables import RunnableConfig

_REFUSAL_ERROR: type[Exception] = getattr(exceptions, "ModelRefusalError", OutputParserException)
"""The error for refusals, which langchain-core has since 1.7.5."""

_REFUSED = frozenset(
    {
        "content_filter",
        "content_filtered",
        "refusal",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "guardrail",
        "guardrail_intervened",
        "input_guardrail_triggered",
        "output_guardrail_triggered",
    }
)
"""Finish reasons of an answer that was withheld: OpenAI's, Anthropic's, Bedrock's, Gemini's and Databricks' guardrails
(docs/wire.md, 3.6, 3.7; ai.google.dev/api/generate-content#FinishReason). Case does not matter."""

_CUT = frozenset({"length", "max_tokens"})


def refuse_refusal(message: AIMessage) -> None:
    """Raise if the model or a guardrail refused to answer.

    Args:
        message: The whole answer.

    Raises:
        ModelRefusalError: With the message as ``raw_message``.
    """
    refusal = message.additional_kwargs.get("refusal", _refusal_part(message.content))
    reason = message.response_metadata.get("finish_reason") or message.response_metadata.get("stop_reason")
    withheld = isinstance(reason, str) and reason.lower() in _REFUSED
    if refusal is None and not withheld:
        return
    text = refusal or message.text
    why = f" (finish reason: {reason})" if withheld else ""
    error: Any = _REFUSAL_ERROR(f"The model refused to answer{why}{f': {text}' if text else '.'}")
    error.raw_message = message
    raise error


def _refusal_part(content: Any) -> str | None:
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return next((str(part.get("refusal") or "") for part in parts if part.get("type") == "refusal"), None)


class StructuredAnswerParser(BaseCumulativeTransformOutputParser[Any]):
    """Parser of an answer into the requested schema.

    Args:
        tool_name: Name of the tool that represents the schema.
        shape: The shape of the answer; None for any JSON.
    """

    tool_name: str
    shape: Any = None

    @property
    def OutputType(self) -> Any:  # noqa: N802  # core's name
        """Return the type of the answers: the given class or type, else a dict."""
        return dict[str, Any] if self.shape is None else self.shape.output_type

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return a model of the answers.

        Args:
            config: Not used.

        Returns:
            The given Pydantic class, else a model with the requested JSON schema.
        """
        schema: Any = super().get_output_schema(config) if self.shape is None else None
        return schema or self.shape.output_schema(self.get_name("Output"))  # type: ignore[no-any-return]  # both models

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse an answer, or the part of it that has arrived.

        Args:
            result: The answer as a single generation.
            partial: Whether the answer is still arriving.

        Returns:
            An instance of the given type, or a dict; None if nothing can be parsed yet, or if only other tools were
            called.

        Raises:
            ModelRefusalError: If the model refused to answer.
            OutputParserException: If the answer does not fit the schema.
        """
        found = self.find(result[0], partial=partial)
        return None if found is NOTHING else found

    def find(self, generation: Generation, *, partial: bool) -> Any:
        """Do the same as `parse_result`, but return `NOTHING` if there is no answer, because an answer may be null."""
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        if isinstance(message, AIMessage) and not partial:
            refuse_refusal(message)
        call = next((call for call in calls if call["name"] == self.tool_name), None)
        if call is not None:
            return self.validated(call["args"], partial=partial)
        if calls:
            return NOTHING
        if partial:
            text = PartialJson()
            text.feed(message.text)
            parsed = text.value()
            return NOTHING if parsed is NOTHING else self.validated(parsed, partial=True)
        if isinstance(message, AIMessage):
            _raise_if_invalid(message)
        return self.validated(_read_json(message), partial=False)

    def incremental(self) -> IncrementalParse:
        """Return a new parse of a streamed answer."""
        return IncrementalParse(self)

    def _transform(self, input: Iterator[Any]) -> Iterator[Any]:  # noqa: A002  # core's name
        parse = self.incremental()
        for chunk in input:
            yield from parse.add(chunk)
        yield from parse.end()

    async def _atransform(self, input: AsyncIterator[Any]) -> AsyncIterator[Any]:  # noqa: A002  # core's name
        parse = self.incremental()
        async for chunk in input:
            for parsed in parse.add(chunk):
                yield parsed
        for parsed in parse.end():
            yield parsed

    def parse(self, text: str) -> Any:
        """Parse text.

        Args:
            text: JSON, alone or in a Markdown fence.

        Returns:
            An instance of the given type, or a dict.
        """
        return self.parse_result([Generation(text=text)])

    def validated(
        self, value: Any, *, partial: bool, holds_null: bool = True, instances: PartialInstances | None = None
    ) -> Any:
        """Return the answer that JSON stands for.

        Args:
            value: The JSON.
            partial: Whether the answer is still arriving.
            holds_null: Whether there may be a null in it.
            instances: Builds the instances of a partial answer, and drops its nulls.

        Returns:
            The answer; `NOTHING` if a partial answer does not fit the schema yet.

        Raises:
            OutputParserException: If the answer does not fit the schema.
        """
        if self.shape is None:
            return value
        try:
            answer = self.shape.unwrapped(value)
            if answer is NOTHING and not partial:
                raise ValueError(f"{self.shape.key!r} is missing")  # noqa: TRY301  # handled with the other errors below
            if answer is NOTHING:
                return answer
            if instances is not None:
                return instances.build(answer, holds_null=holds_null)
            answer = drop_nulls(answer, self.shape.wanted.schema)
            return answer if self.shape.build is None else self.shape.build(answer)
        except (ValidationError, ValidationErrorV1, TypeError, ValueError) as error:
            if partial:
                return NOTHING
            raise OutputParserException(
                f"The answer does not fit {self.shape.wanted.name}: {error}", llm_output=str(value)
            ) from error


class WithRaw(RunnableGenerator[Any, Any]):
    """Runnable that returns the message and the parsed answer: ``{"raw": ..., "parsed": ..., "parsing_error": ...}``.

    In a stream, the raw chunks come as they arrive; the answer is parsed from their sum at the end.

    Args:
        parser: The parser of the answer.
    """

    def __init__(self, parser: StructuredAnswerParser) -> None:
        def parse_whole(chunks: list[Any]) -> AddableDict:
            try:
                return AddableDict(parsed=parser.invoke(sum_of(chunks)), parsing_error=None)
            except Exception as error:  # noqa: BLE001  # every error is returned as parsing_error
                return AddableDict(parsed=None, parsing_error=error)

        def transform(chunks: Iterator[Any]) -> Iterator[AddableDict]:
            whole = []
            for chunk in chunks:
                whole.append(chunk)
                yield AddableDict(raw=chunk)
            yield parse_whole(whole)

        async def atransform(chunks: AsyncIterator[Any]) -> AsyncIterator[AddableDict]:
            whole = []
            async for chunk in chunks:
                whole.append(chunk)
                yield AddableDict(raw=chunk)
            yield parse_whole(whole)

        super().__init__(transform, atransform)
        self._parser = parser

    @property
    def OutputType(self) -> Any:  # noqa: N802  # core's name
        """Return the type of the results: a dict with the three keys."""
        answer: Any = self._parser.OutputType
        parsed = Union[answer, None]  # noqa: UP007  # `|` does not take every type
        fields = {"raw": AIMessage, "parsed": parsed, "parsing_error": Exception | None}
        return TypedDict("StructuredAnswer", fields)  # type: ignore[operator]  # mypy wants it to be assigned

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return a model of the results.

        Args:
            config: Not used.

        Returns:
            A model with the fields ``raw``, ``parsed`` and ``parsing_error``.
        """
        parsed: Any = self._parser.get_output_schema(config)
        fields: dict[str, Any] = {
            "raw": (AIMessage, ...),
            "parsed": (Union[parsed, None], None),  # noqa: UP007  # the same
            "parsing_error": (Any, None),
        }
        model: type[BaseModel] = create_model(self.get_name("Output"), **fields)
        return model


class IncrementalParse:
    """The incremental parsing of one streamed answer."""

    def __init__(self, parser: StructuredAnswerParser) -> None:
        self._parser = parser
        self._chunks: list[Any] = []
        self._text = PartialJson()
        self._calls: dict[Any, _PartialCall] = {}
        self._instances = None if parser.shape is None else PartialInstances(parser.shape)
        self._found: Any = NOTHING  # the JSON of the last partial answer
        self._last: Any = NOTHING

    def add(self, chunk: Any) -> Iterator[Any]:
        """Add a chunk, and yield the partial answer if it has changed."""
        self._chunks.append(chunk)
        if isinstance(chunk, AIMessageChunk):
            for fragment in chunk.tool_call_chunks:
                self._add_fragment(fragment)
            self._text.feed(chunk.text)
        elif isinstance(chunk, str):
            self._text.feed(chunk)
        source = self._source()
        if source is None:
            return
        found = source.value()
        if found is NOTHING and source is not self._text:
            found = {}  # the arguments of the call have not begun
        if found is not NOTHING and (self._found is NOTHING or found != self._found):
            self._found = found
            answer = self._parser.validated(
                found, partial=True, holds_null=source.holds_null, instances=self._instances
            )
            if answer is not None:
                yield from self._new(answer)

    def end(self) -> Iterator[Any]:
        """Parse the whole answer, and raise if it is not valid."""
        if self._chunks:
            whole = sum_of(self._chunks)
            is_message = isinstance(whole, AIMessage)
            generation = ChatGeneration(message=whole) if is_message else Generation(text=str(whole))
            yield from self._new(self._parser.find(generation, partial=False))

    def _add_fragment(self, fragment: Mapping[str, Any]) -> None:
        """Add a fragment of a tool call; one without an index is a call of its own."""
        index = fragment.get("index")
        call = self._calls.setdefault(len(self._calls) if index is None else (index,), _PartialCall())
        call.name += fragment.get("name") or ""
        call.arguments.feed(fragment.get("args") or "")

    def _source(self) -> PartialJson | None:
        """Return where the answer is: in the call of the schema's tool, else in the text if no tool is called."""
        for call in self._calls.values():
            if call.name == self._parser.tool_name:
                return call.arguments
        return None if self._calls else self._text

    def _new(self, answer: Any) -> Iterator[Any]:
        if answer is not NOTHING and (self._last is NOTHING or answer != self._last):
            self._last = answer
            yield answer


class _PartialCall:
    """A tool call that is still arriving."""

    __slots__ = ("arguments", "name")

    def __init__(self) -> None:
        self.name = ""
        self.arguments = PartialJson()


def sum_of(chunks: Sequence[Any]) -> Any:
    """Add the chunks of an answer, all at once: adding them one by one parses their tool calls again each time.

    Args:
        chunks: The chunks; at least one.

    Returns:
        Their sum.
    """
    if len(chunks) > 1 and all(isinstance(chunk, AIMessageChunk) for chunk in chunks):
        return add_ai_message_chunks(*chunks)
    return functools.reduce(operator.add, chunks)


def _read_json(message: Any) -> Any:
    """Parse the JSON of a whole answer; unlike a partial answer, incomplete JSON is an error."""
    try:
        return parse_json_markdown(message.text, parser=_parse_json)
    except ValueError as error:
        raise OutputParserException(
            f"The answer is not valid JSON{_if_cut(message)}: {error}", llm_output=message.text
        ) from error


def _parse_json(text: str) -> Any:
    """Parse JSON of a model, which may have raw control characters in strings, and halves of surrogate pairs."""
    return json.loads(sound_escapes(text), strict=False)


def _if_cut(message: AIMessage) -> str:
    cut = message.response_metadata.get("finish_reason") in _CUT
    return " (it was cut off: raise max_tokens)" if cut else ""


def _raise_if_invalid(message: AIMessage) -> None:
    for call in message.invalid_tool_calls:
        cut = " (the answer was cut off: raise max_tokens)" if _if_cut(message) else ""
        raise OutputParserException(
            f"The model called {call['name']!r} with invalid arguments{cut}: {call['error']}", llm_output=call["args"]
        )
    if not message.text:
        reason = message.response_metadata.get("finish_reason")
        raise OutputParserException(
            f"The model gave no structured answer (finish reason: {reason}){_if_cut(message)}.", llm_output=""
        )
