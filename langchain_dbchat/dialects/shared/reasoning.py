"""Reasoning as content: how it arrives, how it is kept, how it goes back.

In a message, reasoning is a block in Databricks' own shape, ``{"type": "reasoning", "summary": [{"type":
"summary_text", "text": ..., "signature": ...}]}``, whatever shape it arrived in (content parts, a
``reasoning_content`` or ``reasoning`` sibling, a LiteLLM proxy's ``thinking_blocks``, Harmony's ``reasoning_text``).
Claude wants the turn that called a tool back with this block unmodified, or without it; unsigned reasoning, and
reasoning that another model signed, is a 400 and never goes back (Databricks, "Query reasoning models").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.models.families import FAMILIES, family_of

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from langchain_dbchat.dialects.dialect import Target

REASONING_BLOCKS = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
"""Block types that hold reasoning: ours, Anthropic's and Bedrock's."""

_FOREIGN_REASONING = frozenset({"thinking", "redacted_thinking"})

PROVIDER = "databricks"
"""Our ``model_provider`` in ``response_metadata``, the same as ``ls_provider``."""

CALL_EXTRAS = "databricks_tool_call_extras"
"""Where ``additional_kwargs`` keeps, by call id, what a tool call carried besides its function (Gemini's
``thoughtSignature``)."""

FUNCTION_EXTRAS = "function_extras"
"""Where what a call's ``function`` carried besides its name and arguments is kept, among the call's extras."""


def may_replay(message: AIMessage, target: Target) -> bool:
    """Tell whether signed parts of an earlier answer may be sent to a model.

    Args:
        message: The earlier answer.
        target: The model that is called.

    Returns:
        True if the same endpoint produced it or a family that signs alike, or if nothing but its shape, which is ours,
        says who did.
    """
    signs = target.family.signs
    metadata = message.response_metadata
    provider = metadata.get("model_provider")
    if not signs:
        return False
    if provider == PROVIDER:
        name = str(metadata.get("model_name", ""))
        row = FAMILIES.get(metadata.get("model_family", "")) or family_of(name)
        return name == target.model or (row.signs == signs != "own")
    if provider is not None:
        return bool(provider == signs)
    content = message.content if isinstance(message.content, list) else []
    return not any(isinstance(block, dict) and block.get("type") in _FOREIGN_REASONING for block in content)


def signed_extras(extras: Any) -> dict[str, Any]:
    """Choose what goes back of the fields that a tool call carried besides its function.

    A signature has to go back (Gemini's ``thoughtSignature``, also within Google's ``extra_content`` and
    ``provider_specific_fields`` of LiteLLM); any other field may be refused (``Extra inputs are not permitted``).

    Args:
        extras: What the call carried.

    Returns:
        The fields that are or hold a signature.
    """
    if not isinstance(extras, Mapping):
        return {}
    return {key: value for key, value in extras.items() if key != FUNCTION_EXTRAS and _is_signed(key, value)}


def _is_signed(key: str, value: Any) -> bool:
    inner = value.items() if isinstance(value, Mapping) else ()
    return "signature" in key.lower() or any(_is_signed(str(name), below) for name, below in inner)


def replay_reasoning(blocks: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Write reasoning blocks of one answer as the parts that they came as.

    Args:
        blocks: Consecutive reasoning blocks: ours, LangChain's standard ones or Anthropic's.

    Yields:
        A ``reasoning`` part for each block that has something signed or encrypted. Standard blocks that say they
        continue the one before them go into its part.
    """
    part: dict[str, Any] | None = None
    for block in blocks:
        entries = [entry for entry in _entries(block) if entry.get("signature") or entry.get("data")]
        if not entries:
            continue
        if part is not None and _extras(block).get("continues"):
            part["summary"].extend(entries)
            continue
        if part is not None:
            yield part
        part = {"type": "reasoning", "summary": entries}
    if part is not None:
        yield part


def _entries(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    kind = block.get("type")
    if kind == "thinking":
        yield {"type": "summary_text", "text": block.get("thinking") or "", "signature": block.get("signature")}
    elif kind == "redacted_thinking":
        yield {"type": "summary_encrypted_text", "data": block.get("data")}
    elif isinstance(block.get("summary"), list):
        for entry in block["summary"]:
            if isinstance(entry, Mapping):
                yield {key: value for key, value in entry.items() if key != "index"}
    else:
        extras = _extras(block)
        if extras.get("data"):
            yield {"type": "summary_encrypted_text", "data": extras["data"]}
        else:
            yield {"type": "summary_text", "text": block.get("reasoning") or "", "signature": extras.get("signature")}


def _extras(block: Mapping[str, Any]) -> Mapping[str, Any]:
    extras = block.get("extras")
    return extras if isinstance(extras, Mapping) else {}
