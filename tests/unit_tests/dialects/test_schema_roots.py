"""The root of a tool's parameters is one plain object, on every family; what is not an object names the tool."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool, tool

from kit.encoding import fit_schema
from langchain_dbchat.dialects.shared.request.fitted_tools import encode_tools
from langchain_dbchat.dialects.shared.request.formats import encode_format
from langchain_dbchat.dialects.shared.request.tools import convert_tool
from langchain_dbchat.models.families import FAMILIES

EVERY = ["claude", "gpt-5", "gemini-2-5-flash", "gemini-3", "gpt-oss", "open-weights", "generic", "openai-compatible"]
A = {"type": "object", "properties": {"path": {"type": "string"}, "n": {"type": "integer"}}, "required": ["path"]}
B = {"type": "object", "properties": {"url": {"type": "string"}, "n": {"type": "string"}}, "required": ["url", "n"]}
COMBINING = {"$ref", "allOf", "anyOf", "oneOf", "enum", "const", "not"}


def sent(parameters: Any, family: str, **function: Any) -> dict[str, Any]:
    given = {"type": "function", "function": {"name": "read", "parameters": parameters, **function}}
    before = copy.deepcopy(given)
    (wire,) = encode_tools([given], FAMILIES[family])
    assert given == before
    fitted: dict[str, Any] = wire["function"]["parameters"]
    return fitted


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("combination", ["anyOf", "oneOf"])
def test_branches_are_merged_and_told(family: str, combination: str) -> None:
    fitted = sent({combination: [A, B]}, family)
    assert fitted["type"] == "object"
    assert not COMBINING & fitted.keys()
    assert fitted["properties"].keys() == {"path", "url", "n"}
    assert fitted["properties"]["n"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert "required" not in fitted
    assert "required: path" in fitted["description"]
    assert "required: url, n" in fitted["description"]
    assert ("exactly one" if combination == "oneOf" else "at least one") in fitted["description"]


@pytest.mark.parametrize("family", EVERY)
def test_what_every_branch_requires_is_required(family: str) -> None:
    root = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"], "description": "Base."}
    branches = [{**A, "required": ["path", "n"]}, {**B, "required": ["n"]}, {"required": ["n", "id"]}]
    fitted = sent({**root, "anyOf": branches}, family)
    assert fitted["required"] == ["id", "n"]
    assert fitted["description"].startswith("Base. (")


@pytest.mark.parametrize("family", EVERY)
def test_all_of_requires_all(family: str) -> None:
    fitted = sent({"allOf": [A, {"properties": {"url": {"type": "string"}}, "required": ["url"]}]}, family)
    assert fitted["properties"].keys() == {"path", "n", "url"}
    assert fitted["required"] == ["path", "url"]
    assert not COMBINING & fitted.keys()


@pytest.mark.parametrize("family", EVERY)
def test_a_reference_at_the_root_is_followed(family: str) -> None:
    fitted = sent({"$ref": "#/$defs/A", "$defs": {"A": A}}, family)
    assert (fitted["type"], fitted["properties"], fitted["required"]) == ("object", A["properties"], ["path"])


@pytest.mark.parametrize("family", EVERY)
def test_references_into_what_was_moved_still_name_it(family: str) -> None:
    root = {
        "anyOf": [
            {"properties": {"a": {"type": "object", "properties": {"deep": {"type": "integer"}}}}},
            {"properties": {"b": {"$ref": "#/anyOf/0/properties/a"}}},
        ]
    }
    fitted = sent(root, family)
    other = fitted["properties"]["b"]
    if "$ref" in other:
        other = fitted["$defs"][other["$ref"].rpartition("/")[2]]
    assert other["properties"] == {"deep": {"type": "integer"}}


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize(
    "root",
    [
        {"type": ["object", "null"], "properties": A["properties"], "required": ["path"]},
        {"properties": A["properties"], "required": ["path"]},
        {**A, "not": {"required": ["n"]}},
        {"anyOf": [A, {"type": "null"}]},
        {"anyOf": [A, {"type": "string"}]},
        {"type": "object", "nullable": True, "properties": A["properties"], "required": ["path"]},
        {"allOf": [{"$ref": "#/definitions/A"}], "definitions": {"A": A}},
    ],
)
def test_other_roots_that_are_objects(family: str, root: dict[str, Any]) -> None:
    fitted = sent(root, family)
    assert fitted["type"] == "object"
    assert fitted["properties"] == A["properties"]
    assert fitted["required"] == ["path"]
    assert not COMBINING & fitted.keys()
    if "not" in root:
        assert 'not: {"required": ["n"]}' in fitted["description"]


@pytest.mark.parametrize("family", EVERY)
def test_an_enum_of_objects(family: str) -> None:
    fitted = sent({"enum": [{"unit": "C", "n": 1}, {"unit": "F"}]}, family)
    assert fitted["properties"].keys() == {"unit", "n"}
    assert fitted["required"] == ["unit"]
    assert 'unit = "C"' in fitted["description"]


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize(
    ("root", "why"),
    [
        ({"type": "array", "items": {"type": "string"}}, "array"),
        ({"items": {"type": "string"}}, "array"),
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"enum": ["a", "b"]}, "none of its values is an object"),
        ({"const": 3}, "none of its values is an object"),
        ({"not": {"type": "string"}}, "only says what is not allowed"),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, "string"),
        ({"$ref": "#"}, "itself"),
        ({"$ref": "#/$defs/B", "$defs": {"A": A}}, "'#/\\$defs/B', which it does not contain"),
    ],
)
def test_what_is_not_an_object_is_an_error_that_names_the_tool(family: str, root: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=rf"The tool 'read' cannot be sent: at the root, .*{why}"):
        sent(root, family)


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize(
    "parameters", [{"type": "object"}, {}, None, {"type": "object", "properties": None}, {"$schema": "x"}]
)
def test_parameters_are_always_explicit(family: str, parameters: Any) -> None:
    assert sent(parameters, family) == {"type": "object", "properties": {}}
    given = {"type": "function", "function": {"name": "read"}}
    assert encode_tools([given], FAMILIES[family])[0]["function"]["parameters"] == {"type": "object", "properties": {}}
    strict = sent(parameters, family, strict=True)
    closed = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    assert strict == (closed if FAMILIES[family].strict_tools else {"type": "object", "properties": {}})


def of_schema(schema: dict[str, Any]) -> BaseTool:
    return StructuredTool.from_function(
        lambda **given: str(given), name="read", description="Reads.", args_schema=schema
    )


@tool
def clock() -> str:
    """Tell the time."""
    return "now"


@pytest.mark.parametrize("strict", [None, False, True])
@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize(
    "given",
    [
        of_schema({"type": "object"}),
        of_schema({"type": "object", "properties": {}}),
        {"name": "read", "description": "Reads.", "input_schema": {"type": "object"}},
        {"name": "read", "description": "Reads.", "input_schema": {}},
        {"name": "read", "description": "Reads."},
        {"name": "read", "description": "Reads.", "parameters": None},
        {"type": "function", "function": {"name": "read", "description": "Reads."}},
        {"title": "read", "description": "Reads.", "type": "object"},
        {"title": "read", "description": "Reads."},
        clock,
    ],
    ids=lambda given: given.name if isinstance(given, BaseTool) else str(given),
)
def test_every_spelling_of_a_tool_without_arguments(given: Any, family: str, strict: bool | None) -> None:
    (wire,) = encode_tools([convert_tool(given, strict)], FAMILIES[family])
    parameters = wire["function"]["parameters"]
    closed = strict is True and FAMILIES[family].strict_tools
    assert parameters["type"] == "object"
    assert parameters["properties"] == {}
    assert parameters.get("additionalProperties") is (False if closed else None)
    assert parameters.get("required") == ([] if closed else None)
    assert wire["function"].get("strict") is (strict if FAMILIES[family].strict_tools else None)


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize(
    "given",
    [
        {"title": "read", "description": "Reads.", "anyOf": [A, B]},
        {"name": "read", "description": "Reads.", "input_schema": {"type": "object", "anyOf": [A, B]}},
        {"name": "read", "description": "Reads.", "parameters": {"oneOf": [A, B]}},
        of_schema({"type": "object", "anyOf": [A, B]}),
        of_schema({"oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}], "$defs": {"A": A, "B": B}}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_every_spelling_of_a_tool_with_branches(given: Any, family: str) -> None:
    (wire,) = encode_tools([convert_tool(given, None)], FAMILIES[family])
    assert wire["function"]["name"] == "read"
    assert wire["function"]["parameters"]["properties"].keys() == {"path", "url", "n"}


def test_a_schema_asked_for_as_an_answer_keeps_its_branches() -> None:
    held = encode_format({"title": "Read", "anyOf": [A, B]})["json_schema"]["schema"]
    assert held["anyOf"] == [A, B]
    for family in EVERY:
        fitted = fit_schema(held, FAMILIES[family])
        if FAMILIES[family].plain_format_root:
            assert (fitted["type"], "anyOf" in fitted) == ("object", False)
        else:
            assert len(fitted["anyOf"]) == 2


def test_an_answer_whose_root_refers_to_an_object_becomes_one() -> None:
    for family in EVERY:
        fitted = fit_schema({"$ref": "#/$defs/A", "$defs": {"A": A}}, FAMILIES[family])
        assert (fitted["type"], fitted["properties"]) == ("object", A["properties"])
