"""Write the settings for reasoning, ``reasoning_effort`` and ``thinking``, as the fields that the family accepts.

Rule 1. Claude up to 4.5 and Gemini 2.5 need ``thinking`` with a token budget, newer Claude adaptive ``thinking`` and
``output_config.effort``, the other families ``reasoning_effort``.
Rule 2. A setting that the family does not support, and would answer with a 400, raises; the text says what it supports.
Rule 3. The budgets of efforts are those that LiteLLM documents for Databricks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The values of ``reasoning_effort``, weakest first; ``disable`` and ``disabled`` mean ``none``."""

BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16_384}
"""The budget of each effort, in tokens, for families that need a budget."""

ANSWER_TOKENS = 4096
"""Tokens for the answer if thinking has a budget and ``max_tokens`` is not given."""

__all__ = ["BUDGETS", "EFFORTS", "is_switched_off", "is_thinking", "write_thinking"]

_OFF = frozenset({"none", "disable", "disabled"})


def write_thinking(  # noqa: PLR0913  # the user's settings and the model, the last two by keyword
    effort: str | None,
    thinking: Mapping[str, Any] | None,
    max_tokens: int | None,
    family: Family,
    *,
    tools: bool,
    model: str = "",
) -> tuple[dict[str, Any], list[str]]:
    """Return the request fields for the settings of reasoning.

    Args:
        effort: The user's ``reasoning_effort``.
        thinking: The user's ``thinking``.
        max_tokens: The user's limit of the answer, in tokens.
        family: The row of the called model.
        tools: Whether tools are bound in this request.
        model: The user's name of the model, for errors; if it is empty they name the family.

    Returns:
        The fields to send (with ``max_tokens`` if a budget determines it), and warnings for the user.

    Raises:
        ValueError: If the family does not support the settings; the text says what it supports.
    """
    who = repr(model) if model else f"the family {family.name!r}"
    if effort is not None:
        effort = str(effort).lower()
        effort = "none" if effort in _OFF else effort
        if effort not in EFFORTS:
            raise ValueError(f"reasoning_effort={effort!r} is not one of {', '.join(EFFORTS)}.")
    kind = _kind_of(thinking)
    if kind == "disabled" or effort == "none":
        if effort not in {None, "none"} or kind in {"enabled", "adaptive"}:
            raise ValueError(
                f"reasoning_effort={effort!r} and thinking={dict(thinking or {})!r} contradict each other."
            )
        if thinking is not None and family.reasoning == "effort" and not family.efforts:
            return {"thinking": dict(thinking)}, []  # an unknown model: the setting is sent unchanged
        return _switch_off(family, who, tools=tools)
    if effort is None and thinking is None:
        return {}, []
    if kind is None:
        return _spell_effort(effort or "", max_tokens, family, who)
    return _spell_thinking(dict(thinking or {}), effort, max_tokens, family, who)


def is_thinking(fields: Mapping[str, Any], family: Family) -> bool:
    """Return whether the model will think for this request.

    Args:
        fields: The request fields.
        family: The row of the called model.

    Returns:
        True if thinking is requested or cannot be switched off.
    """
    thinking = fields.get("thinking")
    return family.thinks_always or (isinstance(thinking, Mapping) and thinking.get("type") in {"enabled", "adaptive"})


def is_switched_off(settings: Mapping[str, Any]) -> bool:
    """Return whether the user has switched reasoning off.

    Args:
        settings: The settings of the call.

    Returns:
        True if ``reasoning_effort`` or ``thinking`` switches it off.
    """
    thinking = settings.get("thinking")
    disabled = isinstance(thinking, Mapping) and thinking.get("type") == "disabled"
    effort = settings.get("reasoning_effort")
    return disabled or (isinstance(effort, str) and effort.lower() in _OFF)


def _kind_of(thinking: Any) -> str | None:
    if thinking is None:
        return None
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if not isinstance(kind, str) or kind not in {"enabled", "adaptive", "disabled"}:
        raise ValueError(
            f"thinking={thinking!r} is not valid. Use {{'type': 'enabled', 'budget_tokens': n}}, "
            "{'type': 'adaptive'} or {'type': 'disabled'}."
        )
    return kind


