"""One call of the chat model, written: settings and messages in, an addressed request and its reader out.

Whatever a call has to decide before it travels is decided here, once, for all four ways of calling: which settings
count, what the family or the endpoint refuses and how the user hears of it, and what to send instead if a 400 names an
optional field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.connection.discovery import DISCOVER, discovered
from langchain_dbchat.connection.marks import COMPLETION_LIMIT, QUERY, call_settings, marks_of
from langchain_dbchat.connection.session import endpoint_name
from langchain_dbchat.dialects.chat_completions.decode import StreamDecoder, decode_answer, is_last
from langchain_dbchat.dialects.chat_completions.encode import Encoded, encode_request, merge_deep
from langchain_dbchat.dialects.chat_completions.history import take_turns
from langchain_dbchat.dialects.shared.names import fit_body
from langchain_dbchat.dialects.shared.reasoning import Target
from langchain_dbchat.errors.notices import warn
from langchain_dbchat.models.learned import (
    RENAMED,
    REPLACED,
    ROLES,
    learn,
    lessons_of,
    refused_field,
    renamed,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

    from langchain_dbchat.chat_models.settings import ChatSettings
    from langchain_dbchat.chat_models.structured import Structured
    from langchain_dbchat.connection.session import Link
    from langchain_dbchat.dialects.shared.sent import SentTools
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.exchange import Reply, Request
    from langchain_dbchat.transport.limiter import EndpointLimiter

REQUEST_ID = "x-request-id"

_REASONING = ("reasoning_effort", "thinking")
"""Two ways of saying one thing: a call that gives either means to replace both."""

_told: set[tuple[str, str]] = set()


class Call(NamedTuple):
    """One call, ready to travel."""

    channel: Channel
    request: Request
    target: Target
    coalesce: bool
    usage: bool
    amend: Callable[[DatabricksError, Request], Request | None]
    gate: EndpointLimiter | None
    sent: SentTools

    def read(self, reply: Reply) -> ChatResult:
        """Read the whole answer to this call.

        Args:
            reply: The answer.

        Returns:
            One generation for each choice.

        Raises:
            DatabricksError: If the answer is an error, or none of chat completions.
        """
        request_id = reply.headers.get(REQUEST_ID)
        return reply.understood(lambda body: decode_answer(body, self.target, request_id, self.sent))

    def decoder(self, headers: Mapping[str, str], hide: Callable[[str], str]) -> StreamDecoder:
        """Make a reader for the stream that answers this call.

        Args:
            headers: The response's headers.
            hide: What masks the secrets that were sent.

        Returns:
            A new reader.
        """
        return StreamDecoder(
            self.target, headers.get(REQUEST_ID), coalesce=self.coalesce, usage=self.usage, sent=self.sent, hide=hide
        )


def shown_settings(model: ChatSettings, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trace and a cache's key may show of a call: no secret, and nothing that changes no answer.

    Args:
        model: The model.
        kwargs: The settings of the call, under any of their names.

    Returns:
        The settings by their fields' names.
    """
    marks = marks_of(type(model))
    hidden = {*marks.secret, QUERY, "adaptive_limit", "max_tokens_name"}
    return {key: value for key, value in call_settings(type(model), kwargs).items() if key not in hidden}


