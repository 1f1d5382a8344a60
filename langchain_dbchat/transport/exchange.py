"""The decisions of one call: what to send, how long to wait, and when to give up. This module does no input or output.

`exchange` is a generator. It yields `Send` or `Pause`, and receives the result: a `Reply`, a `Failure`, or None after a
pause. It returns the answer. Two short loops in `channel` execute what it yields, one sync and one async; they contain
no decision.

Rule 1. A 2xx reply is the answer, unless it is a web page: a login page also has the status 200.
Rule 2. If the server does not know the token (401, or Databricks' 403 "Invalid Token"), the credentials are asked for a
    new one, once, and the request is sent again if they return another. If there is no other token (a plain string, a
    callable that returns the same one, a request with its own ``Authorization``), the error is raised. If the provider
    of an external model refuses the endpoint's key, that says nothing about the caller's token.
Rule 3. If the server, or the provider of an external model, refuses the request as it is (400, 422) or does not know
    its URL (404, 405, 501), `revise` may return another request, up to `LESSONS` times, if it was not sent yet. In this
    way the client learns which optional fields an endpoint refuses (servers name one at a time), which wire format it
    has, and that a workspace has no AI gateway.
Rule 4. After overload and failures of the server (408, 425, 429, 500, 502, 503, 504, or a code with the same meaning,
    such as a provider's 429 within a 400), and if a request did not reach the server, it is sent again after a pause:
    up to `max_retries` times, and only if the pause ends before the deadline. The server's Retry-After is obeyed.
    Without it the pause is random between 0 and an exponential bound ("full jitter"), so that clients that failed at
    the same time do not come back at the same time. After a connection that failed or broke, the first pause is short,
    because the next connection usually works.
Rule 5. A request that was sent and got no answer is sent again only if the policy permits it, because the server may be
    executing it, and an agent may act twice.
Rule 6. Any other status is an error at once, redirects too. The raised error is the last one, unchanged, and its notes
    list the attempts before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksInvalidRequestError,
)
from langchain_dbchat.transport.messages import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from langchain_dbchat.transport.messages import Request

__all__ = ["Failure", "Pause", "RetryPolicy", "Send", "Unsent", "exchange"]

LESSONS = 4
"""Maximum number of refusals in one call after which another request is sent."""

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNKNOWN_CALLER = frozenset({401, 403})
_REFUSED = frozenset({400, 404, 405, 422, 501})
_PAGE_STARTS = (b"<!doctype html", b"<html")


@dataclass(slots=True)
class Failure:
    """An attempt without an answer.

    Attributes:
        error: The error to raise if the request is not sent again.
        sent: Whether the server may have executed the request.
    """

    error: DatabricksError
    sent: bool


@dataclass(slots=True)
class Unsent:
    """A request that was not sent again, because the credentials returned the signature that was refused."""


class Send(NamedTuple):
    """The step: send this request, and send back a `Reply`, a `Failure` or `Unsent`.

    Attributes:
        request: The request.
        refresh: Whether the last signature was refused, so that the credentials are asked for a new one.
        refused: That signature. If the credentials return it again, nothing is sent, and the result is `Unsent`.
    """

    request: Request
    refresh: bool = False
    refused: Mapping[str, str] | None = None

    def was_refused(self, signature: Mapping[str, str]) -> bool:
        """Return whether a signature is the one that was refused.

        Args:
            signature: The credentials' headers.
        """
        return self.refused is not None and signature == self.refused


class Pause(NamedTuple):
    """The step: wait, then send back None.

    Attributes:
        seconds: The length of the pause.
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
        """Refuse numbers without a meaning.

        Raises:
            ConfigurationError: A number is negative or not a number.
        """
        for name in ("max_retries", "deadline", "base", "after_break", "cap"):
            value = getattr(self, name)
            if not value >= 0:
                raise ConfigurationError(f"retry policy: {name} is {value!r}; it must not be below 0.")


