"""What is signed on the way out and checked on the way in (docs/wire.md, 3.2, 5.1, 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.asked import text_of
from langchain_dbchat.local.seal import canonical, canonical_arguments

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked

BINDS_PREFIX = frozenset({"claude-opus-5-5", "claude-fable-5-1"})
"""Models whose signatures hold only after the very same messages (docs/wire.md, 5.1)."""


def binding(asked: Asked, before: int) -> str:
    """What a reasoning signature binds besides the text.

    Args:
        asked: The request.
        before: How many messages stood before the answer.
    """
    if asked.model.name not in BINDS_PREFIX:
        return ""
    prefix = [
        {"role": message.get("role"), "text": text_of(message), "calls": message.get("tool_calls") or []}
        for message in asked.messages[:before]
    ]
    return canonical(prefix)


def sign_reasoning(asked: Asked, text: str) -> str:
    """Claude's signature of the reasoning in the answer to ``asked``."""
    return asked.seal.sign("claude", text, binding(asked, len(asked.messages)))


def sign_call(asked: Asked, name: str, arguments: str) -> str:
    """Gemini's signature of a tool call."""
    return asked.seal.sign("gemini-call", name, canonical_arguments(arguments))


def sign_text(asked: Asked, text: str) -> str:
    """Gemini's signature of a text part."""
    return asked.seal.sign("gemini-text", text)


def reasoning_holds(asked: Asked, before: int, text: str, signature: object) -> bool:
    """Whether a replayed reasoning part is ours and unchanged."""
    return asked.seal.holds(signature, "claude", text, binding(asked, before))


def call_holds(asked: Asked, name: str, arguments: object, signature: object) -> bool:
    """Whether a replayed tool call is ours and unchanged."""
    return asked.seal.holds(signature, "gemini-call", name, canonical_arguments(arguments))


def text_holds(asked: Asked, text: str, signature: object) -> bool:
    """Whether a replayed text part is ours and unchanged."""
    return asked.seal.holds(signature, "gemini-text", text)
