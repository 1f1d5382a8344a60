"""Find the secrets among what was sent with a request.

Rule 1. Secrets are the values of headers, of form fields and of URL parameters with a secret's name (``Authorization``,
``Cookie``, ``X-Api-Key``, ``?sig=``), and of all headers that the credentials gave, whatever their names, except those
that name the workspace, the client or the type of the body.
Rule 2. The scheme of an ``Authorization`` is not one (``Bearer``, ``Api-Key``, ``AWS4-HMAC-SHA256``). What follows is
one, and so is each part of it, without its name (``token=``, ``v2:``), that has 8 characters and is not a word.
Of HTTP Basic it is also what is encoded, and the password alone; of cookies, each value.
Rule 3. What a signature names so that everybody can check it is not a secret: the address, the realm, the names of the
signed headers (https://www.rfc-editor.org/rfc/rfc7616#section-3.4).
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from langchain_dbchat.errors.redaction import is_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["SHORTEST_PART", "secret_values"]

SHORTEST_PART = 8
"""Characters of the shortest text that is a secret wherever it stands."""

_SECRET_NAME = re.compile(
    r"(?i)authori[sz]ation|authenticate|cookie|token|secret|password|passwd|passphrase|credential|assertion|signature"
    r"|hmac|(?:^|[-_])sig$|(?:api|access|subscription|functions?|account|private|shared|session|licen[cs]e)[-_]?key"
    r"|^(?:x-)?key$|^code$|(?:^|[-_])(?:auth|bearer|jwt|pass|pwd|otp|pin)(?:$|[-_])"
)
_OPEN_HEADER = re.compile(r"(?i)(?:accept|content|user|x-databricks-(?:workspace|org))-|(?:accept|host)$")
_SCHEME = re.compile(r"[A-Za-z][\w-]{0,23}\s+(?=\S)")
_BETWEEN = re.compile(r"[\s,;]+")
_NAMED = re.compile(r"([A-Za-z0-9][\w-]{0,31})[=:]\"?(?=[^=\"])")
_MOST_NAMES = 3  # before one value: token="v2:..."
_PUBLIC = frozenset(
    {"algorithm", "headers", "keyid", "nc", "opaque", "qop", "realm", "signedheaders", "uri", "username", "version"}
)


def secret_values(
    headers: Iterable[tuple[str, str]],
    url: str = "",
    form: Mapping[str, str] | None = None,
    signature: Iterable[tuple[str, str]] = (),
) -> list[str]:
    """Find the secrets of one request.

    Args:
        headers: The names and values of the headers that were sent.
        url: The URL that was called.
        form: The fields of a form that was sent.
        signature: The names and values of the headers that the credentials gave.

    Returns:
        Each secret once; some are parts of others, and some are short.
    """
    address = urlsplit(url)
    fields = [*headers, *(form or {}).items(), *parse_qsl(address.query)]
    fields = [
        *(field for field in signature if not _OPEN_HEADER.match(field[0])),
        *(field for field in fields if _SECRET_NAME.search(field[0])),
    ]
    found = [value for name, value in fields for value in _values(name.lower(), value.strip())]
    return list(dict.fromkeys([*found, unquote(address.password or "")]))


def _values(name: str, value: str) -> Iterator[str]:
    """Yield a field's value, and those of its parts that are secrets of their own."""
    scheme = _SCHEME.match(value)
    rest = value if scheme is None else value[scheme.end() :]
    yield rest
    if "cookie" in name:
        yield from (part.partition("=")[2].strip().strip('"') for part in value.split(";"))
    elif scheme is not None and scheme[0].strip().lower() == "basic":
        decoded = _decoded(rest)
        yield from (decoded, decoded.partition(":")[2])
        return
    elif "authori" not in name:  # what looks like a scheme may be the first of several secrets
        yield value
        rest = value
    for part in _BETWEEN.split(rest):
        yield from (piece for piece in _without_names(part) if len(piece) >= SHORTEST_PART and not is_word(piece))


def _without_names(part: str) -> Iterator[str]:
    """Yield a part of a value, and what is left of it without each name in front; nothing if it is public."""
    named = _NAMED.match(part)
    if named is None or named[1].lower() not in _PUBLIC:
        yield part.strip('"')
        for _ in range(_MOST_NAMES):
            if named is None:
                return
            part = part[named.end() :]
            yield part.strip('"')
            named = _NAMED.match(part)


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        return ""
