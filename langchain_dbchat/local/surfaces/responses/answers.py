"""Answers in the format of OpenAI's Responses: whole, and as events (docs/wire.md, 9.3).

Rule 1. The order of the events is that of https://platform.openai.com/docs/api-reference/responses-streaming.
Rule 2. Each event has its ``type`` and a ``sequence_number`` that begins at 0.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.answer import (
    ModelAnswer,
    ReasoningPiece,
    RefusalPiece,
    TextPiece,
    ToolCallPiece,
    pieces,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from langchain_dbchat.local.rule_model.answer import Piece
    from langchain_dbchat.local.rule_model.prompt_cache import PromptTokens
    from langchain_dbchat.local.surfaces.responses.request import ResponsesRequestBody

EventBody = dict[str, Any]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The API's names of the finish reasons that leave an answer incomplete; it has no name for the others."""


class ResponseEvents:
    """One answer as events; the last event contains the whole answer.

    Args:
        request: The request.
        prompt: Its tokens.
        serial: What makes this answer's ids unique.
    """

    def __init__(self, request: ResponsesRequestBody, prompt: PromptTokens, serial: str) -> None:
        self._request = request
        self._prompt = prompt
        self._serial = serial
        self._created = int(time.time())
        self._output: list[EventBody] = []
        self._kind = ""
        self._item: EventBody = {}
        self._said = ""
        self._answer = ModelAnswer()

    async def events(self, source: AsyncIterator[Piece]) -> AsyncIterator[EventBody]:
        """Yield the events of a model's pieces, in their order."""
        number = 0
        for event in self._start():
            yield {**event, "sequence_number": number}
            number += 1
        async for piece in source:
            for event in self._piece(piece):
                yield {**event, "sequence_number": number}
                number += 1
        for event in self._finish():
            yield {**event, "sequence_number": number}
            number += 1

    def whole(self, answer: ModelAnswer) -> EventBody:
        """Return the body of a whole answer."""
        for piece in pieces(answer):
            for _ in self._piece(piece):
                pass
        *_, last = self._finish()
        response: EventBody = last["response"]
        return response

    def _start(self) -> Iterator[EventBody]:
        begun = self._response("in_progress")
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}

    def _piece(self, piece: Piece) -> Iterator[EventBody]:
        if isinstance(piece, ReasoningPiece):
            yield from self._open("reasoning", {"type": "reasoning", "id": self._id("rs"), "summary": []})
            self._said += piece.text
            if not self._request.is_gpt:
                yield self._event("reasoning_text.delta", content_index=0, delta=piece.text)
        elif isinstance(piece, TextPiece):
            kind = "refusal" if isinstance(piece, RefusalPiece) else "output_text"
            yield from self._open_text(kind)
            self._said += piece.text
            yield self._event(f"{kind}.delta", content_index=0, delta=piece.text)
        elif isinstance(piece, ToolCallPiece):
            if piece.id is not None:
                call = {"type": "function_call", "id": self._id("fc"), "call_id": piece.id, "name": piece.name}
                yield from self._open(f"call {piece.index}", {**call, "arguments": "", "status": "in_progress"})
            self._said += piece.arguments
            if piece.arguments:
                yield self._event("function_call_arguments.delta", delta=piece.arguments)
        self._answer.add(piece)

    def _open(self, kind: str, item: EventBody) -> Iterator[EventBody]:
        """Begin an item unless it is open."""
        if kind == self._kind:
            return
        yield from self._close()
        self._kind, self._item, self._said = kind, item, ""
        yield {"type": "response.output_item.added", "output_index": len(self._output), "item": item}

    def _open_text(self, kind: str) -> Iterator[EventBody]:
        if kind == self._kind:
            return
        message = {"type": "message", "id": self._id("msg"), "role": "assistant"}
        yield from self._open(kind, {**message, "content": [], "status": "in_progress"})
        yield self._event("content_part.added", content_index=0, part=self._part())

    def _close(self) -> Iterator[EventBody]:
        """End the item that is open."""
        if not self._kind:
            return
        status = "incomplete" if self._answer.finish in _INCOMPLETE else "completed"
        if self._kind == "reasoning":
            yield from self._close_reasoning()
        elif self._kind in {"output_text", "refusal"}:
            key = "text" if self._kind == "output_text" else "refusal"
            yield self._event(f"{self._kind}.done", content_index=0, **{key: self._said})
            yield self._event("content_part.done", content_index=0, part=self._part())
            self._item = {**self._item, "content": [self._part()], "status": status}
        else:
            yield self._event("function_call_arguments.done", arguments=self._said)
            self._item = {**self._item, "arguments": self._said, "status": status}
        yield {"type": "response.output_item.done", "output_index": len(self._output), "item": self._item}
        self._output.append(self._item)
        self._kind = ""

    def _close_reasoning(self) -> Iterator[EventBody]:
        request = self._request
        if not request.is_gpt:
            yield self._event("reasoning_text.done", content_index=0, text=self._said)
            self._item = {**self._item, "content": [{"type": "reasoning_text", "text": self._said}]}
            return
        if request.reasoning.get("summary"):
            part = {"type": "summary_text", "text": self._said}
            yield self._event("reasoning_summary_part.added", summary_index=0, part={**part, "text": ""})
            yield self._event("reasoning_summary_text.delta", summary_index=0, delta=self._said)
            yield self._event("reasoning_summary_text.done", summary_index=0, text=self._said)
            yield self._event("reasoning_summary_part.done", summary_index=0, part=part)
            self._item = {**self._item, "summary": [part]}
        if request.is_encrypted:
            self._item = {**self._item, "encrypted_content": request.signer.redact(self._said)}

    def _finish(self) -> Iterator[EventBody]:
        yield from self._close()
        status = "incomplete" if self._answer.finish in _INCOMPLETE else "completed"
        yield {"type": f"response.{status}", "response": self._response(status)}

    def _part(self) -> EventBody:
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": self._said}
        return {"type": "output_text", "text": self._said, "annotations": [], "logprobs": []}

    def _event(self, kind: str, **fields: Any) -> EventBody:
        place = {"item_id": self._item["id"], "output_index": len(self._output)}
        return {"type": f"response.{kind}", **place, **fields}

    def _id(self, prefix: str) -> str:
        """Return the id of the next item; it is longer than an input may have it (docs/wire.md, 9.2)."""
        return f"{prefix}_{len(self._output) + bool(self._kind):02}{self._serial}"

    def _response(self, status: str) -> EventBody:
        usage = None if status == "in_progress" else self._usage()
        return {
            "id": f"resp_{self._serial}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": _INCOMPLETE[self._answer.finish]} if status == "incomplete" else None,
            "model": self._request.model.upstream,
            "output": list(self._output),
            "usage": usage,
        }

    def _usage(self) -> EventBody:
        return {
            "input_tokens": self._prompt.tokens,
            "input_tokens_details": {"cached_tokens": self._prompt.read},
            "output_tokens": self._answer.tokens,
            "output_tokens_details": {"reasoning_tokens": self._answer.reasoning_tokens},
            "total_tokens": self._prompt.tokens + self._answer.tokens,
        }


def scripted_response_events(response: Mapping[str, Any]) -> Iterable[EventBody]:
    """Return the events of an answer that a test has written: each item whole, and the end."""
    status = response.get("status") or "completed"
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[EventBody] = [{"type": "response.created", "response": begun}]
    for place, item in enumerate(response.get("output") or []):
        events.append({"type": "response.output_item.added", "output_index": place, "item": item})
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    events.append({"type": f"response.{status}", "response": dict(response)})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]
