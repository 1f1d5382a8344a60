"""Answers in the format of Anthropic's Messages: whole, and as events (docs/wire.md, 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from langchain_dbchat.local.rule_model.answer import (
    ModelAnswer,
    ReasoningPiece,
    TextPiece,
    ToolCallPiece,
)
from langchain_dbchat.local.rule_model.tokens import DELTA
from langchain_dbchat.local.surfaces.messages.request import blocks_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_dbchat.local.rule_model.answer import Piece, ToolCall
    from langchain_dbchat.local.rule_model.prompt_cache import PromptTokens
    from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody

Event = dict[str, Any]

REDACTED = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
"""Anthropic's own test string: a prompt that contains it gets redacted reasoning."""

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""The API's names of the finish reasons; any other reason of a script or a backend is sent as it is."""
_SMALL = 7  # characters of a piece of a tool's input


def whole_message(request: MessagesRequestBody, answer: ModelAnswer, prompt: PromptTokens, serial: str) -> Event:
    """Return the body of a whole answer."""
    return {
        **_frame(request, serial),
        "content": [*_thinking(request, answer.reasoning), *_said(answer)],
        "stop_reason": _REASONS.get(answer.finish, answer.finish),
        "stop_sequence": None,
        "usage": usage_of(request, prompt, answer.tokens, answer.reasoning_tokens),
    }


def _frame(request: MessagesRequestBody, serial: str) -> Event:
    return {"id": f"msg_bdrk_01{serial}", "type": "message", "role": "assistant", "model": request.model.upstream}


def _said(answer: ModelAnswer) -> Iterator[Event]:
    if answer.text:
        yield {"type": "text", "text": answer.text}
    for call in answer.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)}


def _input(call: ToolCall) -> Any:
    """Return the input of a call; one that a limit cut off has none."""
    try:
        return from_json(call.arguments or "{}")
    except ValueError:
        return {}


def _thinking(request: MessagesRequestBody, reasoning: str) -> Iterator[Event]:
    if not reasoning:
        return
    if is_redacted(request):
        yield {"type": "redacted_thinking", "data": request.signer.redact(reasoning)}
        return
    shown = reasoning if request.shows_thinking else ""
    signature = request.signer.sign(*request.covered_by_signature(len(request.messages), shown))
    yield {"type": "thinking", "thinking": shown, "signature": signature}


def is_redacted(request: MessagesRequestBody) -> bool:
    """Return whether the reasoning of this answer is redacted."""
    return any(REDACTED in str(message["content"]) for message in request.messages if message["role"] == "user")


def usage_of(request: MessagesRequestBody, prompt: PromptTokens, output: int, reasoning: int) -> Event:
    """Return the usage: cached tokens are not among the input tokens, and written ones are counted by lifetime."""
    long = any(mark.get("ttl") == "1h" for mark in _marks(request))
    return {
        "input_tokens": prompt.tokens - prompt.read - prompt.written,
        "cache_creation_input_tokens": prompt.written,
        "cache_read_input_tokens": prompt.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if long else prompt.written,
            "ephemeral_1h_input_tokens": prompt.written if long else 0,
        },
        "output_tokens": output,
        **({"output_tokens_details": {"thinking_tokens": reasoning}} if reasoning else {}),
    }


def _marks(request: MessagesRequestBody) -> Iterator[Mapping[str, Any]]:
    system = request.body.get("system")
    holders = [*(request.body.get("tools") or []), *(system if isinstance(system, list) else [])]
    holders += [block for message in request.messages for block in blocks_of(message)]
    yield from (holder["cache_control"] for holder in holders if holder.get("cache_control"))


