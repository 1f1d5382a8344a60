"""JSON schemas, as far as they can be wrong: a schema that is none is refused, in tools and in formats alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties"})
NESTED = frozenset({"items", "anyOf", "oneOf", "allOf", "prefixItems", "additionalProperties", "not"})
LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
TEXTS = frozenset({"description", "title", "pattern", "format", "$ref"})
NUMBERS = frozenset({"minimum", "maximum", "multipleOf"})


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """A JSON schema and all schemas within it; names of properties are not keywords."""
    if isinstance(schema, list):
        for part in schema:
            yield from subschemas(part)
    if not isinstance(schema, dict):
        return
    yield schema
    for key, value in schema.items():
        if key in NAMED and isinstance(value, dict):
            for part in value.values():
                yield from subschemas(part)
        elif key in NESTED:
            yield from subschemas(value)


def fault_in(schema: dict[str, Any]) -> str | None:
    """What is wrong with a schema, in a few words; None when nothing is."""
    for node in subschemas(schema):
        kinds = node.get("type", [])
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if not isinstance(kind, str) or kind not in TYPES:
                return f"{kind!r} is not a type"
        for key, value in node.items():
            if not _fits(key, value):
                return f"{value!r} is not valid under {key!r}"
    return None


def _fits(key: str, value: Any) -> bool:
    """Whether a keyword has the kind of value that it must have; unknown keywords may have any."""
    fitting = {
        **dict.fromkeys(NAMED, lambda: isinstance(value, dict) and _are_schemas(value.values())),
        **dict.fromkeys(LISTS, lambda: isinstance(value, list) and bool(value) and _are_schemas(value)),
        **dict.fromkeys(COUNTS, lambda: isinstance(value, int) and value >= 0),
        **dict.fromkeys(NUMBERS, lambda: isinstance(value, int | float) and not isinstance(value, bool)),
        **dict.fromkeys(TEXTS, lambda: isinstance(value, str)),
        "required": lambda: isinstance(value, list) and all(isinstance(name, str) for name in value),
        "enum": lambda: isinstance(value, list) and bool(value),
        "items": lambda: isinstance(value, dict | bool | list),
    }
    return key not in fitting or fitting[key]()


def _are_schemas(values: Iterable[Any]) -> bool:
    return all(isinstance(value, dict | bool) for value in values)
