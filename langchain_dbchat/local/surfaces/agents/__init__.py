"""MLflow's agents: ResponsesAgent, ChatAgent and ChatModel as serving endpoints, and ResponsesAgents as apps.

Rule 1. The task of the endpoint says what it takes and what it answers, on whichever path it is called
(docs/wire.md, 10).
Rule 2. An app is served by MLflow's AgentServer, which has paths and refusals of its own (docs/wire.md, 1.1, row N;
mlflow/genai/agent_server/server.py).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.agents import CHAT_AGENT, CHAT_MODEL, RESPONSES_AGENT, LocalAgent
from langchain_dbchat.local.refusals import Refused
from langchain_dbchat.local.rule_model.tokens import count_tokens
from langchain_dbchat.local.surfaces.agents import chat_agent, chat_model, responses_agent
from langchain_dbchat.local.surfaces.agents.answer import AgentAnswer
from langchain_dbchat.local.surfaces.agents.checks import read_request
from langchain_dbchat.local.surfaces.agents.refusals import bad_parameters, crashed, crashed_app, failed_schema
from langchain_dbchat.local.surfaces.agents.steps import agent_steps, scripted_steps
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Surface, event_stream, json_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.responses import Response

__all__ = ["APP", "SURFACE", "answer"]

FORMATS: dict[str, Any] = {RESPONSES_AGENT: responses_agent, CHAT_AGENT: chat_agent, CHAT_MODEL: chat_model}
"""The module of each task: ``INPUT`` and ``KNOWN`` are fields of a request, ``check`` checks its conversation, and
``whole`` and ``events`` write an answer."""


async def answer(incoming: InferenceRequest) -> Response:
    """Check a request and let the agent answer it."""
    name, served, body = incoming.resolved
    assert isinstance(served, LocalAgent)  # noqa: S101  # this surface gets agents alone
    form, in_app = FORMATS[served.task], incoming.entry == "app"
    try:
        request = read_request(body, form)
    except ValueError as error:
        raise bad_parameters(str(error)) if in_app else failed_schema(str(error), body) from None
    traced = incoming.wants_trace if in_app else bool((body.get("databricks_options") or {}).get("return_trace"))
    trace = f"tr-{secrets.token_hex(16)}" if traced else None
    made = AgentAnswer(name, request, count_tokens(str(body)), trace, in_app=in_app)
    step = incoming.services.scripts.take(name, "chat")
    streaming, pace, fault = body.get("stream") is True, incoming.services.pace, incoming.fault
    if step is not None:
        incoming.outcome.fault = fault = fault or step.effect(streaming=streaming)
    steps = agent_steps(served, request) if step is None else scripted_steps(step, name, request)
    if streaming:
        events = form.events(made, steps) if fault is None or fault.chunks is None else _each(fault.chunks)
        return event_stream(events, pace, {})
    try:
        whole = await form.whole(made, steps)
    except Refused:
        raise
    except Exception as error:
        raise (crashed_app(error) if in_app else crashed(error)) from error
    if fault is not None and fault.message is not None:
        whole |= fault.message
    return json_response(whole)


async def _each(events: Iterable[Any]) -> AsyncIterator[dict[str, Any]]:
    for event in events:
        yield dict(event)


SURFACE = Surface(
    paths={"/serving-endpoints/chat/completions": "openai", "/serving-endpoints/responses": "openai"},
    answer=answer,
    serves=LocalAgent,
)
APP = Surface(
    paths={"/apps/{name}/responses": "app", "/apps/{name}/invocations": "app"}, answer=answer, serves=LocalAgent
)
