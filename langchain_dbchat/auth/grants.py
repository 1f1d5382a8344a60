"""Asking a token endpoint: one form POST, a few retries, and an answer read with care.

`negotiate` decides (which answers are tried again, when to give up, what an answer means); two short loops, sync and
async, send and sleep for it. httpx is imported inside them, for importing the package must not load it, and one TLS
context serves the whole process: building it takes tens of milliseconds, so async code has it built in a thread.

Shape of an answer (RFC 6749, 5.1 and 5.2): `{"access_token", "token_type", "expires_in"}`, or an error as
`{"error", "error_description"}`; Databricks also says `{"error_code", "message"}` and Posit Connect
`{"code", "error"}`. An endpoint's answer is never repeated unscrubbed.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pydantic_core
from pydantic import SecretStr

from langchain_dbchat.auth.token_requests import aask, ask
from langchain_dbchat.auth.tokens import Grant
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.errors.redaction import scrub
from langchain_dbchat.errors.sent_secrets import hide_causes, hide_in_bytes, hider
from langchain_dbchat.routing.address import is_loopback
from langchain_dbchat.transport.proxies import has_proxy, proxy_error, proxy_for
from langchain_dbchat.transport.tls import tls_context

if TYPE_CHECKING:
    import ssl

# How long an answer may take, all of it, in seconds; and how long a connection.
TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
# Pauses before the second and the third attempt, in seconds; and the longest `Retry-After` that is waited for.
PAUSES = (0.5, 2.0)
LONGEST_PAUSE = 10.0
# The life of a token whose endpoint does not say, and which does not say itself (a JWT's `exp`), in seconds.
UNKNOWN_LIFETIME = 300.0

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
# Which error an answer without a token is: by its status, or else by the hundred that it belongs to.
_LEAVES: Mapping[int, type[DatabricksError]] = {
    400: DatabricksAuthenticationError,  # invalid_client, invalid_grant, Connect's 212
    401: DatabricksAuthenticationError,
    403: DatabricksAuthenticationError,
    408: DatabricksTimeoutError,
    429: DatabricksRateLimitError,
    504: DatabricksTimeoutError,
    2: MalformedResponseError,
    3: MalformedResponseError,
    4: DatabricksInvalidRequestError,
    5: DatabricksAPIError,
}
_LONGEST_TEXT = 300
_OK = 200
# Header, claims and signature.
_JWT_PIECES = 3


@dataclass(frozen=True)
class TokenRequest:
    """A request to a token endpoint.

    Args:
        url: The endpoint.
        authorization: The whole `Authorization` header.
        form: The fields of the form; may hold secrets.
        purpose: What errors call it, such as "OAuth M2M token request".
        step: The way of signing in, as `Credentials.name`.
        advice: By status, what the user can do about it; 0 for any other refusal (400, 401, 403).
    """

    url: str
    authorization: SecretStr
    form: Mapping[str, str] = field(repr=False)
    purpose: str
    step: str
    advice: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What the endpoint answered."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Unanswered:
    """The endpoint did not answer."""

    reason: str
    timed_out: bool


@dataclass(frozen=True)
class Ask:
    """The effect "send the request"."""


@dataclass(frozen=True)
class Pause:
    """The effect "sleep", in seconds."""

    seconds: float


Negotiation = Generator[Ask | Pause, Answer | Unanswered | None, Grant]


def negotiate(request: TokenRequest, *, wall: float) -> Negotiation:
    """Decide how to get a token: ask, pause and ask again, or give up.

    Args:
        request: What to ask.
        wall: The time now, in seconds since the epoch, for tokens that say when they end.

    Returns:
        A generator that yields `Ask` and `Pause`, is sent what came of it, and returns the token.

    Raises:
        DatabricksError: The leaf that fits: refused, not reachable, too slow, not understood.
    """
    for pause in (*PAUSES, None):
        answer = yield Ask()
        if isinstance(answer, Answer) and answer.status not in _RETRIED:
            return _read(request, answer, wall)
        if not isinstance(answer, Answer):
            # An answer that did not come within 30 s is not waited for again: the caller has a deadline too.
            if pause is None or not isinstance(answer, Unanswered) or answer.timed_out:
                raise _unanswered(request, answer)
            yield Pause(pause)
            continue
        delay = _retry_after(answer, pause)
        if pause is None or delay > LONGEST_PAUSE:
            raise _refused(request, answer)
        yield Pause(delay)
    raise AssertionError  # the last row of the loop returns or raises


def fetch_grant(request: TokenRequest) -> Grant:
    """Get a token from sync code.

    Args:
        request: What to ask.

    Raises:
        DatabricksError: See `negotiate`.
    """
    import httpx  # noqa: PLC0415 - importing the package must not load httpx

    plan = negotiate(request, wall=time.time())
    effect = next(plan)
    with httpx.Client(**_client_options(request.url)) as client:
        try:
            while True:
                if isinstance(effect, Pause):
                    time.sleep(effect.seconds)
                    effect = plan.send(None)
                    continue
                try:
                    answer = Answer(*ask(client, request, TIMEOUT))
                except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                    effect = plan.send(_failure(error, request))
                else:
                    effect = plan.send(answer)
        except StopIteration as end:
            return _grant_of(end)


async def afetch_grant(request: TokenRequest) -> Grant:
    """Get a token from async code.

    Args:
        request: What to ask.

    Raises:
        DatabricksError: See `negotiate`.
    """
    # The client is made and closed here: it belongs to this event loop, and a token is fetched about once an hour.
    options = await asyncio.to_thread(_client_options, request.url)
    import httpx  # noqa: PLC0415 - loaded by the thread above

    plan = negotiate(request, wall=time.time())
    effect = next(plan)
    async with httpx.AsyncClient(**options) as client:
        try:
            while True:
                if isinstance(effect, Pause):
                    await asyncio.sleep(effect.seconds)
                    effect = plan.send(None)
                    continue
                try:
                    answer = Answer(*await asyncio.wait_for(aask(client, request), TIMEOUT))
                except asyncio.TimeoutError:
                    effect = plan.send(Unanswered("the answer did not end", timed_out=True))
                except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                    effect = plan.send(_failure(error, request))
                else:
                    effect = plan.send(answer)
        except StopIteration as end:
            return _grant_of(end)


def basic(user: str, password: str) -> SecretStr:
    """The `Authorization` header for HTTP Basic.

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
            "The client id or the client secret holds a character that is not Unicode. Check where it comes from."
        ) from None


