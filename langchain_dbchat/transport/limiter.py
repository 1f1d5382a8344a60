"""Wait until one endpoint may be asked: threads and tasks, all callers of the process together.

If an endpoint is overloaded and each caller backs off for itself, all of them come back together. So the callers of one
process share what they learn, per address and endpoint. `Limit` decides how many requests may be in flight.
`EndpointLimiter` lets threads and tasks wait. `Slot` is the part of a call during which its request is in flight.

Rule 1. Waiting is first come, first served, and uses no connection.
Rule 2. How many requests are in flight is not counted up and down. It is the number of `Permit` objects that exist and
were admitted. An exception that a signal handler raises between any two steps can lose a permit, but then the object is
collected, and the limiter no longer counts it. Those who wait look for that once a second. Somebody may keep the
exception, and with it the frames that refer to the permit: so a call that an exception ends gives it back again.
Rule 3. Python's garbage collector closes a coroutine whose event loop has ended without it, perhaps in a thread that
has the lock. So giving a permit back never waits for the lock: it puts the permit into a queue, which the thread that
has the lock empties when it releases it.
Rule 4. A child after a fork begins anew, because a lock may be held by a thread that does not exist there. A waiter
whose event loop is closed is passed over.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import queue
import threading
import time
from collections import deque
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Protocol
from weakref import ref

from langchain_dbchat.transport.limit import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    from typing_extensions import Self

    from langchain_dbchat.transport.limit import Outcome

__all__ = ["AsyncEvent", "EndpointLimiter", "LocalLimiter", "Permit", "Slot", "ThreadEvent", "limiter_for"]

logger = logging.getLogger(__name__)

_RECHECK = 1.0  # seconds after which a waiting caller looks for permits that were lost


class Permit:
    """The right to have one request in flight, or the wait for it.

    Args:
        wake: Wakes the thread or task that waits for it.
        patience: Seconds that it waits at most because a server asked for a pause; then it is admitted all the same.
    """

    __slots__ = ("__weakref__", "outer", "patience", "until", "wake")

    def __init__(self, wake: Callable[[], object], patience: float = math.inf) -> None:
        self.wake = wake
        self.patience = patience
        self.until = math.inf  # the time at which its patience ends, once it is in a queue
        self.outer: Permit | None = None  # that of the limiter behind this one


class WaitEvent(Protocol):
    """What a caller waits with, and any thread sets."""

    def set(self) -> None:
        """Wake the caller."""

    async def wait(self, seconds: float) -> None:
        """Wait until the event is set, or for so many seconds; then clear it."""


class ThreadEvent:
    """An event that a thread waits for (see `blocking`) and any thread sets, also in a finalizer: it takes no lock."""

    __slots__ = ("_inbox",)

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Wake the thread."""
        self._inbox.put(None)

    async def wait(self, seconds: float) -> None:
        """Wait until the event is set, or for so many seconds; then clear it."""
        with suppress(queue.Empty):
            self._inbox.get(timeout=seconds)
            while True:
                self._inbox.get_nowait()


class AsyncEvent:
    """An event that a task waits for and any thread sets.

    It needs no task and no lock of its own, so that an event loop that ends leaves nothing behind.
    """

    __slots__ = ("_loop", "_set")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._set = self._loop.create_future()

    def set(self) -> None:
        """Wake the task.

        Raises:
            RuntimeError: Its event loop is closed.
        """
        if _running_loop() is self._loop:  # the next task is woken before the one that leaves reads its answer
            self._finish()
        else:
            self._loop.call_soon_threadsafe(self._finish)

    async def wait(self, seconds: float) -> None:
        """Wait until the event is set, or for so many seconds; then clear it."""
        timer = self._loop.call_later(seconds, self._finish)
        try:
            await self._set
        finally:
            timer.cancel()
        self._set = self._loop.create_future()

    def _finish(self) -> None:
        if not self._set.done():
            self._set.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a thread without one
        return None


