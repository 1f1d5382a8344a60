"""Which refusals hold for every call, so that other calls may learn from them."""

from __future__ import annotations

import random
import time

import pytest

from langchain_dbchat.dialects.shared.request.lasting_refusals import holds_for_every_call

LASTING = [
    "temperature: Extra inputs are not permitted",
    "body.seed: Extra inputs are not permitted",
    "Unknown parameter: 'tools[0].function.strict'.",
    "Unrecognized request argument supplied: seed",
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
    "This model does not support the temperature parameter.",
    "databricks does not support parameters: ['seed', 'top_p'], for model=x",
    "create() got an unexpected keyword argument 'user'",
    "Additional properties are not allowed ('seed' was unexpected)",
    "Unknown name \"topP\" at 'generation_config': Cannot find field.",
    "Invalid JSON payload received. Unknown name \"topP\" at 'generation_config': Cannot find field.",
    'INVALID_ARGUMENT: Invalid JSON payload received. Unknown name "foo": Cannot find field.',
    "Model Llama does not support top_k",
    "Argument not supported on this model: logprobs",
    "extraneous key [top_k] is not permitted",
    "Malformed input request: #: extraneous key [top_k] is not permitted, please reformat your input and try again.",
    "parallel_tool_calls not supported",
    'Bad request: json: unknown field "stream_options"',
    "Bad Request: Unknown parameter: 'top_p'",
    "Model us.anthropic.claude-opus-5 does not support the temperature parameter.",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "response_format.type: 'json_schema' is not supported for this model.",
    "Unsupported parameter: 'text.format' is not supported with this model.",
    "output_config.format: Extra inputs are not permitted",
    "This model does not support assistant message prefill. The conversation must end with a user message.",
    "Chat message input roles must alternate (user -> assistant -> ...) with an optional system at the start",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    'messages: roles must alternate between "user" and "assistant", but found multiple "user" roles in a row',
    "response_format of type json_schema is not supported by this model",
    "This endpoint does not support the tool_choice parameter",
    "temperature is deprecated for this model",
    "`temperature` is deprecated for this model.",
    "Parameter 'seed' is not supported with mine",
    "'seed' is not supported on Databricks.",
    "property 'thinking_blocks' is unsupported",
    "seed is not supported",
    "The following parameters are not supported: seed, top_k",
    "Error code: 400 - Unknown parameter: 'seed'",
    "litellm.BadRequestError: OpenAIException - Unknown parameter: 'seed'.",
    "temperature and top_p are not supported for this model",
    (
        "1 validation error for Request\nseed\n  Extra inputs are not permitted [type=extra_forbidden, input_value=0, "
        "input_type=int]\n    For further information visit https://errors.pydantic.dev/2.11/v/extra_forbidden"
    ),
    (
        "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property "
        "'thinking_blocks' is unsupported)]"
    ),
    "Endpoint 'e' does not support parameter 'seed'. See https://docs.databricks.com/x.html for more information.",
    "Failed to deserialize the JSON body into the target type: unknown field `seed` at line 1 column 30",
    (
        "An error occurred (ValidationException) when calling the InvokeModel operation: Malformed input request: "
        "extraneous key [seed] is not permitted, please reformat your input and try again."
    ),
    (
        "Encountered an unexpected error while evaluating the model. "
        "Error 'predict() got an unexpected keyword argument 'seed''"
    ),
    "Additional properties are not allowed ('seed' was unexpected) - 'messages'",
    "seed is not supported by Databricks Foundation Model APIs",
    "Error: seed is not supported for claude-opus-5",
    "The model `gpt-5` does not support seed.",
    "seed is not supported by the serving endpoint",
    "This foundation model does not support the seed parameter",
    "vertex_ai does not support parameters: ['seed'], for model=gemini-3-flash",
    "Unsupported model parameter: 'seed'",
    (
        "litellm.UnsupportedParamsError: databricks does not support parameters: ['seed'], for model=claude-opus-5. To "
        "drop these, set `litellm.drop_params=True` or for proxy:\n\n`litellm_settings:\n drop_params: true`\n. \n If "
        "you want to use these params dynamically send allowed_openai_params=['seed'] in your request."
    ),
]
"""What servers write when they do not know a field."""

