"""How many tokens a prompt has, and which of them were in the prompt cache (docs/wire.md, 2.4, 2.6)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.local.rule_model.request import parts_of
from langchain_dbchat.local.rule_model.tokens import count_tokens

if TYPE_CHECKING:
    from langchain_dbchat.local.rule_model.request import ModelRequest

IMAGE_TOKENS = 85
FORMAT_TOKENS = 39


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """The tokens of a request."""

    tokens: int
    """All of them, cached ones included (docs/wire.md, 3.5)."""
    read: int = 0
    """Read from the cache."""
    written: int = 0
    """Written to the cache."""


class PromptCache:
    """Remembers the prefixes of the last 512 prompts."""

    def __init__(self, most: int = 512) -> None:
        self._prefixes: OrderedDict[str, None] = OrderedDict()
        self._most = most

    def clear(self) -> None:
        """Forget all prefixes."""
        self._prefixes.clear()

    def count_prompt(self, request: ModelRequest) -> PromptTokens:
        """Count a request's tokens; those before a cache breakpoint are read when seen before, else written."""
        pieces = _pieces(request)
        total = sum(tokens for _, tokens, _ in pieces) + _overhead(request)
        if request.model.family.cache == "none":
            return PromptTokens(total)
        digest, so_far, read, last = hashlib.sha256(request.model.name.encode()), 0, 0, 0
        new: list[str] = []
        for text, tokens, breakpoint_here in pieces:
            digest.update(text)
            so_far += tokens
            if (request.model.family.cache == "auto" or breakpoint_here) and so_far >= request.model.cache_min:
                name, last = digest.hexdigest(), so_far
                if name in self._prefixes:
                    read = so_far
                new.append(name)
        for name in new:
            self._prefixes[name] = None
            self._prefixes.move_to_end(name)
        while len(self._prefixes) > self._most:
            self._prefixes.popitem(last=False)
        return PromptTokens(total, read=read, written=last - read)


def _pieces(request: ModelRequest) -> list[tuple[bytes, int, bool]]:
    """Return the prompt in the order in which it is cached: tools, then the parts of the messages."""
    pieces = []
    for tool in request.tools:
        bare = {key: value for key, value in tool.items() if key != "cache_control"}
        text = to_json(bare)
        pieces.append((text, count_tokens(text.decode()), "cache_control" in tool))
    for message in request.messages:
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


def _overhead(request: ModelRequest) -> int:
    """Return the tokens of the text that the server adds for tools and formats (docs/wire.md, 2.6)."""
    formatted = request.response_format.get("type") in {"json_object", "json_schema"}
    return (request.model.family.tool_tokens if request.tools else 0) + (FORMAT_TOKENS if formatted else 0)
