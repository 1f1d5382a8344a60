"""Links of the documents lead to a page of the site, or to a file of the repository; dead ones are left for MkDocs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pages_beside_docs
import pytest

REPOSITORY = "https://example.com/repository"
IN_SITE = {"errors.md", "index.md", "performance.svg", "reference/errors.md", *pages_beside_docs.BESIDE.values()}


def _rewritten(markdown: str, page: str) -> str:
    files: Any = SimpleNamespace(get_file_from_path=lambda path: path if path in IN_SITE else None)
    on_page: Any = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    config: Any = SimpleNamespace(repo_url=REPOSITORY)
    return pages_beside_docs.on_page_markdown(markdown, on_page, config, files)


@pytest.mark.parametrize(
    ("page", "before", "after"),
    [
        ("first-steps.md", "docs/errors.md#proxies", "errors.md#proxies"),  # the README
        ("first-steps.md", "docs/performance.svg", "performance.svg"),
        ("first-steps.md", "CONTRIBUTING.md", "contributing.md"),
        ("first-steps.md", "LICENSE", f"{REPOSITORY}/blob/main/LICENSE"),
        ("index.md", "../README.md#install", "first-steps.md#install"),
        ("index.md", "../examples/rag.ipynb", f"{REPOSITORY}/blob/main/examples/rag.ipynb"),
        ("reference/errors.md", "../errors.md", "../errors.md"),
        ("reference/errors.md", "../../SECURITY.md", "../security.md"),
        ("index.md", "no-such-page.md", "no-such-page.md"),
        ("index.md", "../no-such-file.py", "../no-such-file.py"),
        ("first-steps.md", "docs/no-such-page.md", "docs/no-such-page.md"),
        ("index.md", "https://example.com/a.md", "https://example.com/a.md"),
        ("index.md", "#setup", "#setup"),
    ],
)
def test_where_a_link_leads(page: str, before: str, after: str) -> None:
    assert _rewritten(f"See [it]({before}).", page) == f"See [it]({after})."


def test_code_is_not_touched() -> None:
    code = "```python\nfound[0](LICENSE)\n```\n`a[0](LICENSE)`\n"
    assert _rewritten(code, "first-steps.md") == code
