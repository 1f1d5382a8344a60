"""Let what holds a connection of another library end in order, however often its caller is cancelled.

A task may be cancelled again while it ends: cancel scopes of anyio do that in each turn of the event loop, and a user
may do it by hand. A cancellation within the clean-up of httpcore loses the connection for its pool. So such work runs
in a task of its own, which is cancelled once.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["cancelled_once", "not_cancelled"]

_PATIENCE = 1.0  # seconds

_T = TypeVar("_T")

_undoing: set[asyncio.Future[Any]] = set()  # an event loop does not keep its tasks


async def cancelled_once(work: Awaitable[_T], undo: Callable[[_T], Awaitable[Any]] | None = None) -> _T:
    """Wait for work; if the caller is cancelled, cancel it once, and wait for its end, a second at most.

    Args:
        work: The work.
        undo: Undoes its result, if it had one all the same.

    Returns:
        Its result.
    """
    task = asyncio.ensure_future(work)
    try:
        return await _result_of(task, is_cancelled=True)
    except GeneratorExit:  # this coroutine is being closed, and cannot wait
        if undo is not None and not task.get_loop().is_closed():
            task.add_done_callback(lambda done: _undo_later(done, undo))
        raise
    except asyncio.CancelledError:
        if undo is not None and task.done() and not task.cancelled() and task.exception() is None:
            await not_cancelled(undo(task.result()))
        raise
    finally:
        if not task.done() and not task.get_loop().is_closed():
            task.cancel()


async def not_cancelled(work: Awaitable[_T]) -> _T:
    """Wait for work to its end, also if the caller is cancelled meanwhile, but then a second at most.

    Args:
        work: The work, a clean-up that takes no time.

    Returns:
        Its result.
    """
    return await _result_of(asyncio.ensure_future(work), is_cancelled=False)


def _undo_later(task: asyncio.Future[_T], undo: Callable[[_T], Awaitable[Any]]) -> None:
    if not task.cancelled() and task.exception() is None:
        undoing = asyncio.ensure_future(undo(task.result()))
        _undoing.add(undoing)
        undoing.add_done_callback(_undoing.discard)


async def _result_of(task: asyncio.Future[_T], *, is_cancelled: bool) -> _T:
    """Wait for a task; if the caller is cancelled, cancel the task or not, and wait for its end, a second at most."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if is_cancelled:
            task.cancel()
        loop = task.get_loop()
        until = loop.time() + _PATIENCE
        while not task.done() and loop.time() < until:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task}, timeout=until - loop.time())
        task.cancel()  # code of the user's in it does not end
        raise
