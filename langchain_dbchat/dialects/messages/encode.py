"""Encode settings and messages as the body of a Messages request.

Rule 1. Only what the user has set is sent, and ``max_tokens``, which the API requires.
Rule 2. What the family or the API does not know is left out with a warning if it is a hint (sampling, ``seed``).
Otherwise (messages, tools, a response format, thinking) it is translated, or raises.
Rule 3. ``anthropic_beta`` is a header and not a field (docs.claude.com/en/api/beta-headers).
Rule 4. While a model of a thinking budget uses tools, the answer that called them begins with its reasoning:
``Expected `thinking` or `redacted_thinking`, but found `tool_use```. If that reasoning cannot go back, because another
model wrote it, thinking is left out of the request ("Extended thinking with tool use", Anthropic).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.dialect import ChatRequest, EncodedRequest, StructuredMethod, Target
from langchain_dbchat.dialects.messages.conversation import encode_conversation
from langchain_dbchat.dialects.messages.marks import bound_marks, mark_end
from langchain_dbchat.dialects.messages.quirks import VERSION, messages_target, quirks_of
from langchain_dbchat.dialects.messages.refusable import REFUSABLE
from langchain_dbchat.dialects.messages.tools import write_tool_choice, write_tools
from langchain_dbchat.dialects.shared.request.lessons import fit_extra, other_format, refused_keys
from langchain_dbchat.dialects.shared.request.merging import merge_deep
from langchain_dbchat.dialects.shared.request.names import renamed
from langchain_dbchat.dialects.shared.request.plain_fields import plain_fields
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.dialects.shared.request.thinking import is_thinking, write_thinking
from langchain_dbchat.dialects.shared.request.tools import convert_tool_choice, fit_tool_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_dbchat.models.families import Family

__all__ = ["choose_method", "encode_request"]

_HANDLED = frozenset(
    {
        "tools", "tool_choice", "response_format", "thinking", "reasoning_effort", "max_tokens", "stop",
        "parallel_tool_calls", "anthropic_beta", "betas", "cache_control", "user", "output_config",
    }
)  # fmt: skip
"""Settings that are not sent under their own name and value."""

_BETAS = ("anthropic_beta", "betas")


def encode_request(request: ChatRequest) -> EncodedRequest:
    """Encode a request.

    Args:
        request: The user's request.

    Returns:
        The body and the headers, and what was left out.

    Raises:
        ValueError: If the family does not support a setting.
        UnsupportedContentError: If a message cannot be represented.
    """
    target = messages_target(request.target)
    family = target.family
    settings = {key: value for key, value in request.settings.items() if value is not None}
    other = other_format(settings, target, unfit=_unfit_format(settings, target))
    encoded = EncodedRequest({}, {}, [], SentTools())
    if other is not None:
        settings = other.settings
        encoded.warnings.extend([other.warning] if other.warning else [])
    bound = _add_tools(settings, encoded, target)
    if other is not None and other.tool:
        encoded.sent.answer = bound[other.tool]
    conversation, encoded.warnings[:0] = encode_conversation(request.messages, target, bound)
    fields, notes = _thinking_fields(settings, target)
    encoded.warnings.extend(notes)
    plain, encoded.dropped = plain_fields(
        settings, fields, target, quirks_of(target).refuses, _HANDLED, REFUSABLE.left_out
    )
    if conversation.calls_without_reasoning and _has_budget(fields):
        del fields["thinking"]
        encoded.dropped["thinking"] = "the calls before were made without reasoning that this model can read"
    body: dict[str, Any] = {**fields, **plain}
    if conversation.system is not None:
        body["system"] = conversation.system
    body["messages"] = conversation.messages
    _add_choice(settings, encoded, body, target)
    encoded.body = body = {**encoded.body, **body}
    _add_format(settings, request, encoded, target)
    _add_stop(settings, encoded)
    if settings.get("user") is not None:
        body.setdefault("metadata", {"user_id": str(settings["user"])})
    if settings.get("cache_control") and family.cache_control:
        mark_end(body, settings["cache_control"])
    if request.stream:
        body["stream"] = True
    encoded.dropped.update(refused_keys(request.messages, settings.get("tools") or [], request.target.family))
    extra = dict(request.extra)
    betas = [beta for key in _BETAS for beta in _listed(extra.pop(key, None) or settings.get(key))]
    encoded.headers = {"anthropic-version": VERSION, **({"anthropic-beta": ",".join(betas)} if betas else {})}
    if extra:
        encoded.body = merge_deep(body, fit_extra(extra, target.lessons, REFUSABLE))
    encoded.warnings.extend(bound_marks(encoded.body))
    return encoded


def _unfit_format(settings: Mapping[str, Any], target: Target) -> str:
    """Return why a response format cannot be sent, if its schema cannot be closed and the caller does not insist."""
    if "response_format" not in settings:
        return ""
    from langchain_dbchat.dialects.messages.formats import is_closable  # noqa: PLC0415  # only with a format

    if is_closable(settings["response_format"], target):
        return ""
    return "it takes only closed schemas as a response format"


def _add_tools(settings: Mapping[str, Any], encoded: EncodedRequest, target: Target) -> dict[str, str]:
    """Add the tools to the body, and return the sent name of each."""
    given = settings.get("tools")
    if not given:
        return {}
    from langchain_dbchat.dialects.shared.request.fitted_tools import fit_tools  # noqa: PLC0415  # only with tools

    choice = convert_tool_choice(settings.get("tool_choice"), given)
    fitted = fit_tools(given, target)
    encoded.sent = replace(fitted.sent)
    encoded.body = {"tools": write_tools(fitted.tools, given), "tool_choice": renamed(choice, fitted.names)}
    return fitted.names


def _thinking_fields(settings: Mapping[str, Any], target: Target) -> tuple[dict[str, Any], list[str]]:
    """Return the fields for reasoning, and ``max_tokens``."""
    family, limit = target.family, settings.get("max_tokens")
    fields, notes = write_thinking(
        settings.get("reasoning_effort"),
        settings.get("thinking"),
        limit,
        family,
        tools=bool(settings.get("tools")),
        model=target.model,
    )
    effort = fields.pop("reasoning_effort", None)
    if effort is not None:  # the family of an unknown model
        fields |= _effort_fields(effort)
    if isinstance(settings.get("output_config"), dict):
        fields["output_config"] = {**fields.get("output_config", {}), **settings["output_config"]}
    default = quirks_of(target).default_max_tokens
    longest = limit if limit is not None else max(fields.get("max_tokens", 0), default)
    return {"max_tokens": longest, **{key: value for key, value in fields.items() if key != "max_tokens"}}, notes


def _effort_fields(effort: str) -> dict[str, Any]:
    """Return an effort as Anthropic's API has it since Opus 4.6."""
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    effort = "low" if effort == "minimal" else effort
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort}}


