"""What each signature covers, when it is made and when it comes back (docs/wire.md, 3.2, 5.1, 5.2).

The results are arguments of `ReasoningSigner.sign` and `ReasoningSigner.verify`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.rule_model.reasoning_signer import canonical, canonical_arguments
from langchain_dbchat.local.rule_model.request import text_of

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

Covered = tuple[str, ...]


def covered_by_reasoning(request: ChatRequestBody, before: int, text: str) -> Covered:
    """Return what the signature of Claude's reasoning covers: its text and, for some models, the messages before it."""
    if not request.model.signs_history:
        return "claude", text, ""
    history = [
        {"role": message.get("role"), "text": text_of(message), "calls": message.get("tool_calls") or []}
        for message in request.messages[:before]
    ]
    return "claude", text, canonical(history)


def covered_by_call(name: str, arguments: object) -> Covered:
    """Return what the signature of Gemini's tool call covers."""
    return "gemini-call", name, canonical_arguments(arguments)


def covered_by_text(text: str) -> Covered:
    """Return what the signature of Gemini's text part covers."""
    return "gemini-text", text
