"""OpenAI's Responses: what the API refuses, and its answers, whole and streamed.

Rule 1. ``/responses`` serves OpenAI's models; other ones answer ``Responses API passthrough is not supported`` and are
served at ``/open-responses`` and the gateway's ``codex`` path (docs/wire.md, 1.1, rows D, E and J).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from langchain_dbchat.local.models import ServedModel
from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.rule_model.answer import collect
from langchain_dbchat.local.rule_model.schema_filler import SchemaTooLargeError
from langchain_dbchat.local.surfaces.responses import checks
from langchain_dbchat.local.surfaces.responses.answers import ResponseEvents
from langchain_dbchat.local.surfaces.responses.request import ResponsesRequestBody
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Surface, event_stream, json_response

if TYPE_CHECKING:
    from starlette.responses import Response

__all__ = ["OPEN_SURFACE", "SUPERVISOR", "SURFACE", "answer"]


async def answer(incoming: InferenceRequest) -> Response:
    """Check a request to a model of OpenAI's, and answer it."""
    _, served, _ = incoming.resolved
    if not isinstance(served, ServedModel) or served.family.error_style != "gpt":
        raise plain(400, "BAD_REQUEST", "Responses API passthrough is not supported")
    return await _answer(incoming, served)


async def _answer_any(incoming: InferenceRequest) -> Response:
    name, served, _ = incoming.resolved
    if not isinstance(served, ServedModel):
        raise plain(400, "BAD_REQUEST", f"Bad request: {name} does not serve Responses")
    return await _answer(incoming, served)


async def _answer(incoming: InferenceRequest, served: ServedModel) -> Response:
    name, _, body = incoming.resolved
    services = incoming.services
    request = ResponsesRequestBody(served, name, body, services.signer)
    checks.check(request)
    asked = request.for_model()
    prompt = services.cache.count_prompt(asked)
    if prompt.tokens > served.context:
        raise checks.invalid("Your input exceeds the context window of this model. (context_length_exceeded)")
    try:
        (pieces,) = await incoming.choices(asked)
    except SchemaTooLargeError as error:
        raise checks.invalid(f"Invalid schema for 'text.format': it is too large: {error}") from None
    made = ResponseEvents(request, prompt, secrets.token_hex(11))
    headers = {"served-model-name": served.name}
    if body.get("stream") is True:
        return event_stream(made.events(pieces), services.pace, headers, b"", named=True)
    return json_response(made.whole(await collect(pieces)), headers=headers)


async def _refuse(_: InferenceRequest) -> Response:
    raise plain(404, "NOT_FOUND", "Supervisor API is not enabled")


SURFACE = Surface(
    paths={"/serving-endpoints/responses": "openai", "/ai-gateway/openai/v1/responses": "gateway"}, answer=answer
)
OPEN_SURFACE = Surface(
    paths={"/serving-endpoints/open-responses": "openai", "/ai-gateway/codex/v1/responses": "gateway"},
    answer=_answer_any,
)
SUPERVISOR = Surface(paths={"/ai-gateway/mlflow/v1/responses": "gateway"}, answer=_refuse)
"""The unified gateway has no such API (docs/wire.md, 1.2)."""
