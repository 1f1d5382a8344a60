"""Answers in the format of Responses: whole, and as events (docs/wire.md, 9.3, 9.4)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.answer import ModelAnswer, ReasoningPiece, RefusalPiece, TextPiece, ToolCallPiece

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_dbchat.local.rule_model.answer import Piece
    from langchain_dbchat.local.rule_model.prompt_cache import PromptTokens
    from langchain_dbchat.local.surfaces.responses.request import ItemBody, ResponsesRequestBody

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is not complete, by the model's finish reason."""


class ResponseEvents:
    """One answer, whole or as events.

    Args:
        request: The request.
        prompt: Its tokens.
        serial: What makes the ids of this answer unique.
    """

    def __init__(self, request: ResponsesRequestBody, prompt: PromptTokens, serial: str) -> None:
        self._request = request
        self._prompt = prompt
        self._serial = serial
        self._items: list[ItemBody] = []
        self._kind = ""
        self._item_id = ""
        self._number = -1

    def whole(self, answer: ModelAnswer, items: list[ItemBody] | None = None) -> dict[str, Any]:
        """Return the body of a whole answer."""
        reason = _INCOMPLETE.get(answer.finish)
        return {
            **self._frame("incomplete" if reason else "completed"),
            "output": self._all_items(answer) if items is None else items,
            "incomplete_details": {"reason": reason} if reason else None,
            "usage": {
                "input_tokens": self._prompt.tokens,
                "input_tokens_details": {"cached_tokens": self._prompt.read},
                "output_tokens": answer.tokens,
                "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
                "total_tokens": self._prompt.tokens + answer.tokens,
            },
        }

    def _frame(self, status: str) -> dict[str, Any]:
        return {
            "id": f"resp_{self._serial}",
            "object": "response",
            "created_at": int(time.time()),
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._request.model.upstream,
            "output": [],
            "usage": None,
            "metadata": {},
        }

    def _all_items(self, answer: ModelAnswer) -> list[ItemBody]:
        items: list[ItemBody] = []
        if answer.reasoning:
            items.append(self._reasoning(answer.reasoning))
        if answer.text:
            items.append(self._message(answer.text, is_refusal=answer.finish == "refusal"))
        items += [self._call(call.id, call.name, call.arguments) for call in answer.calls]
        return items

    def _reasoning(self, text: str) -> ItemBody:
        encrypted = {"encrypted_content": self._request.signer.redact(text)} if self._request.encrypts else {}
        shown = (self._request.body.get("reasoning") or {}).get("summary")
        summary = [{"type": "summary_text", "text": text}] if shown else []
        return {"id": f"rs_{self._serial}", "type": "reasoning", "summary": summary, **encrypted}

    def _message(self, text: str, *, is_refusal: bool = False, status: str = "completed") -> ItemBody:
        part: ItemBody = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        content = [{"type": "refusal", "refusal": text} if is_refusal else part]
        return {
            "id": f"msg_{self._serial}",
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def _call(self, call_id: str, name: str, arguments: str, status: str = "completed") -> ItemBody:
        return {"id": f"fc_{call_id}", "type": "function_call", "status": status, "call_id": call_id, "name": name,
                "arguments": arguments}  # fmt: skip

    async def events(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[dict[str, Any]]:
        """Yield the events, in their order."""
        answer = ModelAnswer()
        sequence = 0
        begun = self._frame("in_progress")
        for event in ({"type": f"response.{name}", "response": begun} for name in ("created", "in_progress")):
            yield {**event, "sequence_number": sequence}
            sequence += 1
        async for piece in pieces:
            for event in self._piece(answer, piece):
                yield {**event, "sequence_number": sequence}
                sequence += 1
            answer.add(piece)
        for event in self._end_item(answer):
            yield {**event, "sequence_number": sequence}
            sequence += 1
        response = self.whole(answer, self._items)
        yield {"type": f"response.{response['status']}", "response": response, "sequence_number": sequence}

    def _piece(self, answer: ModelAnswer, piece: Piece) -> Iterator[dict[str, Any]]:
        if isinstance(piece, ReasoningPiece):
            yield from self._open("reasoning", {**self._reasoning(""), "summary": []}, answer)
        elif isinstance(piece, TextPiece):
            kind = "refusal" if isinstance(piece, RefusalPiece) else "output_text"
            yield from self._open(kind, {**self._message("", status="in_progress"), "content": []}, answer)
            yield {**self._event(f"{kind}.delta"), "content_index": 0, "delta": piece.text}
        elif isinstance(piece, ToolCallPiece):
            if piece.id is not None:
                item = self._call(piece.id, piece.name or "", "", "in_progress")
                yield from self._open(f"call {piece.index}", item, answer)
            if piece.arguments:
                yield {**self._event("function_call_arguments.delta"), "delta": piece.arguments}

    def _event(self, name: str) -> dict[str, Any]:
        return {"type": f"response.{name}", "output_index": self._number, "item_id": self._item_id}

    def _open(self, kind: str, item: ItemBody, answer: ModelAnswer) -> Iterator[dict[str, Any]]:
        """Begin an item, unless it is open."""
        if kind == self._kind:
            return
        yield from self._end_item(answer)
        self._kind, self._item_id = kind, item["id"]
        self._number += 1
        yield {"type": "response.output_item.added", "output_index": self._number, "item": item}
        if kind in {"output_text", "refusal"}:
            part = self._message("", is_refusal=kind == "refusal")["content"][0]
            yield {**self._event("content_part.added"), "content_index": 0, "part": part}

    def _end_item(self, answer: ModelAnswer) -> Iterator[dict[str, Any]]:
        kind, self._kind = self._kind, ""
        if not kind:
            return
        if kind == "reasoning":
            item = self._reasoning(answer.reasoning)
            for entry in item["summary"]:
                index = {"summary_index": 0}
                yield {**self._event("reasoning_summary_part.added"), **index, "part": {**entry, "text": ""}}
                yield {**self._event("reasoning_summary_text.delta"), **index, "delta": entry["text"]}
                yield {**self._event("reasoning_summary_text.done"), **index, "text": entry["text"]}
                yield {**self._event("reasoning_summary_part.done"), **index, "part": entry}
        elif kind in {"output_text", "refusal"}:
            item = self._message(answer.text, is_refusal=kind == "refusal")
            key = "refusal" if kind == "refusal" else "text"
            yield {**self._event(f"{kind}.done"), "content_index": 0, key: answer.text}
            yield {**self._event("content_part.done"), "content_index": 0, "part": item["content"][0]}
        else:
            call = answer.calls[-1]
            item = self._call(call.id, call.name, call.arguments)
            yield {**self._event("function_call_arguments.done"), "arguments": call.arguments}
        self._items.append(item)
        yield {"type": "response.output_item.done", "output_index": self._number, "item": item}
