"""What endpoints have taught: fields that they refuse although nothing in their name says so.

An endpoint's name is free text, and models change behind it. A 400 that names an optional field of the request teaches
the client: the field is dropped, the request sent once more, and the lesson kept for that endpoint by every model in
the process. A field that changes what is asked is never dropped; the one thing that is put in another way is a
structured answer that `with_structured_output` asked for, which can be had by a tool as well as by a response format.
A 400 that wants roles to take turns teaches that too: it is how an endpoint of a free name says that it serves Llama.
The limit of an answer's length has two names (`max_tokens`, and `max_completion_tokens` for OpenAI's reasoning models);
an endpoint that refuses one gets the value under the other (pydantic-ai #1205, dify #24307).
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

ROLES = "roles"
"""The lesson that user and assistant have to take turns; it is not a field, and no message is dropped for it."""

_TURNS = re.compile(r"roles must alternate", re.IGNORECASE)
"""The words of that lesson: Databricks' (aider #1920) and those of the chat templates of open models."""

RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Fields whose value goes under another name where an endpoint refuses this one."""

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
    # An endpoint that takes neither of two names is not believed: the last word counts.
    known = lessons_of(host, endpoint) - {RENAMED.get(field, field)}
    # One assignment of a new value: threads may lose a lesson, which is then learned again, but never see half of one.
    _lessons[host, endpoint] = known | {field}


def forget() -> None:
    """Forget all lessons, of all endpoints."""
    _lessons.clear()


def refused_field(text: str, body: Mapping[str, Any]) -> str | None:
    """Find the field that a 400 names.

    Args:
        text: The server's words.
        body: The request's body.

    Returns:
        A field that the body holds and that can be left out or put in another way, `ROLES`, or None.
    """
    if _TURNS.search(text):
        return ROLES if "messages" in body else None
    if not _REFUSAL.search(text) or _RANGE.search(text):
        return None
    for key, other in RENAMED.items():
        # `max_tokens` is what Databricks documents, so it stays unless the server asks for the other.
        if key in body and _names(text, key) and (other in text or key not in _KEPT):
            return key
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


def renamed(body: Mapping[str, Any], field: str) -> Body:
    """Write a body with the value of a field under the field's other name.

    Args:
        body: The body; it is not changed.
        field: One of `RENAMED`.

    Returns:
        A new body, or an equal one if the field is not there. What stands under the other name already stays.
    """
    if field not in body:
        return dict(body)
    other = RENAMED[field]
    rest = {key: value for key, value in body.items() if key != field}
    return {other: body[field], **rest}


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
