"""An event loop that is watched: how long it is held at a time. Standard library only: a fresh process can use it."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any


class Watch(selectors.DefaultSelector):
    """A selector that measures, between two waits of the event loop, the time for which this thread had the CPU.

    Not the time on the wall: on a busy machine the loop may also wait for its turn, and that is not us.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slices: list[float] = []
        self._since = time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.slices.append(time.thread_time() - self._since)
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        self._since = time.thread_time()
        return ready


def on_a_watched_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> Watch:
    """Run on a new event loop, and give its watch."""
    watch = Watch()
    loop = asyncio.SelectorEventLoop(watch)
    try:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
    return watch
