"""Older drafts and OpenAPI's spellings, written as draft 2020-12; what is not a schema names tool and property."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kit.encoding import fit_schema
from langchain_dbchat.dialects.shared.request.fitted_tools import encode_tools
from langchain_dbchat.models.families import FAMILIES

NUMBER = {"type": "number"}
TEXT = {"type": "string"}


def fitted(prop: Any, family: str = "claude") -> Any:
    schema = {"type": "object", "properties": {"it": prop}}
    before = copy.deepcopy(schema)
    whole = fit_schema(schema, FAMILIES[family])
    assert schema == before
    assert fit_schema(whole, FAMILIES[family]) == whole
    return whole["properties"]["it"]


@pytest.mark.parametrize("family", ["claude", "gpt-5", "open-weights", "generic", "openai-compatible"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({**NUMBER, "minimum": 0, "exclusiveMinimum": True}, {**NUMBER, "exclusiveMinimum": 0}),
        ({**NUMBER, "maximum": 9, "exclusiveMaximum": True}, {**NUMBER, "exclusiveMaximum": 9}),
        ({**NUMBER, "minimum": 0, "exclusiveMinimum": False}, {**NUMBER, "minimum": 0}),
        ({**NUMBER, "exclusiveMaximum": True}, NUMBER),
        (
            {"type": "array", "items": [TEXT, NUMBER], "additionalItems": False},
            {"type": "array", "prefixItems": [TEXT, NUMBER], "items": False},
        ),
        (
            {"type": "array", "items": [TEXT], "additionalItems": NUMBER},
            {"type": "array", "prefixItems": [TEXT], "items": NUMBER},
        ),
        ({"type": "array", "items": TEXT, "additionalItems": False}, {"type": "array", "items": TEXT}),
        ({**TEXT, "nullable": True}, {"type": ["string", "null"]}),
        ({**TEXT, "nullable": False}, TEXT),
        ({**TEXT, "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"anyOf": [TEXT, NUMBER], "nullable": True}, {"anyOf": [TEXT, NUMBER, {"type": "null"}]}),
        ({**TEXT, "id": "http://x/y"}, {**TEXT, "$id": "http://x/y"}),
        ({**NUMBER, "divisibleBy": 2}, {**NUMBER, "multipleOf": 2}),
        ({"disallow": "string"}, {"not": TEXT}),
        ({"extends": TEXT}, {"allOf": [TEXT]}),
        ({"type": "any", "description": "x"}, {"description": "x"}),
        ({"type": ["string", "any"]}, {}),
        ({"type": ["string", "string"]}, {"type": ["string"]}),
        ({"type": [{"type": "string"}, "number"]}, {"anyOf": [TEXT, NUMBER]}),
        ({"type": "file"}, {"type": "string", "format": "binary"}),
        ({"type": "STRING", "format": None, "enum": None}, TEXT),
        (
            {"type": "object", "properties": {"a": {**TEXT, "required": True}, "b": {**TEXT, "required": False}}},
            {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a"]},
        ),
        (
            {"type": "object", "properties": {"a": TEXT}, "dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
            {
                "type": "object",
                "properties": {"a": TEXT},
                "dependentRequired": {"a": ["b"]},
                "dependentSchemas": {"c": {"required": ["d"]}},
            },
        ),
        ({**TEXT, "$schema": "http://json-schema.org/draft-07/schema#"}, TEXT),
        (
            {"type": "object", "properties": {}, "required": ["a", "a"]},
            {"type": "object", "properties": {}, "required": ["a"]},
        ),
    ],
)
def test_old_spellings(old: dict[str, Any], new: dict[str, Any], family: str) -> None:
    expected = (
        new if not (family == "gpt-5" and new.get("type") == "array" and "items" not in new) else {**new, "items": {}}
    )
    assert fitted(old, family) == expected


def test_definitions_are_fitted_where_they_stand() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/definitions/A"}},
        "definitions": {"A": {**NUMBER, "minimum": 1, "exclusiveMinimum": True}},
    }
    assert fit_schema(schema, FAMILIES["claude"])["definitions"] == {"A": {**NUMBER, "exclusiveMinimum": 1}}
    assert "exclusiveMinimum: 1" in fit_schema(schema, FAMILIES["gemini-3"])["properties"]["a"]["description"]


def test_recursive_references_of_2019() -> None:
    schema = {"type": "object", "properties": {"child": {"$recursiveRef": "#"}}}
    assert fit_schema(schema, FAMILIES["claude"])["properties"]["child"] == {"$ref": "#"}


def test_todays_schema_is_shared_and_not_copied() -> None:
    prop = {"type": "array", "items": {"type": "string", "minLength": 1}}
    assert fitted(prop) is prop


@pytest.mark.parametrize(
    ("prop", "place", "why"),
    [
        ({"type": "datetime"}, "it", "'datetime' is not a type of JSON schema"),
        ({"type": "array", "items": {"type": "str"}}, r"it\[\]", "'str' is not a type"),
        ({"type": "object", "properties": {"in": {"type": ["int", "null"]}}}, r"it\.in", "'int' is not a type"),
        ({"anyOf": [{"type": "string"}, {"type": 3}]}, "it", "3 is not a type"),
        ({"type": "object", "properties": ["a"]}, "it", "'properties' has to be an object of schemas"),
        ({"type": "object", "required": "a"}, "it", "'required' has to be a list of names"),
        ({"enum": "a"}, "it", "'enum' has to be a list of values"),
        ({"anyOf": []}, "it", "'anyOf' has to name at least one schema"),
        ({"$ref": "#/$defs/Nowhere"}, "", "'#/\\$defs/Nowhere', which it does not contain"),
        ({"$ref": "https://example.com/a.json"}, "", "outside of itself"),
    ],
)
@pytest.mark.parametrize("family", ["claude", "gpt-5", "gemini-3", "open-weights"])
def test_what_is_not_a_schema_names_tool_and_property(prop: Any, place: str, why: str, family: str) -> None:
    parameters = {"type": "object", "properties": {"it": prop}}
    with pytest.raises(ValueError, match=rf"The tool 'see' cannot be sent: at .*{place}.*{why}"):
        encode_tools([{"type": "function", "function": {"name": "see", "parameters": parameters}}], FAMILIES[family])


def test_an_unknown_server_gets_what_is_not_a_schema_as_it_is() -> None:
    assert fitted({"type": "datetime"}, "generic") == {"type": "datetime"}


@pytest.mark.parametrize("name", ["$filter", "a b", "x" * 65, "filter[id]", "größe", "", "a\n"])
def test_names_of_properties_that_claude_refuses(name: str) -> None:
    parameters = {"type": "object", "properties": {"ok": TEXT, name: TEXT}}
    tools = [{"type": "function", "function": {"name": "list_items", "parameters": parameters}}]
    with pytest.raises(ValueError, match="The tool 'list_items' cannot be sent: .*names match") as caught:
        encode_tools(tools, FAMILIES["claude-opus-5"])
    assert repr(name) in str(caught.value)
    for family in ("gpt-5", "gemini-3", "open-weights", "generic"):
        assert name in encode_tools(tools, FAMILIES[family])[0]["function"]["parameters"]["properties"]


def test_names_further_inside_are_not_checked_by_claude() -> None:
    inner = {"type": "object", "properties": {"$filter": TEXT}}
    assert fitted(inner) == inner


def test_a_schema_that_is_too_deep_is_refused_in_words() -> None:
    deep: dict[str, Any] = TEXT
    for _ in range(5_000):
        deep = {"type": "array", "items": deep}
    with pytest.raises(ValueError, match="nested too deeply"):
        fit_schema({"type": "object", "properties": {"it": deep}}, FAMILIES["claude"])
