"""What the workspace refuses, V: the schemas of tools and answers, in the words of each family's server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kit.refusal_rows import CLAUDE, GEMINI, GLM, GPT, LLAMA, Row, check, tool

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

TEXT = {"type": "string"}
CLOSED = {"type": "object", "properties": {"q": TEXT}, "required": ["q"], "additionalProperties": False}


def tools(parameters: Any, **function: Any) -> dict[str, Any]:
    return {"tools": [tool(), tool("b", parameters=parameters, **function)]}


def one(prop: Any, **function: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {"type": "object", "properties": {"a": TEXT, "it": prop}}
    if function.get("strict"):
        whole |= {"required": ["a", "it"], "additionalProperties": False}
    return tools(whole, **function)


def answer(schema: Any, name: str = "Out", **held: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema, **held}}}


TOP = "tools.1.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
DRAFT = "tools.1.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12"
NOT_AT_THE_TOP = (
    "Invalid schema for function 'b': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' "
    "at the top level."
)
PLACE = "tools[0].function_declarations[1].parameters"
NO_FIELD = "Cannot find field."

TABLE: dict[str, Row] = {
    # -- Claude: docs/wire.md, 6.4, row schema roots
    "anyOf at the root on claude": Row(CLAUDE, tools({"type": "object", "anyOf": [CLOSED]}), TOP),
    "oneOf at the root on claude": Row(CLAUDE, tools({"type": "object", "oneOf": [CLOSED]}), TOP),
    "allOf at the root on claude": Row(CLAUDE, tools({"type": "object", "allOf": [CLOSED]}), TOP),
    "anyOf inside on claude": Row(CLAUDE, one({"anyOf": [TEXT, {"type": "null"}]})),
    "an array on claude": Row(
        CLAUDE, tools({"type": "array"}), "tools.1.custom.input_schema.type: Input should be 'object'"
    ),
    "two types on claude": Row(CLAUDE, tools({"type": ["object", "null"]}), "Input should be 'object'"),
    "a name on claude": Row(
        CLAUDE,
        tools({"type": "object", "properties": {"$filter": TEXT}}),
        "tools.1.custom.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'",
    ),
    "a long name on claude": Row(CLAUDE, tools({"type": "object", "properties": {"x" * 65: TEXT}}), "Property keys"),
    "a name inside on claude": Row(CLAUDE, one({"type": "object", "properties": {"$filter": TEXT}})),
    "a name on gpt": Row(GPT, tools({"type": "object", "properties": {"$filter": TEXT}})),
    "a name of an answer on claude": Row(
        CLAUDE, answer({"type": "object", "properties": {"a b": TEXT}}), "Property keys should match pattern"
    ),
    "draft 4 on claude": Row(CLAUDE, one({"type": "integer", "minimum": 0, "exclusiveMinimum": True}), DRAFT),
    "a list of items on claude": Row(CLAUDE, one({"type": "array", "items": [TEXT]}), DRAFT),
    "required twice on claude": Row(CLAUDE, one({"type": "object", "required": ["a", "a"]}), DRAFT),
    "draft 4 in an answer on claude": Row(
        CLAUDE, answer({"type": "object", "properties": {"a": {"type": "array", "items": [TEXT]}}}), "draft 2020-12"
    ),
    "draft 4 on glm": Row(GLM, one({"type": "integer", "minimum": 0, "exclusiveMinimum": True})),
    "strict beside an open schema on claude": Row(CLAUDE, answer({"type": "object", "properties": {}}, strict=True)),
    # -- OpenAI: docs/wire.md, 6.4, row OpenAI's schemas
    "anyOf at the root on gpt": Row(
        GPT, tools({"type": "object", "properties": {}, "anyOf": [CLOSED]}), NOT_AT_THE_TOP
    ),
    "enum at the root on gpt": Row(GPT, tools({"type": "object", "properties": {}, "enum": [{}]}), NOT_AT_THE_TOP),
    "not at the root on gpt": Row(GPT, tools({"type": "object", "properties": {}, "not": {}}), NOT_AT_THE_TOP),
    "no type on gpt": Row(
        GPT,
        tools({"anyOf": [CLOSED]}),
        "schema must be a JSON Schema of 'type: \\\"object\\\"', got 'type: \\\"None\\\"'.",
    ),
    "an array on gpt": Row(GPT, tools({"type": "array", "items": TEXT}), "got 'type: \\\"array\\\"'."),
    "no properties on gpt": Row(
        GPT,
        tools({"type": "object"}),
        "Invalid schema for function 'b': In context=(), object schema missing properties.",
    ),
    "nothing on gpt": Row(GPT, tools({})),
    "no items on gpt": Row(GPT, one({"type": "array"}), "In context=('properties', 'it'), array schema missing items."),
    "a list of items on gpt": Row(GPT, one({"type": "array", "items": [TEXT]}), "JSON schema is invalid"),
    "an array as an answer on gpt": Row(
        GPT, answer({"type": "array", "items": TEXT}), "Invalid schema for response_format 'Out': schema must be a JSON"
    ),
    "anyOf as an answer on gpt": Row(
        GPT, answer({"type": "object", "properties": {}, "anyOf": [CLOSED]}), "at the top level."
    ),
    "open on gpt": Row(GPT, answer({"type": "object", "properties": {"q": TEXT}})),
    "strict and closed on gpt": Row(GPT, answer(CLOSED, strict=True)),
    "strict and open on gpt": Row(
        GPT,
        answer({"type": "object", "properties": {"q": TEXT}, "required": ["q"]}, strict=True),
        "Invalid schema for response_format 'Out': In context=(), 'additionalProperties' is required to be supplied "
        "and to be false.",
    ),
    "strict and optional on gpt": Row(
        GPT,
        answer({"type": "object", "properties": {"q": TEXT}, "additionalProperties": False}, strict=True),
        "In context=(), 'required' is required to be supplied and to be an array including every key in properties. "
        "Missing 'q'.",
    ),
    "strict and a missing property on gpt": Row(
        GPT, answer({**CLOSED, "required": ["q", "x"]}, strict=True), "extra keys: x"
    ),
    "strict and open inside on gpt": Row(
        GPT,
        one({"type": "object", "properties": {}}, strict=True),
        "In context=('properties', 'it'), 'additionalProperties'",
    ),
    "strict and open in items on gpt": Row(
        GPT,
        one({"type": "array", "items": {"type": "object", "properties": {}}}, strict=True),
        "In context=('properties', 'it', 'items'), 'additionalProperties'",
    ),
    "strict and open in anyOf on gpt": Row(
        GPT,
        one({"anyOf": [TEXT, {"type": "object", "properties": {}}]}, strict=True),
        "'anyOf', '1'), 'additionalProperties'",
    ),
    "strict and open in $defs on gpt": Row(
        GPT,
        answer({**CLOSED, "$defs": {"A": {"type": "object", "properties": {}}}}, strict=True),
        "In context=('$defs', 'A'), 'additionalProperties'",
    ),
    "strict and oneOf on gpt": Row(GPT, one({"oneOf": [TEXT]}, strict=True), "'oneOf' is not permitted."),
    "strict and allOf on gpt": Row(
        GPT, one({"allOf": [TEXT]}, strict=True), "In context=('properties', 'it'), 'allOf' is not"
    ),
    "strict and default on gpt": Row(GPT, one({**TEXT, "default": "x"}, strict=True), "'default' is not permitted."),
    "strict and words beside $ref on gpt": Row(
        GPT, one({"$ref": "#", "description": "x"}, strict=True), "$ref cannot have keywords {'description'}."
    ),
    "strict and no type on gpt": Row(GPT, one({"description": "x"}, strict=True), "schema must have a 'type' key."),
    "strict and any items on gpt": Row(
        GPT, one({"type": "array", "items": {}}, strict=True), "schema must have a 'type' key."
    ),
    "strict and a format on gpt": Row(GPT, one({**TEXT, "format": "uri"}, strict=True), "'uri' is not a valid format"),
    # -- Google: docs/wire.md, 6.4, row Google's schemas
    "oneOf on gemini": Row(
        GEMINI,
        one({"oneOf": [TEXT]}),
        f"Unknown name \\\\\\\"oneOf\\\\\\\" at '{PLACE}.properties[1].value': {NO_FIELD}",
    ),
    **{
        f"{name} on gemini": Row(GEMINI, one({**TEXT, name: value}), NO_FIELD)
        for name, value in {
            "const": "a",
            "prefixItems": [TEXT],
            "not": TEXT,
            "examples": ["a"],
            "multipleOf": 2,
            "uniqueItems": True,
            "patternProperties": {},
            "additionalProperties": False,
            "allOf": [TEXT],
            "x-mine": 1,
            "$defs": {},
            "if": TEXT,
        }.items()
    },
    "an unknown name in items on gemini": Row(
        GEMINI, one({"type": "array", "items": {"const": "a"}}), f"{PLACE}.properties[1].value.items': {NO_FIELD}"
    ),
    "an unknown name in anyOf on gemini": Row(GEMINI, one({"anyOf": [TEXT, {"const": "a"}]}), "value.any_of[1]': "),
    "an unknown name in an answer on gemini": Row(
        GEMINI, answer({"type": "object", "properties": {"a": {"const": "a"}}}), NO_FIELD
    ),
    "an array on gemini": Row(GEMINI, tools({"type": "array", "items": TEXT}), "should be of type OBJECT"),
    "two types on gemini": Row(
        GEMINI, one({"type": ["string", "null"]}), "Proto field is not repeating, cannot start list."
    ),
    "numbers in an enum on gemini": Row(
        GEMINI,
        one({"type": "integer", "enum": [1, 2]}),
        f"Invalid value at '{PLACE}.properties[1].value.enum[0]' (TYPE_STRING), 1",
    ),
    "true in an enum on gemini": Row(GEMINI, one({"enum": ["a", True]}), "enum[1]' (TYPE_STRING), true"),
    "a format of texts on gemini": Row(
        GEMINI, one({**TEXT, "format": "uri"}), ".format: only 'enum' and 'date-time' are supported for STRING type"
    ),
    "an empty text in an enum on gemini": Row(GEMINI, one({**TEXT, "enum": [""]}), "enum[0]: cannot be empty"),
    "an enum of no type on gemini": Row(GEMINI, one({"enum": ["a"]}), "only allowed for STRING type"),
    "no items on gemini": Row(
        GEMINI, one({"type": "array"}), f"* GenerateContentRequest.{PLACE}.properties[1].value.items: missing field."
    ),
    "required of what is not there on gemini": Row(
        GEMINI, one({"type": "object", "required": ["a"]}), "required[0]: property is not defined"
    ),
    "all that google documents": Row(
        GEMINI,
        one(
            {
                "type": "object",
                "title": "T",
                "description": "D",
                "nullable": True,
                "minProperties": 1,
                "maxProperties": 2,
                "propertyOrdering": ["a"],
                "required": ["a"],
                "default": {},
                "example": {},
                "properties": {
                    "a": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 2},
                    "b": {**TEXT, "enum": ["a"], "format": "enum"},
                    "c": {**TEXT, "pattern": "^a", "minLength": 1, "maxLength": 2},
                    "d": {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]},
                },
            }
        ),
    ),
    # -- everywhere
    "a name of an answer on llama": Row(LLAMA, answer(CLOSED, "Box[int]"), "should match pattern"),
    "a long name of an answer on gpt": Row(GPT, answer(CLOSED, "x" * 65), "^[a-zA-Z0-9_-]{1,64}$"),
    "a name of an answer on gemini": Row(GEMINI, answer({"type": "object"}, "a.b"), "should match pattern"),
    "anything on llama": Row(
        LLAMA, tools({"type": "object", "anyOf": [CLOSED], "properties": {"$filter": {"const": 1}}})
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(ask: Callable[..., httpx.Response], name: str) -> None:
    check(ask, TABLE[name])
