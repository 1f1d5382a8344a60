"""Reasoning that comes back: unchanged with its signature, or left out (docs/wire.md, 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.request import parts_of
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid
from langchain_dbchat.local.surfaces.chat_completions.signatures import (
    covered_by_call,
    covered_by_reasoning,
    covered_by_text,
)

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody


def check_replay(request: ChatRequestBody) -> None:
    """Refuse reasoning that was changed, moved, or made by another server."""
    users = [place for place, message in enumerate(request.messages) if message["role"] == "user"]
    turn = users[-1] if users else -1
    for place, message in enumerate(request.messages):
        if message["role"] != "assistant":
            continue
        kind = request.family.reasoning
        if kind == "signed":
            _check_signed(request, place, message)
        elif request.family.thought_signatures:
            _check_gemini(request, place, message, current=place > turn)
        elif kind == "summary":
            _check_unsigned(request, place, message)


def _check_signed(request: ChatRequestBody, place: int, message: dict[str, Any]) -> None:
    """Refuse reasoning for Claude that has no valid signature, or does not come before everything else."""
    parts = parts_of(message)
    spoken = False
    for index, part in enumerate(parts):
        path = f"messages.{place}.content.{index}"
        if part.get("type") != "reasoning":
            spoken = True
            continue
        if spoken:
            raise invalid(
                request,
                f"{path}.type: Expected `thinking` or `redacted_thinking` first, but found `text` before it. Only "
                "place the block where the API allows it.",
            )
        items = part.get("summary")
        if not isinstance(items, list) or not items:
            raise invalid(request, f"{path}.summary: Field required")
        for item in items:
            _check_item(request, place, path, item)
    if parts and parts[-1].get("type") == "reasoning" and not message.get("tool_calls"):
        raise invalid(request, f"messages.{place}: The final block in an assistant message cannot be `thinking`.")


def _check_item(request: ChatRequestBody, place: int, path: str, item: Any) -> None:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "summary_encrypted_text":
        if not request.signer.is_redaction(item.get("data")):
            raise invalid(request, f"{path}: Invalid `data` in `redacted_thinking` block")
        return
    if kind != "summary_text":
        raise invalid(request, f"{path}.summary: Input should be 'summary_text' or 'summary_encrypted_text'")
    if not item.get("signature"):
        raise invalid(request, f"{path}.thinking.signature: Field required")
    covered = covered_by_reasoning(request, place, str(item.get("text", "")))
    if not request.signer.verify(item["signature"], *covered):
        raise invalid(request, f"{path}: Invalid `signature` in `thinking` block")


def _check_unsigned(request: ChatRequestBody, place: int, message: dict[str, Any]) -> None:
    """Refuse signed or encrypted reasoning for gpt-oss and qwen: they sign nothing, so it comes from another model."""
    for index, part in enumerate(parts_of(message)):
        for item in part.get("summary") or []:
            if "signature" in item or item.get("type") != "summary_text":
                raise invalid(request, f"messages.{place}.content.{index}: Unsupported reasoning content")


FOREIGN_CALL = "skip_thought_signature_validator"
"""The signature that Google documents for a call of another model (Gemini API, "Thought signatures")."""


def _check_gemini(request: ChatRequestBody, place: int, message: dict[str, Any], *, current: bool) -> None:
    """Refuse calls of the current turn without their thought signatures, for Gemini 3 (docs/wire.md, 3.4, 5.2)."""
    _check_unsigned(request, place, message)
    for part in parts_of(message):
        covered = covered_by_text(str(part.get("text")))
        if "thoughtSignature" in part and not request.signer.verify(part["thoughtSignature"], *covered):
            raise invalid(request, "Thought signature is not valid.")
    for index, call in enumerate(message.get("tool_calls") or []):
        name, signature = call["function"]["name"], call.get("thoughtSignature")
        if signature is None:
            if current and request.model.efforts:
                raise invalid(
                    request,
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                    f"work correctly: function call `{name}`, position {place}.{index}.",
                )
        elif signature != FOREIGN_CALL and not request.signer.verify(
            signature, *covered_by_call(name, call["function"]["arguments"])
        ):
            raise invalid(request, "Thought signature is not valid.")
