"""What endpoints have taught: fields that they refuse although nothing in their name says so.

An endpoint's name is free text, and models change behind it. A 400 that names an optional field of the request teaches
the client: the field is dropped, the request sent once more, and the lesson kept for that endpoint by every model in
the process. A field that changes what is asked is never dropped; the one thing that is put in another way is a
structured answer that `with_structured_output` asked for, which can be had by a tool as well as by a response format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]

_REFUSAL = re.compile(
    r"extra inputs are not permitted"
    r"|(?:unknown|unrecognized|unexpected|unsupported) (?:field|name|parameter|argument|request argument|key)"
    r"|(?:is|are|does) not supported?|not support(?:ed)? |not allowed with|cannot both be specified|is deprecated"
    r"|may not be enabled when",
    re.IGNORECASE,
)
"""Words that refuse a field altogether."""

_RANGE = re.compile(
    r"must be|maximum|minimum|between|expected (?:a|an|one)|out of range|too (?:long|large)", re.IGNORECASE
)
"""Words that refuse a field's value: the caller has to mend that, and dropping the field would hide it."""

_KEPT = frozenset(
    {
        "messages",
        "model",
        "input",
        "stream",
        "n",
        "stop",
        "max_tokens",
        "tools",
        "tool_choice",
        "response_format",
        "thinking",
        "output_config",
        "reasoning_effort",
        "custom_inputs",
        "context",
        "databricks_options",
    }
)
"""Fields that say what is asked, or how much of it: a server's dislike of them is the caller's business."""

REPLACED = frozenset({"response_format", "tool_choice"})
"""Fields that are put in another way where the caller asked for a structured answer, and kept everywhere else."""

_NESTED = ("strict", "cache_control", "name")
"""Optional keys below the top level: of a tool, of a content part, of a message."""

_lessons: dict[tuple[str, str], frozenset[str]] = {}


def lessons_of(host: str, endpoint: str) -> frozenset[str]:
    """Return what an endpoint has been seen to refuse.

    Args:
        host: The host.
        endpoint: The endpoint's name.

    Returns:
        The names of fields.
    """
    return _lessons.get((host, endpoint), frozenset())


def learn(host: str, endpoint: str, field: str) -> None:
    """Remember that an endpoint refuses a field.

    Args:
        host: The host.
        endpoint: The endpoint's name.
        field: The field.
    """
    # One assignment of a new value: threads may lose a lesson, which is then learned again, but never see half of one.
    _lessons[host, endpoint] = lessons_of(host, endpoint) | {field}


def forget() -> None:
    """Forget all lessons, of all endpoints."""
    _lessons.clear()


def refused_field(text: str, body: Mapping[str, Any]) -> str | None:
    """Find the field that a 400 names.

    Args:
        text: The server's words.
        body: The request's body.

    Returns:
        A field that the body holds and that can be left out or put in another way, or None.
    """
    if not _REFUSAL.search(text) or _RANGE.search(text):
        return None
    named = {key for key in body if key not in _KEPT and _names(text, key)}
    named |= {key for key in REPLACED if key in body and _names(text, key)}
    named |= {key for key in _NESTED if _names(text, key) and _without_nested(dict(body), key) != body}
    # Of several the last one named: "`temperature` and `top_p` cannot both be specified".
    return max(named, key=text.rfind, default=None)


def without(body: Mapping[str, Any], field: str) -> Body:
    """Write a body without a field.

    Args:
        body: The body; it is not changed.
        field: A field at the top, or an optional key of tools, parts or messages.

    Returns:
        A new body.
    """
    if field in body:
        return {key: value for key, value in body.items() if key != field}
    return _without_nested(dict(body), field)


def _names(text: str, key: str) -> bool:
    """Tell whether a text names a field: short words that are also English only where they stand like a field."""
    if "_" in key:
        return re.search(rf"(?<![a-z_]){re.escape(key)}(?![a-z_]|\.\w)", text) is not None
    key = re.escape(key)
    return re.search(rf"[`'\"./\s]{key}[`'\"]?(?::| parameter)|[`'\"]{key}[`'\"]|^{key}:", text) is not None


def _without_nested(body: Body, key: str) -> Body:
    cleaned = dict(body)
    if key == "name":
        cleaned["messages"] = [_drop(message, "name") for message in body.get("messages", [])]
        return cleaned
    if "tools" in body:
        cleaned["tools"] = _drop_everywhere(body["tools"], key)
    if key == "cache_control" and "messages" in body:
        cleaned["messages"] = _drop_everywhere(body["messages"], key)
    return cleaned


def _drop(value: Mapping[str, Any], key: str) -> Body:
    return {name: inner for name, inner in value.items() if name != key}


def _drop_everywhere(value: Any, key: str) -> Any:
    if isinstance(value, list):
        return [_drop_everywhere(item, key) for item in value]
    if isinstance(value, Mapping):
        # The properties of a tool's schema are the user's: a parameter may well be called "strict".
        plain = {"properties", "arguments", "text"}
        return {
            name: inner if name in plain else _drop_everywhere(inner, key)
            for name, inner in value.items()
            if name != key
        }
    return value
