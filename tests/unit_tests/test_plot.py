"""The README's plot shows the newest stored figures of the benchmark."""

from __future__ import annotations

import re
from pathlib import Path

import plot
import pytest

ROOT = Path(__file__).parents[2]
STORED = plot.newest().read_text("utf-8")


def test_the_plot_is_drawn_from_the_newest_figures() -> None:
    assert plot.PLOT.read_text("utf-8") == plot.drawing(plot.newest().stem, plot.figures(STORED)), "run `make plot`"
    assert "](docs/performance.svg)" in (ROOT / "README.md").read_text("utf-8")


def test_another_figure_is_another_drawing() -> None:
    found = plot.figures(STORED)
    row = plot.PANELS[0].row
    changed = {**found, row: {**found[row], "dbchat": found[row]["dbchat"] * 2}}
    assert plot.drawing("2026-11-22", found) != plot.drawing("2026-11-22", changed)


def test_the_longest_bar_is_that_of_the_largest_figure() -> None:
    bars = {"databricks-langchain": 2000.0, "langchain-openai": 500.0, "dbchat": 1.0}
    svg = plot.drawing("2026-11-22", {panel.row: bars for panel in plot.PANELS})
    widths = [int(width) for width in re.findall(r'<rect [^>]*width="(\d+)"', svg)]
    assert widths == [plot.LONGEST, plot.LONGEST // 4, 1] * len(plot.PANELS)
    assert ">2,000<" in svg


def test_what_was_not_measured_is_left_out() -> None:
    table = "| figure | dbchat | langchain-openai |\n|---|---|---|\n| invoke, CPU µs | 1,478 | - |\n"
    assert plot.figures(table) == {"invoke, CPU µs": {"dbchat": 1478.0}}


@pytest.mark.parametrize("panel", plot.PANELS, ids=lambda panel: panel.title)
def test_the_page_of_performance_has_the_row(panel: plot.Panel) -> None:
    assert f"\n| {panel.row} |" in (ROOT / "docs/performance.md").read_text("utf-8")
