"""JSON schemas, fitted to what a family's server understands."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, Field

from kit.encoding import encode_request, fit_schema
from kit.targets import target
from langchain_dbchat.models.families import FAMILIES

GEMINI = FAMILIES["gemini-3"]


class Wheel(BaseModel):
    size: int = Field(gt=0, lt=100, description="Inches.")


class Car(BaseModel):
    """A car."""

    front: Wheel
    back: Wheel | None = None


def refs(node: Any) -> bool:
    if isinstance(node, dict):
        return "$ref" in node or any(map(refs, node.values()))
    return isinstance(node, list) and any(map(refs, node))


def test_a_family_that_takes_all_gets_the_schema_as_it_is() -> None:
    schema = Car.model_json_schema()
    for name in ("generic", "claude", "gpt-5"):
        assert fit_schema(schema, FAMILIES[name]) == schema


def test_references_are_inlined_where_they_are_not_known() -> None:
    schema = Car.model_json_schema()
    before = copy.deepcopy(schema)
    fitted = fit_schema(schema, GEMINI)
    assert refs(schema)
    assert not refs(fitted)
    assert "$defs" not in fitted
    assert fitted["properties"]["front"]["properties"]["size"]["type"] == "integer"
    assert schema == before


def test_refused_keywords_move_into_the_description() -> None:
    fitted = fit_schema(Wheel.model_json_schema(), GEMINI)["properties"]["size"]
    assert "exclusiveMinimum" not in fitted
    assert fitted["description"].startswith("Inches. (")
    assert "exclusiveMinimum: 0" in fitted["description"]
    assert "exclusiveMaximum: 100" in fitted["description"]


def test_const_becomes_an_enum_of_one() -> None:
    assert fit_schema({"properties": {"kind": {"const": "car"}}}, GEMINI)["properties"]["kind"] == {
        "type": "string",
        "enum": ["car"],
    }


def test_keywords_that_say_nothing_are_left_out_without_a_word() -> None:
    fitted = fit_schema({"$schema": "x", "type": "object", "additionalProperties": False, "properties": {}}, GEMINI)
    assert fitted == {"type": "object", "properties": {}}


def test_names_and_values_of_the_users_are_no_keywords() -> None:
    schema = {
        "type": "object",
        "properties": {
            "const": {"type": "string", "const": "x"},
            "properties": {"type": "object", "properties": {"exclusiveMinimum": {"type": "integer"}}},
        },
        "required": ["const"],
        "default": {"const": 1},
        "examples": [{"exclusiveMinimum": 2}],
    }
    before = copy.deepcopy(schema)
    fitted = fit_schema(schema, GEMINI)
    assert fitted["properties"].keys() == {"const", "properties"}
    assert fitted["properties"]["const"] == {"type": "string", "enum": ["x"]}
    assert fitted["properties"]["properties"]["properties"] == {"exclusiveMinimum": {"type": "integer"}}
    assert fitted["default"] == {"const": 1}
    assert fitted["description"] == '(examples: [{"exclusiveMinimum": 2}])'
    assert schema == before


def test_lists_of_schemas_are_fitted_too() -> None:
    family = GEMINI._replace(schema_keywords=(GEMINI.schema_keywords or frozenset()) - {"pattern"})
    fitted = fit_schema({"anyOf": [{"type": "string", "pattern": "^a$"}, {"type": "null"}]}, family)
    assert fitted == {"anyOf": [{"type": "string", "description": '(pattern: "^a$")'}, {"type": "null"}]}


@pytest.mark.parametrize("where", ["tools", "response_format"])
def test_both_tools_and_formats_are_fitted(where: str) -> None:
    named = {"name": "Car", "schema": Car.model_json_schema()}
    function = {"name": "Car", "parameters": Car.model_json_schema()}
    given: Any = {
        "tools": [{"type": "function", "function": function}],
        "response_format": {"type": "json_schema", "json_schema": named},
    }[where]
    before = copy.deepcopy(given)
    body = encode_request([HumanMessage("hi")], {where: given}, target("gemini-3"), stream=False).body
    assert refs(given)
    assert given == before
    assert not refs(body)
    schema = (
        body["tools"][0]["function"]["parameters"]
        if where == "tools"
        else body["response_format"]["json_schema"]["schema"]
    )
    assert schema["properties"]["front"]["properties"].keys() == {"size"}
