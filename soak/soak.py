"""Soak: thousands of models, calls, broken and cancelled streams, threads and event loops; then nothing is left over.

    python soak/soak.py --seconds 300

After a first part, in which pools and caches fill, the process's file descriptors, threads, tasks and memory are
counted; at the end they have to be where they were. The server runs in a process of its own, so that what it holds
does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVER = """
import sys
from langchain_dbchat.local import LocalWorkspace
with LocalWorkspace(pace=0.002) as workspace:
    print(workspace.host, workspace.token, flush=True)
    sys.stdin.read()
"""
_QUESTION = "Please tell me about the wide blue sky over Oslo."
_FDS = Path("/proc/self/fd")
_LEAST_ROUNDS = 3  # on a machine that is busy, a leak needs them to be seen
_MORE_SOCKETS = 8  # the pool keeps some connections for a while
_MORE_MEMORY = 1_500_000  # bytes: what a run of any length may add


class Holdings(NamedTuple):
    """What the process holds."""

    descriptors: int
    threads: int
    tasks: int
    memory: int


def holdings() -> Holdings:
    """Count, after a collection of garbage."""
    for _ in range(3):
        gc.collect()
    tasks = sum(1 for thing in gc.get_objects() if isinstance(thing, asyncio.Task) and not thing.done())
    descriptors = len(list(_FDS.iterdir())) if _FDS.exists() else 0
    return Holdings(descriptors, threading.active_count(), tasks, tracemalloc.get_traced_memory()[0])


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, str]]:
    """Serve a workspace in a process of its own; gives its host and its token."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if process.stdout is None or process.stdin is None:
        raise RuntimeError("the server has no pipes")
    try:
        host, token = process.stdout.readline().split()
        yield host, token
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


class Soak:
    """The work of one round, and a count of what was done.

    Args:
        host: The server.
        token: Its token.
    """

    def __init__(self, host: str, token: str) -> None:
        self._host = host
        self._token = token
        self.done: Counter[str] = Counter()

    def model(self, **settings: Any) -> ChatDatabricksCompat:
        """Make a new model."""
        self.done["models"] += 1
        given = {"model": "databricks-claude-sonnet-4-6", "host": self._host, "token": self._token, **settings}
        return ChatDatabricksCompat(**given)

    def round(self) -> None:
        """Do everything once."""
        for _ in range(10):
            self._call()
        self._break_off()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda work: work(), [self._call, self._break_off] * 4))
        asyncio.run(self._in_a_loop())
        self._in_a_loop_that_dies()
        self.model().batch(["Hello!"] * 4)
        with contextlib.suppress(DatabricksError):
            self.model(model="no-such-endpoint").invoke("Hello!")
        self.done["rounds"] += 1

    def _call(self) -> None:
        self.model().invoke("Hello!")
        self.done["calls"] += 1

    def _break_off(self) -> None:
        for _ in self.model().stream(_QUESTION):
            break
        self.done["streams left early"] += 1

    async def _in_a_loop(self) -> None:
        await asyncio.gather(*[self._acall() for _ in range(5)])
        readers = [asyncio.ensure_future(self._read()) for _ in range(10)]
        await asyncio.sleep(0.01)
        for reader in readers[::2]:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        self.done["streams cancelled"] += 5
        stream = self.model().astream(_QUESTION)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator, which the interface does not say
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._read(), 0.01)
        await self.model().abatch(["Hello!"] * 4)
        self.done["loops"] += 1

    def _in_a_loop_that_dies(self) -> None:
        """Close a loop without shutting it down, as some programs do."""
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._acall())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
        self.done["loops"] += 1

    async def _acall(self) -> None:
        await self.model().ainvoke("Hello!")
        self.done["calls"] += 1

    async def _read(self) -> None:
        async for _ in self.model().astream(_QUESTION):
            pass
        self.done["streams read"] += 1


def main() -> int:
    """Run, and say whether anything is left over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long; 180 by default")
    parser.add_argument("--leak", action="store_true", help="keep what should be let go, to see that it is noticed")
    given = parser.parse_args()
    kept: list[Any] = []
    tracemalloc.start()
    with serving() as (host, token):
        soak = Soak(host, token)
        began = time.monotonic()
        for _ in itertools.takewhile(lambda _: time.monotonic() - began < given.seconds / 3, itertools.count()):
            soak.round()
        before = holdings()
        print(f"filled   {before}", flush=True)
        for number in itertools.count():
            if number >= _LEAST_ROUNDS and time.monotonic() - began >= given.seconds:
                break
            soak.round()
            if given.leak:
                kept.extend(soak.model().stream(_QUESTION) for _ in range(10))
                for stream in kept[-10:]:
                    next(stream)
        after = holdings()
    print(f"at last  {after}\n{dict(soak.done)}", flush=True)
    faults = [
        f"{name}: {now} instead of {was}"
        for name, was, now, more in zip(
            Holdings._fields, before, after, (_MORE_SOCKETS, 0, 0, _MORE_MEMORY), strict=True
        )
        if now > was + more
    ]
    for stream in kept:
        stream.close()
    print("\n".join(faults) or "nothing is left over")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
