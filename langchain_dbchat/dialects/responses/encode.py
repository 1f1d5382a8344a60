"""Encode settings and messages as the body of a Responses request.

Rule 1. Only what the user has set is sent, and ``include``, without which a model that encrypts its reasoning returns
none to send back. What the user includes is added to it; ``logprobs`` is an entry of it on this wire.
Rule 2. What the wire does not know is left out with a warning; what would change the answer raises.
Rule 3. Functions are strict by default here (platform.openai.com/docs/guides/function-calling, "Strict mode"), and
schemas of chat completions are not, so each function says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.dialect import ChatRequest, EncodedRequest, StructuredMethod, Target
from langchain_dbchat.dialects.responses.items import encode_items
from langchain_dbchat.dialects.responses.quirks import REMEMBERED, STORED, quirks_of
from langchain_dbchat.dialects.responses.refusable import REFUSABLE
from langchain_dbchat.dialects.shared.request.agent_inputs import AGENT_FIELDS, agent_fields, trace_headers
from langchain_dbchat.dialects.shared.request.lessons import fit_extra, other_format, refused_keys, taught
from langchain_dbchat.dialects.shared.request.merging import merge_deep
from langchain_dbchat.dialects.shared.request.names import renamed
from langchain_dbchat.dialects.shared.request.plain_fields import plain_fields
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.dialects.shared.request.thinking import is_switched_off, write_thinking
from langchain_dbchat.dialects.shared.request.tools import convert_tool_choice

if TYPE_CHECKING:
    from langchain_dbchat.models.families import Family

__all__ = ["choose_method", "encode_request"]

_HANDLED = frozenset(
    {
        *AGENT_FIELDS, "tools", "tool_choice", "response_format", "reasoning_effort", "thinking", "reasoning",
        "max_tokens", "verbosity", "text", "include", "logprobs", *REMEMBERED,
    }
)  # fmt: skip
"""Settings that are not sent under their own name and value."""

_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"


def encode_request(request: ChatRequest) -> EncodedRequest:
    """Encode a request.

    Args:
        request: The user's request.

    Returns:
        The body and the headers, and what was left out.

    Raises:
        ValueError: If the model or the wire does not support a setting.
        UnsupportedContentError: If a message cannot be represented.
    """
    target = taught(request.target)
    settings = {key: value for key, value in request.settings.items() if value is not None}
    other = other_format(settings, target)
    if other is not None:
        settings = other.settings
    _check_remembered({**settings, **request.extra}, target)
    refused, extra = quirks_of(target.family).refuses, dict(request.extra)
    settings.update({key: extra.pop(key) for key in ("include", *STORED & refused) if extra.get(key) is not None})
    encoded = EncodedRequest({}, {}, [], SentTools(), trace_headers(settings))
    fields: dict[str, Any] = {}
    bound = _add_tools(settings, encoded, fields, target)
    if other is not None and other.tool:
        encoded.sent.answer = bound[other.tool]
    items, encoded.warnings[:0] = encode_items(request.messages, target, bound)
    plain, encoded.dropped = plain_fields(settings, {}, target, refused, _HANDLED, REFUSABLE.left_out)
    body: dict[str, Any] = {"input": items, **plain, **fields, **agent_fields(settings)}
    if settings.get("max_tokens") is not None:
        body["max_output_tokens"] = settings["max_tokens"]
    reasoning = _reasoning(settings, target)
    if reasoning:
        body["reasoning"] = reasoning
    text = _text(settings, request, target)
    if text:
        body["text"] = text
    include = _included(settings, target)
    if include:
        body["include"] = include
    if request.stream:
        body["stream"] = True
    encoded.dropped.update(refused_keys(request.messages, settings.get("tools") or [], request.target.family))
    encoded.body = {key: value for key, value in body.items() if key not in target.lessons & REFUSABLE.optional}
    if extra:
        encoded.body = merge_deep(encoded.body, fit_extra(extra, target.lessons, REFUSABLE))
    return encoded


def _check_remembered(given: Mapping[str, Any], target: Target) -> None:
    name = next((key for key in REMEMBERED if given.get(key) is not None), None)
    if name is not None and not quirks_of(target.family).remembers:
        raise ValueError(
            f"{name}: Databricks stores no conversations, so {target.model!r} would answer 400. Send the messages of "
            "the conversation instead; reasoning of earlier answers goes back with them."
        )


def _add_tools(
    settings: Mapping[str, Any], encoded: EncodedRequest, fields: dict[str, Any], target: Target
) -> dict[str, str]:
    """Add the tools to the fields, and return the sent name of each."""
    given = settings.get("tools")
    if not given:
        return {}
    from langchain_dbchat.dialects.shared.request.fitted_tools import fit_tools  # noqa: PLC0415  # only with tools

    choice = settings.get("tool_choice")
    is_other = isinstance(choice, Mapping) and choice.get("type") not in _CHOICES
    fitted = fit_tools(given, target)
    chosen = choice if is_other else renamed(convert_tool_choice(choice, given), fitted.names)
    custom = (str(tool["name"]) for tool in given if tool.get("type") == "custom" and "name" in tool)
    encoded.sent = replace(fitted.sent, bound=frozenset((*fitted.names.values(), *custom)))
    fields["tools"] = [_flat(tool, target.family) for tool in fitted.tools]
    if isinstance(chosen, Mapping) and "function" in chosen:
        chosen = {"type": "function", "name": chosen["function"]["name"]}
    if chosen is not None:
        fields["tool_choice"] = chosen
    return fitted.names


_CHOICES = frozenset({"auto", "none", "any", "required", "function", "tool", None})


def _flat(tool: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return a tool in the flat format of Responses; a tool of the provider's own as it is."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return dict(tool)
    flat = {"type": "function", **function}
    if family.strict_tools:
        flat["strict"] = bool(function.get("strict"))
    return flat


def _reasoning(settings: Mapping[str, Any], target: Target) -> dict[str, Any]:
    given = settings.get("reasoning")
    reasoning = dict(given) if isinstance(given, Mapping) else {}
    effort, thinking = settings.get("reasoning_effort"), settings.get("thinking")
    if target.family.reasoning == "effort":
        written, _ = write_thinking(effort, thinking, None, target.family, tools=False, model=target.model)
        effort = written.get("reasoning_effort")
    elif effort is None and thinking is not None:  # Open Responses has efforts for all models
        effort = "none" if is_switched_off(settings) else "medium"
    if effort is not None:
        reasoning["effort"] = effort
    return reasoning


def _text(settings: Mapping[str, Any], request: ChatRequest, target: Target) -> dict[str, Any]:
    given = settings.get("text")
    text = dict(given) if isinstance(given, Mapping) else {}
    if settings.get("verbosity") is not None:
        text["verbosity"] = settings["verbosity"]
    if settings.get("response_format") is not None:
        text["format"] = _format(settings["response_format"], target, drops_nulls=request.is_structured)
    return text


def _format(given: Any, target: Target, *, drops_nulls: bool) -> dict[str, Any]:
    """Return a response format in the flat format of Responses."""
    from langchain_dbchat.dialects.shared.request.formats import (  # noqa: PLC0415  # only with a response format
        encode_format,
        fit_named_schema,
    )

    if isinstance(given, Mapping) and given.get("type") == "json_schema" and "schema" in given:  # flat already
        given = {"type": "json_schema", "json_schema": {key: given[key] for key in given if key != "type"}}
    encoded = encode_format(given)
    fit_named_schema(encoded, given, target, drops_nulls=drops_nulls)
    named = encoded.get("json_schema")
    return {"type": "json_schema", **named} if isinstance(named, dict) else encoded


def _included(settings: Mapping[str, Any], target: Target) -> list[str]:
    given = settings.get("include")
    include = [given] if isinstance(given, str) else list(given) if isinstance(given, Sequence) else []
    wanted = [_LOGPROBS] if settings.get("logprobs") else []
    if quirks_of(target.family).encrypts_reasoning:
        wanted.append(_ENCRYPTED)
    return [*include, *(name for name in wanted if name not in include)]


def choose_method(settings: Mapping[str, Any], target: Target, tools: bool) -> StructuredMethod:  # noqa: ARG001  # a field of the dialect
    """Choose how a structured answer is requested.

    Args:
        settings: The settings of the call.
        target: The called model.
        tools: Whether further tools will be bound.

    Returns:
        ``"json_schema"`` if the family is known to take it, also in streams and beside tools; else
        ``"function_calling"``.
    """
    return "json_schema" if target.family.json_schema else "function_calling"
