"""One sending of a request: its headers, and what became of it. The bookkeeping that the sync and async loops share.

Headers are merged in this order, later ones winning: our own (what the body is, what is accepted, who we are), the
user's, and the signature of this attempt. The signature comes last because a stale header must not outlive a new
token; only an ``Authorization`` that the user wrote replaces the credentials' own.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

from langchain_dbchat._version import __version__
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.transport.exchange import Failure, Reply, Request
from langchain_dbchat.transport.incoming import Pace, Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.transport.timeouts import Timeouts

__all__ = ["Attempt", "user_agent"]

_USER_AGENT = f"langchain-dbchat/{__version__} python/{'.'.join(platform.python_version_tuple()[:2])}"
_PARTNER, _SPARK = "DATABRICKS_USER_AGENT", "SPARK_CONNECT_USER_AGENT"
_ERROR_BODY_LIMIT = 1024 * 1024  # bytes of an error's body that are read; no error needs more


class Attempt:
    """One `Send` on its way.

    Args:
        request: What is sent.
        signature: The credentials' headers for this attempt.
        auth: The way of signing in, as errors name it.
        timeouts: How long to wait for what.
        clock: Seconds of a clock that never goes back.
    """

    __slots__ = (
        "_answer",
        "_auth",
        "_built",
        "_client",
        "_head",
        "_headers",
        "_hide",
        "_open",
        "_pace",
        "_pieces",
        "_request",
        "_room",
        "_signature",
        "_timeouts",
        "_waits",
        "is_plain",
    )

    def __init__(
        self,
        request: Request,
        signature: Mapping[str, str],
        auth: str,
        timeouts: Timeouts,
        clock: Callable[[], float],
    ) -> None:
        self._pace = Pace(timeouts, clock)
        self._request = request
        self._headers = _headers(request, signature, auth)
        self._auth = auth
        self._signature = signature
        self._client: httpx.Client | httpx.AsyncClient | None = None
        self._built: httpx.Request | None = None
        self._timeouts = timeouts
        self._waits = {
            "connect": timeouts.connect,
            "read": timeouts.first_event,
            "write": timeouts.write,
            "pool": timeouts.pool,
        }
        self._hide: Callable[[str], str] | None = None
        self._head: httpx.Response | None = None
        self._answer: dict[str, str] = {}  # the headers of the answer, in lower case
        self.is_plain = False  # the body needs no decompression, and nobody has read it
        self._open = False
        self._pieces: list[bytes] = []
        self._room = math.inf

    def build(self, client: httpx.Client | httpx.AsyncClient, *, ours: bool) -> httpx.Request:
        """Write the request for a client.

        Args:
            client: The client that will send it.
            ours: Whether it is one of our own. A user's client adds its own headers and parameters.

        Returns:
            The request, to be sent with ``follow_redirects=False``.

        Raises:
            ConfigurationError: A header or the URL cannot be sent.
        """
        self._client = client
        url, headers, body = self._request.url, self._headers, self._request.body or None
        extensions = {"timeout": self._waits}
        method = self._request.method
        try:
            if ours:
                # By hand, because build_request merges headers, cookies and parameters that our clients do not have.
                headers = {"accept-encoding": client.headers["accept-encoding"], **headers}
                built = httpx.Request(method, _url(url), headers=headers, content=body, extensions=extensions)
            else:
                built = client.build_request(method, url, headers=headers, content=body, extensions=extensions)
        except httpx.InvalidURL as error:
            from langchain_dbchat.transport.failures import failure_of  # noqa: PLC0415  # where something went wrong

            raise failure_of(error, self._request, self._auth, self._timeouts).error from None
        except UnicodeEncodeError:
            raise ConfigurationError("A header holds a letter outside ASCII. Look at default_headers.") from None
        self._built = built
        return built

    def opened(self, response: httpx.Response) -> bool:
        """Take the head of the answer.

        Args:
            response: The open response.

        Returns:
            Whether its body is to stay open, because it is the stream that was asked for.
        """
        self._head, self._answer = response, _plain(response.headers)
        page = self._answer.get("content-type", "").lower().startswith("text/html")
        self._open = response.is_success and self._request.streaming and not page
        if self._open:
            # httpcore looks the timeout up again when it begins to read the body, in this very dict. Where nobody paces
            # the reads (see incoming), one value has to serve both timeouts: better late than wrong.
            first, idle = self._timeouts.first_event, self._timeouts.idle
            self._waits["read"] = None if first is None or idle is None else max(first, idle)
        if not response.is_success:
            self._room = _ERROR_BODY_LIMIT
        is_read = response.is_closed or response.is_stream_consumed  # by a hook of the user's client
        self.is_plain = "content-encoding" not in self._answer and not is_read
        return self._open

    def takes(self, piece: bytes) -> bool:
        """Take a piece of the body.

        Args:
            piece: The bytes, decompressed.

        Returns:
            Whether to read on.
        """
        self._pieces.append(piece)
        self._room -= len(piece)
        return self._room > 0

    def reply(self) -> Reply:
        """Make the reply of what came.

        Returns:
            The reply; its body is None if `opened` said that it stays open.
        """
        if self._head is None:
            raise TypeError("no answer has begun")
        if self._open:
            reading = Reading(self._request, self._head, self._answer, self._auth, self._pace, hide=self.hide)
            return Reply(self._head.status_code, self._answer, None, reading, hide=self.hide)
        body = b"".join(self._pieces)
        return Reply(self._head.status_code, self._answer, body, signature=self._signature, hide=self.hide)

    def hide(self, text: str) -> str:
        """Mask the secrets of this attempt in a text of the server.

        Args:
            text: Any text.

        Returns:
            The same with ``***`` where a secret stood.
        """
        from langchain_dbchat.error_sent import hider  # noqa: PLC0415  # where something went wrong

        if self._hide is None:
            sent = self._built  # the headers of a user's client and its authentication stand in what was built
            headers = self._headers if sent is None else {**self._headers, **sent.headers}
            self._hide = hider(headers, self._request.url if sent is None else str(sent.url))
        return self._hide(text)

    def failed(self, error: Exception) -> Reply | Failure:
        """Say what an exception of httpx means here.

        Args:
            error: The exception.

        Returns:
            The failure; or the reply, if it is an error and only its explanation was cut off.
        """
        if self._head is not None and not self._head.is_success:
            return self.reply()
        from langchain_dbchat.transport.failures import failure_of  # noqa: PLC0415  # where something went wrong

        return failure_of(error, self._request, self._auth, self._timeouts, self._client, hide=self.hide)


@lru_cache(maxsize=128)
def _url(text: str) -> httpx.URL:
    """Parse a URL once: an endpoint is called again and again, and parsing takes as long as writing the rest."""
    return httpx.URL(text)


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """Copy headers into a dict with names in lower case; httpx's own look-ups take longer than the rest of a reply."""
    try:
        pairs = [(name.decode("ascii").lower(), value.decode("ascii")) for name, value in headers.raw]
    except UnicodeDecodeError:  # httpx guesses the encoding of all of them
        return {name.lower(): value for name, value in headers.items()}
    plain: dict[str, str] = {}
    for name, value in pairs:
        plain[name] = f"{plain[name]}, {value}" if name in plain else value
    return plain


