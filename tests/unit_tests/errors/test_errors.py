"""The error tree: which leaf, what it carries, what it says, what it never shows."""

from __future__ import annotations

import copy
import pickle
from email.utils import formatdate
from time import time
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.language_models.chat_models import _generate_response_from_error
from langchain_core.messages import AIMessage
from pydantic_core import from_json, to_json

from langchain_dbchat import errors
from langchain_dbchat.errors import DatabricksError, ErrorResponse
from langchain_dbchat.errors.answers import error_from_event, error_from_response, malformed_response
from langchain_dbchat.errors.composing import make_error

PAT = "dapi" + "0123456789abcdef" * 2
JWT = "eyJraWQiOiJhYmMifQ.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl_-x"
LEAVES: dict[str, tuple[type[BaseException], ...]] = {
    "DatabricksAuthenticationError": (core.ModelAuthenticationError,),
    "DatabricksProviderAuthenticationError": (core.ModelAuthenticationError,),
    "DatabricksPermissionDeniedError": (core.ModelPermissionDeniedError,),
    "DatabricksInvalidRequestError": (core.ModelInvalidRequestError,),
    "DatabricksContextOverflowError": (core.ModelInvalidRequestError, core.ContextOverflowError),
    "DatabricksRefusalError": (
        core.ModelInvalidRequestError,
        getattr(core, "ModelRefusalError", core.ModelError),  # since langchain-core 1.7.5
    ),
    "DatabricksNotFoundError": (core.ModelNotFoundError,),
    "DatabricksRateLimitError": (core.ModelRateLimitError,),
    "DatabricksAPIError": (core.ModelAPIError,),
    "DatabricksConnectionError": (core.ModelConnectionError, ConnectionError),
    "DatabricksTimeoutError": (core.ModelTimeoutError, TimeoutError),
    "StreamInterruptedError": (core.ModelConnectionError,),
    "MalformedResponseError": (core.ModelAPIError,),
    "EmbeddingsIncompleteError": (core.ModelError,),
    "MalformedRowsError": (core.ModelError, core.ModelAPIError),
    "ConfigurationError": (ValueError,),
    "UnsupportedContentError": (ValueError,),
}
RETRYABLE = {
    "DatabricksRateLimitError",
    "DatabricksAPIError",
    "DatabricksConnectionError",
    "DatabricksTimeoutError",
    "StreamInterruptedError",
}


def refusal(status: int, body: Any = b"", **headers: str) -> DatabricksError:
    return error_from_response(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body if isinstance(body, bytes) else to_json(body),
        endpoint="my-endpoint",
        host="https://adb-1.azuredatabricks.net",
        auth="DATABRICKS_TOKEN",
    )


def test_the_tree_is_complete() -> None:
    kinds: list[type] = [value for value in vars(errors).values() if isinstance(value, type)]
    found = {kind.__name__ for kind in kinds if DatabricksError in kind.__mro__}
    assert found - {"DatabricksError"} == set(LEAVES)


def test_every_public_error_is_exported_under_one_name() -> None:
    assert errors.__all__ == sorted({"DatabricksError", "ErrorResponse", *LEAVES})
    assert all(getattr(errors, name).__name__ == name for name in errors.__all__)
    assert errors.StreamInterrupted is errors.StreamInterruptedError  # its former name still imports


@pytest.mark.parametrize("name", LEAVES)
def test_every_leaf_is_also_what_others_catch(name: str) -> None:
    kind = getattr(errors, name)
    others: list[type] = [DatabricksError, *LEAVES[name]]
    for other in others:
        assert issubclass(kind, other)
    assert bool(getattr(kind("x"), "is_retryable", False)) is (name in RETRYABLE)


