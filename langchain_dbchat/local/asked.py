"""One request as the checks, the mind and the shapes see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from langchain_dbchat.local.models import Model
    from langchain_dbchat.local.seal import Seal

Surface = Literal["path", "openai", "gateway"]
"""The three ways in: ``/serving-endpoints/{name}/invocations``, the OpenAI-shaped aliases, the gateway (facts 1.1)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat request that reached an endpoint."""

    model: Model
    """The model behind the endpoint."""
    endpoint: str
    """The name that was asked for."""
    surface: Surface
    """The way in; the same refusal reads differently on each."""
    body: dict[str, Any]
    """The JSON body. Nobody changes it."""
    seal: Seal
    """The workspace's signer."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages, of which `checks.messages` has made sure that they are dicts."""
        messages = self.body.get("messages")
        return messages if isinstance(messages, list) else []

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The offered tools; empty when there are none."""
        tools = self.body.get("tools")
        return tools if isinstance(tools, list) else []

    @property
    def streaming(self) -> bool:
        """Whether a stream was asked for."""
        return self.body.get("stream") is True

    @property
    def max_tokens(self) -> int | None:
        """The token limit of the answer: asked for, or the model's own default, or none."""
        for key in ("max_tokens", "max_completion_tokens"):
            value = self.body.get(key)
            if isinstance(value, int):
                return value
        return self.model.default_output

    @property
    def thinking(self) -> str | None:
        """The ``type`` of an explicit ``thinking`` field."""
        thinking = self.body.get("thinking")
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        return kind if isinstance(kind, str) else None

    @property
    def thinks(self) -> bool:
        """Whether the answer to this request comes with reasoning (docs/wire.md, 2.3)."""
        if self.model.family.reasoning == "none":
            return False
        if self.model.always_thinks:
            return True
        if self.thinking is not None:
            return self.thinking in {"enabled", "adaptive"}
        effort = self.body.get("reasoning_effort")
        if effort is None:
            return self.model.thinks_unasked
        return effort not in {"none", "disabled"}


def parts_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The content of a message as a list of parts; a string is one text part."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if isinstance(content, list):
        return [part for part in content if isinstance(part, dict)]
    return []


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, without reasoning, images and files."""
    return "\n".join(str(part.get("text", "")) for part in parts_of(message) if part.get("type") == "text")