def merge_settings(model: ChatSettings, stop: list[str] | None, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the settings of a call over those of the constructor.

    Args:
        model: The model.
        stop: The call's ``stop``.
        kwargs: The call's other settings, under any of their names. None takes a setting of the constructor back,
            except for ``stop``, which LangChain always gives.

    Returns:
        The settings by their wire names.

    Raises:
        ValueError: If a setting can only be given to the constructor.
    """
    settings: dict[str, Any] = {name: getattr(model, name) for name in marks_of(type(model)).wire}
    called = call_settings(type(model), kwargs)
    if called.keys() & _REASONING:
        settings.update(dict.fromkeys(_REASONING))
    settings.update(called)
    if stop is not None:
        settings["stop"] = stop
    if isinstance(settings["stop"], str):
        settings["stop"] = [settings["stop"]]
    return settings


def write_call(
    model: ChatSettings, link: Link, messages: list[BaseMessage], settings: dict[str, Any], *, stream: bool
) -> Call:
    """Write a call.

    Args:
        model: The model.
        link: Its connection.
        messages: The conversation.
        settings: The merged settings.
        stream: Whether the answer is read as a stream.

    Returns:
        The call.

    Raises:
        ValueError: If a setting asks for what the endpoint's family cannot do.
        UnsupportedContentError: If a message cannot be represented.
    """
    marks = marks_of(type(model))
    for key in ("stream", "token", "user_session_token", *marks.how):
        settings.pop(key, None)
    name = endpoint_name(settings.pop("model", None) or model.model)
    family = settings.pop("family", model.family)
    if family == DISCOVER:
        family = discovered(link.address, name)
    target = Target(name, model.family_row(name, family))
    extra = _extra_body(model, settings)
    headers, query = settings.pop("default_headers", None), settings.pop(QUERY, None)
    coalesce = settings.pop("coalesce", model.coalesce)
    usage = settings.pop("stream_usage", model.stream_usage)
    strict = settings.pop("strict_params", model.strict_params)
    structured: Structured | None = settings.pop("structured", None)
    limit = target.family.max_tokens_name or settings.pop("max_tokens_name", None) or model.max_tokens_name
    settings.pop("max_tokens_name", None)
    turns = settings.pop("adaptive_limit", model.adaptive_limit) == "always"
    if stream and (settings.get("n") or 1) > 1:
        raise ValueError(f"n={settings['n']} answers cannot be streamed; call invoke, or leave n out.")
    encoded = encode_request(
        messages, settings, target, stream=stream, usage=bool(usage), drops_nulls=structured is not None
    )
    _tell(encoded, name, strict=strict)
    written = merge_deep(encoded.body, extra)
    if limit == COMPLETION_LIMIT:
        written = renamed(written, "max_tokens")
    sent = encoded.sent
    body = _heed(written, lessons_of(link.address, name), structured, target, sent)
    bodies = [body]

    def write(body: dict[str, Any]) -> Request:
        if structured is not None:
            sent.names.update(fit_body(body, target.family))  # it may be asked for as a tool by now
        request = model.write_request(link, "chat", name, body, headers=headers, query=query, streaming=stream)
        return request._replace(is_last=is_last)

    def amend(error: DatabricksError, request: Request) -> Request | None:
        del request
        amended = _amended(error, bodies, link.address, target, structured, sent=sent, strict=strict)
        if amended is None:
            return None
        bodies.append(amended)
        return write(amended)

    gate = _gate(link.workspace.host, name) if turns else None
    return Call(link.channel, write(body), target, coalesce, bool(usage), amend, gate, sent)


def _extra_body(model: ChatSettings, settings: dict[str, Any]) -> dict[str, Any]:
    """Merge the extra fields of a call over the constructor's.

    What they say of reasoning and of the answer's length becomes a setting, because it has to fit the family too.
    """
    given = settings.pop("extra_body", {})
    extra = {} if given is None else merge_deep(model.extra_body or {}, given, keep_none=True)
    for key in _REASONING:
        if extra.get(key) is not None:
            settings[key] = extra.pop(key)
    for key in RENAMED:
        if extra.get(key) is not None:
            settings["max_tokens"], settings["max_tokens_name"] = extra.pop(key), key
    return extra


def _gate(host: str, model: str) -> EndpointLimiter:
    from langchain_dbchat.transport.limiter import limiter_for  # noqa: PLC0415  # loads asyncio: not with the package

    return limiter_for(host, model)


def _heed(
    body: dict[str, Any], lessons: frozenset[str], structured: Structured | None, target: Target, sent: SentTools
) -> dict[str, Any]:
    """Write a body as an endpoint has taught; what the meaning hangs on is put in another way, or stays."""
    for field in lessons:
        if field in RENAMED:
            body = renamed(body, field)
        elif field == ROLES:
            body = {**body, "messages": take_turns(body["messages"])}
        elif field not in REPLACED:
            body = without(body, field)
        elif structured is not None:
            body = structured.put_otherwise(body, field, target, sent) or body
    return body


def _amended(  # noqa: PLR0913  # what a refusal is judged by, the last by keyword
    error: DatabricksError,
    bodies: list[dict[str, Any]],
    address: str,
    target: Target,
    structured: Structured | None,
    *,
    sent: SentTools,
    strict: bool,
) -> dict[str, Any] | None:
    """Answer a 400 that names a field: write the body without it, or ask in the other way; remember, and say so.

    A value that only goes under another name is not lost, so nothing is said of that.
    """
    body = bodies[-1]
    field = refused_field(error.detail or error.message, body)
    if field is None or (strict and field not in RENAMED):
        return None
    amended = _heed(body, frozenset({field}), structured, target, sent)
    if amended in bodies:
        return None  # the endpoint takes neither way
    if not learn(address, target.model, field) or field in RENAMED:
        return amended
    done = "asked for in another way" if field in REPLACED else "made to alternate" if field == ROLES else "left out"
    warn(f"{target.model!r} refused {field!r}, so it is {done} from now on: {error.detail}")
    return amended


def _tell(encoded: Encoded, model: str, *, strict: bool) -> None:
    """Say what was left out or changed, once for each model; or raise, if the user wants that."""
    if strict and (encoded.dropped or encoded.warnings):
        reasons = "; ".join([*(f"{name}: {why}" for name, why in encoded.dropped.items()), *encoded.warnings])
        raise ValueError(f"{model!r} does not take these settings ({reasons}). Leave them out, or unset strict_params.")
    notes = {name: f"{name} was left out of the request to {model!r}: {why}." for name, why in encoded.dropped.items()}
    notes.update({text: f"{model!r}: {text}." for text in encoded.warnings})
    for key, text in notes.items():
        if (model, key) not in _told:
            _told.add((model, key))
            warn(text)
