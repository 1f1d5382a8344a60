"""Bound how long the calls of an event loop run before its other tasks do; if it is busy, let them do more at once.

When a hundred calls begin at once, or a hundred streams have new events, each has work that can be done at once.
Without a bound the loop does all of it before it looks at anything else, and the program's other tasks wait.

Rule 1. The calls of one loop have a share of its time. Once it is used, the next of them lets the loop run the other
tasks once; then a new share begins. So a task waits for one share and the longest single step, however many calls run.
Rule 2. The share is CPU of the thread, because a process that waits for a processor has not used it. A single slow
stream gives way once a share, which costs less than a hundredth of it.
Rule 3. Each thread has its own share, because it runs one loop at most.
Rule 4. A loop is busy while a share is used within four times its length. Then a stream takes what has arrived a
hundred times a second at most: events that come meanwhile become one chunk, which costs little more than one event.
Each chunk is several objects that LangChain keeps until its stream ends, and that Python's garbage collector visits.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GATHERING", "SHARE", "Gathering", "LoopShare", "loop_share"]

SHARE = 0.005
"""Seconds of CPU that calls run one after the other."""

GATHERING = 0.01
"""Seconds from one chunk of a stream to the next, at least, if the loop is busy."""

_BUSY = 4 * SHARE  # seconds in which a share is used
_STAYS_BUSY = 0.05  # seconds


class LoopShare(threading.local):
    """The share of the calls in the loop of this thread.

    Args:
        clock: Returns the seconds of CPU that the thread has used.
        wall_clock: Returns the seconds that have passed, whoever used them, which are normally at least as many. It
            takes a tenth of the time of the other, which is a system call.
    """

    def __init__(
        self, clock: Callable[[], float] = time.thread_time, wall_clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self.wall_clock = clock, wall_clock
        self._end = -1.0
        self._not_before = -math.inf  # of the wall clock: until then, the share cannot be used
        self._began = -math.inf  # of the wall clock: when this share began
        self._busy_until = -math.inf  # of the wall clock

    def is_used(self) -> bool:
        """Return whether the share is used, so that the caller has to `give_way`."""
        now = self.wall_clock()
        if self._not_before - SHARE <= now < self._not_before:
            return False
        left = self._end - self._clock()
        self._not_before = now + left
        return not 0 <= left <= SHARE  # more is left if the clock began anew, in a forked child

    async def give_way(self) -> None:
        """Let the loop run its other tasks, until a share has some time left."""
        while True:
            used = self._end
            await asyncio.sleep(0)
            if self._end == used:  # this is the first of the calls that gave way together
                self._end = self._clock() + SHARE
                now = self.wall_clock()
                if now - self._began < _BUSY:
                    self._busy_until = now + _STAYS_BUSY
                self._began = now
                return
            if not self.is_used():
                return

    def is_busy(self, now: float) -> bool:
        """Return whether the loop is busy.

        Args:
            now: The time of the wall clock.
        """
        return now < self._busy_until


loop_share = LoopShare()
"""The shares of all threads."""


class Gathering:
    """When one stream takes the events that have arrived.

    Args:
        share: The share of the stream's loop.
    """

    __slots__ = ("_share", "_taken")

    def __init__(self, share: LoopShare = loop_share) -> None:
        self._share = share
        self._taken = -math.inf

    def rest(self) -> float:
        """Return how many seconds to wait, when bytes have arrived, until they are taken; 0 if the loop has time."""
        now = self._share.wall_clock()
        rest = max(self._taken + GATHERING - now, 0.0) if self._share.is_busy(now) else 0.0
        self._taken = now + rest
        return rest
