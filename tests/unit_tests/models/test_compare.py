"""The comparison of the profiles with another list of what models can do."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

COMPARE = runpy.run_path(str(Path(__file__).parents[2] / "profiles" / "compare.py"))
OURS = {"a": {"max_input_tokens": 10, "image_inputs": True}}


def _found(**theirs: dict[str, Any]) -> list[str]:
    listed = {f"databricks/databricks-{name}": {"mode": "chat", **facts} for name, facts in theirs.items()}
    return list(COMPARE["differences"](OURS, {**listed, "openai/x": {"mode": "chat"}}))


def test_what_differs_is_found() -> None:
    assert _found(a={"max_input_tokens": 10, "supports_vision": True, "max_output_tokens": 3}) == []
    assert _found(a={"max_input_tokens": 11}) == ["a: max_input_tokens is 10, and 11 there"]
    assert _found(b={"max_input_tokens": 11}) == ["b: has no profile"]
    assert _found(b={"mode": "embedding"}) == []
