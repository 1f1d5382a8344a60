"""Merge request fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_deep(base: Mapping[str, Any], over: Mapping[str, Any], *, keep_none: bool = False) -> dict[str, Any]:
    """Merge one object over another: objects are merged recursively, lists and scalars are replaced, None deletes.

    Args:
        base: The object that is overridden.
        over: The object that overrides it.
        keep_none: Whether None is kept, so that it deletes a field when the result is merged over another object.

    Returns:
        A new object; neither argument is changed.

    Example:
        >>> merge_deep({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": None}, "d": [2]})
        {'a': {'b': 1}, 'd': [2]}
    """
    merged = dict(base)
    for key, value in over.items():
        if value is None and not keep_none:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge_deep(below if isinstance(below, Mapping) else {}, value, keep_none=keep_none)
        else:
            merged[key] = value
    return merged
