"""The bytes of an answer that is read as a whole.

Rule 1. What is larger than most answers is kept in memory of its own, which the operating system takes back at once.
The allocator keeps what is freed, in a heap for each thread: twelve threads that have read 2 MB each would hold 24 MB.
Rule 2. They are joined where they are used, which need not be in the thread that received them.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmap import mmap

__all__ = ["ERROR_BODY_LIMIT", "Content"]

ERROR_BODY_LIMIT = 1024 * 1024
"""Bytes of an error's body that are read; no error needs more."""

_START = 16 * 1024  # bytes that the allocator keeps; most answers have fewer
_MAP = 1024 * 1024  # bytes of one map


class Content:
    """The bytes of an answer.

    Args:
        start: Its first bytes.
    """

    __slots__ = ("_maps", "_room", "_start")

    def __init__(self, start: bytes = b"") -> None:
        self._start = BytesIO()
        self._maps: list[mmap] = []  # what follows the start
        self._room = 0  # bytes that are free in the last map
        if start:
            self.write(start)

    def write(self, piece: bytes) -> None:
        """Add bytes.

        Args:
            piece: The bytes.
        """
        free = _START - self._start.tell()
        if len(piece) <= free:
            self._start.write(piece)
            return
        rest = memoryview(piece)
        self._start.write(rest[:free])
        rest = rest[free:]
        while rest:
            if not self._room:
                self._maps.append(_new_map())
                self._room = _MAP
            written = self._maps[-1].write(rest[: self._room])
            self._room -= written
            rest = rest[written:]

    def first(self, size: int) -> bytes:
        """Return the first bytes.

        Args:
            size: How many, at most 16 KiB.
        """
        return self._start.getvalue()[:size]

    def read(self) -> bytes:
        """Return all bytes, after which none are added."""
        if self._maps:
            joined = BytesIO()  # a new one, because what has grown stays in the heap of the thread that made it
            joined.write(self._start.getvalue())
            maps, self._maps = self._maps[::-1], []
            while maps:  # each is given back when it was copied, so that nothing is in memory twice
                with memoryview(maps.pop()) as each:
                    joined.write(each if maps else each[: _MAP - self._room])
            self._start = joined
        return self._start.getvalue()


def _new_map() -> mmap:
    from mmap import ACCESS_COPY, mmap  # noqa: PLC0415  # few answers are so large

    try:
        return mmap(-1, _MAP, access=ACCESS_COPY)  # private, also in a forked child
    except OSError as error:
        raise MemoryError(str(error)) from error
