"""Merge request fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_dbchat.errors import ConfigurationError


def merge_deep(base: Mapping[str, Any], over: Mapping[str, Any], *, keep_none: bool = False) -> dict[str, Any]:
    """Merge one object over another: objects are merged recursively, lists and scalars are replaced, None deletes.

    Args:
        base: The object that is overridden.
        over: The object that overrides it.
        keep_none: Whether None is kept, so that it deletes a field when the result is merged over another object.

    Returns:
        A new object; neither argument is changed.

    Raises:
        ConfigurationError: If `over` is nested more deeply than Python follows.

    Example:
        >>> merge_deep({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": None}, "d": [2]})
        {'a': {'b': 1}, 'd': [2]}
    """
    try:
        return _merged(base, over, keep_none=keep_none)
    except RecursionError:
        raise ConfigurationError("A field of the request, as in extra_body, is nested too deeply.") from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any], *, keep_none: bool) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if value is None and not keep_none:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = _merged(below if isinstance(below, Mapping) else {}, value, keep_none=keep_none)
        else:
            merged[key] = value
    return merged


_MESSAGE_KEYS = frozenset({"name", "thinking_blocks"})
"""Optional keys of a message itself."""


def without_nested(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the fields of a request without an optional key in its tools, parts or messages.

    Args:
        body: Fields of a request; not changed.
        key: The key.

    Returns:
        New fields.
    """
    cleaned = dict(body)
    if key in _MESSAGE_KEYS:
        if "messages" in body:
            cleaned["messages"] = [_drop(message, key) for message in body["messages"]]
        return cleaned
    if "tools" in body:
        cleaned["tools"] = _drop_everywhere(body["tools"], key)
    for holder in ("messages", "system") if key == "cache_control" else ():
        if holder in body:
            cleaned[holder] = _drop_everywhere(body[holder], key)
    return cleaned


def _drop(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: inner for name, inner in value.items() if name != key}


def _drop_everywhere(value: Any, key: str) -> Any:
    if isinstance(value, list):
        return [_drop_everywhere(item, key) for item in value]
    if isinstance(value, Mapping):
        # A property of a tool's schema may have the same name, such as a parameter called "strict".
        plain = {"properties", "arguments", "text"}
        return {
            name: inner if name in plain else _drop_everywhere(inner, key)
            for name, inner in value.items()
            if name != key
        }
    return value
