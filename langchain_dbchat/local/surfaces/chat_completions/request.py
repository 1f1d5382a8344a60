"""One chat completions request, as the checks and the answers read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.request import ModelRequest
from langchain_dbchat.local.surfaces.request_body import ConversationBody

if TYPE_CHECKING:
    from langchain_dbchat.local.families import ServedFamily
    from langchain_dbchat.local.surfaces.surface import EntryPoint

SAMPLING = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")


@dataclass(frozen=True, slots=True)
class ChatRequestBody(ConversationBody):
    """A chat completions request to an endpoint."""

    entry: EntryPoint
    """The path that the request came by; the same refusal reads differently on each."""

    @property
    def family(self) -> ServedFamily:
        """Return the family of the model."""
        return self.model.family

    @property
    def tools(self) -> list[dict[str, Any]]:
        """Return the offered tools; empty if there are none."""
        tools = self.body.get("tools")
        return tools if isinstance(tools, list) else []

    @property
    def streaming(self) -> bool:
        """Return whether the client asks for a stream."""
        return self.body.get("stream") is True

    @property
    def max_tokens(self) -> int | None:
        """Return the token limit of the answer: the request's, or the model's own default, or none."""
        for key in ("max_tokens", "max_completion_tokens"):
            value = self.body.get(key)
            if isinstance(value, int):
                return value
        return self.model.default_output

    @property
    def reasons(self) -> bool:
        """Return whether the answer to this request comes with reasoning (docs/wire.md, 2.3)."""
        if self.family.reasoning == "none":
            return False
        if self.model.always_reasons:
            return True
        if self.thinking is not None:
            return self.thinking in {"enabled", "adaptive"}
        effort = self.body.get("reasoning_effort")
        if effort is None:
            return self.model.reasons_by_default
        return effort not in {"none", "disabled"}

    def for_model(self) -> ModelRequest:
        """Return the request for the model; only after the checks."""
        stop = self.body.get("stop")
        return ModelRequest(
            model=self.model,
            endpoint=self.endpoint,
            messages=self.messages,
            tools=self.tools,
            tool_choice=self.body.get("tool_choice") or "auto",
            response_format=self.body.get("response_format") or {},
            stop=[stop] if isinstance(stop, str) else list(stop or []),
            max_tokens=self.max_tokens,
            reasons=self.reasons,
            reasoning_disabled=self.thinking == "disabled",
            sampling={key: self.body[key] for key in SAMPLING if self.body.get(key) is not None},
        )
