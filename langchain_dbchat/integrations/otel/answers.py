"""Return what a span says of an answer, by OpenTelemetry's conventions for generative AI.

Rule 1. The names are those of the conventions (github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai). What
they have no name for starts with ``databricks.``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.integrations.token_counts import count_tokens, usage_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

__all__ = ["INPUT_TOKENS", "answer_attributes", "served_model"]

INPUT_TOKENS = "gen_ai.usage.input_tokens"


def answer_attributes(answers: Sequence[BaseMessage]) -> dict[str, Any]:
    """Return the attributes of an answer.

    Args:
        answers: The choices of the answer.

    Returns:
        The attributes that the answer has values for.
    """
    if not answers:
        return {}
    metadata = answers[0].response_metadata
    reasons = [reason for each in answers if (reason := each.response_metadata.get("finish_reason"))]
    found = {
        "gen_ai.response.id": metadata.get("id"),
        "gen_ai.response.model": served_model(answers[0]),
        "gen_ai.response.finish_reasons": reasons or None,
        "databricks.request_id": metadata.get("request_id"),
        "databricks.trace_id": metadata.get("trace_id"),
        **_token_attributes(answers[0]),
    }
    return {name: value for name, value in found.items() if value is not None}


def served_model(message: BaseMessage) -> str:
    """Return the model that gave an answer.

    Args:
        message: The answer.

    Returns:
        Its name; the endpoint's if the server does not say it.
    """
    metadata = message.response_metadata
    return str(metadata.get("served_model") or metadata.get("model_name"))


def _token_attributes(message: BaseMessage) -> dict[str, Any]:
    usage = usage_of(message)
    if usage is None:
        return {}
    counts = count_tokens(usage)
    given, produced = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    found: dict[str, Any] = {INPUT_TOKENS: counts.input, "gen_ai.usage.output_tokens": counts.output}
    if "cache_read" in given:
        found["gen_ai.usage.cache_read.input_tokens"] = counts.cache_read
    if "cache_creation" in given:
        found["gen_ai.usage.cache_creation.input_tokens"] = counts.cache_write + counts.cache_write_1h
    if "reasoning" in produced:
        found["gen_ai.usage.reasoning.output_tokens"] = counts.reasoning
    return found
