"""Asking for reasoning: each family has its own way and refuses the others' (docs/wire.md, 2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.refusals import invalid, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked

EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
LEAST_BUDGET = 1024


def check_thinking(asked: Asked) -> None:
    """Refuse ways of asking for reasoning that the model does not know."""
    thinking = asked.body.get("thinking")
    if thinking is not None:
        if not isinstance(thinking, dict) or not isinstance(thinking.get("type"), str):
            raise invalid(asked, "thinking.type: Field required")
        if asked.model.family.voice == "claude":
            _check_claude(asked, thinking)
        elif asked.model.family.name == "gemini":
            _check_gemini(asked, thinking)
        elif thinking["type"] not in {"enabled", "disabled"}:
            raise invalid(asked, "thinking.type: Input should be 'enabled' or 'disabled'")
    effort = asked.body.get("reasoning_effort")
    if effort is not None and effort not in asked.model.efforts:
        supported = ", ".join(f"'{one}'" for one in asked.model.efforts)
        raise invalid(
            asked,
            f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. Supported values are: "
            f"{supported}.",
        )
    _check_output_config(asked)


def _check_claude(asked: Asked, thinking: dict[str, Any]) -> None:
    kind, model = thinking["type"], asked.model
    known = {"enabled": {"type", "budget_tokens"}, "adaptive": {"type", "display"}, "disabled": {"type"}}
    if kind not in known:
        raise invalid(asked, "thinking.type: Input should be 'enabled', 'adaptive' or 'disabled'")
    for key in thinking:
        if key not in known[kind]:
            raise unknown_field(asked, f"thinking.{kind}.{key}")
    if kind == "enabled" and not model.budget:
        raise invalid(
            asked,
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort".',
        )
    if kind == "adaptive" and not model.adaptive:
        raise invalid(asked, '"thinking.type.adaptive" is not supported for this model. Use "thinking.type.enabled".')
    if kind == "disabled" and model.always_thinks:
        raise invalid(asked, '"thinking.type.disabled" is not supported for this model.')
    if thinking.get("display") not in (None, "omitted", "summarized"):
        raise invalid(asked, "thinking.adaptive.display: Input should be 'omitted' or 'summarized'")
    if kind == "enabled":
        _check_budget(asked, thinking.get("budget_tokens"))
    # Anthropic wants a temperature of 1 here; what Databricks makes of 2 is open (docs/wire.md, 13).
    if kind != "disabled" and asked.body.get("temperature") not in (None, 1, 2):
        raise invalid(asked, "`temperature` may only be set to 1 when thinking is enabled.")


def _check_budget(asked: Asked, budget: Any) -> None:
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise invalid(asked, "thinking.enabled.budget_tokens: Field required")
    if budget < LEAST_BUDGET:
        raise invalid(asked, f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}")
    limit = asked.max_tokens
    if limit is not None and limit <= budget:
        raise invalid(asked, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_gemini(asked: Asked, thinking: dict[str, Any]) -> None:
    """Gemini 2.5 has budgets, of which the smallest and the largest differ by model (docs/wire.md, 2.3)."""
    low, high = (128, 32_768) if asked.model.name.endswith("-pro") else (0, 24_576)
    budget = thinking.get("budget_tokens", low)
    if not isinstance(budget, int) or not low <= budget <= high:
        raise invalid(asked, f"thinking.budget_tokens: Input should be between {low} and {high}")


def _check_output_config(asked: Asked) -> None:
    config = asked.body.get("output_config")
    if config is None:
        return
    if not isinstance(config, dict):
        raise invalid(asked, "output_config: Input should be an object")
    for key in config:
        if key != "effort":
            raise unknown_field(asked, f"output_config.{key}")
    if config.get("effort") not in (None, *EFFORTS):
        raise invalid(asked, "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
