"""Anthropic's Messages: what the API refuses, and its answers, whole and streamed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.models import ServedModel
from langchain_dbchat.local.rule_model.answer import collect
from langchain_dbchat.local.rule_model.schema_filler import SchemaTooLargeError
from langchain_dbchat.local.surfaces.messages import checks
from langchain_dbchat.local.surfaces.messages.answers import MessageEvents, scripted_events, whole_message
from langchain_dbchat.local.surfaces.messages.refusals import invalid
from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Surface, event_stream, json_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.responses import Response

__all__ = ["SURFACE", "answer"]


async def answer(incoming: InferenceRequest) -> Response:
    """Check a request and answer it."""
    name, served, body = incoming.resolved
    if not isinstance(served, ServedModel) or served.family.name != "claude":
        raise invalid(f"Anthropic Messages API is not supported for {name}. Use the Chat Completions API.")
    services = incoming.services
    request = MessagesRequestBody(served, name, body, services.signer)
    checks.check(request)
    asked = request.for_model()
    prompt = services.cache.count_prompt(asked)
    if prompt.tokens > served.context:
        raise invalid(f"prompt is too long: {prompt.tokens} tokens > {served.context} maximum")
    headers, serial, streams = {"served-model-name": served.name}, secrets.token_hex(11), body.get("stream") is True
    fault = incoming.fault
    if fault is not None and fault.chunks is not None:
        return event_stream(_each(fault.chunks), services.pace, headers, b"", named=True)
    try:
        (pieces,) = await incoming.choices(asked)
    except SchemaTooLargeError as error:
        raise invalid(f"output_config.format.schema: JSON schema is too large: {error}") from None
    if streams and fault is None:
        events = MessageEvents(request, prompt, serial).events(pieces)
        return event_stream(events, services.pace, headers, b"", named=True)
    message = whole_message(request, await collect(pieces), prompt, serial)
    if fault is not None and fault.message is not None:
        message |= fault.message
    if streams:
        return event_stream(_each(scripted_events(message)), services.pace, headers, b"", named=True)
    return json_response(message, headers=headers)


async def _each(events: Iterable[Any]) -> AsyncIterator[dict[str, Any]]:
    for event in events:
        yield dict(event)


SURFACE = Surface(
    paths={
        "/serving-endpoints/anthropic/v1/messages": "openai",
        "/ai-gateway/anthropic/v1/messages": "gateway",
    },
    answer=answer,
)