def _has_budget(fields: Mapping[str, Any]) -> bool:
    thinking = fields.get("thinking")
    return thinking is not None and thinking.get("type") == "enabled"


def _add_choice(settings: Mapping[str, Any], encoded: EncodedRequest, body: Mapping[str, Any], target: Target) -> None:
    """Replace the neutral tool choice by Anthropic's."""
    choice = encoded.body.pop("tool_choice", None)
    if choice is not None:
        choice, notes = fit_tool_choice(choice, target, thinks=is_thinking(body, target.family))
        encoded.warnings.extend(notes)
    if "tools" in encoded.body:
        written = write_tool_choice(choice, settings.get("parallel_tool_calls"))
        if written is not None:
            encoded.body["tool_choice"] = written


def _add_format(settings: Mapping[str, Any], request: ChatRequest, encoded: EncodedRequest, target: Target) -> None:
    if "response_format" not in settings:
        return
    from langchain_dbchat.dialects.messages.formats import write_output_format  # noqa: PLC0415  # only with a format
    from langchain_dbchat.dialects.shared.request.formats import NO_JSON_MODE  # noqa: PLC0415  # only with a format

    written = write_output_format(settings["response_format"], target, drops_nulls=request.is_structured)
    if written is not None:
        encoded.body["output_config"] = {**encoded.body.get("output_config", {}), "format": written}
    elif settings["response_format"] == {"type": "json_object"}:
        encoded.warnings.append(NO_JSON_MODE)


def _add_stop(settings: Mapping[str, Any], encoded: EncodedRequest) -> None:
    """Add the texts at which the answer ends: ``each stop sequence must contain non-whitespace``."""
    stop = settings.get("stop") or []
    kept = [text for text in stop if text.strip()]
    if kept:
        encoded.body["stop_sequences"] = kept
    if len(kept) < len(stop):
        encoded.dropped["stop"] = "the endpoint refuses texts of white space"


def _listed(betas: Any) -> list[str]:
    return [betas] if isinstance(betas, str) else list(betas or ())


def choose_method(settings: Mapping[str, Any], target: Target, tools: bool) -> StructuredMethod:
    """Choose how a structured answer is requested.

    Args:
        settings: The settings of the call.
        target: The called model.
        tools: Whether further tools will be bound.

    Returns:
        ``"function_calling"`` if a tool can be forced, because every model knows that; else ``"json_schema"``, which
        Anthropic documents for all ways of calling, also beside tools.
    """
    target = messages_target(target)
    fields, _ = _thinking_fields({**settings, "tools": True}, target)
    family: Family = target.family
    forced = family.forced_tool_choice and (family.forced_choice_with_thinking or not is_thinking(fields, family))
    return "function_calling" if forced or tools else "json_schema"
