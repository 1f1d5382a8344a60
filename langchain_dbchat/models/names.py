"""The name of the row of `families` for an endpoint, if the endpoint's name identifies its model.

Rule 1. Only names that Databricks itself gives (``databricks-*``, ``system.ai.*``) identify a model
(docs.databricks.com/aws/en/machine-learning/foundation-model-apis/supported-models). Any other name is free text.
Rule 2. The first pattern that is found in the name decides, so a special case is before the general one.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["FIRST_WORDS", "is_own_name", "row_name"]

_BY_NAME: tuple[tuple[str, str], ...] = (
    (r"claude-(opus-5-5|fable-5-1)", "claude-opus-5-5"),
    (r"claude-fable-5", "claude-fable-5"),
    (r"claude-opus-5", "claude-opus-5"),
    (r"claude-(opus-4-[78]|sonnet-5|mythos-5)", "claude-adaptive"),
    (r"claude-(opus|sonnet)-4-6", "claude-4-6"),
    (r"claude", "claude"),
    (r"gpt-oss", "gpt-oss"),
    (r"gpt-\d.*-codex", "gpt-codex"),
    (r"gpt-6", "gpt-6"),
    (r"gpt-5-[45]-pro", "gpt-5-pro"),
    (r"gpt-5-5(?!-(mini|nano))", "gpt-5-5"),
    (r"gpt-5-(6|4(?!-(mini|nano)))", "gpt-5-6"),
    (r"gpt-5-[2345]", "gpt-5-2"),
    (r"gpt-5-1", "gpt-5-1"),
    (r"gpt-5", "gpt-5"),
    (r"gemini-.*image", "gemini-image"),
    (r"gemini-2-5-pro", "gemini-2-5-pro"),
    (r"gemini-2-5", "gemini-2-5-flash"),
    (r"gemini-3-1-pro", "gemini-3-1-pro"),
    (r"gemini-3-([678]|5-flash-lite)", "gemini-3-6"),
    (r"gemini", "gemini-3"),
    (r"glm-5-3-flash", "glm-5-3-flash"),
    (r"glm-5-3", "glm-5-3"),
    (r"glm", "glm-5-2"),
    (r"kimi-k3", "kimi-k3"),
    (r"kimi", "thinking-open-weights"),
    (r"deepseek-v4", "deepseek-v4"),
    (r"inkling", "inkling"),
    (r"grok", "grok"),
    (r"qwen3-?5", "thinking-open-weights"),
    (r"llama-4", "llama-4"),
    (r"llama", "open-weights"),
    (r"gemma", "open-weights-vision"),
    (r"qwen|mi[sx]tral|dbrx|mpt", "open-weights-unproven"),
)
"""Patterns of the names of Databricks' own endpoints and services, and their rows. The first match wins."""

FIRST_WORDS = "|".join(dict.fromkeys(re.split(r"[\d-]", pattern)[0] for pattern, _ in _BY_NAME))
"""A pattern of the words with which the names of models begin, such as "claude" and "gpt"."""

_OWN_NAME = re.compile(r"^(?:databricks-|system\.ai\.)")


def is_own_name(model: str) -> bool:
    """Return whether Databricks gave an endpoint its name; any other name is free text.

    Args:
        model: Name of the serving endpoint or model service.

    Returns:
        True for ``databricks-*`` and ``system.ai.*``.
    """
    return _OWN_NAME.match(model) is not None


@lru_cache(maxsize=1024)
def row_name(model: str) -> str | None:
    """Return the name of the row for an endpoint.

    Args:
        model: Name of the serving endpoint or model service.

    Returns:
        The row's name; None if the name does not identify a model.
    """
    if is_own_name(model):
        for pattern, name in _BY_NAME:
            if re.search(pattern, model):
                return name
    return None