SINGLE = [
    "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    "`temperature` and `top_p` cannot both be specified",
    "temperature is not supported when reasoning is enabled",
    "logprobs is not supported when stream is true",
    "seed is not supported with n > 1",
    "temperature is not supported above 0.2",
    "temperature is not supported above 0.2 for this workspace",
    "Parameter 'service_tier' is not supported for user a (plan: free)",
    "Unsupported value: 'temperature' does not support 0.3 with this model.",
    "Unsupported value: 'temperature' does not support 0.3 with this model. Try 0.2.",
    "Blocked: The temperature is not supported",
    "Blocked (translated): temperature is not supported",
    "Off-topic question (temperature is not supported)",
    "Off-topic: user asks why temperature is not supported",
    "Thinking may not be enabled when tool_choice forces tool use.",
    "temperature is not supported on tuesdays",
    "temperature is not supported for this model in stream mode",
    "temperature is not supported with top_p",
    "temperature is not supported for this model when thinking",
    "User does not support the temperature",
    "prompt does not support temperature",
    "temperature=0.3 is not supported; use 1",
    "temperature is not supported. Except if you pay.",
    "You may not use seed. seed is not supported",
    "Off-topic: roles must alternate",
    "seed is not supported until tomorrow",
    "seed is not supported together with logprobs",
    "temperature and top_p are not supported together",
    "The parameter temperature is not supported in this region",
    "temperature not supported for reasoning",
    "seed is only supported for batch",
    "user is not allowed to set seed: seed is not allowed",
    "Invalid parameter: 'temperature'",
    "response_format is not supported with tools",
    "logprobs is not supported in the streaming API",
    "logprobs is not supported by the batch API",
    "logprobs is not supported with this thinking model",
    "temperature is not supported for the reasoning model",
    "service_tier is not supported for the guest deployment",
    "temperature is not supported on the free server",
    "The trial endpoint does not support the seed parameter",
    "logprobs is not supported for model streaming",
    "Streaming does not support parameter: logprobs",
    "batch does not support parameters: ['logprobs']",
    "Unsupported streaming parameter: logprobs",
    "Error 'the user said: seed is not supported'",
]
"""Words that name a condition, or are about something else."""


OF_SUPPORT_BOT = [
    "Model support-bot does not support the `seed` parameter.",
    "The model `support-bot` does not support seed.",
    "This model (support-bot) does not support seed.",
    "databricks does not support parameters: ['temperature'], for model=support-bot.",
    "seed is not supported for endpoint 'support-bot'",
    "The endpoint 'support-bot' does not support parameter: seed",
    "The support-bot endpoint does not support parameter: seed",
    "support-bot does not support the seed parameter",
    "'support-bot' does not support the seed parameter",
    "Unsupported parameter: 'seed' is not supported with support-bot.",
]


@pytest.mark.parametrize("name", ["support-bot", "Support bot (new)", "model", "x", "main.agents.bot"])
@pytest.mark.parametrize("text", OF_SUPPORT_BOT)
def test_words_that_name_the_endpoint_hold_for_every_call(text: str, name: str) -> None:
    text = text.replace("support-bot", name)
    assert holds_for_every_call(text, name)
    assert not holds_for_every_call(f"{text.rstrip('.')} when stream is true", name)


@pytest.mark.parametrize("text", LASTING)
def test_the_words_of_servers_hold_for_every_call(text: str) -> None:
    assert holds_for_every_call(text, "mine")


@pytest.mark.parametrize("text", SINGLE)
def test_any_other_words_may_hold_for_one(text: str) -> None:
    assert not holds_for_every_call(text, "mine")


@pytest.mark.parametrize("text", LASTING)
@pytest.mark.parametrize(
    "words", [" when stream is true", " for user a", " above 0.2", " in this conversation", ", he said"]
)
def test_a_condition_behind_the_words_of_a_server_counts(text: str, words: str) -> None:
    if "must alternate" not in text:
        assert not holds_for_every_call(text.rstrip(".") + words, "mine")


@pytest.mark.parametrize("text", LASTING)
@pytest.mark.parametrize("words", ["Blocked: ", "The user asks why ", "Off-topic (translated): ", "He said. "])
def test_words_before_those_of_a_server_count(text: str, words: str) -> None:
    assert not holds_for_every_call(words + text, "mine")


def test_hostile_words_are_searched_quickly() -> None:
    dice = random.Random(1)  # noqa: S311  # the same in each run
    pieces = ["a", "a.", "a, ", "and ", "error: ", "error", "invalid request: ", "parameter ", "'a' ", "[", ": ", " - "]
    pieces += ["does not support ", "is not supported ", "unknown ", "model ", "for this model", ". ", "\n", "(", "#: "]
    texts = [piece * 2000 for piece in pieces] + ["".join(dice.choices(pieces, k=400)) for _ in range(200)]
    began = time.process_time()
    for text in texts:
        holds_for_every_call(text[:2000], "a")
    assert time.process_time() - began < 5
