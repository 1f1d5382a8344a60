"""The repository's address is the same wherever it is written, and what PyPI shows links to nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITH_ADDRESS = ["pyproject.toml", "mkdocs.yml", "CHANGELOG.md", *(
    str(path.relative_to(ROOT)) for path in sorted((ROOT / ".github").glob("ISSUE_TEMPLATE/*.yml"))
    if "github.com" in path.read_text("utf-8")
)]  # fmt: skip
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def _address() -> str:
    found = re.search(r'^Homepage = "(https://github\.com/[\w-]+/[\w-]+)"$', PROJECT, re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize("name", WITH_ADDRESS)
def test_each_file_has_the_same_address(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    repositories = set(re.findall(r"https://github\.com/[\w-]+/[\w-]+", text))
    assert repositories == {_address()}


def test_relative_links_of_the_readme_become_links_to_the_tag() -> None:
    rows = re.findall(r"^pattern = '(.+)'\nreplacement = '(.+)'$", PROJECT, re.MULTILINE)
    assert len(rows) == 2
    text = (ROOT / "README.md").read_text("utf-8") + "![A plot](docs/plot.svg)"
    for pattern, replacement in rows:
        text = re.sub(pattern, replacement.replace("$HFPR_VERSION", "1.2.3"), text)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert f"{_address()}/blob/v1.2.3/docs/errors.md" in links
    assert f"{_address()}/raw/v1.2.3/docs/plot.svg" in links
    assert [link for link in links if "://" not in link] == []
