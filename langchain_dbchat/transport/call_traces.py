"""What httpcore reports the steps of a request to, in the extension ``trace`` of the request.

An exception of a signal handler may end a call between any two steps, and httpcore then keeps its request for ever. So
a pool, which keeps requests, shows which of them belong to calls that are over: a call says so when an exception ends
it, because it may exist long after (a notebook keeps the last exception, with all frames in its traceback). A trace
does not keep its call, so that a call which could not say so shows by existing no more.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CallTrace", "TaskCallTrace"]


class Notes(Protocol):
    """What notes the steps of a call."""

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step."""


class CallTrace:
    """The trace of a call in a thread.

    Args:
        notes: What notes the steps.
    """

    __slots__ = ("__weakref__", "_notes", "_sent")

    def __init__(self, notes: Notes) -> None:
        self._notes: Callable[[], Notes | None] = weakref.ref(notes)
        self._sent: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def is_over(self) -> bool:
        """Return whether the call has ended, or exists no more."""
        return self._notes() is None

    def end(self) -> None:
        """Note that no request of the call goes on."""
        self._notes = _nothing

    def has_sent(self, request: Any) -> bool:
        """Return whether a request of httpcore belongs to the call; a user may send one again that a hook has kept."""
        return request in self._sent

    def __call__(self, event: str, info: Mapping[str, Any]) -> Any:
        """Note a step, as httpcore reports it."""
        notes = self._notes()
        if notes is not None:
            if info.get("request") is not None:
                self._sent.add(info["request"])
            notes.note(event, info)


def _nothing() -> None:
    pass


class TaskCallTrace(CallTrace):
    """The trace of a call in a task; httpcore awaits it. It keeps the call: a task ends in order, if late."""

    __slots__ = ("_kept",)

    def __init__(self, notes: Notes) -> None:
        super().__init__(notes)
        self._kept = notes

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step, as httpcore reports it."""
        self._kept.note(event, info)
