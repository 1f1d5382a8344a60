"""The request for a model, independent of the API; messages and tools have the shape of chat completions.

Each surface turns its own body into a `ModelRequest`, so that a new API needs no model of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_dbchat.local.models import ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request, after the checks of its surface."""

    model: ServedModel
    endpoint: str
    """The name that was called; it is part of the ids of tool calls."""
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: Any = "auto"
    response_format: dict[str, Any] = field(default_factory=dict)
    """Empty for plain text."""
    stop: list[str] = field(default_factory=list)
    max_tokens: int | None = None
    reasons: bool = False
    """Whether the answer comes with reasoning."""
    reasoning_disabled: bool = False
    """Whether the caller has switched reasoning off."""
    sampling: dict[str, Any] = field(default_factory=dict)
    """Parameters that only a backend uses, such as ``temperature``."""

    @property
    def prompt(self) -> str:
        """Return the text of the last message of the user."""
        users = [message for message in self.messages if message.get("role") == "user"]
        return text_of(users[-1]) if users else ""


def parts_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the content of a message as a list of parts; a string is one text part."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if isinstance(content, list):
        return [part for part in content if isinstance(part, dict)]
    return []


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a message, without reasoning, images and files."""
    return "\n".join(str(part.get("text", "")) for part in parts_of(message) if part.get("type") == "text")
