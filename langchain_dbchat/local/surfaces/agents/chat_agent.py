"""MLflow's ChatAgent (docs/wire.md, 4.6, 10; mlflow/types/agent.py).

Rule 1. A message has text, and has content or calls; a message of a tool has ``name`` and ``tool_call_id``.
Rule 2. An answer has the messages of all steps, each with an id, and no ``choices``. A stream has pieces of them as
``delta``, by the same ids; a call comes whole, without an index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.agents import ApprovalRequest, json_of
from langchain_dbchat.local.rule_model.tokens import DELTA
from langchain_dbchat.local.surfaces.agents.answer import new_id
from langchain_dbchat.local.surfaces.agents.checks import check_pairs, check_text, invalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_dbchat.local.agents import AgentCall, AgentStep
    from langchain_dbchat.local.surfaces.agents.answer import AgentAnswer
    from langchain_dbchat.local.surfaces.agents.checks import Checked

INPUT = "messages"
KNOWN = frozenset({"messages", "context", "custom_inputs", "databricks_options", "stream", "model"})
FIELDS = frozenset({"role", "content", "name", "id", "tool_calls", "tool_call_id", "attachments"})
TEXTS = ("content", "name", "id", "tool_call_id")


def check(messages: list[dict[str, Any]]) -> Checked:
    """Check the messages of a request."""
    for place, message in enumerate(messages):
        _check_message(f"messages.{place}", message)
    calls = [call["id"] for message in messages for call in message.get("tool_calls") or []]
    check_pairs(calls, [message["tool_call_id"] for message in messages if message["role"] == "tool"])
    return messages, {}


def _check_message(where: str, message: dict[str, Any]) -> None:
    for key in message.keys() - FIELDS:
        raise invalid(f"{where}.{key}: Extra inputs are not permitted")
    check_text(f"{where}.role", message.get("role"))
    for key in TEXTS:
        if message.get(key) is not None:
            check_text(f"{where}.{key}", message[key])
    if message.get("content") is None and message.get("tool_calls") is None:
        raise invalid(f"{where}: Either 'content' or 'tool_calls' must be provided.")
    if message["role"] == "tool" and not (message.get("name") and message.get("tool_call_id")):
        raise invalid(f"{where}: Both 'name' and 'tool_call_id' must be provided for tool messages.")
    calls = message.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise invalid(f"{where}.tool_calls: Input should be a valid list")
    for place, call in enumerate(calls or ()):
        _check_call(f"{where}.tool_calls.{place}", call)
    attached = message.get("attachments")
    if attached is not None and not isinstance(attached, dict):
        raise invalid(f"{where}.attachments: Input should be a valid dictionary")
    for name, value in (attached or {}).items():
        check_text(f"{where}.attachments.{name}", value)


def _check_call(where: str, call: Any) -> None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise invalid(f"{where}.function: Input should be a valid dictionary")
    for name, value in (("id", call.get("id")), *((key, function.get(key)) for key in ("name", "arguments"))):
        check_text(f"{where}.{name}", value)


async def whole(made: AgentAnswer, steps: AsyncIterator[AgentStep]) -> dict[str, Any]:
    """Return the body of a whole answer.

    Args:
        made: The answer.
        steps: The steps of the agent.
    """
    messages: list[dict[str, Any]] = []
    async for step in steps:
        made.count(step)
        last = messages[-1] if messages and _is_open(messages[-1]) else None
        if isinstance(step, str):
            if last is None:
                messages.append({"role": "assistant", "content": step, "id": new_id("msg-")})
            else:
                last["content"] += step
            continue
        if last is None:
            messages.append({"role": "assistant", "content": "", "id": new_id("msg-")})
        calling, *results = _messages_of(step, messages[-1]["id"])
        messages[-1]["tool_calls"] = calling["tool_calls"]
        messages += results
    return {"messages": messages, "finish_reason": _finish(messages), "usage": made.chat_usage(), **made.report()}


async def events(made: AgentAnswer, steps: AsyncIterator[AgentStep]) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a streamed answer.

    Args:
        made: The answer.
        steps: The steps of the agent.
    """
    serial, last = new_id("chatcmpl-"), {"role": "assistant", "content": "", "id": new_id("msg-")}
    try:
        async for step in steps:
            made.count(step)
            if not _is_open(last):
                last = {"role": "assistant", "content": "", "id": new_id("msg-")}
            for message in _pieces_of(step, last["id"]):
                last = message
                yield {"id": serial, "delta": message}
    except Exception as error:  # noqa: BLE001  # an agent's failure is an event of its stream
        yield {"error": str(error)}
        return
    end = {"delta": {"role": "assistant", "content": "", "id": last["id"]}, "finish_reason": _finish([last])}
    yield {"id": serial, **end, "usage": made.chat_usage(), **made.report()}


def _is_open(message: dict[str, Any]) -> bool:
    """Return whether the next step may add to a message."""
    return message["role"] == "assistant" and "tool_calls" not in message


def _pieces_of(step: AgentStep, message_id: str) -> Iterator[dict[str, Any]]:
    if isinstance(step, str):
        for word in DELTA.findall(step):
            yield {"role": "assistant", "content": word, "id": message_id}
    else:
        yield from _messages_of(step, message_id)


def _messages_of(step: AgentCall | ApprovalRequest, message_id: str) -> Iterator[dict[str, Any]]:
    """Yield the message that calls the tool, and the one that has its result.

    Raises:
        TypeError: If the step is an approval request, which a ChatAgent does not have.
    """
    if isinstance(step, ApprovalRequest):
        raise TypeError("A ChatAgent has no approval requests: serve the agent as 'agent/v1/responses'.")
    call_id = new_id("call_")
    function = {"name": step.name, "arguments": json_of(step)}
    calls = [{"id": call_id, "type": "function", "function": function}]
    yield {"role": "assistant", "content": "", "id": message_id, "tool_calls": calls}
    if step.result is not None:
        yield {"role": "tool", "name": step.name, "content": step.result, "tool_call_id": call_id, "id": new_id("msg-")}


def _finish(messages: list[dict[str, Any]]) -> str:
    return "tool_calls" if messages and messages[-1].get("tool_calls") else "stop"
