"""JSON schemas of tools and answers, fitted to what a family's server understands.

The caller's own schema still validates the answer; what the server refuses is moved into the description, where the
model reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

_SILENT = frozenset({"$schema", "$id", "$comment", "additionalProperties"})
"""Refused keywords that tell a model nothing and are left out without a word."""

_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose keys are names of the user's, and no keywords."""

_VALUES = frozenset({"enum", "const", "default", "examples", "required"})
"""Keywords whose values are no schemas."""


def fit_schema(schema: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Fit a schema to a family.

    Args:
        schema: A JSON schema.
        family: The row of the model that is called.

    Returns:
        The schema itself where the family takes all of JSON schema, else a new one: references inlined, refused
        keywords moved into descriptions. A schema that holds itself is inlined once and described where it recurs.

    Raises:
        ValueError: If a reference that has to be inlined points nowhere.
    """
    fitted = dict(schema)
    if family.schema_inline_refs:
        fitted = _inlined(fitted, schema, ())
    if family.schema_refuses:
        fitted = _without(fitted, family.schema_refuses)
    return fitted


def _mapped(node: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Change each schema right below a schema."""
    changed: dict[str, Any] = {}
    for key, value in node.items():
        if key in _NAMED and isinstance(value, Mapping):
            changed[key] = {name: change(inner) for name, inner in value.items()}
        else:
            changed[key] = value if key in _VALUES else change(value)
    return changed


def _inlined(node: Any, root: Mapping[str, Any], above: tuple[str, ...]) -> Any:
    """Replace references by what they name; ``above`` holds those that this node stands in."""
    if isinstance(node, list):
        return [_inlined(item, root, above) for item in node]
    if not isinstance(node, Mapping):
        return node
    reference = node.get("$ref")
    rest = {key: value for key, value in node.items() if key not in {"$defs", "definitions"}}
    if not isinstance(reference, str):
        return _mapped(rest, lambda inner: _inlined(inner, root, above))
    del rest["$ref"]
    if reference in above:
        return {"type": "object", "description": f"(again a {reference.rpartition('/')[2]})", **rest}
    return {**_inlined(_find(reference, root), root, (*above, reference)), **_inlined(rest, root, above)}


def _find(reference: str, root: Mapping[str, Any]) -> Any:
    node: Any = root
    for step in reference.removeprefix("#").strip("/").split("/") if reference.startswith("#") else [""]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, Mapping) or (name and name not in node):
            raise ValueError(f"The schema refers to {reference!r}, which it does not hold.")
        node = node[name] if name else node
    if not reference.startswith("#"):
        raise ValueError(f"The schema refers to {reference!r}, outside of itself, which this server cannot follow.")
    return node


def _without(node: Any, refused: frozenset[str]) -> Any:
    if isinstance(node, list):
        return [_without(item, refused) for item in node]
    if not isinstance(node, Mapping):
        return node
    kept = _mapped({key: value for key, value in node.items() if key not in refused}, lambda x: _without(x, refused))
    if "const" in refused and "const" in node:
        kept["enum"] = [node["const"]]
    said = [
        f"{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in node.items()
        if key in refused - _SILENT - {"const"}
    ]
    if said:
        kept["description"] = " ".join([*filter(None, [kept.get("description")]), f"({', '.join(said)})"])
    return kept
