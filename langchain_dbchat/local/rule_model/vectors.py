"""Embeddings from hashed word features: texts with common words are near each other, so that retrieval works.

Each stemmed content word adds to a few signed positions of the vector, and each of its character trigrams to one
position with a small weight, so that "serve" and "serving" are near. Counts are damped, and the vector gets the model's
length.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from functools import lru_cache

from langchain_dbchat.local.rule_model.tokens import TOKEN, WORD, content_words

DIMENSIONS = 1024
PLACES = 4
TRIGRAM_WEIGHT = 0.15


@lru_cache(maxsize=65_536)
def _positions(feature: str, places: int) -> tuple[tuple[int, float], ...]:
    digest = hashlib.blake2b(feature.encode(), digest_size=4 * places).digest()
    numbers = [int.from_bytes(digest[4 * place : 4 * place + 4], "big") for place in range(places)]
    return tuple((number % DIMENSIONS, 1.0 if number >> 31 else -1.0) for number in numbers)


def embed(text: str, *, norm: float = 1.0, dimensions: int = DIMENSIONS, window: int | None = None) -> list[float]:
    """Return the vector of a text.

    Args:
        text: Any text.
        norm: Length of the vector.
        dimensions: How many of the 1024 dimensions to keep.
        window: Tokens after which the text is cut.
    """
    if window is not None:
        text = first_tokens(text, window)
    words = content_words(text) or [word.lower() for word in WORD.findall(text)] or [text]
    vector = [0.0] * DIMENSIONS
    for word, count in Counter(words).items():
        damped = 1 + math.log(count)
        for position, sign in _positions(word, PLACES):
            vector[position] += sign * damped
        padded = f"^{word}$"
        for start in range(len(padded) - 2):
            ((position, sign),) = _positions("#" + padded[start : start + 3], 1)
            vector[position] += TRIGRAM_WEIGHT * sign * damped
    kept = vector[:dimensions]
    length = math.sqrt(sum(value * value for value in kept)) or 1.0
    return [round(value / length * norm, 8) for value in kept]


def first_tokens(text: str, limit: int) -> str:
    """Return the first ``limit`` tokens of a text."""
    if len(text) <= limit:
        return text
    end = 0
    for place, match in enumerate(TOKEN.finditer(text)):
        if place == limit:
            break
        end = match.end()
    return text[:end]
