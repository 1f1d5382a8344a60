"""Requests for reasoning: each family has its own fields and refuses the others' (docs/wire.md, 2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
LEAST_BUDGET = 1024


def check_thinking(request: ChatRequestBody) -> None:
    """Refuse reasoning fields that the model does not have."""
    thinking = request.body.get("thinking")
    if thinking is not None:
        if not isinstance(thinking, dict) or not isinstance(thinking.get("type"), str):
            raise invalid(request, "thinking.type: Field required")
        if request.family.error_style == "claude":
            _check_claude(request, thinking)
        elif request.family.thinking_budgets:
            _check_gemini(request, thinking)
        elif thinking["type"] not in {"enabled", "disabled"}:
            raise invalid(request, "thinking.type: Input should be 'enabled' or 'disabled'")
    effort = request.body.get("reasoning_effort")
    if effort is not None and effort not in request.model.efforts:
        supported = ", ".join(f"'{one}'" for one in request.model.efforts)
        raise invalid(
            request,
            f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. Supported values are: "
            f"{supported}.",
        )
    _check_output_config(request)


def _check_claude(request: ChatRequestBody, thinking: dict[str, Any]) -> None:
    kind, model = thinking["type"], request.model
    known = {"enabled": {"type", "budget_tokens"}, "adaptive": {"type", "display"}, "disabled": {"type"}}
    if kind not in known:
        raise invalid(request, "thinking.type: Input should be 'enabled', 'adaptive' or 'disabled'")
    for key in thinking:
        if key not in known[kind]:
            raise unknown_field(request, f"thinking.{kind}.{key}")
    if kind == "enabled" and not model.budget:
        raise invalid(
            request,
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort".',
        )
    if kind == "adaptive" and not model.adaptive:
        raise invalid(request, '"thinking.type.adaptive" is not supported for this model. Use "thinking.type.enabled".')
    if kind == "disabled" and model.always_reasons:
        raise invalid(request, '"thinking.type.disabled" is not supported for this model.')
    if thinking.get("display") not in (None, "omitted", "summarized"):
        raise invalid(request, "thinking.adaptive.display: Input should be 'omitted' or 'summarized'")
    if kind == "enabled":
        _check_budget(request, thinking.get("budget_tokens"))
    # Anthropic requires a temperature of 1 here; whether Databricks rescales 2 to 1 is not known (docs/wire.md, 13).
    if kind != "disabled" and request.body.get("temperature") not in (None, 1, 2):
        raise invalid(request, "`temperature` may only be set to 1 when thinking is enabled.")


def _check_budget(request: ChatRequestBody, budget: Any) -> None:
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise invalid(request, "thinking.enabled.budget_tokens: Field required")
    if budget < LEAST_BUDGET:
        raise invalid(
            request, f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}"
        )
    limit = request.max_tokens
    if limit is not None and limit <= budget:
        raise invalid(request, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_gemini(request: ChatRequestBody, thinking: dict[str, Any]) -> None:
    """Refuse budgets outside of the range of a Gemini 2.5, which differs by model (docs/wire.md, 2.3)."""
    low, high = (128, 32_768) if request.model.name.endswith("-pro") else (0, 24_576)
    budget = thinking.get("budget_tokens", low)
    if not isinstance(budget, int) or not low <= budget <= high:
        raise invalid(request, f"thinking.budget_tokens: Input should be between {low} and {high}")


def _check_output_config(request: ChatRequestBody) -> None:
    config = request.body.get("output_config")
    if config is None:
        return
    if not isinstance(config, dict):
        raise invalid(request, "output_config: Input should be an object")
    for key in config:
        if key != "effort":
            raise unknown_field(request, f"output_config.{key}")
    if config.get("effort") not in (None, *EFFORTS):
        raise invalid(request, "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
