"""The chat completions API: what it refuses, and its answers, whole and streamed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from langchain_dbchat.local.models import ServedModel
from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.rule_model.answer import collect
from langchain_dbchat.local.rule_model.schema_filler import SchemaTooLargeError
from langchain_dbchat.local.surfaces.chat_completions import checks
from langchain_dbchat.local.surfaces.chat_completions.answers import whole_answer
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid
from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody
from langchain_dbchat.local.surfaces.chat_completions.scripted import scripted_answer, scripted_events
from langchain_dbchat.local.surfaces.chat_completions.streaming import Stream
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Surface, event_stream, json_response

if TYPE_CHECKING:
    from starlette.responses import Response

__all__ = ["SURFACE", "answer"]


async def answer(incoming: InferenceRequest) -> Response:
    """Check a request and answer it."""
    name, served, body = incoming.resolved
    if not isinstance(served, ServedModel):
        raise plain(400, "BAD_REQUEST", f"Bad request: {name} does not serve chat completions")
    if served.messages_only:
        raise plain(400, "BAD_REQUEST", f"{name} is not supported on this API. Use the Messages API: /v1/messages.")
    services = incoming.services
    request = ChatRequestBody(served, name, body, services.signer, incoming.entry)
    checks.check(request)
    prompt = services.cache.count_prompt(request.for_model())
    checks.check_window(request, prompt.tokens)
    headers, serial = {"served-model-name": served.name}, secrets.token_hex(11)
    if incoming.fault is not None and incoming.fault.scripts_answer:
        script = (incoming.fault, request, prompt, serial)
        if request.streaming:
            return event_stream(scripted_events(*script), services.pace, headers)
        return json_response(scripted_answer(*script), headers=headers)
    try:
        choices = await incoming.choices(request.for_model(), body.get("n") or 1)
    except SchemaTooLargeError as error:
        raise invalid(request, f"JSON schema is too large: {error}") from None
    if request.streaming:
        return event_stream(Stream(request, prompt, serial).events(choices), services.pace, headers)
    answers = [await collect(choice) for choice in choices]
    return json_response(whole_answer(request, answers, prompt, serial), headers=headers)


SURFACE = Surface(
    paths={"/serving-endpoints/chat/completions": "openai", "/ai-gateway/mlflow/v1/chat/completions": "gateway"},
    answer=answer,
    serves=ServedModel,
)
