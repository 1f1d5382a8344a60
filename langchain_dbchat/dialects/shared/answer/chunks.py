"""Make LangChain's messages, results and chunks of an answer.

Rule 1. Whole and streamed answers use the same `GrowingAnswer`, so their messages are equal.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk

from langchain_dbchat.dialects.shared.answer.copied_messages import (
    TAG,
    content_chunk,
    fragment_chunk,
    generation,
    result,
    whole_message,
)
from langchain_dbchat.dialects.shared.answer.errors_within import may_be_blocked, raise_blocked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatResult

    from langchain_dbchat.dialects.shared.answer.answer import Delta, GrowingAnswer
    from langchain_dbchat.dialects.shared.answer.facts import AnswerFacts

__all__ = ["answer_message", "call_chunk", "delta_chunk", "whole_result"]

_JSON_SPACE = " \t\n\r"
_LONGEST_TRIED = 1_000  # characters of a fragment that langchain-core may complete


def answer_message(answer: GrowingAnswer, facts: AnswerFacts, *, cut: bool) -> AIMessage:
    """Return the message of an answer.

    Args:
        answer: The answer, with all parts that have arrived.
        facts: Its metadata.
        cut: Whether the answer was cut off, so that a tool call may be incomplete.

    Returns:
        The message.
    """
    answer.conclude(facts.kept.whole(), cut=cut)
    content: Any = answer.content()
    calls, invalid = answer.calls(cut=cut)
    return whole_message(
        content=content,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs=answer.additional(),
        response_metadata=facts.metadata(),
        usage_metadata=facts.usage_metadata(),
    )


def whole_result(payload: Mapping[str, Any], answer: GrowingAnswer, facts: AnswerFacts) -> ChatResult:
    """Return the result of a whole answer, of a wire format that has one answer for each request.

    Args:
        payload: The decoded answer.
        answer: The answer, with all its parts.
        facts: Its metadata.

    Returns:
        One generation.

    Raises:
        DatabricksRefusalError: If a guardrail ended the answer.
    """
    message = answer_message(answer, facts, cut=facts.cut)
    if may_be_blocked(payload):
        raise_blocked(payload, lambda: message, request_id=facts.request_id)
    info = {"finish_reason": facts.finish_reason} if facts.finish_reason else None
    return result([generation(message, info)], facts.llm_output())


def delta_chunk(delta: Delta) -> AIMessageChunk:
    """Return the chunk of a change of the message.

    Args:
        delta: The change.

    Returns:
        The chunk.
    """
    if delta.calls is not None:
        chunk = AIMessageChunk(content=delta.content, response_metadata=TAG, tool_call_chunks=delta.calls)
    elif delta.call is not None:
        chunk = call_chunk(delta.call, delta.content)
    else:
        chunk = content_chunk(delta.content)
    if delta.additional is not None:
        chunk.additional_kwargs = delta.additional
    return chunk


def call_chunk(call: Mapping[str, Any], content: str | list[dict[str, Any]] = "") -> AIMessageChunk:
    """Return the chunk of a fragment of a tool call.

    The constructor parses each fragment as partial JSON and removes characters from its end until that works: 60 µs for
    a short fragment, and quadratic in its length. A fragment that does not begin with a brace always becomes an invalid
    call, so this function makes the same invalid call without parsing. So does it with a long fragment that is not a
    whole object: only the first fragment of a call can begin with a brace, and nobody executes it alone.

    Args:
        call: The fragment.
        content: The chunk's content, which is empty.

    Returns:
        The chunk, equal to the constructor's except for that.
    """
    text: str = call["args"]
    if not text or (text.lstrip(_JSON_SPACE).startswith("{") and (len(text) <= _LONGEST_TRIED or _is_json(text))):
        return AIMessageChunk(content=content, response_metadata=TAG, tool_call_chunks=[call])
    return fragment_chunk(call, content)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)  # as langchain-core does first
    except (ValueError, RecursionError):
        return False
    return True
