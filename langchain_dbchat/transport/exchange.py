"""One call as a conversation: what to send, how long to wait, when to give up. No byte moves here.

`exchange` is a generator. It yields what it wants, `Send` or `Pause`, and is sent what happened, a `Reply` or a
`Failure`; what it returns is the answer. Two short loops in `channel` obey it, one sync and one async, and decide
nothing.

The rules, in the order in which they are asked:

1. 2xx is the answer, unless it is a web page: a login page also comes with 200.
2. The server does not know the token (401, or Databricks' 403 "Invalid Token"): ask the credentials for a new one,
   once, and send again if they give another. Where there is no other token (a plain string; a callable that says the
   same again; a request with an ``Authorization`` of its own), the refusal is final. A provider behind an external
   model that refuses the endpoint's key says nothing about the caller's token.
3. The server, or the provider of an external model, refuses the request as it is (400, 422), or does not know its URL
   (404, 405, 501): `revise` may give another request, up to `LESSONS` times, if it has not been sent yet. That is how
   the client learns which optional fields an endpoint does not take (servers name one at a time), which wire format it
   speaks, and that a workspace has no AI gateway.
4. Overload and failures of the server (408, 425, 429, 500, 502, 503, 504, or a code that stands for one of them, such
   as a provider's 429 within a 400) and requests that never reached it: send again after a pause, up to `max_retries`
   times and as long as the pause ends before the deadline. The server's own Retry-After is obeyed; without one the
   pause is random between 0 and an exponential bound ("full jitter"), so that many clients that failed together do not
   return together. Where there was no connection, or it broke before the server could act (or may act twice:
   `retry_sent`), the next one usually holds: the first pause is short.
5. The request was sent and no answer came: the server may be working on it, and an agent may act on the world. It is
   sent again only if the policy says so.
6. Everything else is an error at once, redirects too. The error raised is the last one that happened, as it is, and its
   notes tell of the attempts before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksInvalidRequestError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

__all__ = ["Failure", "Pause", "Purpose", "Reply", "Request", "RetryPolicy", "Send", "Unsent", "exchange"]

LESSONS = 4
"""How many refusals of one call may be answered with another request."""

_Read = TypeVar("_Read")

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNKNOWN_CALLER = frozenset({401, 403})
_REFUSED = frozenset({400, 404, 405, 422, 501})
_PAGE_STARTS = (b"<!doctype html", b"<html")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a request is for that is not a call of an endpoint, such as a request for a token.

    Attributes:
        name: What errors call it, such as "OAuth M2M token request".
        advice: What to do if it was not answered.
        error_of: Reads an answer; returns None if it is what was asked for.
        form: The fields of the form in the body. Those with a secret's name are masked in errors.
    """

    name: str
    advice: str
    error_of: Callable[[Reply], DatabricksError | None]
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


class Request(NamedTuple):
    """A request without its signature.

    Attributes:
        url: The whole URL with its parameters.
        headers: Headers of the user; ``Authorization`` among them replaces the credentials' own.
        body: JSON, encoded.
        endpoint: The serving endpoint, for errors.
        host: The host, for errors.
        streaming: Whether an event stream is asked for.
        method: The HTTP method; a GET has an empty body.
        purpose: What it is for; None for a call of an endpoint.
        is_last: Decides whether an event of the stream is its last one.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    endpoint: str
    host: str
    streaming: bool = False
    method: str = "POST"
    purpose: Purpose | None = None
    is_last: Callable[[bytes], bool] | None = None

    @property
    def authorization(self) -> str | None:
        """Return the signature that the user's own headers carry, if they do."""
        return next((value for name, value in self.headers.items() if str(name).lower() == "authorization"), None)


