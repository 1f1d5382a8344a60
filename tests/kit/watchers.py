"""Which threads of the package watch the deadlines of calls."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from langchain_dbchat.transport import deadlines

if TYPE_CHECKING:
    from types import FrameType


def watchers() -> int:
    """Count them; they are not threads of `threading`, so it does not list them."""
    count = 0
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            count += frame.f_code is deadlines._look.__code__
            frame = frame.f_back
    return count


def wait_for_watchers(count: int, seconds: float) -> None:
    """Wait until there are so many, or fail."""
    until = time.monotonic() + seconds
    while watchers() != count:
        assert time.monotonic() < until, f"{watchers()} threads watch, and not {count}"
        time.sleep(0.01)
