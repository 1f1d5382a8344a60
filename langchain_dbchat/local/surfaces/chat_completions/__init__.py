"""The chat completions API: what it refuses, and its answers, whole and streamed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from langchain_dbchat.local.models import ServedModel
from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.rule_model.answer import ModelAnswer, pieces
from langchain_dbchat.local.rule_model.model import answer_request
from langchain_dbchat.local.rule_model.schema_filler import SchemaTooLargeError
from langchain_dbchat.local.surfaces.chat_completions import checks
from langchain_dbchat.local.surfaces.chat_completions.answers import whole_answer
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid
from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody
from langchain_dbchat.local.surfaces.chat_completions.scripted import scripted_answer, scripted_events
from langchain_dbchat.local.surfaces.chat_completions.streaming import Stream
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Services, Surface, event_stream, json_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response

    from langchain_dbchat.local.rule_model.answer import Piece

__all__ = ["SURFACE", "answer"]


async def answer(incoming: InferenceRequest) -> Response:
    """Check a request and answer it."""
    name, served, body = incoming.resolved
    if not isinstance(served, ServedModel):
        raise plain(400, "BAD_REQUEST", f"Bad request: {name} does not serve chat completions")
    services = incoming.services
    request = ChatRequestBody(served, name, incoming.entry, body, services.signer)
    checks.check(request)
    prompt = services.cache.count_prompt(request.for_model())
    checks.check_window(request, prompt.tokens)
    headers, serial = {"served-model-name": served.name}, secrets.token_hex(11)
    if incoming.fault is not None and incoming.fault.scripts_answer:
        script = (incoming.fault, request, prompt, serial)
        if request.streaming:
            return event_stream(scripted_events(*script), services.pace, headers)
        return json_response(scripted_answer(*script), headers=headers)
    choices = [await _primed(_pieces(services, request, choice)) for choice in range(body.get("n") or 1)]
    if request.streaming:
        return event_stream(Stream(request, prompt, serial).events(choices), services.pace, headers)
    answers = [await _collected(choice) for choice in choices]
    return json_response(whole_answer(request, answers, prompt, serial), headers=headers)


async def _pieces(services: Services, request: ChatRequestBody, choice: int) -> AsyncIterator[Piece]:
    if services.backend is not None:
        async for piece in services.backend.pieces(request.for_model()):
            yield piece
        return
    try:
        made = answer_request(request.for_model(), choice)
    except SchemaTooLargeError as error:
        raise invalid(request, f"JSON schema is too large: {error}") from None
    for piece in pieces(made):
        yield piece


async def _primed(source: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Return the same pieces, the first of which has been read: a refusal has to come before the response begins."""
    first = await anext(source)

    async def all_of_them() -> AsyncIterator[Piece]:
        yield first
        async for piece in source:
            yield piece

    return all_of_them()


async def _collected(source: AsyncIterator[Piece]) -> ModelAnswer:
    collected = ModelAnswer()
    async for piece in source:
        collected.add(piece)
    return collected


SURFACE = Surface(
    paths={"/serving-endpoints/chat/completions": "openai", "/ai-gateway/mlflow/v1/chat/completions": "gateway"},
    answer=answer,
    invocations=ServedModel,
)
