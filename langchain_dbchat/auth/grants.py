"""Get a token from a token endpoint: write the request, send it as every request is sent, read the answer.

Rule 1. The request goes over a `Channel` that nobody signs: it has its own `Authorization`. So retries, timeouts,
TLS, proxies, bounds and the masking of secrets are those of every other request, and the user's own `http_client` sends
it if there is one.
Rule 2. It is sent again where that may help, also when it is not known whether it arrived: another token does no harm.
An answer that did not come in time is not waited for again, because the caller has a deadline too; so the last retry
begins `RETRY_DEADLINE` seconds after the first attempt at the latest.
Rule 3. The answer has the shape of RFC 6749, 5.1 and 5.2 (https://www.rfc-editor.org/rfc/rfc6749#section-5.1):
`{"access_token", "token_type", "expires_in"}`, or an error as `{"error", "error_description"}`. Databricks also sends
`{"error_code", "message"}` and Posit Connect `{"code", "error"}`. Only status 200 gives a token.
Rule 4. An answer is at most `LARGEST` bytes. A token has a few kilobytes.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pydantic_core
from pydantic import SecretStr

from langchain_dbchat.auth.credentials import Anonymous
from langchain_dbchat.auth.tokens import Grant
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.errors.bodies import read_number
from langchain_dbchat.transport.effects import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.messages import Reply, Request
    from langchain_dbchat.transport.user_clients import UserClients

# How long an answer may take, all of it, in seconds; and how long a connection.
TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
# How often a request is sent again; in seconds, the bound of the first random pause, and when the last retry begins.
RETRIES = 2
FIRST_PAUSE = 0.5
RETRY_DEADLINE = 10.0
# The largest answer that is read, in bytes.
LARGEST = 1024 * 1024
# The life of a token whose endpoint does not say, and which does not say itself (a JWT's `exp`), in seconds.
UNKNOWN_LIFETIME = 300.0

# Which error an answer without a token is: by its status, or else by the hundred that it belongs to; of others (2xx,
# 3xx) it is a MalformedResponseError.
_LEAVES: Mapping[int, type[DatabricksError]] = {
    400: DatabricksAuthenticationError,  # invalid_client, invalid_grant, Connect's 212
    401: DatabricksAuthenticationError,
    403: DatabricksAuthenticationError,
    408: DatabricksTimeoutError,
    429: DatabricksRateLimitError,
    504: DatabricksTimeoutError,
    4: DatabricksInvalidRequestError,
    5: DatabricksAPIError,
}
_UNANSWERED = "Check the host, and the proxy and firewall in between."
_LONGEST_TEXT = 300
_OK = 200
# Header, claims and signature.
_JWT_PIECES = 3


@dataclass(frozen=True)
class TokenRequest:
    """A request to a token endpoint.

    Args:
        url: The endpoint.
        authorization: The whole `Authorization` header; None if the form says who asks.
        form: The fields of the form; may contain secrets.
        purpose: What errors call it, such as "OAuth M2M token request".
        step: The way of signing in, as `Credentials.name`.
        advice: By status, what the user can do about it; 0 for any other refusal (400, 401, 403).
        clients: The clients that send it.
    """

    url: str
    authorization: SecretStr | None
    form: Mapping[str, str] = field(repr=False)
    purpose: str
    step: str
    advice: Mapping[int, str] = field(default_factory=dict)
    clients: UserClients | None = field(default=None, repr=False)


def fetch_grant(make: Callable[[], TokenRequest]) -> Effect:
    """Return the effect of getting a token.

    Args:
        make: Makes the request when it is sent.

    Returns:
        The effect; its result is a `Grant`. It raises the `DatabricksError` that fits: refused, not reachable, too
        slow, not understood.
    """

    def call() -> Grant:
        channel, written = _prepare(make())
        return _grant_in(channel.post(written))

    async def acall() -> Grant:
        import asyncio  # noqa: PLC0415  # sync programs do not need it

        channel, written = await asyncio.to_thread(_prepare, make())  # in a thread, because it may load the transport
        return _grant_in(await channel.apost(written))

    return Effect(call, acall)


def basic(user: str, password: str) -> SecretStr:
    """Return the `Authorization` header for HTTP Basic.

    Args:
        user: The user, or a client's id.
        password: The password, or a client's secret.

    Raises:
        ConfigurationError: One of them is not text, as bytes of the environment that are not UTF-8 are.
    """
    try:
        return SecretStr("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    except UnicodeEncodeError:
        raise ConfigurationError(
            "The client id or the client secret contains a character that is not Unicode. Check where it comes from."
        ) from None


def jwt_expiry(token: str) -> float | None:
    """Return when a JWT ends, in seconds since the epoch; None if it does not say or is none.

    Args:
        token: A token of any kind.
    """
    pieces = token.split(".")
    if len(pieces) != _JWT_PIECES:
        return None
    try:  # what is too much of the padding is not looked at
        claims = pydantic_core.from_json(base64.urlsafe_b64decode(pieces[1] + "=="))
    except ValueError:
        return None
    return _seconds(claims.get("exp")) if isinstance(claims, dict) else None


def sign_in_channel(step: str, clients: UserClients | None) -> Channel:
    """Return the channel for requests that are part of signing in, and have their own `Authorization`.

    Args:
        step: The way of signing in, as `Credentials.name`.
        clients: The clients that the user gave; None for the shared ones.

    Returns:
        A channel that nobody signs, with the timeouts and the retries of rule 2.
    """
    from langchain_dbchat.transport.channel import Channel, Timeouts  # noqa: PLC0415  # loads httpx: first request only
    from langchain_dbchat.transport.exchange import RetryPolicy  # noqa: PLC0415  # the same
    from langchain_dbchat.transport.user_clients import UserClients  # noqa: PLC0415  # the same

    clients = clients or UserClients()
    return Channel(
        Anonymous(step),
        timeouts=Timeouts(CONNECT_TIMEOUT, CONNECT_TIMEOUT, CONNECT_TIMEOUT, first_event=TIMEOUT, idle=TIMEOUT),
        policy=RetryPolicy(RETRIES, min(RETRY_DEADLINE, TIMEOUT), FIRST_PAUSE, retry_sent=True),
        max_response_bytes=LARGEST,
        http_client=clients.for_sync,
        http_async_client=clients.for_async,
        proxy=clients.proxy,
    )


def _prepare(request: TokenRequest) -> tuple[Channel, Request]:
    """Write the request, and make the channel for it."""
    from langchain_dbchat.transport.messages import Purpose, Request  # noqa: PLC0415  # loads with the transport

    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept-Encoding": "identity"}
    if request.authorization is not None:
        headers["Authorization"] = request.authorization.get_secret_value()
    name = f"{request.purpose} to {request.url}"
    return sign_in_channel(request.step, request.clients), Request(
        url=request.url,
        headers=headers,
        body=urlencode(request.form, errors="surrogateescape").encode(),
        endpoint="",
        host=_host(request.url),
        purpose=Purpose(name, _UNANSWERED, lambda reply: _error_in(request, reply), request.form),
    )


def _host(url: str) -> str:
    """Return the host of a URL, for errors; the URL itself where it has none."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _grant_in(reply: Reply) -> Grant:
    """Return the token in an answer that has one."""
    payload = _payload(reply.body)
    token = str(payload["access_token"]).strip()
    lifetime = _seconds(payload.get("expires_in"))
    if lifetime is None:
        ends = jwt_expiry(token)
        lifetime = UNKNOWN_LIFETIME if ends is None else ends - time.time()
    return Grant(SecretStr(token), lifetime)


