"""Taking turns: how many requests to one endpoint may travel at once, found out together by all who call it.

An endpoint that is asked too much answers 429 or 503. If each caller then backs off for itself, all of them come back;
so the callers of one process share what they learn, per host and endpoint:

- Nothing is limited until the endpoint complains. Then each complaint lets a tenth fewer travel than before it, down to
  half of the crowd ("multiplicative decrease"); for each round of answers without complaint one more may travel
  ("additive increase"), as long as somebody wants more. So a refusal by chance costs little, and a crowd that is
  refused is halved in one round.
- The complaints of requests that set out before the last but one decrease began are about a crowd that has gone.
- Retry-After holds everybody back, not only the one who was told. Where the bound is 1 already and there is no
  Retry-After, the wait doubles with each further complaint, up to the 60 s of Databricks' rate-limit window.
- Waiting is first come, first served, and costs no connection.

`Limit` decides and is pure; `Gate` lets threads and tasks wait for it, in the order in which they came; `Turn` is one
request's turn, for both twins. A child after a fork begins anew, and a waiter whose event loop has died is passed over.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_dbchat.transport.exchange import Failure, Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from langchain_dbchat.transport.exchange import Unsent

__all__ = ["Gate", "Lane", "Limit", "Turn", "gate_of"]

logger = logging.getLogger(__name__)

_OVERLOADED = frozenset({429, 503})
_CUT = 0.9  # for each complaint
_DEEPEST_CUT = 0.5  # for all complaints of one crowd
_FIRST_HOLD = 0.5  # seconds, as the first bound of the retry policy
_LONGEST_HOLD = 60.0  # seconds: the window of Databricks' rate limits


@dataclass(slots=True)
class Limit:
    """How many requests may travel at once. No clock, no lock: times come as arguments.

    Attributes:
        bound: The most that may travel; infinite until the first complaint.
        travelling: How many travel.
        round: Counts the decreases.
        held_until: Before this time nobody starts.
    """

    bound: float = math.inf
    travelling: int = 0
    round: int = 0
    held_until: float = -math.inf
    _least: float = 1.0
    _complaints_at_one: int = 0

    def wait(self, now: float) -> float:
        """Say how long the next request has to wait.

        Args:
            now: The time in seconds.

        Returns:
            Seconds; 0 to start now, infinity until another one has ended.
        """
        if self.travelling + 1 > self.bound:
            return math.inf
        return max(0.0, self.held_until - now)

    def start(self) -> int:
        """Let a request start.

        Returns:
            The round in which it started, for `end`.
        """
        self.travelling += 1
        return self.round

    def end(self, started: int, outcome: Reply | Failure | Unsent | None, now: float) -> str | None:
        """Take a request's end into account.

        Args:
            started: What `start` gave.
            outcome: The answer; a failure or None says nothing about load.
            now: The time in seconds.

        Returns:
            What has changed, for the log; None if nothing did.
        """
        crowd, self.travelling = self.travelling, self.travelling - 1
        if not isinstance(outcome, Reply):
            return None
        if outcome.status in _OVERLOADED:
            return self._complaint(started, outcome, crowd, now)
        self._complaints_at_one = 0
        if crowd + 1 > self.bound:  # somebody may have been kept waiting
            self.bound += 1 / self.bound
        return None

    def _complaint(self, started: int, reply: Reply, crowd: int, now: float) -> str | None:
        from langchain_dbchat.errors.bodies import read_error_body, read_retry_after  # noqa: PLC0415  # where one came

        asked = read_retry_after(reply.headers, read_error_body(reply.body or b""))
        hold, before = asked or 0.0, self.bound
        if started == self.round:
            self.round += 1
            crowd_allowed = min(self.bound, crowd)
            self._least = max(1.0, crowd_allowed * _DEEPEST_CUT)
            self.bound = crowd_allowed * _CUT if crowd_allowed >= 2 else 1.0  # noqa: PLR2004  # below two only one goes
            if before < 2 and asked is None:  # noqa: PLR2004  # only one went already
                hold = min(_LONGEST_HOLD, _FIRST_HOLD * 2.0**self._complaints_at_one)
                self._complaints_at_one += 1
        elif started == self.round - 1:
            self.bound = max(self._least, self.bound * _CUT)
        lower = math.floor(self.bound) + 1 <= before
        told = f"at most {math.floor(self.bound)} at once from now on" if lower else None
        if hold > 0 and self.held_until <= now:
            told = f"{told}, nothing for {hold:.2f} s" if told else f"nothing for {hold:.2f} s"
        self.held_until = max(self.held_until, now + hold)
        return None if told is None else f"HTTP {reply.status}: {told}"


class _Waiter:
    """Somebody in the queue."""

    __slots__ = ("started", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.started: int | None = None


class _Bell:
    """What a task waits for; any thread may ring it. No task and no lock of its own, so a dying loop leaves nothing."""

    __slots__ = ("_loop", "_rung")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = self._loop.create_future()

    def ring(self) -> None:
        if _running_loop() is self._loop:  # the next one is woken before the one that leaves reads its answer
            self._ring()
        else:
            self._loop.call_soon_threadsafe(self._ring)

    async def wait(self, seconds: float | None) -> None:
        timer = None if seconds is None else self._loop.call_later(seconds, self._ring)
        try:
            await self._rung
        finally:
            if timer is not None:
                timer.cancel()
        self._rung = self._loop.create_future()

    def _ring(self) -> None:
        if not self._rung.done():
            self._rung.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a thread without one
        return None


class Gate:
    """Where the threads and tasks of a process wait for their turn at one endpoint.

    Args:
        name: The host and the endpoint, for the log.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: deque[_Waiter] = deque()
        self.limit = Limit()

    def enter(self) -> int:
        """Wait for a turn, in a thread.

        Returns:
            The round in which it began, for `leave`.
        """
        woken = threading.Event()
        waiter = _Waiter(woken.set)
        try:
            patience = self._line_up(waiter)
            while waiter.started is None:
                woken.wait(patience)
                woken.clear()
                patience = self._pump(waiter)
        except BaseException:  # a KeyboardInterrupt must not take the turn with it
            self._quit(waiter)
            raise
        return waiter.started

    async def aenter(self) -> int:
        """Wait for a turn, in a task.

        Returns:
            The round in which it began, for `leave`.
        """
        bell = _Bell()
        waiter = _Waiter(bell.ring)
        try:
            patience = self._line_up(waiter)
            while waiter.started is None:
                await bell.wait(patience)
                patience = self._pump(waiter)
        except BaseException:  # the same for a cancelled task
            self._quit(waiter)
            raise
        return waiter.started

    def leave(self, started: int, outcome: Reply | Failure | Unsent | None) -> None:
        """End a turn.

        Args:
            started: What `enter` gave.
            outcome: What came of it.
        """
        with self._lock:
            change = self.limit.end(started, outcome, self._clock())
        if change is not None:
            logger.info("%s: %s", self._name, change)
        self._pump()

    def _line_up(self, waiter: _Waiter) -> float | None:
        with self._lock:
            self._queue.append(waiter)
        return self._pump(waiter)

    def _pump(self, caller: _Waiter | None = None) -> float | None:
        """Give turns to the first in the queue.

        While nobody may start, the first in the queue has to know until when, since no other request's end will wake
        it: so it is woken, unless it is the one who asks.

        Returns:
            Seconds after which the caller has to ask again; None if it will be woken.
        """
        with self._lock:
            while self._queue:
                waiter = self._queue[0]
                wait = self.limit.wait(self._clock())
                if wait == math.inf or (wait > 0 and waiter is caller):
                    return None if wait == math.inf else wait
                if wait == 0:
                    self._queue.popleft()
                    waiter.started = self.limit.start()
                try:
                    waiter.wake()
                except RuntimeError:  # its event loop is closed: nobody waits there any more
                    self._forget(waiter)
                    continue
                if wait > 0:
                    return wait
        return None

    def _forget(self, waiter: _Waiter) -> None:
        """Take somebody out who does not wait any more; the caller holds the lock."""
        if waiter.started is not None:
            self.limit.end(waiter.started, None, self._clock())
        elif waiter in self._queue:
            self._queue.remove(waiter)

    def _quit(self, waiter: _Waiter) -> None:
        with self._lock:
            self._forget(waiter)
        self._pump()


