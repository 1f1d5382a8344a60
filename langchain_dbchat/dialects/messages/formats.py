"""Write a response format as the ``format`` of ``output_config``.

Rule 1. Anthropic documents ``{"type": "json_schema", "schema": ...}`` in ``output_config`` for Claude from 4.5 on
(docs.claude.com/en/docs/build-with-claude/structured-outputs); ``output_format`` is its older name. There is no mode
for any JSON, so the prompt alone asks for it.
Rule 2. Every object of the schema is closed: ``For 'object' type, 'additionalProperties' must be explicitly set to
false``. Limits of numbers, lengths and counts are written into the description, because the API refuses their keywords.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.request.formats import encode_format, fit_named_schema
from langchain_dbchat.dialects.shared.schemas import without_limits

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target

__all__ = ["is_closable", "write_output_format"]


def write_output_format(given: Any, target: Target, *, drops_nulls: bool) -> dict[str, Any] | None:
    """Write a response format.

    Args:
        given: A ``response_format``, Anthropic's own format, or a schema in any spelling.
        target: The called model.
        drops_nulls: Whether the parser of the answer drops the nulls that only a closed schema allows.

    Returns:
        The value of ``output_config.format``; None for plain text and for any JSON.

    Raises:
        ValueError: If the schema cannot be closed.
    """
    encoded = encode_format(_as_openai(given))
    if encoded.get("type") in {"text", "json_object"}:
        return None
    named = encoded["json_schema"]
    named["strict"] = True
    try:
        fit_named_schema(encoded, None, target, drops_nulls=drops_nulls)
    except ValueError as error:
        raise ValueError(
            f"{error} {target.model!r} takes closed schemas alone as a response format; a tool takes any: "
            "with_structured_output(schema, method='function_calling')."
        ) from None
    return {"type": "json_schema", "schema": without_limits(named["schema"])}


def is_closable(given: Any, target: Target) -> bool:
    """Return whether a response format can be sent; one that is strict has to be.

    Args:
        given: A ``response_format``, Anthropic's own format, or a schema in any spelling.
        target: The called model.
    """
    named = encode_format(_as_openai(given)).get("json_schema")
    if not isinstance(named, Mapping) or named.get("strict"):
        return True
    try:
        write_output_format(given, target, drops_nulls=True)
    except ValueError:
        return False
    return True


def _as_openai(given: Any) -> Any:
    """Return Anthropic's own format in OpenAI's spelling."""
    if isinstance(given, Mapping) and given.get("type") == "json_schema" and isinstance(given.get("schema"), Mapping):
        name = given.get("name") or given["schema"].get("title") or "answer"
        return {"type": "json_schema", "json_schema": {"name": name, "schema": given["schema"]}}
    return given
