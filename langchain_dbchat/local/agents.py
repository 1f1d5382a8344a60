"""The agents of a workspace: what an agent is asked, and what it says and does (docs/wire.md, 9, 10).

Rule 1. An agent is a function: it gets an `AgentRequest` and returns a text, or yields the steps of its answer. A step
    is a text, an `AgentCall` or an `ApprovalRequest`; texts that follow each other are pieces of one message.
Rule 2. The task of an endpoint decides the format of requests and answers, and not the function: the same function is
    served as a ResponsesAgent, as a ChatAgent and as a ChatModel, of whose steps only the last text is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import to_json

AgentTask = Literal["agent/v1/responses", "agent/v2/chat", "agent/v1/chat"]
RESPONSES_AGENT: AgentTask = "agent/v1/responses"
CHAT_AGENT: AgentTask = "agent/v2/chat"
CHAT_MODEL: AgentTask = "agent/v1/chat"
TASKS: tuple[AgentTask, ...] = (RESPONSES_AGENT, CHAT_AGENT, CHAT_MODEL)


@dataclass(slots=True)
class AgentRequest:
    """What an agent is asked.

    Attributes:
        messages: The conversation in the format of chat completions, with the calls and results of earlier answers.
        custom_inputs: What the caller passes as ``custom_inputs``.
        context: The caller's ``context``: ``conversation_id`` and ``user_id``.
        approvals: The caller's answers to approval requests, by the id of the request.
        custom_outputs: What the answer has as ``custom_outputs``; the function adds to it.
    """

    messages: list[dict[str, Any]]
    custom_inputs: dict[str, Any] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)
    approvals: dict[str, bool] = field(default_factory=dict)
    custom_outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """Return the text of the last message of the user; empty if there is none."""
        asked = [message["content"] for message in self.messages if message.get("role") == "user"]
        return str(asked[-1]) if asked else ""


@dataclass(frozen=True, slots=True)
class AgentCall:
    """A tool call of an agent.

    Attributes:
        name: The name of the tool.
        arguments: The arguments; a text is sent as it is.
        result: What the tool returned; None if the caller has to execute the call, which ends the answer.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    result: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call of an MCP tool that the caller has to approve, which ends the answer. Only a ResponsesAgent has it.

    Attributes:
        name: The name of the tool.
        arguments: The arguments; a text is sent as it is.
        server_label: The name of the MCP server.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    server_label: str = "mcp"


def json_of(call: AgentCall | ApprovalRequest) -> str:
    """Return the arguments of a call as JSON text."""
    return call.arguments if isinstance(call.arguments, str) else to_json(call.arguments).decode()


AgentStep = str | AgentCall | ApprovalRequest
AgentFunction = Callable[[AgentRequest], str | Iterable[AgentStep]]


@dataclass(frozen=True, slots=True)
class LocalAgent:
    """An agent and how it is served.

    Attributes:
        run: The function that answers.
        task: ``"agent/v1/responses"`` (MLflow's ResponsesAgent), ``"agent/v2/chat"`` (its ChatAgent) or
            ``"agent/v1/chat"`` (its ChatModel).

    Raises:
        ValueError: If there is no such task.
        TypeError: If ``run`` cannot be called.
    """

    run: AgentFunction
    task: AgentTask = RESPONSES_AGENT

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.task not in TASKS:
            raise ValueError(f"An agent has one of the tasks {', '.join(TASKS)}, and not {self.task!r}.")
        if not callable(self.run):
            raise TypeError(f"An agent is a function that gets an AgentRequest, and not {self.run!r}.")

    @property
    def is_app(self) -> bool:
        """Return whether the agent is also a Databricks app of the same name; MLflow's AgentServer serves one kind."""
        return self.task == RESPONSES_AGENT