def _error_in(request: TokenRequest, reply: Reply) -> DatabricksError | None:
    """Return the error that an answer is; None if it contains a token."""
    token = _payload(reply.body).get("access_token")
    if reply.status == _OK and isinstance(token, str) and token.strip():
        return None
    from langchain_dbchat.errors.bodies import read_error_body, read_retry_after  # noqa: PLC0415  # for errors only
    from langchain_dbchat.errors.redaction import scrub  # noqa: PLC0415  # the same
    from langchain_dbchat.errors.sent_secrets import hide_in_bytes  # noqa: PLC0415  # the same

    body = reply.body
    body = body if reply.hide is None else hide_in_bytes(reply.hide, body)
    payload, status = _payload(body), reply.status
    code = payload.get("error") or payload.get("error_code") or payload.get("code")
    description = payload.get("error_description") or payload.get("error_message") or payload.get("message")
    said = ": ".join(str(part) for part in (code, description) if part) or body.decode(errors="replace").strip()
    said = scrub(said)[:_LONGEST_TEXT]
    leaf = _LEAVES.get(status) or _LEAVES.get(status // 100, MalformedResponseError)
    if leaf is MalformedResponseError:
        said = "it is not a token. A login page or a redirect means that this is not the host of a workspace"
    advice = request.advice.get(status) or (request.advice.get(0, "") if leaf is DatabricksAuthenticationError else "")
    message = f"{request.purpose} to {request.url} failed: {status} {said}".rstrip(" .") + "."
    return leaf(
        f"{message} {advice}".rstrip(),
        status_code=status,
        error_code=str(code) if code else None,
        host=_host(request.url),
        retry_after=read_retry_after(reply.headers, read_error_body(body)),
        auth=request.step,
    )


def _payload(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; empty if it is something else."""
    try:
        payload = pydantic_core.from_json(body)
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _seconds(value: object) -> float | None:
    """Return a number of seconds, sent as a number or as digits; None if it is negative."""
    seconds = read_number(value)
    return None if seconds is None or seconds < 0 else seconds