@pytest.mark.parametrize("name", ["DatabricksError", *LEAVES])
def test_every_error_pickles_and_copies_whole(name: str) -> None:
    error = getattr(errors, name)(
        "what happened",
        status_code=429,
        error_code="CODE",
        request_id="id",
        endpoint="e",
        host="h",
        retry_after=1.5,
        limit_type="concurrency",
        response=ErrorResponse(429, {"a": "b"}, "{}"),
        auth="TOKEN",
        partial=AIMessage("half an ans"),
        detail="words",
    )
    error.__dict__["__notes__"] = ["attempt 1"]
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error) == error.message == "what happened"
        assert twin.__dict__ == error.__dict__
    assert all(value is not None for value in error.__dict__.values())


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "DatabricksInvalidRequestError"),
        (401, "DatabricksAuthenticationError"),
        (402, "DatabricksInvalidRequestError"),
        (403, "DatabricksPermissionDeniedError"),
        (404, "DatabricksNotFoundError"),
        (408, "DatabricksTimeoutError"),
        (409, "DatabricksInvalidRequestError"),
        (413, "DatabricksInvalidRequestError"),
        (422, "DatabricksInvalidRequestError"),
        (425, "DatabricksAPIError"),
        (429, "DatabricksRateLimitError"),
        (499, "DatabricksInvalidRequestError"),
        (500, "DatabricksAPIError"),
        (501, "DatabricksAPIError"),
        (502, "DatabricksAPIError"),
        (503, "DatabricksAPIError"),
        (504, "DatabricksTimeoutError"),
        (599, "DatabricksAPIError"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"\xff\xfe nonsense", b'{"error_code":"BAD_REQUEST","message":"no"}'])
def test_the_status_chooses_the_leaf(status: int, name: str, body: bytes) -> None:
    error = refusal(status, body)
    assert type(error).__name__ == name
    assert error.status_code == status
    assert getattr(error, "is_retryable", False) is (name in RETRYABLE and status != 501)


@pytest.mark.parametrize(
    ("status", "body", "name", "code", "words"),
    [
        # 1. error_code and message, the message being JSON text itself, with a line feed behind it
        (
            400,
            b'{"error_code":"BAD_REQUEST","message":"{\\"message\\":\\"m.1: Extra inputs are not permitted\\"}\\n"}',
            "DatabricksInvalidRequestError",
            "BAD_REQUEST",
            "m.1: Extra inputs are not permitted",
        ),
        (
            400,
            b'{"error_code":"BAD_REQUEST","message":"{\\"error\\":\\"Upstream error: INVALID_ARGUMENT: x\\"}"}',
            "DatabricksInvalidRequestError",
            "BAD_REQUEST",
            "Upstream error: INVALID_ARGUMENT: x",
        ),
        # 2. a number as code
        (
            401,
            {"error_code": 401, "message": "Credential was not sent or was of an unsupported type for this API."},
            "DatabricksAuthenticationError",
            None,
            "Credential was not sent or was of an unsupported type for this API.",
        ),
        # 3. OpenAI's shape
        (
            429,
            {"error": {"message": "Rate limit", "type": "rate_limit_exceeded", "code": 429}},
            "DatabricksRateLimitError",
            "rate_limit_exceeded",
            "Rate limit",
        ),
        (
            400,
            {"error": {"message": "Unknown parameter", "type": "invalid_request_error", "code": "unknown_parameter"}},
            "DatabricksInvalidRequestError",
            "unknown_parameter",
            "Unknown parameter",
        ),
        # 4. a string
        (500, {"error": "it broke"}, "DatabricksAPIError", None, "it broke"),
        # 5. FastAPI
        (405, {"detail": "Method Not Allowed"}, "DatabricksInvalidRequestError", None, "Method Not Allowed"),
        (
            422,
            {"detail": [{"loc": ["body", "model"], "msg": "Field required"}, {"loc": ["body"], "msg": "Bad"}]},
            "DatabricksInvalidRequestError",
            None,
            "body.model: Field required; body: Bad",
        ),
        # 6. plain text
        (
            400,
            b"Bad request: json: unknown field x",
            "DatabricksInvalidRequestError",
            None,
            "Bad request: json: unknown field x",
        ),
        (403, b"PERMISSION_DENIED: not yours\n", "DatabricksPermissionDeniedError", "PERMISSION_DENIED", "not yours"),
        # OAuth
        (
            401,
            {"error": "invalid_client", "error_description": "Client authentication failed"},
            "DatabricksAuthenticationError",
            "invalid_client",
            "Client authentication failed",
        ),
        # a LiteLLM proxy
        (500, b'data: {"error": {"message": "boom", "code": "500"}}\n\n', "DatabricksAPIError", None, "boom"),
        # the code within the message is not said twice
        (
            429,
            {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "REQUEST_LIMIT_EXCEEDED: Exceeded QPS"},
            "DatabricksRateLimitError",
            "REQUEST_LIMIT_EXCEEDED",
            "Exceeded QPS",
        ),
        # JSON of no known shape, and JSON that is none
        (500, b"[]", "DatabricksAPIError", None, ""),
        (500, b"{broken", "DatabricksAPIError", None, "{broken"),
        (500, b"null", "DatabricksAPIError", None, "null"),
        (400, {"message": {"error": {"detail": "deep"}}}, "DatabricksInvalidRequestError", None, "deep"),
    ],
)
def test_every_shape_of_body(status: int, body: Any, name: str, code: str | None, words: str) -> None:
    error = refusal(status, body)
    assert (type(error).__name__, error.error_code, error.detail) == (name, code, words)
    assert words in error.message


