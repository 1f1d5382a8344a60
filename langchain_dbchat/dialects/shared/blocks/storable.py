"""What a message can hold, so that every checkpointer stores it and it can be sent back.

Rule 1. An integer outside -2**63 to 2**64-1, which MessagePack, and so a LangGraph checkpoint, cannot store, becomes
    text with its digits. Pydantic, and so a tool with ``n: int``, reads the exact number from it.
Rule 2. A call remembers these integers as `LARGE_INTEGERS`, so that they go back as numbers, as the model wrote them.
Rule 3. Nothing is nested more than `DEEPEST` levels. langchain-core's ``load`` follows 200, as Pydantic's parser does,
    MessagePack 255, Pydantic's serializer 254; the rest is for what a message is in. Arguments beyond it are an invalid
    call; of any other value, what is deeper becomes JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "DEEPEST",
    "LARGE_INTEGERS",
    "extras_of_server",
    "is_nested_too_deeply",
    "is_storable",
    "storable",
    "with_large_integers",
]

DEEPEST = 150
"""How many lists and objects may be within each other."""

LARGE_INTEGERS = "large_integers"
"""The extra field of a call whose arguments have text in place of integers: their digits."""

_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.DOTALL)
"""A string, or else a bracket."""
_IN_QUOTES = re.compile(r'"(-?[0-9]+)"')
_DEEPER = {"[": 1, "{": 1, "]": -1, "}": -1}
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1  # the range of MessagePack


def is_storable(integer: int) -> bool:
    """Return whether a checkpoint can store an integer."""
    return _SMALLEST <= integer <= _LARGEST


def storable(value: Any, integers: dict[str, None] | None = None) -> Any:
    """Return a value in which text stands for what a checkpoint cannot store.

    Args:
        value: Any JSON value.
        integers: Where to add the digits of the integers that became text; None if nobody asks.

    Returns:
        The same value if there is nothing to change, else a copy, with text in place of integers below -2**63 and above
        2**64-1, and of what is nested more than `DEEPEST` levels.
    """
    kind = type(value)
    if kind is not dict and kind is not list:
        return str(value) if kind is int and not is_storable(value) else value
    if _is_storable(value):
        return value
    copy = value.copy()
    level, depth = [copy], 1
    while level:  # no recursion, because a value may be nested deeply
        below: list[Any] = []
        for box in level:
            for key, inner in box.items() if type(box) is dict else enumerate(box):
                kind = type(inner)
                if kind is dict or kind is list:
                    if depth == DEEPEST:
                        box[key] = json.dumps(inner, ensure_ascii=False)
                    else:
                        box[key] = copied = inner.copy()
                        below.append(copied)
                elif kind is int and not is_storable(inner):
                    box[key] = digits = str(inner)
                    if integers is not None:
                        integers[digits] = None
        level, depth = below, depth + 1
    return copy


def _is_storable(value: Any) -> bool:
    """Return whether nothing of a list or an object has to change; this takes a quarter of the time of a copy."""
    level, depth = [value], 1
    while level:
        boxes, level = level, []
        for box in boxes:
            for below in box.values() if type(box) is dict else box:
                kind = type(below)
                if kind is dict or kind is list:
                    if depth == DEEPEST:
                        return False
                    if below:
                        level.append(below)
                elif kind is int and not _SMALLEST <= below <= _LARGEST:  # as `is_storable`, without a call
                    return False
        depth += 1
    return True


def is_nested_too_deeply(text: str) -> bool:
    """Return whether a value is nested more than `DEEPEST` levels.

    Args:
        text: Its JSON text.
    """
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    depth = 0
    for mark in _BRACKETS.finditer(text):
        depth += _DEEPER.get(mark[0], 0)
        if depth > DEEPEST:
            return True
    return False


def extras_of_server(extras: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the extra fields of a call under names that this package does not use itself."""
    if not extras or LARGE_INTEGERS not in extras:
        return extras or {}
    return {f"server_{key}" if key == LARGE_INTEGERS else key: value for key, value in extras.items()}


def with_large_integers(value: Any, extras: Mapping[str, Any]) -> Any:
    """Return a call's arguments with the integers that the model wrote.

    Args:
        value: The arguments; if the call is invalid, with their text under ``invalid_arguments``. They are not changed.
        extras: What else the call contained.
    """
    given = extras.get(LARGE_INTEGERS)
    if not isinstance(given, list):
        return value
    digits = frozenset(map(str, given))
    if isinstance(value, Mapping) and isinstance(text := value.get("invalid_arguments"), str):
        text = _IN_QUOTES.sub(lambda found: found[1] if found[1] in digits else found[0], text)
        return {**value, "invalid_arguments": text}
    return _with_integers(value, digits)


def _with_integers(value: Any, digits: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_integers(inner, digits) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_integers(inner, digits) for inner in value]
    if isinstance(value, str) and value in digits:
        try:
            return int(value)
        except ValueError:  # it has more digits than Python reads, or is not a number, if somebody changed the message
            return value
    return value