def jwt_expiry(token: str) -> float | None:
    """When a JWT ends, in seconds since the epoch; None if it does not say or is none.

    Args:
        token: A token of any kind.
    """
    pieces = token.split(".")
    if len(pieces) != _JWT_PIECES:
        return None
    try:
        claims = pydantic_core.from_json(base64.urlsafe_b64decode(pieces[1] + "=" * (-len(pieces[1]) % 4)))
    except ValueError:
        return None
    return _seconds(claims.get("exp")) if isinstance(claims, dict) else None


@functools.lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The TLS context of all token requests of this process."""
    return tls_context()


def _client_options(url: str = "") -> dict[str, Any]:
    """How both clients are made for a request to a URL."""
    import httpx  # noqa: PLC0415 - importing the package must not load httpx

    timeout = httpx.Timeout(TIMEOUT, connect=CONNECT_TIMEOUT)
    # A redirect could carry the secret to another host; it is an answer like any other here, and never followed.
    return {"verify": _tls(), "timeout": timeout, "follow_redirects": False, **(_proxy_options(url) if url else {})}


def _proxy_options(url: str) -> dict[str, Any]:
    """The proxy that the environment means for a URL, looked up here so that one that cannot be used is named."""
    if is_loopback(urlsplit(url).hostname or ""):
        return {"trust_env": False}  # it may be http, and holds the secret, which a proxy would see
    if not has_proxy():
        return {}
    import httpx  # noqa: PLC0415 - importing the package must not load httpx

    setting = proxy_for(url)
    if setting is None:
        return {"trust_env": False}
    try:
        httpx.HTTPTransport(proxy=setting.address, verify=_tls()).close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise proxy_error(error, setting) from None
    return {"trust_env": False, "proxy": setting.address}


def _hider(request: TokenRequest) -> Callable[[str], str]:
    """What masks the secrets of a request in its answer."""
    return hider({"Authorization": request.authorization.get_secret_value()}, request.url, request.form)


def _failure(error: Exception, request: TokenRequest) -> Unanswered:
    """Take out of a failure what is decided on."""
    import httpx  # noqa: PLC0415 - importing the package must not load httpx

    hide_causes(error, _hider(request))
    return Unanswered(f"{type(error).__name__}: {scrub(str(error))}", isinstance(error, httpx.TimeoutException))


def _grant_of(end: StopIteration) -> Grant:
    """What a negotiation returned."""
    grant = end.value
    if not isinstance(grant, Grant):
        raise TypeError  # not reached: a negotiation returns a grant
    return grant


def _read(request: TokenRequest, answer: Answer, wall: float) -> Grant:
    """The token in an answer, or the error that it is."""
    payload = _payload(answer)
    token = payload.get("access_token")
    if answer.status == _OK and isinstance(token, str) and token.strip():
        lifetime = _seconds(payload.get("expires_in"))
        if lifetime is None:
            ends = jwt_expiry(token)
            lifetime = UNKNOWN_LIFETIME if ends is None else ends - wall
        return Grant(SecretStr(token.strip()), lifetime)
    raise _refused(request, answer)


def _refused(request: TokenRequest, answer: Answer) -> DatabricksError:
    """The error for an answer without a token."""
    answer = Answer(answer.status, answer.headers, hide_in_bytes(_hider(request), answer.body))
    payload = _payload(answer)
    status = answer.status
    code = payload.get("error") or payload.get("error_code") or payload.get("code")
    description = payload.get("error_description") or payload.get("error_message") or payload.get("message")
    said = ": ".join(str(part) for part in (code, description) if part) or answer.body.decode(errors="replace").strip()
    said = scrub(said)[:_LONGEST_TEXT]
    leaf = _LEAVES.get(status) or _LEAVES.get(status // 100, MalformedResponseError)
    if leaf is MalformedResponseError:
        said = "it is no token. A login page or a redirect means that this is not the host of a workspace"
    advice = request.advice.get(status) or (request.advice.get(0, "") if leaf is DatabricksAuthenticationError else "")
    message = f"{request.purpose} to {request.url} failed: {status} {said}".rstrip(" .") + "."
    return leaf(
        f"{message} {advice}".rstrip(), status_code=status, error_code=str(code) if code else None, auth=request.step
    )


def _unanswered(request: TokenRequest, answer: Unanswered | None) -> DatabricksError:
    """The error for no answer."""
    reason = answer.reason if answer else "no answer"
    proxy = proxy_for(request.url)
    reason = f"{reason}; through the proxy {proxy}" if proxy else reason
    if answer and answer.timed_out:
        return DatabricksTimeoutError(
            f"{request.purpose} to {request.url} had no answer within {TIMEOUT:.0f} s ({reason}). Check the host, and "
            "the proxy and firewall in between.",
            auth=request.step,
        )
    return DatabricksConnectionError(
        f"{request.purpose}: {request.url} cannot be reached ({reason}). Check the host, and the proxy and firewall "
        "in between.",
        auth=request.step,
    )


def _retry_after(answer: Answer, pause: float | None) -> float:
    """For how long to pause before the next attempt."""
    told = _seconds(answer.headers.get("retry-after"))
    return told if told is not None else (pause or 0.0)


def _payload(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; empty if it is something else."""
    try:
        payload = pydantic_core.from_json(answer.body)
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _seconds(value: object) -> float | None:
    """A number of seconds, sent as a number or as digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):  # OverflowError: a whole number of hundreds of digits
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
