"""How a fuzz target runs: for a number of seconds, each case from a seed of its own, so that a failure can be repeated.

    python fuzz/fuzz_sse.py --seconds 60             new cases for a minute
    python fuzz/fuzz_sse.py --seed 7 --cases 1       exactly case 7

A target is a function from a random generator to nothing; any exception that leaves it is a finding.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "wire"
"""The golden cases of the test suite: what servers really send."""


def streams(folder: str = "**") -> list[bytes]:
    """The event streams of the golden cases, of all wire formats or of those in a folder."""
    return [path.read_bytes() for path in sorted(CORPUS.glob(f"{folder}/stream.sse"))]


def pieces(dice: random.Random, data: bytes) -> Iterator[bytes]:
    """Cut bytes anywhere: mostly into few pieces, sometimes into single bytes."""
    size = dice.choice((1, 3, 10, 100, 1000, 100_000))
    start = 0
    while start < len(data):
        end = start + dice.randint(0 if dice.random() < 0.1 else 1, size)  # a read may give nothing
        yield data[start:end]
        start = end


def run(target: Callable[[random.Random], None]) -> int:
    """Run a target as the command line says.

    Args:
        target: The target.

    Returns:
        The exit status: 1 for a finding.
    """
    parser = argparse.ArgumentParser(description=target.__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long; 60 by default")
    parser.add_argument("--seed", type=int, default=None, help="the first case's number; else it is drawn")
    parser.add_argument("--cases", type=int, default=None, help="how many cases at most")
    given = parser.parse_args()
    first = random.SystemRandom().randrange(2**48) if given.seed is None else given.seed
    end = time.monotonic() + given.seconds
    number = 0
    while time.monotonic() < end and (given.cases is None or number < given.cases):
        try:
            target(random.Random(first + number))
        except Exception:  # noqa: BLE001  # a finding, whatever it is
            traceback.print_exc()
            print(f"FOUND: {sys.argv[0]} --seed {first + number} --cases 1")
            return 1
        number += 1
    print(f"{number} cases without a finding, from --seed {first}")
    return 0
