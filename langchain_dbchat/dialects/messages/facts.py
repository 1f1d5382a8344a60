"""The metadata of a Messages answer; `shared.facts` has the rules.

Rule 1. ``stop_reason`` is kept as the server sent it, and ``finish_reason`` is its name on chat completions, as
Databricks documents it (docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models).
Rule 2. Anthropic does not count cached tokens in ``input_tokens``; LangChain does. Of the created ones, those whose
lifetime the server reports are counted under that lifetime alone, as ChatAnthropic does, so that no token is counted
twice.
Rule 3. A stream has several usages; the last value of each count is the whole one
(docs.claude.com/en/docs/build-with-claude/streaming: "The token counts shown in the usage field are cumulative").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from langchain_dbchat.dialects.shared.answer.facts import AnswerFacts
from langchain_dbchat.dialects.shared.answer.usage import read_count

__all__ = ["MessagesFacts"]

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}

_READ = frozenset({"id", "type", "role", "model", "content", "usage", "stop_reason", "error", "error_code"})
_LIFETIMES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


class MessagesFacts(AnswerFacts):
    """The metadata of one Messages answer."""

    __slots__ = ()

    def note(self, message: Mapping[str, Any]) -> None:
        """Read the metadata of a message, or of the change of a message at its end.

        Args:
            message: The message, or a ``delta`` of it with its ``usage``.
        """
        if message.get("id"):
            self.id = str(message["id"])
        if message.get("model"):
            self.served_model = str(message["model"])
        usage = message.get("usage")
        if isinstance(usage, Mapping):
            self.usage = {**(self.usage or {}), **{key: value for key, value in usage.items() if value is not None}}
        reason = message.get("stop_reason")
        if isinstance(reason, str) and reason:
            self.finish_reason = _FINISH_REASONS.get(reason, reason)
            self.kept.add({"stop_reason": reason})
        self.kept.add(message, _READ)

    def usage_metadata(self) -> UsageMetadata | None:
        """Return the token usage in LangChain's format, if the answer has one."""
        usage = self.usage or {}
        uncached, output = read_count(usage.get("input_tokens")), read_count(usage.get("output_tokens"))
        if uncached is None and output is None:
            return None
        details, cached = _input_details(usage)
        total = (uncached or 0) + cached
        metadata = UsageMetadata(input_tokens=total, output_tokens=output or 0, total_tokens=total + (output or 0))
        if details:
            metadata["input_token_details"] = details
        spent = usage.get("output_tokens_details")
        reasoning = read_count(spent.get("thinking_tokens")) if isinstance(spent, Mapping) else None
        if reasoning is not None:
            metadata["output_token_details"] = OutputTokenDetails(reasoning=reasoning)
        return metadata


def _input_details(usage: Mapping[str, Any]) -> tuple[InputTokenDetails, int]:
    """Return the details of the input, and the number of tokens that were read from the cache or written to it."""
    details: dict[str, int] = {}
    read = read_count(usage.get("cache_read_input_tokens"))
    created = read_count(usage.get("cache_creation_input_tokens"))
    by_lifetime = usage.get("cache_creation")
    counts = {
        name: count
        for name in _LIFETIMES
        if isinstance(by_lifetime, Mapping) and (count := read_count(by_lifetime.get(name))) is not None
    }
    with_lifetime = sum(counts.values())
    if created is not None or counts:
        details["cache_creation"] = max((created or 0) - with_lifetime, 0)
    if read is not None:
        details["cache_read"] = read
    if with_lifetime:
        details.update(counts)
    cached = (read or 0) + max(created or 0, with_lifetime)
    return InputTokenDetails(**details), cached  # type: ignore[typeddict-item]  # further details are allowed