def user_agent(partner: str | None = None) -> str:
    """Say who we are, after those we work for.

    The Databricks SDK has a user agent of its own for the whole process; it is neither read nor changed.

    Args:
        partner: The product that is built with us; None for ``DATABRICKS_USER_AGENT``. ``SPARK_CONNECT_USER_AGENT``,
            which partners set for all that runs beside Spark, comes after it.

    Returns:
        ``[partner ][spark ]langchain-dbchat/<version> python/<version>``.

    Raises:
        ConfigurationError: A prefix cannot stand in a header.
    """
    partner, source = (partner, "user_agent") if partner else (os.environ.get(_PARTNER), _PARTNER)
    words = []
    for word, name in ((partner, source), (os.environ.get(_SPARK), _SPARK)):
        text = (word or "").strip()
        if not (text.isascii() and text.isprintable()):
            raise ConfigurationError(
                f"{name} holds a character that cannot stand in a header. Use something like 'acme-rag/2.1'."
            )
        if text and text not in words:
            words.append(text)
    return " ".join((*words, _USER_AGENT))


def _headers(request: Request, signature: Any, auth: str) -> dict[str, str]:
    headers = {"accept": "application/json", "content-type": "application/json", "user-agent": user_agent()}
    if request.streaming:
        # A compressing proxy holds events back until a block is full.
        headers |= {"accept": "text/event-stream", "accept-encoding": "identity"}
    given: Mapping[Any, Any] = request.headers
    for name, value in given.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            kind = type(name if isinstance(value, str) else value).__name__
            raise ConfigurationError(
                f"The header {name!r} holds {kind}; names and values of headers are strings. Look at default_headers "
                "and extra_headers."
            )
        headers[name.lower()] = value
    if not isinstance(signature, Mapping):
        raise ConfigurationError(f"The credentials {auth} gave {type(signature).__name__}; headers are a mapping.")
    signed: Mapping[Any, Any] = signature
    for name, value in signed.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise ConfigurationError(f"{name} (credentials from: {auth}) is {type(value).__name__}, not a string.")
        if not (value.isascii() and value.isprintable()):  # before a library quotes it in an exception
            raise ConfigurationError(
                f"{name} (credentials from: {auth}) holds a character that cannot stand in a header, such as a line "
                "break. It was probably pasted with something else."
            )
        headers[name.lower()] = value
    if request.authorization is not None:
        headers["authorization"] = request.authorization
    return headers
