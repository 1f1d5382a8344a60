"""JSON schemas, as far as they can be wrong, in tools and in formats alike (docs/wire.md, 6.4).

A schema that is none is refused everywhere; what else is refused depends on whose model is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.checks.google_schemas import check_google
from langchain_dbchat.local.checks.openai_schemas import OpenAISchema
from langchain_dbchat.local.refusals import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_dbchat.local.asked import Asked

NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
PROPERTY = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")

TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties"})
NESTED = frozenset({"items", "anyOf", "oneOf", "allOf", "prefixItems", "additionalProperties", "not"})
LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
BOUNDS = frozenset({"exclusiveMinimum", "exclusiveMaximum"})
LATEST = "https://json-schema.org/draft/2020-12"
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


def check_schema(asked: Asked, schema: dict[str, Any], place: int | None, name: str, *, strict: bool) -> None:
    """Refuse a schema that the family refuses.

    Args:
        asked: The request.
        schema: The schema.
        place: The number of its tool, None for a response format.
        name: Its tool's name, or its own.
        strict: Whether it stands beside ``strict: true``.
    """
    rules = asked.model.family.schemas
    path = "response_format.json_schema.schema" if place is None else f"tools.{place}.function.parameters"
    if rules == "claude" and place is not None and "type" not in schema:
        raise invalid(asked, f"tools.{place}.custom.input_schema.type: Field required")
    fault = fault_in(schema, today=rules == "openai")
    if fault:
        raise invalid(asked, f"{path}: JSON schema is invalid: {fault}")
    if rules == "google":
        kind = schema.get("type", "object")
        google = "generation_config.response_schema"
        if place is not None:
            google = f"tools[0].function_declarations[{place}].parameters"
            if isinstance(kind, str) and kind.lower() != "object":
                raise invalid(asked, f"* GenerateContentRequest.{google}: schema should be of type OBJECT")
        check_google(asked, schema, google)
    if rules == "claude":
        _check_claude(asked, schema, path if place is None else f"tools.{place}.custom.input_schema", place)
    if rules == "openai" and schema:
        owner = f"response_format '{name}'" if place is None else f"function '{name}'"
        OpenAISchema(asked, owner, strict=strict).check(schema)


def _check_claude(asked: Asked, schema: dict[str, Any], path: str, place: int | None) -> None:
    if place is not None:
        if any(key in schema for key in ("oneOf", "allOf", "anyOf")):
            raise invalid(asked, f"{path}: input_schema does not support oneOf, allOf, or anyOf at the top level")
        if schema["type"] != "object":
            raise invalid(asked, f"{path}.type: Input should be 'object'")
    properties = schema.get("properties")
    if isinstance(properties, dict) and not all(map(PROPERTY.fullmatch, properties)):
        raise invalid(asked, f"{path}.properties: Property keys should match pattern '{PROPERTY.pattern}'")
    if fault_in(schema, today=True):
        raise invalid(asked, f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12 ({LATEST}).")


def fault_in(schema: dict[str, Any], *, today: bool = False) -> str | None:
    """What is wrong with a schema, in a few words; None when nothing is.

    Args:
        schema: The schema.
        today: Whether only draft 2020-12 counts, and no older spelling.
    """
    for node in subschemas(schema):
        kinds = node.get("type", [])
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if not isinstance(kind, str) or kind not in TYPES:
                return f"{kind!r} is not a type"
        for key, value in node.items():
            if today and _is_old(key, value):
                return f"{value!r} is not valid under {key!r}"
            if not _fits(key, value):
                return f"{value!r} is not valid under {key!r}"
    return None


def _is_old(key: str, value: Any) -> bool:
    """Whether a keyword is spelled as an older draft had it."""
    if key in BOUNDS:
        return isinstance(value, bool) or not isinstance(value, int | float)
    if key == "required":
        return isinstance(value, list) and len(set(map(str, value))) < len(value)
    return key == "items" and isinstance(value, list)


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
