"""Which JSON schemas are valid, and small enough to be filled in a moment.

Rule 1. A keyword has the type of value that its draft gives it (https://json-schema.org/draft/2020-12).
Rule 2. Counts (`minLength`, `minItems`, `minProperties`) are at most what an answer could contain.
Rule 3. Numbers are finite.
Rule 4. Schemas, properties, enum values, names and patterns are limited in number and length. The servers have their
own limits (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas); these are meant to be wider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties"})
NESTED = frozenset({"items", "anyOf", "oneOf", "allOf", "prefixItems", "additionalProperties", "not"})
LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
EXCLUSIVE = frozenset({"exclusiveMinimum", "exclusiveMaximum"})
TEXTS = frozenset({"description", "title", "pattern", "format", "$ref"})
NUMBERS = frozenset({"minimum", "maximum", "multipleOf"})
LEAST = {"minLength": 100_000, "minItems": 1_000, "minProperties": 1_000}
LENGTHS = {"pattern": 1_000, "$ref": 1_000, "title": 100_000, "description": 100_000, "format": 1_000}
LIMITS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
MOST_VALUES = 10_000
MOST_ENUM = 5_000
LONGEST_NAME = 1_000
LARGEST = 1e300


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield a JSON schema and all schemas within it; names of properties are not keywords."""
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


def error_in(schema: dict[str, Any], *, latest_draft: bool = False) -> str | None:
    """Return what is wrong with a schema, in a few words; None when nothing is.

    Args:
        schema: The schema.
        latest_draft: Whether only the spelling of draft 2020-12 is valid.
    """
    for node in subschemas(schema):
        kinds = node.get("type", [])
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if not isinstance(kind, str) or kind not in TYPES:
                return f"{kind!r} is not a type"
        for key, value in node.items():
            if latest_draft and _is_old(key, value):
                return f"{value!r} is not valid under {key!r}"
            if not _fits(key, value):
                return f"{value!r} is not valid under {key!r}"
    return None


def _is_old(key: str, value: Any) -> bool:
    """Return whether a keyword is spelled as an older draft had it."""
    if key in EXCLUSIVE:
        return isinstance(value, bool) or not isinstance(value, int | float)
    if key == "required":
        return isinstance(value, list) and len(set(map(str, value))) < len(value)
    return key == "items" and isinstance(value, list)


def _fits(key: str, value: Any) -> bool:
    """Return whether a keyword has the kind of value that it must have; unknown keywords may have any."""
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


def excess_in(schema: Any) -> str | None:
    """Return what is beyond the bounds in a schema, in a few words; None when nothing is."""
    count = enum = 0
    for node in _objects(schema):
        count += 1 + len(node)
        values = node.get("enum")
        enum += len(values) if isinstance(values, list) else 0
        if count > MOST_VALUES:
            return f"it has more than {MOST_VALUES} keywords and properties"
        if enum > MOST_ENUM:
            return f"it has more than {MOST_ENUM} enum values"
        for key, value in node.items():
            excess = _excess(key, value)
            if excess:
                return excess
    return None


def _excess(key: str, value: Any) -> str | None:
    """Return what is beyond the bounds in one keyword, or in one property of that name."""
    if len(key) > LONGEST_NAME:
        return f"a name has more than {LONGEST_NAME} characters"
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if key in LEAST and value > LEAST[key]:
            return f"{key} is more than {LEAST[key]}"
        if key in LIMITS and not abs(value) <= LARGEST:  # nor is NaN
            return f"{key} is not a finite number"
    if isinstance(value, str) and len(value) > LENGTHS.get(key, len(value)):
        return f"{key} has more than {LENGTHS[key]} characters"
    return None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects of a JSON value, without recursion."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
