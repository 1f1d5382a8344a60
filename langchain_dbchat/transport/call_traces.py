"""What httpcore reports the steps of a request to, in the extension ``trace`` of the request.

A trace does not keep its call. So a pool, which keeps requests, shows which of them belong to calls that exist no more.
An exception of a signal handler may end a call between any two steps, and httpcore then keeps its request for ever.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    __slots__ = ("_notes",)

    def __init__(self, notes: Notes) -> None:
        self._notes = weakref.ref(notes)

    @property
    def is_over(self) -> bool:
        """Return whether the call exists no more."""
        return self._notes() is None

    def __call__(self, event: str, info: Mapping[str, Any]) -> Any:
        """Note a step, as httpcore reports it."""
        notes = self._notes()
        if notes is not None:
            notes.note(event, info)


class TaskCallTrace(CallTrace):
    """The trace of a call in a task; httpcore awaits it."""

    __slots__ = ()

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step, as httpcore reports it."""
        super().__call__(event, info)
