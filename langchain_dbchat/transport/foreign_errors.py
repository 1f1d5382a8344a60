"""Raise httpx's exceptions instead of those of the libraries below it, which it lets through.

They refuse a request that a hook or an authentication has changed (a wrong Content-Length), an address to which the
server redirects, an answer of a SOCKS proxy, frames and statuses of an HTTP/2 server. And httpcore takes what h2 says
of the state of a connection for a fault of the request.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["httpx_errors_only"]

_BELOW: Mapping[str, type[httpx.TransportError]] = {
    "h11": httpx.LocalProtocolError,
    "h2": httpx.RemoteProtocolError,
    "idna": httpx.RemoteProtocolError,
    "socksio": httpx.ProxyError,
}
_RAISERS = {*_BELOW, "hpack", "httpcore", "hyperframe"}
_SOCKETS = {"encodings", "socket"}
_USED_UP = "TooManyStreamsError"  # of h2: httpcore does not tell a server that a stream was left early


@contextlib.contextmanager
def httpx_errors_only() -> Iterator[None]:
    """Translate what is raised within; exceptions of users' code pass as they are."""
    try:
        yield
    except httpx.LocalProtocolError as error:
        cause = error.__cause__ and error.__cause__.__context__
        if cause is None or type(cause).__module__.partition(".")[0] != "h2" or "header" in str(error).lower():
            raise
        used_up = "too many open streams: " if type(cause).__name__ == _USED_UP else ""
        raise httpx.RemoteProtocolError(f"the HTTP/2 connection broke: {used_up}{error}") from error
    except httpx.HTTPError:
        raise
    except Exception as error:
        kind = _BELOW.get(type(error).__module__.partition(".")[0])
        if kind is None and _raiser(error) in _RAISERS:
            # Python's sockets raise a UnicodeError for a name that DNS cannot have.
            kind = httpx.ConnectError if isinstance(error, UnicodeError) else httpx.RemoteProtocolError
        if kind is None:
            raise
        raise kind(str(error) or type(error).__name__) from error


def _raiser(error: Exception) -> str:
    """Return the library whose code raised an exception, or called Python's sockets, which did."""
    raiser, trace = "", error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        raiser = raiser if name in _SOCKETS else name
        trace = trace.tb_next
    return raiser
