"""Count what a piece of work costs in operations, so that a test can compare growth without a clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def operations(work: Callable[[], Any]) -> int:
    """Count the bytecode instructions of the package that a piece of work executes."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if "langchain_dbchat" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def is_linear(work: Callable[[int], Callable[[], Any]]) -> bool:
    """Say whether twice the input takes at most about twice the operations.

    Args:
        work: Given a size, a function that does the work of that size.
    """
    work(20)()  # what is loaded once
    return operations(work(400)) <= 2.2 * operations(work(200))


@contextmanager
def counted_loads() -> Iterator[list[int]]:
    """Record how long each text is that anybody gives to `json.loads`."""
    lengths: list[int] = []

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is json.loads.__code__:
            lengths.append(len(frame.f_locals["s"]))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield lengths
    finally:
        sys.setprofile(before)
