"""Which field of a request a 400 names, and which words keep it."""

from __future__ import annotations

import time

import pytest

from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.shared.request.refusals import named_field, refused_field


@pytest.mark.parametrize(
    "words",
    [
        "must be below 1", "its maximum is 1", "its minimum is 0", "between 0 and 1", "expected a number",
        "expected an integer", "expected one of 0, 1", "it is out of range", "it is too long", "it is too large",
        "MUST BE 1",
    ],
)  # fmt: skip
def test_words_that_name_the_range_of_a_value_keep_the_field(words: str) -> None:
    assert refused_field("`top_p` is not supported", {"top_p": 2}, REFUSABLE) == "top_p"
    assert refused_field(f"`top_p` is not supported: {words}", {"top_p": 2}, REFUSABLE) is None


@pytest.mark.parametrize("words", ["expected", "too many", "must", "in range"])
def test_words_that_are_only_similar_do_not(words: str) -> None:
    assert refused_field(f"`top_p` is not supported: {words}", {"top_p": 2}, REFUSABLE) == "top_p"


def test_the_type_of_a_structured_answer_stands_for_its_field() -> None:
    body = {"messages": [], "response_format": {"type": "json_schema"}, "tool_choice": {"type": "function"}}
    for field in ("response_format", "tool_choice"):
        assert refused_field(f"{field}.type: 'x' is not supported for this model.", body, REFUSABLE) == field
        assert refused_field(f"{field}.schema: 'x' is not supported for this model.", body, REFUSABLE) is None


@pytest.mark.parametrize("field", ["x_(", "x(", "x_[", "a.b_c", "*_", "x_\\"])
def test_a_field_is_not_a_pattern(field: str) -> None:
    assert named_field(f"Unknown field: '{field}'", {field: 1}) == field
    assert named_field("Unknown field: 'aXb_c'", {field: 1}) is None


BODY = {
    "messages": [{"role": "user", "content": "Hello!", "name": "bo"}],
    "temperature": 0.2, "top_p": 1, "top_k": 3, "seed": 3, "logprobs": True, "user": "u", "metadata": {"a": "b"},
    "stream_options": {}, "parallel_tool_calls": False, "max_tokens": 4, "filters": {}, "system": "x", "stop": ["a"],
    "tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"properties": {}}}}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("body.seed: Extra inputs are not permitted", "seed"),
        ("1 validation error for Request\nseed\n  Extra inputs are not permitted [type=extra_forbidden]", "seed"),
        ("Unknown parameter: 'tools[0].function.strict'.", "strict"),
        ("Unrecognized request argument supplied: seed", "seed"),
        ("Unsupported value: 'temperature' does not support 0.2 with this model.", "temperature"),
        ("This model does not support the temperature parameter.", "temperature"),
        ("databricks does not support parameters: ['seed', 'top_p'], for model=x", "top_p"),
        ("create() got an unexpected keyword argument 'user'", "user"),
        ("Additional properties are not allowed ('seed' was unexpected)", "seed"),
        ("Unknown name \"topP\" at 'generation_config': Cannot find field.", "top_p"),
        ("Model Llama does not support top_k", "top_k"),
        ("Argument not supported on this model: logprobs", "logprobs"),
        ("extraneous key [top_k] is not permitted", "top_k"),
        ("parallel_tool_calls not supported", "parallel_tool_calls"),
        ("metadata: Extra inputs are not permitted", "metadata"),
        ("User is not permitted to use this endpoint", None),
        ("The user is not allowed to see it", None),
        ("metadata.user: Extra inputs are not permitted", None),
        ("custom_inputs.seed: Extra inputs are not permitted", None),
        ("tools.0.function.parameters.properties.temperature: Extra inputs are not permitted", None),
        ("tools.0.function.name: Extra inputs are not permitted", None),
        ("filters: Extra inputs are not permitted", None),
        ("Unknown field: system", None),
        ("Something about temperature, which is not supported", None),
    ],
)
def test_a_field_is_named_in_the_place_of_a_field(words: str, field: str | None) -> None:
    assert refused_field(words, BODY, REFUSABLE) == field


def test_hostile_words_are_searched_quickly() -> None:
    began = time.process_time()
    for piece in ("a", "a.", "a, ", "a and ", "parameter ", "[", '"', " ", ": ", "does not support "):
        refused_field(piece * 20_000, BODY, REFUSABLE)
    assert time.process_time() - began < 5
