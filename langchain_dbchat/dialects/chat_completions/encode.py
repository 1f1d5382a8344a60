"""A chat-completions request: settings and messages in, the body out.

What the user did not ask for is not sent. What the family refuses is left out and said once, if the answer means the
same without it (sampling, penalties, ``seed``); what would change the meaning (messages, tools, a response format,
thinking) is mapped, or raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.chat_completions.history import take_turns
from langchain_dbchat.dialects.chat_completions.messages import encode_conversation
from langchain_dbchat.dialects.chat_completions.quirks import quirks_of, taught
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.chat_completions.thinking import encode_thinking, is_switched_off, is_thinking
from langchain_dbchat.dialects.dialect import ChatRequest, EncodedRequest, StructuredMethod, Target
from langchain_dbchat.dialects.shared.merging import merge_deep
from langchain_dbchat.dialects.shared.names import fit_body
from langchain_dbchat.dialects.shared.refusals import ROLES, without_nested
from langchain_dbchat.dialects.shared.schemas import fit_answer
from langchain_dbchat.dialects.shared.sent import SentTools
from langchain_dbchat.dialects.shared.tools import convert_tool_choice, encode_format, encode_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.models.families import Family

_SAMPLING = ("temperature", "top_p", "top_k")
_QUIET = frozenset({"temperature", "top_p"})
"""What some families take while they do not reason."""

_NO_CHANGE = {"n": 1, "logprobs": False, "frequency_penalty": 0, "presence_penalty": 0, "top_p": 1}
"""Values that say what holds anyway (OpenAI's API reference): leaving them out changes nothing and is not said."""

_REFUSED = "the endpoint refuses it"
_OWN = frozenset({"tools", "tool_choice", "response_format", "thinking", "reasoning_effort", "stream_options"})


def encode(request: ChatRequest) -> EncodedRequest:
    """Write the body of a request.

    Args:
        request: What the user asked.

    Returns:
        The body, and what was left out.

    Raises:
        ValueError: If a setting asks for what the family cannot do.
        UnsupportedContentError: If a message cannot be represented.
    """
    target = taught(request.target)
    family, quirks = target.family, quirks_of(target)
    asked = {key: value for key, value in request.settings.items() if value is not None}
    conversation, changed = encode_conversation(request.messages, target)
    encoded = EncodedRequest({"messages": conversation}, {}, changed, SentTools())
    body = encoded.body
    tools = asked.get("tools") or []
    fields, notes = encode_thinking(
        asked.get("reasoning_effort"),
        asked.get("thinking"),
        asked.get("max_tokens"),
        family,
        tools=bool(tools),
        model=target.model,
    )
    encoded.warnings.extend(notes)
    _add_plain(asked, fields, encoded, target)
    body.update(fields)
    if tools:
        body["tools"] = encode_tools(tools, family, encoded.sent, model=target.model)
        choice = convert_tool_choice(asked.get("tool_choice"), tools)
        if choice is not None:
            body["tool_choice"] = _fit_choice(choice, encoded, target)
    stream = request.stream
    if "response_format" in asked:
        body["response_format"] = fit_format(
            asked["response_format"], target, tools=bool(tools), drops_nulls=request.is_structured
        )
        # The answer then comes in one piece, which the reader of streams takes as a stream of one event.
        stream = stream and (quirks.format_with_stream or body["response_format"].get("type") == "text")
    if stream:
        body["stream"] = True
        _add_stream_options(asked.get("stream_options"), encoded, target, usage=request.stream_usage)
    for mark in _lost_marks(request.messages, tools, request.target.family):
        encoded.dropped[mark] = _REFUSED
    encoded.sent.names = fit_body(body, family)
    if request.extra:
        encoded.body = merge_deep(body, _fit_extra(request.extra, target.lessons))
    if _limit_name(request) == "max_completion_tokens":
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
    """Return the user's own fields of the request without what the endpoint has refused."""
    fitted = {key: value for key, value in extra.items() if key not in lessons or key not in REFUSABLE.optional}
    for key in REFUSABLE.nested.keys() & lessons:
        fitted = without_nested(fitted, key)
    if ROLES in lessons and fitted.get("messages"):
        fitted["messages"] = take_turns(fitted["messages"])
    return fitted


def _limit_name(request: ChatRequest) -> str | None:
    """Choose the field for the limit of the answer's length: what the endpoint, its family or the user says."""
    for name, other in REFUSABLE.renamed.items():
        if name in request.target.lessons:
            return other
    return quirks_of(request.target).max_tokens_name or request.limit_name


def _renamed(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body whose limit is called ``max_completion_tokens``; a value that has that name already stays."""
    if "max_tokens" not in body:
        return body
    rest = {key: value for key, value in body.items() if key != "max_tokens"}
    return {"max_completion_tokens": body["max_tokens"], **rest}


def choose_method(settings: Mapping[str, Any], target: Target, tools: bool) -> StructuredMethod:
    """Choose how a structured answer is asked for.

    Args:
        settings: The settings of the call.
        target: The model that is called.
        tools: Whether further tools are to be bound.

    Returns:
        The endpoint's own JSON schema where it is known to work in every way of calling, and where a tool cannot be
        forced; else the schema as a tool.
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


def _lost_marks(messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]], family: Family) -> Iterator[str]:
    """Find optional marks of parts and tools that the family does not take and the encoders have left out."""
    if not family.strict_tools and any("strict" in tool.get("function", {}) for tool in tools):
        yield "strict"
    if not family.cache_control and (
        any("cache_control" in tool for tool in tools)
        or any(
            isinstance(block, Mapping) and "cache_control" in {**(block.get("extras") or {}), **block}
            for message in messages
            if isinstance(message.content, list)
            for block in message.content
        )
    ):
        yield "cache_control"


