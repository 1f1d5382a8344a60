"""Secrets are masked, and the server's own codes and words are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic_core import to_json

from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.errors.answers import error_from_event, error_from_response, malformed_response
from langchain_dbchat.errors.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Callable

PAT = "dapi" + "0123456789abcdef" * 2
JWT = "eyJraWQiOiJhYmMifQ.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl_-x"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"a {PAT} b", "a *** b"),
        (f"token={PAT}-2,", "token=***,"),
        ("dose0123456789abcdef0123456789abcdef", "***"),
        (f"x {JWT} y", "x *** y"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("authorization: bearer AAAAA", "authorization: bearer ***"),
        ("Basic aWQ6c2VjcmV0", "Basic ***"),
        ("key sk-proj-abcdef123", "key ***"),
        ('{"access_token": "s3cret-value", "a": 1}', '{"access_token": "***", "a": 1}'),
        ('{\\"client_secret\\":\\"s3cret\\"}', '{\\"client_secret\\":\\"***\\"}'),
        ("client_secret=s3cret&x=1", "client_secret=***&x=1"),
        ("http://me:pa55@proxy:1", "http://***@proxy:1"),
        ("Bearer token is missing", "Bearer token is missing"),
        ("use Bearer authentication", "use Bearer authentication"),
        ("a basic understanding", "a basic understanding"),
        ("task-oriented risk-averse dapivirine overdosed", "task-oriented risk-averse dapivirine overdosed"),
        ('"completion_tokens": 12345', '"completion_tokens": 12345'),
    ],
)
def test_scrub(text: str, clean: str) -> None:
    assert scrub(text) == clean
    assert scrub(clean) == clean


WORDS = [
    "invalid_api_key: Incorrect API key provided",
    "HTTP 401 invalid_api_key: Incorrect API key provided: ***. You can find your API key at https://platform.openai.com/account/api-keys.",
    "api_key: Field required",
    "body.api_key: Field required; body.password: String should have at least 8 characters",
    "Basic Authentication is disabled",
    "Basic authentication",
    "basic JavaScript knowledge",
    "bearer of bad news",
    "Bearer prefix is required",
    "Bearer Authentication",
    "Bearer OAuth tokens",
    "client_secret: invalid",
    "client_secret: invalid.",
    "password: must not be empty",
    '{"password": "must not be empty", "api_key": "Field required"}',
    '{"errors": {"api_key": "invalid"}}',
    "api_key=None",
    '"api_key": null',
    "Authorization: Bearer token is missing",
    "Authorization: Bearer must be used",
    "unexpected token=EOF",
    '"completion_tokens": 12345',
    "missing api_key: set it in the header",
    "authentication_error: invalid x-api-key",
    '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}',
    "x-api-key header is required",
    "You didn't provide an API key. Use an Authorization header with Bearer auth (i.e. Authorization: Bearer YOUR_KEY)",
    "password: Value error, too short",
    "The password: required",
    "next_token=abc",
    "max_tokens: 100",
    "UNAUTHENTICATED: Request had invalid authentication credentials. Expected OAuth 2 access token",
    "keys begin with sk-",
    "Invalid API key: expected format",
]
SECRETS = [
    ("Incorrect API key provided: sk-proj-abcdef123456.", "sk-proj-abcdef123456"),
    ("Incorrect API key provided: sk-ab***********wxyz. You", "wxyz"),
    ("Incorrect API key provided: abc123def456", "abc123def456"),
    ("api_key: abc123def456", "abc123def456"),
    ("openai_api_key=hunter", "hunter"),
    ("password: hunter2", "hunter2"),
    ("password: hunter", "hunter"),
    ('"password": "hunter"', "hunter"),
    ("'api_key': 'abcdef'", "abcdef"),
    ('{\\"password\\":\\"hunter\\"}', "hunter"),
    ("Bearer abc.def-123", "abc.def"),
    ("Authorization: Bearer hunter", "hunter"),
    ("Authorization: Bearer token-1", "token-1"),
    ("Basic aWQ6c2VjcmV0", "aWQ6"),
    ("basic YWxhZGRpbjpvcGVuc2VzYW1l", "YWxh"),
    ("http://u:p@ss@host:1", "p@ss"),
    ("http://:pass1@host", "pass1"),
    ("?token=abc123def", "abc123"),
    ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIza"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
    ("x-api-key: 1234567890abcdef", "1234567890abcdef"),
    ("client_secret=s3cret&x=1", "s3cret"),
    ('password = "correct horse battery 9"', "horse"),
    ("gsk_abcdefghijklmnop1234", "gsk_"),
    ('"authorization": "Bearer secretsecret"', "secretsecret"),
]


@pytest.mark.parametrize("text", WORDS)
def test_words_and_codes_survive(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_do_not(text: str, secret: str) -> None:
    clean = scrub(text)
    assert secret not in clean
    assert "***" in clean
    assert scrub(clean) == clean


@pytest.mark.parametrize("text", [*WORDS, *(f"{text}" for text, _ in SECRETS), PAT, JWT, "AKIA0123456789ABCDEF"])
@pytest.mark.parametrize("case", [str, str.upper, str.title])
def test_a_step_that_is_skipped_would_have_changed_nothing(text: str, case: Callable[[str], str]) -> None:
    beyond_ascii = " \u00e9"  # with it, no step is skipped
    assert scrub(case(text) + beyond_ascii) == scrub(case(text)) + beyond_ascii


@pytest.mark.parametrize("word", ["Incorrect", "invalid", "required", "Field", "must", "not", "the", "expired"])
@pytest.mark.parametrize("name", ["api_key", "invalid_api_key", "password", "client_secret", "access_token"])
@pytest.mark.parametrize("shape", ["{name}: {word} value given", "HTTP 401 {name}: {word} key provided"])
def test_a_sentence_behind_the_name_of_a_secret(name: str, word: str, shape: str) -> None:
    text = shape.format(name=name, word=word)
    assert scrub(text) == text


def test_an_error_keeps_its_code_and_its_sentence() -> None:
    body = {
        "error": {"code": "invalid_api_key", "message": "Incorrect API key provided: sk-proj-abcdef123456. See docs."}
    }
    error = error_from_response(status=401, headers={}, body=to_json(body))
    assert error.message.startswith("HTTP 401 invalid_api_key: Incorrect API key provided: ***. See docs.") or (
        error.message.startswith("HTTP 401 invalid_api_key: Incorrect API key provided: ***")
    )
    assert "sk-proj" not in f"{error.__dict__}"


def test_no_error_shows_a_secret_wherever_it_came_from() -> None:
    echo = f"You sent Bearer {JWT} and {PAT}"
    for error in (
        _refusal(403, to_json({"error_code": "PERMISSION_DENIED", "message": echo})),
        _refusal(500, echo.encode()),
        _refusal(502, f"<html><title>{echo}</title>".encode()),
        error_from_event({"error": echo}),
        malformed_response("odd", status=200, headers={"x-said": echo}),
        DatabricksError(echo),
    ):
        assert error is not None
        shown = f"{error} {error!r} {error.__dict__}"
        assert PAT not in shown
        assert JWT not in shown


def _refusal(status: int, body: bytes) -> DatabricksError:
    return error_from_response(status=status, headers={}, body=body)
