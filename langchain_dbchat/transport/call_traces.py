"""What httpcore reports the steps of a request to, in the extension ``trace`` of the request.

An exception of a signal handler may end a call between any two steps, and httpcore then keeps its request for ever. So
a pool, which keeps requests, shows which of them belong to calls that are over: a call says so when an exception ends
it, because it may exist long after (a notebook keeps the last exception, with all frames in its traceback). A trace
does not keep its call, so that a call which could not say so shows by existing no more.
"""

from __future__ import annotations

import threading
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

    A hook may let another thread send the same request again, and that may go on after the call has ended. So what
    another thread sends is not the call's; unless the call's thread sends nothing, because its transport uses another.

    Args:
        notes: What notes the steps.
    """

    __slots__ = ("__weakref__", "_elsewhere", "_notes", "_sends", "_sent", "_thread")

    def __init__(self, notes: Notes) -> None:
        self._notes: Callable[[], Notes | None] = weakref.ref(notes)
        self._sent: weakref.WeakSet[Any] = weakref.WeakSet()
        self._elsewhere: weakref.WeakSet[Any] = weakref.WeakSet()
        self._thread = threading.get_ident()
        self._sends = False  # in its own thread

    @property
    def is_over(self) -> bool:
        """Return whether the call has ended, or exists no more."""
        return self._notes() is None

    def end(self) -> None:
        """Note that no request of the call goes on."""
        self._notes = _nothing

    def has_sent(self, request: Any) -> bool:
        """Return whether a request of httpcore belongs to the call; a user may send one again that a hook has kept."""
        return request in self._sent and not self.is_elsewhere(request)

    def is_elsewhere(self, request: Any) -> bool:
        """Return whether a request of httpcore is not the call's, but one that another thread has sent."""
        return self._sends and request in self._elsewhere

    def __call__(self, event: str, info: Mapping[str, Any]) -> Any:
        """Note a step, as httpcore reports it."""
        notes = self._notes()
        if notes is not None:
            request = info.get("request")
            if request is not None and request not in self._sent:
                self._sent.add(request)
                if threading.get_ident() == self._thread:
                    self._sends = True
                else:
                    self._elsewhere.add(request)
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