class _Ledger:
    """The retries of one call: their number, the start of the call, and the result of each attempt."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float], dice: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._dice = dice
        self._began = clock()
        self._retries = 0
        self._notes: list[str] = []

    def note(self, error: DatabricksError, then: str) -> None:
        """Note an attempt that failed, and what was done after it."""
        first_line = error.message.partition("\n")[0]
        self._notes.append(f"attempt {len(self._notes) + 1}: {first_line} -> {then}")

    def pause(self, error: DatabricksError) -> float | None:
        """Return the seconds before the next retry; None if there is no further one."""
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

    def annotated(self, error: DatabricksError) -> DatabricksError:
        """Return the error with the earlier attempts as its notes."""
        if not self._notes:
            return error
        notes = [*getattr(error, "__notes__", ()), *self._notes]
        # BaseException.add_note exists since 3.11; Python 3.10 does not print the attribute.
        error.__dict__["__notes__"] = notes
        return error


def exchange(  # noqa: PLR0913  # clock and dice are arguments, so that no test sleeps
    request: Request,
    policy: RetryPolicy,
    *,
    clock: Callable[[], float],
    dice: Callable[[], float],
    auth: str,
    revise: Callable[[DatabricksError], Request | None] | None = None,
) -> Generator[Send | Pause, Reply | Failure | Unsent | None, Reply]:
    """Decide the steps of one call.

    Args:
        request: What to send.
        policy: When to send again.
        clock: Seconds of a clock that never goes back.
        dice: A random number from 0 up to 1.
        auth: The way of signing in, as errors name it.
        revise: Returns another request to send after a refusal, or None; called `LESSONS` times at most.

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
                raise ledger.annotated(refused)
            ledger.note(refused, "sent again with a new token")
            refused = None
        error = _error_of(outcome, request, auth)
        if error is None:
            return outcome  # type: ignore[return-value]  # only a Reply has no error
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
            raise ledger.annotated(error)
        yield Pause(pause)
        send = Send(request)


def _error_of(outcome: Reply | Failure | Unsent | None, request: Request, auth: str) -> DatabricksError | None:
    if isinstance(outcome, Failure):
        return outcome.error
    if not isinstance(outcome, Reply):
        raise TypeError("a Send is answered with a Reply or a Failure")
    if request.purpose is not None:
        return request.purpose.error_of(outcome)
    if 200 <= outcome.status < 300 and not _is_page(outcome):  # noqa: PLR2004  # the statuses that mean success
        return None
    from langchain_dbchat.errors.answers import error_from_response  # noqa: PLC0415  # where something went wrong

    return error_from_response(
        status=outcome.status,
        headers=outcome.headers,
        body=outcome.body,
        endpoint=request.endpoint,
        host=request.host,
        auth=auth,
        hide=outcome.hide,
    )


def _is_page(reply: Reply) -> bool:
    kind = reply.headers.get("content-type", "").lower()
    start = b"" if reply.content is None else reply.content.first(256)
    return kind.startswith("text/html") or start.lstrip().lower().startswith(_PAGE_STARTS)


def _is_unknown_caller(error: DatabricksError) -> bool:
    return isinstance(error, DatabricksAuthenticationError) and error.status_code in _UNKNOWN_CALLER


def _is_refused(error: DatabricksError) -> bool:
    """Return whether the endpoint, or a provider behind it, refused the request as it is, whatever its status."""
    behind = error.provider is not None and isinstance(error, DatabricksInvalidRequestError)
    return behind or error.status_code in _REFUSED


def _is_transient(outcome: Reply | Failure | Unsent | None, error: DatabricksError, policy: RetryPolicy) -> bool:
    if not getattr(error, "is_retryable", False):  # a ConfigurationError does not have it
        return False
    if isinstance(outcome, Failure):
        return policy.retry_sent or not outcome.sent
    status = error.status_code or 0
    return status in _RETRIED or status < 500  # noqa: PLR2004  # a status below 500 is transient only by its code
