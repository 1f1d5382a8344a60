"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import warnings

import pytest

import langchain_dbchat
from kit.extras import missing_package, needs_extra

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(langchain_dbchat.__path__, "langchain_dbchat.")
    if not info.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    if package := missing_package(name):
        pytest.skip(f"{name} needs {package}")
    with warnings.catch_warnings():
        if needs_extra(name):  # its package warns when it is imported
            warnings.simplefilter("ignore")
        module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    examples = sum(len(case.examples) for case in finder.find(langchain_dbchat.ChatDatabricksCompat))
    assert examples > 10
