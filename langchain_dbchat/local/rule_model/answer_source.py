"""Where the answer to a request comes from: a script, another model server, or the rules, which may ask a small model.

Rule 1. What refuses a request does so before the first piece, because a refusal has to come before the response begins.
Rule 2. All choices of a request come from the same source; a scripted answer is the same in each.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from langchain_dbchat.local.rule_model.answer import ReasoningPiece, pieces
from langchain_dbchat.local.rule_model.model import answer_request, call_id
from langchain_dbchat.local.rule_model.tokens import DELTA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_dbchat.local.faults.plan import PlannedOutcome
    from langchain_dbchat.local.rule_model.answer import ModelAnswer, Piece
    from langchain_dbchat.local.rule_model.backend import Backend
    from langchain_dbchat.local.rule_model.request import ModelRequest
    from langchain_dbchat.local.rule_model.script import Scripts


class TextWriter(Protocol):
    """Writes the text of an answer that no rule has."""

    def pieces(self, request: ModelRequest, choice: int, used_tokens: int) -> AsyncIterator[Piece]:
        """Yield the pieces of an answer's text, and its end.

        Args:
            request: The request.
            choice: The number of the answer; the first is 0.
            used_tokens: How many tokens of the request's limit its reasoning has used, fewer than all.
        """
        ...


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """Makes the answers of a workspace."""

    scripts: Scripts
    """The answers that tests have written."""
    backend: Backend | None = None
    """The server that makes the answers; None for the rule-based model."""
    small_model: TextWriter | None = None
    """What writes where no rule has an answer; None if the rules say so."""

    async def choices(
        self, request: ModelRequest, count: int, outcome: PlannedOutcome, *, streaming: bool
    ) -> list[AsyncIterator[Piece]]:
        """Return the pieces of each choice of an answer.

        Args:
            request: The request.
            count: How many choices it asks for.
            outcome: What goes wrong with the request; a script may decide it.
            streaming: Whether the answer is streamed.

        Raises:
            Refused: The script has an error for the request, or no answer left; or the backend refuses.
            SchemaTooLargeError: The rules cannot fill the schema.
        """
        step = self.scripts.take(request.endpoint, "chat")
        if step is not None:
            outcome.fault = outcome.fault or step.effect(streaming=streaming)
            made = await asyncio.to_thread(step.made_for, request)  # a function of the script may wait
            return [await _primed(_spoken(made, request, choice, step.pace)) for choice in range(count)]
        if self.backend is not None:
            return [await _primed(self.backend.pieces(request)) for _ in range(count)]
        return [await _primed(self._ruled(request, choice)) for choice in range(count)]

    async def vectors(self, endpoint: str, texts: list[str]) -> list[list[float]] | None:
        """Return the vectors of texts; None if the rules make them.

        Args:
            endpoint: The endpoint that was called.
            texts: The texts.

        Raises:
            Refused: The script has an error for the request, or no answer left; or the backend refuses.
        """
        step = self.scripts.take(endpoint, "embeddings")
        if step is not None:
            return await asyncio.to_thread(step.rows, texts)
        return None if self.backend is None else await self.backend.embed(texts)

    async def _ruled(self, request: ModelRequest, choice: int) -> AsyncIterator[Piece]:
        answer = answer_request(request, choice)
        used = answer.reasoning_tokens
        if (
            self.small_model is None
            or answer.is_ruled
            or (request.max_tokens is not None and request.max_tokens <= used)
        ):
            for piece in pieces(answer):
                yield piece
            return
        for word in DELTA.findall(answer.reasoning):
            yield ReasoningPiece(word)
        async for piece in self.small_model.pieces(request, choice, used):
            yield piece


async def _spoken(made: ModelAnswer, request: ModelRequest, choice: int, pace: float) -> AsyncIterator[Piece]:
    for place, call in enumerate(made.calls):
        call.id = call_id(request, place, choice)
    for piece in pieces(made):
        await asyncio.sleep(pace)
        yield piece


async def _primed(source: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Return the same pieces, the first of which has been read."""
    first = await anext(source)

    async def all_of_them() -> AsyncIterator[Piece]:
        yield first
        async for piece in source:
            yield piece

    return all_of_them()
