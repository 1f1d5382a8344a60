"""Every error this package raises, and how a server's answer becomes one.

::

    DatabricksError                     with status_code, error_code, request_id, endpoint, ...
      DatabricksAuthenticationError     401, 403 "Invalid Token", login page  ModelAuthenticationError
      DatabricksPermissionDeniedError   403                                   ModelPermissionDeniedError
      DatabricksInvalidRequestError     400, 409, 413, 422, other 4xx         ModelInvalidRequestError
        DatabricksContextOverflowError  the input is too long                 ContextOverflowError
      DatabricksNotFoundError           404                                   ModelNotFoundError
      DatabricksRateLimitError          429                                   ModelRateLimitError
      DatabricksAPIError                5xx                                   ModelAPIError
      DatabricksConnectionError         no answer came                        ModelConnectionError, ConnectionError
      DatabricksTimeoutError            408, 504, our own timeouts            ModelTimeoutError, TimeoutError
      StreamInterruptedError            the answer never said it had ended    ModelConnectionError
      MalformedResponseError            an answer that is not the API's       ModelAPIError, never retryable
      EmbeddingsIncompleteError         some of many texts have no embedding  ModelError
      ConfigurationError                known before anything is sent         ValueError
      UnsupportedContentError           content that cannot be represented    ValueError

The right column is what each leaf also is: langchain-core's own tree, so that ``except ModelRateLimitError`` works for
any provider, and `is_retryable` comes from there. A leaf is chosen by the error code first and by the status second,
because proxies change statuses more often than codes; a code that says nothing (``BAD_REQUEST``) gives way to the
status. All errors pickle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from pydantic_core import from_json

from langchain_dbchat.error_bodies import ErrorBody, read_error_body, read_retry_after, scrub
from langchain_dbchat.error_meanings import GARBLED, Leaf, Row, compose, describe, find_limit, find_row, read_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage

__all__ = [
    "ConfigurationError",
    "DatabricksAPIError",
    "DatabricksAuthenticationError",
    "DatabricksConnectionError",
    "DatabricksContextOverflowError",
    "DatabricksError",
    "DatabricksInvalidRequestError",
    "DatabricksNotFoundError",
    "DatabricksPermissionDeniedError",
    "DatabricksRateLimitError",
    "DatabricksTimeoutError",
    "EmbeddingsIncompleteError",
    "ErrorResponse",
    "MalformedResponseError",
    "StreamInterrupted",
    "StreamInterruptedError",
    "UnsupportedContentError",
    "compose",
    "error_from_event",
    "error_from_response",
    "malformed_response",
    "scrub",
]


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """What an error keeps of the response, in the form langchain-core's tracer reads.

    Attributes:
        status_code: The HTTP status.
        headers: The headers with lower-case names, without cookies and without anything that authorises.
        text: The body as text, scrubbed of secrets.
    """

    status_code: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        """Decode the body.

        Returns:
            The JSON value.

        Raises:
            ValueError: The body is not JSON.
        """
        return from_json(self.text)


class DatabricksError(Exception):
    """Base of every error this package raises.

    Args:
        message: What happened, where, and what to do next. Secrets in it are masked.
        status_code: The HTTP status, if an answer came.
        error_code: The server's own code, such as ``ENDPOINT_NOT_FOUND``.
        request_id: The server's id of the request, for a support ticket.
        endpoint: The serving endpoint that was called.
        host: The host that was called.
        retry_after: Seconds the server asks to wait.
        limit_type: The limit that was hit, such as ``input_tokens_per_minute``.
        response: The answer, without secrets.
        auth: The way of signing in that was used, such as ``DATABRICKS_TOKEN``; never the secret.
        partial: The message as far as it had arrived, if a stream broke.
        detail: The server's own words alone, scrubbed.
    """

    def __init__(  # noqa: PLR0913 - one record of independent facts, all optional, all by keyword
        self,
        message: str,
        *,
        status_code: int | None = None,
        error_code: str | None = None,
        request_id: str | None = None,
        endpoint: str | None = None,
        host: str | None = None,
        retry_after: float | None = None,
        limit_type: str | None = None,
        response: ErrorResponse | None = None,
        auth: str | None = None,
        partial: AIMessage | None = None,
        detail: str | None = None,
    ) -> None:
        self.message = scrub(message)
        # Exceptions pickle as class(*args) and then __dict__, so args must stay this one text.
        super().__init__(self.message)
        self.status_code = status_code
        self.error_code = scrub(error_code) if error_code else error_code  # the server's words, as free as its others
        self.request_id = scrub(request_id) if request_id else request_id
        self.endpoint = endpoint
        self.host = host
        self.retry_after = retry_after
        self.limit_type = limit_type
        self.response = response
        self.auth = auth
        self.partial = partial
        self.detail = detail


class DatabricksAuthenticationError(DatabricksError, ModelAuthenticationError):
    """The server does not know who is calling: HTTP 401, 403 "Invalid Token", or a redirect to a login page."""


class DatabricksPermissionDeniedError(DatabricksError, ModelPermissionDeniedError):
    """The caller is known and may not do this: HTTP 403."""


class DatabricksInvalidRequestError(DatabricksError, ModelInvalidRequestError):
    """The server refuses the request as it is: HTTP 400, 409, 413, 422 and other 4xx."""


class DatabricksContextOverflowError(DatabricksInvalidRequestError, ContextOverflowError):
    """The input is longer than the model's context."""


