"""What the words of a refusal mean: an input that is too long, and what to do about the rest."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic_core import to_json

from langchain_dbchat import errors
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.errors.answers import error_from_response

OVERFLOWS = [
    # LiteLLM
    "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - x",
    "ContextWindowExceededError: This model cannot take that much",
    # vLLM, SGLang
    (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (1000 in the messages, "
        "4000 in the completion). Please reduce the length of the messages or completion."
    ),
    "This model's maximum context length is 131072 tokens. However, your request has 140000 input tokens.",
    (
        "You passed 9000 input tokens and requested 100 output tokens. However, the model's context length is only 819 "
        "tokens"
    ),
    "The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that ...",
    "The prompt (total length 9000) is too long to fit into the model (context length 8192)",
    "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "Requested token count exceeds the model's maximum context length of 8192 tokens.",
    # llama.cpp, LM Studio, Ollama
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
    "input is larger than the max context size. skipped",
    (
        "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context "
        "length ..."
    ),
    "the input length exceeds the context length",
    "input length exceeds maximum context length",
    # TGI, TEI
    "Input validation error: `inputs` must have less than 1024 tokens. Given: 1500",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1500 `inputs` tokens and 1000",
    # Bedrock, Cohere, Mistral, xAI
    "Input is too long for requested model.",
    "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
    "too many tokens: size limit exceeded by 1000 tokens. Try using shorter or fewer inputs.",
    "too many tokens: total number of tokens (prompt and prediction) cannot exceed 4081 - received 5000",
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    # Gemini
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Unable to submit request because the input token count is 32769 but model only supports up to 32768.",
    # Anthropic
    "prompt is too long: 210000 tokens > 200000 maximum",
    "messages: input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    # OpenAI
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    # TensorRT-LLM
    "Prompt length (5000) exceeds maximum input length (4096). Set log level to info",
    "prompt length 5000 exceeds maximum input length 4096",
    # Databricks
    "request exceeds token limit",
    "Error code: 400 - {'error_code': 'BAD_REQUEST', 'message': 'prompt is too long: 9 tokens > 8 maximum'}",
    'Upstream error: {"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}',
]
NO_OVERFLOWS = [
    "Bad request: rpc error: code = InvalidArgument desc = max_tokens (10000) cannot exceed 8192. ",
    "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for claude",
    "max_tokens is too large: 10000. This model supports at most 4096 completion tokens, whereas you provided 10000.",
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 819 tokens "
        "and your request has 26 input tokens (9000 > 8192 - 26)."
    ),
    "max_completion_tokens > 8192",
    "max_output_tokens > 8192 is not allowed",
    "thinking.budget_tokens > max_tokens",
    "Invalid value: 'my prompt is too long, said the user'. Supported values are: 'auto' and 'none'.",
    'Could not parse "the maximum context length is what?" as a date',
    "string too long",
    "Tool 'x' has too many parameters",
]


def refusal(status: int, words: str | dict[str, Any], code: str = "BAD_REQUEST") -> DatabricksError:
    body = {"error_code": code, "message": words} if isinstance(words, str) else words
    return error_from_response(status=status, headers={}, body=to_json(body), endpoint="e", host="h", auth="TOKEN")


@pytest.mark.parametrize("status", [400, 413, 422, 500])
@pytest.mark.parametrize("words", OVERFLOWS)
def test_an_input_that_is_too_long(words: str, status: int) -> None:
    error = refusal(status, words)
    assert type(error) is errors.DatabricksContextOverflowError
    assert "trim_messages" in error.message


@pytest.mark.parametrize("words", NO_OVERFLOWS)
def test_what_is_not_about_the_length_of_the_input(words: str) -> None:
    assert type(refusal(400, words)) is errors.DatabricksInvalidRequestError


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(
    "error",
    [
        {"code": "context_length_exceeded"},
        {"type": "exceed_context_size_error", "code": 400, "n_ctx": 8192},
        {"type": "ContextWindowExceededError", "code": "400"},
        {"code": "model_max_prompt_tokens_exceeded"},
    ],
)
def test_an_input_that_is_too_long_by_its_code(error: dict[str, Any], status: int) -> None:
    caught = refusal(status, {"error": {"message": "no hint", **error}})
    assert type(caught) is errors.DatabricksContextOverflowError


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_other_leaves_are_not_about_the_length(status: int) -> None:
    assert not isinstance(refusal(status, "prompt is too long"), errors.DatabricksContextOverflowError)


ADVICE = [
    # the kind of endpoint
    (400, "Missing required embeddings parameter: 'input'", "DatabricksEmbeddings"),
    (400, "This endpoint serves an embedding model and does not support chat", "DatabricksEmbeddings"),
    (400, "INVALID_PARAMETER_VALUE: Missing required chat parameter: 'messages'", "ChatDatabricksCompat for it"),
    (400, "The model does not support embeddings", "ChatDatabricksCompat for it"),
    (400, "Missing required completions parameter: 'prompt'", "llm/v1/chat"),
    (404, ("This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use "
          "v1/completions?"), "llm/v1/chat"),
    (400, ("Model is missing inputs ['input']. Note that there were extra inputs: ['messages']. Failed to enforce "
          "schema"),
     "agent or a model of your own"),
    (400, ("Invalid input. The input must be a JSON dictionary with one of the input fields {'dataframe_split', "
          "'inputs'}"), "agent or a model of your own"),
    (400, "Responses API passthrough is not supported", "set api='chat'"),
    (400, "Use the Responses API for this model", "Responses API only"),
    (404, "This model is only supported in v1/responses and not in v1/chat/completions.", "Responses API only"),
    (400, ("Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use "
          "/v1/responses instead."), "reasoning_effort='none'"),
    # the conversation
    (400, "This model does not support assistant message prefill. The conversation must end with a user message.",
     "ends with an AIMessage"),
    (400, "Chat message input roles must alternate (user -> assistant -> ...) with an optional system at the start",
     "merge_message_runs"),
    (400, "messages.3: `tool_use` ids were found without `tool_result` blocks immediately after: t_1", "ToolMessage"),
    (400, "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
     "ToolMessage"),
    # tools and schemas
    (400, "tools and response_format cannot be used together", "method='function_calling'"),
    (400, "response_format is not supported with tools", "method='function_calling'"),
    (400, "Invalid 'tools': array too long. Expected an array with maximum length 128", "fewer tools"),
    (400, "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", "Rename the tool"),
    (400, "Invalid 'tools[0].function.name': string does not match pattern. Expected '^[a-zA-Z0-9_-]+$'.",
     "Rename the tool"),
    (400, "Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required to be supplied",
     "schema"),
    (400, "tools.0.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12", "schema"),
    (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', ("does not take "
                                                                                                    "tools")),
    (400, "response_format of type json_schema is not supported by this model", "method='function_calling'"),
    (400, "This model does not support structured outputs", "method='function_calling'"),
    (400, "Parallel tool calls are not supported", "parallel_tool_calls"),
    (400, "System messages are not supported", "first HumanMessage"),
    (400, "This endpoint does not support the tool_choice parameter", "'tool_choice': leave it out"),
    (400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
     "It takes 'max_completion_tokens' instead"),
    # contents
    (400, "Image inputs are not supported by this model", "kind of content"),
    (400, "This model does not support images", "kind of content"),
    (400, "databricks-x is not a multimodal model", "kind of content"),
    # values
    (400, "max_tokens (10000) cannot exceed 8192", "max_tokens="),
    (400, "max_tokens is too large: 10000. This model supports at most 4096 completion tokens", "max_tokens="),
    (400, ("Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: "
          "'low'"),
     "reasoning_effort="),
    (400, "thinking.budget_tokens: Input should be greater than or equal to 1024", "thinking="),
    (400, ("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is "
          "supported."),
     "leave it out"),
    (400, "n > 1 is not supported for streaming", "leave n out"),
    (400, "stop_sequences: each stop sequence must contain non-whitespace", "stop="),
    (400, "Invalid 'stop': array too long. Expected an array with maximum length 4", "stop="),
    # fields
    (400, 'Bad request: json: unknown field "foo"', "extra_body={'foo': None}"),
    (400, "Unknown parameter: 'foo'.", "extra_body={'foo': None}"),
    (400, "foo: Extra inputs are not permitted", "extra_body={'foo': None}"),
    (400, 'Invalid JSON payload received. Unknown name "foo": Cannot find field.', "extra_body={'foo': None}"),
    (400, "Unrecognized request argument supplied: foo", "extra_body={'foo': None}"),
    (400, "Additional properties are not allowed ('foo' was unexpected)", "extra_body={'foo': None}"),
    (400, "messages.1.foo: Extra inputs are not permitted", "'messages.1.foo': leave that part out"),
    # the endpoint, the workspace, the caller
    (404, "The model databricks-dbrx-instruct has been deprecated", "retired"),
    (400, "Model x is retired and no longer available", "retired"),
    (400, "Foundation Model APIs are not enabled in this workspace", "administrator"),
    (403, "Model x is not available in your region", "administrator"),
    (400, "Endpoint x is in stopped state", "Start it"),
    (400, "INVALID_STATE: Cluster 1 is in Terminated state", "Start it"),
    (503, "The endpoint is scaling up from zero", "Wait some minutes"),
    (404, "The endpoint x is not ready", "Wait some minutes"),
    (403, "Source IP address: 1.2.3.4 is blocked by Databricks IP ACL for workspace: 1", "IP access list"),
    (403, "Provided OAuth token does not have required scopes: model-serving", "scope"),
    (403, "User token does not have permission to access endpoint x", "CAN QUERY"),
    (401, "Missing authorization details", "DATABRICKS_HOST"),
    (403, "invalid_authorization_details", "CAN QUERY"),
    (400, "Endpoint x is route optimized and cannot be queried with the workspace URL", "endpoint_url"),
    (403, "Use the route-optimized URL of this endpoint", "host=..."),
    (404, "The given endpoint does not exist", "AI gateway only"),
    (501, "Not implemented", "AI gateway"),
    (400, "Your credit balance is too low to access the API", "quota"),
    (400, "Something else altogether", "Change the request as the server says"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "words", "advice"), ADVICE)
def test_the_advice_fits_the_words(status: int, words: str, advice: str) -> None:
    shown = refusal(status, words).message.partition("What to do: ")[2]
    assert advice in shown
    assert "{" not in re.sub(r"extra_body=\{'\w+': None\}", "", shown)


@pytest.mark.parametrize("words", ["Use the 'seed' {field} of {0} {}", 'unknown field "{x}"', "{endpoint!r:>{w}}"])
def test_braces_of_the_server_are_words(words: str) -> None:
    assert words in refusal(400, words).message


def test_a_network_that_refuses_is_not_the_token() -> None:
    denied = refusal(401, "Access to x is denied because of serverless network policy", "CUSTOMER_UNAUTHORIZED")
    assert type(denied) is errors.DatabricksPermissionDeniedError
    assert "network" in denied.message
