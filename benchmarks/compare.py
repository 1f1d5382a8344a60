"""Measure every client against one loopback server, in interleaved rounds, and print the table.

    python benchmarks/compare.py [--quick] [--rounds N] [--only CASE,...] NAME=PYTHON ...

Each client runs in its own process and its own environment; the processes wait for their turn without working, and
a figure is the median of the rounds. Read the figures as ratios: the last lines say how fast this machine is.

With a client "dbchat before" (an older commit of this package in an environment of its own), the last column is the
ratio of "dbchat" to it: the median of the rounds' ratios, because both were measured side by side in each round, the
ratios between which half of the rounds lie, and the ratio of the fastest rounds, because other programs only ever add
to a figure. Where these disagree, the machine was too busy for that row. A case that the older commit does not have is
left out for both, because what a process has loaded changes how long its next case takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import growing

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
OURS, BEFORE, FAST = "dbchat", "dbchat before", "dbchat fast"
PEERS = frozenset({"databricks-langchain", "langchain-openai"})
_REFERENCE_FLOOR = 14.3  # µs a chunk on the machine that the bounds were measured on


class Row(NamedTuple):
    """A figure of the table.

    Attributes:
        label: What it is.
        case: How it is measured.
        figure: Which of the case's figures.
        reach: What it has to reach; a number, or a factor of another figure; None where nothing was asked.
        fast: What the extra ``fast`` has to reach, if it is another.
        merge: Whether burst merging is on.
        quick: Whether it is measured in a minute.
        of: The client and the case whose figure ``reach`` is a factor of, if it is one.
        over_raw: Whether what raw httpx takes is subtracted.
    """

    label: str
    case: str
    figure: str
    reach: float | None
    fast: float | None = None
    merge: bool = False
    quick: bool = True
    of: tuple[str, str] | None = None
    over_raw: bool = False


_CORE, _CHAT = ("floor", "import"), (OURS, "stream")

ROWS = (
    Row("import of the package, CPU ms", "import", "ms", 1.05, of=_CORE),
    Row("cold start: import, construct, first answer, CPU ms", "cold", "ms", 1.15, of=_CORE),
    Row("stream, sync, per chunk, no merging, µs", "stream", "us", 28),
    Row("stream, sync, per event, burst merging, µs", "stream", "us", 17, merge=True),
    Row("stream, async, per chunk, no merging, µs", "astream", "us", 30, fast=13),
    Row("stream, async, per event, burst merging, µs", "astream", "us", 18, fast=6, merge=True),
    Row("reasoning content, per event, no merging, µs", "reasoning", "us", 40),
    Row("reasoning content, per event, burst merging, µs", "reasoning", "us", 18, merge=True),
    Row("tool-argument deltas, no merging, µs", "tools", "us", 110),
    Row("tool-argument deltas, burst merging, µs", "tools", "us", 18, merge=True),
    Row("the text on Responses, per chunk, no merging, µs", "wire responses", "us", 1.2, of=_CHAT),
    Row("the text on Responses, per event, burst merging, µs", "wire responses", "us", 1.2, merge=True, of=_CHAT),
    Row("the text on Messages, per chunk, no merging, µs", "wire messages", "us", 1.2, of=_CHAT),
    Row("the text on Messages, per event, burst merging, µs", "wire messages", "us", 1.2, merge=True, of=_CHAT),
    Row("the text of a ChatAgent, per chunk, no merging, µs", "wire agent", "us", 1.2, of=_CHAT),
    Row("the text of a ChatAgent, per event, burst merging, µs", "wire agent", "us", 1.2, merge=True, of=_CHAT),
    Row("one event per read, sync, µs", "single", "us", 75, merge=True),
    Row("one event per read, async, µs", "asingle", "us", 95, fast=75, merge=True),
    Row("added to the time to first token, ms", "first", "ms", 0.1, merge=True, quick=False, over_raw=True),
    Row("invoke, CPU µs", "invoke", "us", 650, merge=True),
    Row("ainvoke, CPU µs", "ainvoke", "us", 800, merge=True),
    Row("500 ainvoke, 100 at once, 50 ms: wall / ideal", "crowd", "ratio", 1.5, merge=True, quick=False),
    Row("the same, CPU µs a call", "crowd", "us", 750, merge=True, quick=False),
    Row("batch of 500 in 100 threads: wall / ideal", "batch", "ratio", 1.4, merge=True, quick=False),
    Row("100 astream of 200 events at 5 ms: wall / ideal", "many", "ratio", 1.1, merge=True, quick=False),
    Row("the same, p99 loop stall, ms", "many", "stall", 50, merge=True, quick=False),
    Row("the longest garbage collection in it, CPU ms", "many", "collection", None, merge=True, quick=False),
    Row("the same stall after gc.freeze(), ms", "many", "frozen", None, merge=True, quick=False),
    Row("embed 2,000 texts, 50 ms: wall s", "embed", "wall", 0.32, merge=True, quick=False),
    Row("the same, CPU s", "embed", "cpu", 0.27, merge=True, quick=False),
    Row("peak memory of a 20,000-chunk stream, MiB", "memory", "mib", 36, quick=False),
    Row("the same, merged, MiB", "memory", "mib", 10, merge=True, quick=False),
    Row("agent of 11 calls, 1 tool: ms a call", "agent 1", "ms", 1.9, merge=True),
    Row("agent of 11 calls, 30 tools: ms a call", "agent 30", "ms", 2.0, merge=True),
    Row("agent of 11 calls, 100 tools: ms a call", "agent 100", "ms", 2.3, merge=True),
    Row("invoke with 302 messages, ms", "history 302", "ms", 1.7, merge=True),
    Row("invoke with 3,002 messages, ms", "history 3002", "ms", 13, merge=True, quick=False),
    Row("invoke with 15,002 messages, ms", "history 15002", "ms", 65, merge=True, quick=False),
    Row("image of 3 MB, ms", "image", "ms", 6, merge=True),
    Row("structured answer streamed, JSON schema, ms", "structured", "ms", 30, merge=True, quick=False),
    Row("the same, a chunk an event, ms", "structured", "ms", 500, quick=False),
    Row("structured answer streamed, tool, ms", "structured call", "ms", 30, merge=True, quick=False),
    Row("the same tool, a chunk an event, ms", "structured call", "ms", 500, quick=False),
    Row("tool call streamed and summed, ms", "summed", "ms", 40, merge=True, quick=False),
    Row("embed 2,000 texts: peak memory, MiB", "embedding peak", "mib", 84, merge=True, quick=False),
)

FRESH = {"import", "cold"}  # cases that a process can do only once
_ALONE = {"memory", "embedding peak"}  # cases whose process must have done nothing else
_FLOOR_CANNOT = {"cold", "single", "asingle", "first", "crowd", "batch", "many", "embed", "embedding peak"}
"""Cases in which something waits or is embedded; nothing does in the floor."""
_RAW_CANNOT = growing.CASES.keys() - {"embedding peak"}
"""Cases of conversations, tools and structured answers, of which raw httpx knows nothing."""
_ASYNC = {"astream", "asingle", "ainvoke", "crowd", "many"}  # what another loop or transport changes


def _can(client: str, case: str) -> bool:
    """Say whether a client is measured in a case."""
    if client == "raw httpx" and case in _RAW_CANNOT:
        return False
    if case.startswith("wire ") and client in PEERS:  # they speak another wire format than these streams
        return False
    if client == "floor":
        return case not in _FLOOR_CANNOT
    return case in _ASYNC or client in {OURS, BEFORE} or not client.startswith(OURS)


Figures = dict[tuple[str, str, bool], list[dict[str, float]]]


def environment() -> dict[str, str]:
    """Return a client's environment: bytecode is kept, as after an installation; a proxy would be measured along."""
    dropped = {"PYTHONDONTWRITEBYTECODE", *(key for key in os.environ if "proxy" in key.lower())}
    return {key: value for key, value in os.environ.items() if key not in dropped}


