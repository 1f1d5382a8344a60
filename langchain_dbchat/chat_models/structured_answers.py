"""Read a structured answer, whole or partial, from a tool call or from text.

Rule 1. The answer is the call of the schema's tool, else the JSON in the text; there is none if other tools are called.
Rule 2. A refusal raises `ModelRefusalError` with the raw message, whether the server reports it in ``refusal``, in a
content part, or in the finish reason (OpenAI "content_filter", Anthropic "refusal", Gemini "SAFETY", guardrails).
Rule 3. An answer that the token limit cut off, or that does not fit the schema, raises `OutputParserException`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core import exceptions
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from langchain_core.utils.json import parse_json_markdown
from pydantic import ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from langchain_dbchat.chat_models.partial_json import PartialJson
from langchain_dbchat.chat_models.structured_shapes import NOTHING
from langchain_dbchat.dialects.shared.blocks.block_fields import mapping_of
from langchain_dbchat.dialects.shared.blocks.call_arguments import with_reason
from langchain_dbchat.dialects.shared.blocks.message_keys import CALL_EXTRAS
from langchain_dbchat.dialects.shared.blocks.storable import with_large_integers
from langchain_dbchat.dialects.shared.schemas import drop_nulls
from langchain_dbchat.errors.sound_text import sound_escapes

if TYPE_CHECKING:
    from langchain_core.outputs import Generation

    from langchain_dbchat.chat_models.partial_instances import PartialInstances
    from langchain_dbchat.chat_models.structured_shapes import AnswerShape

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


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """Reads the answers to one schema.

    Args:
        tool_name: Name of the tool that represents the schema.
        shape: The shape of the answer; None for any JSON.
    """

    tool_name: str
    shape: AnswerShape | None

    def find(self, generation: Generation, *, partial: bool) -> Any:
        """Find the answer in a generation, and validate it.

        Args:
            generation: The generation.
            partial: Whether the answer is still arriving.

        Returns:
            The answer, which may be None because a schema may allow null; `NOTHING` if nothing can be parsed yet, or if
            only other tools were called.

        Raises:
            ModelRefusalError: If the model refused to answer.
            OutputParserException: If the answer does not fit the schema.
        """
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        if isinstance(message, AIMessage) and not partial:
            refuse_refusal(message)
        call = next((call for call in calls if call["name"] == self.tool_name), None)
        if call is not None:
            extras = mapping_of(mapping_of(message.additional_kwargs, CALL_EXTRAS), call["id"] or "")
            return self.validated(with_large_integers(call["args"], extras), partial=partial)
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
        except (ValidationError, ValidationErrorV1, TypeError, ValueError, RecursionError) as error:
            if partial:
                return NOTHING
            raise OutputParserException(
                f"The answer does not fit {self.shape.wanted.name}: {error}", llm_output=str(value)
            ) from error


def _read_json(message: Any) -> Any:
    """Parse the JSON of a whole answer; unlike a partial answer, incomplete JSON is an error."""
    try:
        return parse_json_markdown(message.text, parser=_parse_json)
    except (ValueError, RecursionError) as error:  # RecursionError: it is nested too deeply
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
    for call in map(with_reason, message.invalid_tool_calls):
        cut = " (the answer was cut off: raise max_tokens)" if _if_cut(message) else ""
        raise OutputParserException(
            f"The model called {call['name']!r} with invalid arguments{cut}: {call['error']}", llm_output=call["args"]
        )
    if not message.text:
        reason = message.response_metadata.get("finish_reason")
        raise OutputParserException(
            f"The model gave no structured answer (finish reason: {reason}){_if_cut(message)}.", llm_output=""
        )
