"""The faults that have a name, and the default body of each HTTP status.

A row is a status and a body, as the real endpoints send them (docs/wire.md, 6.2, and 6.4 for the recorded bodies of
guardrails and external models; the providers' own documentation for the objects within).
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

DEFAULTS: dict[int, tuple[str, str]] = {
    400: ("BAD_REQUEST", "Bad request: a planned fault."),
    403: ("PERMISSION_DENIED", "PERMISSION_DENIED: User token does not have permission to access endpoint."),
    404: ("ENDPOINT_NOT_FOUND", "The given endpoint does not exist."),
    429: ("REQUEST_LIMIT_EXCEEDED", "REQUEST_LIMIT_EXCEEDED: Exceeded workspace QPS rate limit."),
    500: ("INTERNAL_ERROR", "The server received an invalid response from an upstream server."),
    502: ("INTERNAL_ERROR", "The server received an invalid response from an upstream server."),
    503: ("TEMPORARILY_UNAVAILABLE", "The service is temporarily at capacity."),
    504: ("DEADLINE_EXCEEDED", "The request took too long."),
}
"""The error code and the message of a status whose fault has no body (docs/wire.md, 6.2)."""
LOGIN_PAGE = (
    "<!doctype html><html><head><title>Databricks - Sign In</title></head><body>Sign in to Databricks</body></html>"
)
CATEGORIES = (
    "violent-crimes", "non-violent-crimes", "sex-crimes", "child-exploitation", "specialized-advice", "privacy",
    "intellectual-property", "indiscriminate-weapons", "hate", "self-harm", "sexual-content",
)  # fmt: skip
"""The categories of the AI gateway's safety guardrail."""


def default_body(status: int) -> dict[str, Any]:
    """Return what Databricks sends with a status."""
    code, message = DEFAULTS.get(status, ("UNKNOWN", f"A planned fault of status {status}."))
    return {"error_code": code, "message": message}


def _wrapped(code: str, inner: dict[str, Any]) -> dict[str, Any]:
    """Return a body whose message is JSON text."""
    return {"error_code": code, "message": to_json(inner).decode()}


def _external(code: str, provider: str, error: Any) -> dict[str, Any]:
    return _wrapped(code, {"external_model_provider": provider, "external_model_error": error})


def _openai(message: str, kind: str, code: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _guardrail(side: str, *flagged: str, pii: bool = False) -> dict[str, Any]:
    entry = {
        "flagged": bool(flagged),
        "categories": {name: name in flagged for name in CATEGORIES} if flagged else None,
        "category_scores": None,
        "pii_detection": True if pii else None,
        "anonymized_input": [{"role": "user", "content": "Write to <EMAIL_ADDRESS>."}] if pii else None,
    }
    return _wrapped(
        "BAD_REQUEST",
        {
            "usage": {"prompt_tokens": 196, "total_tokens": 201},
            f"{side}_guardrail": [entry],
            "finishReason": f"{side}_guardrail_triggered",
        },
    )


_FILTERED = {
    "error": {
        "param": "prompt",
        "code": "content_filter",
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": {"filtered": False, "severity": "safe"},
                "jailbreak": {"filtered": False, "detected": False},
                "violence": {"filtered": True, "severity": "medium"},
            },
        },
        "status": 400,
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    }
}

NAMED: dict[str, tuple[int, dict[str, Any] | str]] = {
    "rate_limit": (429, default_body(429)),
    "expired_token": (403, {"error_code": 403, "message": "Invalid Token"}),
    "unknown_token": (
        401,
        {"error_code": 401, "message": "Credential was not sent or was of an unsupported type for this API."},
    ),
    "login_page": (200, LOGIN_PAGE),
    "external_model_invalid_key": (
        401,
        _external(
            "UNAUTHENTICATED",
            "openai",
            _openai("Incorrect API key provided: sk-ab********yz.", "invalid_request_error", "invalid_api_key"),
        ),
    ),
    "external_model_invalid_request": (
        400,
        _external(
            "BAD_REQUEST",
            "openai",
            _openai("Invalid value for tools[0]", "invalid_request_error", "invalid_value", "tools[0]"),
        ),
    ),
    "external_model_context_overflow": (
        400,
        _external(
            "BAD_REQUEST",
            "anthropic",
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "prompt is too long: 210000 tokens > 200000 maximum",
                },
            },
        ),
    ),
    "external_model_content_filter": (400, _external("BAD_REQUEST", "openai", _FILTERED)),
    "external_model_not_found": (
        404,
        _external(
            "ENDPOINT_NOT_FOUND",
            "openai",
            _openai("The model `gpt-x` does not exist.", "invalid_request_error", "model_not_found"),
        ),
    ),
    "external_model_rate_limit": (
        429,
        {
            "error": "Received error from openai",
            "external_model_message": {
                "error": {"code": "429", "message": "Requests have exceeded token rate limit. Please retry after 1 "
                                                    "second."}
            },
        },
    ),
    "external_model_quota": (
        429,
        _external(
            "REQUEST_LIMIT_EXCEEDED",
            "openai",
            _openai("You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
        ),
    ),
    "external_model_bad_gateway": (
        502,
        _external(
            "INTERNAL_ERROR",
            "custom",
            "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
        ),
    ),
    "input_guardrail": (400, _guardrail("input", "violent-crimes")),
    "output_guardrail": (400, _guardrail("output", "privacy")),
    "pii_guardrail": (400, _guardrail("input", pii=True)),
    "named_guardrail": (
        400,
        {"error_code": "BAD_REQUEST", "message": "Request blocked by input guardrail 'no-secrets'."},
    ),
}  # fmt: skip
"""Name to status and body."""
