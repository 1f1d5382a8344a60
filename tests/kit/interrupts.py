"""Interrupts: exceptions as signal handlers raise them, at a chosen moment."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


class Interrupt(BaseException):
    """What a signal handler raises."""


class Interruption:
    """Raises at the n-th moment in some files at which CPython may run a signal handler.

    It does so when a function begins and behind a call; not between a block of `with` and the call that ends it.

    Args:
        at: Which moment, from 1.
        files: How the paths of the files begin.
    """

    def __init__(self, at: int, files: str) -> None:
        self.left = at
        self.files = files

    def __call__(self, frame: Any, event: str, _: object) -> None:
        if frame.f_code.co_filename.startswith(self.files) and event != "c_call":
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                raise Interrupt

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Interrupt what runs in the block."""
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
