"""Any JSON schema, fitted for any family, is one that the family's server takes; or the error names the tool."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_dbchat.dialects.chat_completions.encode import fit_format
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.request.fitted_tools import encode_tools
from langchain_dbchat.local.models import CHAT
from langchain_dbchat.local.surfaces.chat_completions.checks.formats import check_format
from langchain_dbchat.local.surfaces.chat_completions.checks.tools import check_tools
from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody
from langchain_dbchat.models.families import family_of

BY_NAME = {model.name: model for model in CHAT}
MODELS = ["claude-sonnet-4-6", "gpt-5-2", "gemini-3-5-flash", "gpt-oss-120b"]
NAMES = st.sampled_from(["a", "b", "type", "items", "$ref", "$defs", "required", "properties", "not"])
TEXT = st.sampled_from(["", "x", "Some words."])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
REFS = st.sampled_from(["#", "#/$defs/A", "#/$defs/B", "#/definitions/C"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    by_name = st.dictionaries(NAMES, inner, max_size=3)
    bound = st.integers(-2, 5) | st.booleans()
    count = st.integers(0, 3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3) | st.just("any"),
            "title": TEXT,
            "description": TEXT,
            "default": VALUES,
            "examples": st.lists(VALUES, max_size=1),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "properties": by_name,
            "required": st.lists(NAMES, max_size=3) | st.booleans(),
            "additionalProperties": inner | st.booleans(),
            "patternProperties": by_name,
            "items": inner | several,
            "prefixItems": several,
            "additionalItems": inner | st.booleans(),
            "minItems": count,
            "maxItems": count,
            "uniqueItems": st.booleans(),
            "minimum": st.integers(-2, 2),
            "exclusiveMinimum": bound,
            "exclusiveMaximum": bound,
            "pattern": st.sampled_from(["^a$", "(?=a)"]),
            "format": st.sampled_from(["date", "uri"]),
            "nullable": st.booleans(),
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "$ref": REFS,
            "$schema": st.just("http://json-schema.org/draft-07/schema#"),
            "id": TEXT,
        },
    )


LEAVES = st.fixed_dictionaries({"type": TYPES}, optional={"description": TEXT, "default": VALUES}) | st.booleans()
ANY = _schemas(st.recursive(LEAVES, _schemas, max_leaves=5))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    root: dict[str, Any] = dict(draw(ANY))
    root["$defs"] = {"A": draw(ANY), "B": draw(LEAVES)}
    root["definitions"] = {"C": draw(LEAVES)}
    return root


def asked(model: str, body: dict[str, Any]) -> ChatRequestBody:
    return ChatRequestBody(BY_NAME[model], f"databricks-{model}", body, None, "path")  # type: ignore[arg-type]  # signs nothing


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=documents())
def test_any_schema_of_a_tool_is_taken_or_raises(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    for model, strict in product(MODELS, (False, True)):
        family = family_of(f"databricks-{model}")
        tool = {"type": "function", "function": {"name": "my_tool", "parameters": schema, "strict": strict}}
        try:
            fitted = encode_tools([tool], family)
        except ValueError as error:
            if "The tool 'my_tool' cannot be sent: " not in str(error):
                raise
            continue
        finally:
            assert schema == before
        check_tools(asked(model, {"tools": fitted}))
        assert encode_tools(fitted, family) == fitted


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=documents())
def test_any_object_as_an_answer_is_taken_or_raises(schema: dict[str, Any]) -> None:
    whole = {"type": "object", "properties": {"it": schema}, "$defs": schema.pop("$defs")}
    whole["definitions"] = schema.pop("definitions")
    before = copy.deepcopy(whole)
    for model, strict in product(MODELS, (None, False, True)):
        target = Target(f"databricks-{model}", family_of(f"databricks-{model}"))
        held: dict[str, Any] = {"name": "Mine", "schema": whole}
        if strict is not None:
            held["strict"] = strict
        try:
            fitted = fit_format({"type": "json_schema", "json_schema": held}, target, drops_nulls=True)
        except ValueError as error:
            if "The schema 'Mine' cannot be sent: " not in str(error):
                raise
            continue
        finally:
            assert whole == before
        check_format(asked(model, {"response_format": fitted}))
        again = fit_format(fitted, target, drops_nulls=True)
        check_format(asked(model, {"response_format": again}))
        assert again == fitted or strict is None  # what is closed if it can be may be closed the second time
