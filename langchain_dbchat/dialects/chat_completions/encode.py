"""Encode settings and messages as the body of a chat-completions request.

Rule 1. Only what the user has set is sent.
Rule 2. What the family refuses is left out with a warning if the meaning stays the same (sampling, penalties,
``seed``). Otherwise (messages, tools, a response format, thinking) it is translated, or raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import SystemMessage

from langchain_dbchat.dialects.chat_completions.history import take_turns
from langchain_dbchat.dialects.chat_completions.messages import encode_conversation
from langchain_dbchat.dialects.chat_completions.quirks import quirks_of
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.chat_completions.thinking import encode_thinking
from langchain_dbchat.dialects.dialect import ROLES, ChatRequest, EncodedRequest, StructuredMethod, Target
from langchain_dbchat.dialects.shared.request.lessons import fit_extra, other_format, refused_keys, taught
from langchain_dbchat.dialects.shared.request.merging import merge_deep
from langchain_dbchat.dialects.shared.request.plain_fields import REFUSED, plain_fields
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.dialects.shared.request.thinking import is_thinking
from langchain_dbchat.dialects.shared.request.tools import CALLS_AS_TEXT, convert_tool_choice, fit_tool_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.chat_completions.quirks import ChatQuirks
    from langchain_dbchat.dialects.shared.request.other_formats import OtherFormat

_NOT_PLAIN = frozenset({"tools", "tool_choice", "response_format", "thinking", "reasoning_effort", "stream_options"})
_LEFT_OUT = REFUSABLE.left_out
_EITHER = "it takes either tools or a response format"


def encode_request(request: ChatRequest) -> EncodedRequest:
    """Encode a request.

    Args:
        request: The user's request.

    Returns:
        The body, and what was left out.

    Raises:
        ValueError: If the family does not support a setting.
        UnsupportedContentError: If a message cannot be represented.
    """
    target = taught(request.target)
    family, quirks = target.family, quirks_of(target)
    settings = {key: value for key, value in request.settings.items() if value is not None}
    unfit = "" if quirks.format_with_tools or not settings.get("tools") else _EITHER
    other = other_format(settings, target, unfit=unfit)
    if other is not None:
        settings = other.settings
    conversation, changed = encode_conversation(_prompted(request.messages, other), target)
    encoded = EncodedRequest({"messages": conversation}, {}, changed, SentTools())
    body = encoded.body
    if other is not None and other.warning:
        encoded.warnings.append(other.warning)
    tools = settings.get("tools") or []
    fields, notes = encode_thinking(settings, target, tools=bool(tools))
    encoded.warnings.extend(notes)
    plain, encoded.dropped = plain_fields(settings, fields, target, quirks.refuses, _NOT_PLAIN, _LEFT_OUT)
    body.update(plain)
    body.update(fields)
    bound: dict[str, str] = {}
    if tools:
        bound = _add_tools(tools, settings.get("tool_choice"), encoded, target)
    stream = request.stream
    response_format = _response_format(settings, encoded, target, request)
    if response_format is not None:
        body["response_format"] = response_format
        # A whole answer is then requested, which the decoder reads as a stream of one event.
        stream = stream and (quirks.format_with_stream or response_format.get("type") == "text")
    if stream:
        body["stream"] = True
        _add_stream_options(settings.get("stream_options"), encoded, target, usage=request.stream_usage)
    encoded.dropped.update(refused_keys(request.messages, tools, request.target.family))
    if bound or response_format is not None or any(map(_may_name_a_tool, conversation)):
        from langchain_dbchat.dialects.shared.request.names import fit_body  # noqa: PLC0415  # many requests name nothing

        fit_body(body, bound, family)
    if other is not None and other.tool:
        encoded.sent.answer = body["tools"][-1]["function"]["name"]
    if request.extra:
        encoded.body = merge_deep(body, _fit_extra(request.extra, target.lessons))
    if _limit_name(request, quirks) == "max_completion_tokens":
        encoded.body = _renamed(encoded.body)
    return encoded


def _may_name_a_tool(message: Mapping[str, Any]) -> bool:
    return "tool_calls" in message or message["role"] == "tool"


def _add_tools(
    tools: Sequence[Mapping[str, Any]], choice: Any, encoded: EncodedRequest, target: Target
) -> dict[str, str]:
    """Add the tools to the body, and return the sent name of each."""
    from langchain_dbchat.dialects.shared.request.fitted_tools import fit_tools  # noqa: PLC0415  # only with tools

    family, body = target.family, encoded.body
    if family.calls_as_text:
        encoded.warnings.append(CALLS_AS_TEXT)
    fitted = fit_tools(tools, target)
    body["tools"], encoded.sent = list(fitted.tools), replace(fitted.sent)
    choice = convert_tool_choice(choice, tools)
    if choice is not None:
        body["tool_choice"], notes = fit_tool_choice(choice, target, thinks=is_thinking(body, family))
        encoded.warnings.extend(notes)
    return fitted.names


def _prompted(messages: Sequence[BaseMessage], other: OtherFormat | None) -> Sequence[BaseMessage]:
    """Return messages with the description of a response format in a system message, behind the first ones."""
    if other is None or not other.prompt:
        return messages
    place = next((place for place, message in enumerate(messages) if message.type != "system"), len(messages))
    return [*messages[:place], SystemMessage(other.prompt), *messages[place:]]


def _response_format(
    settings: Mapping[str, Any], encoded: EncodedRequest, target: Target, request: ChatRequest
) -> dict[str, Any] | None:
    """Return the response format to send; None, with a warning, for a JSON mode that the family does not have."""
    if "response_format" not in settings:
        return None
    wanted = settings["response_format"]
    is_object = isinstance(wanted, Mapping) and wanted.get("type") == "json_object"
    quirks = quirks_of(target)
    if is_object and not (quirks.json_object and (quirks.format_with_tools or not settings.get("tools"))):
        from langchain_dbchat.dialects.shared.request.formats import NO_JSON_MODE  # noqa: PLC0415  # only with a format

        encoded.warnings.append(NO_JSON_MODE)
        return None
    return fit_format(wanted, target, drops_nulls=request.is_structured)


def _add_stream_options(options: Any, encoded: EncodedRequest, target: Target, *, usage: bool) -> None:
    if "stream_options" in target.lessons:
        return
    quirks = quirks_of(target)
    if options is not None and not quirks.stream_options:
        encoded.dropped["stream_options"] = REFUSED
    elif options is not None or (usage and quirks.stream_options):
        encoded.body["stream_options"] = options or {"include_usage": True}


def _fit_extra(extra: Mapping[str, Any], lessons: frozenset[str]) -> dict[str, Any]:
    fitted = fit_extra(extra, lessons, REFUSABLE)
    if ROLES in lessons and fitted.get("messages"):
        fitted["messages"] = take_turns(fitted["messages"])
    return fitted


def _limit_name(request: ChatRequest, quirks: ChatQuirks) -> str | None:
    """Return the field for the limit of the answer's length: by a lesson, else by the family, else by the user."""
    lessons = request.target.lessons
    if lessons:
        for name, other in REFUSABLE.renamed.items():
            if name in lessons:
                return other
    return quirks.max_tokens_name or request.limit_name


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with ``max_tokens`` renamed to ``max_completion_tokens``, unless that field exists already."""
    if "max_tokens" not in body:
        return body
    rest = {key: value for key, value in body.items() if key != "max_tokens"}
    return {"max_completion_tokens": body["max_tokens"], **rest}


def choose_method(settings: Mapping[str, Any], target: Target, tools: bool) -> StructuredMethod:
    """Choose how a structured answer is requested.

    Args:
        settings: The settings of the call.
        target: The called model.
        tools: Whether further tools will be bound.

    Returns:
        ``"json_schema"`` if it is known to work in all ways of calling, or if no tool can be forced; else
        ``"function_calling"``.
    """
    family = target.family
    if family.calls_as_text:
        return "json_schema"
    native = family.json_schema
    fields, _ = encode_thinking(settings, target, tools=True)
    quirks = quirks_of(target)
    if native and quirks.format_with_stream and (quirks.format_with_tools or not tools):
        return "json_schema"
    forced = family.forced_tool_choice and (family.forced_choice_with_thinking or not is_thinking(fields, family))
    return "json_schema" if native and not forced and not tools else "function_calling"


def fit_format(given: Any, target: Target, *, drops_nulls: bool) -> dict[str, Any]:
    """Fit a response format to a family.

    Args:
        given: A ``response_format``, or a schema.
        target: The called model.
        drops_nulls: Whether the parser of the answer drops the nulls that only a closed schema allows.

    Returns:
        The request's ``response_format``.

    Raises:
        ValueError: If its schema cannot be fitted.
    """
    from langchain_dbchat.dialects.shared.request.formats import (  # noqa: PLC0415  # only with a response format
        encode_format,
        fit_named_schema,
    )

    encoded = encode_format(given)
    fit_named_schema(encoded, given, target, drops_nulls=drops_nulls)
    return encoded
