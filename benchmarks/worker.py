"""One client in its own process: it is told a case on its standard input and answers with figures.

CPU is user and system time of this process, per chunk, event or call; wall time is used where waiting is the point.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import clients
import growing
import server
import wires

CALLS = 100
CROWD = 500
AT_ONCE = 100
LATENCY = 0.05
TEXTS = 2000

Figures = dict[str, float]
_LOOP = asyncio.new_event_loop()  # one for all cases: langchain-openai's client does not outlive its first loop
Make = Callable[[str], Any]


def _cpu(run: Callable[[], object], units: int) -> float:
    gc.collect()
    began = time.process_time()
    run()
    return (time.process_time() - began) / units * 1e6


def _drain(model: Any) -> None:
    for _ in model.stream("Hi"):
        pass


async def _adrain(model: Any) -> None:
    async for _ in model.astream("Hi"):
        pass


def _stream(make: Make, kind: str, units: int) -> Figures:
    model = make(kind)
    _drain(model)
    return {"us": _cpu(lambda: _drain(model), units)}


def _astream(make: Make, kind: str, units: int) -> Figures:
    model = make(kind)

    async def run() -> float:
        await _adrain(model)
        gc.collect()
        began = time.process_time()
        await _adrain(model)
        return (time.process_time() - began) / units * 1e6

    return {"us": _LOOP.run_until_complete(run())}


def _first(make: Make) -> Figures:
    model = make("first")
    _drain(model)
    waits = []
    for _ in range(CALLS // 2):
        chunks = model.stream("Hi")
        began = time.perf_counter()
        next(chunks)
        waits.append(time.perf_counter() - began)
        for _ in chunks:
            pass
    return {"ms": statistics.median(waits) * 1e3}


def _invoke(make: Make) -> Figures:
    model = make("text")
    model.invoke("Hi")
    return {"us": _cpu(lambda: [model.invoke("Hi") for _ in range(CALLS)], CALLS)}


def _ainvoke(make: Make) -> Figures:
    model = make("text")

    async def run() -> float:
        await model.ainvoke("Hi")
        began = time.process_time()
        for _ in range(CALLS):
            await model.ainvoke("Hi")
        return (time.process_time() - began) / CALLS * 1e6

    return {"us": _LOOP.run_until_complete(run())}


def _crowd(make: Make) -> Figures:
    model = make("slow")

    async def run() -> Figures:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                await model.ainvoke("Hi")

        await asyncio.gather(*(one() for _ in range(AT_ONCE)))
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one() for _ in range(CROWD)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"ratio": wall / (CROWD / AT_ONCE * LATENCY), "us": cpu / CROWD * 1e6}

    return _LOOP.run_until_complete(run())


def _batch(make: Make) -> Figures:
    model = make("slow")
    config = {"max_concurrency": AT_ONCE}
    model.batch(["Hi"] * AT_ONCE, config=config)
    wall = time.perf_counter()
    model.batch(["Hi"] * CROWD, config=config)
    return {"ratio": (time.perf_counter() - wall) / (CROWD / AT_ONCE * LATENCY)}


def _many(make: Make) -> Figures:
    model = make("paced")
    late: list[float] = []
    collections: list[float] = []

    def collecting(phase: str, info: dict[str, int]) -> None:
        del info
        now = time.thread_time()
        if phase == "start":
            collections.append(-now)
        else:
            collections[-1] += now

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            late.append(time.perf_counter() - began - 0.005)

    async def run() -> Figures:
        late.clear()
        collections[:] = [0.0]
        ticker = asyncio.create_task(tick())
        wall = time.perf_counter()
        await asyncio.gather(*(_adrain(model) for _ in range(AT_ONCE)))
        wall = time.perf_counter() - wall
        ticker.cancel()
        p99 = sorted(late)[int(len(late) * 0.99)]
        return {"ratio": wall / (server.PACED * 0.005), "stall": p99 * 1e3, "collection": max(collections) * 1e3}

    gc.callbacks.append(collecting)
    _LOOP.run_until_complete(run())  # opens the connections
    figures = _LOOP.run_until_complete(run())
    gc.freeze()  # what a server does after its imports: the collector no longer walks them
    figures["frozen"] = _LOOP.run_until_complete(run())["stall"]
    gc.unfreeze()
    gc.callbacks.remove(collecting)
    return figures


def _embed(make: Make) -> Figures:
    model = make("embed")
    texts = [f"text {number}" for number in range(TEXTS)]
    model.embed_documents(texts[:200])
    wall, cpu = time.perf_counter(), time.process_time()
    rows = model.embed_documents(texts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if len(rows) != TEXTS:
        raise SystemExit("rows are missing")
    return {"wall": wall, "cpu": cpu}


def _memory(make: Make) -> Figures:
    _drain(make("text"))
    model = make("long")
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _drain(model)
    return {"mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


CASES: dict[str, Callable[[Make], Figures]] = {
    "stream": lambda make: _stream(make, "text", server.EVENTS),
    "astream": lambda make: _astream(make, "text", server.EVENTS),
    "reasoning": lambda make: _stream(make, "reasoning", server.EVENTS),
    "tools": lambda make: _stream(make, "tools", server.EVENTS),
    **{f"wire {wire}": functools.partial(_stream, kind=wire, units=server.EVENTS) for wire in wires.WIRES},
    "single": lambda make: _stream(make, "single", server.PACED * 2),
    "asingle": lambda make: _astream(make, "single", server.PACED * 2),
    "first": _first,
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "crowd": _crowd,
    "batch": _batch,
    "many": _many,
    "embed": _embed,
    "memory": _memory,
    **growing.CASES,
}


def _count(run: Callable[[], object]) -> None:
    """Run something while valgrind, under which this process was started, counts its instructions."""
    control = ["callgrind_control", str(os.getpid()), "-i"]
    gc.collect()
    subprocess.run([*control, "on"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # a fixed command
    run()
    subprocess.run([*control, "off"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # the same


def _serve(client: str, base: str) -> None:
    for line in sys.stdin:
        asked = json.loads(line)

        def make(kind: str, merge: bool = asked["merge"]) -> Any:
            return clients.CLIENTS[client](base, kind, merge=merge)

        try:
            figures = CASES[asked["case"]](make)
            if asked.get("counted"):
                _count(functools.partial(CASES[asked["case"]], make))
        except Exception as error:  # noqa: BLE001  # a client that cannot do a case says so in the table
            figures = {}
            sys.stderr.write(f"{client}, {asked['case']}: {type(error).__name__}: {str(error)[:300]}\n")
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
    for open_one in clients.OPEN:
        _LOOP.run_until_complete(open_one.aclose())
    _LOOP.run_until_complete(_LOOP.shutdown_asyncgens())
    _LOOP.close()


def _cold(client: str, base: str, *, call: bool) -> None:
    """Measure the import, and perhaps construction and the first answer too, in a process that has done nothing."""
    began = time.process_time()
    module = __import__(clients.IMPORTS[client])
    if client.startswith("dbchat"):  # the package is lazy: the class is what a program imports
        getattr(module, "ChatDatabricksCompat")  # noqa: B009  # the access is the import
    if call:
        clients.CLIENTS[client](base, "text", merge=True).invoke("Hi")
    sys.stdout.write(json.dumps({"ms": (time.process_time() - began) * 1e3}) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    name, address, task = sys.argv[1:]
    os.environ |= {"DATABRICKS_HOST": address, "DATABRICKS_TOKEN": "t"}
    if name == "dbchat fast":
        import uvloop

        _LOOP = uvloop.new_event_loop()
    if task == "serve":
        _serve(name, address)
    else:
        _cold(name, address, call=task == "cold")
