"""The page on the wire has every section and row that the code cites, and a weight for each of its facts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from langchain_dbchat.local import models

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "wire.md").read_text("utf-8")

PLACES = ("langchain_dbchat", "tests", "fuzz", "benchmarks", "examples", "soak", "docs")
"""Where a citation may be, besides the pages at the root."""

CITATION = re.compile(r"docs/wire\.md((?:, \d+(?:\.\d+)?)+)(?:, rows? ([^\n).,:;\"]+))?")
"""``docs/wire.md, 6.4`` with further sections, or with the row of one section."""

WEIGHTS = {"doc", "rec", "live", "peer", "unknown"}


class Cited(NamedTuple):
    """One citation of the code."""

    place: str
    section: str
    row: str
    """What follows ``row`` on the line; empty where a whole section is cited."""


def test_each_section_that_is_cited_exists() -> None:
    missing = [it for it in CITED if it.section not in SECTIONS]
    assert not missing
    assert len(CITED) > 100


def test_each_row_that_is_cited_exists() -> None:
    rows = {it for it in CITED if it.row}
    missing = [it for it in rows if not all(_is_row(row, it.section) for row in it.row.split(" and "))]
    assert not missing
    assert len(rows) > 10


def test_there_is_one_spelling_of_a_citation() -> None:
    odd = [
        f"{path}: {line}"
        for path, line in _lines()
        if re.search(r"wire[ ]facts \d", line)
        or any(not CITATION.match(line, it.start()) for it in re.finditer(r"docs/wire\.md[, ]*(?:section )?\d", line))
    ]
    assert not odd


def test_sections_are_numbered_once_and_in_order() -> None:
    numbers = [tuple(map(int, it.split("."))) for it in re.findall(r"^##+ (\d+(?:\.\d+)?) ", PAGE, re.MULTILINE)]
    assert numbers == sorted(set(numbers))


def test_each_row_of_facts_has_a_weight() -> None:
    weighed = [row for table in _tables() if table[0][-1] == "weight and source" for row in table[1:]]
    assert not [row for row in weighed if not WEIGHTS & set(re.findall(r"[a-z]+", row[-1]))]
    assert len(weighed) > 100


def test_the_first_cells_of_a_table_differ() -> None:
    for table in _tables():
        names = [row[0] for row in table[1:]]
        assert len(names) == len(set(names)), table[0]


def test_each_source_has_an_address_and_is_used() -> None:
    text, _, links = PAGE.partition("\n## Sources")
    defined = dict(re.findall(r"^\[([\w.-]+)\]: (https://\S+)$", links, re.MULTILINE))
    used = set(re.findall(r"\[([a-z][\w.-]+)\](?!\()", re.sub(r"`[^`]*`", "", text)))
    assert used == set(defined)


@pytest.mark.parametrize("name", [it.name for it in models.CHAT])
def test_each_chat_model_of_the_workspace_has_a_row(name: str) -> None:
    assert _is_row(name, "8.1")


@pytest.mark.parametrize("name", [it.name for it in models.EMBEDDING])
def test_each_embedding_model_of_the_workspace_has_a_row(name: str) -> None:
    assert _is_row(name, "7")


def _lines() -> list[tuple[str, str]]:
    files = [path for place in PLACES for path in sorted((ROOT / place).rglob("*"))] + sorted(ROOT.glob("*.md"))
    kept = [
        path for path in files if path.suffix in {".py", ".md", ".json", ".toml"} and "__pycache__" not in path.parts
    ]
    own = {Path(__file__).resolve(), ROOT / "docs" / "wire.md"}
    return [
        (str(path.relative_to(ROOT)), line)
        for path in kept
        if path not in own
        for line in path.read_text("utf-8").splitlines()
    ]


def _citations() -> list[Cited]:
    return [
        Cited(place, section, (found[2] or "").strip())
        for place, line in _lines()
        for found in CITATION.finditer(line)
        for section in found[1].removeprefix(", ").split(", ")
    ]


def _sections() -> dict[str, str]:
    parts = re.split(r"^##+ (\d+(?:\.\d+)?) .*$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _tables(text: str = PAGE) -> list[list[list[str]]]:
    """The tables of a text: rows of cells, the header first."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [
        [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in table.splitlines()
            if not line.startswith("|---")
        ]
        for table in found
    ]


def _is_row(text: str, section: str) -> bool:
    """Whether a text begins with the name of a row of that section's tables."""
    names = [row[0].replace("`", "") for table in _tables(SECTIONS[section]) for row in table[1:]]
    return any(re.match(rf"{re.escape(name)}(?![\w-])", text.replace("`", "")) for name in names)


SECTIONS = _sections()
CITED = _citations()
