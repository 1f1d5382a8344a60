"""The seam between the chat model and the wires: a dialect is a row of functions.

A dialect writes a neutral request as the body of one wire, and reads the answers of that wire. The chat model knows no
wire; it asks the row. A dialect imports `shared`, this module, `models` and `errors`, and no other dialect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_dbchat.dialects.shared.sent import SentTools
    from langchain_dbchat.models.families import Family

StructuredMethod = Literal["function_calling", "json_schema", "json_mode"]
"""How a structured answer is asked for: as a tool, as a schema that the endpoint enforces, or as any JSON."""


@dataclass(frozen=True, slots=True)
class Target:
    """The model that is called.

    Attributes:
        model: The endpoint's name.
        family: The row of the model.
        lessons: What this endpoint has refused before; see `RefusableFields`.
    """

    model: str
    family: Family
    lessons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RefusableFields:
    """The request fields of a wire about which a 400 may teach something.

    Attributes:
        optional: Fields at the top that may be left out.
        nested: Optional keys below the top, and the fields that contain them.
        renamed: Fields whose value may be sent under another name.
        replaced: Fields of a structured answer that may be asked for in the other way.
    """

    optional: frozenset[str] = frozenset()
    nested: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    replaced: frozenset[str] = frozenset()

    def learned(self, lessons: frozenset[str], refused: str) -> frozenset[str]:
        """Add a lesson.

        Args:
            lessons: What was known before.
            refused: The field that was refused now.

        Returns:
            Both. Of two names of one field the one that was refused last counts.
        """
        return lessons - {self.renamed.get(refused, "")} | {refused}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the user asked, in neutral words.

    Attributes:
        messages: The conversation.
        settings: The settings by their fields' names, tools in OpenAI's shape; None means not set.
        target: The model that is called.
        extra: Further fields of the request, as the wire spells them; merged last and deep.
        stream: Whether the answer is to be streamed.
        stream_usage: Whether a stream is to end with its token usage.
        is_structured: Whether the answer is read by `with_structured_output`, which drops nulls that only a closed
            schema allows.
        limit_name: The field that the limit of the answer's length goes into, where the family takes either.
    """

    messages: Sequence[BaseMessage]
    settings: Mapping[str, Any]
    target: Target
    extra: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    stream_usage: bool = True
    is_structured: bool = False
    limit_name: str | None = None


@dataclass(slots=True)
class EncodedRequest:
    """A request's body, and what has to be known besides.

    Attributes:
        body: The body.
        dropped: What was left out of it (field: reason).
        warnings: What else the user should know.
        sent: What was changed in the tools, which the reader of the answer undoes.
    """

    body: dict[str, Any]
    dropped: dict[str, str]
    warnings: list[str]
    sent: SentTools


class StreamDecoder(Protocol):
    """Reads a streamed answer, event by event."""

    def feed(self, events: Sequence[bytes], /) -> Iterator[ChatGenerationChunk]:
        """Read events that arrived together."""
        ...

    def close(self) -> Sequence[ChatGenerationChunk]:
        """End the stream; raise if the answer did not end."""
        ...

    def keeping_partial(self) -> AbstractContextManager[None]:
        """Give an error that breaks the stream the message as far as it had arrived."""
        ...

    def partial(self) -> AIMessage:
        """Return the message as far as it has arrived."""
        ...


class MakeDecoder(Protocol):
    """Makes a `StreamDecoder`."""

    def __call__(  # noqa: PLR0913  # how an answer is read, all but two by keyword
        self,
        target: Target,
        request_id: str | None,
        /,
        *,
        coalesce: bool,
        usage: bool,
        sent: SentTools | None,
        hide: Callable[[str], str] | None,
    ) -> StreamDecoder:
        """Make a new decoder.

        Args:
            target: The model that was called.
            request_id: The response's ``x-request-id``.
            coalesce: Whether deltas of one kind that arrived together become one chunk.
            usage: Whether the last chunk carries the token usage.
            sent: What the request changed in its tools.
            hide: Masks the secrets that were sent, in a text of the server.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire.

    Attributes:
        name: The name that users know.
        paths: Where it is served, by the kind of address: a path below the address's base, in which ``{model}`` stands
            for the endpoint's name; the first choice, then the next to try.
        encode: Write the body of a request.
        decode: Read a whole answer: its body, the target, the response's ``x-request-id``, what was sent.
        decoder: Make a reader of a streamed answer.
        is_last: Tell whether an event is the last one of a stream.
        refusable: The fields about which a 400 may teach something.
        choose_method: Choose how a structured answer is asked for: by the settings of the call, the target, and whether
            further tools are bound.
    """

    name: Literal["chat", "responses", "messages", "agent"]
    paths: Mapping[str, tuple[str, ...]]
    encode: Callable[[ChatRequest], EncodedRequest]
    decode: Callable[[bytes, Target, str | None, SentTools], ChatResult]
    decoder: MakeDecoder
    is_last: Callable[[bytes], bool]
    refusable: RefusableFields
    choose_method: Callable[[Mapping[str, Any], Target, bool], StructuredMethod]
