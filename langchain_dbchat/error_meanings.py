"""What a refusal means: codes, statuses and words, each with the leaf of the error tree and the advice that go with it.

All of it is data, so that a new code is a new line. Three tables are asked in this order: codes that say more than a
status (`_BY_CODE`), the status (`_BY_STATUS`), and, in a stream, where there is no status, codes that are vague. Words
are looked at for three things only that no code tells: an expired token, a login page, and an input that is too long.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.error_bodies import ErrorBody, read_error_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GARBLED", "Leaf", "Row", "compose", "describe", "find_limit", "find_row", "read_event"]


class Leaf(Enum):
    """The leaves of the error tree that a server's answer can lead to."""

    AUTHENTICATION = "authentication"
    PERMISSION_DENIED = "permission denied"
    INVALID_REQUEST = "invalid request"
    CONTEXT_OVERFLOW = "context overflow"
    NOT_FOUND = "not found"
    RATE_LIMIT = "rate limit"
    API = "api"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"


class Row(NamedTuple):
    """One kind of refusal: the error it becomes, and what the caller can do about it."""

    leaf: Leaf
    advice: str


_LIST = "`databricks serving-endpoints list` and the Serving page of the workspace show the names that exist"
_SERVER = "This is a failure of the server. Try again later; if it stays, report the request id to Databricks."
_BY_STATUS: dict[int, Row] = {
    400: Row(
        Leaf.INVALID_REQUEST,
        "Change the request as the server says; if it names a parameter, this endpoint's model does not take it.",
    ),
    401: Row(
        Leaf.AUTHENTICATION,
        "The credentials came from: {auth}. Check that they belong to {host} and have not expired, or give others.",
    ),
    403: Row(
        Leaf.PERMISSION_DENIED,
        "The caller (credentials from: {auth}) needs CAN QUERY on {endpoint}; ask its owner. "
        "An IP access list of the workspace may also refuse this machine.",
    ),
    404: Row(
        Leaf.NOT_FOUND,
        f"Check the name of {{endpoint}}; {_LIST}. Names with dots (system.ai.*) are served by the AI gateway only.",
    ),
    408: Row(Leaf.TIMEOUT, "Try again, stream the answer, or ask for a shorter one."),
    413: Row(
        Leaf.INVALID_REQUEST,
        "The request is too large: model serving takes 4 MB (16 MB for custom models). Send fewer or smaller contents.",
    ),
    425: Row(Leaf.API, _SERVER),
    429: Row(
        Leaf.RATE_LIMIT,
        "Send fewer requests at once (LangChain's rate_limiter and max_concurrency help), wait as long as the server "
        "asks, or use an endpoint with provisioned throughput.",
    ),
    500: Row(Leaf.API, _SERVER),
    501: Row(Leaf.API, "This workspace does not offer this API; use the serving endpoint's own URL."),
    503: Row(
        Leaf.API,
        "The endpoint has no free capacity or is starting up. Try again later, or see its state on the Serving page.",
    ),
    504: Row(Leaf.TIMEOUT, "The endpoint took too long. Stream the answer, or ask for a shorter one."),
}
_LOGIN = Row(
    Leaf.AUTHENTICATION,
    "The answer leads to a login page: the host is wrong, or the credentials (from: {auth}) do not sign in there. "
    "Check DATABRICKS_HOST, here {host}.",
)
_PAGE = Row(
    Leaf.MALFORMED,
    "This is a web page and not the API: a login page, or a host that is not a Databricks workspace. "
    "Check DATABRICKS_HOST, here {host}, and the credentials (from: {auth}).",
)
_REDIRECT = Row(Leaf.MALFORMED, "Redirects are not followed. Set DATABRICKS_HOST to the workspace's own URL.")
GARBLED = Row(
    Leaf.MALFORMED, "Check that {host} is a Databricks workspace and that no proxy in between changes answers."
)
_OVERFLOW = Row(
    Leaf.CONTEXT_OVERFLOW, "Send fewer or shorter messages; trim_messages of langchain-core can cut a history."
)

