r"""Mask the secrets that the client itself sent, in every form in which a server can quote them.

`redaction.scrub` cannot recognise a token of an unknown issuer by its form. But the client knows what it sent.

Rule 1. Secrets are the values of headers, of form fields and of URL parameters with a secret's name (``Authorization``,
``Cookie``, ``X-Api-Key``, ``?sig=``), without the scheme in front (``Bearer``); of HTTP Basic also what is encoded, and
the password alone.
Rule 2. They are found as they are; with any of their characters escaped, once or more (JSON's ``\u002f`` and ``\/``,
Python's ``\x2f``, a URL's ``%2F``, HTML's ``&#47;`` and ``&sol;``); and in Base64, at any place of a longer text.
Rule 3. Short values and words could also be words of the server. A value that is a word counts from 8 letters on, any
other from 4 characters on; up to 7 characters, and words, only where no letter, digit or hyphen touches them.
Rule 4. Mask a text before it is cut, because the beginning of a secret is not recognised.
Rule 5. The time is linear in the length of the text.
"""

from __future__ import annotations

import base64
import html
import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus, unquote, urlsplit

from langchain_dbchat.errors.redaction import MASK, is_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Hide = Callable[[str], str]

__all__ = ["hide_causes", "hide_in_bytes", "hide_in_values", "hider"]

_SECRET_NAME = re.compile(
    r"(?i)authori[sz]ation|authenticate|cookie|token|secret|password|passwd|credential|assertion|(?:^|[-_])sig(?:nature)?$"
    r"|(?:api|access|subscription|functions?|account|private|shared|session)[-_]?key|^(?:x-)?key$|^code$"
    r"|(?:^|[-_])(?:auth|bearer|jwt|pass|pwd)(?:$|[-_])"
)
_SHORTEST, _SHORTEST_ANYWHERE = 4, 8  # characters
_SEARCHED = 1024 * 1024  # bytes of an answer, and letters in which escapes are undone: both take time and memory
_ESCAPE = re.compile(
    r"\\{1,16}(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([nrtbfv0])|(?=[^\\]))"  # JSON, Python, JavaScript
    r"|%(?:25){0,4}([0-9A-Fa-f]{2})"  # a URL
    r"|&(?:amp;){0,4}(#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z]{2,31};)"  # HTML
)
_TOUCHING = re.compile(r"[\w-]")


@dataclass(frozen=True, slots=True)
class _SentSecret:
    """A secret, and whether it counts only where it is alone."""

    value: str
    alone: bool


def hider(headers: Iterable[tuple[str, str]], url: str = "", form: Mapping[str, str] | None = None) -> Hide:
    """Make the function that masks the secrets of one request.

    Args:
        headers: The names and values of the headers that were sent.
        url: The URL that was called.
        form: The fields of a form that was sent.

    Returns:
        A function that takes a text and returns it with ``***`` where a secret stood.
    """
    fields = [*headers, *(form or {}).items(), *parse_qsl(urlsplit(url).query)]
    found = [value for name, value in fields if _SECRET_NAME.search(name) for value in _values(name, value)]
    found.extend(filter(None, [unquote(urlsplit(url).password or "")]))
    secrets = [secret for value in dict.fromkeys(found) if (secret := _secret(value)) is not None]
    needles = [needle for secret in secrets for needle in _needles(secret)]

    def hide(text: str) -> str:
        spans = [span for needle in needles for span in _found(text, needle)]
        plain, positions = _unescaped(text[:_SEARCHED])
        if positions is not None:
            escaped = (span for secret in secrets for span in _found(plain, secret))
            spans.extend((positions(start), positions(end)) for start, end in escaped)
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
    data = data[:_SEARCHED]
    text = data.decode("utf-8", "surrogateescape")
    masked = hide(text)
    return data if masked == text else masked.encode("utf-8", "surrogateescape")


def hide_in_values(hide: Hide, value: Any) -> Any:
    """Mask secrets in all texts of a value.

    Args:
        hide: What `hider` made.
        value: Text, a dict, a list, or anything else, which is returned as it is.

    Returns:
        A new value.
    """
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {key: hide_in_values(hide, below) for key, below in value.items()}
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


def _values(name: str, value: str) -> Iterator[str]:
    """Yield a field's value, and those of its parts that are secrets of their own."""
    value = value.strip()
    scheme, _, rest = value.partition(" ")
    yield rest.strip() if rest and scheme.isalpha() else value
    if "cookie" in name.lower():
        yield from (part.partition("=")[2].strip().strip('"') for part in value.split(";"))
        return
    if scheme.lower() == "basic":
        decoded = _decoded(rest)
        yield from (decoded, decoded.partition(":")[2])


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        return ""


def _secret(value: str) -> _SentSecret | None:
    word = is_word(value)
    if len(value) < (_SHORTEST_ANYWHERE if word else _SHORTEST):
        return None
    return _SentSecret(value, word or len(value) < _SHORTEST_ANYWHERE)


def _needles(secret: _SentSecret) -> Iterator[_SentSecret]:
    """Yield the strings that a text is searched for: the secret, with escapes, and in Base64."""
    value = secret.value
    forms = {value, value.replace("\\", "\\\\"), value.replace("\\", "\\\\").replace('"', '\\"'), quote_plus(value)}
    yield from (_SentSecret(form, secret.alone) for form in forms)
    if not secret.alone:
        yield from (_SentSecret(form, False) for form in _in_base64(value))


def _in_base64(value: str) -> Iterator[str]:
    """Yield the characters of Base64 that depend on a value alone, for each of its three possible places."""
    data = value.encode("utf-8", "surrogateescape")
    for before in range(3):
        whole = len(data) + before
        code = base64.b64encode(b"\0" * before + data)[-(-before * 4 // 3) : whole * 4 // 3].decode()
        yield code
        yield code.translate({ord("+"): "-", ord("/"): "_"})


def _found(text: str, secret: _SentSecret) -> Iterator[tuple[int, int]]:
    value = secret.value
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        if not (secret.alone and (_touches(text[start - 1 : start]) or _touches(text[end : end + 1]))):
            yield start, end
        start = text.find(value, end)


def _touches(character: str) -> bool:
    return _TOUCHING.match(character) is not None


def _unescaped(text: str) -> tuple[str, Callable[[int], int] | None]:
    """Undo the escapes of a text.

    Returns:
        The text, and a function from a place in it to that in the text with escapes; None if there are no escapes.
    """
    pieces: list[str] = []
    origins: list[int] = []  # where each piece begins in the text
    start = 0
    for escape in _ESCAPE.finditer(text):
        pieces += [text[start : escape.start()], _character(escape)]
        origins += [start, escape.start()]
        start = escape.end()
    if not pieces:
        return text, None
    pieces.append(text[start:])
    origins += [start, len(text)]
    places = [0, *accumulate(map(len, pieces))]  # where each piece begins in the text without escapes

    def position(place: int) -> int:
        number = bisect_left(places, place)
        return origins[number] if places[number] == place else origins[number - 1] + place - places[number - 1]

    return "".join(pieces), position


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[4]
    if code:
        return chr(int(code, 16))
    if escape[3]:
        return "\n"  # any control character: it is not part of a secret
    return html.unescape(f"&{escape[5]}") if escape[5] else ""


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        if start >= at:
            pieces += [text[at:start], MASK]
        at = end
    return "".join((*pieces, text[at:]))
