"""What the workspace refuses, IV: tools, formats, cache breakpoints, and what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.refusal_rows import (
    BUDGET,
    CLAUDE,
    EXTRA,
    GEMINI,
    GLM,
    GPT,
    JSON,
    LLAMA,
    MARK,
    UNKNOWN,
    Row,
    check,
    schema,
    tool,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

CLOSED = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"], "additionalProperties": False}

TABLE: dict[str, Row] = {
    # -- tools: docs/wire.md, 2.2
    "thirty-three tools": Row(CLAUDE, {"tools": [tool(f"t{place}") for place in range(33)]}, "at most 32"),
    "tool name with a dot": Row(CLAUDE, {"tools": [tool("a.b")]}, "should match pattern"),
    "two tools of one name": Row(CLAUDE, {"tools": [tool(), tool()]}, "must be unique"),
    "no type on claude": Row(
        CLAUDE, {"tools": [tool(), tool("b", parameters={})]}, "tools.1.custom.input_schema.type: Field required"
    ),
    "no type on glm": Row(GLM, {"tools": [tool(parameters={})]}),
    "no parameters on llama": Row(
        LLAMA, {"tools": [{"type": "function", "function": {"name": "look"}}]}, "is a required property for"
    ),
    "no parameters on claude": Row(CLAUDE, {"tools": [{"type": "function", "function": {"name": "look"}}]}),
    "strict on claude": Row(CLAUDE, {"tools": [tool(strict=True)]}, f"tools.0.function.strict: {EXTRA}"),
    "strict on llama": Row(LLAMA, {"tools": [tool(strict=True)]}, f'{UNKNOWN} \\"strict\\"'),
    "strict on gpt": Row(GPT, {"tools": [tool(strict=True, parameters=CLOSED)]}),
    "strict on gpt beside an open schema": Row(
        GPT, {"tools": [tool(strict=True)]}, "'additionalProperties' is required"
    ),
    "$schema on gemini": Row(GEMINI, {"tools": [tool(parameters={"type": "object", "$schema": "x"})]}, "$schema"),
    "exclusiveMinimum on gemini": Row(
        GEMINI,
        {
            "tools": [
                tool(parameters={"type": "object", "properties": {"a": {"type": "integer", "exclusiveMinimum": 0}}})
            ]
        },
        "exclusiveMinimum",
    ),
    "$ref on gemini": Row(
        GEMINI, {"tools": [tool(parameters={"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}})]}, "$ref"
    ),
    "a property called $ref on gemini": Row(
        GEMINI, {"tools": [tool(parameters={"type": "object", "properties": {"$ref": {"type": "string"}}})]}
    ),
    "exclusiveMinimum on claude": Row(
        CLAUDE,
        {
            "tools": [
                tool(parameters={"type": "object", "properties": {"a": {"type": "integer", "exclusiveMinimum": 0}}})
            ]
        },
    ),
    "bad schema": Row(CLAUDE, {"tools": [tool(parameters={"type": "thing"})]}, "JSON schema is invalid"),
    "choice any": Row(CLAUDE, {"tools": [tool()], "tool_choice": "any"}, "tool_choice"),
    "choice of another tool": Row(
        CLAUDE,
        {"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "x"}}},
        "not found in provided tools",
    ),
    "choice without tools": Row(LLAMA, {"tool_choice": "required"}, "while providing tools"),
    "tools on an image model": Row("gemini-3-pro-image", {"tools": [tool()]}, "Tool use is not supported"),
    # -- formats: docs/wire.md, 2.2, 2.6, 8.2
    "json_object on claude": Row(
        CLAUDE, {**JSON, "messages": [{"role": "user", "content": "json please"}]}, "json_object"
    ),
    "json_schema with tools on claude": Row(
        CLAUDE, {**schema(), "tools": [tool()]}, "Cannot specify both response_format and tools in the same request."
    ),
    "json_schema streamed on claude": Row(CLAUDE, {**schema(), "stream": True}, "`stream` must be false"),
    "json_schema on claude": Row(CLAUDE, schema()),
    "json_schema streamed on gpt": Row(GPT, {**schema(), "stream": True, "tools": [tool()]}),
    "json_object without the word": Row(LLAMA, JSON, "must contain the word 'json'"),
    "json_object with the word in a list": Row(
        LLAMA, {**JSON, "messages": [user({"type": "text", "text": "JSON please"})]}, "must contain the word 'json'"
    ),
    "json_object with the word": Row(LLAMA, {**JSON, "messages": [{"role": "user", "content": "JSON please"}]}),
    "json_schema on gemma": Row("gemma-3-12b", schema(), "is not supported for this model"),
    "sixty-five keys": Row(GPT, schema(65), "at most 64 keys"),
    "sixty-four keys": Row(GPT, schema(64)),
    "schema without a name": Row(
        GPT, {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "name: Field required"
    ),
    # -- caching: docs/wire.md, 2.4
    "cache_control on claude": Row(
        CLAUDE, {"messages": [user({"type": "text", "text": "x", **MARK})], "tools": [{**tool(), **MARK}]}
    ),
    "cache_control on llama": Row(LLAMA, {"messages": [user({"type": "text", "text": "x", **MARK})]}, UNKNOWN),
    "cache_control on gpt": Row(GPT, {"messages": [user({"type": "text", "text": "x", **MARK})]}, "Unknown parameter"),
    "cache_control at the top": Row(CLAUDE, MARK, f"cache_control: {EXTRA}"),
    "five breakpoints": Row(
        CLAUDE, {"messages": [user(*[{"type": "text", "text": "x", **MARK}] * 5)]}, "A maximum of 4 blocks"
    ),
    "four breakpoints": Row(CLAUDE, {"messages": [user(*[{"type": "text", "text": "x", **MARK}] * 4)]}),
    # -- context: docs/wire.md, 6.2, row context
    "too long for claude": Row(
        BUDGET, {"messages": [{"role": "user", "content": "a " * 200_100}]}, "prompt is too long: "
    ),
    "too long for llama": Row(
        LLAMA, {"messages": [{"role": "user", "content": "a " * 128_100}]}, "maximum context length"
    ),
    "too long for gemini": Row(
        "gemini-3-pro-image", {"messages": [{"role": "user", "content": "a " * 66_100}]}, "prompt token count"
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(ask: Callable[..., httpx.Response], name: str) -> None:
    check(ask, TABLE[name])