def test_json_within_json_ends_somewhere() -> None:
    body: Any = "innermost"
    for _ in range(10):  # each layer doubles the backslashes
        body = {"message": to_json(body).decode()}
    assert (refusal(400, body).detail or "").startswith('{"message":')
    nested = b'{"error":' * 150 + b'"innermost"' + b"}" * 150
    assert refusal(400, nested).detail == "innermost"


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"error":', "}"), ('{"message":[', "]}")])
def test_deep_json_within_deep_json_ends_somewhere(begin: str, end: str) -> None:
    count = 180 if len(end) == 1 else 90
    text = '"innermost"'
    for _ in range(3):
        text = begin * count + to_json(text).decode() + end * count
    error = error_from_event(from_json(text))
    for found in (refusal(400, text.encode()), error):
        assert found is not None
        assert found.detail


@pytest.mark.parametrize(
    "text",
    ["{'x': ...}", "{'x': {1j, b''}}", "{'error': [0x" + "f" * 5_000 + "]}", "{'message': '\\ud800'}"],
    ids=["dots", "a set", "hexadecimal", "half of a pair"],
)
def test_a_python_dict_of_anything_is_words(text: str) -> None:
    assert refusal(400, text.encode()).detail


@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}], ids=str)
@pytest.mark.parametrize(
    "body",
    [
        {"innererror": {"content_filter_result": {"hate": {"filtered": True}}}, "param": "%s"},
        {"content_filter_result": {"hate": {"filtered": "%s", "detected": "%s"}}},
        {"input_guardrail": [{"hate": {"filtered": "%s"}}], "finishReason": "input_guardrail_triggered"},
        {"output_guardrail": "%s", "finishReason": "%s", "name": "%s", "reject_message": "%s"},
    ],
)
def test_a_filters_verdict_with_a_list_or_an_object_in_any_field(body: Any, value: Any) -> None:
    text = to_json({"error": body}).decode().replace('"%s"', to_json(value).decode())
    assert refusal(400, text.encode()).status_code == 400
    assert error_from_event(from_json(text)) is not None


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        (400, "REQUEST_LIMIT_EXCEEDED", "DatabricksRateLimitError"),
        (501, "ENDPOINT_NOT_FOUND", "DatabricksNotFoundError"),
        (400, "RESOURCE_DOES_NOT_EXIST", "DatabricksNotFoundError"),
        (401, "PERMISSION_DENIED", "DatabricksPermissionDeniedError"),
        (500, "TEMPORARILY_UNAVAILABLE", "DatabricksAPIError"),
        (500, "DEADLINE_EXCEEDED", "DatabricksTimeoutError"),
        (429, "BAD_REQUEST", "DatabricksRateLimitError"),
        (503, "INVALID_PARAMETER_VALUE", "DatabricksAPIError"),
    ],
)
def test_a_code_that_says_more_goes_before_the_status(status: int, code: str, name: str) -> None:
    error = refusal(status, {"error_code": code, "message": "x"})
    assert type(error).__name__ == name
    assert error.status_code == status


@pytest.mark.parametrize(
    "words",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (1) exceeds",
        "This model's maximum context length is 131072 tokens",
        "Input is too long for requested model",
        "request exceeds token limit",
        "x exceeds the context window of",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 500])
def test_context_overflow_is_found_by_its_words(words: str, status: int) -> None:
    assert (
        type(refusal(status, {"error_code": "BAD_REQUEST", "message": words})) is errors.DatabricksContextOverflowError
    )