def _switch_off(family: Family, who: str, *, tools: bool) -> tuple[dict[str, Any], list[str]]:
    if family.thinks_always:
        raise ValueError(f"{who} always reasons; it cannot be switched off. {_what_works(family)}")
    if "none" in family.efforts or (family.reasoning == "effort" and not family.efforts):
        return {"reasoning_effort": "none"}, []
    if family.reasoning == "effort":
        raise ValueError(f"Reasoning cannot be switched off for {who}. {_what_works(family)}")
    if family.reasoning == "adaptive":
        if tools and not family.disabled_thinking_with_tools:
            fields, _ = _spell_effort("low", None, family, who)
            note = "so thinking stays on, with the lowest effort, while tools are bound"
            return fields, [f"it writes tool calls as text when thinking is disabled, {note}"]
        return {"thinking": {"type": "disabled"}}, []
    if family.reasoning == "budget" and family.budget_range[0] == 0:
        return {"thinking": {"type": "enabled", "budget_tokens": 0}}, []
    return {}, []


def _spell_effort(effort: str, max_tokens: int | None, family: Family, who: str) -> tuple[dict[str, Any], list[str]]:
    if family.reasoning in {"budget", "budget_or_adaptive"}:
        low, high = family.budget_range
        return _with_budget(min(max(BUDGETS[effort], low), high), max_tokens, family, who), []
    if family.reasoning == "adaptive":
        config = {"effort": _adaptive_effort(effort, family, who)}
        return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": config}, []
    if family.reasoning == "none":
        if family.thinks_always:
            return {}, []
        raise ValueError(f"{who} does not reason, so reasoning_effort={effort!r} has no effect. Leave it out.")
    effort = dict(family.effort_aliases).get(effort, effort)
    if family.efforts and effort not in family.efforts:
        raise ValueError(f"reasoning_effort={effort!r} is refused by {who}. {_what_works(family)}")
    return {"reasoning_effort": effort}, []


def _adaptive_effort(effort: str, family: Family, who: str) -> str:
    effort = "low" if effort == "minimal" else effort
    if effort not in family.efforts:
        raise ValueError(f"reasoning_effort={effort!r} is refused by {who}. {_what_works(family)}")
    return effort


def _spell_thinking(
    thinking: dict[str, Any], effort: str | None, max_tokens: int | None, family: Family, who: str
) -> tuple[dict[str, Any], list[str]]:
    kind = thinking["type"]
    if family.reasoning == "effort" and not family.efforts:
        fields: dict[str, Any] = {"thinking": thinking}
        return (fields if effort is None else {**fields, "reasoning_effort": effort}), []
    if kind == "adaptive" and family.reasoning in {"adaptive", "budget_or_adaptive"}:
        fields = {"thinking": {"display": "summarized", **thinking}}
        if effort is not None:
            fields["output_config"] = {"effort": _adaptive_effort(effort, family, who)}
        return fields, []
    if kind == "enabled" and family.reasoning in {"budget", "budget_or_adaptive"}:
        budget = thinking.get("budget_tokens")
        low, high = family.budget_range
        if effort is not None:
            raise ValueError("Give either reasoning_effort or thinking with a budget, not both.")
        if not isinstance(budget, int) or not low <= budget <= high:
            raise ValueError(f"thinking needs 'budget_tokens' from {low} to {high} for {who}, not {budget!r}.")
        fitted = _with_budget(budget, max_tokens, family, who)
        return {**fitted, "thinking": {**thinking, **fitted["thinking"]}}, []
    raise ValueError(f"thinking of type {kind!r} is refused by {who}. {_what_works(family)}")


def _with_budget(budget: int, max_tokens: int | None, family: Family, who: str) -> dict[str, Any]:
    """Return a budget and a ``max_tokens`` that is greater, as Claude requires."""
    if max_tokens is None:
        max_tokens = budget + ANSWER_TOKENS
    elif family.budget_below_max_tokens and max_tokens <= budget:
        budget = max_tokens - 1
        if budget < family.budget_range[0]:
            raise ValueError(
                f"max_tokens={max_tokens} is too small to think: {who} thinks with at least "
                f"{family.budget_range[0]} tokens and max_tokens has to be greater. Raise max_tokens or leave it out."
            )
    return {"thinking": {"type": "enabled", "budget_tokens": budget}, "max_tokens": max_tokens}


def _what_works(family: Family) -> str:
    ways = {
        "budget": "It takes thinking={'type': 'enabled', 'budget_tokens': n}, or a reasoning_effort (made a budget).",
        "adaptive": "It takes thinking={'type': 'adaptive'} and reasoning_effort, one of "
        + ", ".join(family.efforts)
        + ".",
        "budget_or_adaptive": "It takes thinking of type 'enabled' (a budget) or 'adaptive', or a reasoning_effort.",
        "effort": "It takes reasoning_effort, one of " + ", ".join(family.efforts) + ".",
        "none": "It has no setting for reasoning.",
    }
    return ways[family.reasoning]
