"""Streams of one text in the other wire formats, event by event, as their servers send them.

Rule 1. Responses: platform.openai.com/docs/api-reference/responses-streaming. Each event has its name, a number and the
place of its item.
Rule 2. Messages: docs.claude.com/en/docs/build-with-claude/streaming. Each event has its name and its block's index.
Rule 3. A ChatAgent: mlflow/types/agent.py, ``ChatAgentChunk``. Each event is a piece of one message.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MESSAGE = "msg_01ThinkAboutSky"
_TOKENS: dict[str, Any] = {"input_tokens": 430, "output_tokens": 77}


def _event(payload: dict[str, Any]) -> bytes:
    name = f"event: {payload['type']}\n" if "type" in payload else ""
    return f"{name}data: {json.dumps(payload, separators=(',', ':'))}\n\n".encode()


def _responses(words: list[str]) -> Iterable[dict[str, Any]]:
    place = {"item_id": _MESSAGE, "output_index": 0, "content_index": 0}
    said: dict[str, Any] = {"id": _MESSAGE, "type": "message", "role": "assistant"}
    item = {**said, "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "".join(words), "annotations": []}
    done = {**said, "status": "completed", "content": [part]}
    response: dict[str, Any] = {"id": "resp_1", "object": "response", "model": "gpt-5"}
    whole = {**response, "status": "completed", "output": [done], "usage": {**_TOKENS, "total_tokens": 507}}
    yield {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for word in words:
        yield {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"]}
    yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "output_index": 0, "item": done}
    yield {"type": "response.completed", "response": whole}


def _numbered(words: list[str]) -> Iterable[dict[str, Any]]:
    for number, event in enumerate(_responses(words)):
        yield {**event, "sequence_number": number}


def _messages(words: list[str]) -> Iterable[dict[str, Any]]:
    message = {"id": _MESSAGE, "type": "message", "role": "assistant", "model": "claude", "content": []}
    yield {"type": "message_start", "message": {**message, "stop_reason": None, "usage": _TOKENS}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for word in words:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": _TOKENS}
    yield {"type": "message_stop"}


def _agent(words: list[str]) -> Iterable[dict[str, Any]]:
    said = {"role": "assistant", "id": _MESSAGE}
    for word in words:
        yield {"id": "run_1", "delta": {**said, "content": word}}
    yield {"id": "run_1", "delta": {**said, "content": ""}, "finish_reason": "stop", "usage": {"total_tokens": 507}}


WIRES: dict[str, Callable[[list[str]], Iterable[dict[str, Any]]]] = {
    "responses": _numbered,
    "messages": _messages,
    "agent": _agent,
}
"""The events of a text, by the name of the wire format (``api=``)."""


def stream(wire: str, words: list[str]) -> list[bytes]:
    """Render a stream.

    Args:
        wire: The name of the wire format.
        words: The pieces of the text; each is an event.

    Returns:
        The events, the end included.
    """
    events = [_event(event) for event in WIRES[wire](words)]
    return events if wire == "messages" else [*events, b"data: [DONE]\n\n"]
