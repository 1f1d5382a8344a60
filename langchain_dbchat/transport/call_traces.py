"""What httpcore reports the steps of a request to, in the extension ``trace`` of the request.

A trace does not keep its call. So a pool, which keeps requests, shows which of them belong to calls that exist no more.
An exception of a signal handler may end a call between any two steps, and httpcore then keeps its request for ever.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.transport.sending import Sending

__all__ = ["CallTrace", "TaskCallTrace"]


class CallTrace:
    """The trace of a call in a thread.

    Args:
        sending: What notes the steps.
    """

    __slots__ = ("_sending",)

    def __init__(self, sending: Sending) -> None:
        self._sending = weakref.ref(sending)

    @property
    def is_over(self) -> bool:
        """Return whether the call exists no more."""
        return self._sending() is None

    def __call__(self, event: str, info: Mapping[str, Any]) -> Any:
        """Note a step, as httpcore reports it."""
        sending = self._sending()
        if sending is not None:
            sending.note(event, info)


class TaskCallTrace(CallTrace):
    """The trace of a call in a task; httpcore awaits it."""

    __slots__ = ()

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Note a step, as httpcore reports it."""
        super().__call__(event, info)
