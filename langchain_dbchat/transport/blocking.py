"""Run code in a thread that is written once, for threads and for event loops.

Rule 1. Such code is a coroutine function. All that it awaits is given to it: for an event loop, functions that suspend;
for a thread, coroutine functions that block and never suspend.
Rule 2. So in a thread, one `send` runs it to its end, like a nested call of sync code: exceptions, interrupts, context
variables and tracebacks are those of sync code, whether or not the thread has an event loop.
Rule 3. There is one difference: if a signal handler raises in the very step between the creation of a coroutine and its
start, Python also warns that this coroutine was never awaited. Nothing has begun then, so nothing is left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["finish"]

_T = TypeVar("_T")


def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run work to its end in this thread.

    Args:
        work: The work; nothing that it awaits suspends.

    Returns:
        What it returns.

    Raises:
        RuntimeError: It was about to suspend, which only an event loop can continue.
    """
    try:
        work.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    work.close()
    raise RuntimeError("Code that runs in a thread was about to wait for an event loop.")
