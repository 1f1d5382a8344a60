"""The documents name tests, pages and sections that exist, and the README names every page."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import langchain_dbchat

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
OURS = "langchain_dbchat"
README = (ROOT / "README.md").read_text("utf-8")

NOT_OURS = frozenset(
    {
        "Args", "ChatAgent", "ChatDatabricksCompat", "DataFrames", "LangChain", "OpenAI", "Raises", "Returns", "agent",
        "base", "common", "except ...: pass", "handler", "helpers", "if", "pip", "responses", "messages", "utils",
    }
)  # fmt: skip
"""What these pages write like a name of ours without one being there."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_and_sections_of_ours_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", _prose(page)):
        path, _, section = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not section or section in _sections(file), target


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.name)
def test_the_readme_names_each_page_in_its_table(page: Path) -> None:
    table = README.partition("## Documentation")[2].partition("\n## ")[0]
    assert f"](docs/{page.name})" in table


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda page: page.name)
def test_each_page_has_a_place_in_the_site(page: Path) -> None:
    assert f": {page.relative_to(ROOT / 'docs').as_posix()}\n" in (ROOT / "mkdocs.yml").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(set(langchain_dbchat.__all__) - {"__version__"}))
def test_the_reference_has_each_public_name(name: str) -> None:
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    found = getattr(langchain_dbchat, name)
    module, own_name = found.__module__, found.__name__
    of_module = re.search(rf"^::: {re.escape(module)}\n(?P<options>(?:    .*\n)*)", pages, re.MULTILINE)
    members = re.search(r"members: \[(.+)\]", of_module["options"]) if of_module else None
    in_module = of_module and (members is None or own_name in members[1].split(", "))
    assert in_module or f"::: {module}.{own_name}\n" in pages


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_the_readme_names_the_pages_beside_it(name: str) -> None:
    assert f"]({name})" in README


def test_each_promise_of_the_security_page_names_a_test_that_exists() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    rows = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|---", "| promise"))]
    assert len(rows) == len(named) > 20
    for file, name in named:
        tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_each_path_and_name_of_ours_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    names = _names()
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        if re.fullmatch(r"[\w./<>*-]+(/|\.(py|md|json|toml|yml))", code):
            assert code in names or _exists(code), code
        elif "=" not in code and code not in NOT_OURS:
            name = re.match(r"(?:make )?([\w.]+)", code)
            assert name is None or names.issuperset(name[1].split(".")), code
    drawings = "\n".join(re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL))
    for code in re.findall(r"[\w./]*\w\.(?:py|json)\b", drawings):
        assert _exists(code), code
    for name in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", drawings):
        assert name in names | NOT_OURS, name


def test_each_module_of_ours_that_a_page_names_exists() -> None:
    names = _names()
    for page in PAGES:
        for name in re.findall(r"\blangchain_dbchat(?:\.\w+)+", page.read_text("utf-8")):
            parts = name.split(".")
            is_module = ROOT.joinpath(*parts).is_dir() or ROOT.joinpath(*parts).with_suffix(".py").exists()
            assert is_module or parts[-1] in names, f"{page.name}: {name}"


def _exists(path: str) -> bool:
    """Return whether a path exists, seen from the repository, the package, or a folder of it."""
    pattern = path.rstrip("/").replace("<wire>", "*")
    return any(any(ROOT.glob(f"{start}{pattern}")) for start in ("", "docs/", f"{OURS}/", f"{OURS}/**/"))


@cache
def _names() -> frozenset[str]:
    """All names of the package, the targets of the Makefile, and the samples' files."""
    found = {path.name for path in (ROOT / "tests" / "wire").glob("*/*")}
    found |= {part for name in found for part in name.split(".")}
    found.update(
        re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), ["dbchat", "lint", "types"]
    )
    for path in (ROOT / OURS).rglob("*.py"):
        found |= {path.stem, path.parent.name}
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            found |= {str(getattr(node, attribute, "")) for attribute in ("id", "attr", "name", "arg")}
    return frozenset(found)


def _prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL))


def _sections(page: Path) -> set[str]:
    """The anchors that GitHub makes of the titles of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