class DatabricksNotFoundError(DatabricksError, ModelNotFoundError):
    """The serving endpoint or the API does not exist: HTTP 404."""


class DatabricksRateLimitError(DatabricksError, ModelRateLimitError):
    """A limit was reached: HTTP 429. `limit_type` and `retry_after` say which and for how long, if the server did."""


class DatabricksAPIError(DatabricksError, ModelAPIError):
    """The server failed: HTTP 5xx, or an error event within a stream."""


class DatabricksConnectionError(DatabricksError, ModelConnectionError, ConnectionError):
    """No answer came: the host cannot be reached, or it closed the connection."""


class DatabricksTimeoutError(DatabricksError, ModelTimeoutError, TimeoutError):
    """No answer came in time: HTTP 408 or 504, or a timeout of this client; the message names which."""


class StreamInterruptedError(DatabricksError, ModelConnectionError):
    """The answer stopped without saying that it had ended; `partial` holds what had arrived."""


StreamInterrupted = StreamInterruptedError  # the name under which it is exported


class MalformedResponseError(DatabricksError, ModelAPIError):
    """The answer is not one of the API: HTML, not JSON, not an object, or an event that is too large."""

    is_retryable = False


class EmbeddingsIncompleteError(DatabricksError, ModelError):
    """Of many texts some have an embedding and some do not; its cause is the first failure.

    Attributes:
        failures: The error of each text that failed, by the text's index.
        rows: What succeeded, with a row for each text: None, or a row of NaN in an array, where there is no embedding.
    """

    failures: Mapping[int, Exception] = MappingProxyType({})
    rows: Any = None


class ConfigurationError(DatabricksError, ValueError):
    """A setting is missing or wrong, and nothing was sent."""


class UnsupportedContentError(DatabricksError, ValueError):
    """A message holds content that cannot be represented in a request."""


_LEAVES: dict[Leaf, type[DatabricksError]] = {
    Leaf.AUTHENTICATION: DatabricksAuthenticationError,
    Leaf.PERMISSION_DENIED: DatabricksPermissionDeniedError,
    Leaf.INVALID_REQUEST: DatabricksInvalidRequestError,
    Leaf.CONTEXT_OVERFLOW: DatabricksContextOverflowError,
    Leaf.NOT_FOUND: DatabricksNotFoundError,
    Leaf.RATE_LIMIT: DatabricksRateLimitError,
    Leaf.API: DatabricksAPIError,
    Leaf.TIMEOUT: DatabricksTimeoutError,
    Leaf.MALFORMED: MalformedResponseError,
}
_SECRET_HEADER = re.compile(r"authori[sz]ation|cookie|-token$|-secret$|api-?key|authenticate")
_TEXT_LIMIT = 65_536  # characters of a body that an error keeps
_QUOTED = 2_000  # bytes of an unreadable answer that an error quotes
_NOT_OFFERED = 501


