"""Find what a refusal means: codes, statuses and words, each with the class of error and the advice that fit.

Rule 1. The meanings are data, so that a new code is a new line. They are searched in this order: codes that say more
than a status (`_BY_CODE`); the provider's own status, for an external model's error; the HTTP status (`_BY_STATUS`);
and in a stream, where there is no status, codes that are vague.
Rule 2. Words decide where no code does: an expired token, a network that refuses the caller's machine, a login page,
and an input that is too long (`overflow`). More specific advice is in `advice`.
Rule 3. A provider that refuses the key of an external model does not refuse the caller. It has a class of its own, and
it is never a reason to ask for another token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksContextOverflowError,
    DatabricksInvalidRequestError,
    DatabricksNotFoundError,
    DatabricksPermissionDeniedError,
    DatabricksProviderAuthenticationError,
    DatabricksRateLimitError,
    DatabricksRefusalError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.errors.advice import PROVIDER_ADVICE, QUOTA, special_advice
from langchain_dbchat.errors.bodies import VAGUE_CODES, ErrorBody, read_error_value
from langchain_dbchat.errors.guardrails import FILTER_CODES, Guardrail, blocks, filter_in_words, finish_reason_of
from langchain_dbchat.errors.overflow import is_overflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.errors.advice import Kinds

__all__ = ["GARBLED", "Meaning", "describe", "find_limit", "find_meaning", "read_event"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a refusal.

    Attributes:
        kind: The class of the error that it becomes.
        advice: What the caller can do about it.
        lasting: Whether the same request will always fail.
    """

    kind: type[DatabricksError]
    advice: str
    lasting: bool = False


_LIST = "`databricks serving-endpoints list` and the Serving page of the workspace show the names that exist"
_SERVER = "This is a failure of the server. Try again later; if it persists, report the request id to Databricks."
_BY_STATUS: dict[int, Meaning] = {
    400: Meaning(
        DatabricksInvalidRequestError,
        "Change the request as the server says; if it names a parameter, this endpoint's model does not take it.",
    ),
    401: Meaning(
        DatabricksAuthenticationError,
        "The credentials came from: {auth}. Check that they belong to {host} and have not expired, or give others.",
    ),
    403: Meaning(
        DatabricksPermissionDeniedError,
        "The caller (credentials from: {auth}) needs CAN QUERY on {endpoint}; ask its owner. "
        "An IP access list of the workspace may also refuse this machine.",
    ),
    404: Meaning(
        DatabricksNotFoundError,
        f"Check the name of {{endpoint}}; {_LIST}. Names with dots (system.ai.*) are served by the AI gateway only.",
    ),
    407: Meaning(
        DatabricksInvalidRequestError,
        "A proxy between here and {host} asks for a user name and a password: put them into its address, "
        "HTTPS_PROXY=http://user:password@proxy:port, or let NO_PROXY name the host.",
    ),
    408: Meaning(DatabricksTimeoutError, "Try again, stream the answer, or ask for a shorter one."),
    413: Meaning(
        DatabricksInvalidRequestError,
        "The request is too large: model serving takes 4 MB (16 MB for custom models). Send fewer or smaller contents.",
    ),
    425: Meaning(DatabricksAPIError, _SERVER),
    429: Meaning(
        DatabricksRateLimitError,
        "Send fewer requests at once (LangChain's rate_limiter and max_concurrency help), wait as long as the server "
        "asks, or use an endpoint with provisioned throughput.",
    ),
    500: Meaning(DatabricksAPIError, _SERVER),
    501: Meaning(
        DatabricksAPIError,
        "This workspace does not offer this API, such as the AI gateway: name a serving endpoint (databricks-...) "
        "instead of system.ai.*, or ask an administrator to enable the gateway.",
        lasting=True,
    ),
    503: Meaning(
        DatabricksAPIError,
        "The endpoint has no free capacity or is starting up. Try again later, or see its state on the Serving page.",
    ),
    504: Meaning(DatabricksTimeoutError, "The endpoint took too long. Stream the answer, or ask for a shorter one."),
}
_LOGIN = Meaning(
    DatabricksAuthenticationError,
    "The answer leads to a login page: the host is wrong, or the credentials (from: {auth}) do not sign in there. "
    "Check DATABRICKS_HOST, here {host}.",
)
_PAGE = Meaning(
    MalformedResponseError,
    "This is a web page and not the API: a login page, or a host that is not a Databricks workspace. "
    "Check DATABRICKS_HOST, here {host}, and the credentials (from: {auth}).",
)
_REDIRECT = Meaning(
    MalformedResponseError, "Redirects are not followed. Set DATABRICKS_HOST to the workspace's own URL."
)
GARBLED = Meaning(
    MalformedResponseError, "Check that {host} is a Databricks workspace and that no proxy in between changes answers."
)
_OVERFLOW = Meaning(
    DatabricksContextOverflowError, "Send fewer or shorter messages; trim_messages of langchain-core can cut a history."
)

