"""Recognize an answer in another wire format.

Rule 1. An endpoint whose name says nothing is called in chat completions. MLflow's ChatAgent takes the same request and
    answers in its own format, so the answer shows what the endpoint is; the request is not repeated, because an agent
    would act twice (mlflow/types/agent.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import MalformedResponseError

if TYPE_CHECKING:
    from langchain_dbchat.models.families import WireName

__all__ = ["OtherWireError", "in_other_format", "instead_of", "names_in", "wire_of"]

_MOST_NAMES = 50
_QUOTED = 1_000  # characters


class OtherWireError(MalformedResponseError):
    """An answer, or the first event of one, is in another wire format."""

    wire: WireName = "chat"
    """The wire format that the answer is in."""


def wire_of(payload: Mapping[str, Any]) -> WireName | None:
    """Return the wire format of an answer or an event, by its shape.

    Args:
        payload: The answer or the event.

    Returns:
        The name of the wire format; None if the shape is none that is known.
    """
    messages, kind = payload.get("messages"), payload.get("type")
    if isinstance(payload.get("choices"), list) and payload["choices"]:
        return "chat"
    if kind in ("message", "message_start") and payload.get("role", "assistant") == "assistant":
        return "messages"
    if isinstance(messages, list) and messages and all(_is_message(message) for message in messages):
        return "agent"
    return "agent" if _is_message(payload.get("delta")) else None


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("role"), str)


def in_other_format(text: str, payload: Mapping[str, Any], request_id: str | None) -> MalformedResponseError:
    """Return the error for an answer that a dialect cannot read.

    Args:
        text: What is wrong, and what to do.
        payload: The answer or the event.
        request_id: The response's ``x-request-id``.

    Returns:
        An `OtherWireError` if the answer is in another wire format.
    """
    wire = wire_of(payload)
    if wire is None:
        return MalformedResponseError(text, request_id=request_id)
    error = OtherWireError(f"{text} Its answer has the format of api={wire!r}.", request_id=request_id)
    error.wire = wire
    return error


def instead_of(payload: Mapping[str, Any], field: str) -> str:
    """Describe what an answer has instead of a field that it needs.

    Args:
        payload: The answer or the event.
        field: The name of the field.

    Returns:
        The end of a sentence that begins with "answered with".
    """
    if field not in payload:
        return f"{names_in(payload)} instead of {field!r}"
    value = payload[field]
    kind = "null" if value is None else type(value).__name__ if value else "empty"
    return f"{field!r} that is {kind}"


def names_in(payload: Mapping[str, Any]) -> str:
    """Return the names of an object's fields, as far as an error quotes them.

    Args:
        payload: The object.
    """
    names = str(sorted(payload)[:_MOST_NAMES])
    return names if len(names) <= _QUOTED and len(payload) <= _MOST_NAMES else f"{names[:_QUOTED]}..."
