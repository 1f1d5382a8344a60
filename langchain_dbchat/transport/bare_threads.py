"""Start threads where no lock may be taken: in a finalizer, or in a signal handler.

`threading.Thread.start` waits for an event, which has a lock; `_thread.start_new_thread` does not, and returns before
the new thread has begun.

Rule 1. The interpreter does not end before these threads have begun. Python 3.10 frees what it has of such a thread at
its end, and the thread then reads that memory when it begins. A thread that has begun is safe: it ends when it would
run again.
"""

from __future__ import annotations

import _thread
import atexit
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["start_thread"]

_MOST = 1.0  # seconds that the interpreter's end waits
_TURN = 0.001  # seconds

_beginning: set[object] = set()  # a mark for each thread that has not begun


def start_thread(run: Callable[..., object], *given: Any) -> None:
    """Start a thread, which ends with the interpreter if it still runs then.

    Args:
        run: What it runs.
        given: The arguments.

    Raises:
        RuntimeError: There can be no more threads, or the interpreter is about to end.
    """
    mark = object()
    _beginning.add(mark)
    try:
        _thread.start_new_thread(_begin, (mark, run, given))
    except BaseException:
        _beginning.discard(mark)
        raise


def _begin(mark: object, run: Callable[..., object], given: tuple[Any, ...]) -> None:
    _beginning.discard(mark)
    run(*given)


@atexit.register
def _wait_until_begun() -> None:
    until = time.monotonic() + _MOST
    while _beginning and time.monotonic() < until:
        time.sleep(_TURN)


if hasattr(os, "register_at_fork"):  # there are no forks on Windows
    os.register_at_fork(after_in_child=_beginning.clear)  # the parent's threads never begin in the child
