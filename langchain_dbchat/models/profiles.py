"""Report the capabilities of the models that Databricks itself serves.

A LangChain model profile is read by others: `create_agent` takes the provider's own structured output from it,
`SummarizationMiddleware` its fractions of the context window. The client itself acts on `families` alone.

Rule 1. The data is in ``profiles.json``, one line for each model by its name without ``databricks-`` or ``system.ai.``;
``make profiles`` checks it against langchain-core's keys and against what the client sends.
Rule 2. What is not known is left out and not estimated: an absent key means "ask the documentation", False means "no".
Rule 3. ``structured_output`` is narrower than "knows JSON schema". An agent that takes it sends a ``response_format``
together with its tools, and may stream. Claude refuses that, GLM 5.2 answers it without ever calling a tool, and Gemini
before 3 knows no schema beside tools; they are False, which leaves the agent with a schema as a tool.
Rule 4. Sources, as of November 2026: Databricks' pages on supported models, reasoning and structured outputs; LiteLLM
1.106.2 (October 2026) for exact limits; calls measured on the service in August 2026. Where they contradict each other,
the fact is left out. PDFs are documented for no model in particular, audio and video for Gemini alone.
"""

from __future__ import annotations

import json
from copy import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from langchain_core.language_models import ModelProfile

_PREFIXES = ("databricks-", "system.ai.")


def profile_of(model: str) -> ModelProfile | None:
    """Report what a model can do.

    Args:
        model: Name of the serving endpoint (``databricks-*``) or model service (``system.ai.*``).

    Returns:
        A new profile, which the caller may change; None for a name that Databricks did not give, or that is not known.
    """
    for prefix in _PREFIXES:
        row = _rows().get(model.removeprefix(prefix)) if model.startswith(prefix) else None
        if row is not None:
            profile = {key: copy(value) for key, value in row.items() if key != "note"}
            return cast("ModelProfile", profile)
    return None


@cache
def _rows() -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("profiles.json").read_text("utf-8"))
    return rows