@dataclass(slots=True)
class Reply:
    """An answer of the server, whatever its status.

    Attributes:
        status: The HTTP status.
        headers: The headers with lower-case names.
        body: The body, decompressed; None while it is still open.
        source: The open body, for the loop that opened it; nobody else touches it.
        signature: The credentials' headers with which the request was sent.
        hide: What masks the secrets that were sent, in a text of the server.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None = None
    source: Any = None
    signature: Mapping[str, str] | None = field(default=None, repr=False)
    hide: Callable[[str], str] | None = field(default=None, repr=False)

    def understood(self, read: Callable[[bytes], _Read]) -> _Read:
        """Read the body; an error about it holds no secret that was sent.

        Args:
            read: Reads a body, or raises.

        Returns:
            What `read` returns.

        Raises:
            DatabricksError: What `read` raises.
        """
        body = self.body or b""
        try:
            return read(body)
        except DatabricksError:
            from langchain_dbchat.errors.sent_secrets import hide_in_bytes  # noqa: PLC0415  # where something went wrong

            masked = body if self.hide is None else hide_in_bytes(self.hide, body)
            if masked is body:
                raise
        return read(masked)


@dataclass(slots=True)
class Failure:
    """No answer.

    Attributes:
        error: What to raise if it is not tried again.
        sent: Whether the server may have executed the request.
    """

    error: DatabricksError
    sent: bool


@dataclass(slots=True)
class Unsent:
    """The request was not sent again, because the credentials gave the signature that had been refused."""


class Send(NamedTuple):
    """Send this request and report a `Reply` or a `Failure`.

    Attributes:
        request: The request.
        refresh: The last signature was refused: ask the credentials for a new one.
        refused: That signature. If the credentials give the same again, do not send, and report `Unsent`.
    """

    request: Request
    refresh: bool = False
    refused: Mapping[str, str] | None = None

    def is_vain(self, signature: Mapping[str, str]) -> bool:
        """Return whether a signature is the one that was refused.

        Args:
            signature: The credentials' headers.
        """
        return self.refused is not None and signature == self.refused


class Pause(NamedTuple):
    """Wait, then report None.

    Attributes:
        seconds: How long.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to send again, and how long to wait before.

    Attributes:
        max_retries: How many times at most, 5 by default; 0 for never.
        deadline: Seconds after the start of the call in which the last retry may begin, 120 by default.
        base: Bound of the first random pause in seconds, 0.5 by default; it doubles each time.
        after_break: Bound of the first pause if there was no connection or it broke, 0.05 seconds by default.
        cap: The largest bound in seconds, 60 by default: the window of Databricks' rate limits.
        retry_sent: Whether to send again what the server may be executing, False by default.
    """

    max_retries: int = 5
    deadline: float = 120.0
    base: float = 0.5
    after_break: float = 0.05
    cap: float = 60.0
    retry_sent: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            ConfigurationError: A number is negative or not a number.
        """
        for name in ("max_retries", "deadline", "base", "after_break", "cap"):
            value = getattr(self, name)
            if not value >= 0:
                raise ConfigurationError(f"retry policy: {name} is {value!r}; it must not be below 0.")


