"""Make errors from a server's answers: read them, find what they mean, mask secrets, keep them for a support ticket.

Rule 1. This module is imported only where something went wrong, so that a program starts without the tables of
meanings.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_dbchat.errors import (
    DatabricksError,
    DatabricksRateLimitError,
    DatabricksRefusalError,
    ErrorResponse,
    MalformedResponseError,
)
from langchain_dbchat.errors.apps import advised_for_app, is_app
from langchain_dbchat.errors.bodies import ErrorBody, read_error_body, read_retry_after
from langchain_dbchat.errors.composing import make_error
from langchain_dbchat.errors.meanings import (
    GARBLED,
    Meaning,
    describe,
    find_limit,
    find_meaning,
    read_event,
)
from langchain_dbchat.errors.redaction import scrub
from langchain_dbchat.errors.sent_secrets import hide_in_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from langchain_core.messages import AIMessage

__all__ = ["error_from_event", "error_from_response", "malformed_response"]

_SECRET_HEADER = re.compile(r"authori[sz]ation|cookie|-token$|-secret$|api-?key|authenticate")
_TEXT_LIMIT = 65_536  # characters of a body that an error keeps


def error_from_response(  # noqa: PLR0913  # the parts of an answer and of a call
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    endpoint: str | None = None,
    host: str | None = None,
    auth: str | None = None,
    hide: Callable[[str], str] | None = None,
) -> DatabricksError:
    """Make the error for an answer that is not 2xx, or that is a web page.

    Args:
        status: The HTTP status.
        headers: The response's headers; names in any case.
        body: The body, decompressed.
        endpoint: The serving endpoint that was called.
        host: The host that was called.
        auth: The way of signing in that was used, never the secret.
        hide: A function that masks the secrets that were sent.

    Returns:
        An error of the class that fits, to be raised by the caller.
    """
    lower, body = _hidden(headers, body, hide)
    said = read_error_body(body)
    location = lower.get("location", "").partition("?")[0]
    meaning = find_meaning(status, said, location)
    if is_app(host, endpoint):
        meaning = advised_for_app(meaning, status)
    error = _error(
        meaning,
        said,
        describe(f"HTTP {status}", said, location),
        status=status,
        request_id=lower.get("x-request-id") or said.request_id,
        endpoint=endpoint,
        host=host,
        auth=auth,
    )
    error.retry_after = read_retry_after(lower, said)
    error.response = _keep(status, lower, body)
    return error


def error_from_event(
    payload: Any,
    *,
    endpoint: str | None = None,
    request_id: str | None = None,
    answer: AIMessage | None = None,
) -> DatabricksError | None:
    """Find the error in an event of a stream, or in a whole answer that came with status 200.

    Args:
        payload: The decoded event. Anything but an object, such as the text of an event with the name ``error``, is an
            error as a whole.
        endpoint: The serving endpoint that was called.
        request_id: The request id from the response's headers.
        answer: The answer that the event ends; its words become part of the error's.

    Returns:
        The error, to be raised by the caller; None if the event is not an error.
    """
    said = read_event(payload)
    if said is None:
        return None
    said = replace(said, message=said.message[:_TEXT_LIMIT])  # an answer may be far larger than the body of an error
    request_id = request_id or said.request_id
    meaning = find_meaning(said.status, said, "")  # before the model's words are added, which are not about the error
    if answer is not None:
        said = _with_words(said, answer)
    what = describe("The endpoint reported an error in its answer", said, "")
    error = _error(meaning, said, what, status=said.status, request_id=request_id, endpoint=endpoint)
    error.partial = answer
    return error


def malformed_response(  # noqa: PLR0913  # as error_from_response, and why
    why: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    endpoint: str | None = None,
    host: str | None = None,
    auth: str | None = None,
    hide: Callable[[str], str] | None = None,
) -> MalformedResponseError:
    """Make the error for an answer whose status is a success and whose body is not one of the API.

    Args:
        why: What is wrong with it, without a full stop.
        status: The HTTP status, if it is known.
        headers: The response's headers; names in any case.
        endpoint: The serving endpoint that was called.
        host: The host that was called.
        auth: The way of signing in that was used, never the secret.
        hide: A function that masks the secrets that were sent.

    Returns:
        The error, to be raised by the caller.
    """
    lower, body = _hidden(headers or {}, b"", hide)
    request_id = lower.get("x-request-id")
    advice = GARBLED.advice.format(host=host or "the host")
    return make_error(
        MalformedResponseError,
        why,
        advice=advice,
        endpoint=endpoint,
        host=host,
        auth=auth,
        request_id=request_id,
        status_code=status,
        response=None if status is None else _keep(status, lower, body),
        detail="",
    )


def _hidden(headers: Mapping[str, str], body: bytes, hide: Callable[[str], str] | None) -> tuple[dict[str, str], bytes]:
    """Return headers with lower-case names and a body, both without the secrets that were sent."""
    lower = {name.lower(): value for name, value in headers.items()}
    if hide is None:
        return lower, body
    return {name: hide(value) for name, value in lower.items()}, hide_in_bytes(hide, body)


def _with_words(said: ErrorBody, answer: AIMessage) -> ErrorBody:
    """Add the words of an answer that was ended: a refusal, or its text."""
    words = answer.additional_kwargs.get("refusal") or answer.text
    own = "" if said.guardrail is not None and said.message == said.guardrail.describe() else said.message
    return replace(said, message=". ".join(filter(None, (own, words)))) if words else said


def _error(  # noqa: PLR0913  # what happened and where
    meaning: Meaning,
    said: ErrorBody,
    what: str,
    *,
    status: int | None,
    request_id: str | None,
    endpoint: str | None,
    host: str | None = None,
    auth: str | None = None,
) -> DatabricksError:
    named = f"the endpoint {endpoint!r}" if endpoint else "the endpoint"
    advice = meaning.advice.format(
        endpoint=named, host=host or "the host", auth=auth or "unknown", provider=scrub(said.provider or "")
    )
    advice = advice[:1].upper() + advice[1:]
    error = make_error(
        meaning.kind,
        what,
        advice=advice,
        endpoint=endpoint,
        host=host,
        auth=auth,
        request_id=request_id,
        status_code=status,
        error_code=said.code,
        retry_after=said.retry_after,
        limit_type=find_limit(said) if meaning.kind is DatabricksRateLimitError else said.limit_type,
        detail=scrub(said.message),
    )
    if said.provider:
        error.provider = scrub(said.provider)
    if isinstance(error, DatabricksRefusalError) and said.guardrail is not None:
        verdict = said.guardrail
        error.side, error.guardrail, error.categories = verdict.side, verdict.name, verdict.categories
    if meaning.lasting:
        error.__dict__["is_retryable"] = False  # this error is not retryable, others of its class are
    return error


def _keep(status: int, headers: Mapping[str, str], body: bytes) -> ErrorResponse:
    kept = {name: scrub(value) for name, value in headers.items() if not _SECRET_HEADER.search(name)}
    if "location" in kept:
        kept["location"] = kept["location"].partition("?")[0]  # a login redirect has one-time codes in its query
    return ErrorResponse(status, kept, scrub(body.decode("utf-8", "replace"))[:_TEXT_LIMIT])
