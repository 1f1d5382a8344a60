"""The blocks of messages and of the system prompt: known types and fields, text that says something, images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.surfaces.messages.refusals import invalid, missing, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody

MARK = frozenset({"type", "cache_control"})
FIELDS: dict[str, frozenset[str]] = {
    "text": MARK | {"text", "citations"},
    "image": MARK | {"source"},
    "document": MARK | {"source", "title", "context", "citations"},
    "search_result": MARK | {"source", "title", "content", "citations"},
    "tool_result": MARK | {"tool_use_id", "content", "is_error"},
    "tool_use": MARK | {"id", "name", "input", "caller"},
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "server_tool_use": MARK | {"id", "name", "input", "caller"},
    "mcp_tool_use": MARK | {"id", "name", "input", "server_name"},
}
"""The fields of each type of block (docs.claude.com/en/api/messages)."""

REQUIRED = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "search_result": ("source", "title", "content"),
    "tool_result": ("tool_use_id",),
    "tool_use": ("id", "name", "input"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}
USERS = frozenset({"text", "image", "document", "search_result", "tool_result"})
ASSISTANTS = frozenset({"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use"})
RESULTS = frozenset({"text", "image", "document", "search_result"})
ID = re.compile(r"^[a-zA-Z0-9_-]+$")
NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def check_content(request: MessagesRequestBody) -> None:
    """Refuse content that the API does not take."""
    messages = request.body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("messages: at least one message is required")
    system = request.body.get("system")
    if isinstance(system, list):
        for place, block in enumerate(system):
            _check_block(request, f"system.{place}", block, frozenset({"text"}))
    elif system is not None and not isinstance(system, str):
        raise invalid("system: Input should be a valid string or list")
    for place, message in enumerate(messages):
        _check_message(request, f"messages.{place}", message)


def _check_message(request: MessagesRequestBody, path: str, message: Any) -> None:
    if not isinstance(message, dict):
        raise invalid(f"{path}: Input should be an object")
    for key in message:
        if key not in {"role", "content"}:
            raise unknown_field(f"{path}.{key}")
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in {"user", "assistant"}:
        raise invalid(
            f"{path}.role: Unexpected role {role!r}. The Messages API accepts a top-level `system` parameter."
        )
    if not content:
        raise invalid(f"{path}: {role} messages must have non-empty content")
    if isinstance(content, str):
        _check_text("messages", content)
    elif isinstance(content, list):
        for number, block in enumerate(content):
            _check_block(request, f"{path}.content.{number}", block, USERS if role == "user" else ASSISTANTS)
    else:
        raise invalid(f"{path}.content: Input should be a valid list")


def _check_text(path: str, text: Any) -> None:
    if not isinstance(text, str):
        raise invalid(f"{path}: Input should be a valid string")
    if not text:
        raise invalid(f"{path}: text content blocks must be non-empty")
    if not text.strip():
        raise invalid(f"{path}: text content blocks must contain non-whitespace text")


def _check_block(request: MessagesRequestBody, path: str, block: Any, allowed: frozenset[str]) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if isinstance(kind, str) and kind.endswith("_tool_result") and allowed is ASSISTANTS:
        return
    if not isinstance(kind, str) or kind not in allowed:
        listed = ", ".join(f"'{one}'" for one in sorted(allowed))
        raise invalid(
            f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {listed}"
        )
    _check_keys(path, kind, block)
    _check_values(request, path, kind, block)


def _check_keys(path: str, kind: str, block: dict[str, Any]) -> None:
    for key in block:
        if key not in FIELDS[kind]:
            raise unknown_field(f"{path}.{kind}.{key}")
    for key in REQUIRED.get(kind, ()):
        if key not in block:
            raise missing(f"{path}.{kind}.{key}")


def _check_values(request: MessagesRequestBody, path: str, kind: str, block: dict[str, Any]) -> None:
    if kind == "text":
        _check_text("messages", block["text"])
    elif kind == "image":
        _check_image(request, f"{path}.image.source", block["source"])
    elif kind == "document":
        _check_document(f"{path}.document.source", block["source"])
    elif kind == "tool_use":
        _check_call(path, block)
    elif kind == "search_result":
        _check_parts(f"{path}.search_result.content", block.get("content"))
    elif kind == "tool_result":
        _check_result(request, f"{path}.tool_result.content", block.get("content"))


def _check_result(request: MessagesRequestBody, path: str, content: Any) -> None:
    if content is not None and not isinstance(content, str | list):
        raise invalid(f"{path}: Input should be a valid string or list")
    for number, inner in enumerate(content if isinstance(content, list) else ()):
        _check_block(request, f"{path}.{number}", inner, RESULTS)


def _check_image(request: MessagesRequestBody, path: str, source: Any) -> None:
    if not request.model.vision:
        raise invalid("Image input is not supported by this model.")
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "url":
        raise invalid("Http data URLs are not supported by Claude")
    if kind != "base64" or not isinstance(source.get("data"), str):
        raise invalid(f"{path}: Input should be a base64 image")
    media_type = source.get("media_type")
    if not isinstance(media_type, str) or media_type not in IMAGES:
        raise invalid(f"{path}.base64.media_type: Input should be {', '.join(sorted(IMAGES))}")


def _check_document(path: str, source: Any) -> None:
    kind = source.get("type") if isinstance(source, dict) else None
    expected = {"base64": "application/pdf", "text": "text/plain"}
    if kind == "content":
        _check_parts(f"{path}.content.content", source.get("content"))
        return
    if not isinstance(kind, str) or kind not in expected:
        raise invalid(
            f"{path}: Input tag '{kind}' does not match any of the expected tags: 'base64', 'content', 'text'"
        )
    if source.get("media_type") != expected[kind]:
        raise invalid(f"{path}.{kind}.media_type: Input should be '{expected[kind]}'")


def _check_parts(path: str, parts: Any) -> None:
    if isinstance(parts, list) and not all(isinstance(part, dict) for part in parts):
        raise invalid(f"{path}: Input should be a valid list of content blocks")


def _check_call(path: str, block: dict[str, Any]) -> None:
    if not isinstance(block["id"], str) or not ID.fullmatch(block["id"]):
        raise invalid(f"{path}.tool_use.id: String should match pattern '{ID.pattern}'")
    if not isinstance(block["name"], str) or not NAME.fullmatch(block["name"]):
        raise invalid(f"{path}.tool_use.name: String should match pattern '{NAME.pattern}'")
    if not isinstance(block["input"], dict):
        raise invalid(f"{path}.tool_use.input: Input should be a valid dictionary")
