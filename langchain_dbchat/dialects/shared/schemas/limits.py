"""Schemas for a server that refuses keywords of limits, as Anthropic's structured outputs do.

Rule 1  Limits of numbers, texts and counts are written into the description instead ("For 'integer' type, properties
        maximum, minimum are not supported"; docs.claude.com/en/docs/build-with-claude/structured-outputs).
        ``minItems`` of 0 and 1 is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_dbchat.dialects.shared.schemas.parts import Schema, in_json, map_schemas, with_notes

_LIMITS: Final = frozenset(
    {
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
        "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
    }
)  # fmt: skip


def without_limits(schema: Schema) -> Schema:
    """Write the limits of a schema into its descriptions.

    Args:
        schema: A schema of draft 2020-12. It is not changed.

    Returns:
        The schema itself if it has no limits, else a new one.
    """
    fitted: Schema = _without(schema)
    return fitted


def _without(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    refused = [key for key in node if key in _LIMITS and not (key == "minItems" and node[key] in (0, 1))]
    kept = {key: value for key, value in node.items() if key not in refused} if refused else dict(node)
    fitted = with_notes(kept, [f"{key}: {in_json(node[key])}" for key in refused])
    return map_schemas(fitted, _without)
