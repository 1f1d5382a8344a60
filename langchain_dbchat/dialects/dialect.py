"""The interface between the chat model and the wire formats: a dialect is a record of functions.

Rule 1. A dialect encodes requests in one wire format, and decodes answers; the chat model does not know the format.
Rule 2. A dialect imports `shared`, this module, `models` and `errors`, and no other dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_dbchat.dialects.shared.request.sent import SentTools
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.models.families import Family, WireName

WirePaths = Mapping[str, tuple[str, ...]]
"""The paths of a wire format, by the kind of address."""

StructuredMethod = Literal["function_calling", "json_schema", "json_mode"]
"""How a structured answer is requested: as a tool, as a schema that the endpoint enforces, or as any JSON."""


ROLES = "roles"
"""The lesson that roles must alternate. It is not the name of a field, and no message is dropped because of it."""

PREFILL = "prefill"
"""The lesson that a conversation must end with a user's message. It is not the name of a field either."""

SIGNATURES = "signatures"
"""The lesson that the signatures of earlier answers are not valid in this conversation, for example because messages
before them were removed. It counts for one call; the endpoint accepts reasoning in other conversations."""


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Target(NamedTuple):
    """The called model.

    Attributes:
        model: The endpoint's name.
        family: The row of the model.
        lessons: The fields that this endpoint has refused; see `RefusableFields`.
    """

    model: str
    family: Family
    lessons: frozenset[str] = frozenset()


class RefusableFields(NamedTuple):
    """The request fields of a wire format that the client changes after a 400 that names them.

    Attributes:
        optional: Top-level fields that may be left out.
        nested: Nested optional keys, and the top-level fields that contain them.
        renamed: Fields whose value may be sent under another name.
        replaced: Fields of a structured answer, which may be requested in the other way, each with the name of its
            setting: ``response_format`` or ``tool_choice``. The lesson has the name of the setting.
    """

    optional: frozenset[str] = frozenset()
    nested: Mapping[str, tuple[str, ...]] = _NOTHING
    renamed: Mapping[str, str] = _NOTHING
    replaced: Mapping[str, str] = _NOTHING

    @property
    def left_out(self) -> frozenset[str]:
        """Return the fields that are left out after a refusal.

        The keys of parts and tools may also be sent at the top level, as Anthropic's ``cache_control`` is.
        """
        return self.optional | self.nested.keys()

    def learned(self, lessons: frozenset[str], refused: str) -> frozenset[str]:
        """Return lessons with one more.

        Args:
            lessons: The lessons so far.
            refused: The field that was refused now.

        Returns:
            The lessons with this field. Of two names of one field only the last refused one is kept.
        """
        return lessons - {self.renamed.get(refused, "")} | {refused}


class ChatRequest(NamedTuple):
    """The user's request, independent of the wire format.

    Attributes:
        messages: The conversation.
        settings: The settings by the names of their fields, tools in OpenAI's format; None means not set.
        target: The called model.
        extra: Further fields of the request, in the wire's spelling; deep-merged last.
        stream: Whether the answer is streamed.
        stream_usage: Whether the last chunk of a stream contains the token usage.
        is_structured: Whether the answer is read by `with_structured_output`, which drops nulls that only a closed
            schema allows.
        limit_name: The field for the limit of the answer's length, if the family accepts either.
    """

    messages: Sequence[BaseMessage]
    settings: Mapping[str, Any]
    target: Target
    extra: Mapping[str, Any] = _NOTHING
    stream: bool = False
    stream_usage: bool = True
    is_structured: bool = False
    limit_name: str | None = None


@dataclass(slots=True)
class EncodedRequest:
    """An encoded request.

    Attributes:
        body: The body.
        dropped: The fields that were left out, each with the reason.
        warnings: Further warnings for the user.
        sent: The changes of the tools, which the decoder of the answer reverts.
        headers: Headers that this wire format needs.
    """

    body: dict[str, Any]
    dropped: dict[str, str]
    warnings: list[str]
    sent: SentTools
    headers: dict[str, str] = field(default_factory=dict)


class StreamDecoder(Protocol):
    """Decoder of a streamed answer, event by event."""

    def feed(self, events: Sequence[bytes], /) -> Iterator[ChatGenerationChunk]:
        """Decode events that arrived together."""
        ...

    def close(self) -> Sequence[ChatGenerationChunk]:
        """End the stream; raise if the answer is incomplete."""
        ...

    def is_complete(self) -> bool:
        """Return whether nothing is missing if the stream breaks now, although `is_last` has accepted no event."""
        ...

    def keep_partial(self, error: DatabricksError, /) -> None:
        """Add the partial message to an error that ends the stream."""
        ...

    def partial(self) -> AIMessage:
        """Return the partial message."""
        ...


class MakeDecoder(Protocol):
    """Constructor of a `StreamDecoder`."""

    def __call__(  # noqa: PLR0913  # the options of decoding, all but two by keyword
        self,
        target: Target,
        request_id: str | None,
        /,
        *,
        coalesce: bool,
        usage: bool,
        sent: SentTools | None,
        mask: Callable[[str], str] | None,
    ) -> StreamDecoder:
        """Make a new decoder.

        Args:
            target: The called model.
            request_id: The response's ``x-request-id``.
            coalesce: Whether deltas of one kind that arrived together become one chunk.
            usage: Whether the last chunk contains the token usage.
            sent: The changes of the request's tools.
            mask: Masks the secrets of the request in a text of the server.
        """
        ...


class Dialect(NamedTuple):
    """One wire format.

    Attributes:
        name: The name that users know.
        paths: Returns its paths for a model, by the kind of address, in the order in which they are tried: relative to
            the address's base, or to its host if they begin with a slash; ``{model}`` is replaced by the endpoint's
            name, and the body names the model where a path does not. A kind of address without this wire format has no
            paths.
        encode: Encodes a request.
        decode: Decodes a whole answer, from its body, the target, the response's ``x-request-id`` and the sent tools.
        decoder: Makes the decoder of a streamed answer.
        is_last: Returns, for a target, what decides whether an event is the last one of a stream.
        refusable: The fields that change after a 400 that names them.
        choose_method: Chooses how a structured answer is requested, from the settings of the call, the target, and
            whether further tools are bound.
        suits: Returns whether it can express the settings of a call to a model that has several wire formats.
    """

    name: WireName
    paths: Callable[[Target], WirePaths]
    encode: Callable[[ChatRequest], EncodedRequest]
    decode: Callable[[bytes, Target, str | None, SentTools], ChatResult]
    decoder: MakeDecoder
    is_last: Callable[[Target], Callable[[bytes], bool]]
    refusable: RefusableFields
    choose_method: Callable[[Mapping[str, Any], Target, bool], StructuredMethod]
    suits: Callable[[Mapping[str, Any], Target], bool] = lambda _settings, _target: True