def test_context_overflow_is_found_by_its_code_and_not_elsewhere() -> None:
    by_code = refusal(400, {"error": {"code": "context_length_exceeded", "message": "x"}})
    assert type(by_code) is errors.DatabricksContextOverflowError
    output = refusal(400, b"Bad request: max_tokens (10000) cannot exceed 8192. max_tokens > 8192")
    assert type(output) is errors.DatabricksInvalidRequestError
    limited = refusal(429, b"input is too long for your input tokens per minute")
    assert type(limited) is errors.DatabricksRateLimitError


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("Exceeded workspace QPS rate limit for x", "queries_per_second"),
        ("Exceeded workspace input tokens per minute rate limit for x", "input_tokens_per_minute"),
        ("OTPM limit of 20,000 tokens reached", "output_tokens_per_minute"),
        ("Exceeded max number of parallel requests", "concurrency"),
        ("Too many concurrent requests", "concurrency"),
        ("no hint", None),
    ],
)
def test_the_limit_is_named(words: str, limit: str | None) -> None:
    assert refusal(429, {"message": words}).limit_type == limit
    given = refusal(429, {"error": {"message": words, "limit_type": "theirs", "retry_after": 15}})
    assert (given.limit_type, given.retry_after) == ("theirs", 15)


def test_retry_after_without_a_date_header_is_counted_from_our_clock() -> None:
    wait = refusal(503, retry_after=formatdate(time() + 30, usegmt=True)).retry_after
    assert wait is not None
    assert 25 < wait <= 30
    assert refusal(503, retry_after="inf").retry_after is None
    assert refusal(503, retry_after="-3").retry_after == 0


NO_SECONDS = ["nan", "inf", "-inf", "1e400", "9" * 400, "9" * 5000, "true", "soon", "", "[15]", "0x10"]
IN_TWO_PLACES = ['{"message": "x", "retry_after": %s}', '{"error": {"message": "x", "retry_after": %s}}']


def short(value: Any) -> str:
    return str(value)[:12]


@pytest.mark.parametrize("header", ["retry-after", "retry-after-ms"])
@pytest.mark.parametrize("value", NO_SECONDS, ids=short)
def test_a_header_that_names_no_time(header: str, value: str) -> None:
    body = to_json({"error": {"message": "slow down", "retry_after": 7}})
    assert error_from_response(status=429, headers={header: value}, body=body).retry_after == 7


@pytest.mark.parametrize("place", IN_TWO_PLACES)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((value, None) for value in ("NaN", "Infinity", "-Infinity", "1e400", "9" * 400, "true", "false", "null")),
        *((f'"{value}"', None) for value in NO_SECONDS if value != "[15]"),
        ("[15]", None),
        ('{"seconds": 15}', None),
        ("-5", 0),
        ('"-5"', 0),
        ("-1e300", 0),
        ("0", 0),
        ("15", 15),
        ('"1.5"', 1.5),
        ("1e308", 31_536_000),
        ("99999999999999999999", 31_536_000),
    ],
    ids=short,
)
def test_a_body_that_names_a_time(place: str, value: str, seconds: float | None) -> None:
    text = place % value
    assert refusal(429, text.encode()).retry_after == seconds
    event = error_from_event(from_json(text))
    assert event is not None
    assert event.retry_after == seconds


@pytest.mark.parametrize("header", ["1e308", "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_beyond_a_year_is_a_year(header: str) -> None:
    assert refusal(429, retry_after=header).retry_after == 31_536_000  # locks and sleeps refuse larger ones


@pytest.mark.parametrize(
    "header",
    ["Wed, 99999999999999999999 Oct 2026 07:28:00 GMT", f"Wed, 21 Oct {'9' * 5000} 07:28:00 GMT", "Wed, 21"],
    ids=short,
)
def test_a_date_that_is_none(header: str) -> None:
    assert refusal(429, retry_after=header).retry_after is None


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *((value, None) for value in ("NaN", "Infinity", "1e400", "9" * 400, "true", "-404", "404.5", '"4040"')),
        *((value, 404) for value in ("404", "404.0", '"404"')),
    ],
    ids=short,
)
@pytest.mark.parametrize("key", ["status", "code", "error_code", "status_code"])
def test_a_status_within_an_event(key: str, value: str, status: int | None) -> None:
    error = error_from_event(from_json(f'{{"error": {{"message": "x", "{key}": {value}}}}}'))
    assert error is not None
    assert error.status_code == status
    assert type(error.status_code) in {int, type(None)}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1e400", "9" * 400, "9" * 5000, "true", "-1"], ids=short)
