"""Write into the documents and the notebooks what their Python prints (``make outputs``).

Rule 1. Each of them runs twice, each time in a process of its own; what differs between the two becomes ``...``.
Rule 2. An output that still matches what is printed is not touched, so that a ``...`` of your own stays.
Rule 3. A page that imports a package that is not installed is left as it is, and is named.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from kit.notebooks import notebooks, outputs, read, run_notebook, with_cell_outputs
from kit.pages import elide, matches, missing_packages, pages, run_in_a_process, with_outputs

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Rewrite the outputs of the documents that are named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", nargs="*", type=Path, help="such as docs/costs.md; all of them by default")
    named = [document.resolve() for document in parser.parse_args().documents]
    for document in named or [*pages(), *notebooks()]:
        before = document.read_text("utf-8")
        after = _rewritten_notebook(document) if document.suffix == ".ipynb" else _rewritten_page(document, before)
        if after != before:
            document.write_text(after, encoding="utf-8")
            print(f"{document.name}: written")


def _rewritten_page(page: Path, text: str) -> str:
    if missing := missing_packages(page):
        print(f"{page.name}: left as it is, because {', '.join(missing)} is not installed")
        return text
    return with_outputs(text, _printed_twice(lambda: run_in_a_process(page, "script")))


def _rewritten_notebook(notebook: Path) -> str:
    stored = read(notebook)
    both = zip(outputs(stored), _printed_twice(lambda: run_notebook(notebook)), strict=True)
    printed = [before if matches(before, now) else now for before, now in both]
    return json.dumps(with_cell_outputs(stored, printed), indent=1, ensure_ascii=False) + "\n"


def _printed_twice(run: Callable[[], list[str]]) -> list[str]:
    return [elide(*both) for both in zip(run(), run(), strict=True)]


if __name__ == "__main__":
    main()
