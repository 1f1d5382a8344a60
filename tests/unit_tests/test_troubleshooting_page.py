"""The page of error texts quotes texts that exist: in the package, or in what servers are known to send."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
OF_PYTHON = frozenset(
    {
        "Name or service not known",
        "Connection refused",
        "timed out",
        "CERTIFICATE_VERIFY_FAILED",
        "OutputParserException",
        "asyncio.run() cannot be called from a running event loop",
        "cannot pickle '_thread.RLock' object",
        "Can't pickle",
    }
)
"""What Python itself and LangChain say."""


def _quoted() -> list[str]:
    rows = re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)
    return [text for row in rows for text in re.findall(r"`([^`]+)`", row)]


@cache
def _known() -> str:
    texts = [(ROOT / "docs/wire.md").read_text("utf-8")]
    for path in (ROOT / "langchain_dbchat").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.ClassDef):
                texts.append(node.name)
    return "\n".join(texts)


@pytest.mark.parametrize("text", _quoted())
def test_each_quoted_text_exists(text: str) -> None:
    missing = [part for part in text.split("...") if part.strip() not in _known()]
    assert not missing or text in OF_PYTHON


def test_the_page_quotes_many() -> None:
    assert len(_quoted()) > 35
