"""Say what makes a request too large, before it is sent, because the server's refusal does not say that.

Rule 1. Databricks accepts 4 MiB for foundation models, external models and agents. Its answer to more is a text without
a message number; a proxy in front of it answers 413 in HTML, or closes the connection while the body is being sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.errors import DatabricksInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["request_too_large"]


def request_too_large(
    body: Mapping[str, Any], size: int, limit: int, *, endpoint: str, host: str
) -> DatabricksInvalidRequestError:
    """Return the error for a body that is too large, which names what takes most of it.

    Args:
        body: The body.
        size: Its size in bytes, as it would be sent.
        limit: The largest size in bytes.
        endpoint: The serving endpoint, for the error.
        host: The host, for the error.

    Returns:
        The error.
    """
    return DatabricksInvalidRequestError(
        f"The request is {_shown(size)} and was not sent: the endpoint {endpoint!r} takes {_shown(limit)}. "
        f"{_largest(body)} Send smaller images or files, or links to them; keep less of the conversation; ask in "
        "several calls. If this endpoint serves a custom model that takes more, say so with max_request_bytes=.",
        endpoint=endpoint,
        host=host,
    )


def _largest(body: Mapping[str, Any]) -> str:
    """Name the field, the message and the block that are the largest."""
    field, value = max(body.items(), key=lambda item: _size(item[1]))
    if not isinstance(value, list) or not value:
        return f"Most of it is {field!r} ({_shown(_size(value))})."
    number, message = max(enumerate(value), key=lambda item: _size(item[1]))
    if field != "messages" or not isinstance(message, dict):
        return (
            f"Most of it is {field!r}; the largest of its {len(value)} is {field}[{number}] ({_shown(_size(message))})."
        )
    said = f"message {number} ({message.get('role')}, {_shown(_size(message))})"
    named = f"Of its {len(value)} messages, the largest is {said}"
    content = message.get("content")
    if not isinstance(content, list) or not content:
        return f"{named}."
    place, block = max(enumerate(content), key=lambda item: _size(item[1]))
    kind = block.get("type") if isinstance(block, dict) else type(block).__name__
    return f"{named}, and in it block {place} ({kind}, {_shown(_size(block))})."


def _size(value: Any) -> int:
    return len(to_json(value))


def _shown(size: int) -> str:
    return f"{size / 2**20:.2f} MiB" if size >= 2**20 // 10 else f"{size} bytes"
