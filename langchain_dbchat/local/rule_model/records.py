"""The parts of a text that may each describe one thing of a list: its lines, its sentences, its clauses."""

from __future__ import annotations

import re

MOST_PARTS = 60
SPLITS = (
    re.compile(r"\n+"),
    re.compile(r"(?<=[.!?;。])\s+|\n+"),
    re.compile(r"(?<=[.!?;。])\s+|[,;\n]\s*(?:and\s+)?|\s+and\s+"),
)


def ways_to_split(text: str) -> list[list[str]]:
    """Return the parts of a text in each way to split it, the coarsest first; at most 60 parts each."""
    ways: list[list[str]] = []
    for split in SPLITS:
        parts = [part.strip() for part in split.split(text) if part.strip()][:MOST_PARTS]
        if parts and (not ways or parts != ways[-1]):
            ways.append(parts)
    return ways
