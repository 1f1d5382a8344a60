"""LangChain's parsers of structured answers: the answer alone, or beside the message that it came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from langchain_core.messages import AIMessage
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import Generation
from langchain_core.runnables import RunnableGenerator
from langchain_core.runnables.utils import AddableDict
from pydantic import BaseModel, create_model
from typing_extensions import TypedDict

from langchain_dbchat.chat_models.structured_answers import AnswerReader
from langchain_dbchat.chat_models.structured_shapes import NOTHING
from langchain_dbchat.chat_models.structured_streams import IncrementalParse, sum_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.runnables import RunnableConfig


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
        found = self._reader().find(result[0], partial=partial)
        return None if found is NOTHING else found

    def _reader(self) -> AnswerReader:
        return AnswerReader(self.tool_name, self.shape)

    def _transform(self, input: Iterator[Any]) -> Iterator[Any]:  # noqa: A002  # core's name
        parse = IncrementalParse(self._reader())
        for chunk in input:
            yield from parse.add(chunk)
        yield from parse.end()

    async def _atransform(self, input: AsyncIterator[Any]) -> AsyncIterator[Any]:  # noqa: A002  # core's name
        parse = IncrementalParse(self._reader())
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
