"""Reading a structured answer: from a call of the schema's tool, or from the text.

A model that could not be forced to call may answer with the JSON as text, and a model that was given other tools may
call one of those first; one parser reads all three, so each way of asking is read alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser, JsonOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

if TYPE_CHECKING:
    from collections.abc import Callable

_REFUSAL_ERROR: type[Exception] = getattr(exceptions, "ModelRefusalError", OutputParserException)
"""langchain-core has an error for refusals since 1.7.5."""


class StructuredAnswerParser(BaseCumulativeTransformOutputParser[Any]):
    """Parse an answer into the schema that was asked for.

    Args:
        tool_name: Name of the tool that stands for the schema.
        schema_type: The Pydantic class to build, or None for a dict.
    """

    tool_name: str
    schema_type: Any = None

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
        if not partial and isinstance(message, AIMessage):
            self._refuse_broken(message)
        parsed = JsonOutputParser().parse_result([ChatGeneration(message=AIMessage(message.text))], partial=partial)
        return None if parsed is None else self._validated(parsed, partial=partial)

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


def schema_class(schema: Any) -> Any:
    """Return the Pydantic class that answers are to be built as.

    Args:
        schema: The schema that the caller gave.

    Returns:
        The class, or None if answers are to be dicts.
    """
    return schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
