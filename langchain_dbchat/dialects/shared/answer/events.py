"""Read the payloads of events and of whole answers as JSON objects.

Rule 1. A stream ends with ``[DONE]``, also quoted or in lower case, or with an event named ``done``.
Rule 2. Text that is not a JSON object is an error, which quotes its beginning. Half of a surrogate pair, which no file
    or request can contain (RFC 8259, 8.2), becomes U+FFFD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from langchain_dbchat.dialects.shared.answer.errors_within import raise_error_within
from langchain_dbchat.errors import MalformedResponseError
from langchain_dbchat.errors.sound_text import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BRACE", "DONE", "MESSAGE_KEYS", "is_last", "parse_event", "start_of_text", "text_of_event"]

DONE = b"[DONE]"

BRACE = ord("{")
"""How an event that is a JSON object begins; comparing a number takes half as long as comparing a slice."""

MESSAGE_KEYS = frozenset({"message", "stray_text"})
"""Fields with a text in an event that is not a part of an answer; `sse` gives text outside of events as the second."""

_QUOTED = 2_000  # the number of characters of such a text that an error quotes


def is_last(event: bytes) -> bool:
    """Decide whether an event ends the stream (rule 1).

    Args:
        event: The event's payload.

    Returns:
        True if nothing follows it.
    """
    if event and event[0] == BRACE:
        return False
    return event.strip().strip(b'"').strip().upper() in {DONE, b"DONE"}


def parse_event(raw: bytes | str) -> dict[str, Any]:
    """Parse the payload of an event, or a whole answer.

    Args:
        raw: The JSON text.

    Returns:
        The object.

    Raises:
        MalformedResponseError: If it is not a JSON object.
        DatabricksError: If it is an error in Google's format, a list.
    """
    try:
        payload = from_json(raw)
    except ValueError:
        payload = None
    if payload is None:
        payload = _read_other(raw)
    if isinstance(payload, dict):
        return payload
    if isinstance(payload, list) and any(isinstance(item, dict) and item.get("error") for item in payload):
        raise_error_within({"error": payload}, "choices")  # Google's format of errors
    raise MalformedResponseError(
        f"The server sent a JSON {type(payload).__name__} instead of an object: {start_of_text(raw)}"
    )


def _read_other(raw: bytes | str) -> Any:
    """Return the value of JSON that pydantic's parser refuses, or of ``null``; raise if it is not JSON."""
    try:
        return read_json(raw)
    except ValueError as error:
        raise MalformedResponseError(
            f"The server sent something that is not JSON ({error}): {start_of_text(raw)}"
        ) from error


def start_of_text(raw: bytes | str, limit: int = 200) -> str:
    """Return the beginning of a server's text, for an error.

    Args:
        raw: The text.
        limit: The largest number of characters.

    Returns:
        The text, or its beginning and three dots.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return text if len(text) <= limit else text[:limit] + "..."


def text_of_event(payload: Mapping[str, Any]) -> str:
    """Return the text of an event that is neither an answer nor a known error.

    Args:
        payload: The event.

    Returns:
        The text in one of the fields for it, else the event as JSON.
    """
    text = next((payload[key] for key in sorted(MESSAGE_KEYS) if isinstance(payload.get(key), str)), None)
    return start_of_text(text or to_json(payload), _QUOTED)