# Codes that say more than a status: the row of the status that they stand for.
_BY_CODE: dict[str, int] = {
    "UNAUTHENTICATED": 401,
    "CUSTOMER_UNAUTHORIZED": 401,
    "AUTHENTICATION_ERROR": 401,
    "INVALID_API_KEY": 401,
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
}
# Codes that say no more than a status does; they count only where there is no status, in a stream.
_VAGUE_CODES: dict[str, int] = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_REQUEST_ERROR": 400,
    "INVALID_ARGUMENT": 400,
    "INVALID_PROMPT": 400,
    "INVALID_STATE": 400,
    "NOT_FOUND": 404,
    "INTERNAL_ERROR": 500,
}
_OVERFLOW_WORDS = re.compile(
    # As Claude, Gemini, GPT, Llama and the gateway say it. max_tokens is about the output and does not count.
    r"prompt is too long|(?:prompt|input) token count|(?<!max_)tokens > |maximum context length|input is too long"
    r"|exceeds? (?:the )?token limit|context_length_exceeded|exceeds? (?:the )?(?:model's )?context (?:window|length)",
    re.IGNORECASE,
)
# An OAuth token that has expired: Databricks says 403 "Invalid Token" where others say 401.
_STALE_TOKEN_WORDS = re.compile(
    r"\binvalid (?:access )?token\b|\btoken (?:has |is )?expired\b|\bexpired token\b", re.IGNORECASE
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


def read_event(payload: Mapping[str, Any]) -> ErrorBody | None:
    """Take the error out of an event: MLflow's and FMAPI's top-level keys, and the two error events of Responses.

    Args:
        payload: The decoded event, or a whole answer.

    Returns:
        What the error says; None if the event is no error.
    """
    kind = payload.get("type")
    if kind == "response.failed":
        response = payload.get("response")
        return read_error_value(response.get("error") if isinstance(response, dict) else None)
    if kind == "error" or payload.get("object") == "error" or payload.get("error") or payload.get("error_code"):
        return read_error_value(payload)
    return None


def find_row(status: int | None, said: ErrorBody, location: str) -> Row:
    """Find what an answer means.

    Args:
        status: The HTTP status, or the one an event names; None if there is neither.
        said: What the body or the event says.
        location: Where a redirect leads, else empty.

    Returns:
        The leaf of the error tree, and the advice.
    """
    code = (said.code or "").upper()
    found = _BY_CODE.get(code) or status or _VAGUE_CODES.get(code, 500)
    if found == 403 and _STALE_TOKEN_WORDS.search(said.message):  # noqa: PLR2004 - the status by its number
        found = 401
    if status is not None and 300 <= status < 400:  # noqa: PLR2004 - the same
        return _LOGIN if _LOGIN_WORDS.search(location) else _REDIRECT
    if status is not None and status < 300:  # noqa: PLR2004 - the same
        return _PAGE if said.page else GARBLED
    row = _BY_STATUS.get(found) or _BY_STATUS[400 if found < 500 else 500]  # noqa: PLR2004 - the same
    if row.leaf in {Leaf.INVALID_REQUEST, Leaf.API} and (
        _OVERFLOW_WORDS.search(said.message) or _OVERFLOW_WORDS.search(code)
    ):
        return _OVERFLOW
    if said.page and found in {400, 404, 405}:
        return Row(row.leaf, _PAGE.advice)
    return row


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
        One line (more if the server wrote more), without a full stop of ours.
    """
    name = f" {said.code}" if said.code else ""
    to = f", a redirect to {location}" if location else ""
    page = " (a web page)" if said.page else ""
    words = said.message if len(said.message) <= _QUOTED else said.message[:_QUOTED] + "..."
    return f"{start}{name}{to}{page}: {words}" if words else f"{start}{name}{to}{page}, with no explanation"


def compose(  # noqa: PLR0913 - the parts of one sentence
    what: str,
    *,
    endpoint: str | None = None,
    host: str | None = None,
    auth: str | None = None,
    request_id: str | None = None,
    advice: str = "",
) -> str:
    """Write an error's message: what happened, where and as whom, and what to do next.

    Args:
        what: What happened, without a full stop.
        endpoint: The serving endpoint.
        host: The host.
        auth: The way of signing in, never the secret.
        request_id: The server's id of the request.
        advice: What to do next, in whole sentences.

    Returns:
        One to three lines.
    """
    place = [f"endpoint {endpoint!r}"] if endpoint else []
    place += [f"host {host}"] if host else []
    place += [f"credentials from: {auth}"] if auth else []
    place += [f"request id {request_id}"] if request_id else []
    lines = (what, f"  Where: {', '.join(place)}" if place else "", f"  What to do: {advice}" if advice else "")
    return "\n".join(filter(None, lines))
