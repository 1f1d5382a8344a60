"""The notebooks of the examples run in Jupyter's kernel, and their cells print what is stored in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kit.notebooks import notebooks, outputs, read, run_notebook, with_cell_outputs
from kit.pages import matches

if TYPE_CHECKING:
    from pathlib import Path


def test_there_are_a_quickstart_an_agent_and_retrieval() -> None:
    assert {it.stem for it in notebooks()} >= {"quickstart", "agent", "rag"}


@pytest.mark.parametrize("notebook", notebooks(), ids=lambda it: it.stem)
def test_each_cell_prints_what_is_stored(notebook: Path) -> None:
    pytest.importorskip("nbclient")
    stored = outputs(read(notebook))
    assert sum(map(bool, stored)) >= 4
    for number, (expected, printed) in enumerate(zip(stored, run_notebook(notebook), strict=True), 1):
        assert matches(expected, printed), f"cell {number} prints:\n{printed}\nThe notebook says:\n{expected}"


def test_a_cell_that_raises_fails(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    stored = read(notebooks()[0])
    stored["cells"] = [{**it, "source": "1 / 0"} for it in stored["cells"] if it["cell_type"] == "code"][:1]
    broken = tmp_path / "broken.ipynb"
    broken.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_notebook(broken)


def test_outputs_are_stored_with_the_cells_that_print() -> None:
    stored = read(notebooks()[0])
    count = len(outputs(stored))
    printed = [str(number) if number % 2 else "" for number in range(count)]
    written = with_cell_outputs(stored, printed)
    assert outputs(written) == printed
    assert [it["source"] for it in written["cells"]] == [it["source"] for it in stored["cells"]]