class Worker:
    """A client's process.

    Args:
        client: Its name.
        python: The interpreter of its environment.
        base: The server's address.
    """

    def __init__(self, client: str, python: str, base: str) -> None:
        self._client, self._python, self._base = client, python, base
        self._process: subprocess.Popen[str] | None = None

    def _start(self, task: str) -> subprocess.Popen[str]:
        command = [self._python, str(HERE / "worker.py"), self._client, self._base, task]
        return subprocess.Popen(  # noqa: S603  # our own script
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )

    def measure(self, case: str, *, merge: bool) -> dict[str, float]:
        """Measure one case once; memory in a process of its own, because its peak never falls."""
        if case in FRESH:
            process = self._start(case)
            line = process.communicate(timeout=120)[0]
            return cast("dict[str, float]", json.loads(line)) if line else {}
        if case in _ALONE:
            self.stop()
        if self._process is None:
            self._process = self._start("serve")
        sent, got = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        sent.write(json.dumps({"case": case, "merge": merge}) + "\n")
        sent.flush()
        figures = cast("dict[str, float]", json.loads(got.readline()))
        if case in _ALONE:
            self.stop()
        return figures

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


def _shared(before: Worker, wanted: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Leave out the cases that an older commit does not have."""
    shared = [one for one in wanted if one[0] in FRESH or before.measure(one[0], merge=one[1])]
    before.stop()
    missing = ", ".join(sorted({case for case, _ in wanted} - {case for case, _ in shared}))
    sys.stderr.write(f"left out, because {BEFORE} does not have it: {missing or 'nothing'}\n")
    return shared


def measure(clients: dict[str, str], rows: Iterable[Row], rounds: int) -> Figures:
    """Measure all cases of all clients, round by round.

    Args:
        clients: The clients' names and interpreters.
        rows: The rows of the table.
        rounds: How often.

    Returns:
        The figures of each round by client, case, and whether deltas were merged.
    """
    wanted = list(dict.fromkeys((row.case, row.merge) for row in rows))
    figures: Figures = {}
    server = subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, str(HERE / "server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    base = f"http://127.0.0.1:{cast('IO[str]', server.stdout).readline().strip()}"
    workers = {name: Worker(name, python, base) for name, python in clients.items()}
    try:
        for worker in workers.values():
            worker.measure("import", merge=True)  # not counted: it writes the bytecode
        if BEFORE in workers:
            wanted = _shared(workers[BEFORE], wanted)
        for turn in range(rounds):
            sys.stderr.write(f"round {turn + 1} of {rounds}\n")
            for case, merge in wanted:
                # Those that do not merge are measured once for both rows. Each second round goes backwards, so that
                # a machine that becomes slower or faster favours nobody.
                for name, worker in list(workers.items())[:: -1 if turn % 2 else 1]:
                    known = name.startswith(OURS) or (case, not merge) not in wanted or not merge
                    if known and _can(name, case):
                        figures.setdefault((name, case, merge), []).append(worker.measure(case, merge=merge))
    finally:
        for worker in workers.values():
            worker.stop()
        server.communicate()
    return figures


def _median(figures: Figures, name: str, row: Row) -> float | None:
    taken = figures.get((name, row.case, row.merge)) or figures.get((name, row.case, False)) or []
    values = [one[row.figure] for one in taken if row.figure in one]
    return statistics.median(values) if values else None


def _ratio(figures: Figures, row: Row) -> str:
    """Compare a figure with that of the older commit, round by round."""
    after, before = (figures.get((name, row.case, row.merge), []) for name in (OURS, BEFORE))
    pairs = [
        (new[row.figure], old[row.figure])
        for new, old in zip(after, before, strict=True)
        if row.figure in new and old.get(row.figure)
    ]
    if not pairs:
        return "-"
    ratios = sorted(new / old for new, old in pairs)
    low, high = (ratios[round((len(ratios) - 1) * part)] for part in (0.25, 0.75))
    fastest = min(new for new, _ in pairs) / min(old for _, old in pairs)
    return f"{statistics.median(ratios):.3f} ({low:.2f} to {high:.2f}), fastest {fastest:.3f}"


def _show(value: float | None) -> str:
    if value is None:
        return "-"
    digits = next(digits for least, digits in ((100, 0), (10, 1), (0, 2)) if abs(value) >= least)
    return f"{value:,.{digits}f}"


def table(figures: Figures, rows: Iterable[Row], names: list[str]) -> list[str]:
    """Write the table in Markdown.

    Args:
        figures: What was measured.
        rows: Its rows.
        names: Its columns.

    Returns:
        Its lines.
    """
    heads = ["figure", *names, "to reach", "", *(["after / before"] if BEFORE in names else [])]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        values = {name: _median(figures, name, row) for name in names}
        raw = values.get("raw httpx")
        if row.over_raw and raw is not None:
            values = {name: None if value is None else value - raw for name, value in values.items()}
        reach, other = row.reach, None
        if row.of is not None and row.reach is not None:
            other = _median(figures, row.of[0], row._replace(case=row.of[1]))
            reach = None if other is None else row.reach * other
        goal = _show(reach) if row.fast is None else f"{_show(reach)}; fast {_show(row.fast)}"
        verdict = _verdict(values.get(OURS), reach)
        ours = values.get(OURS)
        if row.of is not None and other and ours is not None:
            verdict = f"{verdict}; {ours / other:.2f} x of {row.of[0]}'s {row.of[1]}"
        if row.fast is not None and values.get(FAST) is not None:
            verdict = f"{verdict}; fast {_verdict(values[FAST], row.fast)}"
        cells = " | ".join(_show(values[name]) for name in names)
        compared = f" {_ratio(figures, row)} |" if BEFORE in names else ""
        lines.append(f"| {row.label} | {cells} | {goal} | {verdict} |{compared}")
    return lines


def _verdict(figure: float | None, reach: float | None) -> str:
    if figure is None or reach is None:
        return ""
    return "reached" if figure <= reach else f"**falls short: {figure / reach:.2f} x**"


_SIZE = """
import importlib.metadata as m, json, pathlib, sysconfig
root = pathlib.Path(sysconfig.get_paths()["purelib"])
skip = {"pip", "setuptools", "wheel"}
names = {d.metadata["Name"] for d in m.distributions()} - skip
files = (f for f in root.rglob("*") if f.is_file() and f.suffix != ".pyc" and f.relative_to(root).parts[0] not in skip)
print(json.dumps([sum(f.stat().st_size for f in files) / 1e6, len(names)]))
"""


def size(python: str) -> str:
    """Say how much is installed with a client.

    Args:
        python: The interpreter of its environment.
    """
    done = subprocess.run([python, "-c", _SIZE], capture_output=True, text=True, check=True)  # noqa: S603  # as above
    megabytes, count = json.loads(done.stdout)
    return f"{megabytes:.0f} MB, {count}"


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, CPython {platform.python_version()}"


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("clients", nargs="+", metavar="NAME=PYTHON")
    asked = parser.parse_args()
    clients = dict(client.split("=", 1) for client in asked.clients)
    rounds = asked.rounds or (1 if asked.quick else 3)
    rows = [row for row in ROWS if (row.quick or not asked.quick) and (not asked.only or row.case in asked.only)]
    load = os.getloadavg()[0]
    figures = measure(clients, rows, rounds)
    lines = table(figures, rows, list(clients))
    if not asked.quick and not asked.only:
        sizes = " | ".join(
            "-" if name in {"floor", "dbchat aiohttp"} else size(python) for name, python in clients.items()
        )
        lines.append(f"| installed size, packages | {sizes} | langchain-core + databricks-sdk + httpx | |")
    lines += ["", f"Machine: {_machine()}; load before: {load:.2f}; medians of {rounds} interleaved rounds."]
    floor = _median(figures, "floor", ROWS[2])
    if floor is not None:
        factor = floor / _REFERENCE_FLOOR
        lines.append(f"The floor of a streamed chunk takes {floor:.1f} µs here, {factor:.2f} x the bounds' machine.")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
