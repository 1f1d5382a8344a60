r"""Mask the secrets that the client itself sent, in every form in which a server can quote them.

`redaction.scrub` cannot recognise a token of an unknown issuer by its form. But the client knows what it sent
(`sent_values` finds the secrets in it).

Rule 1. They are found as they are, in another case, and with any of their characters escaped: JSON's ``\u002f`` and
``\/``, Python's ``\x2f``, JavaScript's ``\u{2f}``, octal ``\057``, a URL's ``%2F`` and ``%u002f``, HTML's ``&#47;`` and
``&sol;``, quoted-printable. Escapes around escapes are undone until nothing changes, up to `_LAYERS` times.
Rule 2. They are found in Base64, at any place of a longer text, in hexadecimal and as a list of characters or of bytes;
and with blanks, line breaks or invisible characters within.
Rule 3. Servers cut what they quote. The beginning counts from half of a secret on, and 12 characters are enough; any
other piece counts from three quarters on. No piece counts that has fewer than 8 characters or is a word.
Rule 4. Short values and words could also be words of the server. A value that is a word counts from 8 letters on, any
other from 4 characters on; up to 7 characters, and words, only in their own case and where no letter, digit or hyphen
touches them.
Rule 5. Mask a text before it is cut, because a short piece of a secret is not recognised.
Rule 6. The time is linear in the length of the text.
"""

from __future__ import annotations

import base64
import re
import sys
from bisect import bisect_left, bisect_right
from functools import cached_property
from html.entities import html5
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.errors.redaction import MASK, is_word
from langchain_dbchat.errors.sent_values import SHORTEST_PART, secret_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Hide = Callable[[str], str]
    Span = tuple[int, int]

__all__ = ["SEARCHED", "hide_causes", "hide_in_bytes", "hide_in_values", "hider"]

_SHORTEST = 4  # characters
_LONG_ENOUGH = 12  # characters of a beginning, of a secret of any length
SEARCHED = 1024 * 1024  # bytes of an answer, and letters in which escapes are undone: both take time and memory
_LAYERS = 8  # escapes of one kind within each other are one layer
_HEX2, _HEX4 = "([0-9A-Fa-f]{2})", "([0-9A-Fa-f]{4})"
_ESCAPE = re.compile(
    rf"\\+(?:u{_HEX4}|x{_HEX2}|u\{{([0-9A-Fa-f]{{1,6}})\}}|U00([0-9A-Fa-f]{{6}})"  # JSON, Python, JavaScript
    r"|([0-7]{1,3})|([nrtbfva])|([^\\]?))"
    rf"|%(?:25)*(?:{_HEX2}|u{_HEX4})"  # a URL
    r"|&(?:amp;)*(?:#0{0,32}([0-9]{1,7});?|#[xX]0{0,32}([0-9A-Fa-f]{1,6});?|([A-Za-z]{2,31};))"  # HTML
)
_OCTAL, _CONTROL, _OTHER, _DECIMAL, _NAME = 5, 6, 7, 10, 12  # groups of `_ESCAPE`; the others are hexadecimal
_NOT_HEXADECIMAL = frozenset({_OCTAL, _CONTROL, _OTHER, _DECIMAL, _NAME})
_GAPS = re.compile(r"[\s,\"'\x00\xad\u200b-\u200d\u2060\ufeff]+")
_QUOTED_PRINTABLE = re.compile(r"=(?:([0-9A-F]{2})|[ \t]{0,8}\r?\n)")
_TOUCHING = re.compile(r"[\w-]")


def hider(
    headers: Iterable[tuple[str, str]],
    url: str = "",
    form: Mapping[str, str] | None = None,
    signature: Iterable[tuple[str, str]] = (),
    known: Iterable[str] = (),
) -> Hide:
    """Make the function that masks the secrets of one call.

    Args:
        headers: The names and values of the headers that were sent.
        url: The URL that was called.
        form: The fields of a form that was sent.
        signature: The headers that the credentials gave. All of their values are secrets.
        known: Other secrets, which need not be found.

    Returns:
        A function that takes a text and returns it with ``***`` where a secret stood.
    """
    secrets = dict.fromkeys([*known, *secret_values(headers, url, form, signature)])
    forms = [form for value in secrets for form in _forms(value)]
    needles = list(dict.fromkeys(needle for form in forms for needle in _needles(form)))

    def hide(text: str) -> str:
        spans: list[Span] = []
        for reading in _readings(text) if needles else ():
            found = {span for needle in needles for span in needle.found(reading)}
            spans += map(reading.origin, found)
        return _masked(text, spans) if spans else text

    return hide


