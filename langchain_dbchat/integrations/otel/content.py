"""Record the messages of a call, if the user asks for it.

Rule 1. ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` decides: ``SPAN_ONLY`` (or ``true``) puts them into
attributes of the span, ``EVENT_ONLY`` into an event, ``SPAN_AND_EVENT`` into both. Anything else records nothing, which
is the default (github.com/open-telemetry/opentelemetry-python-contrib, util/opentelemetry-util-genai).
Rule 2. The format is the conventions' own: messages with parts, as JSON
(github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-input-messages.json).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, ToolMessage
from opentelemetry import _logs as logs
from opentelemetry import trace
from pydantic_core import to_json

from langchain_dbchat._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from opentelemetry.trace import Span

__all__ = ["record"]

_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON_SPAN = frozenset({"true", "span_only", "span_and_event"})
_AS_EVENT = frozenset({"event_only", "span_and_event"})
_EVENT = "gen_ai.client.inference.operation.details"
_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


def record(span: Span, messages: Sequence[BaseMessage], answers: Sequence[BaseMessage]) -> dict[str, Any]:
    """Record the messages of a call where the user wants them.

    Args:
        span: The span of the call.
        messages: The conversation.
        answers: The choices of the answer.

    Returns:
        Attributes for the span; empty if the user does not want them there.
    """
    wanted = os.environ.get(_VARIABLE, "").strip().lower()
    if wanted not in _ON_SPAN | _AS_EVENT:
        return {}
    found: dict[str, Any] = {
        "gen_ai.input.messages": [_message(message) for message in messages if message.type != "system"],
        "gen_ai.output.messages": [
            {**_message(answer), "finish_reason": answer.response_metadata.get("finish_reason", "")}
            for answer in answers
        ],
    }
    system = [part for message in messages if message.type == "system" for part in _message(message)["parts"]]
    if system:
        found["gen_ai.system_instructions"] = system
    if wanted in _AS_EVENT:
        logs.get_logger("langchain_dbchat", __version__).emit(
            logs.LogRecord(context=trace.set_span_in_context(span), event_name=_EVENT, attributes=found)
        )
    return {name: to_json(value, fallback=str).decode() for name, value in found.items()} if wanted in _ON_SPAN else {}


def _message(message: BaseMessage) -> dict[str, Any]:
    """Write a message in the format of the conventions."""
    if isinstance(message, ToolMessage):
        result = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}
        return {"role": "tool", "parts": [result]}
    parts = [_part(block) for block in message.content_blocks]
    if isinstance(message, AIMessage) and not any(part["type"] == "tool_call" for part in parts):
        parts += [_part({**call, "type": "tool_call"}) for call in message.tool_calls]
    return {"role": _ROLES.get(message.type, message.type), "parts": parts}


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    kind = block["type"]
    if kind in {"text", "text-plain"}:
        return {"type": "text", "content": block.get("text", "")}
    if kind == "reasoning":
        return {"type": "reasoning", "content": block.get("reasoning", "")}
    if kind == "tool_call":
        return {"type": "tool_call", "id": block.get("id"), "name": block.get("name"), "arguments": block.get("args")}
    if kind in {"image", "audio", "video", "file"}:
        media = {"modality": kind, "mime_type": block.get("mime_type")}
        if block.get("url"):
            return {"type": "uri", **media, "uri": block["url"]}
        if block.get("base64"):
            return {"type": "blob", **media, "content": block["base64"]}
    return {name: value for name, value in block.items() if name != "extras"}
