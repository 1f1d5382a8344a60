"""Replace halves of surrogate pairs, which are in Python strings and in no file, log or request (RFC 8259, 8.2)."""

from __future__ import annotations

__all__ = ["clean_text"]


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
