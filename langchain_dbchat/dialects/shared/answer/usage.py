"""Read token usage in all spellings of serving endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata


def decode_usage(usage: Mapping[str, Any]) -> UsageMetadata | None:
    """Read a ``usage`` object.

    GPT and GLM include cached tokens in ``prompt_tokens``; for Claude the sources disagree, so the cached tokens are
    added only if ``prompt_tokens`` is smaller than their number.

    Args:
        usage: The object that the server sent. Each count in it may be null or missing.

    Returns:
        LangChain's usage with its details, or None if the object has no counts yet.
    """
    prompt = read_count(usage.get("prompt_tokens"))
    completion = read_count(usage.get("completion_tokens"))
    total = read_count(usage.get("total_tokens"))
    if prompt is None and completion is None:
        return None
    prompt_details = _mapping(usage.get("prompt_tokens_details"))
    completion_details = _mapping(usage.get("completion_tokens_details"))
    input_details = InputTokenDetails()
    output_details = OutputTokenDetails()
    read = _larger(usage.get("cache_read_input_tokens"), prompt_details.get("cached_tokens"))
    created = _larger(usage.get("cache_creation_input_tokens"), prompt_details.get("cache_write_tokens"))
    if prompt_details and (audio := read_count(prompt_details.get("audio_tokens"))) is not None:
        input_details["audio"] = audio
    if created is not None:
        input_details["cache_creation"] = created
    if read is not None:
        input_details["cache_read"] = read
    if completion_details and (audio := read_count(completion_details.get("audio_tokens"))) is not None:
        output_details["audio"] = audio
    if (reasoning := _larger(completion_details.get("reasoning_tokens"), usage.get("reasoning_tokens"))) is not None:
        output_details["reasoning"] = reasoning
    input_tokens = prompt or 0
    cached = (read or 0) + (created or 0)
    if cached > input_tokens:
        input_tokens += cached
        total = None
    output_tokens = completion or 0
    metadata = UsageMetadata(
        input_tokens=input_tokens, output_tokens=output_tokens, total_tokens=total or input_tokens + output_tokens
    )
    if input_details:
        metadata["input_token_details"] = input_details
    if output_details:
        metadata["output_token_details"] = output_details
    return metadata


def add_usage(left: Mapping[str, Any] | None, right: Mapping[str, Any] | None) -> dict[str, Any]:
    """Add two objects of counts, level by level.

    Args:
        left: Counts, or None.
        right: Counts, or None.

    Returns:
        A new object with the sums; values that are not counts are taken from the right.
    """
    total = dict(left or {})
    for key, value in (right or {}).items():
        known = total.get(key)
        if isinstance(value, (int, float)):  # most are
            total[key] = known + value if _is_count(known) and _is_count(value) else value
        elif isinstance(value, Mapping):
            total[key] = add_usage(known if isinstance(known, Mapping) else None, value)
        elif value is not None:
            total[key] = value
    return total


_LARGEST = 2**60  # so that the sum of several is below 2**63, the limit of MessagePack and databases


def read_count(value: Any) -> int | None:
    """Read a count.

    Args:
        value: The value that the server sent.

    Returns:
        The count; None if it is not a number, or if a checkpoint cannot store a sum of such numbers.
    """
    if type(value) is not int and type(value) is not float:  # most are None
        return None
    return int(value) if _is_count(value) else None


def _is_count(value: Any) -> TypeGuard[float]:
    # Not isfinite, because an integer may be too large for a float.
    return isinstance(value, (int, float)) and abs(value) < _LARGEST


def _larger(value: Any, other: Any) -> int | None:
    if value is None and other is None:
        return None
    return max((count for count in (read_count(value), read_count(other)) if count is not None), default=None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if value and isinstance(value, Mapping) else {}
