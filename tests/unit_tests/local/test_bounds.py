"""A schema costs the workspace a moment at most: what would cost more is refused in words, never a fault."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from langchain_dbchat.local.rule_model.pattern_search import search
from langchain_dbchat.local.rule_model.schema_filler import SchemaFiller, SchemaTooLargeError

if TYPE_CHECKING:
    import httpx

    from langchain_dbchat.local import LocalWorkspace

Schema = dict[str, Any]
HUGE = 10**9


def of(part: Any, **more: Any) -> Schema:
    return {"type": "object", "properties": {"q": part}, "required": ["q"], **more}


def chain(depth: int, key: str) -> Any:
    node: Any = {"type": "string"}
    for _ in range(depth):
        node = [node] if key == "list" else {key: [node]} if key in {"anyOf", "allOf", "oneOf"} else {key: node}
    return node


SELF: Schema = {"$ref": "#"}
REFUSED: dict[str, Schema] = {
    "minLength": of({"type": "string", "minLength": HUGE}),
    "minItems": of({"type": "array", "items": {"type": "string"}, "minItems": 10**8}),
    "minItems of integers": of({"type": "array", "items": {"type": "integer"}, "minItems": 10**8}),
    "minItems within minItems": of(
        {"type": "array", "minItems": 900, "items": {"type": "array", "minItems": 900, "items": {"type": "boolean"}}}
    ),
    "long texts in many items": of(
        {"type": "array", "minItems": 900, "items": {"type": "string", "minLength": 90_000}}
    ),
    "a long const in many items": of({"type": "array", "minItems": 900, "items": {"const": "x" * 90_000}}),
    "minProperties": of({"type": "object", "minProperties": 10**8}),
    "enum": of({"enum": list(range(100_000))}),
    "many enums": {"type": "object", "properties": {f"p{n}": {"enum": list(range(100))} for n in range(100)}},
    "properties": {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20_000)}},
    "maximum": of({"type": "number", "maximum": float("inf")}),
    "minimum": of({"type": "integer", "minimum": float("-inf")}),
    "exclusiveMinimum": of({"type": "number", "exclusiveMinimum": float("inf")}),
    "NaN": of({"type": "number", "minimum": float("nan")}),
    "400 digits": of({"type": "integer", "minimum": 10**400}),
    "allOf of itself": of({"allOf": [SELF]}, allOf=[SELF]),
    "anyOf of itself": of({"anyOf": [SELF]}, anyOf=[SELF, SELF]),
    "allOf of each other": {
        "type": "object", "properties": {"q": {"$ref": "#/$defs/a"}}, "required": ["q"],
        "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}},
    },
    "anyOf of anyOf": of(
        {"$ref": "#/$defs/a"},
        **{"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}},
    ),
    "ten properties of itself": {
        "type": "object", "required": [f"p{n}" for n in range(10)],
        "properties": {"s": {"type": "string"}, **{f"p{n}": SELF for n in range(10)}},
    },
    "a long pattern": of({"type": "string", "pattern": "a" * 100_000}),
    "a long name": {"type": "object", "properties": {"p" * 100_000: {"type": "string"}}},
    "allOf that is a text": of({"allOf": "#"}, allOf="#"),
}  # fmt: skip
ANSWERED: dict[str, Schema] = {
    "a loop of references": of(
        {"$ref": "#/$defs/a"}, **{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    ),
    "a tree": of({"$ref": "#/$defs/t"}, **{"$defs": {"t": {"type": "object", "properties": {
        "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}}}),
    "a reference to nothing": of({"$ref": "#/$defs/none"}),
    "a reference to a list": of({"$ref": "#/required"}),
    "items that are true": of({"type": "array", "items": True}),
    "places that are true": of({"type": "array", "prefixItems": [True, {"type": "integer"}]}),
    "choices that are true": of({"anyOf": [True, False]}),
    "bounds that exclude each other": of({"type": "integer", "minimum": 5, "maximum": 3}),
    "large bounds": of({"type": "number", "minimum": 1e299, "maximum": 1e300}),
    "maxItems": of({"type": "array", "items": {"type": "integer"}, "maxItems": HUGE}),
    "maxLength": of({"type": "string", "maxLength": HUGE}),
    "a hundred items": of({"type": "array", "items": {"type": "boolean"}, "minItems": 100}),
    "a nested array": of(chain(30, "items")),
    "a pattern that backtracks": of({"type": "string", "pattern": "^(a+)+$"}),
    "another": of({"type": "string", "pattern": "(a|aa)+$"}),
    "a third": of({"type": "string", "pattern": "(.*)*x"}),
    "a fourth": of({"type": "string", "pattern": "a*a*a*a*a*a*a*a*b"}),
    "a fifth": of({"type": "string", "pattern": "((a{1,99}){1,99}){1,99}b"}),
    "a pattern that is none": of({"type": "string", "pattern": "(["}),
    "a repetition without end": of({"type": "string", "pattern": "a{99999999999999999999}"}),
    "many parentheses": of({"type": "string", "pattern": "(" * 490 + "a" + ")" * 490}),
}  # fmt: skip
DEEP = {key: of(chain(400, key)) for key in ("items", "anyOf", "allOf", "additionalProperties", "list")}
LONG = "a" * 5_000 + "! " + "a" * 39 + "! JSON 99999"


def ask(client: httpx.Client, schema: Schema, way: str, text: str = LONG) -> httpx.Response:
    body: Schema = {"messages": [{"role": "user", "content": f"Please look {text}"}]}
    if way == "tool":
        tool = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": schema}}
        body |= {"tools": [tool], "tool_choice": "required"}
    else:
        held = {"type": "json_schema", "json_schema": {"name": "look", "schema": schema}}
        body |= {"response_format": held, "stream": way == "streamed"}
    return client.post("/serving-endpoints/databricks-llama-4-maverick/invocations", content=json.dumps(body))


each_way = pytest.mark.parametrize("way", ["tool", "format", "streamed"])


@each_way
@pytest.mark.parametrize("schema", [*REFUSED.values(), *DEEP.values()], ids=[*REFUSED, *DEEP])
def test_what_would_cost_too_much_is_refused_in_words(client: httpx.Client, schema: Schema, way: str) -> None:
    tracemalloc.start()
    began = time.process_time()
    answer = ask(client, schema, way)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 400, answer.text[:300]
    assert "JSON" in answer.text or "at most 64 keys" in answer.text
    assert took < 5
    assert peak < 200_000_000


@each_way
@pytest.mark.parametrize("schema", ANSWERED.values(), ids=ANSWERED)
def test_what_is_odd_but_small_is_answered_or_refused(client: httpx.Client, schema: Schema, way: str) -> None:
    began = time.process_time()
    answer = ask(client, schema, way)
    assert answer.status_code in {200, 400}, answer.text[:300]
    assert time.process_time() - began < 5


@pytest.mark.parametrize("text", ["9" * 400, "1" + "0" * 5000, "-" + "9" * 310 + ".5", "1,000" + ",000" * 200])
def test_numbers_of_a_text_that_no_number_holds(client: httpx.Client, text: str) -> None:
    schema = of({"type": "number"}, required=["q", "n"])
    schema["properties"]["n"] = {"type": "integer"}
    assert ask(client, schema, "tool", f"for {text} or {text}").status_code == 200


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED)
def test_a_schema_in_a_prompt_is_bounded_too(client: httpx.Client, schema: Schema) -> None:
    written = json.dumps(schema)
    body = {"messages": [{"role": "user", "content": f"Answer as JSON:\n```\n{written}\n```"}], "max_tokens": 50}
    answer = client.post("/serving-endpoints/databricks-llama-4-maverick/invocations", json=body)
    assert answer.status_code in {200, 400}, answer.text[:300]


def test_a_filler_that_nothing_was_checked_for_is_bounded() -> None:
    with pytest.raises(SchemaTooLargeError, match="too many or too large"):
        SchemaFiller("", {}).fill({"type": "array", "minItems": 10**9, "items": {"type": "boolean"}})
    with pytest.raises(SchemaTooLargeError, match="refers to itself"):
        SchemaFiller("", {"anyOf": [SELF]}).fill(SELF)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^[A-Z]{2}\\d{4}$", "Order AB1234 of June", "AB1234"),
        ("\\d{3}-\\d{4}", "Call 555-1234", "555-1234"),
        ("^[\\w.+-]+@[\\w-]+\\.[\\w.]+$", "Write to ada@example.com today", "ada@example.com"),
        ("(?:red|blue) car", "The blue car", "blue car"),
        ("a+", "caaat", "aaa"),
        ("(red|blue)?fish", "a bluefish", None),
        ("^(\\d{1,3}\\.){3}\\d{1,3}$", "at 10.0.0.1", None),
        ("[(a+)+]{2}", "x ++ y", "++"),
        ("\\(a+\\)", "f(aa)", "(aa)"),
        ("(?P<year>\\d{4})", "in 2026", "2026"),
    ],
)
def test_patterns_that_are_quick_are_searched_for(pattern: str, text: str, found: str | None) -> None:
    match = search(pattern, text)
    assert (match and match.group()) == found or found is None


EXPRESSION = {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}
PROMPTS: dict[str, str] = {
    "schemas within each other": '{"type": ' * 60_000,
    "a sum without an end": "calc " + "(+" * 8_000,
    "quotes that do not end": "\u00ab" * 60_000,
    "a word of requests for summaries": "summary " * 30_000,
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_costs_a_moment(client: httpx.Client, prompt: str) -> None:
    tool = {"type": "function", "function": {"name": "calc", "description": "Calculate.", "parameters": EXPRESSION}}
    body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 50}
    began = time.process_time()
    for more in ({}, {"tools": [tool], "tool_choice": "required"}):
        answer = client.post("/serving-endpoints/databricks-gemini-3-flash/invocations", json={**body, **more})
        assert answer.status_code == 200, answer.text[:300]
    assert time.process_time() - began < 10  # seconds; work that grows with the square takes longer


def test_many_messages_of_a_user_cost_a_moment(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "a"}] * 80_000}
    began = time.process_time()
    answer = client.post("/serving-endpoints/databricks-claude-sonnet-4-6/invocations", json=body)
    assert answer.status_code in {200, 400}, answer.text[:300]
    assert time.process_time() - began < 5


def test_a_long_call_is_streamed_in_a_moment(workspace: LocalWorkspace, client: httpx.Client) -> None:
    parameters = {"type": "object", "properties": {"content": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "write_file", "parameters": parameters}}
    counts = []
    for streams in (True, False):
        workspace.script("databricks-gpt-5-2").call("write_file", content="a word and  a line\n" * 3_000)
        body = {"messages": [{"role": "user", "content": "Write it."}], "tools": [tool], "stream": streams}
        began = time.process_time()
        answer = client.post("/serving-endpoints/databricks-gpt-5-2/invocations", json=body)
        assert time.process_time() - began < 5
        counts.append(re.findall(r'"completion_tokens":(\d+)', answer.text)[-1])
    assert counts[0] == counts[1]
