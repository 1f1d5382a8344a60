"""Requests for reasoning, and reasoning that comes back (docs/wire.md, 2.3, 5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.surfaces.messages.refusals import invalid, missing, unknown_field
from langchain_dbchat.local.surfaces.messages.request import blocks_of

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody

LEAST_BUDGET = 1024
FIELDS = {
    "enabled": {"type", "budget_tokens", "display"},
    "adaptive": {"type", "display"},
    "disabled": {"type"},
}
REASONING = frozenset({"thinking", "redacted_thinking"})


def check_thinking(request: MessagesRequestBody) -> None:
    """Refuse ways of thinking that the model does not have, and what cannot go with them."""
    thinking, body = request.body.get("thinking"), request.body
    if thinking is None:
        return
    kind = _kind_of(request, thinking)
    if kind == "enabled":
        _check_budget(thinking.get("budget_tokens"), body["max_tokens"])
        _check_first_blocks(request)
    if kind != "disabled" and body.get("temperature") not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if kind != "disabled" and body.get("top_k") is not None:
        raise invalid("`top_k` must be unset when thinking is enabled.")


def _kind_of(request: MessagesRequestBody, thinking: dict[str, Any]) -> str:
    kind, model = request.thinking, request.model
    if kind is None or kind not in FIELDS:
        raise invalid("thinking: Input tag does not match any of the expected tags: 'adaptive', 'disabled', 'enabled'")
    for key in thinking:
        if key not in FIELDS[kind]:
            raise unknown_field(f"thinking.{kind}.{key}")
    if thinking.get("display") not in (None, "omitted", "summarized"):
        raise invalid(f"thinking.{kind}.display: Input should be 'omitted' or 'summarized'")
    if kind == "enabled" and not model.budget:
        raise invalid(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort".'
        )
    if kind == "adaptive" and not model.adaptive:
        raise invalid('"thinking.type.adaptive" is not supported for this model. Use "thinking.type.enabled".')
    if kind == "disabled" and model.always_reasons:
        raise invalid('"thinking.type.disabled" is not supported for this model.')
    return kind


def _check_budget(budget: Any, limit: int) -> None:
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise missing("thinking.enabled.budget_tokens")
    if budget < LEAST_BUDGET:
        raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}")
    if limit <= budget:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_first_blocks(request: MessagesRequestBody) -> None:
    """Refuse an answer whose tools are being used and that does not begin with its reasoning."""
    for place, message in enumerate(request.messages):
        answered = request.messages[place + 1 :]
        if message["role"] != "assistant" or len(answered) != 1:
            continue
        blocks = blocks_of(message)
        if blocks_of(answered[0])[0]["type"] == "tool_result" and blocks[0]["type"] not in REASONING:
            raise invalid(
                f"messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                f"`{blocks[0]['type']}`. When `thinking` is enabled, a final `assistant` message must start with a "
                "thinking block."
            )


def check_replay(request: MessagesRequestBody) -> None:
    """Refuse reasoning that was changed, moved, or made by another server."""
    for place, message in enumerate(request.messages):
        if message["role"] != "assistant":
            continue
        blocks = blocks_of(message)
        for number, block in enumerate(blocks):
            path = f"messages.{place}.content.{number}"
            if block["type"] == "redacted_thinking" and not request.signer.is_redaction(block["data"]):
                raise invalid(f"{path}: Invalid `data` in `redacted_thinking` block")
            if block["type"] == "thinking":
                covered = request.covered_by_signature(place, str(block["thinking"]))
                if not request.signer.verify(block["signature"], *covered):
                    raise invalid(f"{path}: Invalid `signature` in `thinking` block")
        if blocks[-1]["type"] in REASONING:
            raise invalid(f"messages.{place}: The final block in an assistant message cannot be `thinking`.")
