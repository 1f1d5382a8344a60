"""Prepare one call of the chat model: turn settings and messages into an addressed request and a reader of its answer.

All four ways of calling use this code, so each decision before a request is sent is made in one place.

Rule 1. This module does not depend on a wire format: a dialect encodes the request and decodes the answer.
Rule 2. If a setting is left out or changed, the user is warned once for each endpoint; with ``strict_params`` an error
is raised instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.chat_models.merged_settings import merge_extra_body, merge_settings
from langchain_dbchat.chat_models.prepared_call import CallAddress, PreparedCall, encode_call
from langchain_dbchat.connection.endpoints import DISCOVER, endpoint_of, tenant_of
from langchain_dbchat.connection.marks import QUERY, marks_of
from langchain_dbchat.connection.requests import family_for
from langchain_dbchat.connection.session import endpoint_name
from langchain_dbchat.dialects import AUTO, choose_dialect
from langchain_dbchat.dialects.dialect import ChatRequest, Target
from langchain_dbchat.dialects.shared.request.plain_fields import DEFAULTS
from langchain_dbchat.errors.user_warnings import warn
from langchain_dbchat.models.families import GENERIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import BaseMessage

    from langchain_dbchat.chat_models.settings import ChatSettings
    from langchain_dbchat.chat_models.structured import Structured
    from langchain_dbchat.connection.endpoints import Endpoint
    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.dialects.dialect import Dialect, EncodedRequest, StructuredMethod
    from langchain_dbchat.transport.limiter import EndpointLimiter

__all__ = ["prepare_call", "structured_method"]


def prepare_call(  # noqa: PLR0913  # the parts of a call, as LangChain's hooks receive them
    model: ChatSettings,
    session: Session,
    messages: list[BaseMessage],
    stop: list[str] | None,
    kwargs: Mapping[str, Any],
    *,
    stream: bool,
) -> PreparedCall:
    """Prepare a call.

    Args:
        model: The model.
        session: Its connection.
        messages: The conversation.
        stop: The call's ``stop``.
        kwargs: The call's other settings, under any of their names.
        stream: Whether the answer is read as a stream.

    Returns:
        The call.

    Raises:
        ValueError: If the endpoint's family does not support a setting.
        UnsupportedContentError: If a message cannot be represented.
    """
    settings = merge_settings(model, stop, kwargs)
    if kwargs:
        marks = marks_of(type(model))
        if any(settings.get(key) is not None for key in marks.who):
            model = model._unsigned()  # noqa: SLF001  # the call has credentials of its own
        for key in ("stream", *marks.per_call_connection):
            settings.pop(key, None)
    name = endpoint_name(settings.pop("model", None) or model.model)
    endpoint = endpoint_of(session.address, name)
    extra = merge_extra_body(model, settings)
    count = settings.get("n") or 1
    if stream and count != 1:
        shown = count if isinstance(count, int) else f"<{type(count).__name__}>"
        raise ValueError(f"n={shown} answers cannot be streamed. Call invoke, or leave n out.")
    address = _address(model, session, settings)
    taught = _taught_endpoint(address, name, endpoint)
    strict = settings.pop("strict_params", model.strict_params)
    structured = _structured(settings.pop("structured", None))
    is_limited = settings.pop("adaptive_limit", model.adaptive_limit) == "always"
    coalesce = settings.pop("coalesce", model.coalesce)
    shows_headers = bool(settings.pop("include_response_headers", model.include_response_headers))
    api = settings.pop("api", None) or model.api
    target = _target(model, name, endpoint, settings, session)._replace(lessons=taught.lessons())
    requested = taught.wire() or session.workspace.wire
    dialect = choose_dialect(api, target, settings, requested=requested, spoken=endpoint.wires)
    if strict:  # a renamed value is not left out, so strict_params permits it
        target = target._replace(lessons=target.lessons & dialect.refusable.renamed.keys())
    chat_request = _chat_request(model, messages, settings, target, extra, stream=stream, structured=structured)
    encoded = encode_call(dialect, chat_request, structured)
    _warn_once(encoded, name, endpoint, strict=strict)
    if target.lessons:
        _warn_of_lessons(chat_request, dialect, taught, session)
    route = taught.route()
    return PreparedCall(
        session.channel,
        _limiter(session, name) if is_limited else None,
        dialect,
        chat_request,
        encoded,
        address.request(dialect, chat_request, encoded, route),
        address,
        taught,
        coalesce=coalesce,
        strict=strict,
        may_switch=api == AUTO,
        structured=structured,
        route=route,
        shows_headers=shows_headers,
    )


def _address(model: ChatSettings, session: Session, settings: dict[str, Any]) -> CallAddress:
    """Return where the requests go; what they have besides the body leaves the settings."""
    return CallAddress(
        model,
        session,
        settings.pop("default_headers", None) or {},
        settings.pop(QUERY, None),
        settings.pop("request_tags", None),
    )


def _taught_endpoint(address: CallAddress, name: str, endpoint: Endpoint) -> Endpoint:
    """Return the record of what refusals have taught: the endpoint's own, or that of one tenant."""
    model = address.model
    if not (model.default_headers or model.default_query or address.headers or address.query):
        return endpoint
    headers = {**(model.default_headers or {}), **address.headers}
    query = {**(model.default_query or {}), **(address.query or {})}
    tenant = tenant_of(headers, query)
    return endpoint_of(address.session.address, name, tenant) if tenant else endpoint


