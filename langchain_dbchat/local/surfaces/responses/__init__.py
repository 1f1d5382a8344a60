"""OpenAI's Responses: what the API refuses, and its answers, whole and streamed.

Rule 1. OpenAI's models alone are on ``responses``, all models on ``open-responses`` (docs/wire.md, 1.1, rows D and E).
Rule 2. On the gateway, ``openai`` serves OpenAI's models; ``codex`` serves all but Claude and Gemini (rows I and J).
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.models import ServedModel
from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.rule_model.answer import collect
from langchain_dbchat.local.rule_model.schema_filler import SchemaTooLargeError
from langchain_dbchat.local.surfaces.responses import checks
from langchain_dbchat.local.surfaces.responses.answers import ResponseEvents, scripted_response_events
from langchain_dbchat.local.surfaces.responses.refusals import invalid
from langchain_dbchat.local.surfaces.responses.request import ResponsesRequestBody
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Surface, event_stream, json_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.responses import Response

__all__ = ["SURFACES", "answer"]

OPENAI = frozenset({"gpt"})
NOT_CODEX = frozenset({"gemini"})
EVERY_STYLE = frozenset({"gpt", "claude", "gemini", "open"})


async def answer(incoming: InferenceRequest, styles: frozenset[str] = OPENAI) -> Response:
    """Check a request and answer it.

    Args:
        incoming: The request.
        styles: Whose models the path serves, as `ServedFamily.error_style` names them.
    """
    name, served, body = incoming.resolved
    if not isinstance(served, ServedModel) or served.family.error_style not in styles or served.messages_only:
        raise plain(400, "BAD_REQUEST", "Responses API passthrough is not supported")
    services = incoming.services
    request = ResponsesRequestBody(served, name, body, services.signer)
    checks.check(request)
    asked = request.for_model()
    prompt = services.cache.count_prompt(asked)
    if prompt.tokens > served.context:
        raise invalid("Your input exceeds the context window of this model. Please adjust your input and try again.")
    headers, streams, fault = {"served-model-name": served.name}, body.get("stream") is True, incoming.fault
    if fault is not None and fault.chunks is not None:
        return event_stream(_each(fault.chunks), services.pace, headers, b"", named=True)
    try:
        (pieces,) = await incoming.choices(asked)
    except SchemaTooLargeError as error:
        raise invalid(f"Invalid schema: it is too large: {error}") from None
    events = ResponseEvents(request, prompt, secrets.token_hex(32))
    if streams and fault is None:
        return event_stream(events.events(pieces), services.pace, headers, b"", named=True)
    response = events.whole(await collect(pieces))
    if fault is not None and fault.message is not None:
        response |= fault.message
    if streams:
        return event_stream(_each(scripted_response_events(response)), services.pace, headers, b"", named=True)
    return json_response(response, headers=headers)


async def _each(events: Iterable[Any]) -> AsyncIterator[dict[str, Any]]:
    for event in events:
        yield dict(event)


async def _no_supervisor(_incoming: InferenceRequest) -> Response:
    """Refuse a request on the path of the Supervisor API (docs/wire.md, 1.2)."""
    raise plain(404, "NOT_FOUND", "Supervisor API is not enabled")


SURFACES = (
    Surface(
        paths={"/serving-endpoints/responses": "openai", "/ai-gateway/openai/v1/responses": "gateway"}, answer=answer
    ),
    Surface(paths={"/serving-endpoints/open-responses": "openai"}, answer=partial(answer, styles=EVERY_STYLE)),
    Surface(
        paths={"/ai-gateway/codex/v1/responses": "gateway"}, answer=partial(answer, styles=EVERY_STYLE - NOT_CODEX)
    ),
    Surface(paths={"/ai-gateway/mlflow/v1/responses": "gateway"}, answer=_no_supervisor),
)
