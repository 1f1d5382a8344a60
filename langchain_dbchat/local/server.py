"""The workspace's HTTP surface: routes and what each does (docs/wire.md, 1.1, 1.4, 7, 11)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from langchain_dbchat.local import checks, mind, vectors
from langchain_dbchat.local.answer import Answer, pieces
from langchain_dbchat.local.asked import Asked
from langchain_dbchat.local.filling import TooMuchError
from langchain_dbchat.local.models import Embedder, Model
from langchain_dbchat.local.refusals import Refused, endpoint_not_found, invalid, plain
from langchain_dbchat.local.seal import Seal
from langchain_dbchat.local.shapes import Stream, whole
from langchain_dbchat.local.usage import Cache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

    from langchain_dbchat.local.answer import Piece
    from langchain_dbchat.local.asked import Surface
    from langchain_dbchat.local.backend import Backend
    from langchain_dbchat.local.catalogue import Catalogue
    from langchain_dbchat.local.identity import Identity
    from langchain_dbchat.local.usage import Prompt


logger = logging.getLogger(__name__)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response with a JSON body; a string is plain text, or HTML when it looks like it."""
    kind = "application/json"
    if isinstance(body, str):
        kind = "text/html" if body.startswith("<") else "text/plain"
    content = body.encode() if isinstance(body, str) else to_json(body)
    return Response(content, status, headers, media_type=kind)


