"""How many tokens a request has, which of them were cached, and how each family reports it (docs/wire.md, 3.5)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.local.asked import parts_of
from langchain_dbchat.local.words import count_tokens

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked

IMAGE_TOKENS = 85
FORMAT_TOKENS = 39


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens of a request."""

    tokens: int
    """All of them, cached ones included (docs/wire.md, 3.5)."""
    read: int = 0
    """Read from the cache."""
    written: int = 0
    """Written to the cache."""


class Cache:
    """Remembers the prefixes of prompts, as prompt caching does; the oldest are forgotten."""

    def __init__(self, most: int = 512) -> None:
        self._prefixes: OrderedDict[str, None] = OrderedDict()
        self._most = most

    def look(self, asked: Asked) -> Prompt:
        """Count a request's tokens; those before a cache breakpoint are read when seen before, else written."""
        pieces = _pieces(asked)
        total = sum(tokens for _, tokens, _ in pieces) + _overhead(asked)
        if asked.model.family.cache == "none":
            return Prompt(total)
        digest, so_far, read, last = hashlib.sha256(asked.model.name.encode()), 0, 0, 0
        new: list[str] = []
        for text, tokens, breakpoint_here in pieces:
            digest.update(text)
            so_far += tokens
            if (asked.model.family.cache == "auto" or breakpoint_here) and so_far >= asked.model.cache_min:
                name, last = digest.hexdigest(), so_far
                if name in self._prefixes:
                    read = so_far
                new.append(name)
        for name in new:
            self._prefixes[name] = None
            self._prefixes.move_to_end(name)
        while len(self._prefixes) > self._most:
            self._prefixes.popitem(last=False)
        return Prompt(total, read=read, written=last - read)


def _pieces(asked: Asked) -> list[tuple[bytes, int, bool]]:
    """The prompt in the order in which it is cached: tools, then the parts of the messages."""
    pieces = []
    for tool in asked.tools:
        bare = {key: value for key, value in tool.items() if key != "cache_control"}
        text = to_json(bare)
        pieces.append((text, count_tokens(text.decode()), "cache_control" in tool))
    for message in asked.messages:
        parts = parts_of(message)
        for call in message.get("tool_calls") or []:
            parts = [*parts, {"text": to_json(call.get("function")).decode()}]
        role = str(message.get("role"))
        for part in parts:
            bare = {key: value for key, value in part.items() if key != "cache_control"}
            marked = "cache_control" in part or "cache_control" in message
            pieces.append((role.encode() + to_json(bare), _part_tokens(part), marked))
        pieces.append((b"", 3, False))
    return pieces


def _part_tokens(part: dict[str, Any]) -> int:
    if "text" in part:
        return count_tokens(str(part["text"]))
    if part.get("type") == "reasoning":
        return sum(count_tokens(str(item.get("text", ""))) for item in part.get("summary") or [])
    return IMAGE_TOKENS


def _overhead(asked: Asked) -> int:
    """Tokens of the text that the server adds for tools and formats (docs/wire.md, 2.6)."""
    formatted = (asked.body.get("response_format") or {}).get("type") in {"json_object", "json_schema"}
    return (asked.model.family.tool_tokens if asked.tools else 0) + (FORMAT_TOKENS if formatted else 0)


def report(asked: Asked, prompt: Prompt, tokens: int | None, thought: int = 0) -> dict[str, Any]:
    """The ``usage`` object of an answer.

    Args:
        asked: The request.
        prompt: Its tokens.
        tokens: Tokens of the answer; None while a stream does not tell yet.
        thought: How many of them were reasoning.
    """
    total = None if tokens is None else prompt.tokens + tokens
    counts: dict[str, Any] = {"prompt_tokens": prompt.tokens, "completion_tokens": tokens, "total_tokens": total}
    kind = asked.model.family.usage
    cached = {"cache_read_input_tokens": prompt.read, "cache_creation_input_tokens": prompt.written}
    details = {
        "prompt_tokens_details": {"cached_tokens": prompt.read, "cache_write_tokens": prompt.written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    if kind == "claude":
        return {**counts, **cached}
    if kind == "gpt":
        return {**counts, **details}
    if kind == "glm":
        return {**counts, **cached, **details}
    return {**counts, "reasoning_tokens": thought} if thought else counts