def _chat_request(  # noqa: PLR0913  # the fields of the request
    model: ChatSettings,
    messages: list[BaseMessage],
    settings: dict[str, Any],
    target: Target,
    extra: Mapping[str, Any],
    *,
    stream: bool,
    structured: Structured | None,
) -> ChatRequest:
    """Return what is encoded; what is about the request, and not a field of it, leaves the settings."""
    return ChatRequest(
        messages,
        settings,
        target,
        extra=extra,
        stream=stream,
        stream_usage=bool(settings.pop("stream_usage", model.stream_usage)),
        is_structured=structured is not None,
        limit_name=settings.pop("max_tokens_name", None) or model.max_tokens_name,
    )


def _target(model: ChatSettings, name: str, endpoint: Endpoint, settings: dict[str, Any], session: Session) -> Target:
    """Return the model that a call is for."""
    family = settings.pop("family", model.family)
    if family == DISCOVER:
        family = endpoint.family or (None if session.workspace.kind == "app" else GENERIC.name)
    return Target(name, family_for(model, name, family))


def _structured(given: Any) -> Structured | None:
    if given is None:
        return None
    from langchain_dbchat.chat_models.structured import Structured  # noqa: PLC0415  # loads parsers, which few programs need

    if not isinstance(given, Structured):
        raise TypeError("structured= is not for your use: call with_structured_output(schema), which sets it.")
    return given


def structured_method(model: ChatSettings, kwargs: Mapping[str, Any], *, tools: bool) -> StructuredMethod:
    """Choose how a structured answer is requested from the model that these settings select.

    Args:
        model: The model.
        kwargs: The settings that will be bound.
        tools: Whether further tools will be bound.

    Returns:
        The method.
    """
    settings = merge_settings(model, None, kwargs)
    merge_extra_body(model, settings)
    family = settings.get("family", model.family)
    name = endpoint_name(str(settings.get("model") or model.model))
    target = Target(name, family_for(model, name, None if family == DISCOVER else family))
    return choose_dialect(settings.get("api") or model.api, target, settings).choose_method(settings, target, tools)


def _limiter(session: Session, model: str) -> EndpointLimiter:
    from langchain_dbchat.transport.limiter import limiter_for  # noqa: PLC0415  # loads asyncio: not with the package

    return limiter_for(session.address, model)


def _warn_once(encoded: EncodedRequest, model: str, endpoint: Endpoint, *, strict: bool) -> None:
    """Warn about settings that were left out or changed, once for each endpoint; raise if ``strict_params`` is set."""
    if not encoded.dropped and not encoded.warnings:
        return
    if strict:
        reasons = "; ".join([*(f"{name}: {why}" for name, why in encoded.dropped.items()), *encoded.warnings])
        raise ValueError(f"{model!r} does not take these settings ({reasons}). Leave them out, or unset strict_params.")
    notes = {name: f"{name} was left out of the request to {model!r}: {why}." for name, why in encoded.dropped.items()}
    notes.update({text: f"{model!r}: {text}." for text in encoded.warnings})
    for key, text in notes.items():
        if endpoint.is_new_warning(key):
            warn(text)


def _warn_of_lessons(request: ChatRequest, dialect: Dialect, endpoint: Endpoint, session: Session) -> None:
    """Warn about fields that are left out because a call of somebody else was refused, once for each endpoint."""
    for field in sorted(request.target.lessons & dialect.refusable.left_out):
        value = request.extra.get(field, request.settings.get(field))
        is_lost = value is not None and value != DEFAULTS.get(field)
        if (
            is_lost
            and not endpoint.is_teacher(field, session.channel)
            and endpoint.is_new_warning(f"{field} by another call")
        ):
            warn(
                f"{field} was left out of the request to {request.target.model!r}: the endpoint refused it in another "
                "call."
            )
