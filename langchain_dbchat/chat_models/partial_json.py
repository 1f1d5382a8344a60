"""Parse one JSON object or array while its text arrives.

Rule 1. Each character is read once, so the time is linear in the text, however it is cut. A parser that begins again at
each chunk, as `langchain_core.utils.json.parse_partial_json` does, takes a quadratic time.
Rule 2. The partial value is what that function returns for the text so far: open strings, arrays and objects are
closed, a number is read as far as it is one, and a key without a value is left out, as is an escape that has not ended.
Rule 3. Text before the JSON is accepted as langchain-core accepts it: white space, and a Markdown fence after any text.
Rule 4. If the text is not JSON, the value has what came before. The whole answer is parsed again at its end.
Rule 5. An array or object that one piece has as a whole is parsed by `json`. That is tried some times for a piece only,
because a piece may begin many that do not end in it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.chat_models.structured_shapes import NOTHING
from langchain_dbchat.errors.sound_text import clean_text, sound_escapes

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PartialJson"]

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\]*')
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_OPEN_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_HIGH = re.compile(r"\\u[dD][89abAB]..")
_LOW = re.compile(r"\\u[dD][c-fC-F]..")
_LITERAL = re.compile(r'[^ \t\n\r,:\[\]{}"]+')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}

_DEEPEST = 500  # nested arrays and objects
_TRIES = 8  # arrays and objects of one piece that may not be read as a whole; then no others are parsed as a whole
_parse = json.JSONDecoder(strict=False).raw_decode
_LONGEST = 4000  # characters of a number; Python converts no longer ones

_FENCE = "```"
_UNFENCED = re.compile(r"[\s`]*")
_FENCED = re.compile(r"(?:json)?[\s`]*")
_FENCE_BEGINS = re.compile(r"(?:j|js|jso)?")


class PartialJson:
    """The value of a JSON text that is still arriving."""

    __slots__ = (
        "_is_fenced",
        "_is_key",
        "_keys",
        "_open",
        "_read",
        "_rest",
        "_root",
        "_string",
        "_tries",
        "holds_null",
    )

    def __init__(self) -> None:
        # A reader takes a text and a place in it, and returns the next place; None if it needs more text.
        self._read: Callable[[str, int], int | None] = self._read_start
        self._rest = ""  # text that could not be read without more of it
        self._root: Any = NOTHING
        self._open: list[Any] = []  # the arrays and objects that have not ended, the outermost first
        self._keys: list[str] = []  # for each of them, the key of an object whose value is being read
        self._string = ""  # the string that is being read
        self._is_key = False
        self._is_fenced = False
        self._tries = _TRIES
        self.holds_null = False  # whether a null was read

    def feed(self, piece: str) -> None:
        """Read the next piece of the text.

        Args:
            piece: The piece, cut anywhere.
        """
        text, place = self._rest + piece, 0
        self._rest, self._tries = "", _TRIES
        while place < len(text):
            after = self._read(text, place)
            if after is None:
                self._rest = text[place:]
                return
            place = after

    def value(self) -> Any:
        """Return the value of the text so far.

        Returns:
            A value of its own, in which only the arrays and objects that have ended are the same objects as in the
            values returned before; `NOTHING` if there is none yet.
        """
        if not self._open:
            return self._root
        inner = self._scalar()
        for container, key in zip(reversed(self._open), reversed(self._keys), strict=True):
            copied = container.copy()
            if inner is NOTHING:
                pass
            elif isinstance(copied, dict):
                copied[key] = inner
            elif container is self._open[-1]:
                copied.append(inner)
            else:
                copied[-1] = inner
            inner = copied
        return inner

    def _scalar(self) -> Any:
        """Return the value of a string or a number that has not ended; `NOTHING` if there is none."""
        if self._read == self._read_string:
            return NOTHING if self._is_key else self._string
        if self._read != self._read_value or not self._rest:
            return NOTHING
        if self._rest in _WORDS:
            self.holds_null = self.holds_null or self._rest == "null"
            return _WORDS[self._rest]
        number = _NUMBER.match(self._rest)
        return json.loads(number[0]) if number else NOTHING

    def _read_start(self, text: str, place: int) -> int | None:
        """Read up to the first bracket."""
        after = _end(_FENCED if self._is_fenced else _UNFENCED, text, place)
        if after < len(text) and text[after] in "{[":
            self._read = self._read_value
            return after
        if after == len(text) and _end(_SPACE, text, place) == after:
            return after
        if after == len(text) or (self._is_fenced and _FENCE_BEGINS.fullmatch(text, place)):
            return None
        if self._is_fenced:
            self._read = self._skip
            return len(text)
        self._read = self._read_words
        return place

    def _read_words(self, text: str, place: int) -> int | None:
        """Read text up to a Markdown fence."""
        fence = text.find(_FENCE, place)
        if fence < 0:
            end = len(text) - len(text[-2:]) + len(text[-2:].rstrip("`"))  # of a fence, one or two ticks may be there
            return end if end > place else None
        self._is_fenced = True
        self._read = self._read_start
        return fence + len(_FENCE)

    def _read_value(self, text: str, place: int) -> int | None:
        begin = _end(_SPACE, text, place)
        if begin > place:
            return begin
        char = text[place]
        if char == '"':
            self._string, self._is_key, self._read = "", False, self._read_string
            return place + 1
        if char in "{[":
            whole = self._parse_whole(text, place)
            if whole is not None:
                return whole
            container: Any = {} if char == "{" else []
            self._attach(container)
            self._open.append(container)
            self._keys.append("")
            self._read = self._read_first
            return place + 1 if len(self._open) <= _DEEPEST else self._give_up(text)
        return self._read_literal(text, place)

    def _parse_whole(self, text: str, place: int) -> int | None:
        """Read an array or object that ends in this text; return None if it does not, or if that is not known."""
        if not self._tries:
            return None
        self._tries -= 1  # each try may read all of the text
        if text.find("}" if text[place] == "{" else "]", place) < 0:
            return None
        try:
            value, end = _parse(text, place)
        except (ValueError, RecursionError):  # it does not end here, is not JSON, or has what is not read
            return None
        if text.count("[", place, end) + text.count("{", place, end) > _DEEPEST - len(self._open):
            return None
        written = text[place:end]
        sound = sound_escapes(written)
        if sound != written:  # it has half of a surrogate pair
            value = _parse(sound)[0]
        self._tries += 1  # this part of the text is not read again
        self._attach(value)
        self.holds_null = self.holds_null or text.find("null", place, end) >= 0
        self._read = self._read_after if self._open else self._skip
        return end

    def _read_literal(self, text: str, place: int) -> int | None:
        """Read a number, true, false or null."""
        literal = _LITERAL.match(text, place)
        if literal is None:
            return self._give_up(text)
        if literal.end() == len(text):
            return None if len(literal[0]) <= _LONGEST else self._give_up(text)
        try:
            value = json.loads(literal[0])
        except ValueError:
            return self._give_up(text)
        self._attach(value)
        self.holds_null = self.holds_null or value is None
        self._read = self._read_after
        return literal.end()

    def _read_first(self, text: str, place: int) -> int | None:
        """Read on after an opening bracket."""
        place = _end(_SPACE, text, place)
        if place < len(text):
            is_object = isinstance(self._open[-1], dict)
            if text[place] == ("}" if is_object else "]"):
                return self._close(place)
            self._read = self._read_key if is_object else self._read_value
        return place

    def _read_key(self, text: str, place: int) -> int | None:
        place = _end(_SPACE, text, place)
        if place == len(text):
            return place
        if text[place] != '"':
            return self._give_up(text)
        self._string, self._is_key, self._read = "", True, self._read_string
        return place + 1

    def _read_colon(self, text: str, place: int) -> int | None:
        place = _end(_SPACE, text, place)
        if place == len(text):
            return place
        if text[place] != ":":
            return self._give_up(text)
        self._read = self._read_value
        return place + 1

    def _read_after(self, text: str, place: int) -> int | None:
        """Read on after a value."""
        place = _end(_SPACE, text, place)
        if place == len(text):
            return place
        is_object = isinstance(self._open[-1], dict)
        if text[place] == ",":
            self._read = self._read_key if is_object else self._read_value
            return place + 1
        return self._close(place) if text[place] == ("}" if is_object else "]") else self._give_up(text)

    def _read_string(self, text: str, place: int) -> int | None:
        """Read the characters of a string up to an escape, or one escape."""
        end = _end(_PLAIN, text, place)
        if end > place:
            self._string += text[place:end]
            return end
        if text[place] == '"':
            return self._end_string(place)
        escape = _ESCAPE.match(text, place)
        if escape is None:
            return None if _OPEN_ESCAPE.fullmatch(text, place) else self._give_up(text)
        end = escape.end()
        if _HIGH.fullmatch(escape[0]):  # half of a pair
            low = _ESCAPE.match(text, end)
            if low is None and (end == len(text) or _OPEN_ESCAPE.fullmatch(text, end)):
                return None
            end = low.end() if low is not None and _LOW.fullmatch(low[0]) else end
        self._string += clean_text(json.loads(f'"{text[place:end]}"'))
        return end

    def _end_string(self, place: int) -> int:
        if self._is_key:
            self._keys[-1] = self._string
            self._read = self._read_colon
        else:
            self._attach(self._string)
            self._read = self._read_after
        return place + 1

    def _attach(self, value: Any) -> None:
        """Put a value where the text has it."""
        if not self._open:
            self._root = value
        elif isinstance(self._open[-1], dict):
            self._open[-1][self._keys[-1]] = value
        else:
            self._open[-1].append(value)

    def _close(self, place: int) -> int:
        """End the innermost array or object."""
        self._open.pop()
        self._keys.pop()
        self._read = self._read_after if self._open else self._skip
        return place + 1

    def _give_up(self, text: str) -> int:
        """Read nothing more (rule 4)."""
        self._rest = ""
        self._read = self._skip
        return len(text)

    def _skip(self, text: str, place: int) -> int:
        del place
        return len(text)


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    """Return where a pattern that always matches ends."""
    found = pattern.match(text, place)
    return place if found is None else found.end()