def error_from_response(  # noqa: PLR0913 - the answer has three parts and the call three names
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    endpoint: str | None = None,
    host: str | None = None,
    auth: str | None = None,
) -> DatabricksError:
    """Turn an answer that is not 2xx, or a page, into the error that says what happened.

    Args:
        status: The HTTP status.
        headers: The response's headers; names in any case.
        body: The body, decompressed.
        endpoint: The serving endpoint that was called.
        host: The host that was called.
        auth: The way of signing in that was used, never the secret.

    Returns:
        An error of the leaf that fits, to be raised by the caller.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    said = read_error_body(body)
    location = lower.get("location", "").partition("?")[0]
    row = find_row(status, said, location)
    error = _error(
        row,
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
    if status == _NOT_OFFERED and isinstance(error, DatabricksAPIError):
        error.is_retryable = False
    return error


def error_from_event(
    payload: Mapping[str, Any],
    *,
    endpoint: str | None = None,
    host: str | None = None,
    request_id: str | None = None,
    auth: str | None = None,
) -> DatabricksError | None:
    """Find the error in an event of a stream, or in a whole answer that came with status 200.

    Args:
        payload: The decoded event.
        endpoint: The serving endpoint that was called.
        host: The host that was called.
        request_id: The request id from the response's headers.
        auth: The way of signing in that was used, never the secret.

    Returns:
        The error, to be raised by the caller; None if the event is no error.
    """
    said = read_event(payload)
    if said is None:
        return None
    request_id = request_id or said.request_id
    row = find_row(said.status, said, "")
    what = describe("The endpoint reported an error in its answer", said, "")
    return _error(row, said, what, status=said.status, request_id=request_id, endpoint=endpoint, host=host, auth=auth)


def malformed_response(  # noqa: PLR0913 - as error_from_response, and why
    why: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    endpoint: str | None = None,
    host: str | None = None,
    auth: str | None = None,
) -> MalformedResponseError:
    """Make the error for an answer that was accepted by its status and is not one of the API.

    Args:
        why: What is wrong with it, without a full stop.
        status: The HTTP status, if it is known.
        headers: The response's headers; names in any case.
        body: The body, as far as it was read.
        endpoint: The serving endpoint that was called.
        host: The host that was called.
        auth: The way of signing in that was used, never the secret.

    Returns:
        The error, to be raised by the caller.
    """
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    request_id = lower.get("x-request-id")
    quoted = scrub(body[:_QUOTED].decode("utf-8", "replace"))
    advice = GARBLED.advice.format(host=host or "the host")
    what = f"{why}; it begins with {quoted[:200]!r}" if quoted else why
    return MalformedResponseError(
        compose(what, endpoint=endpoint, host=host, auth=auth, request_id=request_id, advice=advice),
        status_code=status,
        request_id=request_id,
        endpoint=endpoint,
        host=host,
        response=None if status is None else _keep(status, lower, body),
        auth=auth,
        detail=quoted,
    )


def _error(  # noqa: PLR0913 - what _row found and where it happened
    row: Row,
    said: ErrorBody,
    what: str,
    *,
    status: int | None,
    request_id: str | None,
    endpoint: str | None,
    host: str | None,
    auth: str | None,
) -> DatabricksError:
    named = f"the endpoint {endpoint!r}" if endpoint else "the endpoint"
    advice = row.advice.format(endpoint=named, host=host or "the host", auth=auth or "unknown")
    return _LEAVES[row.leaf](
        compose(what, endpoint=endpoint, host=host, auth=auth, request_id=request_id, advice=advice),
        status_code=status,
        error_code=said.code,
        request_id=request_id,
        endpoint=endpoint,
        host=host,
        retry_after=said.retry_after,
        limit_type=find_limit(said) if row.leaf is Leaf.RATE_LIMIT else said.limit_type,
        auth=auth,
        detail=scrub(said.message),
    )


def _keep(status: int, headers: Mapping[str, str], body: bytes) -> ErrorResponse:
    kept = {name: scrub(value) for name, value in headers.items() if not _SECRET_HEADER.search(name)}
    if "location" in kept:
        kept["location"] = kept["location"].partition("?")[0]  # a login redirect carries one-time codes in its query
    return ErrorResponse(status, kept, scrub(body.decode("utf-8", "replace"))[:_TEXT_LIMIT])
