"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import warnings

import pytest

import langchain_dbchat

OPTIONAL = {"langchain_dbchat.spark": "pyspark", "langchain_dbchat.integrations.mlflow.spans": "mlflow"}
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(langchain_dbchat.__path__, "langchain_dbchat.")
    if not info.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name], reason=f"{name} wants the extra of {OPTIONAL[name]}")
    with warnings.catch_warnings():
        if name in OPTIONAL:  # its package warns when it is imported
            warnings.simplefilter("ignore")
        module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    examples = sum(len(case.examples) for case in finder.find(langchain_dbchat.ChatDatabricksCompat))
    assert examples > 10
