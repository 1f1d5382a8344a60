"""Bound what one answer may consist of; an answer that has more is an error.

Rule 1. No model reaches these bounds. For each chunk of a stream, langchain-core compares all calls and blocks that
    came before: within the bounds this takes a few tenths of a second in all.
Rule 2. The unknown fields of an answer are in the message of each of its choices.
Rule 3. An empty list takes three bytes in an answer, and more than twenty times as much in memory. An event of a stream
    is small enough without this bound.
"""

from __future__ import annotations

from langchain_dbchat.errors import MalformedResponseError

__all__ = [
    "LONGEST_NAME",
    "MOST_BLOCKS",
    "MOST_CALLS",
    "MOST_CHOICES",
    "MOST_CONTAINERS",
    "MOST_FIELDS",
    "bounded",
    "too_many",
]

MOST_CALLS = 25_000
"""The number of tool calls."""

MOST_BLOCKS = 5_000
"""The number of content blocks and parts of reasoning."""

MOST_CHOICES = 500
"""The number of choices."""

MOST_FIELDS = 1_000
"""The number of names of unknown fields: those beside the answer, of its message, and of a call."""

LONGEST_NAME = 10_000
"""The number of characters in the name of a called tool; its pieces are joined one by one."""

MOST_CONTAINERS = 2_000_000
"""The number of lists and objects in a whole answer; brackets in texts count, because nothing was parsed yet."""


def too_many(things: str, most: int) -> MalformedResponseError:
    """Return the error for an answer that has too many of something.

    Args:
        things: What it has too many of.
        most: How many it may have.

    Returns:
        The error.
    """
    return MalformedResponseError(
        f"The answer has more than {most:,} {things}, which no model writes, so it was not read on. Look at what the "
        "endpoint sends."
    )


def bounded(body: bytes) -> bytes:
    """Return the body of a whole answer if it can be parsed without filling the memory.

    Args:
        body: The body.

    Returns:
        The same body.

    Raises:
        MalformedResponseError: If it has too many lists and objects.
    """
    if len(body) > MOST_CONTAINERS and body.count(b"[") + body.count(b"{") > MOST_CONTAINERS:
        raise too_many("lists and objects", MOST_CONTAINERS)
    return body
