"""What can go wrong while a request is sent: one table from httpx's exceptions to our errors.

Rule 1. Each row says whether the server may have executed the request, because retries depend on that. A request whose
body was not sent completely is not executed, because HTTP frames it by its length
(https://www.rfc-editor.org/rfc/rfc9112#section-6).
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksTimeoutError,
    StreamInterruptedError,
)
from langchain_dbchat.errors.answers import malformed_response
from langchain_dbchat.errors.apps import STOPPED_APP, is_app
from langchain_dbchat.errors.composing import make_error
from langchain_dbchat.errors.sent_secrets import hide_causes
from langchain_dbchat.transport.decompression import TooLargeToDecompress
from langchain_dbchat.transport.exchange import Failure
from langchain_dbchat.transport.messages import too_large
from langchain_dbchat.transport.proxy_clients import proxy_failure, proxy_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_dbchat.transport.messages import Request
    from langchain_dbchat.transport.timeouts import Timeouts

__all__ = ["failure_of", "interruption_of", "silence"]

_HOST = "Check DATABRICKS_HOST and the network: a proxy, a VPN, a private link."
_SLOW = "A sleeping endpoint takes minutes to wake up. Stream the answer, ask for a shorter one, or raise timeout=."
_CERTIFICATE = (
    "The certificate is not trusted. If a proxy of your organisation opens TLS connections, let SSL_CERT_FILE name its "
    "certificate authority."
)
_UNKNOWN_NAME = "This name does not exist in DNS. Check the spelling of DATABRICKS_HOST."


class _FailureKind(NamedTuple):
    """One kind of failure.

    Attributes:
        error: What it becomes.
        sent: Whether the server may have executed the request.
        what: What happened; {host}, {text} and the names of the timeouts are filled in.
        advice: What to do.
        setting: The timeout that the user can set.
    """

    error: type[DatabricksError]
    sent: bool
    what: str
    advice: str
    setting: str = ""


_KINDS: tuple[tuple[type[Exception], _FailureKind], ...] = (
    (
        httpx.ConnectTimeout,
        _FailureKind(DatabricksTimeoutError, False, "No connection to {host} within {connect} s", _HOST, "connect"),
    ),
    (
        httpx.PoolTimeout,
        _FailureKind(
            DatabricksTimeoutError,
            False,
            "No connection became free within {pool} s",
            "Make fewer calls at once (max_concurrency), or close streams that are not read to their end.",
            "pool",
        ),
    ),
    (
        httpx.WriteTimeout,
        _FailureKind(DatabricksTimeoutError, False, "The request could not be sent within {write} s", _HOST, "write"),
    ),
    (
        httpx.TimeoutException,
        _FailureKind(
            DatabricksTimeoutError, True, "{host} gave no answer within {first_event} s", _SLOW, "first_event"
        ),
    ),
    (httpx.ConnectError, _FailureKind(DatabricksConnectionError, False, "{host} cannot be reached: {text}", _HOST)),
    (
        httpx.ProxyError,
        _FailureKind(
            DatabricksConnectionError,
            False,
            "The proxy on the way to {host} refused: {text}",
            "Check HTTPS_PROXY and NO_PROXY.",
        ),
    ),
    (httpx.WriteError, _FailureKind(DatabricksConnectionError, False, "{host} took no request: {text}", _HOST)),
    (
        httpx.UnsupportedProtocol,
        _FailureKind(
            ConfigurationError, False, "{host} is not an address that can be called: {text}", "Check DATABRICKS_HOST."
        ),
    ),
    (
        httpx.InvalidURL,
        _FailureKind(
            ConfigurationError, False, "{host} is not an address that can be called: {text}", "Check DATABRICKS_HOST."
        ),
    ),
    (
        httpx.LocalProtocolError,
        # h11 quotes the header that it refuses, which may be the token: {text} must not stand here.
        _FailureKind(
            ConfigurationError,
            False,
            "The request to {host} cannot be written as HTTP",
            "Look for line breaks in the headers and the token, and for a Content-Length that a hook or the "
            "authentication of your own client has set.",
        ),
    ),
    (
        httpx.HTTPError,
        _FailureKind(
            DatabricksConnectionError,
            True,
            "{host} closed the connection before its answer was complete: {text}",
            "The server may have executed the request, so it was not sent again. If that does no harm, call again.",
        ),
    ),
)


def failure_of(  # noqa: PLR0913  # what was sent, how, and by whom
    error: Exception,
    request: Request,
    auth: str,
    timeouts: Timeouts,
    client: httpx.Client | httpx.AsyncClient | None = None,
    *,
    hide: Callable[[str], str] = str,
) -> Failure:
    """Find what an exception of httpx means for a request whose answer has not begun, or was to come whole.

    Args:
        error: The exception, one of `stream.NETWORK_ERRORS`.
        request: What was being sent.
        auth: The way of signing in, as errors name it.
        timeouts: The timeouts of the call.
        client: The client that sent it, which knows of a proxy.
        hide: What masks the secrets that were sent.

    Returns:
        The failure.
    """
    hide_causes(error, hide)
    if isinstance(error, httpx.DecodingError):
        return Failure(_undecodable(error, request, auth), sent=True)
    row = next(row for kind, row in _KINDS if isinstance(error, kind))
    what, advice, is_hopeless = _meaning(error, row, request, timeouts, client)
    made = make_error(row.error, hide(what), advice=advice, **_place(request, auth))
    if isinstance(made, DatabricksConnectionError) and is_hopeless:
        made.is_retryable = False
    if row.error is not ConfigurationError:  # httpx's own exception may quote a header
        made.__cause__ = error
    made.__suppress_context__ = True
    return Failure(made, sent=row.sent)


def _meaning(
    error: Exception,
    row: _FailureKind,
    request: Request,
    timeouts: Timeouts,
    client: httpx.Client | httpx.AsyncClient | None,
) -> tuple[str, str, bool]:
    """Return what happened, what to do, and whether it would happen again; a proxy that failed is named instead."""
    what = row.what.format(
        host=request.host,
        text=str(error) or type(error).__name__,
        connect=timeouts.connect,
        pool=timeouts.pool,
        write=timeouts.write,
        first_event=timeouts.first_event,
    )
    hopeless, advice = _hopeless(error, request), row.advice
    if request.purpose is not None:
        what = f"{request.purpose.name}: {what}"
        advice = advice if isinstance(error, httpx.LocalProtocolError) else request.purpose.advice
    elif row.setting:
        what = f"{what} (timeout: {row.setting})"
    proxy = None if issubclass(row.error, ConfigurationError) else proxy_of(client, request.url)
    fault = proxy_failure(error, proxy, request.host, source_of(client, proxy)) if proxy else None
    if fault is not None:
        named = fault.what if request.purpose is None else f"{request.purpose.name}: {fault.what}"
        return named, fault.advice, not fault.passes
    if proxy:
        what = f"{what} (through the proxy {proxy})"
    return what, hopeless or advice, bool(hopeless)


def interruption_of(
    error: Exception, request: Request, auth: str, headers: Mapping[str, str], hide: Callable[[str], str] = str
) -> DatabricksError:
    """Find what an exception of httpx means within an open stream; its timeouts are `silence`.

    Args:
        error: The exception, one of `stream.NETWORK_ERRORS`.
        request: What was sent.
        auth: The way of signing in, as errors name it.
        headers: The headers of the answer.
        hide: What masks the secrets that were sent.

    Returns:
        The error, to be raised by the caller.
    """
    hide_causes(error, hide)
    if isinstance(error, httpx.DecodingError):
        return _undecodable(error, request, auth)
    what = f"{request.host} closed the connection in the middle of the answer: {str(error) or type(error).__name__}"
    advice = "Call again; the answer so far is in this error's `partial`."
    place = _place(request, auth, headers.get("x-request-id"))
    made = make_error(StreamInterruptedError, what, advice=advice, **place)
    made.__cause__ = error
    return made


def silence(
    request: Request, auth: str, headers: Mapping[str, str], *, which: str, seconds: float
) -> DatabricksTimeoutError:
    """Make the error for a stream in which nothing happens.

    Args:
        request: What was sent.
        auth: The way of signing in, as errors name it.
        headers: The headers of the answer.
        which: ``first_event`` or ``idle``.
        seconds: That timeout.

    Returns:
        The error, to be raised by the caller.
    """
    missing = "first event" if which == "first_event" else "further event"
    what = f"{request.host} sent no {missing} within {seconds:g} s (timeout: {which})"
    advice = "Call again, or raise timeout= if the model needs longer."
    place = _place(request, auth, headers.get("x-request-id"))
    return make_error(DatabricksTimeoutError, what, advice=advice, **place)


def _place(request: Request, auth: str, request_id: str | None = None) -> dict[str, Any]:
    """Return where an error happened, for `make_error`."""
    return {
        "endpoint": request.endpoint,
        "host": request.host,
        "auth": auth,
        "request_id": request_id,
        "names_host": True,
    }


def _undecodable(error: Exception, request: Request, auth: str) -> DatabricksError:
    why = f"The answer cannot be decompressed: {error}"
    if isinstance(error, TooLargeToDecompress):
        why = too_large(error.limit, request.purpose)
    made = malformed_response(why, endpoint=request.endpoint, host=request.host, auth=auth)
    made.__cause__ = error
    return made


def _hopeless(error: BaseException | None, request: Request) -> str | None:
    """Give the advice for a failure that will not pass by itself, wherever in the chain of causes it is."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return _CERTIFICATE
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
            return STOPPED_APP if is_app(request.host, request.endpoint) else _UNKNOWN_NAME
        error = error.__cause__ or error.__context__
    return None
