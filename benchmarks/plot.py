"""Draw the README's plot from the newest stored output of `make bench` (``make plot``).

Rule 1. The figures are read from ``benchmarks/results/<date>.md``, which is what `compare.py` printed on that day.
Rule 2. Each panel has its own scale, which begins at 0, and each bar says its figure.
Rule 3. The same file gives the same drawing, so that a test sees when the plot is older than its figures.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
PLOT = HERE.parent / "docs" / "performance.svg"
CLIENTS = {"databricks-langchain": "#8c959f", "langchain-openai": "#b6bdc6", "dbchat": "#0969da"}


@dataclass(frozen=True)
class Panel:
    """One group of bars."""

    title: str
    unit: str
    row: str
    """The row of the table that it shows."""


PANELS = (
    Panel("CPU of a streamed chunk", "µs", "stream, sync, per chunk, no merging, µs"),
    Panel("CPU of one call", "µs", "invoke, CPU µs"),
    Panel("CPU of a call, 100 at once", "µs", "the same, CPU µs a call"),
    Panel("Import and first answer", "ms", "cold start: import, construct, first answer, CPU ms"),
    Panel("Embedding 2,000 texts", "s", "embed 2,000 texts, 50 ms: wall s"),
)
WIDTH, LEFT, BAR, GAP, HEAD = 760, 150, 16, 5, 26
FOOT = 26
LONGEST = WIDTH - LEFT - 90
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 } .small { font-size: 11px }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
</style>"""


def newest() -> Path:
    """Return the newest stored output."""
    return max((HERE / "results").glob("*.md"))


def figures(table: str) -> dict[str, dict[str, float]]:
    """Read the table of `compare.py`.

    Args:
        table: What it printed.

    Returns:
        For each row its figures by client; what was not measured is left out.
    """
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    head, found = rows[0], {}
    for row in rows[2:]:
        numbers = {name: text.replace(",", "") for name, text in zip(head[1:], row[1:], strict=False)}
        found[row[0]] = {name: float(text) for name, text in numbers.items() if name in CLIENTS and _is_number(text)}
    return found


def drawing(date: str, found: dict[str, dict[str, float]]) -> str:
    """Draw the panels below each other.

    Args:
        date: When the figures were measured.
        found: What `figures` has read.

    Returns:
        The SVG.
    """
    parts: list[str] = []
    top = 4
    for panel in PANELS:
        parts += _panel(panel, found[panel.row], top)
        top += HEAD + len(CLIENTS) * (BAR + GAP) + 8
    note = f"Shorter is better. Measured on {date} on two cores against one server: docs/performance.md."
    parts.append(f'<text class="small" x="8" y="{top + 12}">{note}</text>')
    height = top + FOOT
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [f'{start} role="img">', "<title>CPU and time of three clients</title>", STYLE, *parts, "</svg>\n"]
    )


def main() -> None:
    """Write the plot."""
    source = newest()
    PLOT.write_text(drawing(source.stem, figures(source.read_text("utf-8"))), encoding="utf-8")
    sys.stdout.write(f"{PLOT.name}: the figures of {source.stem}\n")


def _panel(panel: Panel, bars: dict[str, float], top: int) -> list[str]:
    parts = [f'<text class="title" x="8" y="{top + 16}">{escape(panel.title)} ({panel.unit})</text>']
    largest = max(bars.values())
    for number, (client, colour) in enumerate(CLIENTS.items()):
        y = top + HEAD + number * (BAR + GAP)
        length = max(1, round(LONGEST * bars[client] / largest))
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{client}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{length}" height="{BAR}" rx="2" fill="{colour}"/>',
            f'<text x="{LEFT + length + 6}" y="{y + 13}">{bars[client]:,g}</text>',
        ]
    return parts


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


if __name__ == "__main__":
    main()