# Classes as which servers report what a guardrail blocked, or an input that is too long.
_MAY_BE_BLOCKED: Kinds = frozenset({DatabricksInvalidRequestError, DatabricksPermissionDeniedError, DatabricksAPIError})
# Classes of a provider's errors that the caller can fix.
_FOR_THE_CALLER: Kinds = frozenset({DatabricksInvalidRequestError, DatabricksNotFoundError})

# Codes that say more than a status: the row of the status that they stand for.
_BY_CODE: dict[str, int] = {
    "UNSUPPORTED_PARAMETER": 400,
    "UNKNOWN_PARAMETER": 400,
    "UNSUPPORTED_VALUE": 400,
    "INVALID_VALUE": 400,
    "INVALID_TYPE": 400,
    "MISSING_REQUIRED_PARAMETER": 400,
    "UNAUTHENTICATED": 401,
    "CUSTOMER_UNAUTHORIZED": 401,
    "AUTHENTICATION_ERROR": 401,
    "INVALID_API_KEY": 401,
    "API_KEY_INVALID": 401,  # Google
    "PERMISSION_DENIED": 403,
    "PERMISSION_ERROR": 403,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "NOT_FOUND_ERROR": 404,
    "MODEL_NOT_FOUND": 404,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "RESOURCE_EXHAUSTED": 429,
    "RATE_LIMIT_EXCEEDED": 429,
    "RATE_LIMIT_ERROR": 429,
    "TEMPORARILY_UNAVAILABLE": 503,
    "OVERLOADED_ERROR": 503,
    "DEADLINE_EXCEEDED": 504,
    # Google, Azure and AWS behind external models.
    "UNAVAILABLE": 503,
    "DEPLOYMENTNOTFOUND": 404,
    "RATELIMITREACHED": 429,
    "TOO_MANY_REQUESTS": 429,
    "REQUEST_TOO_LARGE": 413,
    "THROTTLINGEXCEPTION": 429,
    "SERVICEUNAVAILABLEEXCEPTION": 503,
    "MODELNOTREADYEXCEPTION": 503,
    "MODELTIMEOUTEXCEPTION": 504,
    "ACCESSDENIEDEXCEPTION": 403,
    "RESOURCENOTFOUNDEXCEPTION": 404,
    "UNRECOGNIZEDCLIENTEXCEPTION": 401,
    "EXPIREDTOKENEXCEPTION": 401,
}
_REFUSAL = Meaning(
    DatabricksRefusalError,
    "Sending the same again will not help: change the messages, or ask the owner of the guardrail of {endpoint}.",
)
_FILTER = Meaning(
    DatabricksRefusalError,
    "The provider's content filter refused. Sending the same again will not help: change the messages.",
)
_NO_VERDICT = Meaning(
    DatabricksRefusalError,
    "The guardrail itself failed, and it blocks what it cannot judge. Ask the owner of the guardrail of {endpoint}.",
)
_FAILED_GUARDRAIL = re.compile(r"failed to evaluate", re.IGNORECASE)
_QUOTA_CODES = frozenset(
    {"INSUFFICIENT_QUOTA", "BILLING_ERROR", "BILLING_HARD_LIMIT_REACHED", "BILLING_NOT_ACTIVE", "QUOTA_EXCEEDED"}
)
# A provider that refuses the endpoint's key with a 400.
_KEY_WORDS = re.compile(
    r"\bapi[ _-]?key\b.{0,40}(?:not valid|invalid|incorrect|expired|revoked)"
    r"|(?:invalid|incorrect|expired) (?:x-)?api[ _-]?key",
    re.IGNORECASE,
)
# A network that refuses the machine: no other token helps.
_NETWORK_WORDS = re.compile(r"\bip (?:access list|acl|address)|network policy|private link", re.IGNORECASE)
# An OAuth token that has expired: Databricks says 403 "Invalid Token" where others say 401.
_STALE_TOKEN_WORDS = re.compile(
    r"\binvalid (?:access )?token\b|\btoken (?:has |is )?expired\b|\bexpired token\b", re.IGNORECASE
)
_ERROR_KEYS = ("error", "error_code", "external_model_error", "external_model_message")
# An event with nothing but these is an error too: {"detail": "..."}, {"status": 500, "message": "..."}.
_BARE_KEYS = frozenset(
    {"message", "detail", "msg", "status", "status_code", "code", "type", "title", "request_id", "retry_after"}
)
_LOGIN_WORDS = re.compile(r"log[-_]?in|sign[-_]?in|oidc|oauth|saml|/aad/", re.IGNORECASE)
_LIMITS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"input tokens per minute|\bITPM\b", re.IGNORECASE), "input_tokens_per_minute"),
    (re.compile(r"output tokens per minute|\bOTPM\b", re.IGNORECASE), "output_tokens_per_minute"),
    (re.compile(r"\bQPS\b|queries per second", re.IGNORECASE), "queries_per_second"),
    (re.compile(r"\bQPM\b|queries per minute", re.IGNORECASE), "queries_per_minute"),
    (re.compile(r"\bQPH\b|queries per hour", re.IGNORECASE), "queries_per_hour"),
    (re.compile(r"parallel requests|concurrent requests", re.IGNORECASE), "concurrency"),
)
_QUOTED = 2_000  # characters of the server's words that a message quotes


