"""Mask secrets in a text with ``***``, by their form or their name, and keep the words of the server.

Rule 1. Whatever has the form of a token of a known issuer is a secret everywhere: Databricks personal access tokens and
OAuth secrets, JSON Web Tokens, keys of OpenAI, Anthropic, Google, AWS, Groq, xAI and Hugging Face.
Rule 2. The value of an ``Authorization`` header, a named secret (``api_key: ...``, ``"password": "..."``,
``client_secret=...``) and the user part of a URL are secrets because of their place.
Rule 3. Words are not secrets. Servers write ``invalid_api_key: Incorrect API key provided``, ``api_key: Field
required``, ``client_secret: invalid`` and "Basic Authentication is disabled": codes and sentences stay. A value is a
word if it has only letters (and hyphens between them) and is in a sentence, or if it is one of the words with which
servers judge a value (`_JUDGEMENTS`). A password of letters only, in the middle of a sentence, is not recognised by its
form.
Rule 4. Masking a text twice changes nothing.
Rule 5. The time is linear in the length of the text.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

from langchain_dbchat.errors.sound_text import clean_text

__all__ = ["MASK", "is_word", "scrub"]

MASK = "***"

# No letter or digit stands before a token, except those of an escape: a text may be JSON (\n, \u003c) or a URL (%3D).
_EDGE = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=\\x[0-9A-Fa-f]{2})|(?<=%[0-9A-Fa-f]{2}))"
_ISSUED = (
    rf"(?=[dgshxA]){_EDGE}(?:"
    # Databricks: personal access tokens (dapi + 32 hex digits, sometimes -N), and OAuth client secrets (dose...).
    r"(?:dapi|dkea|dsapi)(?:[\w-]{8,}|[\w-]*\d[\w-]*)"
    r"|dose(?=[A-Za-z]{0,60}\d)[0-9A-Za-z]{12,}"
    # OpenAI, Anthropic, LiteLLM (OpenAI shows the ends of a key itself: sk-ab***yz); Groq, xAI, Hugging Face.
    r"|sk-(?![*.]*(?:\s|$))[\w*-]{6,}"
    r"|(?:gsk_|xai-|hf_)(?=[\w-]{0,60}\d)[\w-]{16,}"
    # Google API keys and AWS access key ids.
    r"|AIza[\w-]{30,}|A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])"
    r")"
    # JSON Web Tokens: OAuth access tokens of Databricks and of the clouds.
    r"|eyJ[\w-]{8,}(?:\.[\w-]*)*"
)
_USER_IN_URL = r"(://)[^/\s:@\"']{0,200}:[^/\s\"'<>]{1,200}@"
_HEADER = r"(?i)(\bauthorization[\"'\\]{0,4}\s{0,4}[:=]\s{0,4}[\"'\\]{0,4}(?:bearer|basic|token)\s+)([^\s\"'\\,;}{]+)"
_BEARER = r"(?i)(\bbearer\s+)([\w.~+/=-]{5,})"
_BASIC = r"(?i)(\bbasic\s+)([A-Za-z0-9+/=]{8,})"
_PROVIDED = r"(?i)(\b(?:key|token|secret|password|credential)s? provided:\s{1,4}[\"'`]?)([^\s\"'`,;}{]{6,})"
_NAME = (
    r"(?:access_token|refresh_token|id_token|client[_-]?secret|secret[_-]?access[_-]?key|api[_-]?key|password|passwd)"
)
# Named in JSON (also escaped within a JSON string), in Python's repr, in forms, in query strings and in headers.
_QUOTED = rf"(?i)({_NAME}\\?[\"']?\s{{0,4}}[:=]\s{{0,4}}(\\?[\"']))((?:(?!\2)[^\n]){{3,2000}}?)(?=\2)"
_PLAIN = rf"(?i)({_NAME}\\?[\"']?\s{{0,4}}[:=]\s{{0,4}})([^\s\"'\\&,;}}{{]{{3,}})"
_FORM = r"(?i)((?<![\w-])(?:token|sig|signature)=)([^\s\"'\\&,;}{]{6,})"

_WORD = (
    r"[A-Za-z]?[a-z]+(?:[-/_'][A-Za-z]?[a-z]+){0,4}[.,:;!?)]*|[A-Z]{2,12}[.,:;!?)]*|O?Auth(?:[ -]?[12](?:\.0)?)?[.,]?"
)
_PLACEHOLDER = r"(?i)your[_-]|<[a-z]|\$\{?[a-z]|\*+$"
_SENTENCE = r"\s+[(\"'`<\[]?[a-z]{2,}\b|\s+[(\"'`<\[]?[A-Z]{2,}\b|\s+[A-Z][a-z]+\b"
_LONGEST_WORD = 24  # letters; a longer value without a digit is probably a key
_JUDGEMENTS = (
    r"(?i)(?:invalid|missing|required|expired|incorrect|wrong|unknown|empty|none|null|nil|true|false|undefined|unset"
    r"|malformed|revoked|rejected|denied|disabled|unauthori[sz]ed|forbidden|unsupported|mismatch|bad|absent|deprecated"
    r"|optional|redacted|hidden|masked|omitted|string|str|bytes|secret)[.,:;!?)]*"
)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern when a text first needs it; the address of a first call needs none."""
    return re.compile(text)