@dataclass(slots=True)
class Site:
    """What the handlers share."""

    identity: Identity
    catalogue: Catalogue
    backend: Backend | None
    pace: float
    seal: Seal = field(default_factory=Seal)
    cache: Cache = field(default_factory=Cache)

    def app(self) -> Starlette:
        """The routes."""
        gateway = "/ai-gateway/mlflow/v1"
        return Starlette(
            routes=[
                Route("/serving-endpoints/chat/completions", self._chat("openai"), methods=["POST"]),
                Route("/serving-endpoints/embeddings", self._chat("openai"), methods=["POST"]),
                Route("/serving-endpoints/responses", self._responses, methods=["POST"]),
                Route("/serving-endpoints/{name}/invocations", self._chat("path"), methods=["POST"]),
                Route(f"{gateway}/chat/completions", self._chat("gateway"), methods=["POST"]),
                Route(f"{gateway}/embeddings", self._chat("gateway"), methods=["POST"]),
                Route(f"{gateway}/responses", self._no_supervisor, methods=["POST"]),
                Route("/api/2.0/serving-endpoints", self._list),
                Route("/api/2.0/serving-endpoints:foundation-models", self._list),
                Route("/api/2.0/serving-endpoints/{name}", self._show),
                Route("/api/2.0/preview/scim/v2/Me", self._me),
                Route("/.well-known/databricks-config", self._config),
                Route("/oidc/.well-known/oauth-authorization-server", self._oidc),
                Route("/oidc/v1/token", self._token, methods=["POST"]),
            ],
            exception_handlers={Refused: _refused, HTTPException: _no_such_api, Exception: _failed},
        )

    def _chat(self, surface: Surface) -> Callable[[Request], Awaitable[Response]]:
        """The handler of inference requests that come in by ``surface``."""

        async def handle(request: Request) -> Response:
            body = checks.parse(await request.body())
            name = request.path_params.get("name") if surface == "path" else body.get("model")
            if not isinstance(name, str):
                raise plain(400, "BAD_REQUEST", "Bad request: model is required")
            served = self.catalogue.find(name, surface)
            if served is None:
                raise endpoint_not_found()
            wants_vectors = request.url.path.endswith("/embeddings")
            if isinstance(served, Embedder):
                if not wants_vectors and surface != "path":
                    raise plain(400, "BAD_REQUEST", f"Bad request: {name} does not serve chat completions")
                return await self._embed(served, name, body)
            if wants_vectors:
                raise plain(400, "BAD_REQUEST", f"Bad request: {name} does not serve embeddings")
            return await self._answer(Asked(served, name, surface, body, self.seal))

        return handle

    async def _answer(self, asked: Asked) -> Response:
        checks.check(asked)
        prompt = self.cache.look(asked)
        checks.window(asked, prompt.tokens)
        count = asked.body.get("n") or 1
        choices = [await _primed(self._pieces(asked, choice)) for choice in range(count)]
        headers = {"served-model-name": asked.model.name}
        if asked.streaming:
            events = self._events(asked, prompt, choices)
            return StreamingResponse(events, headers=headers, media_type="text/event-stream")
        answers = []
        for choice in choices:
            answer = Answer()
            async for piece in choice:
                answer.add(piece)
            answers.append(answer)
        return json_response(whole(asked, answers, prompt, secrets.token_hex(11)), headers=headers)

    async def _pieces(self, asked: Asked, choice: int) -> AsyncIterator[Piece]:
        if self.backend is not None:
            async for piece in self.backend.pieces(asked):
                yield piece
            return
        try:
            answer = mind.think(asked, choice)
        except TooMuchError as error:
            raise invalid(asked, f"JSON schema is too large: {error}") from None
        for piece in pieces(answer):
            yield piece

    async def _events(self, asked: Asked, prompt: Prompt, choices: list[AsyncIterator[Piece]]) -> AsyncIterator[bytes]:
        async for event in Stream(asked, prompt, secrets.token_hex(11)).events(choices):
            yield b"data: " + to_json(event) + b"\n\n"
            await asyncio.sleep(self.pace)
        yield b"data: [DONE]\n\n"

    async def _embed(self, served: Embedder, name: str, body: dict[str, Any]) -> Response:
        inputs = checks.embeddings(served, name, body)
        instruction = body.get("instruction") or ""
        texts = [f"{instruction} {text}" if instruction else text for text in inputs]
        counts = checks.embedding_window(served, texts)
        if self.backend is not None:
            rows = await self.backend.embed(texts)
        else:
            size = body.get("dimensions") or vectors.DIMENSIONS
            rows = [vectors.embed(text, norm=served.norm, dimensions=size, window=served.window) for text in texts]
        data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
        usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
        return json_response({"object": "list", "model": served.name, "data": data, "usage": usage})

    async def _responses(self, request: Request) -> Response:
        """The Responses API, which this workspace refuses: as Databricks does, or for want of it."""
        body = checks.parse(await request.body())
        served = self.catalogue.find(str(body.get("model")), "openai")
        if served is None:
            raise endpoint_not_found()
        if isinstance(served, Model) and served.family.voice == "gpt":
            raise plain(501, "NOT_IMPLEMENTED", "The local workspace does not speak the Responses API.")
        raise plain(400, "BAD_REQUEST", "Responses API passthrough is not supported")

    async def _no_supervisor(self, _request: Request) -> Response:
        raise plain(404, "NOT_FOUND", "Supervisor API is not enabled")

    async def _list(self, _request: Request) -> Response:
        return json_response({"endpoints": self.catalogue.entries()})

    async def _show(self, request: Request) -> Response:
        name = request.path_params["name"]
        entry = self.catalogue.entry(name)
        if entry is None:
            raise plain(404, "RESOURCE_DOES_NOT_EXIST", f"Endpoint with name '{name}' does not exist.")
        return json_response(entry)

    async def _me(self, _request: Request) -> Response:
        return json_response({"id": "1", "userName": "local@example.com", "active": True, "displayName": "Local"})

    async def _config(self, request: Request) -> Response:
        host = str(request.base_url).rstrip("/")
        return json_response({"oidc_endpoint": f"{host}/oidc", "workspace_id": "1", "cloud": "AWS"})

    async def _oidc(self, request: Request) -> Response:
        return json_response(self.identity.discovery(str(request.base_url).rstrip("/")))

    async def _token(self, request: Request) -> Response:
        return json_response(self.identity.issue(request.headers.get("authorization"), await request.body()))


async def _primed(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """The same pieces, the first of which is already there: a refusal comes before the response has begun."""
    first = await anext(pieces)

    async def all_of_them() -> AsyncIterator[Piece]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101  # registered for this class alone
    return json_response(error.body, error.status, error.headers)


async def _failed(_request: Request, error: Exception) -> Response:
    """A fault of the workspace itself, which must not pass for one of the caller."""
    logger.error("The local workspace failed", exc_info=error)
    said = f"The local workspace failed: {type(error).__name__}: {error}"
    return json_response({"error_code": "INTERNAL_ERROR", "message": said}, 500)


async def _no_such_api(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"No API found for '{request.method} {request.url.path}'"
    return json_response({"error_code": "ENDPOINT_NOT_FOUND", "message": message}, status)
