"""Errors that come as events of a stream, or as whole answers with status 200."""

from __future__ import annotations

import time
from typing import Any

import pytest

from langchain_dbchat.errors.answers import error_from_event


@pytest.mark.parametrize(
    ("payload", "name", "code", "words"),
    [
        ({"error": "agent broke"}, "DatabricksAPIError", None, "agent broke"),
        ({"error": {"message": "slow down", "code": 429}}, "DatabricksRateLimitError", None, "slow down"),
        ({"error": {"message": "slow down", "code": "429"}}, "DatabricksRateLimitError", None, "slow down"),
        ({"error_code": "BAD_REQUEST", "message": "no"}, "DatabricksInvalidRequestError", "BAD_REQUEST", "no"),
        ({"error_code": "INTERNAL_ERROR", "message": "no"}, "DatabricksAPIError", "INTERNAL_ERROR", "no"),
        ({"error_code": "TEMPORARILY_UNAVAILABLE"}, "DatabricksAPIError", "TEMPORARILY_UNAVAILABLE", ""),
        (
            {"type": "error", "code": "rate_limit_exceeded", "message": "x", "param": None, "sequence_number": 3},
            "DatabricksRateLimitError",
            "rate_limit_exceeded",
            "x",
        ),
        (
            {"type": "response.failed", "response": {"error": {"code": "invalid_prompt", "message": "x"}}},
            "DatabricksInvalidRequestError",
            "invalid_prompt",
            "x",
        ),
        ({"type": "response.failed", "response": {"error": None}}, "DatabricksAPIError", None, ""),
        ({"type": "response.failed"}, "DatabricksAPIError", None, ""),
        ({"object": "error", "message": "vllm", "code": 400}, "DatabricksInvalidRequestError", None, "vllm"),
        ({"error": {"message": "prompt is too long"}}, "DatabricksContextOverflowError", None, "prompt is too long"),
    ],
)
def test_errors_within_a_stream(payload: dict[str, Any], name: str, code: str | None, words: str) -> None:
    error = error_from_event(payload, endpoint="e", request_id="r")
    assert error is not None
    assert (type(error).__name__, error.error_code, error.detail) == (name, code, words)
    assert (error.endpoint, error.request_id) == ("e", "r")
    assert "reported an error in its answer" in error.message


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"choices": [{"delta": {"content": "error"}}], "error": None, "error_code": None},
        {"type": "response.created", "response": {"error": None}},
        {"type": "response.output_text.delta", "delta": "error"},
        {"delta": {"role": "assistant", "content": "x"}, "custom_outputs": {"error": "mine"}},
    ],
)
def test_events_that_are_no_errors(payload: dict[str, Any]) -> None:
    assert error_from_event(payload) is None


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("the words", "the words"),
        (["the", "words"], "the; words"),
        ({"detail": "the words"}, "the words"),
        ({"status": 500, "message": "the words"}, "the words"),
        ({"external_model_error": "the words"}, "the words"),
    ],
)
def test_words_without_a_known_key_are_an_error_too(payload: Any, words: str) -> None:
    error = error_from_event(payload)
    assert error is not None
    assert error.detail == words


LARGE: dict[str, Any] = {
    "words": {"error": {"message": "token=" * 1_000_000}},
    "a list": {"error": [{"message": "m"}] * 200_000},
    "objects": {"error": {"a": {f"k{number}": {"id": {"b": number}} for number in range(100_000)}}},
    "FastAPI's": {"detail": [{"loc": ["a"] * 100, "msg": ""}] * 5_000},
    "findings": {
        "input_guardrail": [{f"c{number}": True for number in range(300_000)}],
        "finishReason": "input_guardrail_triggered",
    },
    "one finding": {"input_guardrail": [{"c" * 5_000_000: True}], "finishReason": "input_guardrail_triggered"},
}


@pytest.mark.parametrize("name", LARGE)
def test_of_a_large_answer_that_is_an_error_the_beginning_is_read(name: str) -> None:
    """An answer with status 200 may have 128 MiB. The clock shows it: seconds, if all of it is read."""
    began = time.thread_time()
    error = error_from_event(LARGE[name])
    assert time.thread_time() - began < 1
    assert error is not None
    assert len(str(error)) < 25_000
    assert len(error.detail or "") <= 65_536
