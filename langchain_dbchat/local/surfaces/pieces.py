"""The pieces of an answer: from the rule-based model, or from the server in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.rule_model.answer import ModelAnswer, pieces
from langchain_dbchat.local.rule_model.model import answer_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_dbchat.local.rule_model.answer import Piece
    from langchain_dbchat.local.rule_model.request import ModelRequest
    from langchain_dbchat.local.surfaces.surface import Services


async def primed_pieces(services: Services, request: ModelRequest, choice: int = 0) -> AsyncIterator[Piece]:
    """Return the pieces of an answer, the first of which has been read: a refusal comes before the response begins.

    Args:
        services: What all surfaces share.
        request: The request for the model.
        choice: The number of the answer, from 0.

    Raises:
        SchemaTooLargeError: If the answer has to fit a schema that is too large.
    """
    source = _pieces(services, request, choice)
    first = await anext(source)

    async def all_of_them() -> AsyncIterator[Piece]:
        yield first
        async for piece in source:
            yield piece

    return all_of_them()


async def _pieces(services: Services, request: ModelRequest, choice: int) -> AsyncIterator[Piece]:
    if services.backend is not None:
        async for piece in services.backend.pieces(request):
            yield piece
        return
    for piece in pieces(answer_request(request, choice)):
        yield piece


async def collect(source: AsyncIterator[Piece]) -> ModelAnswer:
    """Return the whole answer of its pieces."""
    collected = ModelAnswer()
    async for piece in source:
        collected.add(piece)
    return collected