def _add_plain(asked: Mapping[str, Any], thinking: Mapping[str, Any], encoded: EncodedRequest, target: Target) -> None:
    """Add the fields that are sent as they are, without those that the family refuses."""
    family = target.family
    quiet = _QUIET if family.sampling_without_reasoning else frozenset()
    off = bool(quiet) and is_switched_off(asked) and thinking.get("reasoning_effort") == "none"
    cool = not family.sampling_with_thinking and is_thinking({**asked, **thinking}, family)
    refuses = quirks_of(target).refuses
    for key, value in asked.items():
        if key in _OWN or value in ([], {}) or (key in target.lessons and key in REFUSABLE.optional):
            continue
        if key in refuses and not (key in quiet and off):
            if value != _NO_CHANGE.get(key):
                encoded.dropped[key] = f"{_REFUSED} unless reasoning_effort is 'none'" if key in quiet else _REFUSED
        elif cool and key in _SAMPLING:
            encoded.dropped[key] = "the endpoint refuses it while the model thinks"
        else:
            encoded.body[key] = value


def _fit_choice(choice: Any, encoded: EncodedRequest, target: Target) -> Any:
    """Soften a forced choice where it is a 400: the model then decides, and the caller is told."""
    family = target.family
    if choice in ("auto", "none"):
        return choice
    if not family.forced_tool_choice:
        reason = f"{target.model!r} cannot be forced to call a tool"
    elif not family.forced_choice_with_thinking and is_thinking(encoded.body, family):
        reason = f"{target.model!r} cannot be forced to call a tool while it thinks"
    else:
        return choice
    encoded.warnings.append(f"tool_choice={choice!r} was softened to 'auto', because {reason}")
    return "auto"


def fit_format(asked: Any, target: Target, *, tools: bool, drops_nulls: bool) -> dict[str, Any]:
    """Fit a response format to a family.

    Args:
        asked: A ``response_format``, or a schema.
        target: The model that is called.
        tools: Whether tools go with it.
        drops_nulls: Whether whoever reads the answer drops the nulls that only a closed schema allows.

    Returns:
        The request's ``response_format``.

    Raises:
        ValueError: If the family would refuse it.
    """
    family = target.family
    wanted = encode_format(asked)
    kind = wanted.get("type")
    quirks = quirks_of(target)
    if kind == "json_object" and not quirks.json_object:
        raise ValueError(
            f"{target.model!r} has no JSON mode (response_format json_object). Give a schema: "
            "with_structured_output(schema), or response_format of type 'json_schema'."
        )
    if kind == "json_schema" and family.json_schema is False:
        raise ValueError(f"{target.model!r} takes no JSON schema. Use method='function_calling'.")
    if tools and kind != "text" and not quirks.format_with_tools:
        raise ValueError(
            f"{target.model!r} takes either tools or a response format, not both in one request. "
            "Use with_structured_output(schema, method='function_calling', tools=[...]), or ToolStrategy in an agent."
        )
    held = wanted.get("json_schema")
    if isinstance(held, dict) and isinstance(held.get("schema"), Mapping):
        held["schema"], strict = fit_answer(
            held["schema"],
            family,
            str(held.get("name")),
            strict=held.get("strict"),
            written=isinstance(asked, Mapping) and asked.get("type") == "json_schema",
            drops_nulls=drops_nulls,
            model=target.model,
        )
        held.pop("strict", None)
        if strict is not None:
            held["strict"] = strict
    return wanted
