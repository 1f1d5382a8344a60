"""Start threads where no lock may be taken, in a finalizer or in a signal handler, and where none may be waited for.

`threading.Thread.start` waits for an event, which has a lock; `_thread.start_new_thread` does not, and returns before
the new thread has begun. `asyncio.to_thread` waits until one of the event loop's threads is free, of which there are
few, and the user's code may have all of them for as long as it likes.

Rule 1. The interpreter does not end before these threads have begun. Python 3.10 frees what it has of such a thread at
its end, and the thread then reads that memory when it begins. A thread that has begun is safe: it ends when it would
run again.
"""

from __future__ import annotations

import _thread
import asyncio
import atexit
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread", "start_thread"]

_T = TypeVar("_T")

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


async def in_thread(work: Callable[[], _T]) -> _T:
    """Do work in a thread of its own, without blocking the event loop.

    Args:
        work: The work.

    Returns:
        Its result.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[_T] = loop.create_future()

    def end(value: Any, error: BaseException | None) -> None:
        if not result.done():
            result.set_result(value) if error is None else result.set_exception(error)

    def run() -> None:
        value, failed = None, None
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  # raised where the result is awaited
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(end, value, failed)

    try:
        start_thread(run)
    except RuntimeError:  # there can be no more threads
        return await asyncio.to_thread(work)
    return await result


def _begin(mark: object, run: Callable[..., object], given: tuple[Any, ...]) -> None:
    _beginning.discard(mark)
    run(*given)


@atexit.register
def _wait_until_begun() -> None:
    until = time.monotonic() + _MOST
    while _beginning and time.monotonic() < until:
        time.sleep(_TURN)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_beginning.clear)  # the parent's threads never begin in the child
