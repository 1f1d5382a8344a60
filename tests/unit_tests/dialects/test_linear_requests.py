"""Long conversations: encoding a request grows with its messages on each wire. Operations are counted, not seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from kit.operations import is_linear
from langchain_dbchat.dialects import dialect_named
from langchain_dbchat.dialects.dialect import ChatRequest, Target
from langchain_dbchat.dialects.shared.request.names import fit_past_names
from langchain_dbchat.models.families import family_of

MODELS = {
    "chat": "databricks-gemini-3-pro",
    "responses": "databricks-gpt-5-5-pro",
    "messages": "databricks-claude-opus-5-5",
    "agent": "my-agent",
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
Conversation = Callable[[int], list[BaseMessage]]


def _call(number: int) -> dict[str, Any]:
    return {"name": "f", "args": {"number": number}, "id": f"call_{number}", "type": "tool_call"}


def _plain(count: int) -> list[BaseMessage]:
    return [kind(f"This is message {number}.") for number in range(count) for kind in (HumanMessage, AIMessage)]


def _calling(count: int) -> list[BaseMessage]:
    said: list[BaseMessage] = []
    for number in range(count):
        said += [
            HumanMessage("Go on"),
            AIMessage("", tool_calls=[_call(number)]),
            ToolMessage("1", tool_call_id=f"call_{number}"),
        ]
    return said


def _calling_at_once(count: int) -> list[BaseMessage]:
    calls = AIMessage("", tool_calls=[_call(number) for number in range(count)])
    return [HumanMessage("Go"), calls, *(ToolMessage("1", tool_call_id=f"call_{number}") for number in range(count))]


def _calling_other_tools(count: int) -> list[BaseMessage]:
    """No tool is bound any more, and the names do not fit."""
    calls = AIMessage("", tool_calls=[{**_call(number), "name": f"tool.{number}"} for number in range(count)])
    return [HumanMessage("Go"), calls, *(ToolMessage("1", tool_call_id=f"call_{number}") for number in range(count))]


def _parts(count: int) -> list[BaseMessage]:
    return [HumanMessage([{"type": "text", "text": f"part {number}"} for number in range(count)])]


def _reasoned(count: int) -> list[BaseMessage]:
    said: list[BaseMessage] = []
    for number in range(count):
        thought: dict[str, Any] = {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm.", "signature": "s"}],
        }
        answer: list[Any] = [thought, {"type": "text", "text": f"Answer {number}."}]
        said += [HumanMessage("Go on"), AIMessage(answer, response_metadata={"model_provider": "databricks"})]
    return said


CONVERSATIONS: dict[str, Conversation] = {
    "plain": _plain,
    "tool calls": _calling,
    "tool calls in one message": _calling_at_once,
    "calls of other tools in one message": _calling_other_tools,
    "parts of one message": _parts,
    "reasoning": _reasoned,
}


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("wire", MODELS)
def test_a_conversation_is_encoded_in_one_pass(wire: Any, conversation: str) -> None:
    target, settings = Target(MODELS[wire], family_of(MODELS[wire])), {} if wire == "agent" else {"tools": [TOOL]}

    def work(count: int) -> Callable[[], Any]:
        said = CONVERSATIONS[conversation](count)
        return lambda: dialect_named(wire).encode(ChatRequest([*said, HumanMessage("Hi")], settings, target))

    body = work(20)().body
    sent = body.get("messages") or body["input"]
    assert len(sent) > 20 or "one message" in conversation
    assert is_linear(work)


def test_the_names_of_many_past_calls() -> None:
    """A set of all names for each name takes many seconds. CPU time is measured, because C code does the work."""
    names, began = [f"tool.{number}" for number in range(25_000)], time.thread_time()
    sent = fit_past_names(names, {"tool_1": "tool_1"}, family_of("my-own"))
    assert time.thread_time() - began < 3
    assert len(set(sent.values())) == len(names)
