"""Errors of external models and blocks of guardrails: whose words they are, in every wrapping, and what they mean."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_core import exceptions as core
from pydantic_core import to_json

from langchain_dbchat import errors
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.shared.request.refusals import refused_field
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.errors.answers import error_from_event, error_from_response


def refusal(status: int, body: Any) -> DatabricksError:
    return error_from_response(
        status=status,
        headers={},
        body=body if isinstance(body, bytes) else to_json(body),
        endpoint="my-endpoint",
        host="https://adb-1.azuredatabricks.net",
        auth="DATABRICKS_TOKEN",
    )


def text(value: Any) -> str:
    return to_json(value).decode()


def bare(provider: str, error: Any) -> Any:
    return {"external_model_provider": provider, "external_model_error": error}


def in_message(provider: str, error: Any) -> Any:
    return {"error_code": "BAD_REQUEST", "message": text(bare(provider, error))}


def in_coded_text(provider: str, error: Any) -> Any:
    return {"error_code": "BAD_REQUEST", "message": f"BAD_REQUEST: {text(bare(provider, error))}\n"}


def as_text_within(provider: str, error: Any) -> Any:
    return in_message(provider, error if isinstance(error, str) else text(error))


def older(provider: str, error: Any) -> Any:
    return {"error": f"Received error from {provider}", "external_model_message": error}


def in_an_error(provider: str, error: Any) -> Any:
    return {"error": {"message": text(bare(provider, error)), "type": "BAD_REQUEST"}}


def in_python(provider: str, error: Any) -> Any:
    return {"error_code": "BAD_REQUEST", "message": f"Error code: 400 - {in_message(provider, error)!r}"}


WRAPPERS = [bare, in_message, in_coded_text, as_text_within, older, in_an_error, in_python]
WORDS = "Invalid value for tools[0]"
INVALID = "invalid_request_error"
TOO_LONG = "context_length_exceeded"
PROVIDERS = [
    ("openai", {"error": {"message": WORDS, "type": INVALID, "param": "tools[0]", "code": "invalid_value"}}),
    ("openai", {"message": WORDS, "type": INVALID, "param": None, "code": None}),
    ("anthropic", {"type": "error", "error": {"type": INVALID, "message": WORDS}, "request_id": "req_1"}),
    ("cohere", {"message": WORDS}),
    ("cohere", {"id": "f00-1", "message": WORDS}),
    ("amazon-bedrock", {"message": WORDS, "__type": "com.amazon.coral.service#ValidationException"}),
    ("amazon-bedrock", {"Message": WORDS}),
    ("google-vertex-ai", [{"error": {"code": 400, "message": WORDS, "status": "INVALID_ARGUMENT", "details": []}}]),
    ("custom", {"error_code": 400, "message": WORDS}),
    ("custom", {"detail": [{"loc": ["body", "tools"], "msg": WORDS}]}),
    ("custom", {"fault": {"faultstring": WORDS, "detail": {}}}),
    ("custom", {"problem": WORDS}),
    ("custom", {"errors": [{"explanation": {"say": WORDS}}]}),
    ("custom", WORDS),
    ("custom", f"<html><head><title>400</title></head><body><h1>{WORDS}</h1></body></html>"),
    ("custom", f"<html><body><p>{WORDS}</p>...</body>"),
]  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize(("provider", "error"), PROVIDERS, ids=str)
def test_the_providers_words_come_out_whatever_wraps_them(wrap: Any, provider: str, error: Any) -> None:
    caught = refusal(400, wrap(provider, error))
    assert type(caught) is errors.DatabricksInvalidRequestError
    assert WORDS in (caught.detail or "")
    assert "external_model" not in caught.message
    assert caught.provider == provider
    assert f"from the provider {provider}" in caught.message
    assert "no explanation" not in caught.message
    assert pickle.loads(pickle.dumps(caught)).provider == provider


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize(
    ("status", "error", "name", "code"),
    [
        (400, {"error": {"message": "x", "code": TOO_LONG}}, "ContextOverflow", TOO_LONG),
        (500, {"error": {"message": "x", "code": TOO_LONG}}, "ContextOverflow", TOO_LONG),
        (400, {"error": {"type": INVALID, "message": "prompt is too long: 9 tokens > 8"}}, "ContextOverflow", None),
        (400, {"error": {"message": "x", "code": "content_filter"}}, "Refusal", "content_filter"),
        (429, {"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}}, "RateLimit",
         "insufficient_quota"),
        (429, {"error": {"message": "x", "code": "rate_limit_exceeded"}}, "RateLimit", "rate_limit_exceeded"),
        (400, {"error": {"message": "x", "code": "429"}}, "RateLimit", None),
        (500, {"error": {"message": "x", "type": "rate_limit_error"}}, "RateLimit", "rate_limit_error"),
        (404, {"error": {"message": "x", "code": "model_not_found"}}, "NotFound", "model_not_found"),
        (400, {"error": {"message": "x", "code": "DeploymentNotFound"}}, "NotFound", "DeploymentNotFound"),
        (401, {"error": {"message": "x", "code": "invalid_api_key"}}, "ProviderAuthentication", "invalid_api_key"),
        (400, {"error": {"message": "x", "code": "invalid_api_key"}}, "ProviderAuthentication", "invalid_api_key"),
        (401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}},
         "ProviderAuthentication", "authentication_error"),
        (403, {"error_code": 403, "message": "Invalid access token."}, "ProviderAuthentication", None),
        (401, {"message": "invalid api token"}, "ProviderAuthentication", None),
        (400, [{"error": {"code": 400, "message": "x", "status": "INVALID_ARGUMENT",
                          "details": [{"reason": "API_KEY_INVALID"}]}}], "ProviderAuthentication", "API_KEY_INVALID"),
        (400, {"error": {"message": "API key not valid. Please pass one."}}, "ProviderAuthentication", None),
        (403, {"message": "x", "__type": "AccessDeniedException"}, "PermissionDenied", "AccessDeniedException"),
        (500, {"message": "x", "__type": "ThrottlingException"}, "RateLimit", "ThrottlingException"),
        (503, [{"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}], "API", "UNAVAILABLE"),
        (500, [{"error": {"code": 400, "message": "x", "status": "INVALID_ARGUMENT"}}], "InvalidRequest", None),
        (500, {"error": {"message": "x", "type": INVALID}}, "InvalidRequest", None),
        (500, "<html><body><h1>502 Bad Gateway</h1></body></html>", "API", None),
        (503, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "API", "overloaded_error"),
    ],
)  # fmt: skip
def test_the_providers_code_is_understood(wrap: Any, status: int, error: Any, name: str, code: str | None) -> None:
    caught = refusal(status, wrap("openai", error))
    assert type(caught).__name__ == f"Databricks{name}Error"
    assert caught.status_code == status
    if code:
        assert caught.error_code == code


def test_whose_key_it_is() -> None:
    theirs = refusal(
        401,
        in_message(
            "openai", {"error": {"message": "Incorrect API key provided: sk-abcdef123", "code": "invalid_api_key"}}
        ),
    )
    assert isinstance(theirs, core.ModelAuthenticationError)
    assert type(theirs).__name__ == "DatabricksProviderAuthenticationError"
    assert errors.DatabricksAuthenticationError not in type(theirs).__mro__
    assert "The endpoint's owner has to renew that key" in theirs.message
    assert "Incorrect API key provided: ***" in theirs.message
    assert "invalid_api_key" in theirs.message
    ours = refusal(401, {"error_code": "UNAUTHENTICATED", "message": "no"})
    assert type(ours) is errors.DatabricksAuthenticationError
    assert ours.provider is None
    assert "owner" not in ours.message


def test_a_quota_does_not_come_back_by_waiting() -> None:
    spent = refusal(429, in_message("openai", {"error": {"message": "x", "code": "insufficient_quota"}}))
    assert isinstance(spent, core.ModelRateLimitError)
    assert not spent.is_retryable
    assert errors.DatabricksRateLimitError("x").is_retryable
    assert "quota" in spent.message
    assert not pickle.loads(pickle.dumps(spent)).is_retryable


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_refused_field_is_learned_through_the_wrapping(wrap: Any) -> None:
    words = "Unsupported parameter: 'seed' is not supported with this model."
    caught = refusal(
        400, wrap("openai", {"error": {"message": words, "code": "unsupported_parameter", "param": "seed"}})
    )
    assert refused_field(caught.detail or "", {"seed": 1, "messages": []}, REFUSABLE) == "seed"
    assert "extra_body={'seed': None}" in caught.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"external_model_provider": "openai", "external_model_error": None, "error": "It broke"}, "It broke"),
        ({"external_model_provider": "openai", "external_model_error": {}}, "with no explanation"),
        ({"wrapper": {"inside": {"again": "the words"}}}, "the words"),
        ({"outcome": "failed as such", "n": 1}, "failed as such"),
        ({"a": "one thing", "b": "another thing"}, '{"a":"one thing","b":"another thing"}'),
        ({"message": "", "data": {"text": "the words"}}, "the words"),
        ({"message": {"code": 7}, "detail": "the words"}, "the words"),
        ({"title": "Bad", "detail": "the words", "status": 400, "type": "about:blank"}, "the words"),
        ({"statusCode": 400, "error": "Bad Request", "message": ["a must be b", "c"]}, "a must be b; c"),
        (b"event: error\ndata: the words\n\n", "the words"),
        (b'data: {"choices": []}\n\nevent: error\ndata: {"detail": "the words"}\n\ndata: [DONE]\n\n', "the words"),
        (b'litellm.BadRequestError: OpenAIException - {"error": {"message": "the words", "code": "x1"}}', "the words"),
        (b"upstream said <html><title>the words</title></html>", "upstream said: the words"),
    ],
)  # fmt: skip
def test_there_is_an_explanation_while_there_are_words(body: Any, words: str) -> None:
    assert words in refusal(400, body).message


def test_text_before_a_schema_stays_as_it_is() -> None:
    words = 'Invalid schema for function: {"type": "string"}'
    assert refusal(400, {"message": words}).detail == words


CATEGORIES = {"violent-crimes": True, "privacy": True, "hate": False}
USAGE = {"prompt_tokens": 1, "total_tokens": 1}


def block(side: str, entries: list[Any], reason: str = "finishReason") -> Any:
    return {"usage": USAGE, f"{side}_guardrail": entries, reason: f"{side}_guardrail_triggered"}


FLAGGED: list[Any] = [
    {
        "flagged": True,
        "categories": CATEGORIES,
        "category_scores": None,
        "pii_detection": None,
        "anonymized_input": None,
    }
]
PII: list[Any] = [
    {
        "flagged": False,
        "categories": None,
        "category_scores": None,
        "pii_detection": True,
        "anonymized_input": [{"role": "user", "content": "my own words <EMAIL_ADDRESS>"}],
    }
]


@pytest.mark.parametrize("reason", ["finishReason", "finish_reason"])
@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (FLAGGED, ("violent-crimes", "privacy")),
        (PII, ("pii",)),
        ([*PII, *FLAGGED], ("pii", "violent-crimes", "privacy")),
        ([{"flagged": True, "categories": ["hate"]}], ("hate",)),
        ([{"flagged": False, "pii_detection": [{"entity_type": "EMAIL"}, "SSN"]}], ("pii", "EMAIL", "SSN")),
        ([{"flagged": True}], ()),
        ([], ()),
    ],
)
@pytest.mark.parametrize("way", ["400", "400 bare", "200 event", "error event"])
def test_a_guardrail_is_named_with_its_side_and_what_it_found(
    side: str, reason: str, entries: list[Any], found: tuple[str, ...], way: str
) -> None:
    body = block(side, entries, reason)
    if way == "400":
        caught: DatabricksError | None = refusal(400, {"error_code": "BAD_REQUEST", "message": text(body)})
    elif way == "400 bare":
        caught = refusal(400, body)
    else:
        caught = error_from_event(body if way == "200 event" else {"error": text(body)})
    assert isinstance(caught, errors.DatabricksRefusalError)
    assert isinstance(caught, getattr(core, "ModelRefusalError", core.ModelError))
    assert not caught.is_retryable
    assert (caught.side, caught.categories) == (side, found)
    assert f"{side.capitalize()} guardrail triggered" in caught.message
    assert all(name in caught.message for name in found)
    assert "my own words" not in caught.message
    assert "parameter" not in caught.message
    assert pickle.loads(pickle.dumps(caught)).categories == found


@pytest.mark.parametrize(
    ("words", "side", "name"),
    [
        ("Request blocked by input guardrail 'no-secrets'", "input", "no-secrets"),
        ("PERMISSION_DENIED: Request blocked by output guardrail 'tone'.", "output", "tone"),
        ("Output guardrail 'x' failed to evaluate", "output", "x"),
        ("The response was blocked by the guardrail", None, None),
        ("Input guardrail triggered", "input", None),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_guardrail_that_speaks_in_words(words: str, side: str | None, name: str | None, status: int) -> None:
    caught = refusal(status, {"error_code": "BAD_REQUEST", "message": words})
    assert isinstance(caught, errors.DatabricksRefusalError)
    assert (caught.side, caught.guardrail) == (side, name)


def test_a_content_filter_of_the_provider() -> None:
    results = {
        "jailbreak": {"filtered": False, "detected": False},
        "violence": {"filtered": True, "severity": "medium"},
        "hate": {"filtered": False, "severity": "safe"},
    }
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": results}
    error = {"param": "prompt", "code": "content_filter", "innererror": inner, "status": 400, "message": "was filtered"}
    caught = refusal(400, in_message("openai", {"error": error}))
    assert isinstance(caught, errors.DatabricksRefusalError)
    assert (caught.side, caught.categories, caught.error_code) == ("input", ("violence",), "content_filter")
    assert "was filtered" in caught.message
    assert "violence" in caught.message


def test_what_was_let_through_is_no_error() -> None:
    choices = [{"message": {"content": "Hi."}, "finish_reason": "stop"}]
    assert error_from_event({"choices": choices, "input_guardrail": PII}) is None
    said = error_from_event({"choices": [{"finish_reason": "output_guardrail_triggered"}], "output_guardrail": FLAGGED})
    assert isinstance(said, errors.DatabricksRefusalError)
    assert said.categories == ("violent-crimes", "privacy")
    assert isinstance(
        error_from_event({"choices": [{"finish_reason": "input_guardrail_triggered"}]}), errors.DatabricksRefusalError
    )
