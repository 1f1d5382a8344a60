"""One call that is ready to be sent: its request, the reader of its answer, and what to send after a refusal.

Rule 1. If an endpoint refuses a field or a wire format, or a URL does not exist, the request is encoded again with this
lesson; no encoded body is edited.
Rule 2. The user is warned once of each lesson of an endpoint. A refusal that may hold for this call alone changes this
call alone.
Rule 3. Another wire format or URL is remembered when it has answered and not before, because a refusal may retell a
prompt ("it asks how to use the Responses API").
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_dbchat.chat_models.learning_decoder import LearningDecoder
from langchain_dbchat.connection.observing import observer
from langchain_dbchat.connection.requests import NO_URL, address_request, next_route
from langchain_dbchat.dialects import dialect_named
from langchain_dbchat.dialects.dialect import PREFILL, ROLES, SIGNATURES
from langchain_dbchat.dialects.shared.answer.wires import OtherWireError
from langchain_dbchat.errors.user_warnings import warn
from langchain_dbchat.models.families import GENERIC, OPENAI_COMPATIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from langchain_core.callbacks import BaseRunManager
    from langchain_core.outputs import ChatResult

    from langchain_dbchat.chat_models.settings import ChatSettings
    from langchain_dbchat.chat_models.structured import Structured
    from langchain_dbchat.connection.endpoints import Endpoint
    from langchain_dbchat.connection.observing import ChatObservation
    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.dialects.dialect import ChatRequest, Dialect, EncodedRequest, StreamDecoder, Target
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.transport.channel import Channel
    from langchain_dbchat.transport.limiter import EndpointLimiter
    from langchain_dbchat.transport.messages import Reply, Request

__all__ = ["CallAddress", "PreparedCall", "encode_call"]

_REQUEST_ID = "x-request-id"

_UNKNOWN = frozenset({GENERIC.name, OPENAI_COMPATIBLE.name})
"""Families whose endpoints may use another wire format than the client does."""

_UNOBSERVED: AbstractContextManager[object] = nullcontext()

_CHANGES = {ROLES: "made to alternate", PREFILL: "followed by a user's message"}
"""What a warning says about a lesson that is not a field."""


@dataclass(slots=True)
class CallAddress:
    """Where the requests of one call go, and what they have besides the body.

    Attributes:
        model: The model.
        session: Its connection.
        headers: Headers of this call; they override those of the constructor.
        query: Query parameters of this call; the same.
        tags: Labels of this call for the gateway's usage table; None for those of the constructor.
    """

    model: ChatSettings
    session: Session
    headers: Mapping[str, str]
    query: Mapping[str, str] | None
    tags: Mapping[str, str] | None

    def request(self, dialect: Dialect, chat_request: ChatRequest, encoded: EncodedRequest, route: int) -> Request:
        """Address an encoded request.

        Args:
            dialect: Its wire format.
            chat_request: The request before it was encoded.
            encoded: The encoded request.
            route: Which of the wire format's URLs is used, by its place.
        """
        target = chat_request.target
        return address_request(
            self.model,
            self.session,
            dialect.paths(target),
            target.model,
            encoded.body,
            route=route,
            headers={**encoded.headers, **self.headers},
            query=self.query,
            tags=self.tags,
            streaming=chat_request.stream,
            is_last=dialect.is_last(target),
        )

    def next_route(self, dialect: Dialect, target: Target, error: DatabricksError, route: int) -> int | None:
        """Return the place of the URL to use after an error; None if the error does not ask for another one.

        Args:
            dialect: The wire format.
            target: The called model.
            error: The error.
            route: The place of the URL that was used.
        """
        return next_route(error, self.model, self.session, dialect.paths(target), target.model, route)


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
        address: Where the request goes.
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
    address: CallAddress
    endpoint: Endpoint
    coalesce: bool
    strict: bool
    may_switch: bool
    structured: Structured | None
    route: int
    shows_headers: bool
    _observation: ChatObservation | None = None
    _earlier: list[dict[str, Any]] = field(default_factory=list)
    _asked_by: DatabricksError | None = None  # the refusal that asks for the wire format of `dialect`
    _unconfirmed: list[Callable[[], None]] = field(default_factory=list)  # each stores what only an answer confirms

    def observed(self, run: BaseRunManager | None) -> AbstractContextManager[object]:
        """Return a context manager around the call, in which a tracing package observes it.

        Args:
            run: LangChain's run of the call.
        """
        found = observer()
        if found is None:
            return _UNOBSERVED
        asked = self.chat_request
        self._observation = found.chat(
            asked.target.model, asked.settings, asked.messages, self.request.url, stream=asked.stream, run=run
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
        request_id = reply.headers.get(_REQUEST_ID)

        def decode(body: bytes) -> ChatResult:
            try:
                return self.dialect.decode(body, self.chat_request.target, request_id, self.encoded.sent)
            except OtherWireError as error:
                if not self._switches(error):
                    raise
            return self.dialect.decode(body, self.chat_request.target, request_id, self.encoded.sent)

        result = reply.understood(decode)
        self._confirm()
        if self.shows_headers:
            from langchain_dbchat.chat_models.response_headers import add_headers, visible_headers  # noqa: PLC0415  # few calls ask for them

            add_headers(result, visible_headers(reply.headers, reply.hide))
        if self._observation is not None:
            for generation in result.generations:
                self._observation.received(generation.message)
        return result

    def _switches(self, error: OtherWireError) -> bool:
        """Use the wire format of an answer that came in another one, unless the user chose the wire format."""
        if self.may_switch:
            self._use_wire(error.wire)
            return True
        return False

    def _use_wire(self, name: str) -> None:
        self.dialect, self.may_switch = dialect_named(name), False
        self._unconfirmed.append(lambda: self.endpoint.learn_wire(name))

    def _confirm(self) -> None:
        """Store what this call has found out, because it was answered."""
        for store in self._unconfirmed:
            store()

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
                headers.get(_REQUEST_ID),
                coalesce=self.coalesce,
                usage=self.chat_request.stream_usage,
                sent=self.encoded.sent,
                mask=mask,
            )

        is_unknown = self.may_switch and self.chat_request.target.family.name in _UNKNOWN
        learns = is_unknown or self._unconfirmed
        decoder: StreamDecoder = LearningDecoder(make, self._switches, self._confirm) if learns else make()
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

        Raises:
            DatabricksError: The refusal that asked for another wire format, if the endpoint does not have that format.
        """
        place = self.address.next_route(self.dialect, self.chat_request.target, error, self.route)
        if place is not None:
            self.route = place
            self._unconfirmed.append(lambda: self.endpoint.learn_route(place))
            if "/ai-gateway/" in self.request.url:
                self._warn_of_route()
            return self._addressed()
        if self._asked_by is not None and error.status_code in NO_URL:
            raise self._asked_by from error
        return self._in_other_wire(error) or self._without_refused_field(error)

    def _addressed(self) -> Request:
        self.request = self.address.request(self.dialect, self.chat_request, self.encoded, self.route)
        return self.request

    def _warn_of_route(self) -> None:
        text = f"The workspace of {self.chat_request.target.model!r} has no AI gateway, or does not know it there"
        if self.endpoint.is_new_warning(text):
            warn(f"{text}, so the serving endpoint is called. Requests to it are not in system.ai_gateway.usage.")

    def _in_other_wire(self, error: DatabricksError) -> Request | None:
        """Return the request in the wire format that a refusal asks for."""
        if not self.may_switch and self._asked_by is None:
            return None
        from langchain_dbchat.dialects.shared.request.refusals import named_wire  # noqa: PLC0415  # where a refusal came

        name = named_wire(error.detail or error.message, self.encoded.body)
        if name is None or name == self.dialect.name:
            return None
        if self._asked_by is not None:
            raise self._asked_by from error
        self.encoded = encode_call(dialect_named(name), self.chat_request, self.structured)
        self._asked_by = error
        self._use_wire(name)
        return self._addressed()

    def _without_refused_field(self, error: DatabricksError) -> Request | None:
        from langchain_dbchat.dialects.shared.request.refusals import refused_field  # noqa: PLC0415  # where a refusal came

        fields = self.dialect.refusable
        refused = refused_field(error.detail or error.message, self.encoded.body, fields)
        if refused is None or (self.strict and refused not in fields.renamed):
            return None
        target = self.chat_request.target
        lessons = fields.learned(target.lessons, refused)
        chat_request = self.chat_request._replace(target=target._replace(lessons=lessons))
        encoded = encode_call(self.dialect, chat_request, self.structured)
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
        from langchain_dbchat.dialects.shared.request.lasting_refusals import holds_for_every_call  # noqa: PLC0415  # where a refusal came

        fields, target, known = self.dialect.refusable, self.chat_request.target, self.endpoint.lessons()
        lasts = holds_for_every_call(error.detail or error.message, target.model)
        if refused not in target.lessons and refused not in known and refused not in fields.renamed:
            change = _CHANGES.get(
                refused, "asked for in another way" if refused in fields.replaced.values() else "left out"
            )
            if lasts or self.endpoint.is_new_warning(f"{refused} in one call"):
                span = "from now on" if lasts else "of this call" if change == "left out" else "in this call"
                warn(f"{target.model!r} refused {refused!r}, so it is {change} {span}: {error.detail}")
        if not lasts:
            return
        self.endpoint.set_teacher(refused, self.address.session.channel)
        if self._unconfirmed:  # perhaps another endpoint's words, at a URL or in a wire format that this one lacks
            self._unconfirmed.append(lambda: self.endpoint.learn(fields.learned(self.endpoint.lessons(), refused)))
        else:
            self.endpoint.learn(fields.learned(known, refused))


def encode_call(dialect: Dialect, chat_request: ChatRequest, structured: Structured | None) -> EncodedRequest:
    """Encode the request of a call in a wire format.

    Args:
        dialect: The wire format.
        chat_request: The request.
        structured: The two ways to request a structured answer; None if the call does not request one.

    Returns:
        The encoded request, without what the endpoint has refused.
    """
    if structured is not None:
        chat_request = structured.fitted(chat_request)
    return dialect.encode(chat_request)
