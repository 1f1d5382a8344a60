"""The answer "ok" in the format of the API that a request is for, streamed if that is asked for."""

from __future__ import annotations

from typing import Any

from kit.scripted import Received, Scripted, sse

_MESSAGE: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
_BEGUN = {**_MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 3, "output_tokens": 1}}
_TEXT = {"type": "text", "text": "ok"}
_ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}
_RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "output": [_ITEM], "error": None}


def in_each_format(request: Received) -> Scripted:
    """Answer a request for chat completions, Responses or Anthropic's Messages.

    Args:
        request: The request.

    Returns:
        The reply.
    """
    if request.path.endswith("/messages"):
        return _reply(request, _messages_events(), {**_BEGUN, "content": [_TEXT], "stop_reason": "end_turn"})
    if request.path.endswith("responses"):
        return _reply(request, _responses_events(), _RESPONSE)
    delta = {"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}
    return _reply(
        request, sse(delta), {"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]}
    )


def _reply(request: Received, events: bytes, whole: dict[str, Any]) -> Scripted:
    return Scripted(events if request.json.get("stream") else whole)


def _messages_events() -> bytes:
    return sse(
        {"type": "message_start", "message": _BEGUN},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
        done=False,
    )


def _responses_events() -> bytes:
    return sse(
        {"type": "response.output_item.done", "output_index": 0, "item": _ITEM},
        {"type": "response.completed", "response": _RESPONSE},
        done=False,
    )
