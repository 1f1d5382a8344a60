"""Replace halves of surrogate pairs, which are in Python strings and in no file, log or request (RFC 8259, 8.2).

JSON text of a tool call that arrives in fragments also gets its raw control characters escaped.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json

__all__ = ["SoundFragments", "clean_text", "read_json", "sound_escapes"]

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape of JSON: a pair of surrogates, the half of one (which is the group), or any other."""
_UNFINISHED = re.compile(
    r"(?<!\\)(?:\\\\)*(\\(?:u(?:[dD](?:[89abAB](?:[0-9a-fA-F](?:[0-9a-fA-F]"
    r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?)?)?|[0-9a-fA-F]{0,3})?)?)\Z"
)
"""What may be the beginning of an escape, or of a pair of surrogates, at the end of a text."""
_MARKS = re.compile(r'\\.|["\x00-\x1f]', re.DOTALL)
"""An escape of JSON, or else a quote, or a control character."""


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
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], written)


class SoundFragments:
    """JSON text that arrives in fragments, as any JSON parser accepts it.

    Half of a surrogate pair is U+FFFD, and a raw control character inside a string is an escape: models write line
    breaks there, which strict parsers refuse. The beginning of an escape is held until the rest of it arrives.
    """

    __slots__ = ("_in_string", "_unread", "held")

    def __init__(self) -> None:
        self.held = ""
        self._in_string = False
        self._unread: list[str] = []  # fragments that nobody has looked through for quotes

    def add(self, text: str) -> str:
        """Add a fragment.

        Args:
            text: The fragment.

        Returns:
            What is complete of it and of what was held.
        """
        if self.held or "\\u" in text or text.endswith("\\"):
            text = self.held + text
            unfinished = _UNFINISHED.search(text)
            place = len(text) if unfinished is None else unfinished.start(1)
            self.held = text[place:]
            text = sound_escapes(text[:place])
        if text.isprintable():  # nearly all fragments
            self._unread.append(text)
            return text
        return self._without_control_characters(text)

    def _without_control_characters(self, text: str) -> str:
        """Escape the control characters inside strings; where strings begin and end, only such a fragment asks."""
        _MARKS.sub(self._read_mark, "".join(self._unread))
        self._unread.clear()
        return _MARKS.sub(self._read_mark, text)

    def _read_mark(self, found: re.Match[str]) -> str:
        mark = found[0]
        if mark == '"':
            self._in_string = not self._in_string
        elif len(mark) == 1 and self._in_string:
            return json.dumps(mark)[1:-1]
        return mark
