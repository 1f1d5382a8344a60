"""The Python of the documents runs from top to bottom as a reader would paste it, and prints what the page says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from kit.pages import (
    Block,
    blocks,
    elide,
    matches,
    missing_packages,
    needs_environment,
    needs_process,
    pages,
    run_as_script,
    run_in_a_process,
    run_in_console,
    with_outputs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from langchain_dbchat.local import LocalWorkspace

RUN = {"script": run_as_script, "console": run_in_console}
WAYS = [pytest.param(way, id=name) for name, way in RUN.items()]


@pytest.mark.parametrize(
    ("page", "way"),
    [
        pytest.param(page, way, id=f"{page.name}-{way}")
        for page in pages()
        for way in RUN
        if way == "console" or not needs_process(page)  # once, because such pages take long
    ],
)
def test_each_block_prints_what_the_page_says(
    page: Path,
    way: Literal["script", "console"],
    workspace: LocalWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)  # a page may write files
    if missing := missing_packages(page):
        pytest.skip(f"needs {', '.join(missing)}")
    if needs_environment(page):
        monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    these = blocks(page)
    outputs = run_in_a_process(page, way) if needs_process(page) else RUN[way](these)
    for block, printed in zip(these, outputs, strict=True):
        assert matches(block.printed, printed), f"{block.place} prints:\n{printed}\nThe page says:\n{block.printed}"


@pytest.mark.parametrize(
    "code",
    [
        "class Cat:\n    legs = 4\n\n    eyes = 2\n",  # a blank line ends a class in the REPL
        "for _ in range(2):\n    pass\nprint()\n",  # and is missing here
        "print(no_such_name)\n",
    ],
)
def test_what_the_repl_refuses_fails(code: str) -> None:
    with pytest.raises(AssertionError, match="in the REPL"):
        run_in_console([Block(code, "", "a page")])


@pytest.mark.parametrize("way", WAYS)
def test_names_are_kept_within_a_page_and_lost_after_it(way: Callable[[Sequence[Block]], list[str]]) -> None:
    these = [Block("found = 7\nfound\n", "", "a page"), Block("print(found)\n", "", "a page")]
    assert way(these) == ["", "7\n"]
    with pytest.raises((NameError, AssertionError), match="found"):
        way(these[1:])


def test_dots_stand_for_any_text_and_for_nothing_else() -> None:
    assert matches("at http://127.0.0.1:... after ... s\n", "at http://127.0.0.1:4711/x after 0.2 s\n")
    assert not matches("one ... three\n", "one two\n")
    assert not matches("one\n", "one\ntwo\n")
    assert matches("one\n", "one")  # print("one", end="")


def test_what_two_runs_print_otherwise_becomes_dots() -> None:
    assert elide("a msg_1 b\nsame\n", "a msg_23 b\nsame\n") == "a ... b\nsame\n"
    assert elide("http://127.0.0.1:40:7\n", "http://127.0.0.1:47:7\n") == "http://127.0.0.1:...:7\n"
    with pytest.raises(ValueError, match="another number of lines"):
        elide("a\n", "a\nb\n")


def test_outputs_are_written_where_they_do_not_match() -> None:
    said = "\nIt prints:\n\n```text\n{}\n```\n"
    page = "Text.\n\n```python\nprint(1)\n```\n{}\nMore.\n\n```python\na = 2\n```\n"
    assert with_outputs(page.format(""), ["1\n", ""]) == page.format(said.format("1"))
    assert with_outputs(page.format(said.format("7")), ["1\n", ""]) == page.format(said.format("1"))
    assert with_outputs(page.format(said.format("...")), ["1\n", ""]) == page.format(said.format("..."))
    assert with_outputs(page.format(said.format("7")), ["", ""]) == page.format("")
