"""``strict: true`` stands beside a closed schema; nulls that only the closing allowed do not come back."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from kit.targets import target
from langchain_dbchat.dialects.chat_completions.encode import fit_format
from langchain_dbchat.dialects.shared.request.fitted_tools import encode_tools
from langchain_dbchat.dialects.shared.request.tools import convert_tool
from langchain_dbchat.dialects.shared.schemas import drop_nulls
from langchain_dbchat.models.families import FAMILIES

GPT = FAMILIES["gpt-5"]
TEXT = {"type": "string"}


def tool(parameters: dict[str, Any], family: str = "gpt-5", strict: bool | None = True) -> dict[str, Any]:
    before = copy.deepcopy(parameters)
    given = {"name": "f", "parameters": parameters, **({} if strict is None else {"strict": strict})}
    (wire,) = encode_tools([{"type": "function", "function": given}], FAMILIES[family])
    assert parameters == before
    function: dict[str, Any] = wire["function"]
    return function


def answer(schema: dict[str, Any], strict: bool | None, family: str = "gpt-5") -> dict[str, Any]:
    held = {"name": "A", "schema": schema, **({} if strict is None else {"strict": strict})}
    before = copy.deepcopy(held)
    asked = {"type": "json_schema", "json_schema": held}
    fitted = fit_format(asked, target(family), drops_nulls=True)["json_schema"]
    assert held == before
    assert isinstance(fitted, dict)
    return fitted


def closed(prop: Any, *, required: bool = True, **root: Any) -> Any:
    schema = {"type": "object", "properties": {"it": prop}, "required": ["it"] if required else [], **root}
    parameters = tool(schema)["parameters"]
    assert parameters == answer(schema, True)["schema"]
    assert parameters["additionalProperties"] is False
    assert parameters["required"] == ["it"]
    return parameters["properties"]["it"]


@pytest.mark.parametrize(
    ("prop", "sent"),
    [
        (TEXT, TEXT),
        (
            {"type": "object", "properties": {"a": TEXT}},
            {
                "type": "object",
                "properties": {"a": {"type": ["string", "null"]}},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        (
            {"type": "array", "items": {"type": "object", "properties": {}}},
            {
                "type": "array",
                "items": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
            },
        ),
        ({"oneOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT, {"type": "null"}]}),
        ({"allOf": [TEXT, {"pattern": "^a"}]}, {**TEXT, "pattern": "^a"}),
        ({"enum": ["a", "b"]}, {**TEXT, "enum": ["a", "b"]}),
        ({"const": 3}, {"type": "integer", "const": 3}),
        ({"const": "a", "type": "string"}, {"type": "string", "const": "a"}),
        (
            {"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "minItems": 2, "maxItems": 2},
            {
                "type": "array",
                "items": {"anyOf": [TEXT, {"type": "integer"}]},
                "minItems": 2,
                "maxItems": 2,
                "description": "(in this order: string, integer)",
            },
        ),
        ({**TEXT, "default": "x", "description": "D."}, {**TEXT, "description": 'D. (default: "x")'}),
        ({**TEXT, "minLength": 1, "format": "uri"}, {**TEXT, "description": '(minLength: 1, format: "uri")'}),
        (
            {**TEXT, "format": "date", "pattern": "(?!a)b"},
            {**TEXT, "format": "date", "description": '(pattern: "(?!a)b")'},
        ),
        (
            {"type": "array", "items": TEXT, "uniqueItems": True},
            {"type": "array", "items": TEXT, "description": "(uniqueItems: true)"},
        ),
        ({**TEXT, "not": {"const": "x"}}, {**TEXT, "description": '(not: {"const": "x"})'}),
    ],
)
def test_closing(prop: dict[str, Any], sent: dict[str, Any]) -> None:
    assert closed(prop) == sent


@pytest.mark.parametrize(
    ("prop", "sent"),
    [
        (TEXT, {"type": ["string", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"anyOf": [TEXT, {"type": "integer"}]}, {"anyOf": [TEXT, {"type": "integer"}, {"type": "null"}]}),
        (
            {"anyOf": [TEXT, {"type": "null"}], "default": None},
            {"anyOf": [TEXT, {"type": "null"}], "description": "(default: null)"},
        ),
    ],
)
def test_optional_properties_allow_null(prop: dict[str, Any], sent: dict[str, Any]) -> None:
    assert closed(prop, required=False) == sent


def test_definitions_are_closed_and_references_stand_alone() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A", "description": "One."}, "b": {"$ref": "#/$defs/A"}},
        "required": ["a"],
        "$defs": {"A": {"type": "object", "properties": {"n": TEXT}}, "Unused": {"type": "object"}},
    }
    parameters = tool(schema)["parameters"]
    assert parameters["properties"] == {
        "a": {"description": "One.", "anyOf": [{"$ref": "#/$defs/A"}]},
        "b": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]},
    }
    assert parameters["$defs"].keys() == {"A"}
    assert parameters["$defs"]["A"]["additionalProperties"] is False
    assert parameters["$defs"]["A"]["required"] == ["n"]


CANNOT = [
    ({"type": "object", "additionalProperties": {"type": "integer"}}, "a map"),
    ({"type": "object"}, "does not name its properties"),
    ({"type": "object", "patternProperties": {"^a": TEXT}, "properties": {}}, "a map"),
    ({}, "no type"),
    (True, "no type"),
    ({"description": "Anything."}, "no type"),
    ({"type": "array"}, "items have no type"),
    ({"type": "array", "items": {}}, "no type"),
    ({"type": "object", "properties": {"a": TEXT}, "required": ["b"]}, "requires b"),
    ({"enum": list(range(1001))}, "1001 values"),
    ({"type": "object", "properties": {f"p{n}": TEXT for n in range(5001)}}, "5003 properties"),
]


@pytest.mark.parametrize(("prop", "why"), CANNOT, ids=[why for _, why in CANNOT])
def test_what_cannot_be_closed(prop: Any, why: str) -> None:
    schema = {
        "type": "object",
        "properties": {"in": {"type": "object", "properties": {"it": prop}, "required": ["it"]}},
    }
    with pytest.raises(
        ValueError, match=rf"The tool 'f' cannot be sent: .*{why}.*strict=True does not allow.*leave strict out"
    ):
        tool(schema)
    with pytest.raises(ValueError, match=rf"The schema 'A' cannot be sent: .*{why}"):
        answer(schema, True)
    unsaid = answer(schema, None)
    assert "strict" not in unsaid
    assert unsaid["schema"]["properties"]["in"].get("additionalProperties") is None
    assert answer(schema, False)["strict"] is False
    for family in ("claude", "gemini-3", "gpt-oss", "glm-5-2"):
        assert "strict" not in tool(schema, family)


def test_the_place_of_what_cannot_be_closed_is_named() -> None:
    prop = {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "object"}}}}
    with pytest.raises(ValueError, match=r"at the property 'a\[\]\.b', it is an object that does not name"):
        tool({"type": "object", "properties": {"a": prop}})


def test_eleven_levels_are_too_many() -> None:
    deep: dict[str, Any] = TEXT
    for _ in range(12):
        deep = {"type": "object", "properties": {"a": deep}}
    with pytest.raises(ValueError, match="deeper than the 10 levels"):
        tool(deep)
    assert "strict" not in answer(deep, None)


def test_a_tuple_of_several_types_is_closed_only_if_asked() -> None:
    places = {"type": "array", "prefixItems": [TEXT, {"type": "integer"}]}
    schema = {"type": "object", "properties": {"a": places}, "required": ["a"]}
    assert "strict" not in answer(schema, None)
    assert answer(schema, None)["schema"]["properties"]["a"]["prefixItems"] == places["prefixItems"]
    assert "in this order: string, integer" in answer(schema, True)["schema"]["properties"]["a"]["description"]


def test_further_properties_that_are_allowed_are_closed_only_if_asked() -> None:
    schema = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": True}
    assert "strict" not in answer(schema, None)
    assert answer(schema, True)["schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("family", "said", "sent"),
    [
        ("gpt-5", None, True),
        ("gpt-6", None, True),
        ("gpt-5", True, True),
        ("gpt-5", False, False),
        ("claude", None, None),
        ("claude", True, True),
        ("gpt-oss", None, None),
        ("gpt-oss", True, True),
        ("open-weights", True, True),
        ("generic", None, None),
        ("generic", True, True),
        ("openai-compatible", True, True),
        ("gemini-3", None, None),
        ("gemini-3", True, None),
        ("gemini-2-5-flash", True, None),
    ],
)
def test_who_gets_strict_answers(family: str, said: bool | None, sent: bool | None) -> None:
    held = answer({"type": "object", "properties": {"a": TEXT}}, said, family)
    assert held.get("strict") is sent
    assert held["schema"].get("additionalProperties") is (False if sent else None)


def test_a_format_that_the_caller_wrote_says_what_it_says() -> None:
    schema = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
    written = {"type": "json_schema", "json_schema": {"name": "A", "schema": schema}}
    assert fit_format(written, target("gpt-5"), drops_nulls=False) == written
    strict = {"type": "json_schema", "json_schema": {"name": "A", "schema": schema, "strict": True}}
    assert fit_format(strict, target("claude"), drops_nulls=False) == strict
    for family in ("gpt-5", "generic", "gpt-oss"):
        fitted = fit_format(strict, target(family), drops_nulls=False)["json_schema"]
        assert fitted["schema"]["additionalProperties"] is False


def test_a_class_as_a_format_is_strict_unless_that_would_bring_nulls() -> None:
    class Whole(BaseModel):
        """All required."""

        a: str
        b: int | None

    class Part(BaseModel):
        """One optional."""

        a: str = "x"

    assert fit_format(Whole, target("gpt-5"), drops_nulls=False)["json_schema"]["strict"] is True
    assert "strict" not in fit_format(Part, target("gpt-5"), drops_nulls=False)["json_schema"]


def test_strict_tools_are_closed_for_the_family_and_not_before() -> None:
    class Find(BaseModel):
        """Find."""

        text: str
        limit: int = 5
        kind: Literal["a", "b"] = Field("a", description="Kind.")

    made = convert_tool(Find, True)
    assert "additionalProperties" not in made["function"]["parameters"]
    (gpt,) = encode_tools([made], GPT)
    assert gpt["function"]["parameters"]["required"] == ["text", "limit", "kind"]
    assert gpt["function"]["parameters"]["additionalProperties"] is False
    (claude,) = encode_tools([made], FAMILIES["claude"])
    assert claude["function"]["parameters"]["required"] == ["text"]
    assert "strict" not in claude["function"]


def test_strict_is_taken_for_tools_in_openais_shape_too() -> None:
    given = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": TEXT}}}}
    before = copy.deepcopy(given)
    assert convert_tool(given, True)["function"]["strict"] is True
    own = {"type": "function", "function": {"name": "f", "strict": False}}
    assert convert_tool(own, True)["function"]["strict"] is True
    assert convert_tool(own, None)["function"]["strict"] is False
    assert given == before
    assert convert_tool({"name": "f", "description": "F.", "strict": False}, True)["function"]["strict"] is True


OBJECT = {
    "type": "object",
    "properties": {
        "need": {"type": ["string", "null"]},
        "text": TEXT,
        "maybe": {"anyOf": [TEXT, {"type": "null"}]},
        "openapi": {"type": "string", "nullable": True},
        "any": {},
        "kind": {"enum": ["a", "b"]},
        "kind_or_null": {"enum": ["a", None]},
        "in": {"$ref": "#/$defs/In"},
        "list": {"type": "array", "items": {"$ref": "#/$defs/In"}},
        "either": {"anyOf": [{"$ref": "#/$defs/In"}, {"$ref": "#/$defs/Out"}]},
        "all": {"allOf": [{"$ref": "#/$defs/In"}]},
        "pair": {"type": "array", "prefixItems": [TEXT, {"$ref": "#/$defs/In"}]},
    },
    "required": ["need"],
    "$defs": {
        "In": {
            "type": "object",
            "properties": {"a": TEXT, "n": {"type": ["integer", "null"]}, "in": {"$ref": "#/$defs/In"}},
        },
        "Out": {"type": "object", "properties": {"kind": {"const": "out"}, "b": TEXT, "n": TEXT}, "required": ["b"]},
    },
}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"need": None, "text": None}, {"need": None}),
        ({"maybe": None, "openapi": None, "any": None}, {"maybe": None, "openapi": None, "any": None}),
        ({"kind": None, "kind_or_null": None}, {"kind_or_null": None}),
        ({"in": None}, {}),
        ({"in": {"a": None, "n": None, "in": {"a": None}}}, {"in": {"n": None, "in": {}}}),
        ({"list": [{"a": None}, {"a": "x"}]}, {"list": [{}, {"a": "x"}]}),
        ({"either": {"kind": "out", "b": None, "n": None}}, {"either": {"kind": "out", "b": None}}),
        ({"either": {"a": None, "n": None, "in": None}}, {"either": {"n": None}}),
        ({"all": {"a": None}}, {"all": {}}),
        ({"pair": [None, {"a": None}]}, {"pair": [None, {}]}),
        ({"unknown": None}, {"unknown": None}),
        ([None], [None]),
        (None, None),
    ],
)
def test_nulls_that_only_the_closing_allowed_are_dropped(value: Any, kept: Any) -> None:
    before = copy.deepcopy(value)
    assert drop_nulls(value, OBJECT) == kept
    assert value == before


def test_nothing_is_copied_where_nothing_is_dropped() -> None:
    value = {"need": None, "list": [{"n": None}]}
    assert drop_nulls(value, OBJECT) is value
