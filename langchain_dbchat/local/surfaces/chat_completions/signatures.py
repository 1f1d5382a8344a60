"""What is signed on the way out and checked on the way in (wire facts 3.2, 5.1, 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.rule_model.reasoning_signer import canonical, canonical_arguments
from langchain_dbchat.local.rule_model.request import text_of

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

BINDS_PREFIX = frozenset({"claude-opus-5-5", "claude-fable-5-1"})
"""Models whose signatures hold only after the very same messages (wire facts 5.1)."""


def binding(request: ChatRequestBody, before: int) -> str:
    """What a reasoning signature binds besides the text.

    Args:
        request: The request.
        before: How many messages stood before the answer.
    """
    if request.model.name not in BINDS_PREFIX:
        return ""
    prefix = [
        {"role": message.get("role"), "text": text_of(message), "calls": message.get("tool_calls") or []}
        for message in request.messages[:before]
    ]
    return canonical(prefix)


def sign_reasoning(request: ChatRequestBody, text: str) -> str:
    """Claude's signature of the reasoning in the answer to ``asked``."""
    return request.signer.sign("claude", text, binding(request, len(request.messages)))


def sign_call(request: ChatRequestBody, name: str, arguments: str) -> str:
    """Gemini's signature of a tool call."""
    return request.signer.sign("gemini-call", name, canonical_arguments(arguments))


def sign_text(request: ChatRequestBody, text: str) -> str:
    """Gemini's signature of a text part."""
    return request.signer.sign("gemini-text", text)


def reasoning_holds(request: ChatRequestBody, before: int, text: str, signature: object) -> bool:
    """Whether a replayed reasoning part is ours and unchanged."""
    return request.signer.verify(signature, "claude", text, binding(request, before))


def call_holds(request: ChatRequestBody, name: str, arguments: object, signature: object) -> bool:
    """Whether a replayed tool call is ours and unchanged."""
    return request.signer.verify(signature, "gemini-call", name, canonical_arguments(arguments))


def text_holds(request: ChatRequestBody, text: str, signature: object) -> bool:
    """Whether a replayed text part is ours and unchanged."""
    return request.signer.verify(signature, "gemini-text", text)
