"""Run what blocks in a thread of its own, so that the caller can leave it when the time is up.

HTTP/2 in a user's sync client needs it: calls share a connection, so that the socket cannot be shut down for one of
them, and httpcore lets a call wait while another one reads.

Rule 1. The caller leaves when the time is up, and when an interrupt comes.
Rule 2. What was left ends with its next read, or with httpx's own timeout. Its result is undone.
"""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LeavableTimeouts", "run_apart"]

_T = TypeVar("_T")


class LeavableTimeouts(dict[str, "float | None"]):
    """The timeouts of a request, as httpcore gets them; over HTTP/2 it looks them up before each read.

    Attributes:
        is_left: Whether the caller has left, so that the next read raises.
    """

    is_left = False

    def get(self, key: str, default: Any = None) -> Any:
        """Return a timeout in seconds, or raise if the caller has left."""
        if self.is_left:
            raise httpx.ReadTimeout("")
        return super().get(key, default)


def run_apart(
    work: Callable[[], _T],
    rest: Callable[[], float | None],
    timeouts: LeavableTimeouts,
    undo: Callable[[_T], object] = lambda _: None,
) -> _T:
    """Run work in a thread of its own, with the context variables of the caller.

    Args:
        work: The work.
        rest: Returns how many seconds to wait until it is called again, None for as long as it takes; raises if the
            time is up.
        timeouts: The timeouts of the request.
        undo: Undoes a result that nobody waits for any more.

    Returns:
        What the work returns.
    """
    future: Future[_T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001  # the caller raises it
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        if future.set_running_or_notify_cancel():
            future.set_result(result)
        else:
            undo(result)

    threading.Thread(target=run, name="langchain-dbchat-apart", daemon=True).start()
    try:
        while not future.done():
            wait([future], rest())
    except BaseException:
        timeouts.is_left = True
        if not future.cancel() and future.exception() is None:
            undo(future.result())
        raise
    return future.result()
