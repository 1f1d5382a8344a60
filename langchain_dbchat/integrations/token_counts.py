"""Read the counts of LangChain's token usage.

Rule 1. ``input_tokens`` contains the cached tokens and ``output_tokens`` the reasoning
(reference.langchain.com/python/langchain_core/messages, `UsageMetadata`).
Rule 2. Tokens that were written to the cache have up to three counts, which do not overlap: without a lifetime, for
five minutes, and for an hour (`docs/messages-api.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage

__all__ = ["TokenCounts", "count_tokens", "usage_of"]


class TokenCounts(NamedTuple):
    """The counts of one answer.

    Attributes:
        input: Input tokens, with the cached ones.
        output: Output tokens, with the reasoning.
        cache_read: Input tokens that were read from the cache.
        cache_write: Input tokens that were written to the cache, for five minutes or for a time that is not known.
        cache_write_1h: Input tokens that were written to the cache for an hour.
        audio_input: Input tokens of audio.
        reasoning: Output tokens of the reasoning.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    reasoning: int = 0


def usage_of(message: Any) -> Mapping[str, Any] | None:
    """Return the token usage of a message.

    Args:
        message: The message.

    Returns:
        The usage in LangChain's format, or None if it has none.
    """
    usage: Any = message.usage_metadata if isinstance(message, AIMessage) else None
    return usage if isinstance(usage, Mapping) else None


def count_tokens(usage: Mapping[str, Any]) -> TokenCounts:
    """Read the counts of a usage.

    Args:
        usage: The usage in LangChain's format.

    Returns:
        The counts; a count that is missing is 0.
    """
    given, produced = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return TokenCounts(
        input=_count(usage, "input_tokens"),
        output=_count(usage, "output_tokens"),
        cache_read=_count(given, "cache_read"),
        cache_write=_count(given, "cache_creation") + _count(given, "ephemeral_5m_input_tokens"),
        cache_write_1h=_count(given, "ephemeral_1h_input_tokens"),
        audio_input=_count(given, "audio"),
        reasoning=_count(produced, "reasoning"),
    )


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if isinstance(value, int) else 0
