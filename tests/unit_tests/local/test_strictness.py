"""What the workspace refuses, as one table: each row a request, the status, the text, and the fact behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

Body = dict[str, Any]

CLAUDE = "claude-sonnet-4-6"
BUDGET = "claude-sonnet-4-5"
ADAPTIVE = "claude-opus-5"
GPT = "gpt-5-2"
GEMINI = "gemini-3-1-pro"
LLAMA = "meta-llama-3-3-70b-instruct"
OSS = "gpt-oss-120b"
GLM = "glm-5-2"

HI = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
LINK = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}
VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/cat.mp4"}}
MARK = {"cache_control": {"type": "ephemeral"}}


def tool(name: str = "look", **function: Any) -> Body:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": "Look.", "parameters": schema, **function}}


def called(*ids: str, **extra: Any) -> Body:
    calls = [{"id": one, "type": "function", "function": {"name": "look", "arguments": "{}"}, **extra} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(of: str, content: Any = "42") -> Body:
    return {"role": "tool", "tool_call_id": of, "content": content}


def user(*parts: Body) -> Body:
    return {"role": "user", "content": list(parts)}


def schema(keys: int = 1) -> Body:
    properties = {f"k{place}": {"type": "string"} for place in range(keys)}
    held = {"name": "out", "schema": {"type": "object", "properties": properties}}
    return {"response_format": {"type": "json_schema", "json_schema": held}}


JSON = {"response_format": {"type": "json_object"}}
EXTRA = "Extra inputs are not permitted"
UNKNOWN = "json: unknown field"


class Row(NamedTuple):
    """One request and what becomes of it; an empty text means that it is accepted."""

    model: str
    body: Body
    text: str = ""
    status: int = 400


TABLE: dict[str, Row] = {
    # -- fields: wire facts 1.2 (unknown fields), 2.2 (field by field), 2.6 (the measured matrix)
    "claude unknown field": Row(CLAUDE, {"reasoning_details": []}, f"reasoning_details: {EXTRA}"),
    "open weights unknown field": Row(LLAMA, {"cache_breakpoint": 1}, f'{UNKNOWN} \\"cache_breakpoint\\"'),
    "gpt unknown field": Row(GPT, {"reasoningSummary": 1}, "Bad Request: Unknown parameter: 'reasoningSummary'"),
    "gemini unknown field": Row(GEMINI, {"verbosity": "low"}, "INVALID_ARGUMENT: Invalid JSON payload"),
    **{
        f"{model} {name}": Row(model, {name: True}, text)
        for model, text in ((CLAUDE, EXTRA), (GPT, "Unknown parameter"), (LLAMA, UNKNOWN), (GEMINI, "Unknown name"))
        for name in ("store", "user", "metadata", "prompt_cache_key", "logit_bias")
    },
    "parallel_tool_calls on claude": Row(CLAUDE, {"tools": [tool()], "parallel_tool_calls": True}, EXTRA),
    "parallel_tool_calls on gpt": Row(GPT, {"tools": [tool()], "parallel_tool_calls": True}, EXTRA),
    "parallel_tool_calls on llama": Row(LLAMA, {"tools": [tool()], "parallel_tool_calls": True}, EXTRA),
    "seed on claude": Row(ADAPTIVE, {"seed": 1}, f"seed: {EXTRA}"),
    "seed on gpt": Row("gpt-5-6-sol", {"seed": 1}),
    "seed on glm": Row(GLM, {"seed": 1}),
    "n on claude": Row(CLAUDE, {"n": 2}, f"n: {EXTRA}"),
    "n over five": Row(LLAMA, {"n": 6}, "between 1 and 5"),
    "penalty on claude": Row(CLAUDE, {"presence_penalty": 0.1}, f"presence_penalty: {EXTRA}"),
    "penalty on gpt": Row(GPT, {"frequency_penalty": 0.1}, "Unknown parameter: 'frequency_penalty'"),
    "temperature on adaptive claude": Row(ADAPTIVE, {"temperature": 0}, "`temperature` is deprecated"),
    "top_p on sonnet 5": Row("claude-sonnet-5", {"top_p": 0.5}, "`top_p`"),
    "top_k on sonnet 5": Row("claude-sonnet-5", {"top_k": 5}, "`top_k`"),
    "temperature on claude 4.6": Row(CLAUDE, {"temperature": 0}),
    "temperature on gpt 5": Row(GPT, {"temperature": 0}, "'temperature' is not supported"),
    "temperature on gpt 5.6": Row("gpt-5-6-sol", {"temperature": 0}, "'temperature' is not supported"),
    "temperature on glm": Row(GLM, {"temperature": 0}),
    "temperature on gemini 3.6": Row("gemini-3-6-flash", {"temperature": 0}, "'temperature' is not supported"),
    "temperature on gemini 3.1": Row(GEMINI, {"temperature": 0}),
    "temperature on kimi": Row("kimi-k3", {"temperature": 0.2}, "'temperature' is not supported"),
    "temperature as default on kimi": Row("kimi-k3", {"temperature": 1}),
    "temperature over two": Row(LLAMA, {"temperature": 2.5}, "between 0 and 2"),
    "stop on gpt 5": Row(GPT, {"stop": ["x"]}, "'stop' is not supported"),
    "stop on claude": Row(CLAUDE, {"stop": ["x"]}),
    "stop that is a number": Row(LLAMA, {"stop": 5}, "stop: Input should be"),
    "logprobs on llama": Row(LLAMA, {"logprobs": True, "top_logprobs": 2}),
    "logprobs on claude": Row(CLAUDE, {"logprobs": True}, f"logprobs: {EXTRA}"),
    "null is as good as absent": Row(GPT, {"temperature": None, "stop": None}),
    "stream_options on gemini": Row(GEMINI, {"stream": True, "stream_options": {"include_usage": True}}, "INVALID_ARG"),
    "stream_options on llama": Row(LLAMA, {"stream": True, "stream_options": {}}, f'{UNKNOWN} \\"stream_options\\"'),
    "stream_options on claude": Row(CLAUDE, {"stream": True, "stream_options": {"include_usage": True}}),
    "stream_options without stream": Row(GPT, {"stream_options": {"include_usage": True}}, "stream_options"),
    "priority tier": Row(CLAUDE, {"service_tier": "priority", "usage_context": {"team": "a"}}),
    # wire facts 6.2: the cap on output tokens
    "max_tokens over the cap": Row(
        "meta-llama-3-1-8b-instruct",
        {"max_tokens": 10_000},
        "rpc error: code = InvalidArgument desc = max_tokens (10000) cannot exceed 8192. Please reduce the length of "
        "max output tokens generated.",
    ),
    "max_tokens zero": Row(CLAUDE, {"max_tokens": 0}, "max_tokens"),
    "max_completion_tokens": Row(GPT, {"max_completion_tokens": 50}),
    # wire facts 8.1: Responses only
    "responses only": Row("gpt-5-5-pro", {}, "only supported in v1/responses"),
    # -- reasoning: wire facts 2.3
    "reasoning_effort on claude": Row(ADAPTIVE, {"reasoning_effort": "low"}, f"reasoning_effort: {EXTRA}"),
    "thinking on gpt": Row("gpt-5-6-sol", {"thinking": {"type": "disabled"}}, "Unknown parameter: 'thinking'"),
    "thinking on gemini 3": Row(GEMINI, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "Invalid JSON payload"),
    "thinking on llama": Row(LLAMA, {"thinking": {"type": "disabled"}}, UNKNOWN),
    "thinking disabled on glm": Row(GLM, {"thinking": {"type": "disabled"}}),
    "thinking disabled on opus 5": Row(ADAPTIVE, {"thinking": {"type": "disabled"}}),
    "thinking disabled on always-on": Row("claude-fable-5", {"thinking": {"type": "disabled"}}, "is not supported"),
    "budget on adaptive-only": Row(
        ADAPTIVE,
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
        '\\"thinking.type.enabled\\\\\\" is not supported for this model. Use \\\\\\"thinking.type.adaptive\\\\\\" and',
    ),
    "adaptive on budget-only": Row(BUDGET, {"thinking": {"type": "adaptive"}}, "is not supported for this model"),
    "output_config on budget-only": Row(BUDGET, {"output_config": {"effort": "low"}}, f"output_config: {EXTRA}"),
    "adaptive on 4.6": Row(CLAUDE, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    "unknown effort": Row(ADAPTIVE, {"output_config": {"effort": "huge"}}, "output_config.effort"),
    "budget equal to max_tokens": Row(
        BUDGET,
        {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 2048},
        "`max_tokens` must be greater than `thinking.budget_tokens`",
    ),
    "budget under 1024": Row(
        BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 1000}, "max_tokens": 4096}, "equal to 1024"
    ),
    "budget below max_tokens": Row(BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}),
    "forced tool while thinking": Row(
        BUDGET,
        {
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "max_tokens": 2048,
            "tools": [tool()],
            "tool_choice": "required",
        },
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    "forced tool on opus 5.5": Row("claude-opus-5-5", {"tools": [tool()], "tool_choice": "required"}, "forcing tool use"),
    "named tool on fable 5.1": Row(
        "claude-fable-5-1",
        {"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "look"}}},
        "forcing tool use",
    ),
    "forced tool on fable 5": Row("claude-fable-5", {"tools": [tool()], "tool_choice": "required"}),
    "effort none on gpt 5": Row("gpt-5", {"reasoning_effort": "none"}, "does not support 'none'"),
    "effort minimal on gpt 5.2": Row(GPT, {"reasoning_effort": "minimal"}, "does not support 'minimal'"),
    "effort none on gpt 5.1": Row("gpt-5-1", {"reasoning_effort": "none"}),
    "effort xhigh on gpt 5.1": Row("gpt-5-1", {"reasoning_effort": "xhigh"}, "does not support 'xhigh'"),
    "effort none on glm 5.2": Row(GLM, {"reasoning_effort": "none"}),
    "effort low on glm 5.2": Row(GLM, {"reasoning_effort": "low"}, "does not support 'low'"),
    "effort none on glm 5.3": Row("glm-5-3", {"reasoning_effort": "none"}, "does not support 'none'"),
    "effort on llama": Row(LLAMA, {"reasoning_effort": "low"}, UNKNOWN),
    "effort none on gpt-oss": Row(OSS, {"reasoning_effort": "none"}, "does not support 'none'"),
    "effort minimal on gemini 3.1 pro": Row(GEMINI, {"reasoning_effort": "minimal"}),
    "effort minimal on gemini 3 flash": Row("gemini-3-flash", {"reasoning_effort": "minimal"}, "does not support"),
    "budget on gemini 2.5": Row("gemini-2-5-flash", {"thinking": {"type": "enabled", "budget_tokens": 24_576}}),
    "too much budget on gemini 2.5": Row(
        "gemini-2-5-flash", {"thinking": {"type": "enabled", "budget_tokens": 24_577}}, "between 0 and 24576"
    ),
    "tools on gpt 5.6": Row(
        "gpt-5-6-sol",
        {"tools": [tool()]},
        "Function tools with reasoning_effort are not supported for gpt-5.6-sol in /v1/chat/completions. To use function "
        "tools, use /v1/responses or set reasoning_effort to 'none'.",
    ),
    "tools on gpt 5.6 with effort none": Row("gpt-5-6-sol", {"tools": [tool()], "reasoning_effort": "none"}),
    # -- messages: wire facts 2.2 (roles, parts), 2.5 (shapes)
    "no messages": Row(CLAUDE, {"messages": []}, "messages"),
    "unknown role": Row(CLAUDE, {"messages": [{"role": "human", "content": "Hi"}]}, "Unsupported message role"),
    "developer on llama": Row(LLAMA, {"messages": [{"role": "developer", "content": "x"}, HI]}, "Unsupported message role"),
    "developer on gpt": Row(GPT, {"messages": [{"role": "developer", "content": "x"}, HI]}),
    "system later": Row(CLAUDE, {"messages": [HI, SYSTEM]}, "can only be used once, as the first message"),
    "system twice": Row(LLAMA, {"messages": [SYSTEM, SYSTEM, HI]}, "can only be used once, as the first message"),
    "two user messages": Row(CLAUDE, {"messages": [HI, HI]}),
    "message name on claude": Row(CLAUDE, {"messages": [{**HI, "name": "Ann"}]}, f"messages.0.name: {EXTRA}"),
    "message name on llama": Row(LLAMA, {"messages": [{**HI, "name": "Ann"}]}, f'{UNKNOWN} \\"name\\"'),
    "empty text on claude": Row(CLAUDE, {"messages": [user({"type": "text", "text": ""})]}, "must be non-empty"),
    "empty string on claude": Row(CLAUDE, {"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
    "empty text on llama": Row(LLAMA, {"messages": [user({"type": "text", "text": ""})]}),
    "empty assistant on claude": Row(CLAUDE, {"messages": [HI, {"role": "assistant", "content": ""}, HI]}, "non-empty"),
    "empty assistant with calls on claude": Row(
        CLAUDE, {"messages": [HI, {**called("a"), "content": ""}, result("a")]}, "non-empty content"
    ),
    "null assistant with calls on claude": Row(CLAUDE, {"messages": [HI, called("a"), result("a")]}),
    "assistant without anything": Row(LLAMA, {"messages": [HI, {"role": "assistant", "content": None}, HI]}, "content or"),
    "unknown part": Row(CLAUDE, {"messages": [user({"type": "input_text", "text": "x"})]}, "Unsupported content type"),
    "unknown key in a part": Row(CLAUDE, {"messages": [user({"type": "text", "text": "x", "id": "1"})]}, EXTRA),
    "index in a part on llama": Row(LLAMA, {"messages": [user({"type": "text", "text": "x", "index": 1})]}, UNKNOWN),
    "http image on claude": Row(CLAUDE, {"messages": [user(LINK)]}, "Http data URLs are not supported by Claude"),
    "http image on gpt": Row(GPT, {"messages": [user(LINK)]}),
    "data image on claude": Row(CLAUDE, {"messages": [user({"type": "text", "text": "See"}, PNG, PNG)]}),
    "image on glm": Row(GLM, {"messages": [user(PNG)]}, "Image input is not supported"),
    "image on llama 3": Row(LLAMA, {"messages": [user(PNG)]}, "Image input is not supported"),
    "image on fable 5": Row("claude-fable-5", {"messages": [user(PNG)]}, "Image input is not supported"),
    "file on claude": Row(CLAUDE, {"messages": [user(PDF)]}),
    "file from the assistant": Row(CLAUDE, {"messages": [HI, {"role": "assistant", "content": [PDF]}, HI]}, "only supported in user"),
    "image from a tool": Row(CLAUDE, {"messages": [HI, called("a"), result("a", [PNG])]}, "only supported in user"),
    "video on gemini": Row(GEMINI, {"messages": [user(VIDEO)]}),
    "video on claude": Row(CLAUDE, {"messages": [user(VIDEO)]}, "Unsupported content type: video_url"),
    "list from a tool on llama": Row(LLAMA, {"messages": [HI, called("a"), result("a", [{"type": "text", "text": "x"}])]}, "string content"),
    "empty arguments": Row(
        CLAUDE,
        {
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": ""}}],
                },
                result("a"),
            ]
        },
        "arguments",
    ),
    "index in a call": Row(CLAUDE, {"messages": [HI, called("a", index=0), result("a")]}, f"index: {EXTRA}"),
    "prefill on claude 4.6": Row(CLAUDE, {"messages": [HI, {"role": "assistant", "content": "The"}]}, "prefill"),
    "prefill on claude 4.5": Row(BUDGET, {"messages": [HI, {"role": "assistant", "content": "The"}]}),
    "prefill on llama": Row(LLAMA, {"messages": [HI, {"role": "assistant", "content": "The"}]}, "end with a user message"),
    # wire facts 5.1: reasoning has one place, the content list
    "thinking_blocks": Row(CLAUDE, {"messages": [HI, {"role": "assistant", "content": "x", "thinking_blocks": []}, HI]}, f"messages.1.thinking_blocks: {EXTRA}"),
    "reasoning_content": Row(CLAUDE, {"messages": [HI, {"role": "assistant", "content": "x", "reasoning_content": "y"}, HI]}, f"messages.1.reasoning_content: {EXTRA}"),
    "reasoning_content on glm": Row(GLM, {"messages": [HI, {"role": "assistant", "content": "x", "reasoning_content": "y"}, HI]}, EXTRA),
    "reasoning on gpt": Row(GPT, {"messages": [HI, {"role": "assistant", "content": [{"type": "reasoning", "summary": []}]}, HI]}, "reasoning"),
    # -- order: wire facts 2.5
    "unanswered call on claude": Row(CLAUDE, {"messages": [HI, called("a", "b"), result("a")]}, "without `tool_result` blocks immediately after: b"),
    "user between results on claude": Row(CLAUDE, {"messages": [HI, called("a", "b"), result("a"), HI, result("b")]}, "`tool_use` ids were found without"),
    "result of nothing on claude": Row(CLAUDE, {"messages": [HI, result("a")]}, "unexpected `tool_use_id`"),
    "result of another call on claude": Row(CLAUDE, {"messages": [HI, called("a"), result("z")]}, "unexpected `tool_use_id`"),
    "grouped results on claude": Row(CLAUDE, {"messages": [HI, called("a", "b"), result("b"), result("a")]}),
    "result of nothing on llama": Row(LLAMA, {"messages": [HI, result("a")]}, "must be a response to a preceding message"),
    "parallel history on gpt-oss": Row(OSS, {"messages": [HI, called("a", "b"), result("a"), result("b")]}, "Multiple tool calls are not supported."),
    "split history on gpt-oss": Row(OSS, {"messages": [HI, called("a"), result("a"), called("b"), result("b")]}),
    "parallel history on glm": Row(GLM, {"messages": [HI, called("a", "b"), result("a"), result("b")]}),
    "unanswered call on gpt": Row(GPT, {"messages": [HI, called("a"), HI]}, "must be followed by tool messages"),
    "result of nothing on kimi": Row("kimi-k3", {"messages": [HI, result("a")]}, "Kimi K3 tool messages need a resolvable tool name"),
    "no tool_call_id": Row(CLAUDE, {"messages": [HI, called("a"), {"role": "tool", "content": "x"}]}, "tool_call_id"),
    # -- tools: wire facts 2.2
    "thirty-three tools": Row(CLAUDE, {"tools": [tool(f"t{place}") for place in range(33)]}, "at most 32"),
    "tool name with a dot": Row(CLAUDE, {"tools": [tool("a.b")]}, "should match pattern"),
    "two tools of one name": Row(CLAUDE, {"tools": [tool(), tool()]}, "must be unique"),
    "no type on claude": Row(CLAUDE, {"tools": [tool(), tool("b", parameters={})]}, "tools.1.custom.input_schema.type: Field required"),
    "no type on glm": Row(GLM, {"tools": [tool(parameters={})]}),
    "no parameters on llama": Row(LLAMA, {"tools": [{"type": "function", "function": {"name": "look"}}]}, 'is a required property for'),
    "no parameters on claude": Row(CLAUDE, {"tools": [{"type": "function", "function": {"name": "look"}}]}),
    "strict on claude": Row(CLAUDE, {"tools": [tool(strict=True)]}, f"tools.0.function.strict: {EXTRA}"),
    "strict on llama": Row(LLAMA, {"tools": [tool(strict=True)]}, f'{UNKNOWN} \\"strict\\"'),
    "strict on gpt": Row(GPT, {"tools": [tool(strict=True)]}),
    "$schema on gemini": Row(GEMINI, {"tools": [tool(parameters={"type": "object", "$schema": "x"})]}, "$schema"),
    "exclusiveMinimum on gemini": Row(GEMINI, {"tools": [tool(parameters={"type": "object", "properties": {"a": {"type": "integer", "exclusiveMinimum": 0}}})]}, "exclusiveMinimum"),
    "$ref on gemini": Row(GEMINI, {"tools": [tool(parameters={"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}})]}, "$ref"),
    "a property called $ref on gemini": Row(GEMINI, {"tools": [tool(parameters={"type": "object", "properties": {"$ref": {"type": "string"}}})]}),
    "exclusiveMinimum on claude": Row(CLAUDE, {"tools": [tool(parameters={"type": "object", "properties": {"a": {"type": "integer", "exclusiveMinimum": 0}}})]}),
    "bad schema": Row(CLAUDE, {"tools": [tool(parameters={"type": "thing"})]}, "JSON schema is invalid"),
    "choice any": Row(CLAUDE, {"tools": [tool()], "tool_choice": "any"}, "tool_choice"),
    "choice of another tool": Row(CLAUDE, {"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "not found in provided tools"),
    "choice without tools": Row(LLAMA, {"tool_choice": "required"}, "while providing tools"),
    "tools on an image model": Row("gemini-3-pro-image", {"tools": [tool()]}, "Tool use is not supported"),
    # -- formats: wire facts 2.2, 2.6, 8.2
    "json_object on claude": Row(CLAUDE, {**JSON, "messages": [{"role": "user", "content": "json please"}]}, "json_object"),
    "json_schema with tools on claude": Row(CLAUDE, {**schema(), "tools": [tool()]}, "Cannot specify both response_format and tools in the same request."),
    "json_schema streamed on claude": Row(CLAUDE, {**schema(), "stream": True}, "`stream` must be false"),
    "json_schema on claude": Row(CLAUDE, schema()),
    "json_schema streamed on gpt": Row(GPT, {**schema(), "stream": True, "tools": [tool()]}),
    "json_object without the word": Row(LLAMA, JSON, "must contain the word 'json'"),
    "json_object with the word in a list": Row(LLAMA, {**JSON, "messages": [user({"type": "text", "text": "JSON please"})]}, "must contain the word 'json'"),
    "json_object with the word": Row(LLAMA, {**JSON, "messages": [{"role": "user", "content": "JSON please"}]}),
    "json_schema on gemma": Row("gemma-3-12b", schema(), "is not supported for this model"),
    "sixty-five keys": Row(GPT, schema(65), "at most 64 keys"),
    "sixty-four keys": Row(GPT, schema(64)),
    "schema without a name": Row(GPT, {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "name: Field required"),
    # -- caching: wire facts 2.4
    "cache_control on claude": Row(CLAUDE, {"messages": [user({"type": "text", "text": "x", **MARK})], "tools": [{**tool(), **MARK}]}),
    "cache_control on llama": Row(LLAMA, {"messages": [user({"type": "text", "text": "x", **MARK})]}, UNKNOWN),
    "cache_control on gpt": Row(GPT, {"messages": [user({"type": "text", "text": "x", **MARK})]}, "Unknown parameter"),
    "cache_control at the top": Row(CLAUDE, MARK, f"cache_control: {EXTRA}"),
    "five breakpoints": Row(CLAUDE, {"messages": [user(*[{"type": "text", "text": "x", **MARK}] * 5)]}, "A maximum of 4 blocks"),
    "four breakpoints": Row(CLAUDE, {"messages": [user(*[{"type": "text", "text": "x", **MARK}] * 4)]}),
    # -- context: wire facts 6.2
    "too long for claude": Row(BUDGET, {"messages": [{"role": "user", "content": "a " * 200_100}]}, "prompt is too long: "),
    "too long for llama": Row(LLAMA, {"messages": [{"role": "user", "content": "a " * 128_100}]}, "maximum context length"),
    "too long for gemini": Row("gemini-3-pro-image", {"messages": [{"role": "user", "content": "a " * 66_100}]}, "prompt token count"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_table(ask: Callable[..., httpx.Response], name: str) -> None:
    row = TABLE[name]
    response = ask(row.model, **{"messages": [HI], **row.body})
    if not row.text:
        assert response.status_code == 200, response.text
        return
    assert response.status_code == row.status, response.text
    assert row.text in response.text
    assert response.json()["error_code"] in {"BAD_REQUEST", "INVALID_PARAMETER_VALUE"}
    assert response.headers["x-request-id"]


def test_a_claude_refusal_is_json_within_json(ask: Callable[..., httpx.Response]) -> None:
    # wire facts 6.1, shape 1
    body = ask(CLAUDE, "Hi", reasoning_details=1).json()
    assert body == {
        "error_code": "BAD_REQUEST",
        "message": '{"message":"reasoning_details: Extra inputs are not permitted"}\n',
    }


def test_a_gemini_refusal_comes_from_upstream(ask: Callable[..., httpx.Response]) -> None:
    # wire facts 6.1, shape 1
    body = ask(GEMINI, "Hi", stream=True, stream_options={}).json()
    assert body["message"].startswith('{"error":"Upstream error: INVALID_ARGUMENT: ')


def test_an_http_image_has_its_own_code(ask: Callable[..., httpx.Response]) -> None:
    # wire facts 2.2
    assert ask(CLAUDE, [user(LINK)]).json()["error_code"] == "INVALID_PARAMETER_VALUE"


def test_the_gateway_says_unknown_field_for_every_family(client: httpx.Client) -> None:
    # wire facts 1.2
    for model in ("system.ai.claude-opus-5", "system.ai.gpt-5", "databricks-glm-5-2"):
        body = {"model": model, "messages": [HI], "parallel_tool_calls": True}
        response = client.post("/ai-gateway/mlflow/v1/chat/completions", json=body)
        assert response.status_code == 400
        assert response.json()["message"] == 'Bad request: json: unknown field "parallel_tool_calls"'


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"x"', b'{"messages": '])
def test_a_body_that_is_no_json_object(client: httpx.Client, content: bytes) -> None:
    response = client.post(f"/serving-endpoints/databricks-{CLAUDE}/invocations", content=content)
    assert (response.status_code, response.json()["error_code"]) == (400, "BAD_REQUEST")


def test_more_than_four_megabytes(client: httpx.Client) -> None:
    # wire facts 6.3
    body = {"messages": [{"role": "user", "content": "a" * (4 * 1024 * 1024)}]}
    response = client.post(f"/serving-endpoints/databricks-{CLAUDE}/invocations", json=body)
    assert response.status_code == 400
    assert "Request size cannot exceed 4194304 bytes" in response.text
