"""Count the instructions that each case takes, now and at an older commit; valgrind counts them.

    python benchmarks/instructions.py [--only CASE,...] NAME=PYTHON NAME=PYTHON

The number of instructions is not a time. But other programs and the speed of the processor do not change it: two runs
differ by about 1 %. So it helps where the times of `make bench BASE=...` differ too much from round to round.

Counted are the rows of `make bench QUICK=1`, each in a process of its own, after it ran once. Left out are those of the
other wires, which older commits do not have, and "one event per read", because under valgrind a client is so slow that
several events have arrived at each read.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

from compare import FRESH, OURS, ROWS, environment

HERE = Path(__file__).parent
_COUNT = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
_COLLECTED = re.compile(r"Collected : (\d+)")
_LEFT_OUT = ("wire ", "single", "asingle")
_UNIT = re.compile(r"(?:, CPU|,|:) (?:ms|µs)(?: a call)?$")


def count(python: str, base: str, case: str, *, merge: bool) -> int:
    """Count the instructions of one case.

    Args:
        python: The interpreter of the client's environment.
        base: The server's address.
        case: The case's name.
        merge: Whether burst merging is on.

    Returns:
        How many; of `import` and `cold` those of the whole process.

    Raises:
        SystemExit: If the case fails.
    """
    fresh = case in FRESH
    task = case if fresh else "serve"
    client = [python, str(HERE / "worker.py"), OURS, base, task]
    if fresh:  # not counted: it writes the bytecode
        subprocess.run(client, check=True, capture_output=True, env=environment())  # noqa: S603  # our own script
    command = [*_COUNT, *([] if fresh else ["--instr-atstart=no"]), *client]
    asked = json.dumps({"case": case, "merge": merge, "counted": True}) + "\n"
    done = subprocess.run(  # noqa: S603  # our own script
        command, input="" if fresh else asked, capture_output=True, text=True, check=False, env=environment()
    )
    found = _COLLECTED.search(done.stderr)
    figures = done.stdout.strip()
    if done.returncode or not found or not int(found[1]) or not figures or not json.loads(figures):
        raise SystemExit(f"{case}: {done.stderr[-1000:]}")
    return int(found[1])


def main() -> None:
    """Read the command line, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("clients", nargs=2, metavar="NAME=PYTHON", help="first the older commit")
    asked = parser.parse_args()
    server = subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, str(HERE / "server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    base = f"http://127.0.0.1:{cast('IO[str]', server.stdout).readline().strip()}"
    try:
        _write_table(asked.only, base, asked.clients)
    finally:
        server.communicate()


def _write_table(only: list[str], base: str, clients: list[str]) -> None:
    (before, old), (after, new) = (client.split("=", 1) for client in clients)
    sys.stdout.write(f"| millions of instructions | {before} | {after} | after / before |\n|---|---|---|---|\n")
    for row in ROWS:
        if not row.quick or row.case.startswith(_LEFT_OUT) or (only and row.case not in only):
            continue
        older, newer = (count(python, base, row.case, merge=row.merge) for python in (old, new))
        label = _UNIT.sub("", row.label)
        sys.stdout.write(f"| {label} | {older / 1e6:.1f} | {newer / 1e6:.1f} | {newer / older:.3f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
