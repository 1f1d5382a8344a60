"""How many requests one endpoint gets at once: the rules, without clock, lock and waiting.

Rule 1. Nothing is limited until the endpoint reports overload (429 or 503). Each report lowers the bound by a tenth,
but one round of reports to no less than half of the requests that were in flight ("multiplicative decrease"). Each
round of answers without a report raises it by one ("additive increase"), as long as a request waits. So one refusal by
chance costs little, and many callers that are refused at once are halved in one round.
Rule 2. A report about a request that was sent before the last but one decrease is not counted, because it is about a
number of requests that is no longer in flight.
Rule 3. Retry-After delays all callers, not only the one who got it. If the bound is 1 already and there is no
Retry-After, the wait doubles with each further report, up to the 60 s of Databricks' rate-limit window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_dbchat.transport.messages import Reply

if TYPE_CHECKING:
    from langchain_dbchat.transport.exchange import Failure, Unsent

    Outcome = Reply | Failure | Unsent | None

__all__ = ["Limit"]

_OVERLOADED = frozenset({429, 503})
_CUT = 0.9  # for each report of overload
_DEEPEST_CUT = 0.5  # for all reports about the same requests in flight
_FIRST_HOLD = 0.5  # seconds, as the first bound of the retry policy
_LONGEST_HOLD = 60.0  # seconds: the window of Databricks' rate limits


@dataclass(slots=True)
class Limit:
    """How many requests may be in flight at once.

    Attributes:
        bound: The most that may be in flight; infinite until the endpoint reports overload.
        in_flight: How many are in flight.
        round: Counts the decreases.
        held_until: The time before which no request starts.
    """

    bound: float = math.inf
    in_flight: int = 0
    round: int = 0
    held_until: float = -math.inf
    _least: float = 1.0  # the bound is not lowered below this in one round
    _reports_at_one: int = 0  # in a row, while the bound is 1

    def wait(self, now: float) -> float:
        """Return how long the next request has to wait.

        Args:
            now: The time in seconds.

        Returns:
            Seconds; 0 to start now, infinity until another one has ended.
        """
        if self.in_flight + 1 > self.bound:
            return math.inf
        return max(0.0, self.held_until - now)

    def start(self) -> int:
        """Let a request start.

        Returns:
            The round in which it started, for `end`.
        """
        self.in_flight += 1
        return self.round

    def end(self, started: int, outcome: Outcome, now: float) -> str | None:
        """Note that a request has ended, and change the bound.

        Args:
            started: The round in which it started, from `start`.
            outcome: The answer; a failure or None says nothing about load.
            now: The time in seconds.

        Returns:
            What has changed, for the log; None if nothing did.
        """
        together, self.in_flight = self.in_flight, self.in_flight - 1
        if not isinstance(outcome, Reply):
            return None
        if outcome.status in _OVERLOADED:
            return self._lower(started, outcome, together, now)
        self._reports_at_one = 0
        if together + 1 > self.bound:  # somebody may have been kept waiting
            self.bound += 1 / self.bound
        return None

    def _lower(self, started: int, reply: Reply, together: int, now: float) -> str | None:
        from langchain_dbchat.errors.bodies import read_error_body, read_retry_after  # noqa: PLC0415  # most answers are not refusals

        asked = read_retry_after(reply.headers, read_error_body(reply.body or b""))
        hold, before = asked or 0.0, self.bound
        if started == self.round:
            self.round += 1
            allowed = min(self.bound, together)
            self._least = max(1.0, allowed * _DEEPEST_CUT)
            self.bound = allowed * _CUT if allowed >= 2 else 1.0  # noqa: PLR2004  # below two, one at a time
            if before < 2 and asked is None:  # noqa: PLR2004  # it was one at a time already
                hold = min(_LONGEST_HOLD, _FIRST_HOLD * 2.0**self._reports_at_one)
                self._reports_at_one += 1
        elif started == self.round - 1:
            self.bound = max(self._least, self.bound * _CUT)
        lower = math.floor(self.bound) + 1 <= before
        change = f"at most {math.floor(self.bound)} at once from now on" if lower else None
        if hold > 0 and self.held_until <= now:
            change = f"{change}, nothing for {hold:.2f} s" if change else f"nothing for {hold:.2f} s"
        self.held_until = max(self.held_until, now + hold)
        return None if change is None else f"HTTP {reply.status}: {change}"