def hide_in_bytes(hide: Hide, data: bytes) -> bytes:
    """Mask secrets in the bytes of an answer that an error is made of.

    Args:
        hide: What `hider` made.
        data: UTF-8. What is behind the first MiB is left out: no error quotes that much, and searching it takes time.

    Returns:
        The same object if no secret is in it and nothing is left out.
    """
    data = data[:SEARCHED]
    text = data.decode("utf-8", "surrogateescape")
    masked = hide(text)
    return data if masked == text else masked.encode("utf-8", "surrogateescape")


def hide_in_values(hide: Hide, value: Any) -> Any:
    """Mask secrets in all texts of a value.

    Args:
        hide: What `hider` made.
        value: Text, a dict, whose keys are masked too, a list, or anything else, which is returned as it is.

    Returns:
        A new value.
    """
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {hide_in_values(hide, key): hide_in_values(hide, below) for key, below in value.items()}
    return [hide_in_values(hide, below) for below in value] if isinstance(value, list) else value


def hide_causes(error: BaseException, hide: Hide) -> None:
    """Mask secrets in the texts of an exception of a library and of those that led to it.

    Args:
        error: The exception; it belongs to this call alone.
        hide: What `hider` made.
    """
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        at = todo.pop()
        if at is None or id(at) in seen:
            continue
        seen.add(id(at))
        if hide(str(at)) != str(at):
            at.args = tuple(hide(value if isinstance(value, str) else str(value)) for value in at.args)
        todo += [at.__cause__, at.__context__]


