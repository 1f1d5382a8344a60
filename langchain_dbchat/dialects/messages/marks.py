"""Keep the number of ``cache_control`` marks within the limit, and mark the end of a request.

Rule 1. A request has at most four marks. If there are more, those are left out that help least: the mark at the end of
the tools and ``system`` stays, because it is the same for all conversations, and so do the last ones of the messages,
because they contain everything before them.
Rule 2. A mark of a whole request is put on its last block, as Anthropic's API does itself with a top-level
``cache_control`` (docs.claude.com/en/docs/build-with-claude/prompt-caching).
"""

from __future__ import annotations

from typing import Any

from langchain_dbchat.dialects.messages.quirks import MOST_BREAKPOINTS

__all__ = ["bound_marks", "mark_end"]

_UNMARKED = frozenset({"thinking", "redacted_thinking"})
"""Blocks that cannot have a mark."""


def mark_end(body: dict[str, Any], mark: Any) -> None:
    """Mark the last block of a request for caching.

    Args:
        body: The body; its last message is replaced.
        mark: The mark, such as ``{"type": "ephemeral", "ttl": "1h"}``.
    """
    last = body["messages"][-1]
    content = last["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    place = next((place for place in reversed(range(len(blocks))) if blocks[place]["type"] not in _UNMARKED), None)
    if place is not None:
        blocks[place] = {**blocks[place], "cache_control": mark}
        body["messages"] = [*body["messages"][:-1], {**last, "content": blocks}]


def bound_marks(body: dict[str, Any]) -> list[str]:
    """Leave out the marks above the limit, in place.

    Args:
        body: The body; blocks and tools that lose their mark are replaced.

    Returns:
        Warnings for the user.
    """
    head = [*_marked(body.get("tools")), *_marked(body.get("system"))]
    rest = [place for message in body.get("messages") or () for place in _marked(message.get("content"))]
    extra = len(head) + len(rest) - MOST_BREAKPOINTS
    if extra <= 0:
        return []
    order = [*head[:-1], *rest, *head[-1:]]  # what helps least first
    for blocks, place in order[:extra]:
        blocks[place] = {key: value for key, value in blocks[place].items() if key != "cache_control"}
    return [f"a request has at most {MOST_BREAKPOINTS} cache_control marks, so {extra} of them were left out"]


def _marked(blocks: Any) -> list[tuple[list[Any], int]]:
    if not isinstance(blocks, list):
        return []
    marked = (place for place, block in enumerate(blocks) if isinstance(block, dict) and "cache_control" in block)
    return [(blocks, place) for place in marked]
