"""What all formats of agents need to write an answer: ids, usage, the trace, and the steps as turns."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.tokens import count_tokens

if TYPE_CHECKING:
    from langchain_dbchat.local.agents import AgentRequest, AgentStep


@dataclass(slots=True)
class AgentAnswer:
    """One answer of an agent, while it is made."""

    agent: str
    """The name of the endpoint or the app."""
    request: AgentRequest
    prompt_tokens: int
    trace: str | None
    """The id of the trace; None if the caller does not ask for it."""
    in_app: bool
    """Whether MLflow's AgentServer answers, and not model serving."""
    tokens: int = 0
    created: int = field(default_factory=lambda: int(time.time()))

    def count(self, step: AgentStep) -> None:
        """Add the tokens of a step."""
        self.tokens += count_tokens(step if isinstance(step, str) else step.name)

    def report(self) -> dict[str, Any]:
        """Return what a whole answer, or the last event of a stream, has besides the agent's words."""
        outputs = self.request.custom_outputs
        traced = {} if self.trace is None or self.in_app else trace_output(self.trace)
        return ({"custom_outputs": outputs} if outputs else {}) | traced

    def chat_usage(self) -> dict[str, int]:
        """Return the usage by the names of chat completions."""
        total = self.prompt_tokens + self.tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.tokens, "total_tokens": total}


def trace_output(trace: str) -> dict[str, Any]:
    """Return a trace as model serving sends it (docs/wire.md, 10)."""
    info = {"trace_id": trace, "state": "OK"}
    return {"databricks_output": {"trace": {"info": info, "data": {"spans": []}}}}


def new_id(prefix: str) -> str:
    """Return a new id with a prefix such as ``msg_``."""
    return f"{prefix}{secrets.token_hex(12)}"
