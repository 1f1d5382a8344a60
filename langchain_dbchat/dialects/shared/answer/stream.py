"""Decode a streamed answer: what the decoders of all wire formats share.

Rule 1. A stream is decoded with ``feed`` and ``close``. ``close`` raises if the answer was cut off; the error contains
the partial message.
Rule 2. Model name, finish reason and usage are on the last chunk only, because langchain-core adds up several values.
Rule 3. If an event is an error, the chunks of the events before it are returned first.
Rule 4. No error contains a secret of the request: an event that repeats one is read again without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic_core import to_json

from langchain_dbchat.dialects.shared.answer.answer import Delta, GrowingAnswer
from langchain_dbchat.dialects.shared.answer.chunks import answer_message, delta_chunk
from langchain_dbchat.dialects.shared.answer.copied_messages import content_chunk, generation_chunk
from langchain_dbchat.dialects.shared.answer.events import BRACE, is_last, parse_event
from langchain_dbchat.dialects.shared.answer.parts import EMPTY, SILENT, Part, Text, ToolCallPart, join_parts
from langchain_dbchat.errors import DatabricksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.answer.facts import AnswerFacts
    from langchain_dbchat.dialects.shared.answer.logprobs import StreamedLogprobs
    from langchain_dbchat.dialects.shared.request.sent import SentTools

__all__ = ["AnswerStreamDecoder"]

FactsT = TypeVar("FactsT", bound="AnswerFacts")


class AnswerStreamDecoder(ABC, Generic[FactsT]):
    """Decoder of a streamed answer. A wire format adds how an event is read, and when the answer is complete.

    Args:
        target: The called model.
        request_id: The response's ``x-request-id``.
        coalesce: Whether deltas of one kind that arrived together become one chunk. The decoder never waits for more,
            so each token of a slow model is a chunk.
        usage: Whether the last chunk contains the token usage.
        sent: The changes of the request's tools, which are reverted; None for none.
        mask: Masks the secrets of the request in a text of the server, for errors.
    """

    __slots__ = (
        "_all_logprobs",
        "_answer",
        "_coalesce",
        "_done",
        "_facts",
        "_logprobs",
        "_mask",
        "_pending",
        "_sent",
        "_texts",
        "_usage",
    )

    def __init__(  # noqa: PLR0913  # the options of decoding, all but two by keyword
        self,
        target: Target,
        request_id: str | None = None,
        *,
        coalesce: bool = True,
        usage: bool = True,
        sent: SentTools | None = None,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self._usage = usage
        self._mask = mask
        self._sent = sent
        self._answer = GrowingAnswer(blocks=target.family.signed_text, sent=sent)
        self._coalesce = coalesce
        self._done = False  # `[DONE]` has arrived
        self._pending: Part | None = None  # the last part, which a part that arrived together with it may extend
        self._texts: list[str] = []  # its further arguments, if it is a call; plain text, if there is none
        self._logprobs: dict[str, Any] | None = None  # for the next chunk
        self._all_logprobs: StreamedLogprobs | None = None
        self._facts: FactsT = self._begin(target, request_id)

    _parse: Callable[[bytes], dict[str, Any]] = staticmethod(parse_event)

    @abstractmethod
    def _begin(self, target: Target, request_id: str | None) -> FactsT:
        """Set the state that only this wire format has, and return the answer's metadata before any event."""

    @abstractmethod
    def _read(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        """Read an event: add its parts, and note its metadata; raise if it is an error."""

    @abstractmethod
    def _check_complete(self) -> None:
        """Raise if the answer is not complete at the end of the stream."""

    def feed(self, events: Sequence[bytes]) -> Iterator[ChatGenerationChunk]:
        """Decode events that arrived together.

        Args:
            events: The events' payloads.

        Yields:
            Their chunks, in order; if an event is an error, first the chunks of the events before it.

        Raises:
            DatabricksError: If an event is an error.
            MalformedResponseError: If an event is not a JSON object, or has an unknown format.
        """
        chunks: list[ChatGenerationChunk] = []
        broken: DatabricksError | None = None
        raw = b""
        try:
            for raw in events:
                if (not raw or raw[0] != BRACE) and is_last(raw):  # `is_last` asks this too; here it saves a call
                    self._done = True
                else:
                    self._read(self._parse(raw), chunks)
                if not self._coalesce:
                    self._flush(chunks)
            self._flush(chunks)
        except DatabricksError as error:
            broken = error
            self._flush(chunks)
        yield from chunks
        if broken is not None:
            raise self._without_secrets(broken, raw)

    def close(self) -> list[ChatGenerationChunk]:
        """End the stream.

        Returns:
            The remaining chunks. The last one has the finish reason, the model's name and the usage.

        Raises:
            MalformedResponseError: If the stream has another format.
            StreamInterruptedError: If the answer did not say that it had ended.
        """
        self._check_complete()
        facts = self._facts
        chunks = [self._chunk(delta) for delta in self._answer.finish(facts.kept.whole(), cut=facts.cut)]
        message = AIMessageChunk(
            content=self._answer.empty_content(),
            response_metadata=facts.metadata(),
            usage_metadata=facts.usage_metadata() if self._usage else None,
            chunk_position="last",
        )
        info: dict[str, Any] = {"finish_reason": facts.finish_reason} if facts.finish_reason else {}
        if self._all_logprobs is not None and (rest := self._all_logprobs.rest()):
            info["logprobs"] = rest
        chunks.append(ChatGenerationChunk(message=message, generation_info=info or None))
        return chunks

    def is_complete(self) -> bool:
        """Return whether nothing is missing if the stream breaks now: False if only the last event says so."""
        return False

    def _partial_without_secrets(self) -> AIMessage:
        message = self.partial()
        if self._mask is None or self._mask(str(message)) == str(message):
            return message
        from langchain_dbchat.errors.sent_secrets import hide_in_values  # noqa: PLC0415  # where something went wrong

        return AIMessage(**hide_in_values(self._mask, dict(message)))

    def _without_secrets(self, error: DatabricksError, raw: bytes) -> DatabricksError:
        """Return the error of the same event without secrets; the event is read again if it contains any."""
        if self._mask is None:
            return error
        from langchain_dbchat.errors.sent_secrets import SEARCHED, hide_in_bytes  # noqa: PLC0415  # where something went wrong

        masked = hide_in_bytes(self._mask, raw)
        if masked is raw:
            return error
        again = type(self)(self._facts.target, self._facts.request_id)
        try:
            list(again.feed([masked]))
        except DatabricksError as other:
            if type(other) is type(error) and len(raw) <= SEARCHED:
                return other
        return type(error)(self._mask(error.message))  # the event is too large to be read again

    def _told(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return an event of no known shape as an error may quote it, without the secrets of the request."""
        if self._mask is None:
            return event
        from langchain_dbchat.errors.sent_secrets import hide_in_bytes  # noqa: PLC0415  # where something went wrong

        return parse_event(hide_in_bytes(self._mask, to_json(event, serialize_unknown=True)))

    def keep_partial(self, error: DatabricksError) -> None:
        """Add the partial message to an error that ends the stream, wherever it was raised.

        Args:
            error: The error, which is changed.
        """
        error.partial = self._partial_without_secrets()
        error.request_id = error.request_id or self._facts.request_id
        error.endpoint = error.endpoint or self._facts.target.model

    def partial(self) -> AIMessage:
        """Return the partial message."""
        return answer_message(self._answer, self._facts, cut=True)

    def _note_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        if self._all_logprobs is None:
            from langchain_dbchat.dialects.shared.answer.logprobs import StreamedLogprobs  # noqa: PLC0415  # few answers have them

            self._all_logprobs = StreamedLogprobs()
        self._logprobs = self._all_logprobs.add(self._logprobs, logprobs)

    def _add(self, part: Part, chunks: list[ChatGenerationChunk]) -> None:
        pending = self._pending
        # Texts are collected here and joined once, by `_take`, because joining them one by one is slow.
        if type(part) is ToolCallPart:
            if type(pending) is ToolCallPart and part.is_rest_of(pending):
                begun = [pending.arguments] if pending.arguments else self._texts
                if begun != [EMPTY]:  # else the arguments that follow replace the empty object
                    if part.arguments:
                        self._texts.append(part.arguments)
                    return
        elif type(part) is Text and pending is None and part.extras is None and not part.opens:
            self._texts.append(part.text)
            return
        elif type(part) in SILENT:
            self._answer.add(part)
            return
        before = self._take()
        joined = None if before is None else join_parts(before, part)
        if before is not None and joined is None:
            self._emit(before, chunks)
        self._pending = joined or part

    def _take(self) -> Part | None:
        """Return the last part as a whole, and forget it."""
        part, self._pending = self._pending, None
        if self._texts:
            text = "".join(self._texts)
            self._texts.clear()
            return replace(part, arguments=part.arguments + text) if isinstance(part, ToolCallPart) else Text(text)
        return part

    def _flush(self, chunks: list[ChatGenerationChunk]) -> None:
        if self._pending is None and len(self._texts) == 1 and self._logprobs is None:
            text = self._texts[0]
            if self._answer.extend_text(text):  # nearly all events of an answer, so this way is the shortest
                self._texts.clear()
                chunks.append(generation_chunk(content_chunk(text)))
                return
        part = self._take()
        if part is not None:
            self._emit(part, chunks)
        if self._logprobs is not None:
            chunks.append(self._chunk(Delta(self._answer.empty_content())))

    def _emit(self, part: Part, chunks: list[ChatGenerationChunk]) -> None:
        delta = self._answer.add(part)
        if delta is not None:
            chunks.append(self._chunk(delta))

    def _chunk(self, delta: Delta) -> ChatGenerationChunk:
        message = delta_chunk(delta)
        if self._logprobs is None:
            return generation_chunk(message)
        info = {"logprobs": self._logprobs}
        self._logprobs = None
        return ChatGenerationChunk(message=message, generation_info=info)