class MessageEvents:
    """One answer as events.

    Args:
        request: The request.
        prompt: Its tokens.
        serial: What makes this answer's id unique.
    """

    def __init__(self, request: MessagesRequestBody, prompt: PromptTokens, serial: str) -> None:
        self._request = request
        self._prompt = prompt
        self._frame = _frame(request, serial)
        self._index = -1
        self._kind = ""

    async def events(self, pieces: AsyncIterator[Piece]) -> AsyncIterator[Event]:
        """Yield the events, in their order."""
        answer = ModelAnswer()
        start = {**self._frame, "content": [], "stop_reason": None, "stop_sequence": None}
        yield {"type": "message_start", "message": {**start, "usage": self._usage(answer, first=True)}}
        yield {"type": "ping"}
        async for piece in pieces:
            for event in self._piece(answer, piece):
                yield event
            answer.add(piece)
        for event in self._end_block(answer):
            yield event
        delta = {"stop_reason": _REASONS.get(answer.finish, answer.finish), "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": self._usage(answer)}
        yield {"type": "message_stop"}

    def _usage(self, answer: ModelAnswer, *, first: bool = False) -> Event:
        return usage_of(self._request, self._prompt, 1 if first else answer.tokens, answer.reasoning_tokens)

    def _piece(self, answer: ModelAnswer, piece: Piece) -> Iterator[Event]:
        if isinstance(piece, ReasoningPiece):
            yield from self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""}, answer)
            if self._kind == "thinking" and self._request.shows_thinking:
                yield self._delta({"type": "thinking_delta", "thinking": piece.text})
        elif isinstance(piece, TextPiece):
            yield from self._open("text", {"type": "text", "text": ""}, answer)
            yield self._delta({"type": "text_delta", "text": piece.text})
        elif isinstance(piece, ToolCallPiece):
            if piece.id is not None:
                block: Event = {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
                yield from self._open(f"tool_use {piece.index}", block, answer)
            yield self._delta({"type": "input_json_delta", "partial_json": piece.arguments})

    def _open(self, kind: str, block: Event, answer: ModelAnswer) -> Iterator[Event]:
        """Begin a block unless it is open; redacted reasoning comes as one block at its end."""
        if kind == self._kind or (kind == "thinking" and self._kind == "redacted"):
            return
        yield from self._end_block(answer)
        if kind == "thinking" and is_redacted(self._request):
            self._kind = "redacted"
            return
        self._kind = kind
        self._index += 1
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _end_block(self, answer: ModelAnswer) -> Iterator[Event]:
        if self._kind == "redacted":
            self._index += 1
            block = next(_thinking(self._request, answer.reasoning))
            yield {"type": "content_block_start", "index": self._index, "content_block": block}
        elif self._kind == "thinking":
            signature = next(_thinking(self._request, answer.reasoning))["signature"]
            yield self._delta({"type": "signature_delta", "signature": signature})
        if self._kind:
            yield {"type": "content_block_stop", "index": self._index}

    def _delta(self, delta: Event) -> Event:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def scripted_events(message: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events of a message that a test has written."""
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(message["content"]):
        yield from _scripted_block(block, index)
    delta = {key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details") if key in message}
    yield {"type": "message_delta", "delta": delta, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _scripted_block(block: Mapping[str, Any], index: int) -> Iterator[Event]:
    def delta(kind: str, **fields: Any) -> Event:
        return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}

    kind = block["type"]
    empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
    first = {**block, **empty.get(kind, {}), **({"input": {}} if "input" in block else {})}
    first = {key: value for key, value in first.items() if key != "citations"}
    yield {"type": "content_block_start", "index": index, "content_block": first}
    key = kind if kind in {"text", "thinking"} else ""
    for word in DELTA.findall(block.get(key) or "") if key else ():
        yield delta(f"{key}_delta", **{key: word})
    for citation in block.get("citations") or ():
        yield delta("citations_delta", citation=citation)
    if kind == "thinking":
        yield delta("signature_delta", signature=block.get("signature") or "")
    if "input" in block:
        text = to_json(block["input"]).decode()
        for start in range(0, len(text), _SMALL):
            yield delta("input_json_delta", partial_json=text[start : start + _SMALL])
    yield {"type": "content_block_stop", "index": index}
