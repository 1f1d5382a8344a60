"""Messages one by one: roles, keys, content and its parts (docs/wire.md, 2.2, 2.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langchain_dbchat.local.asked import parts_of
from langchain_dbchat.local.checks.tools import check_name
from langchain_dbchat.local.refusals import Refused, invalid, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked

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


def check_messages(asked: Asked) -> None:
    """Refuse messages that the family does not take."""
    messages = asked.body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid(asked, "messages: at least one message is required")
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            raise invalid(asked, f"messages.{place}: Input should be an object")
        _check_role(asked, place, message)
        _check_keys(asked, place, message)
        _check_content(asked, place, message)
        _check_calls(asked, place, message)
        _check_ids(asked, place, message)
    if all(message["role"] in {"system", "developer"} for message in messages):
        raise invalid(asked, "messages: at least one message is required besides the system message")
    _check_breakpoints(asked)


def _check_role(asked: Asked, place: int, message: dict[str, Any]) -> None:
    """Roles there are; the system message comes once and first (docs/wire.md, 2.2)."""
    role = message.get("role")
    allowed = isinstance(role, str) and role in KEYS and (role != "developer" or asked.model.family.voice == "gpt")
    if not allowed:
        raise invalid(asked, "Unsupported message role")
    if role == "system" and place > 0:
        raise invalid(asked, f"messages.{place}: the system role can only be used once, as the first message")


def _check_keys(asked: Asked, place: int, message: dict[str, Any]) -> None:
    family, role = asked.model.family, message["role"]
    known = KEYS[role]
    if family.message_name == "yes" or (family.message_name == "tool" and role == "tool"):
        known |= {"name"}
    if family.voice == "gpt" and role == "assistant":
        known |= {"refusal", "annotations"}
    if family.cache == "marked" and role == "tool":
        known |= {"cache_control"}
    for key in message:
        if key not in known:
            raise unknown_field(asked, f"messages.{place}.{key}")


def _check_content(asked: Asked, place: int, message: dict[str, Any]) -> None:
    family, role, content = asked.model.family, message["role"], message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise invalid(asked, f"messages.{place}.content: Input should be a valid string or list")
    empty = content is None or content == [] or (not family.empty_text and not content)
    if empty and not (role == "assistant" and message.get("tool_calls") and content is None):
        if role == "assistant" and message.get("tool_calls") and family.empty_text:
            return
        if role == "tool" and content is not None and family.empty_text:
            return
        raise _empty(asked, place, role)
    if isinstance(content, str):
        _check_words(asked, role, content)
    if isinstance(content, list):
        if role == "tool" and family.voice == "open":
            raise invalid(asked, f"messages.{place}.content: tool messages must have string content")
        for index, part in enumerate(content):
            _check_part(asked, f"messages.{place}.content.{index}", role, part)


def _empty(asked: Asked, place: int, role: str) -> Refused:
    """Nothing said (docs/wire.md, 2.5, 3.7)."""
    if asked.model.family.voice == "claude":
        return invalid(asked, f"messages.{place}: {role} messages must have non-empty content")
    if role == "assistant":
        return invalid(asked, f"messages.{place}: assistant messages must have content or tool_calls")
    return invalid(asked, f"messages.{place}.content: Field required")


def _check_part(asked: Asked, path: str, role: str, part: Any) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in PART_KEYS:
        raise invalid(asked, f"{path}: Unsupported content type: {kind}")
    known = _part_keys(asked, role, kind)
    for key in part:
        if key not in known:
            raise unknown_field(asked, f"{path}.{key}")
    if kind == "text":
        _check_text(asked, path, role, part)
    elif kind != "reasoning":
        _check_medium(asked, path, role, part)
    elif role != "assistant" or asked.model.family.reasoning not in {"signed", "summary"}:
        raise invalid(asked, f"{path}: Unsupported content type: reasoning")


def _part_keys(asked: Asked, role: str, kind: str) -> frozenset[str]:
    """The keys that a content part may have, by family and role."""
    family, known = asked.model.family, PART_KEYS[kind]
    if family.cache == "marked" and kind in CACHED_PARTS:
        known |= {"cache_control"}
    if family.name == "gemini" and kind == "text":
        known |= {"thoughtSignature"}
    if asked.model.harmony and kind == "reasoning":
        known |= {"content"}
    if kind == "text" and role == "assistant":
        known |= {"citations"}
    return known


def _check_text(asked: Asked, path: str, role: str, part: dict[str, Any]) -> None:
    if not isinstance(part.get("text"), str):
        raise invalid(asked, f"{path}.text: Field required")
    if not part["text"] and not asked.model.family.empty_text:
        raise invalid(asked, "messages: text content blocks must be non-empty")
    _check_words(asked, role, part["text"])


def _check_words(asked: Asked, role: str, text: str) -> None:
    """Text of white space alone (opencode #31259); Claude has the system message in a field of its own."""
    if text.isspace() and not asked.model.family.blank_text:
        where = "system" if role == "system" else "messages"
        raise invalid(asked, f"{where}: text content blocks must contain non-whitespace text")


def _check_medium(asked: Asked, path: str, role: str, part: dict[str, Any]) -> None:
    """Images, files, audio and video: who takes them, and from whom (docs/wire.md, 2.2, 2.5)."""
    kind, model = part["type"], asked.model
    if kind in {"image_url", "file"} and not model.vision:
        raise invalid(asked, f"{'Image' if kind == 'image_url' else 'File'} input is not supported")
    unheard = kind in {"video_url", "audio_url"} and not model.audio_video
    if unheard or (kind == "document" and model.family.voice != "claude"):
        raise invalid(asked, f"{path}: Unsupported content type: {kind}")
    drawn = kind == "image_url" and role == "assistant" and model.draws
    if role != "user" and not drawn:
        raise invalid(asked, f"{path}: {kind} content is only supported in user messages")
    held = part.get(kind)
    if kind == "file":
        if not isinstance(held, dict) or not str(held.get("file_data", "")).startswith("data:"):
            raise invalid(asked, f"{path}.file.file_data: a data URL is required")
    elif kind != "document":
        _check_link(asked, path, kind, held.get("url") if isinstance(held, dict) else None)


def _check_link(asked: Asked, path: str, kind: str, url: Any) -> None:
    if not isinstance(url, str) or not url.startswith(("data:", "http://", "https://")):
        raise invalid(asked, f"{path}.{kind}.url: Field required")
    if kind == "image_url" and not url.startswith("data:") and not asked.model.family.http_images:
        raise invalid(asked, "Http data URLs are not supported by Claude", code="INVALID_PARAMETER_VALUE")


def _check_calls(asked: Asked, place: int, message: dict[str, Any]) -> None:
    """Tool calls in the history (docs/wire.md, 2.5, 3.4)."""
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        raise invalid(asked, f"messages.{place}.tool_calls: Input should be a valid list")
    family = asked.model.family
    known = {"id", "type", "function"}
    known |= {"cache_control"} if family.cache == "marked" else set()
    known |= {"thoughtSignature"} if family.name == "gemini" else set()
    for index, call in enumerate(calls):
        _check_call(asked, f"messages.{place}.tool_calls.{index}", call, known)


def _check_call(asked: Asked, path: str, call: Any, known: set[str]) -> None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise invalid(asked, f"{path}.function: Field required")
    unknown = [key for key in call if key not in known]
    unknown += [f"function.{key}" for key in function if key not in {"name", "arguments"}]
    if unknown:
        raise unknown_field(asked, f"{path}.{unknown[0]}")
    for name, value in (("id", call.get("id")), ("function.name", function.get("name"))):
        if not isinstance(value, str) or not value:
            raise invalid(asked, f"{path}.{name}: Field required")
    check_name(asked, f"{path}.function.name", function["name"])
    if call.get("type") != "function":
        raise invalid(asked, f"{path}.type: Input should be 'function'")
    _check_arguments(asked, path, function.get("arguments"))


def _check_ids(asked: Asked, place: int, message: dict[str, Any]) -> None:
    """The ids of calls, in the calls and in the results (docs/wire.md, 6.4, row call ids)."""
    before = len(parts_of(message))
    calls = message.get("tool_calls") or []
    ids = [
        (f"content.{before + index}.tool_use.id", f"tool_calls[{index}].id", call["id"])
        for index, call in enumerate(calls)
    ]
    if message["role"] == "tool" and isinstance(message.get("tool_call_id"), str):
        ids.append(("content.0.tool_result.tool_use_id", "tool_call_id", message["tool_call_id"]))
    family = asked.model.family
    for native, path, value in ids:
        if family.call_ids and not re.search(family.call_ids, value):
            raise invalid(asked, f"messages.{place}.{native}: String should match pattern '{family.call_ids}'")
        if family.call_id_length is not None and len(value) > family.call_id_length:
            raise invalid(
                asked,
                f"Invalid 'messages[{place}].{path}': string too long. Expected a string with maximum length "
                f"{family.call_id_length}, but got a string with length {len(value)} instead.",
            )


def _check_arguments(asked: Asked, path: str, arguments: Any) -> None:
    """Arguments are the text of a JSON object; nothing at all is not (docs/wire.md, 2.5)."""
    try:
        value = from_json(arguments) if isinstance(arguments, str) else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise invalid(asked, f"{path}.function.arguments: Input should be a valid JSON object as text")


def _check_breakpoints(asked: Asked) -> None:
    """At most four cache breakpoints, each of them ephemeral (docs/wire.md, 2.4)."""
    if asked.model.family.cache != "marked":
        return
    tools: list[Any] = [*asked.tools]
    holders: list[Any] = [*tools, *asked.messages]
    for message in asked.messages:
        content = message.get("content")
        holders += [*(content if isinstance(content, list) else []), *(message.get("tool_calls") or [])]
    holders += [tool.get("function") for tool in tools if isinstance(tool, dict)]
    marks = [holder["cache_control"] for holder in holders if isinstance(holder, dict) and "cache_control" in holder]
    if any(not isinstance(mark, dict) or mark.get("type") != "ephemeral" for mark in marks):
        raise invalid(asked, "cache_control.type: Input should be 'ephemeral'")
    if len(marks) > MOST_BREAKPOINTS:
        raise invalid(
            asked, f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {len(marks)}."
        )