class _Needle(NamedTuple):
    """A string that a text is searched for.

    Attributes:
        value: The string; in lower case, unless it counts only where it is alone.
        alone: Whether it counts only where no letter touches it.
        cut: Whether a piece of it counts too.
    """

    value: str
    alone: bool = False
    cut: bool = False

    def found(self, reading: _Reading) -> Iterator[Span]:
        """Yield the places of the string, and of its pieces, in a text."""
        value, size = self.value, len(self.value)
        if self.alone:
            if not reading.is_joined:
                yield from (span for span in _places(reading.text, value) if _is_alone(reading.text, *span))
        elif reading.is_joined or not self.cut:
            yield from _places(reading.lower, value)
        else:
            beginning = max(SHORTEST_PART, min(_LONG_ENOUGH, (size + 1) // 2))
            yield from self._pieces(reading, 0, beginning, beginning)
            yield from self._pieces(reading, size // 4, size - size // 4, max(SHORTEST_PART, size - size // 4))

    def _pieces(self, reading: _Reading, start: int, end: int, shortest: int) -> Iterator[Span]:
        """Yield the places of pieces of the string that contain its letters from start to end."""
        value, text = self.value, reading.lower
        for first, last in _places(text, value[start:end]):
            if text.startswith(value, first - start):
                yield first - start, first - start + len(value)
                continue
            before = text[max(0, first - start) : first]
            at = first - _shared(before[::-1], value[:start][::-1]) if start else first
            to = last + _shared(text[last : last + len(value) - end], value[end:])
            if to - at >= shortest and not is_word(reading.text[at:to].rstrip("-_/.,:;= ")):
                yield at, to


def _forms(value: str) -> Iterator[str]:
    """Yield a secret as it was sent, with the escapes in it undone, and as the escapes of a text with it are read."""
    forms = [value]
    while (undone := _unescaped(forms[-1])[0]) != forms[-1] and len(forms) < _LAYERS:
        forms.append(undone)
    if not value.isascii():  # a URL escapes the bytes of UTF-8, and JSON the halves of pairs
        forms.append(_bytes_of(value).decode("latin-1"))
        halves = value.encode("utf-16-be", "surrogatepass")
        forms.append("".join(chr(int.from_bytes(halves[at : at + 2], "big")) for at in range(0, len(halves), 2)))
    yield from dict.fromkeys(form for one in forms for form in (one, one.replace(" ", "+")))


def _needles(value: str) -> Iterator[_Needle]:
    """Yield the strings that a text is searched for: a secret, and what it is in other codes."""
    word = is_word(value)
    if len(value) < (SHORTEST_PART if word else _SHORTEST):
        return
    if word or len(value) < SHORTEST_PART:
        yield _Needle(value, alone=True)
        return
    data = _bytes_of(value)
    yield from (_Needle(_in_lower_case(form), cut=True) for form in (value, data.hex(), *_in_base64(data)))
    yield _Needle("".join(map(str, data)))  # without the commas of a list, as those of `_GAPS`


def _bytes_of(value: str) -> bytes:
    """Return the bytes of a secret, in which escapes of halves of pairs may have been undone."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield the characters of Base64 that depend on a value alone, for each of its three possible places."""
    for before in range(3):
        whole = len(data) + before
        code = base64.b64encode(b"\0" * before + data)[-(-before * 4 // 3) : whole * 4 // 3].decode()
        yield code
        yield code.translate({ord("+"): "-", ord("/"): "_"})


def _places(text: str, value: str) -> Iterator[Span]:
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        yield start, end
        start = text.find(value, end)


def _shared(text: str, other: str) -> int:
    """Return the number of characters with which both begin."""
    for number, (left, right) in enumerate(zip(text, other, strict=False)):
        if left != right:
            return number
    return min(len(text), len(other))


def _is_alone(text: str, start: int, end: int) -> bool:
    return not any(_TOUCHING.match(character) for character in (text[start - 1 : start], text[end : end + 1]))


def _in_lower_case(text: str) -> str:
    """Return a text of the same length in lower case; only U+0130 has one of two characters."""
    return text.replace("\u0130", "i").lower()


class _Reading:
    """One way in which a text can be read.

    Args:
        text: The text so read.
        steps: What leads from a place in it back to that in the original text.
        is_joined: Whether something between characters is left out that may also be between words.
    """

    def __init__(self, text: str, steps: tuple[_Replacement, ...] = (), *, is_joined: bool = False) -> None:
        self.text = text
        self.lower = _in_lower_case(text)
        self.is_joined = is_joined
        self._steps = steps

    def origin(self, span: Span) -> Span:
        """Return where a piece of this text stands in the original."""
        for step in reversed(self._steps):
            span = step.origin(span)
        return span


class _Replacement:
    """The replacement of escapes by what they stand for. Where they stood is computed only if somebody asks."""

    def __init__(self, text: str, pattern: re.Pattern[str]) -> None:
        self._text = text
        self._pattern = pattern

    @cached_property
    def _pieces(self) -> tuple[list[int], list[int]]:
        """Return where pieces begin in the text without escapes, and in the text with them."""
        sizes, origins, start = [0], [0], 0
        for escape in self._pattern.finditer(self._text):
            sizes += [escape.start() - start, len(_character(escape))]
            origins += [escape.start(), start := escape.end()]
        return list(accumulate(sizes)), origins

    def origin(self, span: Span) -> Span:
        """Return where a piece of the text without escapes stands in the text with them."""
        places, origins = self._pieces
        first = bisect_right(places, span[0]) - 1
        last = bisect_left(places, span[1])
        last -= last == len(places) or places[last] != span[1]
        return origins[first] + span[0] - places[first], origins[last] + span[1] - places[last]


def _readings(text: str) -> Iterator[_Reading]:
    """Yield a text as it is, and with its escapes undone, one layer after the other."""
    steps: tuple[_Replacement, ...] = ()
    for _ in range(_LAYERS):
        yield _Reading(text, steps)
        for pattern in (_GAPS, _QUOTED_PRINTABLE):
            joined = pattern.sub(_character if pattern is _QUOTED_PRINTABLE else "", text)
            if joined != text:
                yield _Reading(joined, (*steps, _Replacement(text, pattern)), is_joined=True)
        text, step = _unescaped(text[:SEARCHED])
        if step is None:
            return
        steps = (*steps, step)


def _unescaped(text: str) -> tuple[str, _Replacement | None]:
    """Undo the escapes of a text.

    Returns:
        The text, and what leads from a place in it to that in the text with escapes; None if nothing changes.
    """
    plain = _ESCAPE.sub(_character, text)
    return (text, None) if plain == text else (plain, _Replacement(text, _ESCAPE))


def _character(escape: re.Match[str]) -> str:
    """Return the character that an escape stands for."""
    group = escape.lastindex
    if group is None:
        return ""
    code, base = escape[group], 16
    if escape.re is _ESCAPE and group in _NOT_HEXADECIMAL:
        if group == _CONTROL:
            return "\n"  # any control character: it is not part of a secret
        if group == _OTHER:
            return code
        if group == _NAME:
            return html5.get(code, escape[0])
        base = 10 if group == _DECIMAL else 8
    number = int(code, base)
    return chr(number) if number <= sys.maxunicode else ""


def _masked(text: str, spans: Iterable[Span]) -> str:
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        if start >= at:
            pieces += [text[at:start], MASK]
        at = end
    return "".join((*pieces, text[at:]))