def read_event(payload: Any) -> ErrorBody | None:
    """Find the error in an event.

    These are errors: MLflow's and FMAPI's top-level keys, the two error events of Responses, an external model's error,
    an object with nothing but words and a code, a finish reason that says that a guardrail blocked, and anything that
    is not an object.

    Args:
        payload: The decoded event, or a whole answer.

    Returns:
        What the error says; None if the event is not an error.
    """
    if not isinstance(payload, dict):
        return read_error_value(payload)
    kind = payload.get("type")
    if kind == "response.failed":
        response = payload.get("response")
        return read_error_value(response.get("error") if isinstance(response, dict) else None)
    if kind == "error" or payload.get("object") == "error" or any(payload.get(key) for key in _ERROR_KEYS):
        return read_error_value(payload)
    if payload.keys() <= _BARE_KEYS and any(isinstance(payload.get(key), (str, list)) for key in ("message", "detail")):
        return read_error_value(payload)
    if blocks(finish_reason_of(payload)):
        return read_error_value({key: value for key, value in payload.items() if key != "choices"})
    return _blocked_choice(payload)


def _blocked_choice(payload: Mapping[str, Any]) -> ErrorBody | None:
    """Find a choice that a guardrail ended; its findings are in the choice or beside the choices."""
    choices = payload.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        reason = finish_reason_of(choice) if isinstance(choice, dict) else None
        if blocks(reason):
            facts = {key: value for key, value in payload.items() if key != "choices"}
            facts |= {key: value for key, value in choice.items() if key not in {"message", "delta", "index"}}
            said = read_error_value(facts)
            return said if said.guardrail else replace(said, guardrail=Guardrail())
    return None


def find_meaning(status: int | None, said: ErrorBody, location: str) -> Meaning:
    """Find what an answer means.

    Args:
        status: The HTTP status, or the one an event names; None if there is neither.
        said: What the body or the event says.
        location: Where a redirect leads, else empty.

    Returns:
        The meaning.
    """
    if status is not None and 300 <= status < 400:  # noqa: PLR2004  # statuses read best as numbers
        return _LOGIN if _LOGIN_WORDS.search(location) else _REDIRECT
    if status is not None and status < 300:  # noqa: PLR2004  # as above
        return _PAGE if said.page else GARBLED
    return _meaning_of_refusal(_status_meant(status, said), said)


