"""The notebooks of the examples: run them as Jupyter does, and read what their cells print.

Rule 1. A notebook runs in a kernel of its own, in an empty folder, without an account
        (https://nbclient.readthedocs.io/en/latest/client.html).
Rule 2. What a cell prints or shows as text is one text, as `kit.pages` has it for a block; a cell that raises fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from kit.pages import ROOT, printed_by

SECONDS = 120


def notebooks() -> list[Path]:
    """Return the notebooks of the examples."""
    return sorted((ROOT / "examples").glob("*.ipynb"))


def read(notebook: Path) -> dict[str, Any]:
    """Return a notebook as it is stored."""
    stored: dict[str, Any] = json.loads(notebook.read_text("utf-8"))
    return stored


def outputs(stored: dict[str, Any]) -> list[str]:
    """Return what each code cell has printed and shown."""
    return ["".join(map(_text, cell["outputs"])) for cell in stored["cells"] if cell["cell_type"] == "code"]


def with_cell_outputs(stored: dict[str, Any], printed: list[str]) -> dict[str, Any]:
    """Return a notebook whose code cells have these outputs, in the order of their running."""
    texts = iter(enumerate(printed, 1))
    cells = []
    for cell in stored["cells"]:
        written = dict(cell)
        if cell["cell_type"] == "code":
            written["execution_count"], text = next(texts)
            shown = {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
            written["outputs"] = [shown] if text else []
        cells.append(written)
    return {**stored, "cells": cells}


def run_notebook(notebook: Path) -> list[str]:
    """Run a notebook, and return what each code cell prints and shows.

    Raises:
        AssertionError: If a cell raises.
    """
    return printed_by("kit.notebooks", notebook)


def _text(output: dict[str, Any]) -> str:
    found = output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
    return found if isinstance(found, str) else "".join(found)


def _main(notebook: Path) -> None:
    import nbformat  # an extra
    from nbclient import NotebookClient  # the same

    loaded = nbformat.read(notebook, as_version=4)
    NotebookClient(loaded, timeout=SECONDS, kernel_name="python3", coalesce_streams=True).execute()
    sys.stdout.write("\n" + json.dumps(outputs(loaded)))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
