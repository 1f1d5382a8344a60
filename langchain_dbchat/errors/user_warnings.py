"""Warn the user at their own line of code.

Rule 1. Frames of this package, of LangChain and of what runs their calls are skipped; the first other frame is the
user's. Python has `skip_file_prefixes` for that since 3.12 only (docs.python.org/3/library/warnings.html).
Rule 2. In a thread of a batch, or in a task (langchain-core runs each async call in one), the user's frame is not on
the stack. There a warning points at the line that started the batch or awaits the call.
Rule 3. In any other thread, such as those of langchain-core's `RunnableParallel` or of a pool of the user's, a warning
points at the user's line in the main thread, which waits for that thread in most programs.
"""

from __future__ import annotations

import sys
import threading
import warnings
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["pointing_here", "warn"]

_SKIPPED = frozenset(
    {
        "langchain_dbchat",
        "langchain_core",
        "langchain",
        "langchain_classic",
        "langgraph",
        "langsmith",
        "pydantic",
        "asyncio",
        "uvloop",
        "concurrent",
        "threading",
        "contextlib",
        "functools",
    }
)
"""Top-level modules whose frames are not the user's."""


class _Line(NamedTuple):
    """A line of the user's code, as `warnings.warn_explicit` takes it."""

    filename: str
    lineno: int
    module: str
    registry: dict[Any, Any]


_started_at: ContextVar[_Line | None] = ContextVar("langchain_dbchat_started_at", default=None)


def warn(text: str) -> None:
    """Warn the user, at their own line.

    Args:
        text: The warning, with the model's name as the user gave it.
    """
    line = _started_at.get() or _users_line(sys._getframe()) or _users_line(_frame_of_main_thread())  # noqa: SLF001  # inspect.currentframe is the same and may be None
    if line is None:  # no code of the user's runs in this thread or in the main thread
        warnings.warn(text, stacklevel=2)
    else:
        warnings.warn_explicit(
            text, UserWarning, line.filename, line.lineno, module=line.module, registry=line.registry
        )


class pointing_here:  # noqa: N801  # it is used like a function
    """Make warnings of threads and tasks that are started inside point at the user's line.

    This is a class because each async call uses it, and a generator takes twice as long.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        line = None if _started_at.get() else _users_line(sys._getframe(1))  # noqa: SLF001  # as above
        # If there is no line, it is known already, or cannot be known.
        self._token = None if line is None else _started_at.set(line)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            # An abandoned coroutine is closed in the context where the collector runs, in which nothing was set.
            with suppress(ValueError):
                _started_at.reset(self._token)


def _frame_of_main_thread() -> FrameType | None:
    return sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001  # nothing else gives it


def _users_line(frame: FrameType | None) -> _Line | None:
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in _SKIPPED:
            registry = frame.f_globals.setdefault("__warningregistry__", {})
            return _Line(frame.f_code.co_filename, frame.f_lineno, name, registry)
        frame = frame.f_back
    return None
