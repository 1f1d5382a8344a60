"""What a refusal is about."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import to_json

from langchain_dbchat.embeddings.refusals import About, about, named_limit
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
    ("status", "words", "subject"),
    [
        (400, GTE, About.COUNT),
        (413, {"error": "batch size 100 > maximum allowed batch size 32", "error_type": "Validation"}, About.COUNT),
        (400, "Too many inputs: at most 96 texts", About.COUNT),
        (400, "Invalid 'input': array too long. Expected an array with maximum length 2048", About.COUNT),
        (400, "Request size cannot exceed 4194304 bytes.", About.SIZE),
        (413, "", About.SIZE),
        (400, "Requested 400000 tokens, max 300000 tokens per request", About.SIZE),
        (400, "request too large", About.SIZE),
        (
            400,
            "This model's maximum context length is 32768 tokens. Your input resulted in 40000",
            About.LENGTH,
        ),
        (400, "input is too long", About.LENGTH),
        (400, "a text holds what is not accepted", About.TEXT),
        (422, {"detail": "no"}, About.TEXT),
        (429, "slow down", About.LOAD),
        (503, "no capacity", About.LOAD),
        (500, "upstream", About.SERVER),
        (502, "upstream", About.SERVER),
        (504, "late", About.SERVER),
        (501, "not offered", About.CALL),
        (401, "who", About.CALL),
        (403, "no", About.CALL),
        (404, "where", About.CALL),
    ],
)
def test_subjects(status: int, words: Any, subject: About) -> None:
    assert about(refused(status, words)) is subject


def test_subjects_without_an_answer() -> None:
    assert about(DatabricksConnectionError("gone")) is About.SERVER
    assert about(DatabricksTimeoutError("late")) is About.SERVER
    assert about(MalformedResponseError("html")) is About.CALL


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
    ],
)
def test_the_limit_that_a_refusal_names(words: str, tried: int, limit: int) -> None:
    assert named_limit(refused(400, words), tried) == limit
