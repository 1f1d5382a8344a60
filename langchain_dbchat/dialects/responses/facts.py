"""The metadata of a Responses answer; `shared.facts` has the rules.

Rule 1. ``finish_reason`` is what chat completions would say: ``tool_calls`` if the caller has to execute calls,
``length`` and ``content_filter`` for an incomplete answer, else ``stop``.
Rule 2. A response repeats the request's settings; those are not kept.
Rule 3. A stream may have several responses, and their tokens are counted together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from langchain_dbchat.dialects.shared.answer.facts import AnswerFacts
from langchain_dbchat.dialects.shared.answer.usage import add_usage, read_count
from langchain_dbchat.dialects.shared.blocks.storable import storable

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target

__all__ = ["ResponsesFacts"]

_READ = frozenset(
    {
        "id", "object", "created_at", "completed_at", "status", "model", "output", "output_text", "usage", "error",
        "error_code", "incomplete_details", "instructions", "tools", "tool_choice", "parallel_tool_calls",
        "temperature", "top_p", "top_logprobs", "max_output_tokens", "max_tool_calls", "reasoning", "text",
        "truncation", "store", "background", "service_tier", "previous_response_id", "conversation", "prompt",
        "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user", "input", "billing", "type",
        "sequence_number", "frequency_penalty", "presence_penalty",
    }
)  # fmt: skip

_REASONS = {"max_output_tokens": "length"}


class ResponsesFacts(AnswerFacts):
    """The metadata of one answer, which may consist of several responses."""

    __slots__ = ("_logprobs",)

    def __init__(self, target: Target, request_id: str | None) -> None:
        super().__init__(target, request_id)
        self._logprobs: list[Any] = []

    def note(self, response: Mapping[str, Any]) -> None:
        """Read the metadata of a response.

        Args:
            response: The response, whole or at an event of a stream.
        """
        if response.get("id"):
            self.id = str(response["id"])
        if response.get("model"):
            self.served_model = str(response["model"])
        usage = response.get("usage")
        if isinstance(usage, Mapping) and usage:
            self.usage = add_usage(self.usage, usage)
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        if response.get("status") == "incomplete" or reason:
            self.finish_reason = _REASONS.get(str(reason), str(reason or "length"))
        self.kept.add(response, _READ)

    def end(self, *, calls: bool, logprobs: list[Any]) -> None:
        """Set the finish reason and the log probabilities of a complete answer.

        Args:
            calls: Whether the caller has to execute tool calls.
            logprobs: The log probabilities of the answer's tokens; empty if the answer has none.
        """
        self._logprobs = logprobs
        if self.finish_reason is None:
            self.finish_reason = "tool_calls" if calls else "stop"

    def metadata(self) -> dict[str, Any]:
        """Return the ``response_metadata`` of the message."""
        metadata = super().metadata()
        if self._logprobs:
            metadata["logprobs"] = {"content": storable(self._logprobs)}  # as chat completions has them
        return metadata

    def usage_metadata(self) -> UsageMetadata | None:
        """Return the token usage in LangChain's format, if the answer has one."""
        usage = self.usage or {}
        read, written = read_count(usage.get("input_tokens")), read_count(usage.get("output_tokens"))
        if read is None and written is None:
            return super().usage_metadata()  # some agents count as chat completions do
        total = read_count(usage.get("total_tokens"))
        metadata = UsageMetadata(
            input_tokens=read or 0,
            output_tokens=written or 0,
            total_tokens=(read or 0) + (written or 0) if total is None else total,
        )
        cached = _detail(usage, "input_tokens_details", "cached_tokens")
        if cached is not None:
            metadata["input_token_details"] = InputTokenDetails(cache_read=cached)
        reasoning = _detail(usage, "output_tokens_details", "reasoning_tokens")
        if reasoning is not None:
            metadata["output_token_details"] = OutputTokenDetails(reasoning=reasoning)
        return metadata


def _detail(usage: Mapping[str, Any], key: str, name: str) -> int | None:
    details = usage.get(key)
    return read_count(details.get(name)) if isinstance(details, Mapping) else None
