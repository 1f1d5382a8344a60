"""What a process holds: file descriptors, threads, tasks, memory."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

FDS = Path("/proc/self/fd")


@dataclass(frozen=True)
class Holdings:
    """What a process holds at one moment.

    Attributes:
        sockets: File descriptors; 0 where the system does not tell.
        threads: Threads.
        tasks: Tasks of asyncio, over all loops that are alive.
        memory: Bytes of Python objects; 0 unless tracemalloc traces.
    """

    sockets: int
    threads: int
    tasks: int
    memory: int


def holdings() -> Holdings:
    """Count, after a collection of garbage."""
    for _ in range(3):
        gc.collect()
    tasks = sum(1 for thing in gc.get_objects() if isinstance(thing, asyncio.Task) and not thing.done())
    memory = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0
    return Holdings(len(list(FDS.iterdir())) if FDS.exists() else 0, threading.active_count(), tasks, memory)


def wait_for_at_most(before: Holdings, *, more_sockets: int = 0, seconds: float = 30.0) -> Holdings:
    """Wait until no more is held than before, memory apart; what the other end closes takes a moment.

    Args:
        before: What was held.
        more_sockets: How many more descriptors may be held.
        seconds: How long to wait.

    Returns:
        What is held at the end.
    """
    end = time.monotonic() + seconds
    while True:
        now = holdings()
        settled = (
            now.sockets <= before.sockets + more_sockets and now.threads <= before.threads and now.tasks <= before.tasks
        )
        if settled or time.monotonic() > end:
            return now
        time.sleep(0.05)


if sys.platform == "win32":  # pragma: no cover  # there is no /proc
    FDS = Path("/nowhere")
