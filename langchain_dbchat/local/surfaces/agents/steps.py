"""Run an agent's function: its steps, as they happen.

Rule 1. The function runs in a thread, because it may wait; each step is passed on when it is there.
Rule 2. A call without a result and an approval request end the answer: the caller acts next.
Rule 3. A script of the endpoint answers in place of the function. Its calls have no results.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.agents import AgentCall, ApprovalRequest
from langchain_dbchat.local.models import CHAT
from langchain_dbchat.local.rule_model.request import ModelRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_dbchat.local.agents import AgentRequest, AgentStep, LocalAgent
    from langchain_dbchat.local.rule_model.script_step import ScriptStep

_END = object()


async def agent_steps(agent: LocalAgent, request: AgentRequest) -> AsyncIterator[AgentStep]:
    """Yield the steps of an agent.

    Args:
        agent: The agent.
        request: What it is asked.

    Raises:
        TypeError: If the function yields something that is not a step.
    """
    found = await asyncio.to_thread(agent.run, request)
    steps = iter([found] if isinstance(found, str) else found)
    while True:
        step: Any = await asyncio.to_thread(next, steps, _END)
        if step is _END:
            return
        if not isinstance(step, str | AgentCall | ApprovalRequest):
            raise TypeError(f"An agent yields texts, AgentCalls and ApprovalRequests, and not {step!r}.")
        yield step
        if not isinstance(step, str) and (isinstance(step, ApprovalRequest) or step.result is None):
            return


async def scripted_steps(step: ScriptStep, name: str, request: AgentRequest) -> AsyncIterator[AgentStep]:
    """Yield the steps of a scripted answer.

    Args:
        step: The step of the script.
        name: The name of the agent.
        request: What it is asked.
    """
    asked = ModelRequest(model=CHAT[0], endpoint=name, messages=request.messages)
    made = await asyncio.to_thread(step.made_for, asked)
    if made.text:
        yield made.text
    for call in made.calls:
        await asyncio.sleep(step.pace)
        yield AgentCall(call.name, call.arguments)
