"""Gemini's fixed list of keywords: what is not on it is translated, or told in the description."""

from __future__ import annotations

import copy
from enum import Enum, IntEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from kit.encoding import fit_schema
from langchain_dbchat.models.families import FAMILIES

GEMINI = FAMILIES["gemini-3"]
TEXT = {"type": "string"}
WHOLE = {"type": "integer"}


def fitted(prop: Any, **root: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"it": prop}, **root}
    before = copy.deepcopy(schema)
    whole = fit_schema(schema, GEMINI)
    assert schema == before
    assert fit_schema(whole, GEMINI) == whole
    assert fit_schema(schema, FAMILIES["gemini-2-5-flash"]) == whole
    one: dict[str, Any] = whole["properties"]["it"]
    return one


@pytest.mark.parametrize(
    ("prop", "sent"),
    [
        ({"const": "a"}, {**TEXT, "enum": ["a"]}),
        ({"const": 3}, {**WHOLE, "description": "(one of: 3)"}),
        ({"const": True}, {"type": "boolean", "description": "(one of: true)"}),
        ({"const": None}, {"type": "null"}),
        ({"enum": ["a", "b"]}, {**TEXT, "enum": ["a", "b"]}),
        ({**WHOLE, "enum": [1, 2, 3]}, {**WHOLE, "description": "(one of: 1, 2, 3)"}),
        ({"enum": [1.5, 2]}, {"type": "number", "description": "(one of: 1.5, 2)"}),
        ({"enum": ["a", None]}, {**TEXT, "enum": ["a"], "nullable": True}),
        ({**TEXT, "enum": ["", "a"]}, {**TEXT, "description": '(one of: "", "a")'}),
        ({"enum": ["a", 1]}, {"anyOf": [TEXT, WHOLE], "description": '(one of: "a", 1)'}),
        ({"enum": [{"a": 1}]}, {"type": "object", "description": '(one of: {"a": 1})'}),
        ({"enum": [[1], [2]]}, {"type": "array", "items": TEXT, "description": "(one of: [1], [2])"}),
        ({"type": ["string", "null"]}, {**TEXT, "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [TEXT, WHOLE]}),
        ({"type": ["string", "integer", "null"]}, {"anyOf": [TEXT, WHOLE, {"type": "null"}]}),
        (
            {"type": ["string", "integer"], "minLength": 2, "minimum": 1, "description": "x"},
            {"anyOf": [{**TEXT, "minLength": 2}, {**WHOLE, "minimum": 1}], "description": "x"},
        ),
        ({"type": ["string"]}, TEXT),
        ({**TEXT, "nullable": True}, {**TEXT, "nullable": True}),
        ({"type": "array"}, {"type": "array", "items": TEXT}),
        (
            {"type": "array", "prefixItems": [WHOLE, WHOLE], "minItems": 2, "maxItems": 2},
            {
                "type": "array",
                "items": WHOLE,
                "minItems": 2,
                "maxItems": 2,
                "description": "(in this order: integer, integer)",
            },
        ),
        (
            {"type": "array", "prefixItems": [{**TEXT, "title": "Name"}, WHOLE], "description": "A pair."},
            {
                "type": "array",
                "items": {"anyOf": [TEXT, WHOLE]},
                "minItems": 2,
                "maxItems": 2,
                "description": "A pair. (in this order: Name (string), integer)",
            },
        ),
        (
            {"type": "array", "prefixItems": [TEXT], "items": WHOLE},
            {"type": "array", "items": {"anyOf": [TEXT, WHOLE]}, "description": "(in this order: string)"},
        ),
        ({"oneOf": [TEXT, WHOLE]}, {"anyOf": [TEXT, WHOLE]}),
        ({"anyOf": [TEXT, {"type": "null"}], "default": None}, {"anyOf": [TEXT, {"type": "null"}], "default": None}),
        ({"allOf": [TEXT, {"minLength": 2}], "description": "x"}, {**TEXT, "minLength": 2, "description": "x"}),
        (
            {**TEXT, "anyOf": [{"minLength": 3}, {"enum": ["a"]}]},
            {"anyOf": [{**TEXT, "minLength": 3}, {**TEXT, "enum": ["a"]}]},
        ),
        ({"type": "object", "additionalProperties": False}, {"type": "object"}),
        (
            {"type": "object", "additionalProperties": WHOLE},
            {"type": "object", "description": '(further properties: {"type": "integer"})'},
        ),
        (
            {"type": "object", "patternProperties": {"^a": WHOLE}},
            {"type": "object", "description": '(properties by pattern: {"^a": {"type": "integer"}})'},
        ),
        ({**TEXT, "format": "uri"}, {**TEXT, "description": '(format: "uri")'}),
        ({"format": "email"}, {**TEXT, "description": '(format: "email")'}),
        ({**WHOLE, "format": "int64"}, {**WHOLE, "format": "int64"}),
        ({**TEXT, "not": {"enum": ["x"]}}, {**TEXT, "description": '(not: {"enum": ["x"]})'}),
        (
            {**WHOLE, "multipleOf": 5, "exclusiveMinimum": 0},
            {**WHOLE, "description": "(multipleOf: 5, exclusiveMinimum: 0)"},
        ),
        (
            {"type": "array", "items": TEXT, "uniqueItems": True},
            {"type": "array", "items": TEXT, "description": "(uniqueItems: true)"},
        ),
        ({**TEXT, "examples": ["a"], "$comment": "x", "readOnly": True}, {**TEXT, "description": '(examples: ["a"])'}),
        (
            {**TEXT, "example": "a", "title": "T", "format": "date-time"},
            {**TEXT, "example": "a", "title": "T", "format": "date-time"},
        ),
        (
            {**TEXT, "x-order": 3, "contentEncoding": "base64"},
            {**TEXT, "description": '(x-order: 3, contentEncoding: "base64")'},
        ),
        ({"properties": {"a": TEXT}}, {"type": "object", "properties": {"a": TEXT}}),
        ({"minimum": 3}, {"type": "number", "minimum": 3}),
        (
            {"type": "object", "properties": {"a": TEXT}, "required": ["a", "b"]},
            {"type": "object", "properties": {"a": TEXT}, "required": ["a"], "description": "(required: b)"},
        ),
        (
            {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "type": "object", "properties": {"a": TEXT}},
            {
                "type": "object",
                "properties": {"a": TEXT},
                "description": '(if: {"required": ["a"]}, then: {"required": ["b"]})',
            },
        ),
    ],
)
def test_translations(prop: dict[str, Any], sent: dict[str, Any]) -> None:
    assert fitted(prop) == sent


@pytest.mark.parametrize("prop", [{}, True, {"description": "Anything."}])
def test_what_allows_any_value_gets_types(prop: Any) -> None:
    sent = fitted(prop)
    assert [one["type"] for one in sent["anyOf"]] == ["string", "number", "boolean", "object"]


def test_an_object_with_branches_is_merged() -> None:
    sent = fitted(
        {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    )
    assert sent.keys() == {"type", "properties", "description"}
    assert "required: a" in sent["description"]
    assert "required: b" in sent["description"]


def test_names_of_the_users_are_not_keywords() -> None:
    names = {"const": TEXT, "$ref": TEXT, "oneOf": TEXT, "additionalProperties": WHOLE, "properties": TEXT}
    assert fitted({"type": "object", "properties": names, "required": ["$ref"]}) == {
        "type": "object",
        "properties": names,
        "required": ["$ref"],
    }


def test_references_keep_the_words_beside_them() -> None:
    sent = fitted({"$ref": "#/$defs/A", "description": "Mine."}, **{"$defs": {"A": {**TEXT, "description": "Its."}}})
    assert sent == {**TEXT, "description": "Mine."}
    both = fitted({"$ref": "#/$defs/A", "minLength": 2}, **{"$defs": {"A": {**TEXT, "minLength": 1}}})
    assert both == {**TEXT, "minLength": 2}
    assert fitted({"$ref": "#a"}, **{"$defs": {"A": {**TEXT, "$anchor": "a"}}}) == TEXT
    assert fitted({"$ref": "urn:a"}, **{"$defs": {"A": {**TEXT, "$id": "urn:a"}}}) == TEXT
    assert fitted({"$ref": "#/$defs/A~1B%20c"}, **{"$defs": {"A/B c": TEXT}}) == TEXT


class Kind(str, Enum):
    CAT = "cat"
    DOG = "dog"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Odd(BaseModel):
    """What Pydantic makes of Python's types."""

    box: tuple[int, int]
    stars: Literal[1, 2, 3]
    mixed: Literal["a", 1]
    kind: Kind
    level: Level = Level.LOW
    several: list[Any]
    anything: Any
    word: str | int = Field(default="x", description="A word.")
    counts: dict[str, int] = {}
    maybe: list[str] | None = None
    unique: set[int] = set()
    bounded: float = Field(gt=0, le=1, multiple_of=0.1)


def test_a_pydantic_class_of_odd_types() -> None:
    sent = fit_schema(Odd.model_json_schema(), GEMINI)
    allowed = GEMINI.schema_keywords or frozenset()

    def walk(node: dict[str, Any]) -> None:
        assert node.keys() <= allowed
        assert isinstance(node.get("type", ""), str)
        assert all(isinstance(value, str) for value in node.get("enum", ()))
        assert node.get("type") != "array" or "items" in node
        for inner in [
            *node.get("properties", {}).values(),
            *node.get("anyOf", ()),
            *([node["items"]] if "items" in node else []),
        ]:
            walk(inner)

    walk(sent)
    assert sent["properties"]["kind"]["enum"] == ["cat", "dog"]
    assert "1, 2, 3" in sent["properties"]["stars"]["description"]
    assert "integer, integer" in sent["properties"]["box"]["description"]
    assert sent["properties"]["level"]["type"] == "integer"


def _bomb(depth: int) -> dict[str, Any]:
    return {
        f"d{place}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/d{place + 1}"} for name in "xy"}}
        for place in range(depth)
    } | {f"d{depth}": TEXT}


