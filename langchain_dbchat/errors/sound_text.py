"""Replace halves of surrogate pairs, which are in Python strings and in no file, log or request (RFC 8259, 8.2)."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json

__all__ = ["clean_text", "read_json", "sound_escapes"]

_HALF = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
"""The escape of a high surrogate that no low one follows, or of a low one that follows no high one."""
_NOT_UTF8 = b"\xff"


def clean_text(text: str) -> str:
    """Replace halves of surrogate pairs, which are not text, and which no JSON body can contain.

    Args:
        text: Any string.

    Returns:
        The same string if it is sound, else one with U+FFFD in place of each stray half.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def read_json(raw: bytes | str) -> Any:
    """Parse JSON of a server, which may write half of a surrogate pair as an escape; it becomes U+FFFD.

    Args:
        raw: The JSON text.

    Returns:
        The value; each text in it is sound.

    Raises:
        ValueError: If it is not JSON.
    """
    try:
        return from_json(raw)
    except ValueError:
        written = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
        sound = _with_whole_pairs(written)
        if sound == written:
            raise
        return from_json(sound)


def sound_escapes(text: str) -> str:
    """Return JSON text in which each escape of half a surrogate pair is that of U+FFFD.

    Args:
        text: The JSON text.
    """
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return _with_whole_pairs(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _with_whole_pairs(written: bytes) -> bytes:
    if _NOT_UTF8 in written:
        return written
    unescaped = written.replace(rb"\\", _NOT_UTF8)  # so that each backslash begins an escape; a callback takes longer
    return _HALF.sub(rb"\\ufffd", unescaped).replace(_NOT_UTF8, rb"\\")
