"""An embedding endpoint by script: rows that tell which text they belong to, and whatever refusals a test wants."""

from __future__ import annotations

import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import Any

from kit.scripted import Received, Scripted

DIMENSIONS = 4


def row_of(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The row of a text: numbers that 32-bit floats hold exactly, and that no other text is likely to have."""
    seed = zlib.crc32(text.encode())
    return [((seed >> (4 * place)) % 4096) / 64 for place in range(dimensions)]


def refusal(status: int, message: str, **headers: str) -> Scripted:
    """A refusal as Databricks words it."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted({"error_code": "BAD_REQUEST", "message": message}, status, names)


@dataclass
class Endpoint:
    """A script for `ScriptedServer`: an embedding endpoint that can be made to refuse.

    Attributes:
        refuse: Given the request, a refusal, or None to answer it.
        poison: Texts that make the whole request a 400.
        most: Inputs of one request.
        tokens: How many tokens a text counts; words by default.
        wait: Seconds before each answer.
        dimensions: Numbers in a row.
    """

    refuse: Callable[[Received], Scripted | None] = lambda _: None
    poison: Sequence[str] = ()
    most: int = 150
    tokens: Callable[[str], int] = lambda text: len(text.split()) + 2
    wait: float = 0.0
    dimensions: int = DIMENSIONS
    asked: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, received: Received) -> Scripted:
        """Answer a request."""
        body = received.json
        with self._lock:
            self.asked.append(body)
        refused = self.refuse(received)
        if refused is not None:
            return refused
        texts = body["input"]
        if len(texts) > self.most:
            return refusal(400, f"Input embeddings size is too large, exceeding {self.most} limit for my-endpoint")
        if any(text in self.poison for text in texts):
            return refusal(400, "Bad request: a text holds what is not accepted")
        rows = [row_of(text, body.get("dimensions", self.dimensions)) for text in texts]
        packed = body.get("encoding_format") == "base64"
        data = [
            {"index": place, "embedding": b64encode(pack(f"<{len(row)}f", *row)).decode() if packed else row}
            for place, row in reversed(list(enumerate(rows)))
        ]
        count = sum(map(self.tokens, texts))
        return Scripted({"data": data, "usage": {"prompt_tokens": count, "total_tokens": count}}, wait=self.wait)

    @property
    def sizes(self) -> list[int]:
        """Texts in each request."""
        return [len(body["input"]) for body in self.asked]
