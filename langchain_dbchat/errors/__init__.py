"""Every error that this package raises; `errors.answers` makes them from a server's answers.

::

    DatabricksError                     with status_code, error_code, request_id, endpoint, ...
      DatabricksAuthenticationError     401, 403 "Invalid Token", login page  ModelAuthenticationError
      DatabricksProviderAuthenticationError  a provider refuses the endpoint's key  ModelAuthenticationError
      DatabricksPermissionDeniedError   403                                   ModelPermissionDeniedError
      DatabricksInvalidRequestError     400, 409, 413, 422, other 4xx         ModelInvalidRequestError
        DatabricksContextOverflowError  the input is too long                 ContextOverflowError
        DatabricksRefusalError          a guardrail or content filter blocked ModelRefusalError (core 1.7.5 and later)
      DatabricksNotFoundError           404                                   ModelNotFoundError
      DatabricksRateLimitError          429                                   ModelRateLimitError
      DatabricksAPIError                5xx                                   ModelAPIError
      DatabricksConnectionError         no answer came                        ModelConnectionError, ConnectionError
      DatabricksTimeoutError            408, 504, our own timeouts            ModelTimeoutError, TimeoutError
      StreamInterruptedError            the answer never said it had ended    ModelConnectionError
      MalformedResponseError            an answer that is not the API's       ModelAPIError, never retryable
      EmbeddingsIncompleteError         some of many texts have no embedding  ModelError
        MalformedRowsError              and malformed rows are the cause      MalformedResponseError
      ConfigurationError                known before anything is sent         ValueError
      UnsupportedContentError           content that cannot be represented    ValueError

Rule 1. Each class also inherits the classes in the right column. They are langchain-core's own, so ``except
ModelRateLimitError`` works for any provider, and `is_retryable` comes from them.
Rule 2. The error code chooses the class before the status does, because proxies change statuses more often than codes.
A code that says no more than a status (``BAD_REQUEST``) does not count.
Rule 3. `DatabricksError.provider` names the provider of an external model if the words come from it.
Rule 4. All errors can be pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from langchain_core import exceptions
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.exceptions import ModelRefusalError
    from langchain_core.messages import AIMessage, BaseMessage
else:  # langchain-core before 1.7.5 does not have it
    ModelRefusalError = getattr(exceptions, "ModelRefusalError", ModelError)

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
    "DatabricksProviderAuthenticationError",
    "DatabricksRateLimitError",
    "DatabricksRefusalError",
    "DatabricksTimeoutError",
    "EmbeddingsIncompleteError",
    "ErrorResponse",
    "MalformedResponseError",
    "MalformedRowsError",
    "StreamInterruptedError",
    "UnsupportedContentError",
]


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The part of a response that an error keeps, in the form that langchain-core's tracer reads.

    Attributes:
        status_code: The HTTP status.
        headers: The headers with lower-case names, without cookies and credentials.
        text: The body as text, with secrets masked.
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
    """Base of every error that this package raises.

    Args:
        message: What happened, where, and what to do next. Secrets in it are masked.
        status_code: The HTTP status, if an answer came.
        error_code: The server's own code, such as ``ENDPOINT_NOT_FOUND``.
        request_id: The server's id of the request, for a support ticket.
        endpoint: The serving endpoint that was called.
        host: The host that was called.
        retry_after: Seconds that the server asks to wait.
        limit_type: The limit that was hit, such as ``input_tokens_per_minute``.
        response: The answer, without secrets.
        auth: The way of signing in that was used, such as ``DATABRICKS_TOKEN``; never the secret.
        partial: The message as far as it had arrived, if a stream was interrupted.
        detail: The server's own words, with secrets masked.

    Attributes:
        provider: The external model's provider, such as ``openai``, if the words are the provider's; else None.
        what: What happened, if ``message`` also says where, and what to do next; else None.
        advice: What to do next; empty if ``message`` does not say it.
    """

    provider: str | None = None
    what: str | None = None
    advice: str = ""

    def __init__(  # noqa: PLR0913  # one record of independent facts, all optional, all by keyword
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
        from langchain_dbchat.errors.redaction import scrub  # noqa: PLC0415  # loads where an error is made

        self.message = scrub(message)
        # Exceptions pickle as class(*args) and then __dict__, so args must stay this one text.
        super().__init__(self.message)
        self.status_code = status_code
        self.error_code = scrub(error_code) if error_code else error_code  # a server may put any text here
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


class DatabricksProviderAuthenticationError(DatabricksError, ModelAuthenticationError):
    """The provider of an external model refuses the endpoint's key; the caller's own credentials are not the cause."""


class DatabricksPermissionDeniedError(DatabricksError, ModelPermissionDeniedError):
    """The caller is known and may not do this: HTTP 403."""


class DatabricksInvalidRequestError(DatabricksError, ModelInvalidRequestError):
    """The server refuses the request as it is: HTTP 400, 409, 413, 422 and other 4xx."""


class DatabricksContextOverflowError(DatabricksInvalidRequestError, ContextOverflowError):
    """The input is longer than the model's context."""


class DatabricksRefusalError(DatabricksInvalidRequestError, ModelRefusalError):
    """A guardrail of the endpoint or a content filter of the provider blocked the call.

    Attributes:
        side: ``input`` or ``output``; None if it is not known.
        guardrail: The guardrail's own name, if it has one.
        categories: What was found, such as ``violent-crimes`` or ``pii``.
    """

    side: str | None = None
    guardrail: str | None = None
    categories: tuple[str, ...] = ()

    @property
    def raw_message(self) -> AIMessage | None:
        """Return the answer as far as it had arrived; langchain-core's name for it."""
        return self.partial

    @raw_message.setter
    def raw_message(self, message: BaseMessage | None) -> None:
        self.partial = cast("AIMessage | None", message)


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
    """The answer ended before it was complete; `partial` contains what had arrived."""


StreamInterrupted = StreamInterruptedError  # its former name


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


class MalformedRowsError(EmbeddingsIncompleteError, MalformedResponseError):
    """Of many texts some have no embedding, because the row that came for them is not a list of finite numbers."""


class ConfigurationError(DatabricksError, ValueError):
    """A setting is missing or wrong; nothing was sent, unless it is what your HTTP client does with an answer."""


class UnsupportedContentError(DatabricksError, ValueError):
    """A message contains content that cannot be represented in a request."""
