"""Reasoning that comes back: unchanged with its signature, or not at all (docs/wire.md, 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.asked import parts_of
from langchain_dbchat.local.refusals import invalid
from langchain_dbchat.local.signatures import call_holds, reasoning_holds, text_holds

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked


def check_replay(asked: Asked) -> None:
    """Refuse reasoning that was changed, moved, or made elsewhere."""
    users = [place for place, message in enumerate(asked.messages) if message["role"] == "user"]
    turn = users[-1] if users else -1
    for place, message in enumerate(asked.messages):
        if message["role"] != "assistant":
            continue
        kind = asked.model.family.reasoning
        if kind == "signed":
            _check_signed(asked, place, message)
        elif asked.model.family.name == "gemini":
            _check_gemini(asked, place, message, current=place > turn)
        elif kind == "summary":
            _check_unsigned(asked, place, message)


def _check_signed(asked: Asked, place: int, message: dict[str, Any]) -> None:
    """Claude: each part holds, and stands before everything else."""
    parts = parts_of(message)
    spoken = False
    for index, part in enumerate(parts):
        path = f"messages.{place}.content.{index}"
        if part.get("type") != "reasoning":
            spoken = True
            continue
        if spoken:
            raise invalid(
                asked,
                f"{path}.type: Expected `thinking` or `redacted_thinking` first, but found `text` before it. Only "
                "place the block where the API allows it.",
            )
        items = part.get("summary")
        if not isinstance(items, list) or not items:
            raise invalid(asked, f"{path}.summary: Field required")
        for item in items:
            _check_item(asked, place, path, item)
    if parts and parts[-1].get("type") == "reasoning" and not message.get("tool_calls"):
        raise invalid(asked, f"messages.{place}: The final block in an assistant message cannot be `thinking`.")


def _check_item(asked: Asked, place: int, path: str, item: Any) -> None:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "summary_encrypted_text":
        if not asked.seal.is_hidden(item.get("data")):
            raise invalid(asked, f"{path}: Invalid `data` in `redacted_thinking` block")
        return
    if kind != "summary_text":
        raise invalid(asked, f"{path}.summary: Input should be 'summary_text' or 'summary_encrypted_text'")
    if not item.get("signature"):
        raise invalid(asked, f"{path}.thinking.signature: Field required")
    if not reasoning_holds(asked, place, str(item.get("text", "")), item["signature"]):
        raise invalid(asked, f"{path}: Invalid `signature` in `thinking` block")


def _check_unsigned(asked: Asked, place: int, message: dict[str, Any]) -> None:
    """gpt-oss and qwen sign nothing: reasoning with a signature or encrypted is somebody else's."""
    for index, part in enumerate(parts_of(message)):
        for item in part.get("summary") or []:
            if "signature" in item or item.get("type") != "summary_text":
                raise invalid(asked, f"messages.{place}.content.{index}: Unsupported reasoning content")


NOT_MINE = "skip_thought_signature_validator"
"""What Google documents as the signature of a call from elsewhere (Gemini API, "Thought signatures")."""


def _check_gemini(asked: Asked, place: int, message: dict[str, Any], *, current: bool) -> None:
    """Gemini 3: the calls of the turn that is going on have their thought signatures (docs/wire.md, 3.4, 5.2)."""
    _check_unsigned(asked, place, message)
    for part in parts_of(message):
        if "thoughtSignature" in part and not text_holds(asked, str(part.get("text")), part["thoughtSignature"]):
            raise invalid(asked, "Thought signature is not valid.")
    for index, call in enumerate(message.get("tool_calls") or []):
        name, signature = call["function"]["name"], call.get("thoughtSignature")
        if signature is None:
            if current and asked.model.efforts:
                raise invalid(
                    asked,
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                    f"work correctly: function call `{name}`, position {place}.{index}.",
                )
        elif signature != NOT_MINE and not call_holds(asked, name, call["function"]["arguments"], signature):
            raise invalid(asked, "Thought signature is not valid.")
