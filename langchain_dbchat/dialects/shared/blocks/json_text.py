"""Write Python values as JSON text: the arguments of past tool calls and JSON content blocks.

Rule 1. Plain values are written as ``json.dumps`` writes them; anything else (dates, decimals, sets, enums, models,
dataclasses) is written as Pydantic writes it (docs.pydantic.dev/latest/concepts/serialization).
Rule 2. The text is valid JSON: numbers that JSON does not have become the strings ``"NaN"``, ``"Infinity"`` and
``"-Infinity"`` (Pydantic's ``ser_json_inf_nan="strings"``), half of a surrogate pair becomes U+FFFD (RFC 8259, 8.2).
"""

from __future__ import annotations

import json
import math
import os
from typing import Any

from pydantic_core import to_jsonable_python

from langchain_dbchat.errors import UnsupportedContentError
from langchain_dbchat.errors.sound_text import clean_text


def write_json(value: Any, what: str) -> str:
    """Write a value as JSON text.

    Args:
        value: The value. It is not changed.
        what: What to call the value in an error, such as ``"message 3 (ai): the arguments of the call 'f'"``.

    Returns:
        The text.

    Raises:
        UnsupportedContentError: If the value cannot be written as JSON.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if clean_text(text) == text:
            return text
    except (TypeError, ValueError, RecursionError):
        pass  # not plain: Pydantic writes it, or says why it cannot
    try:
        return json.dumps(_sound(_jsonable(_sound(value))), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedContentError(f"{what} cannot be written as JSON: {error}") from error


def _jsonable(value: Any) -> Any:
    try:
        return to_jsonable_python(value, fallback=_converted)
    except UnicodeDecodeError:  # bytes that are not UTF-8 text
        return to_jsonable_python(value, fallback=_converted, bytes_mode="base64")


def _converted(value: Any) -> Any:
    """Ask a value for its plain form: arrays and their scalars have ``tolist``, models of Pydantic v1 ``dict``."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    for way in ("tolist", "dict"):
        convert = getattr(value, way, None)
        if callable(convert) and not isinstance(value, type):
            return convert()
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _sound(value: Any) -> Any:
    """Return a value with sound text and finite numbers; Pydantic refuses the keys of objects that are not sound."""
    if isinstance(value, dict):
        return {_sound(key) if isinstance(key, str) else key: _sound(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_sound(item) for item in value]
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
