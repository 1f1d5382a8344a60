"""Messages one by one: roles, keys, content and its parts (docs/wire.md, 2.2, 2.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langchain_dbchat.local.rule_model.request import parts_of
from langchain_dbchat.local.surfaces.chat_completions.checks.tools import check_name
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.refusals import Refused
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

KEYS: dict[str, frozenset[str]] = {
    "system": frozenset({"role", "content"}),
    "developer": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
PART_KEYS: dict[str, frozenset[str]] = {
    "text": frozenset({"type", "text"}),
    "image_url": frozenset({"type", "image_url"}),
    "file": frozenset({"type", "file"}),
    "video_url": frozenset({"type", "video_url"}),
    "audio_url": frozenset({"type", "audio_url"}),
    "document": frozenset({"type", "source", "title", "context", "citations"}),
    "reasoning": frozenset({"type", "summary"}),
}
CACHED_PARTS = frozenset({"text", "image_url", "reasoning", "document", "file"})
MOST_BREAKPOINTS = 4


def check_messages(request: ChatRequestBody) -> None:
    """Refuse messages that the family does not accept."""
    messages = request.body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid(request, "messages: at least one message is required")
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            raise invalid(request, f"messages.{place}: Input should be an object")
        _check_role(request, place, message)
        _check_keys(request, place, message)
        _check_content(request, place, message)
        _check_calls(request, place, message)
        _check_ids(request, place, message)
    if all(message["role"] in {"system", "developer"} for message in messages):
        raise invalid(request, "messages: at least one message is required besides the system message")
    _check_breakpoints(request)


def _check_role(request: ChatRequestBody, place: int, message: dict[str, Any]) -> None:
    """Refuse unknown roles, and a system message that is not the first message (docs/wire.md, 2.2)."""
    role = message.get("role")
    allowed = isinstance(role, str) and role in KEYS and (role != "developer" or request.family.error_style == "gpt")
    if not allowed:
        raise invalid(request, "Unsupported message role")
    if role == "system" and place > 0:
        raise invalid(request, f"messages.{place}: the system role can only be used once, as the first message")


def _check_keys(request: ChatRequestBody, place: int, message: dict[str, Any]) -> None:
    family, role = request.family, message["role"]
    known = KEYS[role]
    if family.message_name == "yes" or (family.message_name == "tool" and role == "tool"):
        known |= {"name"}
    if family.error_style == "gpt" and role == "assistant":
        known |= {"refusal", "annotations"}
    if family.cache == "marked" and role == "tool":
        known |= {"cache_control"}
    for key in message:
        if key not in known:
            raise unknown_field(request, f"messages.{place}.{key}")


def _check_content(request: ChatRequestBody, place: int, message: dict[str, Any]) -> None:
    family, role, content = request.family, message["role"], message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise invalid(request, f"messages.{place}.content: Input should be a valid string or list")
    empty = content is None or content == [] or (not family.empty_text and not content)
    if empty and not (role == "assistant" and message.get("tool_calls") and content is None):
        if role == "assistant" and message.get("tool_calls") and family.empty_text:
            return
        if role == "tool" and content is not None and family.empty_text:
            return
        raise _empty(request, place, role)
    if isinstance(content, str):
        _check_blank(request, role, content)
    if isinstance(content, list):
        if role == "tool" and family.error_style == "open":
            raise invalid(request, f"messages.{place}.content: tool messages must have string content")
        for index, part in enumerate(content):
            _check_part(request, f"messages.{place}.content.{index}", role, part)


def _empty(request: ChatRequestBody, place: int, role: str) -> Refused:
    """Refuse a message without content (docs/wire.md, 2.5, 3.7)."""
    if request.family.error_style == "claude":
        return invalid(request, f"messages.{place}: {role} messages must have non-empty content")
    if role == "assistant":
        return invalid(request, f"messages.{place}: assistant messages must have content or tool_calls")
    return invalid(request, f"messages.{place}.content: Field required")


def _check_part(request: ChatRequestBody, path: str, role: str, part: Any) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in PART_KEYS:
        raise invalid(request, f"{path}: Unsupported content type: {kind}")
    known = _part_keys(request, role, kind)
    for key in part:
        if key not in known:
            raise unknown_field(request, f"{path}.{key}")
    if kind == "text":
        _check_text(request, path, role, part)
    elif kind != "reasoning":
        _check_medium(request, path, role, part)
    elif role != "assistant" or request.family.reasoning not in {"signed", "summary"}:
        raise invalid(request, f"{path}: Unsupported content type: reasoning")


def _part_keys(request: ChatRequestBody, role: str, kind: str) -> frozenset[str]:
    """Return the keys that a content part may have, by family and role."""
    family, known = request.family, PART_KEYS[kind]
    if family.cache == "marked" and kind in CACHED_PARTS:
        known |= {"cache_control"}
    if family.thought_signatures and kind == "text":
        known |= {"thoughtSignature"}
    if request.model.harmony and kind == "reasoning":
        known |= {"content"}
    if kind == "text" and role == "assistant":
        known |= {"citations"}
    return known


def _check_text(request: ChatRequestBody, path: str, role: str, part: dict[str, Any]) -> None:
    if not isinstance(part.get("text"), str):
        raise invalid(request, f"{path}.text: Field required")
    if not part["text"] and not request.family.empty_text:
        raise invalid(request, "messages: text content blocks must be non-empty")
    _check_blank(request, role, part["text"])


def _check_blank(request: ChatRequestBody, role: str, text: str) -> None:
    """Refuse text of white space alone (opencode #31259); Claude has the system message in a field of its own."""
    if text.isspace() and not request.family.blank_text:
        where = "system" if role == "system" else "messages"
        raise invalid(request, f"{where}: text content blocks must contain non-whitespace text")


def _check_medium(request: ChatRequestBody, path: str, role: str, part: dict[str, Any]) -> None:
    """Refuse images, files, audio and video where the model does not accept them (docs/wire.md, 2.2, 2.5)."""
    kind, model = part["type"], request.model
    if kind in {"image_url", "file"} and not model.vision:
        raise invalid(request, f"{'Image' if kind == 'image_url' else 'File'} input is not supported")
    unsupported = kind in {"video_url", "audio_url"} and not model.audio_video
    if unsupported or (kind == "document" and model.family.error_style != "claude"):
        raise invalid(request, f"{path}: Unsupported content type: {kind}")
    generated = kind == "image_url" and role == "assistant" and model.generates_images
    if role != "user" and not generated:
        raise invalid(request, f"{path}: {kind} content is only supported in user messages")
    held = part.get(kind)
    if kind == "file":
        if not isinstance(held, dict) or not str(held.get("file_data", "")).startswith("data:"):
            raise invalid(request, f"{path}.file.file_data: a data URL is required")
    elif kind != "document":
        _check_link(request, path, kind, held.get("url") if isinstance(held, dict) else None)


def _check_link(request: ChatRequestBody, path: str, kind: str, url: Any) -> None:
    if not isinstance(url, str) or not url.startswith(("data:", "http://", "https://")):
        raise invalid(request, f"{path}.{kind}.url: Field required")
    if kind == "image_url" and not url.startswith("data:") and not request.family.http_images:
        raise invalid(request, "Http data URLs are not supported by Claude", code="INVALID_PARAMETER_VALUE")


def _check_calls(request: ChatRequestBody, place: int, message: dict[str, Any]) -> None:
    """Refuse malformed tool calls in the history (docs/wire.md, 2.5, 3.4)."""
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        raise invalid(request, f"messages.{place}.tool_calls: Input should be a valid list")
    family = request.family
    known = {"id", "type", "function"}
    known |= {"cache_control"} if family.cache == "marked" else set()
    known |= {"thoughtSignature"} if family.thought_signatures else set()
    for index, call in enumerate(calls):
        _check_call(request, f"messages.{place}.tool_calls.{index}", call, known)


def _check_call(request: ChatRequestBody, path: str, call: Any, known: set[str]) -> None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise invalid(request, f"{path}.function: Field required")
    unknown = [key for key in call if key not in known]
    unknown += [f"function.{key}" for key in function if key not in {"name", "arguments"}]
    if unknown:
        raise unknown_field(request, f"{path}.{unknown[0]}")
    for name, value in (("id", call.get("id")), ("function.name", function.get("name"))):
        if not isinstance(value, str) or not value:
            raise invalid(request, f"{path}.{name}: Field required")
    check_name(request, f"{path}.function.name", function["name"])
    if call.get("type") != "function":
        raise invalid(request, f"{path}.type: Input should be 'function'")
    _check_arguments(request, path, function.get("arguments"))


def _check_ids(request: ChatRequestBody, place: int, message: dict[str, Any]) -> None:
    """Refuse malformed ids of calls, in the calls and in the results (docs/wire.md, 6.4)."""
    before = len(parts_of(message))
    calls = message.get("tool_calls") or []
    ids = [
        (f"content.{before + index}.tool_use.id", f"tool_calls[{index}].id", call["id"])
        for index, call in enumerate(calls)
    ]
    if message["role"] == "tool" and isinstance(message.get("tool_call_id"), str):
        ids.append(("content.0.tool_result.tool_use_id", "tool_call_id", message["tool_call_id"]))
    family = request.family
    for native, path, value in ids:
        if family.call_ids and not re.search(family.call_ids, value):
            raise invalid(request, f"messages.{place}.{native}: String should match pattern '{family.call_ids}'")
        if family.call_id_length is not None and len(value) > family.call_id_length:
            raise invalid(
                request,
                f"Invalid 'messages[{place}].{path}': string too long. Expected a string with maximum length "
                f"{family.call_id_length}, but got a string with length {len(value)} instead.",
            )


def _check_arguments(request: ChatRequestBody, path: str, arguments: Any) -> None:
    """Refuse arguments that are not the text of a JSON object, such as empty text (docs/wire.md, 2.5)."""
    try:
        value = from_json(arguments) if isinstance(arguments, str) else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise invalid(request, f"{path}.function.arguments: Input should be a valid JSON object as text")


def _check_breakpoints(request: ChatRequestBody) -> None:
    """Refuse more than four cache breakpoints, and those that are not ephemeral (docs/wire.md, 2.4)."""
    if request.family.cache != "marked":
        return
    tools: list[Any] = [*request.tools]
    holders: list[Any] = [*tools, *request.messages]
    for message in request.messages:
        content = message.get("content")
        holders += [*(content if isinstance(content, list) else []), *(message.get("tool_calls") or [])]
    holders += [tool.get("function") for tool in tools if isinstance(tool, dict)]
    marks = [holder["cache_control"] for holder in holders if isinstance(holder, dict) and "cache_control" in holder]
    if any(not isinstance(mark, dict) or mark.get("type") != "ephemeral" for mark in marks):
        raise invalid(request, "cache_control.type: Input should be 'ephemeral'")
    if len(marks) > MOST_BREAKPOINTS:
        raise invalid(
            request, f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {len(marks)}."
        )
