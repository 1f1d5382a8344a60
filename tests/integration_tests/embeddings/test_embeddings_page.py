"""The Python on the page about embeddings runs, from top to bottom; what needs Spark is at least Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "embeddings.md"


def test_the_page_on_embeddings_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numpy", reason='needs numpy: pip install "langchain-dbchat[numpy]"')
    before, spark = PAGE.read_text("utf-8").split("## Spark")
    names: dict[str, object] = {}
    for example in _examples(before):
        exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102  # our own document, and that is the point
    names["workspace"].stop()  # type: ignore[attr-defined]  # the page starts one
    (example,) = _examples(spark)
    compile(example, str(PAGE), "exec")
    printed = capsys.readouterr().out
    assert "2 1024 EmbeddingUsage(requests=2, texts=3" in printed
    assert "1 of 3 texts have no embedding" in printed
    assert "[1] [False, True, False]" in printed
    assert "{1: 'DatabricksContextOverflowError'}" in printed
    assert "(2, 1024) float32" in printed


def _examples(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
