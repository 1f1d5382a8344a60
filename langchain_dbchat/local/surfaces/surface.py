"""The seam between the HTTP server and the APIs: a surface is a row, and a new API is a folder with one more row.

Rule 1. A surface names its paths and has one coroutine that answers; everything else it needs comes in `Services`.
Rule 2. Several surfaces may have the same path, and ``/serving-endpoints/{name}/invocations`` belongs to all: the
request goes to the surface that serves the kind of model behind the endpoint (docs/wire.md, 1.1), else to the first.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import from_json, to_json
from starlette.responses import Response, StreamingResponse

from langchain_dbchat.local.faults.plan import PlannedOutcome
from langchain_dbchat.local.refusals import endpoint_not_found, plain
from langchain_dbchat.local.rule_model.answer_source import AnswerSource
from langchain_dbchat.local.rule_model.prompt_cache import PromptCache
from langchain_dbchat.local.rule_model.reasoning_signer import ReasoningSigner
from langchain_dbchat.local.rule_model.script import Scripts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from langchain_dbchat.local.endpoints import EndpointRegistry, Served
    from langchain_dbchat.local.faults.fault import Fault
    from langchain_dbchat.local.rule_model.answer import Piece
    from langchain_dbchat.local.rule_model.answer_source import TextWriter
    from langchain_dbchat.local.rule_model.backend import Backend
    from langchain_dbchat.local.rule_model.request import ModelRequest

EntryPoint = Literal["path", "openai", "gateway", "app"]
"""How a request came in: ``/serving-endpoints/{name}/invocations``, the OpenAI-shaped paths, the AI gateway, an app."""
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Services:
    """What all surfaces share."""

    registry: EndpointRegistry
    backend: Backend | None
    pace: float
    """Seconds between the events of a stream."""
    signer: ReasoningSigner = field(default_factory=ReasoningSigner)
    cache: PromptCache = field(default_factory=PromptCache)
    scripts: Scripts = field(default_factory=Scripts)
    small_model: TextWriter | None = None

    @property
    def source(self) -> AnswerSource:
        """Return what makes the answers."""
        return AnswerSource(self.scripts, self.backend, self.small_model)


@dataclass(frozen=True)
class InferenceRequest:
    """One request for an answer, before anybody has looked into its body."""

    services: Services
    entry: EntryPoint
    content: bytes
    name: str | None = None
    """The endpoint, where the path names it."""
    outcome: PlannedOutcome = field(default_factory=PlannedOutcome)
    """What goes wrong with this request."""
    wants_trace: bool = False
    """Whether a header asks for the id of the trace (docs/wire.md, 1.3)."""

    @property
    def fault(self) -> Fault | None:
        """Return the planned fault that this request meets."""
        return self.outcome.fault

    @cached_property
    def resolved(self) -> tuple[str, Served, dict[str, Any]]:
        """Return the name of the endpoint, what it serves, and the body.

        Raises:
            Refused: 400 if the body is not a JSON object or names no endpoint, 404 if there is no such endpoint.
        """
        body = parse(self.content)
        name = self.name if self.name is not None else body.get("model")
        if not isinstance(name, str):
            raise plain(400, "BAD_REQUEST", "Bad request: model is required")
        served = self.services.registry.find(name, on_gateway=self.entry == "gateway")
        if served is None:
            raise endpoint_not_found()
        return name, served, body

    async def choices(self, request: ModelRequest, count: int = 1) -> list[AsyncIterator[Piece]]:
        """Return the pieces of each choice of the model's answer; what refuses does so before the first piece.

        Args:
            request: The request in the model's words, after the checks.
            count: How many choices.

        Raises:
            Refused: The request is refused by a script or by a backend.
            SchemaTooLargeError: The rules cannot fill the schema.
        """
        streaming = self.resolved[2].get("stream") is True
        return await self.services.source.choices(request, count, self.outcome, streaming=streaming)


@dataclass(frozen=True, slots=True)
class Surface:
    """One API of the workspace."""

    paths: Mapping[str, EntryPoint]
    answer: Callable[[InferenceRequest], Awaitable[Response]]
    serves: type | None = None
    """The kind of model that it serves, also at ``/invocations``; None if it is not served there."""


def parse(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        Refused: 400 if it is not one.
    """
    try:
        body = from_json(content)
    except ValueError:
        raise plain(400, "BAD_REQUEST", "Bad request: the body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise plain(400, "BAD_REQUEST", "Bad request: the body is not a JSON object.")
    return body


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a JSON body; a string is sent as plain text, or as HTML if it looks like it."""
    kind = "application/json"
    if isinstance(body, str):
        kind = "text/html" if body.startswith("<") else "text/plain"
    content = body.encode() if isinstance(body, str) else to_json(body)
    return Response(content, status, headers, media_type=kind)


def event_stream(
    events: AsyncIterator[Any], pace: float, headers: Mapping[str, str], end: bytes = DONE, *, named: bool = False
) -> Response:
    """Return a response of server-sent events.

    Args:
        events: The events, each a JSON value.
        pace: Seconds after each event.
        headers: Extra headers.
        end: What ends the stream.
        named: Whether each event is named by its ``type``.
    """

    async def lines() -> AsyncIterator[bytes]:
        async for event in events:
            name = f"event: {event['type']}\n".encode() if named else b""
            yield name + b"data: " + to_json(event) + b"\n\n"
            await asyncio.sleep(pace)
        yield end

    return StreamingResponse(lines(), headers=headers, media_type="text/event-stream")
