"""Each file that `make mutate` breaks has tests that are nearest to it, and these exist."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _nearest() -> Any:
    found = importlib.util.spec_from_file_location("nearest", ROOT / "tests/mutation/nearest.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_each_file_of_the_two_rooms_has_its_tests() -> None:
    nearest, package = _nearest(), ROOT / "langchain_dbchat"
    files = {
        str(file.relative_to(package))
        for room in nearest.FOLDERS
        for file in package.joinpath(room).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert set(nearest.NEAREST) == files
    named = {test for tests in (*nearest.NEAREST.values(), *nearest.FOLDERS.values()) for test in tests}
    assert [test for test in sorted(named) if not ROOT.joinpath(test).exists()] == []


def test_each_survivor_is_a_line_of_its_file() -> None:
    tomllib: Any = pytest.importorskip("tomllib")  # Python 3.10 has none
    survivors = tomllib.loads(ROOT.joinpath("tests/mutation/survivors.toml").read_text("utf-8"))["survivor"]
    assert survivors
    for survivor in survivors:
        assert survivor["before"] in ROOT.joinpath("langchain_dbchat", survivor["file"]).read_text("utf-8"), survivor
