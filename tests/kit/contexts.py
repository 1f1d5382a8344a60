"""Python 3.10 has no `asyncio.Runner`: its backport, which pytest-asyncio uses, is made safe for threads here."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


def keep_contexts_apart() -> None:
    """Let the backport of `asyncio.Runner` change `contextvars.copy_context` for its own thread only.

    It replaces this function for a moment. A server's loop in another thread that needs a context in that moment would
    enter the one of the test, so that the test never begins.
    """
    backport: Any = sys.modules.get("backports.asyncio.runner.runner")
    if backport is None:
        return
    patch: Callable[..., AbstractContextManager[None]] = backport._patch_object

    def patch_here(target: Any, attribute: str, new: Any) -> AbstractContextManager[None]:
        if target is not contextvars:
            return patch(target, attribute, new)
        thread, original = threading.get_ident(), contextvars.copy_context
        return patch(target, attribute, lambda: new() if threading.get_ident() == thread else original())

    backport._patch_object = patch_here
