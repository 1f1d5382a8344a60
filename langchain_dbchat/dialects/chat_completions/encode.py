"""A chat-completions request: settings and messages in, the body out.

What the user did not ask for is not sent. What the family refuses is left out and said once, if the answer means the
same without it (sampling, penalties, ``seed``); what would change the meaning (messages, tools, a response format,
thinking) is mapped, or raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.chat_completions.messages import encode_conversation
from langchain_dbchat.dialects.chat_completions.thinking import encode_thinking, is_switched_off, is_thinking
from langchain_dbchat.dialects.shared.names import fit_body
from langchain_dbchat.dialects.shared.sent import SentTools
from langchain_dbchat.dialects.shared.tools import convert_tool_choice, encode_format, encode_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.dialects.shared.reasoning import Target
    from langchain_dbchat.models.families import Family

_SAMPLING = ("temperature", "top_p", "top_k")
_QUIET = frozenset({"temperature", "top_p"})
"""What some families take while they do not reason."""

_NO_CHANGE = {"n": 1, "logprobs": False, "frequency_penalty": 0, "presence_penalty": 0, "top_p": 1}
"""Values that say what holds anyway (OpenAI's API reference): leaving them out changes nothing and is not said."""

_REFUSED = "the endpoint refuses it"
_OWN = frozenset({"tools", "tool_choice", "response_format", "thinking", "reasoning_effort", "stream_options"})


@dataclass(slots=True)
class Encoded:
    """A request's body, and what has to be known besides.

    Attributes:
        body: The body.
        dropped: What was left out of it (field: reason).
        warnings: What else the user should know.
        sent: What was changed in the tools.
    """

    body: dict[str, Any]
    dropped: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    sent: SentTools = field(default_factory=SentTools)


def encode_request(  # noqa: PLR0913  # each is a fact of its own
    messages: Sequence[BaseMessage],
    settings: Mapping[str, Any],
    target: Target,
    *,
    stream: bool,
    usage: bool = True,
    drops_nulls: bool = False,
) -> Encoded:
    """Write the body of a request.

    Args:
        messages: The conversation.
        settings: Request fields by their wire names, tools in OpenAI's shape; None means not set.
        target: The model that is called.
        stream: Whether the answer is to be streamed.
        usage: Whether a stream should end with its token usage.
        drops_nulls: Whether whoever reads a structured answer drops the nulls that only a closed schema allows.

    Returns:
        The body, and what was left out.

    Raises:
        ValueError: If a setting asks for what the family cannot do.
        UnsupportedContentError: If a message cannot be represented.
    """
    family = target.family
    asked = {key: value for key, value in settings.items() if value is not None}
    conversation, changed = encode_conversation(messages, target)
    encoded = Encoded({"messages": conversation}, warnings=changed)
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
    if "response_format" in asked:
        body["response_format"] = fit_format(
            asked["response_format"], target, tools=bool(tools), drops_nulls=drops_nulls
        )
        # The answer then comes in one piece, which the reader of streams takes as a stream of one event.
        stream = stream and (family.format_with_stream or body["response_format"].get("type") == "text")
    if stream:
        body["stream"] = True
        options = asked.get("stream_options")
        if options is not None and not family.stream_options:
            encoded.dropped["stream_options"] = _REFUSED
        elif options is not None or (usage and family.stream_options):
            body["stream_options"] = options or {"include_usage": True}
    for mark in _lost_marks(messages, tools, family):
        encoded.dropped[mark] = _REFUSED
    encoded.sent.names = fit_body(body, family)
    return encoded


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


def merge_deep(base: Mapping[str, Any], over: Mapping[str, Any], *, keep_none: bool = False) -> dict[str, Any]:
    """Merge one object over another: objects recurse, lists and scalars are replaced, None deletes.

    Args:
        base: The object below.
        over: The object above.
        keep_none: Whether a None is kept instead, to delete from what the result is merged over in its turn.

    Returns:
        A new object; neither argument is changed.

    Example:
        >>> merge_deep({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": None}, "d": [2]})
        {'a': {'b': 1}, 'd': [2]}
    """
    merged = dict(base)
    for key, value in over.items():
        if value is None and not keep_none:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge_deep(below if isinstance(below, Mapping) else {}, value, keep_none=keep_none)
        else:
            merged[key] = value
    return merged


def _add_plain(asked: Mapping[str, Any], thinking: Mapping[str, Any], encoded: Encoded, target: Target) -> None:
    """Add the fields that are sent as they are, without those that the family refuses."""
    family = target.family
    quiet = _QUIET if family.sampling_without_reasoning else frozenset()
    off = bool(quiet) and is_switched_off(asked) and thinking.get("reasoning_effort") == "none"
    cool = not family.sampling_with_thinking and is_thinking({**asked, **thinking}, family)
    for key, value in asked.items():
        if key in _OWN or value in ([], {}):
            continue
        if key in family.refuses and not (key in quiet and off):
            if value != _NO_CHANGE.get(key):
                encoded.dropped[key] = f"{_REFUSED} unless reasoning_effort is 'none'" if key in quiet else _REFUSED
        elif cool and key in _SAMPLING:
            encoded.dropped[key] = "the endpoint refuses it while the model thinks"
        else:
            encoded.body[key] = value


def _fit_choice(choice: Any, encoded: Encoded, target: Target) -> Any:
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
    if kind == "json_object" and not family.json_object:
        raise ValueError(
            f"{target.model!r} has no JSON mode (response_format json_object). Give a schema: "
            "with_structured_output(schema), or response_format of type 'json_schema'."
        )
    if kind == "json_schema" and family.json_schema is False:
        raise ValueError(f"{target.model!r} takes no JSON schema. Use method='function_calling'.")
    if tools and kind != "text" and not family.format_with_tools:
        raise ValueError(
            f"{target.model!r} takes either tools or a response format, not both in one request. "
            "Use with_structured_output(schema, method='function_calling', tools=[...]), or ToolStrategy in an agent."
        )
    from langchain_dbchat.dialects.shared.schemas import fit_answer  # noqa: PLC0415  # most calls have no schema

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
