"""Whatever comes in, the answer is an answer or a refusal, never a fault of the workspace."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from kit.junk import places, with_junk

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

Body = dict[str, Any]

FULL: Body = {
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Weather in Oslo? See JSON."},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "I look."}],
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"q": "x"}'}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "42"},
        {"role": "user", "content": "Look again in Bergen"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Look.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "q": {"type": "string"},
                        "n": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]},
                        "l": {"type": "array", "items": {"type": "number"}, "minItems": 2},
                    },
                    "required": ["q"],
                },
            },
        }
    ],
    "tool_choice": "auto",
    "max_tokens": 2000,
    "stop": ["x"],
    "response_format": {"type": "text"},
}
EXTRA: dict[str, Body] = {
    "claude-sonnet-4-6": {
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low"},
        "stream_options": {"include_usage": True},
        "stream": True,
    },
    "llama-4-maverick": {"n": 2, "logprobs": True, "top_logprobs": 1, "seed": 1},
    "gpt-5-2": {"reasoning_effort": "low"},
    "gemini-3-flash": {"temperature": 0.5, "top_p": 0.5},
    "glm-5-2": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
}
JUNK: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    3.5,
    10**30,
    "",
    "x",
    "none",
    [],
    [None],
    [[]],
    {},
    {"type": "text"},
    {"x": 1},
]


@pytest.mark.parametrize("model", EXTRA)
def test_junk_anywhere_is_refused_or_answered(client: httpx.Client, model: str) -> None:
    dice = random.Random(model)  # noqa: S311  # the same junk each time
    body = {**FULL, **EXTRA[model]}
    for path in places(body):
        for junk in dice.sample(JUNK, 4):
            sent = with_junk(body, path, junk)
            response = client.post(f"/serving-endpoints/databricks-{model}/invocations", json=sent)
            assert response.status_code in {200, 400}, (path, junk, response.text)


SCHEMAS: list[Any] = [
    {},
    {"type": "object"},
    {"type": "object", "properties": {"a": {}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": ["string", "null"], "pattern": "("}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "array", "minItems": 3, "maxItems": 2}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 1}}, "required": ["a", "b"]},
    {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#"}, 3]}, "b": True}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"enum": [None, {"x": 1}, [2]]}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "string", "minLength": 5, "maxLength": "x"}}, "required": ["a"]},
    {"type": "object", "properties": ["a"], "required": "a"},
    {"type": "array", "items": {"type": "array", "items": {"type": "array"}}},
    {"anyOf": [{"type": "null"}]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
def test_odd_schemas(ask: Callable[..., httpx.Response], schema: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert ask("claude-sonnet-4-6", "Look at 3 'cats' in Oslo", response_format=wanted).status_code in {200, 400}
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    response = ask("gpt-5-2", "Look at 3 'cats' in Oslo", tools=[tool], tool_choice="required")
    assert response.status_code in {200, 400}, response.text
