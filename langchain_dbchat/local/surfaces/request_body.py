"""What the requests of several APIs have alike, as the checks and the answers read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_dbchat.local.models import ServedModel
    from langchain_dbchat.local.rule_model.reasoning_signer import ReasoningSigner


@dataclass(frozen=True, slots=True)
class EndpointRequestBody:
    """A request to an endpoint."""

    model: ServedModel
    """The model behind the endpoint."""
    endpoint: str
    """The name that was called."""
    body: dict[str, Any]
    """The JSON body, which nothing here changes."""
    signer: ReasoningSigner
    """The workspace's signer."""


@dataclass(frozen=True, slots=True)
class ConversationBody(EndpointRequestBody):
    """A request whose conversation is a list of messages."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Return the messages; the checks make sure that they are dicts."""
        messages = self.body.get("messages")
        return messages if isinstance(messages, list) else []

    @property
    def thinking(self) -> str | None:
        """Return the ``type`` of an explicit ``thinking`` field."""
        thinking = self.body.get("thinking")
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        return kind if isinstance(kind, str) else None
