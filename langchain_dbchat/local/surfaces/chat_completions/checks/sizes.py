"""Bounds for JSON schemas, so that no schema costs the workspace more than a moment: what is beyond is refused by name.

The servers have bounds of their own (OpenAI documents some of them,
https://platform.openai.com/docs/guides/structured-outputs#supported-schemas); these are meant to be wider.

Rule 1. Counts (`minLength`, `minItems`, `minProperties`) are at most what an answer could hold.
Rule 2. Numbers are finite.
Rule 3. Schemas, properties, enum values, names and patterns are limited in number and length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.refusals import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_dbchat.local.surfaces.chat_completions.request import Asked

LEAST = {"minLength": 100_000, "minItems": 1_000, "minProperties": 1_000}
LENGTHS = {"pattern": 1_000, "$ref": 1_000, "title": 100_000, "description": 100_000, "format": 1_000}
LIMITS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
MOST_VALUES = 10_000
MOST_ENUM = 5_000
LONGEST_NAME = 1_000
LARGEST = 1e300


def check_sizes(asked: Asked) -> None:
    """Refuse schemas beyond the bounds, in tools and in the response format."""
    tools = asked.body.get("tools")
    for place, tool in enumerate(tools if isinstance(tools, list) else []):
        function = tool.get("function") if isinstance(tool, dict) else None
        schema = function.get("parameters") if isinstance(function, dict) else None
        _refuse(asked, f"tools.{place}.function.parameters", schema)
    wanted = asked.body.get("response_format")
    held = wanted.get("json_schema") if isinstance(wanted, dict) else None
    _refuse(asked, "response_format.json_schema.schema", held.get("schema") if isinstance(held, dict) else None)


def _refuse(asked: Asked, path: str, schema: Any) -> None:
    fault = excess_in(schema)
    if fault:
        raise invalid(asked, f"{path}: JSON schema is too large: {fault}")


def excess_in(schema: Any) -> str | None:
    """What is beyond the bounds in a schema, in a few words; None when nothing is."""
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
            fault = _excess(key, value)
            if fault:
                return fault
    return None


def _excess(key: str, value: Any) -> str | None:
    """What is beyond the bounds in one keyword, or in one property of that name."""
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
    """All objects of a JSON value, without recursion."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
