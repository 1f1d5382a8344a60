"""Compare the profiles with a price list of LiteLLM's: `make profiles LITELLM=model_prices_and_context_window.json`.

Rule 1. A number that differs is printed; which of the two is right is for a person to decide from the documentation.
Rule 2. A model of Databricks' that only the list has is printed, too. The exit status is 1 if anything was printed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PROFILES = Path(__file__).parents[2] / "langchain_dbchat" / "models" / "profiles.json"
PREFIX = "databricks/databricks-"
SAME = {
    "max_input_tokens": "max_input_tokens",
    "max_output_tokens": "max_output_tokens",
    "supports_vision": "image_inputs",
    "supports_function_calling": "tool_calling",
    "supports_reasoning": "reasoning_output",
}
"""LiteLLM's keys, and what profiles call the same."""


def differences(ours: Mapping[str, Mapping[str, Any]], theirs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Find where a price list and the profiles differ.

    Args:
        ours: The profiles by model.
        theirs: The list by LiteLLM's names.

    Yields:
        One line for each difference.
    """
    for name, facts in theirs.items():
        if not name.startswith(PREFIX) or facts.get("mode") != "chat":
            continue
        model = name.removeprefix(PREFIX)
        if model not in ours:
            yield f"{model}: has no profile"
            continue
        for key, own in SAME.items():
            if key in facts and own in ours[model] and facts[key] != ours[model][own]:
                yield f"{model}: {own} is {ours[model][own]!r}, and {facts[key]!r} there"


def main() -> int:
    """Print the differences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("prices", type=Path, help="LiteLLM's model_prices_and_context_window.json")
    prices = json.loads(parser.parse_args().prices.read_text("utf-8"))
    found = list(differences(json.loads(PROFILES.read_text("utf-8")), prices))
    print("\n".join(found) or "No differences.")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
