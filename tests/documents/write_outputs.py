"""Write into the documents what their Python blocks print (``make outputs``).

Rule 1. Each page runs twice, each time in a process of its own; what differs between the two becomes ``...``.
Rule 2. An output that still matches what the block prints is not touched, so that a ``...`` of your own stays.
Rule 3. A page that imports a package that is not installed is left as it is, and is named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kit.pages import elide, missing_packages, pages, run_in_a_process, with_outputs


def main() -> None:
    """Rewrite the outputs of the pages that are named, or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path, help="the pages, such as docs/costs.md; all of them by default")
    for page in [path.resolve() for path in parser.parse_args().pages] or pages():
        if missing := missing_packages(page):
            print(f"{page.name}: left as it is, because {', '.join(missing)} is not installed")
            continue
        first, second = (run_in_a_process(page, "script") for _ in range(2))
        before = page.read_text("utf-8")
        after = with_outputs(before, [elide(*both) for both in zip(first, second, strict=True)])
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"{page.name}: written")


if __name__ == "__main__":
    main()
