"""Prepare one call of the chat model: turn settings and messages into an addressed request and a reader of its answer.

All four ways of calling use this code, so each decision before a request is sent is made in one place.

Rule 1. This module does not depend on a wire format: a dialect encodes the request and decodes the answer.
Rule 2. If an endpoint refuses a field or a wire format, or a URL does not exist, the request is encoded again with this
lesson; no encoded body is edited.
Rule 3. If a setting is left out or changed, the user is warned once for each endpoint; with ``strict_params`` an error
is raised instead.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_dbchat.chat_models.learning_decoder import LearningDecoder
from langchain_dbchat.connection.endpoints import DISCOVER, endpoint_of
from langchain_dbchat.connection.given import call_settings
from langchain_dbchat.connection.marks import COMPLETION_LIMIT, QUERY, marks_of
from langchain_dbchat.connection.observing import observer
from langchain_dbchat.connection.requests import address_request, family_for, next_route
from langchain_dbchat.connection.session import endpoint_name
from langchain_dbchat.dialects import AUTO, choose_dialect, dialect_named
from langchain_dbchat.dialects.dialect import PREFILL, ROLES, SIGNATURES, ChatRequest, Target
from langchain_dbchat.dialects.shared.merging import merge_deep
from langchain_dbchat.dialects.shared.wires import OtherWireError
from langchain_dbchat.errors.user_warnings import warn
from langchain_dbchat.models.families import GENERIC, OPENAI_COMPATIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

    from langchain_dbchat.chat_models.settings import ChatSettings
    from langchain_dbchat.chat_models.structured import Structured
    from langchain_dbchat.connection.endpoints import Endpoint
    from langchain_dbchat.connection.observing import ChatObservation
    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.dialects.dialect import Dialect, EncodedRequest, StreamDecoder, StructuredMethod
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.exchange import Reply, Request
    from langchain_dbchat.transport.limiter import EndpointLimiter

REQUEST_ID = "x-request-id"

_REASONING = ("reasoning_effort", "thinking")
"""Two spellings of one setting: if a call gives either of them, it replaces both."""

_UNKNOWN = frozenset({GENERIC.name, OPENAI_COMPATIBLE.name})
"""Families whose endpoints may speak another wire format than is asked for."""

_UNOBSERVED: AbstractContextManager[object] = nullcontext()

_CHANGES = {ROLES: "made to alternate", PREFILL: "followed by a user's message"}
"""What a warning says about a lesson that is not a field."""


@dataclass(slots=True)
class PreparedCall:
    """One call, ready to be sent. `revise` changes its request after a refusal.

    Attributes:
        channel: Sends the request.
        limiter: Limits the number of concurrent calls of the endpoint; None for no limit.
        dialect: The wire format.
        chat_request: The request before it is encoded.
        encoded: The last encoded request.
        request: The last addressed request.
        address: Makes an addressed request of an encoded one, for a wire format and one of its URLs.
        next_route: Returns the place of the URL to use after an error, for a wire format and the last URL's place.
        endpoint: The record of the endpoint.
        coalesce: Whether deltas that arrived together become one chunk.
        strict: Whether a refused field is an error, so that it is not left out.
        may_switch: Whether another wire format is used if the endpoint asks for it.
        structured: The two ways to request a structured answer; None if the call does not request one.
        route: The place of the URL that is used.
        shows_headers: Whether the answer contains the headers of the response.
    """

    channel: Channel
    limiter: EndpointLimiter | None
    dialect: Dialect
    chat_request: ChatRequest
    encoded: EncodedRequest
    request: Request
    address: Callable[[Dialect, EncodedRequest, int], Request]
    next_route: Callable[[Dialect, DatabricksError, int], int | None]
    endpoint: Endpoint
    coalesce: bool
    strict: bool
    may_switch: bool
    structured: Structured | None
    route: int
    shows_headers: bool
    _observation: ChatObservation | None = None
    _earlier: list[dict[str, Any]] = field(default_factory=list)

    def observed(self) -> AbstractContextManager[object]:
        """Return a context manager around the call, in which a tracing package observes it."""
        found = observer()
        if found is None:
            return _UNOBSERVED
        asked = self.chat_request
        self._observation = found.chat(
            asked.target.model, asked.settings, asked.messages, self.request.url, stream=asked.stream
        )
        return self._observation

    def read(self, reply: Reply) -> ChatResult:
        """Read the whole answer to this call.

        Args:
            reply: The answer.

        Returns:
            One generation for each choice.

        Raises:
            DatabricksError: If the answer is an error, or does not have the format of this wire.
        """
        request_id = reply.headers.get(REQUEST_ID)

        def decode(body: bytes) -> ChatResult:
            try:
                return self.dialect.decode(body, self.chat_request.target, request_id, self.encoded.sent)
            except OtherWireError as error:
                if not self._learns(error):
                    raise
            return self.dialect.decode(body, self.chat_request.target, request_id, self.encoded.sent)

        result = reply.understood(decode)
        if self.shows_headers:
            from langchain_dbchat.chat_models.response_headers import add_headers, visible_headers  # noqa: PLC0415  # few calls ask for them

            add_headers(result, visible_headers(reply.headers, reply.hide))
        if self._observation is not None:
            for generation in result.generations:
                self._observation.received(generation.message)
        return result

    def _learns(self, error: OtherWireError) -> bool:
        """Use the wire format of an answer that came in another one, unless the user chose the wire format."""
        if self.may_switch:
            self.dialect, self.may_switch = dialect_named(error.wire), False
            self.endpoint.learn_wire(error.wire)
            return True
        return False

    def decoder(self, headers: Mapping[str, str], mask: Callable[[str], str]) -> StreamDecoder:
        """Make the decoder of the stream that answers this call.

        Args:
            headers: The response's headers.
            mask: Masks the secrets of the request in a text.

        Returns:
            A new decoder.
        """

        def make() -> StreamDecoder:
            return self.dialect.decoder(
                self.chat_request.target,
                headers.get(REQUEST_ID),
                coalesce=self.coalesce,
                usage=self.chat_request.stream_usage,
                sent=self.encoded.sent,
                mask=mask,
            )

        is_unknown = self.may_switch and self.chat_request.target.family.name in _UNKNOWN
        decoder: StreamDecoder = LearningDecoder(make, self._learns) if is_unknown else make()
        if self.shows_headers:
            from langchain_dbchat.chat_models.response_headers import add_to_first, visible_headers  # noqa: PLC0415  # the same
            from langchain_dbchat.chat_models.tapped_decoder import TappedDecoder  # noqa: PLC0415  # the same

            decoder = TappedDecoder(decoder, add_to_first(visible_headers(headers, mask)))
        observation = self._observation
        if observation is not None:
            from langchain_dbchat.chat_models.tapped_decoder import TappedDecoder  # noqa: PLC0415  # the same

            observation.opened()
            decoder = TappedDecoder(decoder, lambda chunk: observation.received(chunk.message))
        return decoder

    def revise(self, error: DatabricksError) -> Request | None:
        """Return another request after a refusal, and remember why.

        Args:
            error: The refusal.

        Returns:
            The request without the refused field, or with the other way to request the same; the same in the wire
            format that the endpoint asks for, or at its next URL. None if the refusal names nothing of that kind.
        """
        place = self.next_route(self.dialect, error, self.route)
        if place is not None:
            self.route = place
            self.endpoint.learn_route(place)
            if "/ai-gateway/" in self.request.url:
                self._warn_of_route()
            return self._addressed()
        return self._in_other_wire(error) or self._without_refused_field(error)

    def _addressed(self) -> Request:
        self.request = self.address(self.dialect, self.encoded, self.route)
        return self.request

    def _warn_of_route(self) -> None:
        text = f"The workspace of {self.chat_request.target.model!r} has no AI gateway, or does not know it there"
        if self.endpoint.is_new_warning(text):
            warn(f"{text}, so the serving endpoint is called. Requests to it are not in system.ai_gateway.usage.")

    def _in_other_wire(self, error: DatabricksError) -> Request | None:
        """Return the request in the wire format that a refusal asks for."""
        if not self.may_switch:
            return None
        from langchain_dbchat.dialects.shared.refusals import named_wire  # noqa: PLC0415  # where a refusal came

        name = named_wire(error.detail or error.message, self.encoded.body)
        if name is None or name == self.dialect.name:
            return None
        dialect = dialect_named(name)
        self.encoded = _encode(dialect, self.chat_request, self.structured)
        self.dialect, self.may_switch = dialect, False
        self.endpoint.learn_wire(name)
        return self._addressed()

    def _without_refused_field(self, error: DatabricksError) -> Request | None:
        from langchain_dbchat.dialects.shared.refusals import refused_field  # noqa: PLC0415  # where a refusal came

        fields = self.dialect.refusable
        refused = refused_field(error.detail or error.message, self.encoded.body, fields)
        if refused is None or (self.strict and refused not in fields.renamed):
            return None
        target = self.chat_request.target
        lessons = fields.learned(target.lessons, refused)
        chat_request = self.chat_request._replace(target=target._replace(lessons=lessons))
        encoded = _encode(self.dialect, chat_request, self.structured)
        self._earlier.append(self.encoded.body)
        if encoded.body in self._earlier:
            return None
        if refused == SIGNATURES:
            self._warn_of_signatures()
        else:
            self._learn_field(refused, error)
        self.chat_request, self.encoded = chat_request, encoded
        return self._addressed()

    def _warn_of_signatures(self) -> None:
        text = f"{self.chat_request.target.model!r} does not accept the earlier reasoning of this conversation"
        if self.endpoint.is_new_warning(text):
            warn(f"{text}, so it was called without it. Some models want all messages before it unchanged.")

    def _learn_field(self, refused: str, error: DatabricksError) -> None:
        fields, target, lessons = self.dialect.refusable, self.chat_request.target, self.endpoint.lessons()
        if refused not in target.lessons and refused not in lessons and refused not in fields.renamed:
            change = _CHANGES.get(
                refused, "asked for in another way" if refused in fields.replaced.values() else "left out"
            )
            warn(f"{target.model!r} refused {refused!r}, so it is {change} from now on: {error.detail}")
        self.endpoint.learn(fields.learned(lessons, refused))


def merge_settings(model: ChatSettings, stop: list[str] | None, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the settings of a call over those of the constructor.

    Args:
        model: The model.
        stop: The call's ``stop``.
        kwargs: The call's other settings, under any of their names. None unsets a setting of the constructor, except
            for ``stop``, which LangChain always gives.

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
        for key in ("stream", *marks_of(type(model)).per_call_connection):
            settings.pop(key, None)
    name = endpoint_name(settings.pop("model", None) or model.model)
    endpoint = endpoint_of(session.address, name)
    family = settings.pop("family", model.family)
    if family == DISCOVER:
        family = endpoint.family
    extra = _extra_body(model, settings)
    headers, query = settings.pop("default_headers", None), settings.pop(QUERY, None)
    strict = settings.pop("strict_params", model.strict_params)
    structured: Structured | None = settings.pop("structured", None)
    limiter = _limiter(session, name) if settings.pop("adaptive_limit", model.adaptive_limit) == "always" else None
    coalesce = settings.pop("coalesce", model.coalesce)
    shows_headers = bool(settings.pop("include_response_headers", model.include_response_headers))
    if stream and (settings.get("n") or 1) > 1:
        raise ValueError(f"n={settings['n']} answers cannot be streamed. Call invoke, or leave n out.")
    tags = settings.pop("request_tags", None)
    api = settings.pop("api", None) or model.api
    target = Target(name, family_for(model, name, family), endpoint.lessons())
    told = endpoint.wire() or session.workspace.wire
    dialect = choose_dialect(api, target, settings, told=told, spoken=endpoint.wires)
    if strict:  # a renamed value is not left out, so strict_params permits it
        target = target._replace(lessons=target.lessons & dialect.refusable.renamed.keys())
    chat_request = ChatRequest(
        messages,
        settings,
        target,
        extra=extra,
        stream=stream,
        stream_usage=bool(settings.pop("stream_usage", model.stream_usage)),
        is_structured=structured is not None,
        limit_name=settings.pop("max_tokens_name", None) or model.max_tokens_name,
    )
    encoded = _encode(dialect, chat_request, structured)
    _warn_once(encoded, name, endpoint, strict=strict)

    def address(dialect: Dialect, encoded: EncodedRequest, route: int) -> Request:
        return address_request(
            model,
            session,
            dialect.paths(target),
            name,
            encoded.body,
            route=route,
            headers={**encoded.headers, **(headers or {})},
            query=query,
            tags=tags,
            streaming=stream,
            is_last=dialect.is_last,
        )

    route = endpoint.route()
    return PreparedCall(
        session.channel,
        limiter,
        dialect,
        chat_request,
        encoded,
        address(dialect, encoded, route),
        address,
        lambda dialect, error, last: next_route(error, model, session, dialect.paths(target), name, last),
        endpoint,
        coalesce=coalesce,
        strict=strict,
        may_switch=api == AUTO,
        structured=structured,
        route=route,
        shows_headers=shows_headers,
    )


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
    _extra_body(model, settings)
    family = settings.get("family", model.family)
    name = endpoint_name(str(settings.get("model") or model.model))
    target = Target(name, family_for(model, name, None if family == DISCOVER else family))
    return choose_dialect(settings.get("api") or model.api, target, settings).choose_method(settings, target, tools)


def _encode(dialect: Dialect, chat_request: ChatRequest, structured: Structured | None) -> EncodedRequest:
    if structured is not None and chat_request.target.lessons:
        chat_request = structured.fitted(chat_request)
    return dialect.encode(chat_request)


def _extra_body(model: ChatSettings, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the extra fields of a call, merged over the constructor's.

    Fields for reasoning and for the answer's length become settings, because they also have to fit the family.
    """
    if "extra_body" not in settings and not model.extra_body:
        return {}
    given = settings.pop("extra_body", {})
    extra = {} if given is None else merge_deep(model.extra_body or {}, given, keep_none=True)
    for key in _REASONING:
        if extra.get(key) is not None:
            settings[key] = extra.pop(key)
    for key in ("max_tokens", COMPLETION_LIMIT):
        if extra.get(key) is not None:
            settings["max_tokens"], settings["max_tokens_name"] = extra.pop(key), key
    return extra


def _limiter(session: Session, model: str) -> EndpointLimiter:
    from langchain_dbchat.transport.limiter import limiter_for  # noqa: PLC0415  # loads asyncio: not with the package

    return limiter_for(session.workspace.host, model)


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
