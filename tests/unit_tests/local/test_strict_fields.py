"""What the workspace refuses, I: fields. Each row a request, the status, the text, and the fact behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kit.refusal_rows import ADAPTIVE, CLAUDE, EXTRA, GEMINI, GLM, GPT, HI, LLAMA, UNKNOWN, Row, check, tool

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

TABLE: dict[str, Row] = {
    # -- fields: docs/wire.md, 1.2, 2.2, 2.6
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
    # docs/wire.md, 6.2, row max_tokens: the cap on output tokens
    "max_tokens over the cap": Row(
        "meta-llama-3-1-8b-instruct",
        {"max_tokens": 10_000},
        "rpc error: code = InvalidArgument desc = max_tokens (10000) cannot exceed 8192. Please reduce the length of "
        "max output tokens generated.",
    ),
    "max_tokens zero": Row(CLAUDE, {"max_tokens": 0}, "max_tokens"),
    "max_completion_tokens": Row(GPT, {"max_completion_tokens": 50}),
    # docs/wire.md, 8.1: Responses only
    "responses only": Row("gpt-5-5-pro", {}, "only supported in v1/responses"),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(ask: Callable[..., httpx.Response], name: str) -> None:
    check(ask, TABLE[name])


def test_a_claude_refusal_is_json_within_json(ask: Callable[..., httpx.Response]) -> None:
    # docs/wire.md, 6.1, row 1
    body = ask(CLAUDE, "Hi", reasoning_details=1).json()
    assert body == {
        "error_code": "BAD_REQUEST",
        "message": '{"message":"reasoning_details: Extra inputs are not permitted"}\n',
    }


def test_a_gemini_refusal_comes_from_upstream(ask: Callable[..., httpx.Response]) -> None:
    # docs/wire.md, 6.1, row 1
    body = ask(GEMINI, "Hi", stream=True, stream_options={}).json()
    assert body["message"].startswith('{"error":"Upstream error: INVALID_ARGUMENT: ')


def test_the_gateway_says_unknown_field_for_every_family(client: httpx.Client) -> None:
    # docs/wire.md, 1.2
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
    # docs/wire.md, 6.3
    body = {"messages": [{"role": "user", "content": "a" * (4 * 1024 * 1024)}]}
    response = client.post(f"/serving-endpoints/databricks-{CLAUDE}/invocations", json=body)
    assert response.status_code == 400
    assert "Request size cannot exceed 4194304 bytes" in response.text
