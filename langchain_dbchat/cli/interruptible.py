"""Run coroutines so that Ctrl-C cancels them, instead of raising `KeyboardInterrupt` at whatever line is executed.

Rule 1. Ctrl-C is an event of the loop. A `KeyboardInterrupt` is lost if it is raised within a finalizer, or if the
signal comes between Python's check for signals and the wait for the network. If it is raised within a library that
draws, later drawings do not appear (docs.python.org/3/library/signal.html, "Note on Signal Handlers and Exceptions").
Rule 2. What blocks the loop, such as an import, is not interrupted; the coroutine is cancelled where it waits next.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

__all__ = ["InterruptibleLoop"]

T = TypeVar("T")


class InterruptibleLoop:
    """An event loop of the main thread; within ``with`` it keeps its connections from one coroutine to the next."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine to its end.

        Args:
            work: Returns the coroutine. If Ctrl-C is pressed, it gets a `CancelledError` where it waits.

        Returns:
            Its result, also if it has handled the `CancelledError`.

        Raises:
            KeyboardInterrupt: If Ctrl-C has ended it.
        """
        with self._ctrl_c_cancels():
            self._task = task = self._loop.create_task(work())
            try:
                return self._run_until_complete(task)
            except asyncio.CancelledError:
                raise KeyboardInterrupt from None

    def _run_until_complete(self, task: asyncio.Task[T]) -> T:
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:  # on Windows, where a loop cannot have the signal
            task.cancel()
            return self._loop.run_until_complete(task)

    @contextmanager
    def _ctrl_c_cancels(self) -> Iterator[None]:
        before = signal.getsignal(signal.SIGINT)
        try:
            self._loop.add_signal_handler(signal.SIGINT, self._cancel)
        except NotImplementedError:  # on Windows
            yield
            return
        try:
            yield
        finally:
            # The loop takes note of a Ctrl-C that came after the end, because it would cancel the next coroutine.
            self._task = None
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()
            self._loop.remove_signal_handler(signal.SIGINT)  # sets Python's own, whatever was there before
            if before is not None:  # a handler that is not of Python cannot be set again
                signal.signal(signal.SIGINT, before)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
