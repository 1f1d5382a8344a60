"""What an attempt has sent, for masking it where the server quotes it.

Rule 1. The request id of an answer is in messages and errors, so it is masked where the answer begins. All other texts
of a server are masked where something went wrong.
Rule 2. Most request ids are a UUID or a few letters. For those, a plain comparison with what was sent is enough.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from langchain_dbchat.transport.messages import Request
    from langchain_dbchat.transport.sending import Sending

__all__ = ["may_quote", "secrets_sent"]

_ORDINARY = re.compile(r"[\w.:-]{1,40}")  # a token of 30 characters is longer in any code
_BEGINNING = 8  # characters; no shorter piece of a long secret is masked
_BETWEEN = re.compile(r"[\s,;:=&?\"]+")
_SHORTEST = 4


def may_quote(
    text: str, request: Request, signature: Mapping[str, str], built: httpx.Request | None, sending: Sending | None
) -> bool:
    """Return whether a short text could contain a part of what was sent; True is not certain.

    Args:
        text: The text.
        request: The request before it was signed.
        signature: The headers that the credentials gave.
        built: The request as the client wrote it.
        sending: What has watched a user's client, which adds headers; None for our own clients.
    """
    if len(text) < _SHORTEST:
        return False
    if _ORDINARY.fullmatch(text) is None:
        return True
    values = [*signature.values(), *request.headers.values()]
    if "?" in request.url:
        values.append(request.url)
    if sending is not None and built is not None:
        values += (value.decode("latin-1") for _, value in built.headers.raw)
    lower = text.lower()
    for value in values:
        if text in value or value.startswith("Basic "):  # whose password is encoded
            return True
        for piece in (value[7:],) if value.startswith("Bearer ") else _BETWEEN.split(value):
            if len(piece) >= _SHORTEST and piece[:_BEGINNING].lower() in lower:
                return True
    return False


def secrets_sent(
    request: Request,
    signature: Mapping[str, str],
    headers: Mapping[str, str],
    built: httpx.Request | None,
    sending: Sending | None,
) -> list[str]:
    """Find the secrets that an attempt has sent.

    Args:
        request: The request before it was signed.
        signature: The headers that the credentials gave.
        headers: All headers that we gave.
        built: The request as the client wrote it; it also has the headers and the authentication of a user's client.
        sending: What has watched a user's client, which may have sent more than one request.
    """
    from langchain_dbchat.errors.sent_values import secret_values  # noqa: PLC0415  # where something went wrong

    url = request.url if built is None else str(built.url)
    sent = [] if sending is None else sending.sent
    fields = [*headers.items(), *([] if built is None else built.headers.multi_items()), *sent]
    form = None if request.purpose is None else request.purpose.form
    return secret_values(dict.fromkeys(fields), url, form, signature.items())