@pytest.mark.parametrize(
    "body",
    [
        "%s",
        "[%s]",
        '{"message": %s}',
        '{"error": %s}',
        '{"foo": %s}',
        '{"detail": [{"loc": ["body", %s], "msg": "m"}]}',
        '{"error": {"message": "m", "param": %s, "request_id": %s, "limit_type": %s}}',
        '{"innererror": {"content_filter_result": {"hate": {"filtered": %s}}}}',
        '{"input_guardrail": %s, "finishReason": %s}',
        '{"external_model_error": %s, "external_model_provider": %s}',
        "Error code: 400 - {'error': {'message': %s}}",
    ],
)
def test_a_number_at_any_place_of_a_body(body: str, value: str) -> None:
    text = body.replace("%s", value)
    assert refusal(400, text.encode()).status_code == 400
    if len(value) <= 4_000 and not text.startswith("Error"):
        error = error_from_event(from_json(text))
        assert error is None or error.status_code is None


def test_pages_are_read_and_named() -> None:
    page = (
        b"<html><head><title>502 Bad\n Gateway</title></head><body><h1>502 Bad Gateway</h1><pre>a &amp; b</pre></body>"
    )
    error = refusal(502, page)
    assert type(error) is errors.DatabricksAPIError
    assert error.detail == "502 Bad Gateway - a & b"
    assert "(a web page)" in error.message
    assert "not a Databricks workspace" in refusal(404, page).message
    assert type(refusal(413, page)) is errors.DatabricksInvalidRequestError
    assert type(refusal(200, page)) is errors.MalformedResponseError


def test_messages_say_where_who_and_what_to_do() -> None:
    missing = refusal(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "does not exist"}, X_Request_Id="r-1")
    for part in ("404", "ENDPOINT_NOT_FOUND", "does not exist", "'my-endpoint'", "adb-1", "r-1", "DATABRICKS_TOKEN"):
        assert part in missing.message
    assert "databricks serving-endpoints list" in missing.message
    assert missing.request_id == "r-1"
    assert "credentials came from: DATABRICKS_TOKEN" in refusal(401).message
    assert "CAN QUERY on the endpoint 'my-endpoint'" in refusal(403).message
    assert "4 MB" in refusal(413).message
    bare = error_from_response(status=401, headers={}, body=b"")
    assert "with no explanation" in bare.message
    assert "None" not in bare.message
    assert len(refusal(400, b"x" * 100_000).message) < 3_000


def test_langchain_traces_the_response_without_secrets() -> None:
    error = refusal(
        400,
        {"message": f"token {PAT}"},
        authorization=f"Bearer {PAT}",
        set_cookie="session=1",
        www_authenticate="Bearer",
        x_forwarded_access_token=JWT,
        x_request_id="r-1",
        x_echo=PAT,
        x_ratelimit_remaining_tokens="7",
    )
    (generation,) = _generate_response_from_error(error)
    metadata = generation.message.response_metadata
    assert metadata["status_code"] == 400
    assert metadata["request_id"] == "r-1"
    assert metadata["body"] == {"message": "token ***"}
    assert metadata["headers"] == {"x-request-id": "r-1", "x-echo": "***", "x-ratelimit-remaining-tokens": "7"}


def test_a_response_that_is_no_json() -> None:
    with pytest.raises(ValueError, match="line 1"):
        ErrorResponse(500, {}, "nope").json()


def test_malformed_responses_say_what_came() -> None:
    error = malformed_response("not JSON", status=200, headers={"X-Request-Id": "r"}, host="h")
    assert type(error) is errors.MalformedResponseError
    assert "not JSON" in error.message
    assert len(error.message) < 500
    assert (error.request_id, error.status_code, error.host) == ("r", 200, "h")
    assert error.response is not None


def test_a_message_leaves_out_what_is_not_known() -> None:
    assert str(make_error(DatabricksError, "It broke")) == "It broke"
    known = make_error(DatabricksError, "It broke", host="h", advice="Wait.")
    assert str(known) == "It broke\n  Where: host h\n  What to do: Wait."
    assert (known.what, known.advice, known.host) == ("It broke", "Wait.", "h")
    assert str(make_error(DatabricksError, "h broke", host="h", names_host=True)) == "h broke"