def scrub(text: str) -> str:
    """Mask the secrets in a text: tokens, keys, Authorization values, passwords.

    Args:
        text: Any text that a server or a library wrote.

    Returns:
        The same text with ``***`` where a secret stood, which can be printed and stored.
    """
    text = clean_text(text)
    # A pattern without regard to case takes U+017F for an "s", so marks decide about ASCII texts only.
    lowered = text.lower() if text.isascii() else None
    for marks, pattern, replacement in _mask_rules():
        if lowered is None or any(mark in lowered for mark in marks):
            text = _pattern(pattern).sub(replacement, text)
    return text


def _mask_header(match: re.Match[str]) -> str:
    """Mask the value of an Authorization header, unless the text is a sentence about the header."""
    prose = is_word(match[2]) and (_is_in_sentence(match) or _pattern(_PLACEHOLDER).match(match[2]))
    return _keep(match) if prose else f"{match[1]}{MASK}"


def _mask_unless_a_word(match: re.Match[str]) -> str:
    """Mask what follows "Bearer" in a text, unless it is a word: a token has digits or odd capitals."""
    return _keep(match) if is_word(match[2]) else f"{match[1]}{MASK}"


def _mask_basic(match: re.Match[str]) -> str:
    """Mask what follows "Basic" in a text if it has more than letters, or is the Base64 of ``user:password``."""
    value = match[2]
    return f"{match[1]}{MASK}" if not value.isalpha() or b":" in _decoded(value) else _keep(match)


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except ValueError:
        return b""


def _mask_if_mixed(match: re.Match[str]) -> str:
    """Mask a value that has digits and letters, or is too long for a word."""
    value = match[2]
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return f"{match[1]}{MASK}" if mixed or len(value) > _LONGEST_WORD else _keep(match)


def _mask_quoted(match: re.Match[str]) -> str:
    """Mask a quoted value with a secret's name, unless it is a sentence or a judgement about the value."""
    value = match[3]
    words = value.split()
    sentence = len(words) > 1 and all(map(is_word, words))
    return _keep(match) if sentence or _judges(value) else f"{match[1]}{MASK}"


def _mask_named(match: re.Match[str]) -> str:
    """Mask an unquoted value with a secret's name, unless it is a judgement or begins a sentence."""
    value = match[2]
    prose = is_word(value) and match[1][-1].isspace() and _is_in_sentence(match)
    return _keep(match) if prose or _judges(value) else f"{match[1]}{MASK}"


class _MaskRule(NamedTuple):
    """One kind of secret.

    Attributes:
        marks: Of these, in lower case, at least one is in every ASCII text that the pattern matches.
        pattern: The pattern.
        replacement: What is written instead.
    """

    marks: tuple[str, ...]
    pattern: str
    replacement: str | Callable[[re.Match[str]], str]


_ISSUERS = ("dapi", "dkea", "dsapi", "dose", "sk-", "gsk_", "xai-", "hf_", "aiza", "akia", "asia", "eyj")
_NAMED = ("token", "secret", "key", "passw")


@cache
def _mask_rules() -> tuple[_MaskRule, ...]:
    return (
        _MaskRule(_ISSUERS, _ISSUED, MASK),
        _MaskRule(("@",), _USER_IN_URL, rf"\1{MASK}@"),
        _MaskRule(("authorization",), _HEADER, _mask_header),
        _MaskRule(("bearer",), _BEARER, _mask_unless_a_word),
        _MaskRule(("basic",), _BASIC, _mask_basic),
        _MaskRule(("provided:",), _PROVIDED, _mask_if_mixed),
        _MaskRule(_NAMED, _QUOTED, _mask_quoted),
        _MaskRule(_NAMED, _PLAIN, _mask_named),
        _MaskRule(("=",), _FORM, _mask_if_mixed),
    )


def _keep(match: re.Match[str]) -> str:
    return match[0]


def _judges(value: str) -> bool:
    return _pattern(_JUDGEMENTS).fullmatch(value) is not None


def is_word(value: str) -> bool:
    """Return whether a value could be a word of a sentence, or a placeholder for a secret.

    Args:
        value: The value, without spaces.
    """
    return len(value) <= _LONGEST_WORD and bool(_pattern(_WORD).fullmatch(value) or _pattern(_PLACEHOLDER).match(value))


def _is_in_sentence(match: re.Match[str]) -> bool:
    return _pattern(_SENTENCE).match(match.string, match.end()) is not None