class EndpointLimiter:
    """Lets the threads and tasks of a process wait until one endpoint may be asked.

    Args:
        name: The host and the endpoint, for the log.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: deque[Permit] = deque()
        self._admitted: dict[ref[Permit], int] = {}  # the permits in use, and the round in which each was admitted
        self._lost: deque[ref[Permit]] = deque()  # permits that were collected while they were in use
        self._given_up: deque[Permit] = deque()  # given back, but still counted: the next holder of the lock takes them
        self.limit = Limit()

    @property
    def in_flight(self) -> int:
        """Return how many requests are in flight."""
        with self._lock:
            self._count()
            return self.limit.in_flight

    async def acquire(self, permit: Permit, woken: WaitEvent) -> None:
        """Wait until a request may be sent.

        Args:
            permit: The permit, for `release`.
            woken: What to wait with, in this thread or in this task; the permit sets it.
        """
        with closing(self.admission(permit)) as waits:
            for seconds in waits:
                await woken.wait(seconds)

    def release(self, permit: Permit, outcome: Outcome) -> None:
        """Give a permit back.

        Args:
            permit: What was given to `acquire`.
            outcome: The result of the request.
        """
        if outcome is None:  # there is nothing to learn; perhaps this is a finalizer
            self._give_up(permit)
            return
        try:
            with self._lock:
                self._count()
                started = self._admitted.pop(ref(permit), None)
                change = None if started is None else self.limit.end(started, outcome, self._clock())
        except BaseException:
            self._give_up(permit)
            raise
        if change is not None:
            logger.info("%s: %s", self._name, change)
        self._admit()

    def admission(self, permit: Permit) -> Generator[float, None, None]:
        """Put a permit into the queue, and yield the seconds to wait before each next look, until it is admitted.

        Args:
            permit: The permit.
        """
        try:
            permit.until = self._clock() + permit.patience
            with self._lock:
                self._queue.append(permit)
            seconds = self._admit(permit)
            while not self._is_admitted(permit):
                yield seconds
                seconds = self._admit(permit)
        except BaseException:  # the waiting caller was interrupted or cancelled, and must not keep the permit
            self.withdraw(permit)
            raise

    def withdraw(self, permit: Permit) -> None:
        """Take back a permit, whether it waits, is in use, or was given back.

        Args:
            permit: The permit.
        """
        self._give_up(permit)

    def _give_up(self, permit: Permit) -> None:
        self._given_up.append(permit)
        self._take_back()

    def _take_back(self) -> None:
        """Take back what was given up. If the lock is taken, who has it does the same when it has been released."""
        while self._given_up and not self._lock.locked():  # so this thread does not have it
            with self._lock:
                self._admit_first(None)

    def _is_admitted(self, permit: Permit) -> bool:
        return ref(permit) in self._admitted

    def _admit(self, caller: Permit | None = None) -> float:
        """Admit the first in the queue, as many as the limit allows.

        While nobody may start, the first in the queue has to know until when, because the end of another request will
        not wake it: so it is woken, unless it is the one who asks.

        Returns:
            Seconds after which the caller has to ask again, if it is not woken before.
        """
        with self._lock:
            seconds = self._admit_first(caller)
        self._take_back()
        return seconds

    def _admit_first(self, caller: Permit | None) -> float:
        """Do that; the caller holds the lock."""
        while True:
            self._count()
            if not self._queue:
                return _RECHECK
            permit = self._queue[0]
            if self._is_admitted(permit):  # the thread that admitted it was interrupted
                wait = 0.0
            else:
                now = self._clock()
                wait = self.limit.wait(now)
                wait = wait if wait == math.inf else min(wait, max(0.0, permit.until - now))
                if wait == math.inf or (wait > 0 and permit is caller):
                    return min(wait, _RECHECK)
            if wait == 0:
                # One step admits it: it is counted from then on, and the waiting caller sees it.
                self._admitted[ref(permit, self._lost.append)] = self.limit.start()
                self._queue.popleft()
            try:
                permit.wake()
            except RuntimeError:  # its event loop is closed: nobody waits there any more
                self._forget(permit)
                continue
            if wait > 0:
                return min(wait, _RECHECK)

    def _count(self) -> None:
        """Count the permits in use, without those that were given up or lost; the caller holds the lock."""
        while self._given_up:
            self._forget(self._given_up[0])
            self._given_up.popleft()
        while self._lost:
            self._admitted.pop(self._lost[0], None)
            self._lost.popleft()
        self.limit.in_flight = len(self._admitted)

    def _forget(self, permit: Permit) -> None:
        """Take a permit out of the queue, and out of use; the caller holds the lock."""
        self._admitted.pop(ref(permit), None)
        if permit in self._queue:
            self._queue.remove(permit)


class LocalLimiter(EndpointLimiter):
    """A limiter of one caller's own before the shared one: so many of its requests at once, pauses not counted.

    Args:
        width: How many may be in flight at once.
        outer: The shared limiter behind it; None for none.
    """

    def __init__(self, width: int, outer: EndpointLimiter | None) -> None:
        super().__init__("local limiter")
        self.limit.bound = width
        self._outer = outer

    def admission(self, permit: Permit) -> Generator[float, None, None]:
        """Wait for this limiter, then for the shared one.

        Args:
            permit: The permit of this limiter; it gets that of the shared one.
        """
        yield from super().admission(permit)
        if self._outer is None:
            return
        outer = permit.outer = Permit(permit.wake, permit.patience)
        try:
            yield from self._outer.admission(outer)
        except BaseException:
            super().release(permit, None)
            raise

    def release(self, permit: Permit, outcome: Outcome) -> None:
        """Give both permits back; this limiter learns nothing from the outcome."""
        if self._outer is not None and permit.outer is not None:
            self._outer.release(permit.outer, outcome)
        super().release(permit, None)

    def withdraw(self, permit: Permit) -> None:
        """Take back both permits."""
        if self._outer is not None and permit.outer is not None:
            self._outer.withdraw(permit.outer)
        super().withdraw(permit)


class Slot:
    """The time in which one request is in flight: entered before it is sent, left when its outcome is known.

    Args:
        limiter: Where to wait.
        event: What to wait with.
        patience: Seconds to wait at most for a pause that a server asked for.
        clock: Seconds of a clock that never goes back.

    Attributes:
        outcome: The result of the request, for the limiter.
        waited: Seconds that it has waited.
    """

    __slots__ = ("_clock", "_event", "_limiter", "_permit", "outcome", "waited")

    def __init__(
        self,
        limiter: EndpointLimiter,
        event: WaitEvent,
        patience: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limiter = limiter
        self._event = event
        self._clock = clock
        self.waited = 0.0
        self._permit = Permit(event.set, patience)
        self.outcome: Outcome = None

    async def __aenter__(self) -> Self:
        began = self._clock()
        await self._limiter.acquire(self._permit, self._event)
        self.waited = self._clock() - began
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limiter.release(self._permit, self.outcome)

    def end(self) -> None:
        """Leave it if an exception has ended the call at any step."""
        self._limiter.withdraw(self._permit)


_limiters: dict[tuple[str, str], EndpointLimiter] = {}


def limiter_for(address: str, endpoint: str) -> EndpointLimiter:
    """Get the process's limiter for an endpoint.

    Args:
        address: Where it is, with the path and the workspace's id: one host may serve several workspaces.
        endpoint: The endpoint's name.

    Returns:
        The limiter.
    """
    key = (address, endpoint)
    limiter = _limiters.get(key)
    # setdefault is atomic: of two threads that come first, both get the same limiter.
    return limiter if limiter is not None else _limiters.setdefault(key, EndpointLimiter(f"{address} {endpoint}"))


if hasattr(os, "register_at_fork"):  # there are no forks on Windows
    # A child has none of its parent's threads: a lock that one of them held would never be released.
    os.register_at_fork(after_in_child=_limiters.clear)
