"""JSON text of a tool call's arguments that arrives in fragments, changed on its way to what can be parsed and stored.

Rule 1. Half of a surrogate pair is U+FFFD, and a raw control character inside a string is an escape: models write line
    breaks there, which strict parsers refuse.
Rule 2. An integer that no checkpoint stores is text (`storable`): langchain-core parses the text that was streamed.
Rule 3. The beginning of an escape or of a number is held until the rest of it arrives.
"""

from __future__ import annotations

import json
import re

from langchain_dbchat.dialects.shared.blocks.storable import is_storable
from langchain_dbchat.errors.sound_text import sound_escapes

__all__ = ["ArgumentFragments"]

_UNFINISHED = re.compile(
    r"(?<!\\)(?:\\\\)*(\\(?:u(?:[dD](?:[89abAB](?:[0-9a-fA-F](?:[0-9a-fA-F]"
    r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?)?)?|[0-9a-fA-F]{0,3})?)?)\Z"
)
"""What may be the beginning of an escape, or of a pair of surrogates, at the end of a text."""
_NUMERIC = "0123456789-+.eE"
_MARKS = re.compile(r'\\.|["\x00-\x1f]|-?[0-9][0-9.eE+-]*', re.DOTALL)
"""An escape of JSON, or else a quote, a control character, or a number."""
_LONG_NUMBER = re.compile(r"[0-9][0-9][0-9]{17}")
"""The digits of the smallest integer that may be too large; three times as fast as ``[0-9]{19}``."""
_SHORTEST = 19
_ALWAYS_TOO_LARGE = 21  # digits and sign; Python reads no more than 4,300 digits


class ArgumentFragments:
    """The arguments of one call, while they arrive.

    Attributes:
        large_integers: The digits of the integers that became text.
    """

    __slots__ = ("_escape", "_in_string", "_number", "_unread", "large_integers")

    def __init__(self) -> None:
        self.large_integers: dict[str, None] = {}
        self._escape = ""
        self._number: list[str] = []
        self._in_string = False
        self._unread: list[str] = []  # fragments that nobody has looked through for quotes

    @property
    def held(self) -> str:
        """Return the beginning of an escape or of a number that was not passed on."""
        return self._escape or "".join(self._number)

    def add(self, text: str) -> str:
        """Add a fragment.

        Args:
            text: The fragment.

        Returns:
            What is complete of it and of what was held.
        """
        if self._number:
            if not text.strip(_NUMERIC):  # it goes on, and is joined once, because joining it digit by digit is slow
                self._number.append(text)
                return ""
            text = "".join(self._number) + text
            self._number.clear()
        if self._escape or "\\u" in text or text.endswith("\\"):
            text = self._escape + text
            unfinished = _UNFINISHED.search(text)
            place = len(text) if unfinished is None else unfinished.start(1)
            self._escape = text[place:]
            text = sound_escapes(text[:place])
        changes = not text.isprintable() or (len(text) >= _SHORTEST and _LONG_NUMBER.search(text))
        if changes or (text[-1:] in _NUMERIC and not text[-3:].isalpha()):
            return self._read(text, changes=bool(changes))
        self._unread.append(text)  # nearly all fragments
        return text

    def _read(self, text: str, *, changes: bool) -> str:
        """Find where strings begin and end, which nobody asks of other texts, and change what needs it."""
        self._pass("".join(self._unread))
        self._unread.clear()
        begun = text.rstrip(_NUMERIC)
        end = text[len(begun) :]
        if changes:
            begun = _MARKS.sub(self._read_mark, begun)
        else:
            self._pass(begun)
        if self._in_string or self._escape or not end.strip("+.eE"):
            return begun + end
        self._number.append(end)
        return begun

    def _pass(self, text: str) -> None:
        """Pass by the strings of a text that needs no change."""
        if "\\" in text:
            _MARKS.sub(self._read_mark, text)
        elif text.count('"') % 2:
            self._in_string = not self._in_string

    def _read_mark(self, found: re.Match[str]) -> str:
        mark = found[0]
        if mark == '"':
            self._in_string = not self._in_string
        elif self._in_string:
            return json.dumps(mark)[1:-1] if len(mark) == 1 else mark
        elif len(mark) >= _SHORTEST and mark.lstrip("-").isdecimal() and not _is_storable(mark):
            self.large_integers[mark] = None
            return f'"{mark}"'
        return mark


def _is_storable(digits: str) -> bool:
    return len(digits) < _ALWAYS_TOO_LARGE and is_storable(int(digits))
