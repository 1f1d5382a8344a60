"""Read the reasoning of earlier answers, and decide whether it may be sent back.

Rule 1. In a message of ours, reasoning is a block in Databricks' shape, ``{"type": "reasoning", "summary": [{"type":
"summary_text", "text": ..., "signature": ...}]}``, whatever shape the server sent (content parts, a
``reasoning_content`` or ``reasoning`` field beside the content, a LiteLLM proxy's ``thinking_blocks``, Harmony's
``reasoning_text``).
Rule 2. Claude wants the turn that called a tool back with this block unmodified, or without it. Reasoning that is not
signed, and reasoning that another model signed, is a 400, so it is never sent (Databricks, "Query reasoning models").
Rule 3. It is sent to models that sign in the same way: the same endpoint, or a family of the same maker. If an endpoint
says that a signature is not valid, no reasoning is sent back in this call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.dialect import SIGNATURES
from langchain_dbchat.dialects.shared.blocks.block_fields import flattened, mapping_of, own_id, remaining, unwrapped
from langchain_dbchat.dialects.shared.blocks.content_blocks import ReasoningBlock
from langchain_dbchat.dialects.shared.blocks.message_keys import FUNCTION_EXTRAS, PROVIDER
from langchain_dbchat.models.families import FAMILIES, family_of

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from langchain_dbchat.dialects.dialect import Target


REASONING_BLOCKS = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
"""Block types that contain reasoning: ours, Anthropic's and Bedrock's."""

_FOREIGN_REASONING = REASONING_BLOCKS - {"reasoning"}

_READ = frozenset(
    {
        "reasoning",
        "thinking",
        "reasoning_content",
        "summary",
        "content",
        "text",
        "signature",
        "data",
        "id",
        "continues",
        "verbatim",
    }
)
"""The fields of a block or an entry that a record has its own fields for."""


_UNWANTED = frozenset({SIGNATURES, "thinking_blocks"})
"""The lessons of an endpoint that takes no reasoning of earlier answers: its signatures, or the field that has it."""


def may_replay(message: AIMessage, target: Target) -> bool:
    """Return whether signed parts of an earlier answer may be sent to a model.

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
    if not signs or not _UNWANTED.isdisjoint(target.lessons):
        return False
    if provider == PROVIDER:
        name = str(metadata.get("model_name", ""))
        row = FAMILIES.get(metadata.get("model_family", "")) or family_of(name)
        return name == target.model or (row.signs == signs != "own")
    if provider is not None:
        return bool(provider == signs)
    content = message.content if isinstance(message.content, list) else []
    return not any(isinstance(block, Mapping) and _is_foreign(block) for block in content)


def _is_foreign(block: Mapping[str, Any]) -> bool:
    kind = unwrapped(block).get("type")
    return isinstance(kind, str) and kind in _FOREIGN_REASONING


def signed_extras(extras: Any) -> dict[str, Any]:
    """Choose what goes back of the fields that a tool call contained besides its function.

    A signature has to go back (Gemini's ``thoughtSignature``, also within Google's ``extra_content`` and
    ``provider_specific_fields`` of LiteLLM); any other field may be refused (``Extra inputs are not permitted``).

    Args:
        extras: What the call contained.

    Returns:
        The fields that are or contain a signature.
    """
    if not isinstance(extras, Mapping):
        return {}
    return {key: value for key, value in extras.items() if key != FUNCTION_EXTRAS and _is_signed(key, value)}


def _is_signed(key: str, value: Any) -> bool:
    inner = value.items() if isinstance(value, Mapping) else ()
    return "signature" in key.lower() or any(_is_signed(str(name), below) for name, below in inner)


def read_reasoning(block: Mapping[str, Any]) -> Iterator[ReasoningBlock]:
    """Read a block of reasoning: ours, LangChain's standard one, OpenAI's, Anthropic's or Bedrock's.

    Args:
        block: The block. Its type is one of `REASONING_BLOCKS`. It is not changed.

    Yields:
        A record for each entry; at least one.
    """
    kind = block.get("type")
    if kind == "reasoning_content":
        yield _read_bedrock(block)
    elif kind in _FOREIGN_REASONING:
        text = block.get("thinking") or ""
        rest = remaining(flattened(block), _READ)
        yield ReasoningBlock(text, block.get("signature"), block.get("data"), extras=rest)
    else:
        fields = flattened(block)
        entries = next((fields[key] for key in ("summary", "content") if fields.get(key)), fields.get("summary"))
        if isinstance(entries, list):
            yield from _read_entries(fields, entries)
        else:
            text, signature, data = fields.get("reasoning") or "", fields.get("signature"), fields.get("data")
            continues = bool(fields.get("continues"))
            rest, verbatim = remaining(fields, _READ), bool(fields.get("verbatim"))
            yield ReasoningBlock(text, signature, data, own_id(fields), continues, rest, verbatim)


def _read_entries(fields: Mapping[str, Any], entries: list[Any]) -> Iterator[ReasoningBlock]:
    """Read the entries of Databricks' and OpenAI's shape; what belongs to all of them is with the first."""
    rest = remaining(fields, _READ)
    if fields.get("content") and entries is not fields["content"]:  # OpenAI's items may have a summary and the whole
        rest["content"] = fields["content"]
    for number, entry in enumerate(entries or [{}]):
        said = entry if isinstance(entry, Mapping) else {"text": str(entry)}
        left = remaining(said, _READ)
        extras = {**rest, "summary": left} if left else rest
        text = said.get("text") or ""
        continues = number > 0 or bool(fields.get("continues"))
        yield ReasoningBlock(
            text,
            said.get("signature"),
            said.get("data"),
            own_id(fields),
            continues,
            extras,
            said.get("type") == "reasoning_text",
        )
        rest = {}


def _read_bedrock(block: Mapping[str, Any]) -> ReasoningBlock:
    inner = block.get("reasoning_content")
    said = inner if isinstance(inner, Mapping) else {"text": inner}
    data = said.get("redactedContent")
    said = mapping_of(said, "reasoningText") or said
    rest = remaining(flattened(block), _READ)
    return ReasoningBlock(said.get("text") or "", said.get("signature"), data, extras=rest)
