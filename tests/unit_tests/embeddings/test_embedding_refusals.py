"""What a refusal is about."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import to_json

from langchain_dbchat.embeddings.refusals import RefusalCause, cause_of, named_limit
from langchain_dbchat.errors import (
    DatabricksConnectionError,
    DatabricksError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.errors.answers import error_from_response

GTE = "Bad request: Input embeddings size is too large, exceeding 150 limit for databricks-gte-large-en"


def refused(status: int, words: Any) -> DatabricksError:
    body = words if isinstance(words, dict) else {"error_code": "BAD_REQUEST", "message": words}
    return error_from_response(status=status, headers={}, body=to_json(body))


@pytest.mark.parametrize(
    ("status", "words", "cause"),
    [
        (400, GTE, RefusalCause.COUNT),
        (
            413,
            {"error": "batch size 100 > maximum allowed batch size 32", "error_type": "Validation"},
            RefusalCause.COUNT,
        ),
        (400, "Too many inputs: at most 96 texts", RefusalCause.COUNT),
        (400, "Invalid 'input': array too long. Expected an array with maximum length 2048", RefusalCause.COUNT),
        (400, "Request size cannot exceed 4194304 bytes.", RefusalCause.SIZE),
        (413, "", RefusalCause.SIZE),
        (400, "Requested 400000 tokens, max 300000 tokens per request", RefusalCause.SIZE),
        (400, "request too large", RefusalCause.SIZE),
        (
            400,
            "This model's maximum context length is 32768 tokens. Your input resulted in 40000",
            RefusalCause.LENGTH,
        ),
        (400, "input is too long", RefusalCause.LENGTH),
        (400, "a text holds what is not accepted", RefusalCause.TEXT),
        (422, {"detail": "no"}, RefusalCause.TEXT),
        (429, "slow down", RefusalCause.LOAD),
        (503, "no capacity", RefusalCause.LOAD),
        (500, "upstream", RefusalCause.SERVER),
        (502, "upstream", RefusalCause.SERVER),
        (504, "late", RefusalCause.SERVER),
        (501, "not offered", RefusalCause.CALL),
        (401, "who", RefusalCause.CALL),
        (403, "no", RefusalCause.CALL),
        (404, "where", RefusalCause.CALL),
    ],
)
def test_causes(status: int, words: Any, cause: RefusalCause) -> None:
    assert cause_of(refused(status, words)) is cause


def test_causes_without_an_answer() -> None:
    assert cause_of(DatabricksConnectionError("gone")) is RefusalCause.SERVER
    assert cause_of(DatabricksTimeoutError("late")) is RefusalCause.SERVER
    assert cause_of(MalformedResponseError("html")) is RefusalCause.CALL


@pytest.mark.parametrize(
    ("words", "tried", "limit"),
    [
        (GTE, 151, 150),
        (GTE, 100, 50),
        ("batch size 100 > maximum allowed batch size 32", 100, 32),
        ("at most 96 texts", 100, 96),
        ("Request size cannot exceed 4,194,304 bytes.", 5_000_000, 4_194_304),
        ("Request size cannot exceed 4194304 bytes.", 4_000_001, 2_000_000),
        ("too many inputs", 100, 50),
        ("too many inputs", 1, 1),
        ("too many inputs, at most 0", 8, 4),
        pytest.param(f"at most {'9' * 5000} texts", 8, 4, id="a limit of 5000 digits"),
        pytest.param(f"the request has {'9' * 5000} texts", 8, 4, id="a number of 5000 digits"),
        pytest.param(f"{'1,' * 5000} limit", 8, 4, id="a number with 5000 commas"),
    ],
)
def test_the_limit_that_a_refusal_names(words: str, tried: int, limit: int) -> None:
    assert named_limit(refused(400, words), tried) == limit
