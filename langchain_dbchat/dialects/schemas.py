"""JSON schemas of tools and answers, fitted to what a family's server understands.

The caller's own schema still validates the answer; what the server refuses is moved into the description, where the
model reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.utils.json_schema import dereference_refs

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

_SILENT = frozenset({"$schema", "$id", "$comment", "additionalProperties"})
"""Refused keywords that tell a model nothing and are left out without a word."""


def fit_schema(schema: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Fit a schema to a family.

    Args:
        schema: A JSON schema.
        family: The row of the model that is called.

    Returns:
        The schema itself where the family takes all of JSON schema, else a new one: references inlined, refused
        keywords moved into descriptions.
    """
    fitted = dict(schema)
    if family.schema_inline_refs and _has_refs(fitted):
        fitted = dereference_refs(fitted, skip_keys=[])
        fitted.pop("$defs", None)
        fitted.pop("definitions", None)
    if family.schema_refuses:
        fitted = _without(fitted, family.schema_refuses)
    return fitted


def _has_refs(node: Any) -> bool:
    if isinstance(node, Mapping):
        return "$ref" in node or any(map(_has_refs, node.values()))
    return isinstance(node, list) and any(map(_has_refs, node))


def _without(node: Any, refused: frozenset[str], *, names: bool = False) -> Any:
    """Leave out refused keywords; under ``properties`` the keys are names of the user's and no keywords."""
    if isinstance(node, list):
        return [_without(item, refused) for item in node]
    if not isinstance(node, Mapping):
        return node
    kept: dict[str, Any] = {}
    said: list[str] = []
    for key, value in node.items():
        if names or key not in refused:
            plain = not names and key in {"enum", "const", "default", "examples", "required"}
            kept[key] = value if plain else _without(value, refused, names=not names and key in {"properties", "$defs"})
        elif key == "const":
            kept["enum"] = [value]
        elif key not in _SILENT:
            said.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    if said:
        kept["description"] = " ".join([*filter(None, [kept.get("description")]), f"({', '.join(said)})"])
    return kept
