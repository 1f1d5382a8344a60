"""References of every spelling are pointers that the server can follow, and a broken one names its place."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from kit.targets import target
from langchain_dbchat.dialects.chat_completions.encode import fit_format
from langchain_dbchat.dialects.shared.request.fitted_tools import encode_tools
from langchain_dbchat.models.families import FAMILIES

TEXT = {"type": "string"}
NAMED = {"type": "object", "properties": {"name": TEXT}, "required": ["name"]}
CLOSED = {**NAMED, "additionalProperties": False}


def sent(schema: dict[str, Any], family: str, *, strict: bool | None = None) -> dict[str, Any]:
    before = copy.deepcopy(schema)
    function = {"name": "f", "parameters": schema, **({} if strict is None else {"strict": strict})}
    (tool,) = encode_tools([{"type": "function", "function": function}], FAMILIES[family])
    assert schema == before
    parameters: dict[str, Any] = tool["function"]["parameters"]
    return parameters


def root(it: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"it": it}, "required": ["it"], **more}


SPELLINGS = {
    "an anchor": root({"$ref": "#it"}, **{"$defs": {"A": {"$anchor": "it", **NAMED}}}),
    "a dynamic anchor": root({"$dynamicRef": "#it"}, **{"$defs": {"A": {"$dynamicAnchor": "it", **NAMED}}}),
    "the id of a part": root({"$ref": "/it"}, **{"$defs": {"A": {"$id": "/it", **NAMED}}}),
    "the id of the root": root(
        {"$ref": "https://example.com/s#/$defs/A"}, **{"$id": "https://example.com/s", "$defs": {"A": NAMED}}
    ),
    "relative to the id of the root": root(
        {"$ref": "other"},
        **{"$id": "https://example.com/s", "$defs": {"A": {"$id": "https://example.com/other", **NAMED}}},
    ),
}


@pytest.mark.parametrize("schema", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("family", ["claude", "gpt-5", "open-weights"])
def test_a_name_becomes_a_pointer(schema: dict[str, Any], family: str) -> None:
    assert sent(schema, family)["properties"]["it"] == {"$ref": "#/$defs/A"}


@pytest.mark.parametrize("schema", SPELLINGS.values(), ids=SPELLINGS)
def test_a_name_is_followed_where_there_are_no_references(schema: dict[str, Any]) -> None:
    assert sent(schema, "gemini-3")["properties"]["it"] == NAMED


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        (root(NAMED, properties={"it": NAMED, "same": {"$ref": "#/properties/it"}}, required=["it", "same"]), "it"),
        (root({"$ref": "#/$defs/Box%5Bint%5D"}, **{"$defs": {"Box[int]": NAMED}}), "Box[int]"),
        (root({"$ref": "#/definitions/a~1b"}, definitions={"a/b": NAMED}), "a/b"),
        (root({"$ref": "#/$defs/A/$defs/B"}, **{"$defs": {"A": {"$defs": {"B": NAMED}}}}), "B"),
        (root({"$ref": "#it"}, **{"$defs": {"A": {"$anchor": "it", **NAMED}}}), "A"),
    ],
)
def test_a_strict_schema_refers_to_its_definitions_alone(schema: dict[str, Any], name: str) -> None:
    closed = sent(schema, "gpt-5", strict=True)
    where = "definitions" if "definitions" in schema else "$defs"
    assert closed[where] == {name: CLOSED}
    pointer = f"#/{where}/{name.replace('/', '~1')}"
    assert closed["properties"]["same" if "same" in closed["properties"] else "it"] == {"$ref": pointer}
    assert fit_format(
        {"type": "json_schema", "json_schema": {"name": "A", "schema": schema, "strict": True}},
        target("gpt-5"),
        drops_nulls=True,
    )["json_schema"] == {"name": "A", "schema": closed, "strict": True}


def test_two_parts_of_one_name_stay_two() -> None:
    other = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    schema = root({"$ref": "#/$defs/A/$defs/X"}, **{"$defs": {"A": {"$defs": {"X": NAMED}}, "X": other}})
    schema["properties"]["other"] = {"$ref": "#/$defs/X"}
    schema["required"] = ["it", "other"]
    closed = sent(schema, "gpt-5", strict=True)
    assert closed["$defs"]["X"]["properties"] == other["properties"]
    assert closed["properties"]["it"] == {"$ref": "#/$defs/X_2"}
    assert closed["$defs"]["X_2"] == CLOSED


@pytest.mark.parametrize("family", ["claude", "gpt-5", "gemini-3", "gpt-oss"])
@pytest.mark.parametrize("reference", ["https://example.com/a.json", "a.json#/$defs/A", "#/$defs/None", "#none"])
def test_a_reference_to_nothing_names_the_tool_and_the_place(family: str, reference: str) -> None:
    with pytest.raises(ValueError, match=r"The tool 'f' cannot be sent: at the property 'it\[\].of', it refers to"):
        sent(root({"type": "array", "items": {"type": "object", "properties": {"of": {"$ref": reference}}}}), family)


def test_references_cost_as_much_as_the_schema_is_long() -> None:
    twice = [{"$ref": f"#/$defs/A{n + 1}"} for n in range(200)]
    definitions = {f"A{n}": {"type": "object", "properties": {"a": one, "b": one}} for n, one in enumerate(twice)}
    schema = root({"$ref": "#/$defs/A0"}, **{"$defs": {**definitions, "A200": NAMED}})
    start = time.process_time()
    for family in ("claude", "gpt-5"):
        assert sent(schema, family)["$defs"].keys() == schema["$defs"].keys()
    assert time.process_time() - start < 20


@pytest.mark.parametrize("family", ["gpt-5", "claude", "gpt-oss"])
@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "object", "additionalProperties": TEXT}])
def test_the_root_of_an_answer_has_explicit_properties(family: str, schema: dict[str, Any]) -> None:
    held = {"name": "A", "schema": schema}
    fitted = fit_format({"type": "json_schema", "json_schema": held}, target(family), drops_nulls=True)
    assert fitted["json_schema"] == {"name": "A", "schema": {**schema, "properties": {}}}  # and nothing is closed


CAT = {"type": "object", "properties": {"kind": {"const": "cat", "type": "string"}}, "required": ["kind"]}
DOG = {"type": "object", "properties": {"kind": {"const": "dog", "type": "string"}}, "required": ["kind"]}


def mapped(cat: Any, dog: Any, *branches: Any) -> dict[str, Any]:
    return {"oneOf": list(branches), "discriminator": {"propertyName": "kind", "mapping": {"cat": cat, "dog": dog}}}


CAT_AT, DOG_AT = "#/$defs/Cat", "#/$defs/Dog"
MAPPINGS = {
    "both are there": (
        root(mapped(CAT_AT, DOG_AT, {"$ref": CAT_AT}, {"$ref": DOG_AT}), **{"$defs": {"Cat": CAT, "Dog": DOG}}),
        {"cat": CAT_AT, "dog": DOG_AT},
    ),
    "one is there": (
        root(mapped(CAT_AT, DOG_AT, {"$ref": CAT_AT}, DOG), **{"$defs": {"Cat": CAT}}),
        {"cat": CAT_AT},
    ),
    "none is there": (root(mapped(CAT_AT, DOG_AT, CAT, DOG)), None),
    "OpenAPI's own place": (root(mapped("#/components/schemas/Cat", "Dog", CAT, DOG)), None),
    "an anchor": (
        root(mapped("#cat", "#none", {"$ref": "#cat"}, DOG), **{"$defs": {"Cat": {**CAT, "$anchor": "cat"}}}),
        {"cat": CAT_AT},
    ),
    "in a list": (root({"type": "array", "items": mapped(CAT_AT, DOG_AT, CAT, DOG)}), None),
}


@pytest.mark.parametrize(("schema", "mapping"), MAPPINGS.values(), ids=MAPPINGS)
@pytest.mark.parametrize("family", ["claude", "gpt-5", "open-weights"])
def test_a_discriminator_refers_to_what_is_there(
    schema: dict[str, Any], mapping: dict[str, str] | None, family: str
) -> None:
    fitted = sent(schema, family)["properties"]["it"]
    discriminator = fitted.get("items", fitted)["discriminator"]
    assert discriminator == {"propertyName": "kind", **({"mapping": mapping} if mapping else {})}
    assert sent(sent(schema, family), family) == sent(schema, family)


def test_a_discriminator_that_is_a_name_is_not_read() -> None:
    schema = root({"oneOf": [CAT, DOG], "discriminator": "kind"})
    assert sent(schema, "claude")["properties"]["it"]["discriminator"] == "kind"
