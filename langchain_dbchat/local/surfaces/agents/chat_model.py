"""MLflow's ChatModel: chat completions with ``custom_inputs`` and ``custom_outputs`` (docs/wire.md, 10).

Rule 1. The steps before the last text are not part of the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.agents import AgentCall, json_of
from langchain_dbchat.local.rule_model.tokens import DELTA
from langchain_dbchat.local.surfaces.agents.answer import new_id
from langchain_dbchat.local.surfaces.agents.checks import check_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_dbchat.local.agents import AgentStep
    from langchain_dbchat.local.surfaces.agents.answer import AgentAnswer
    from langchain_dbchat.local.surfaces.agents.checks import Checked

INPUT = "messages"
KNOWN = frozenset(
    {"messages", "custom_inputs", "databricks_options", "model", "stream", "temperature", "max_tokens", "stop", "n",
     "top_p", "top_k", "frequency_penalty", "presence_penalty", "tools", "metadata"}
)  # fmt: skip


def check(messages: list[dict[str, Any]]) -> Checked:
    """Check the messages of a request."""
    for place, message in enumerate(messages):
        check_text(f"messages.{place}.role", message.get("role"))
        if message.get("tool_calls") is None:
            check_text(f"messages.{place}.content", message.get("content"))
    return messages, {}


async def whole(made: AgentAnswer, steps: AsyncIterator[AgentStep]) -> dict[str, Any]:
    """Return the body of a whole answer.

    Args:
        made: The answer.
        steps: The steps of the agent.
    """
    text, calls = await _last(made, steps)
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return {**_head(made), "object": "chat.completion", "choices": [choice], "usage": made.chat_usage()}


async def events(made: AgentAnswer, steps: AsyncIterator[AgentStep]) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a streamed answer.

    Args:
        made: The answer.
        steps: The steps of the agent.
    """
    try:
        text, calls = await _last(made, steps)
    except Exception as error:  # noqa: BLE001  # an agent's failure is an event of its stream
        yield {"error": str(error)}
        return
    head = {**_head(made), "object": "chat.completion.chunk"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": word} for word in DELTA.findall(text)]
    if calls:
        deltas.append({"role": "assistant", "tool_calls": [{"index": 0, **calls[0]}]})
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    finish = "tool_calls" if calls else "stop"
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": made.chat_usage()}
    yield {**head, **end}


def _head(made: AgentAnswer) -> dict[str, Any]:
    return {"id": new_id("chatcmpl-"), "created": made.created, "model": made.agent, **made.report()}


async def _last(made: AgentAnswer, steps: AsyncIterator[AgentStep]) -> tuple[str, list[dict[str, Any]]]:
    """Return the last text, and the call that the caller has to execute."""
    text = ""
    async for step in steps:
        made.count(step)
        if isinstance(step, str):
            text += step
        elif isinstance(step, AgentCall) and step.result is not None:
            text = ""
        elif isinstance(step, AgentCall):
            function = {"name": step.name, "arguments": json_of(step)}
            return text, [{"id": new_id("call_"), "type": "function", "function": function}]
        else:
            raise TypeError("A ChatModel has no approval requests: serve the agent as 'agent/v1/responses'.")
    return text, []