class Lane(Gate):
    """A gate of one caller's own before the shared one: so many of its requests at once, pauses not counted.

    Args:
        width: How many may travel at once.
        outer: The shared gate behind; None for none.
    """

    def __init__(self, width: int, outer: Gate | None) -> None:
        super().__init__("lane")
        self.limit.bound = width
        self._outer = outer

    def enter(self) -> int:
        """Wait for a turn in the lane, then at the shared gate."""
        own = super().enter()
        try:
            return own if self._outer is None else self._outer.enter()
        except BaseException:
            super().leave(own, None)
            raise

    async def aenter(self) -> int:
        """Do the same in a task."""
        own = await super().aenter()
        try:
            return own if self._outer is None else await self._outer.aenter()
        except BaseException:
            super().leave(own, None)
            raise

    def leave(self, started: int, outcome: Reply | Failure | Unsent | None) -> None:
        """End both turns; the lane learns nothing from the outcome."""
        if self._outer is not None:
            self._outer.leave(started, outcome)
        super().leave(0, None)


class Turn:
    """The turn of one request: entered before it is sent, left when its outcome is known.

    Args:
        gate: Where to wait; None for no limit at all.
    """

    __slots__ = ("_gate", "_started", "outcome")

    def __init__(self, gate: Gate | None) -> None:
        self._gate = gate
        self._started = 0
        self.outcome: Reply | Failure | Unsent | None = None

    def __enter__(self) -> Self:
        if self._gate is not None:
            self._started = self._gate.enter()
        return self

    async def __aenter__(self) -> Self:
        if self._gate is not None:
            self._started = await self._gate.aenter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._gate is not None:
            self._gate.leave(self._started, self.outcome)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


_gates: dict[tuple[str, str], Gate] = {}


def gate_of(host: str, endpoint: str) -> Gate:
    """Get the process's gate for an endpoint.

    Args:
        host: The host.
        endpoint: The endpoint's name.

    Returns:
        The gate.
    """
    key = (host, endpoint)
    gate = _gates.get(key)
    # setdefault is atomic: of two threads that come first, both get the same gate.
    return gate if gate is not None else _gates.setdefault(key, Gate(f"{host} {endpoint}"))


if hasattr(os, "register_at_fork"):  # there are no forks on Windows
    # A child has none of its parent's threads: a lock that one of them held would stay locked for ever.
    os.register_at_fork(after_in_child=_gates.clear)
