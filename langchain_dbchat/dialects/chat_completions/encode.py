"""Encode settings and messages as the body of a chat-completions request.

Rule 1. Only what the user has set is sent.
Rule 2. What the family refuses is left out with a warning if the meaning stays the same (sampling, penalties,
``seed``). Otherwise (messages, tools, a response format, thinking) it is translated, or raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.chat_completions.history import take_turns
from langchain_dbchat.dialects.chat_completions.messages import encode_conversation
from langchain_dbchat.dialects.chat_completions.quirks import quirks_of, taught
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.chat_completions.thinking import encode_thinking
from langchain_dbchat.dialects.dialect import ROLES, ChatRequest, EncodedRequest, StructuredMethod, Target
from langchain_dbchat.dialects.shared.block_fields import flattened
from langchain_dbchat.dialects.shared.merging import merge_deep, without_nested
from langchain_dbchat.dialects.shared.names import fit_body
from langchain_dbchat.dialects.shared.sent import SentTools
from langchain_dbchat.dialects.shared.thinking import is_switched_off, is_thinking
from langchain_dbchat.dialects.shared.tools import convert_tool_choice, encode_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.chat_completions.quirks import ChatQuirks
    from langchain_dbchat.models.families import Family

_SAMPLING = ("temperature", "top_p", "top_k")
_SAMPLING_WITHOUT_REASONING = frozenset({"temperature", "top_p"})
"""Fields that some families accept only while they do not reason."""

_DEFAULTS = {"n": 1, "logprobs": False, "frequency_penalty": 0, "presence_penalty": 0, "top_p": 1}
"""Default values (OpenAI's API reference): leaving them out has no effect, so there is no warning."""

_REFUSED = "the endpoint refuses it"
_LEFT_OUT = REFUSABLE.optional | REFUSABLE.nested.keys()
"""Fields that are left out after a refusal. The keys of parts and tools may also be sent at the top level, as
Anthropic's ``cache_control`` is."""

_NOT_PLAIN = frozenset({"tools", "tool_choice", "response_format", "thinking", "reasoning_effort", "stream_options"})


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
    conversation, changed = encode_conversation(request.messages, target)
    encoded = EncodedRequest({"messages": conversation}, {}, changed, SentTools())
    body = encoded.body
    tools = settings.get("tools") or []
    fields, notes = encode_thinking(
        settings.get("reasoning_effort"),
        settings.get("thinking"),
        settings.get("max_tokens"),
        family,
        tools=bool(tools),
        model=target.model,
    )
    encoded.warnings.extend(notes)
    _add_plain(settings, fields, encoded, target, quirks)
    body.update(fields)
    if tools:
        body["tools"] = encode_tools(tools, family, encoded.sent, model=target.model)
        choice = convert_tool_choice(settings.get("tool_choice"), tools)
        if choice is not None:
            body["tool_choice"] = _fit_choice(choice, encoded, target)
    stream = request.stream
    if "response_format" in settings:
        body["response_format"] = fit_format(
            settings["response_format"], target, tools=bool(tools), drops_nulls=request.is_structured
        )
        # A whole answer is then requested, which the decoder reads as a stream of one event.
        stream = stream and (quirks.format_with_stream or body["response_format"].get("type") == "text")
    if stream:
        body["stream"] = True
        _add_stream_options(settings.get("stream_options"), encoded, target, usage=request.stream_usage)
    for key in _refused_keys(request.messages, tools, request.target.family):
        encoded.dropped[key] = _REFUSED
    encoded.sent.names = fit_body(body, family)
    if request.extra:
        encoded.body = merge_deep(body, _fit_extra(request.extra, target.lessons))
    if _limit_name(request, quirks) == "max_completion_tokens":
        encoded.body = _renamed(encoded.body)
    return encoded


def _add_stream_options(options: Any, encoded: EncodedRequest, target: Target, *, usage: bool) -> None:
    if "stream_options" in target.lessons:
        return
    quirks = quirks_of(target)
    if options is not None and not quirks.stream_options:
        encoded.dropped["stream_options"] = _REFUSED
    elif options is not None or (usage and quirks.stream_options):
        encoded.body["stream_options"] = options or {"include_usage": True}


def _fit_extra(extra: Mapping[str, Any], lessons: frozenset[str]) -> dict[str, Any]:
    """Return ``extra_body`` without the fields that the endpoint has refused."""
    fitted = {key: value for key, value in extra.items() if key not in lessons or key not in _LEFT_OUT}
    for key in REFUSABLE.nested.keys() & lessons:
        fitted = without_nested(fitted, key)
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
        ``"json_schema"`` if it is known to work in all ways of calling, or if a tool cannot be forced; else
        ``"function_calling"``.
    """
    family = target.family
    native = family.json_schema is True
    effort, thinking = settings.get("reasoning_effort"), settings.get("thinking")
    fields, _ = encode_thinking(effort, thinking, settings.get("max_tokens"), family, tools=True, model=target.model)
    quirks = quirks_of(target)
    if native and quirks.format_with_stream and (quirks.format_with_tools or not tools):
        return "json_schema"
    forced = family.forced_tool_choice and (family.forced_choice_with_thinking or not is_thinking(fields, family))
    return "json_schema" if native and not forced and not tools else "function_calling"


def _refused_keys(messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]], family: Family) -> Iterator[str]:
    """Yield the optional keys of parts and tools that the encoders have left out because the family refuses them."""
    if not family.strict_tools and any("strict" in tool.get("function", {}) for tool in tools):
        yield "strict"
    if not family.cache_control and (
        any("cache_control" in tool for tool in tools)
        or any(
            isinstance(block, Mapping) and "cache_control" in flattened(block)
            for message in messages
            if isinstance(message.content, list)
            for block in message.content
        )
    ):
        yield "cache_control"


def _add_plain(
    settings: Mapping[str, Any], fields: Mapping[str, Any], encoded: EncodedRequest, target: Target, quirks: ChatQuirks
) -> None:
    """Add the fields that are sent unchanged, except those that the family refuses."""
    if not settings:
        return
    family = target.family
    conditional = _SAMPLING_WITHOUT_REASONING if family.sampling_without_reasoning else frozenset()
    is_off = bool(conditional) and is_switched_off(settings) and fields.get("reasoning_effort") == "none"
    without_sampling = not family.sampling_with_thinking and is_thinking({**settings, **fields}, family)
    for key, value in settings.items():
        if key in _NOT_PLAIN or value in ([], {}) or (key in target.lessons and key in _LEFT_OUT):
            continue
        if key in quirks.refuses and not (key in conditional and is_off):
            if value != _DEFAULTS.get(key):
                encoded.dropped[key] = _REFUSED + (" unless reasoning_effort is 'none'" if key in conditional else "")
        elif without_sampling and key in _SAMPLING:
            encoded.dropped[key] = "the endpoint refuses it while the model thinks"
        else:
            encoded.body[key] = value


def _fit_choice(choice: Any, encoded: EncodedRequest, target: Target) -> Any:
    """Return the tool choice; ``"auto"``, with a warning, if the family answers a forced choice with a 400."""
    family = target.family
    if choice in ("auto", "none"):
        return choice
    if not family.forced_tool_choice:
        reason = f"{target.model!r} cannot be forced to call a tool"
    elif not family.forced_choice_with_thinking and is_thinking(encoded.body, family):
        reason = f"{target.model!r} cannot be forced to call a tool while it thinks"
    else:
        return choice
    encoded.warnings.append(f"tool_choice={choice!r} was changed to 'auto', because {reason}")
    return "auto"


def fit_format(given: Any, target: Target, *, tools: bool, drops_nulls: bool) -> dict[str, Any]:
    """Fit a response format to a family.

    Args:
        given: A ``response_format``, or a schema.
        target: The called model.
        tools: Whether the request also has tools.
        drops_nulls: Whether the parser of the answer drops the nulls that only a closed schema allows.

    Returns:
        The request's ``response_format``.

    Raises:
        ValueError: If the family would refuse it.
    """
    from langchain_dbchat.dialects.shared.formats import encode_format  # noqa: PLC0415  # only with a response format

    family = target.family
    encoded = encode_format(given)
    kind = encoded.get("type")
    quirks = quirks_of(target)
    if kind == "json_object" and not quirks.json_object:
        raise ValueError(
            f"{target.model!r} has no JSON mode (response_format json_object). Give a schema: "
            "with_structured_output(schema), or response_format of type 'json_schema'."
        )
    if kind == "json_schema" and family.json_schema is False:
        raise ValueError(f"{target.model!r} does not take a JSON schema. Use method='function_calling'.")
    if tools and kind != "text" and not quirks.format_with_tools:
        raise ValueError(
            f"{target.model!r} takes either tools or a response format, not both in one request. "
            "Use with_structured_output(schema, method='function_calling', tools=[...]), or ToolStrategy in an agent."
        )
    from langchain_dbchat.dialects.shared.schemas import fit_answer  # noqa: PLC0415  # most calls have no schema

    named = encoded.get("json_schema")
    if isinstance(named, dict) and isinstance(named.get("schema"), Mapping):
        named["schema"], strict = fit_answer(
            named["schema"],
            family,
            str(named.get("name")),
            strict=named.get("strict"),
            written=isinstance(given, Mapping) and given.get("type") == "json_schema",
            drops_nulls=drops_nulls,
            model=target.model,
        )
        named.pop("strict", None)
        if strict is not None:
            named["strict"] = strict
    return encoded
