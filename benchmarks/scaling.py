"""Measure how the cost of this package grows, print the table of docs/scaling.md, and draw its plot.

    python benchmarks/scaling.py [PLOT]     (``make scaling``)

Each series is measured with three sizes. A figure is the CPU of the client's process, the best of some rounds, so that
other programs do not count. In the plot both axes are logarithmic: what is linear has the slope of the grey line.
"""

from __future__ import annotations

import asyncio
import functools
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import clients
import growing

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROUNDS = 3
LARGE = 100  # kB
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 380, 60, 20, 210, 40


class Series(NamedTuple):
    """One line of the plot.

    Attributes:
        label: What grows, and in which unit the sizes are.
        sizes: Its sizes.
        measure: Returns the CPU in ms of a size.
        colour: Of its line.
    """

    label: str
    sizes: tuple[int, ...]
    measure: Callable[[growing.Make, int], growing.Figures]
    colour: str


def _answer(make: growing.Make, kilobytes: int, kind: str, method: str) -> growing.Figures:
    return growing.structured(make, kind if kilobytes < LARGE else f"{kind}large", method)


_by_schema = functools.partial(_answer, kind="objects", method="json_schema")
_by_tool = functools.partial(_answer, kind="objectcalls", method="function_calling")


def _streams(make: growing.Make, count: int) -> growing.Figures:
    model = make("paced")

    async def drain() -> None:
        async for _ in model.astream("Hi"):
            pass

    async def run() -> float:
        await drain()
        began = time.process_time()
        await asyncio.gather(*(drain() for _ in range(count)))
        return (time.process_time() - began) * 1e3

    return {"ms": asyncio.run(run())}


SERIES = (
    Series("history, messages", (100, 1000, 10_000), growing.history, "#0969da"),
    Series("agent's step, tools", (1, 10, 100), growing.agent, "#cf222e"),
    Series("answer by schema, kB", (25, 253), _by_schema, "#1a7f37"),
    Series(
        "answer by tool, kB",
        (25, 253),
        _by_tool,
        "#8250df",
    ),
    Series("streams at once, 200 events each", (1, 10, 100), _streams, "#bf8700"),
)


def drawing(points: dict[str, list[tuple[int, float]]]) -> str:
    """Draw the series.

    Args:
        points: For each label, sizes and milliseconds.

    Returns:
        The SVG.
    """
    flat = [point for line in points.values() for point in line]
    low_x, high_x = (math.log10(pick(size for size, _ in flat)) for pick in (min, max))
    low_y, high_y = math.floor(math.log10(min(ms for _, ms in flat))), math.ceil(math.log10(max(ms for _, ms in flat)))

    def place(size: float, ms: float) -> str:
        x = LEFT + (math.log10(size) - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - (math.log10(ms) - low_y) / (high_y - low_y) * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>CPU by size</title>",
        "<style>text { font: 12px system-ui, sans-serif; fill: #57606a }</style>",
    ]
    for power in range(low_y, high_y + 1):
        x, y = place(10**low_x, 10**power).split(",")
        parts.append(f'<text x="{float(x) - 6:.1f}" y="{float(y) + 4:.1f}" text-anchor="end">{10.0**power:g} ms</text>')
    for power in range(math.ceil(low_x), math.floor(high_x) + 1):
        x, y = place(10**power, 10**low_y).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 18:.1f}" text-anchor="middle">{10**power:,}</text>')
    for power in range(low_y - int(high_x), high_y):  # lines on which ten times as much takes ten times as long
        ends = [(10**x, 10.0 ** (power + x)) for x in (low_x, high_x)]
        if all(low_y <= math.log10(ms) <= high_y for _, ms in ends):
            parts.append(f'<polyline points="{" ".join(place(*end) for end in ends)}" fill="none" stroke="#d0d7de"/>')
    for series in SERIES:
        line = points[series.label]
        x, y = place(*line[-1]).split(",")
        drawn = " ".join(place(*point) for point in line)
        parts += [
            f'<polyline points="{drawn}" fill="none" stroke="{series.colour}" stroke-width="2"/>',
            f'<text x="{float(x) + 6:.1f}" y="{float(y) + 4:.1f}" style="fill: {series.colour}">{series.label}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])


def table(points: dict[str, list[tuple[int, float]]]) -> str:
    """Write the figures in Markdown.

    Args:
        points: For each label, sizes and milliseconds.

    Returns:
        The table.
    """
    lines = [
        "| what grows | CPU ms by size | ms of the last / the one before | times as large |",
        "|---|---|---|---|",
    ]
    for label, line in points.items():
        (before, ms_before), (largest, ms) = line[-2:]
        shown = ", ".join(f"{size:,}: {value:.2f}" for size, value in line)
        lines.append(f"| {label} | {shown} | {ms / ms_before:.1f} | {largest / before:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and draw."""
    served = subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, str(HERE / "server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    base = f"http://127.0.0.1:{cast('IO[str]', served.stdout).readline().strip()}"
    make = functools.partial(clients.dbchat, base, merge=True)
    try:
        points = {
            one.label: [(size, min(one.measure(make, size)["ms"] for _ in range(ROUNDS))) for size in one.sizes]
            for one in SERIES
        }
    finally:
        served.communicate()
    sys.stdout.write(f"{table(points)}\n")
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(drawing(points), encoding="utf-8")


if __name__ == "__main__":
    main()
