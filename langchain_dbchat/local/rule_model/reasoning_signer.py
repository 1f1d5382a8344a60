"""Make and check signatures of reasoning (docs/wire.md, 3.2, 5.1, 5.2).

Databricks' own signatures cannot be read; what matters to a client is that reasoning comes back exactly as it went out.
So a signature here is an HMAC over the text with a random key of the workspace: a changed text, a missing
signature and a signature of another server are all found.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Any

from pydantic_core import from_json, to_json


class ReasoningSigner:
    """Signs with a random key."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def _digest(self, kind: str, *parts: str) -> bytes:
        message = "\x00".join((kind, *parts)).encode()
        return hmac.new(self._key, message, hashlib.sha512).digest()

    def sign(self, kind: str, *parts: str) -> str:
        """Return a signature over ``parts``; ``kind`` separates the families."""
        return "EqoB" + base64.b64encode(self._digest(kind, *parts)).decode()

    def verify(self, signature: object, kind: str, *parts: str) -> bool:
        """Return whether ``signature`` is that of this key, kind and parts."""
        return isinstance(signature, str) and hmac.compare_digest(signature.encode(), self.sign(kind, *parts).encode())

    def redact(self, text: str) -> str:
        """Return redacted reasoning: the encoded text and its signature."""
        hidden = base64.b64encode(text.encode()).decode()
        return f"{self.sign('hidden', hidden)}.{hidden}"

    def is_redaction(self, data: object) -> bool:
        """Return whether ``data`` is redacted reasoning of this signer."""
        if not isinstance(data, str):
            return False
        signature, _, hidden = data.partition(".")
        return self.verify(signature, "hidden", hidden)


def canonical_arguments(arguments: object) -> str:
    """Return tool call arguments without regard to spacing and order: what a thought signature covers."""
    value: Any = arguments
    if isinstance(arguments, str):
        try:
            value = from_json(arguments or "{}")
        except ValueError:
            return arguments
    return canonical(value)


def canonical(value: object) -> str:
    """Return JSON with sorted keys and no spaces."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(key).decode()}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    return to_json(value).decode()