class _Ledger:
    """The retries of one call: how many, since when, and what happened in each attempt."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float], dice: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._dice = dice
        self._began = clock()
        self._retries = 0
        self._notes: list[str] = []

    def note(self, error: DatabricksError, then: str) -> None:
        """Write down an attempt that did not give the answer, and what was done about it."""
        first_line = error.message.partition("\n")[0]
        self._notes.append(f"attempt {len(self._notes) + 1}: {first_line} -> {then}")

    def pause(self, error: DatabricksError) -> float | None:
        """Return how long to wait before the next retry; None if there is none."""
        policy = self._policy
        if self._retries >= policy.max_retries:
            self.note(error, f"given up after {self._retries} retries (max_retries)")
            return None
        wait = error.retry_after
        if wait is None:
            broke = isinstance(error, DatabricksConnectionError) and self._retries == 0
            wait = self._dice() * min(policy.cap, policy.after_break if broke else policy.base * 2.0**self._retries)
        left = policy.deadline - (self._clock() - self._began)
        if wait > left:
            asked = "the server asks to wait" if error.retry_after is not None else "the next pause would be"
            self.note(error, f"given up: {asked} {wait:.2f} s, and {max(left, 0):.2f} s of the deadline are left")
            return None
        self._retries += 1
        self.note(error, f"waited {wait:.2f} s")
        return wait

    def tell(self, error: DatabricksError) -> DatabricksError:
        """Hang the attempts on the error that is raised, if there is something to tell."""
        if not self._notes:
            return error
        notes = [*getattr(error, "__notes__", ()), *self._notes]
        # BaseException.add_note exists since 3.11; on 3.10 the attribute is there for those who look.
        error.__dict__["__notes__"] = notes
        return error


def exchange(  # noqa: PLR0913  # the world's parts are arguments, so that no test sleeps
    request: Request,
    policy: RetryPolicy,
    *,
    clock: Callable[[], float],
    dice: Callable[[], float],
    auth: str,
    revise: Callable[[DatabricksError], Request | None] | None = None,
) -> Generator[Send | Pause, Reply | Failure | Unsent | None, Reply]:
    """Conduct one call.

    Args:
        request: What to send.
        policy: When to send again.
        clock: Seconds of a clock that never goes back.
        dice: A random number from 0 up to 1.
        auth: The way of signing in, as errors name it.
        revise: Given the refusal, another request to send instead, or None. Asked about
            `LESSONS` refusals at most.

    Yields:
        `Send` and `Pause`.

    Returns:
        The 2xx reply.

    Raises:
        DatabricksError: The call failed.
    """
    ledger = _Ledger(policy, clock, dice)
    refused: DatabricksError | None = None
    may_refresh = request.authorization is None
    tried: list[tuple[str, bytes]] = []
    send = Send(request)
    while True:
        outcome = yield send
        if refused is not None:
            if isinstance(outcome, Unsent):
                ledger.note(refused, "not sent again: the credentials gave the same token")
                raise ledger.tell(refused)
            ledger.note(refused, "sent again with a new token")
            refused = None
        error = _error_of(outcome, request, auth)
        if error is None:
            return outcome  # type: ignore[return-value]  # only a Reply is without an error
        if may_refresh and _is_unknown_caller(error):
            may_refresh, refused = False, error
            send = Send(request, refresh=True, refused=outcome.signature if isinstance(outcome, Reply) else None)
            continue
        if revise is not None and len(tried) < LESSONS and _is_refused(error):
            tried.append((request.url, request.body))
            revised = revise(error)
            if revised is not None and (revised.url, revised.body) not in tried:
                request = revised
                ledger.note(error, "another request was sent")
                send = Send(request)
                continue
        pause = ledger.pause(error) if _is_transient(outcome, error, policy) else None
        if pause is None:
            raise ledger.tell(error)
        yield Pause(pause)
        send = Send(request)


def _error_of(outcome: Reply | Failure | Unsent | None, request: Request, auth: str) -> DatabricksError | None:
    if isinstance(outcome, Failure):
        return outcome.error
    if not isinstance(outcome, Reply):
        raise TypeError("a Send is answered with a Reply or a Failure")
    if request.purpose is not None:
        return request.purpose.error_of(outcome)
    if 200 <= outcome.status < 300 and not _is_page(outcome):  # noqa: PLR2004  # the range of statuses that mean yes
        return None
    from langchain_dbchat.errors.answers import error_from_response  # noqa: PLC0415  # where something went wrong

    return error_from_response(
        status=outcome.status,
        headers=outcome.headers,
        body=outcome.body or b"",
        endpoint=request.endpoint,
        host=request.host,
        auth=auth,
        hide=outcome.hide,
    )


def _is_page(reply: Reply) -> bool:
    kind = reply.headers.get("content-type", "").lower()
    return kind.startswith("text/html") or (reply.body or b"")[:256].lstrip().lower().startswith(_PAGE_STARTS)


def _is_unknown_caller(error: DatabricksError) -> bool:
    return isinstance(error, DatabricksAuthenticationError) and error.status_code in _UNKNOWN_CALLER


def _is_refused(error: DatabricksError) -> bool:
    """Return whether the endpoint, or a provider behind it, refused the request as it is, whatever its status."""
    behind = error.provider is not None and isinstance(error, DatabricksInvalidRequestError)
    return behind or error.status_code in _REFUSED


def _is_transient(outcome: Reply | Failure | Unsent | None, error: DatabricksError, policy: RetryPolicy) -> bool:
    if not getattr(error, "is_retryable", False):  # a ConfigurationError is no ModelError and does not have it
        return False
    if isinstance(outcome, Failure):
        return policy.retry_sent or not outcome.sent
    status = error.status_code or 0
    return status in _RETRIED or status < 500  # noqa: PLR2004  # below, only a code can have made it one that passes