def test_references_that_double_at_each_step_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="its references grow to more than 20000 parts when they are followed"):
        fitted({"$ref": "#/$defs/d0"}, **{"$defs": _bomb(60)})
    branches = {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)} | {"d60": TEXT}}
    with pytest.raises(ValueError, match="its references grow"):
        fitted({"$ref": "#/$defs/d0"}, **branches)


def test_a_schema_that_holds_itself_is_followed_and_described_where_it_recurs() -> None:
    node = {
        "type": "object",
        "properties": {"name": TEXT, "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
        "required": ["name"],
    }
    sent = fitted({"$ref": "#/$defs/Node"}, **{"$defs": {"Node": node}})
    for _ in range(2):
        assert sent["properties"]["name"] == TEXT
        sent = sent["properties"]["children"]["items"]
    while "properties" in sent:
        sent = sent["properties"]["children"]["items"]
    assert sent == {"type": "object", "description": "(again a Node, with the properties name, children)"}


def test_a_schema_that_holds_itself_in_many_places_is_followed_less() -> None:
    parts = {name: {"$ref": "#"} for name in "abcdefgh"}
    sent = fit_schema({"type": "object", "properties": {"name": TEXT, **parts}}, GEMINI)

    def count(node: dict[str, Any]) -> int:
        return sum(1 + count(inner) for inner in node.get("properties", {}).values())

    assert 8 < count(sent) <= 81
    assert sent["properties"]["a"]["properties"]["name"] == TEXT
