"""The documents' links to other sites are well-formed and lead to hosts that we mean; nothing is requested."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
INLINE = re.compile(r"\]\((?P<target>[a-z][a-z0-9+.-]*:[^)]*)\)")
DEFINED = re.compile(r"^\[[^\]]+\]: (?P<target>.*)$", re.MULTILINE)
PATH = r"(/[\w.-]+)*/?"
HOSTS = {
    "ai.google.dev": PATH,
    "docs.claude.com": PATH,
    "docs.databricks.com": rf"/(aws/en|api){PATH}",  # English, and for AWS as everywhere
    "docs.github.com": PATH,
    "docs.pypi.org": PATH,
    "github.com": rf"/[\w.-]+/[\w.-]+{PATH}",
    "h11.readthedocs.io": PATH,
    "keepachangelog.com": PATH,
    "learn.microsoft.com": PATH,
    "peps.python.org": PATH,
    "platform.openai.com": PATH,
    "semver.org": PATH,
    "www.databricks.com": PATH,
    "www.rfc-editor.org": PATH,
}
"""The hosts that the documents link to, with their paths. A new one is added here, so that a typo is noticed."""


def is_well_formed(link: str) -> bool:
    """Return whether a link has a known host, a path of that host, and perhaps a fragment."""
    return any(
        re.fullmatch(rf"https://{re.escape(host)}{path}(?<![.,])(#[\w-]+)?", link) for host, path in HOSTS.items()
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_other_sites_are_well_formed(page: Path) -> None:
    assert [link for link in _links(page) if not is_well_formed(link)] == []


def test_each_host_is_linked_to() -> None:
    assert {urlsplit(link).netloc for page in PAGES for link in _links(page)} == set(HOSTS)


@pytest.mark.parametrize(
    "link",
    [
        "http://github.com/a/b",
        "https://gihtub.com/a/b",
        "https://github.com/a",
        "https://github.com:8080/a/b",
        "https://github.com/a/b.",
        "https://github.com/a//b",
        "https://github.com/a/b c",
        "https://docs.databricks.com/en/machine-learning",
        "https://docs.databricks.com/aws/en/a?o=123",
        "https://[docs.databricks.com/aws/en/a",
        "mailto:somebody@example.com",
    ],
)
def test_a_bad_link_is_noticed(link: str) -> None:
    assert not is_well_formed(link)


def _links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [found["target"] for pattern in (INLINE, DEFINED) for found in pattern.finditer(text)]
