"""The README's Python runs, from top to bottom, as a newcomer would paste it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from langchain_dbchat.local import LocalWorkspace

README = Path(__file__).resolve().parents[2] / "README.md"


def test_every_example_runs(
    workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    examples = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(examples) > 7
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, str(README), "exec"), names)  # noqa: S102  # our own document, and that is the point
    printed = capsys.readouterr().out
    assert "{'city': 'Oslo'}" in printed
    assert "It rains in Oslo." in printed
    assert "punchline=" in printed
    assert "Thought:" in printed
    assert "Taxes are due in April." in printed
    assert "404 ENDPOINT_NOT_FOUND" in printed