def _meaning_of_refusal(found: int, said: ErrorBody) -> Meaning:
    """Find the meaning of a refusal with a status of 400 or more."""
    codes = {code.upper() for code in said.codes}
    meaning = _BY_STATUS.get(found) or _BY_STATUS[400 if found < 500 else 500]  # noqa: PLR2004  # as above
    if not codes.isdisjoint(_QUOTA_CODES):
        return Meaning(DatabricksRateLimitError, QUOTA, lasting=True)
    if meaning.kind in _MAY_BE_BLOCKED:
        if said.guardrail is not None or not codes.isdisjoint(FILTER_CODES) or filter_in_words(said.message):
            return _refusal(said)
        if meaning.kind is not DatabricksPermissionDeniedError and is_overflow(said.message, codes):
            return _OVERFLOW
    if said.page and not said.provider:
        return Meaning(meaning.kind, _PAGE.advice) if found in {400, 404, 405} else meaning
    return _advised(meaning, said)


def _status_meant(status: int | None, said: ErrorBody) -> int:
    """Choose the status that an answer stands for."""
    codes = [code.upper() for code in said.codes]
    found = next((_BY_CODE[code] for code in codes if code in _BY_CODE), None)
    found = found or (said.status if said.provider else None) or status
    found = found or next((VAGUE_CODES[code] for code in codes if code in VAGUE_CODES), 500)
    if said.provider and found == 400 and _KEY_WORDS.search(said.message):  # noqa: PLR2004  # as above
        return 401
    if found == 403 and _STALE_TOKEN_WORDS.search(said.message):  # noqa: PLR2004  # statuses read best as numbers
        return 401
    if found == 401 and _NETWORK_WORDS.search(said.message):  # noqa: PLR2004  # as above
        return 403
    return found


def _advised(meaning: Meaning, said: ErrorBody) -> Meaning:
    """Replace the advice by that which fits the words and their author."""
    kind = meaning.kind
    if said.provider and kind is DatabricksAuthenticationError:
        kind = DatabricksProviderAuthenticationError
    special = special_advice(kind, said.message, said.field)
    if said.provider:
        special = (special if kind in _FOR_THE_CALLER else None) or PROVIDER_ADVICE.get(kind)
    return Meaning(kind, special or meaning.advice, meaning.lasting)


def _refusal(said: ErrorBody) -> Meaning:
    if _FAILED_GUARDRAIL.search(said.message):
        return _NO_VERDICT
    filtered = {code.upper() for code in said.codes} & FILTER_CODES
    return _FILTER if filtered or said.guardrail is None else _REFUSAL


def find_limit(said: ErrorBody) -> str | None:
    """Name the limit that a 429 is about.

    Args:
        said: What the body says.

    Returns:
        A name such as ``input_tokens_per_minute``; None if the body gives no hint.
    """
    return said.limit_type or next((name for words, name in _LIMITS if words.search(said.message)), None)


def describe(start: str, said: ErrorBody, location: str) -> str:
    """Write the first line of an error: where it came from, its code, and the server's own words.

    Args:
        start: How the sentence starts, such as ``HTTP 404``.
        said: What the body or the event says.
        location: Where a redirect leads, else empty.

    Returns:
        One line, or more if the server wrote more; no full stop is added.
    """
    name = f" {said.code}" if said.code else ""
    to = f", a redirect to {location}" if location else ""
    by = f" from the provider {said.provider}" if said.provider else ""
    page = " (a web page)" if said.page else ""
    verdict = said.guardrail.describe() if said.guardrail else ""
    words = said.message if len(said.message) <= _QUOTED else said.message[:_QUOTED] + "..."
    words = f"{verdict}. {words}" if verdict and verdict not in words and said.guardrail != Guardrail() else words
    start = f"{start}{name}{by}{to}{page}"
    return f"{start}: {words or verdict}" if words or verdict else f"{start}, with no explanation"
