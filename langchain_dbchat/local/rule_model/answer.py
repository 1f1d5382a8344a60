"""What a model answers, before it has a family's shape: pieces of a stream, and a whole `ModelAnswer`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_dbchat.local.rule_model.tokens import DELTA, TOKEN, count_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@dataclass(frozen=True, slots=True)
class ReasoningPiece:
    """Some text of the reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Some text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class RefusalPiece(TextPiece):
    """Some text of the model's own refusal; an API that has no place for it sends it as text."""


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """Some text of a call's arguments; only the first piece of a call has ``id`` and ``name``."""

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class FinishPiece:
    """The end of an answer, with the finish reason."""

    finish: str


Piece = ReasoningPiece | TextPiece | ToolCallPiece | FinishPiece
REFUSAL = "refusal"
"""The finish reason of an answer whose text is the model's own refusal."""


@dataclass(slots=True)
class ToolCall:
    """A tool call; ``arguments`` is JSON text, possibly cut off."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class ModelAnswer:
    """A whole answer."""

    reasoning: str = ""
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finish: str = "stop"
    is_ruled: bool = True
    """Whether a rule has made it; else it only says that none has."""

    @property
    def reasoning_tokens(self) -> int:
        """Return the tokens of the reasoning."""
        return count_tokens(self.reasoning)

    @property
    def tokens(self) -> int:
        """Return all tokens of the answer."""
        return self.reasoning_tokens + count_tokens(self.text) + sum(call_tokens(call) for call in self.calls)

    def add(self, piece: Piece) -> None:
        """Add a piece."""
        if isinstance(piece, ReasoningPiece):
            self.reasoning += piece.text
        elif isinstance(piece, TextPiece):
            self.text += piece.text
        elif isinstance(piece, ToolCallPiece):
            if piece.index >= len(self.calls):
                self.calls.append(ToolCall(piece.id or "", piece.name or "", ""))
            self.calls[piece.index].arguments += piece.arguments
        else:
            self.finish = piece.finish


def call_tokens(call: ToolCall) -> int:
    """Return the tokens of one call: its name, its arguments and 8 for the syntax."""
    return 8 + count_tokens(call.name) + count_tokens(call.arguments)


def pieces(answer: ModelAnswer) -> Iterator[Piece]:
    """Yield the pieces of an answer: word by word, and for each call an empty first piece and then small ones."""
    for word in DELTA.findall(answer.reasoning):
        yield ReasoningPiece(word)
    kind = RefusalPiece if answer.finish == REFUSAL else TextPiece
    for word in DELTA.findall(answer.text):
        yield kind(word)
    for index, call in enumerate(answer.calls):
        yield ToolCallPiece(index, "", call.id, call.name)
        for start in range(0, len(call.arguments), 7):
            yield ToolCallPiece(index, call.arguments[start : start + 7])
    yield FinishPiece(answer.finish)


async def collect(source: AsyncIterator[Piece]) -> ModelAnswer:
    """Return the whole answer that has these pieces."""
    collected = ModelAnswer()
    async for piece in source:
        collected.add(piece)
    return collected


def stop_at(answer: ModelAnswer, stops: list[str]) -> None:
    """Cut the text before the first stop sequence."""
    places = [place for place in (answer.text.find(stop) for stop in stops if stop) if place >= 0]
    if places:
        answer.text = answer.text[: min(places)]
        answer.calls = []
        answer.finish = "stop"


def cut(answer: ModelAnswer, limit: int) -> None:
    """Cut the answer after ``limit`` tokens: reasoning counts first, then text, then calls."""
    if answer.tokens <= limit:
        return
    answer.finish = "length"
    answer.reasoning, left = _first(answer.reasoning, limit)
    answer.text, left = _first(answer.text, left)
    kept: list[ToolCall] = []
    for call in answer.calls:
        left -= 8 + count_tokens(call.name)
        if left <= 0:
            break
        arguments, left = _first(call.arguments, left)
        kept.append(ToolCall(call.id, call.name, arguments))
    answer.calls = kept


def _first(text: str, limit: int) -> tuple[str, int]:
    """Return the first ``limit`` tokens of a text, and how many of the limit are left."""
    found = TOKEN.findall(text)
    return "".join(found[: max(limit, 0)]), max(limit - len(found), 0)
