"""The headers of a request and of an answer.

Rule 1. Headers are merged in this order, and later ones replace earlier ones: our own (the type of the body, what is
accepted, the user agent), the user's, and the signature of this attempt. The signature is last, so that an old header
does not replace a new token. Only an ``Authorization`` header that the user set replaces that of the credentials; one
of the model's is left out of a call, or of a copy of the model, that has other credentials.
Rule 2. The headers that frame a message are written by the transport alone. Gateways read an underscore in a name as a
hyphen (CGI, RFC 3875, 4.1.18), so neither spelling is sent.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_dbchat._version import __version__
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.transport.decompression import ACCEPTED

if TYPE_CHECKING:
    import httpx

    from langchain_dbchat.transport.messages import Request

__all__ = ["merge_headers", "plain_headers", "refuse_framing_by_client", "user_agent"]

_USER_AGENT = f"langchain-dbchat/{__version__} python/{'.'.join(platform.python_version_tuple()[:2])}"
_PARTNER, _SPARK = "DATABRICKS_USER_AGENT", "SPARK_CONNECT_USER_AGENT"
# What says where a message ends, and what the connection is used for, is the transport's alone (RFC 9110, 7.6.1;
# RFC 9112, 6.3): beside a Content-Length, a Transfer-Encoding makes two requests of one for half of the servers.
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def plain_headers(headers: httpx.Headers) -> dict[str, str]:
    """Return the headers of an answer in a dict, because httpx's own look-ups take longer than the rest of a reply.

    Args:
        headers: The headers.

    Returns:
        The values by their names in lower case; the values of a repeated header are joined with a comma.
    """
    try:
        pairs = [(name.decode("ascii").lower(), value.decode("ascii")) for name, value in headers.raw]
    except UnicodeDecodeError:  # httpx guesses the encoding of all of them
        return {name.lower(): value for name, value in headers.items()}
    plain: dict[str, str] = {}
    for name, value in pairs:
        plain[name] = f"{plain[name]}, {value}" if name in plain else value
    return plain


def user_agent(partner: str | None = None) -> str:
    """Write the ``User-Agent`` header: the products that we are part of, then ourselves.

    The Databricks SDK has a user agent of its own for the whole process; it is neither read nor changed.

    Args:
        partner: The product that is built with us; None for ``DATABRICKS_USER_AGENT``. ``SPARK_CONNECT_USER_AGENT``,
            which partners set for all that runs beside Spark, comes after it.

    Returns:
        ``[partner ][spark ]langchain-dbchat/<version> python/<version>``.

    Raises:
        ConfigurationError: A prefix is not allowed in a header.
    """
    partner, source = (partner, "user_agent") if partner else (os.environ.get(_PARTNER), _PARTNER)
    return _user_agent(partner, source, os.environ.get(_SPARK))


@lru_cache(maxsize=16)
def _user_agent(partner: str | None, source: str, spark: str | None) -> str:
    words = []
    for word, name in ((partner, source), (spark, _SPARK)):
        text = (word or "").strip()
        if not (text.isascii() and text.isprintable()):
            raise ConfigurationError(
                f"{name} contains a character that is not allowed in a header. Use something like 'acme-rag/2.1'."
            )
        if text and text not in words:
            words.append(text)
    return " ".join((*words, _USER_AGENT))


def refuse_framing_by_client(headers: Iterable[tuple[str, str]], setting: str, lengths: int = 0) -> None:
    """Refuse headers of a user's client that change how a request is framed.

    Args:
        headers: Names and values.
        setting: Where they come from, for the error.
        lengths: How many times ``Content-Length`` may be among them. A ``Connection`` may be kept or closed.

    Raises:
        ConfigurationError: One of them does.
    """
    for name, value in headers:
        plain = _plain_name(name)
        is_length = name.lower() == "content-length"
        lengths -= is_length
        if plain not in _FRAMING or (is_length and lengths >= 0):
            continue
        if plain != "connection" or value.strip().lower() not in {"close", "keep-alive"}:
            _refuse_framing(name, setting)


def _plain_name(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def _refuse_framing(name: str, setting: str = "default_headers and extra_headers") -> None:
    if _plain_name(name) in _FRAMING:
        raise ConfigurationError(
            f"The header {name!r} is written by the client itself, because it says how the request is framed. Leave it "
            f"out of {setting}."
        )


def merge_headers(request: Request, signature: Any, auth: str) -> dict[str, str]:
    """Return the headers of one attempt.

    Args:
        request: The request.
        signature: The credentials' headers for this attempt.
        auth: The way of signing in, as errors name it.

    Returns:
        The headers, with names in lower case.

    Raises:
        ConfigurationError: A header cannot be sent, or would change how the request is framed.
    """
    headers = {"accept": "application/json", "content-type": "application/json", "user-agent": user_agent()}
    headers["accept-encoding"] = ACCEPTED
    if request.streaming:
        # A compressing proxy delays events until a block is full.
        headers |= {"accept": "text/event-stream", "accept-encoding": "identity"}
    given: Mapping[Any, Any] = request.headers
    for name, value in given.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            kind = type(name if isinstance(value, str) else value).__name__
            raise ConfigurationError(
                f"The header {name!r} contains {kind}; names and values of headers are strings. Look at "
                "default_headers and extra_headers."
            )
        _refuse_framing(name)
        headers[name.lower()] = value
    if not isinstance(signature, Mapping):
        raise ConfigurationError(f"The credentials {auth} gave {type(signature).__name__}; headers are a mapping.")
    signed: Mapping[Any, Any] = signature
    for name, value in signed.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise ConfigurationError(f"{name} (credentials from: {auth}) is {type(value).__name__}, not a string.")
        _refuse_framing(name)
        if not (value.isascii() and value.isprintable()):  # before a library quotes it in an exception
            raise ConfigurationError(
                f"{name} (credentials from: {auth}) contains a character that is not allowed in a header, such as a "
                "line break. It was probably pasted with something else."
            )
        headers[name.lower()] = value
    if request.authorization is not None:
        headers["authorization"] = request.authorization
    return headers
