"""Bound how long the calls of an event loop run before its other tasks do.

When a hundred calls begin at once, or a hundred streams have new events, each has work that can be done at once.
Without a bound the loop does all of it before it looks at anything else, and the program's other tasks wait.

Rule 1. The calls of one loop have a share of its time. Once it is used, the next of them lets the loop run the other
tasks once; then a new share begins. So a task waits for one share and the longest single step, however many calls run.
Rule 2. The share is CPU of the thread, because a process that waits for a processor has not used it. A single slow
stream gives way once a share, which costs less than a hundredth of it.
Rule 3. Each thread has its own share, because it runs one loop at most.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SHARE", "LoopShare", "loop_share"]

SHARE = 0.005
"""Seconds of CPU that calls run one after the other."""


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
        self._clock, self._wall_clock = clock, wall_clock
        self._end = -1.0
        self._not_before = -math.inf  # of the wall clock: until then, the share cannot be used

    def is_used(self) -> bool:
        """Return whether the share is used, so that the caller has to `give_way`."""
        now = self._wall_clock()
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
                return
            if not self.is_used():
                return


loop_share = LoopShare()
"""The shares of all threads."""
