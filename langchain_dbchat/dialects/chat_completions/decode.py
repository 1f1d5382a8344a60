"""Decode a chat-completions answer, streamed or whole.

Rule 1. A stream is decoded with ``feed`` and ``close``. ``close`` raises if the answer has neither a finish reason nor
``[DONE]``, because it was cut off; the error contains the partial message.
Rule 2. Model name, finish reason and usage are on the last chunk only, because langchain-core adds up several values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic_core import from_json, to_json

from langchain_dbchat.dialects.chat_completions.choices import read_parts
from langchain_dbchat.dialects.chat_completions.facts import ANSWER_KEYS, CHOICE_KEYS, AnswerFacts
from langchain_dbchat.dialects.shared.answer import Delta, GrowingAnswer
from langchain_dbchat.dialects.shared.errors_within import may_be_blocked, raise_blocked, raise_error_within
from langchain_dbchat.dialects.shared.fields import storable
from langchain_dbchat.dialects.shared.parts import SILENT, Part, Text, join_parts
from langchain_dbchat.dialects.shared.reasoning import PROVIDER
from langchain_dbchat.dialects.shared.usage import decode_usage
from langchain_dbchat.errors import DatabricksError, MalformedResponseError, StreamInterruptedError

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.sent import SentTools

DONE = b"[DONE]"


def is_last(event: bytes) -> bool:
    """Decide whether an event ends the stream: ``[DONE]``, also quoted or in lower case, or an event named ``done``."""
    return event[:1] != b"{" and event.strip().strip(b'"').strip().upper() in {DONE, b"DONE"}


_TAG = {"model_provider": PROVIDER}
_PLAIN_DELTA = frozenset({"role", "content"})
_MESSAGE_KEYS = frozenset({"message", "stray_text"})
"""Fields with a text in an event that is not a part of an answer; `sse` gives text outside of events as the second."""

_QUOTED = 2_000  # the number of characters of such a text that an error quotes
_JSON_SPACE = " \t\n\r"


def _message(answer: GrowingAnswer, facts: AnswerFacts, *, cut: bool) -> AIMessage:
    answer.conclude(facts.kept.whole())
    content: Any = answer.content()
    calls, invalid = answer.calls(cut=cut)
    return AIMessage(
        content=content,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs=answer.additional(),
        response_metadata=facts.metadata(),
        usage_metadata=decode_usage(facts.usage) if facts.usage else None,
    )


def _parse(raw: bytes | str) -> dict[str, Any]:
    try:
        payload = from_json(raw)
    except ValueError as error:
        raise MalformedResponseError(
            f"The server sent something that is not JSON ({error}): {bytes_start(raw)}"
        ) from error
    if isinstance(payload, list) and any(isinstance(item, dict) and item.get("error") for item in payload):
        raise_error_within({"error": payload}, "choices")  # Google's format of errors
    if not isinstance(payload, dict):
        raise MalformedResponseError(
            f"The server sent a JSON {type(payload).__name__} instead of an object: {bytes_start(raw)}"
        )
    return payload


def bytes_start(raw: bytes | str, limit: int = 200) -> str:
    """Return the beginning of a server's text, for an error."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return text if len(text) <= limit else text[:limit] + "..."


def decode_answer(body: bytes, target: Target, request_id: str | None, sent: SentTools | None = None) -> ChatResult:
    """Decode a whole answer.

    Args:
        body: The response body.
        target: The called model.
        request_id: The response's ``x-request-id``.
        sent: The changes of the request's tools, which are reverted; None for none.

    Returns:
        One generation for each choice.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If the body is not a chat completion.
    """
    payload = _parse(body)
    raise_error_within(payload, "choices", request_id=request_id)
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_choices(payload, target, request_id)
    generations: list[ChatGeneration] = []
    shared = AnswerFacts(target, request_id)
    shared.note(payload)
    shared.keep(payload)
    blocked: AIMessage | None = None
    is_blocked = may_be_blocked(payload)
    for choice in choices:
        sent_message = choice.get("message") if isinstance(choice, Mapping) else None
        if sent_message is None and is_blocked:
            sent_message = {}
        if not isinstance(sent_message, Mapping):
            raise MalformedResponseError("A choice of the answer has no message.", request_id=request_id)
        answer = GrowingAnswer(whole=True, blocks=target.family.signed_text, sent=sent)
        for part in read_parts(sent_message):
            answer.add(part)
        facts = shared if len(choices) == 1 else shared.copy()
        facts.keep_choice(choice)
        facts.finish_reason = _reason_of(choice)
        info: dict[str, Any] = {"finish_reason": facts.finish_reason} if facts.finish_reason else {}
        if choice.get("logprobs") is not None:
            info["logprobs"] = storable(choice["logprobs"])
        message = _message(answer, facts, cut=facts.cut)
        if is_blocked and (blocked is None or may_be_blocked(choice)):
            blocked = message
        generations.append(ChatGeneration(message=message, generation_info=info or None))
    if blocked is not None:
        refused = blocked
        raise_blocked(payload, lambda: refused, request_id=request_id)
    usage = storable(dict(shared.usage)) if shared.usage else {}
    return ChatResult(generations=generations, llm_output={"token_usage": usage, "model_name": target.model})


def _reason_of(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason") or choice.get("finishReason")  # the AI gateway's spelling
    return str(reason) if reason else None


def _no_choices(payload: Mapping[str, Any], target: Target, request_id: str | None) -> MalformedResponseError:
    return MalformedResponseError(
        f"The endpoint {target.model!r} answered with {sorted(payload)} instead of 'choices': it does not speak "
        "chat completions. Agent and custom model endpoints have other formats; check the endpoint's task."
        + (f" It said: {_text_of(payload)}" if _MESSAGE_KEYS & payload.keys() else ""),
        request_id=request_id,
    )


def _text_of(payload: Mapping[str, Any]) -> str:
    """Return the text of an event that is neither an answer nor a known error."""
    text = next((payload[key] for key in sorted(_MESSAGE_KEYS) if isinstance(payload.get(key), str)), None)
    return bytes_start(text or to_json(payload), _QUOTED)


def call_chunk(call: Mapping[str, Any], fields: Mapping[str, Any]) -> AIMessageChunk:
    """Return the chunk of a fragment of a tool call.

    The constructor parses each fragment as partial JSON and removes characters from its end until that works: 60 µs for
    a short fragment, and quadratic in its length. A fragment that does not begin with a brace always becomes an invalid
    call, so this function makes the same invalid call without parsing.

    Args:
        call: The fragment.
        fields: The chunk's other fields.

    Returns:
        The chunk, equal to the constructor's.
    """
    text: str = call["args"]
    if not text or text.lstrip(_JSON_SPACE).startswith("{"):
        return AIMessageChunk(tool_call_chunks=[call], **fields)
    name, call_id = call["name"], call["id"]
    message = AIMessageChunk(**fields)
    message.tool_call_chunks = [tool_call_chunk(name=name, args=text, id=call_id, index=call["index"])]
    message.tool_calls = []
    message.invalid_tool_calls = [invalid_tool_call(name=name, args=text, id=call_id, error=None)]
    return message


class ChatStreamDecoder:
    """Decoder of a streamed answer, event by event.

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
        "_answer",
        "_answered",
        "_coalesce",
        "_done",
        "_facts",
        "_logprobs",
        "_mask",
        "_pending",
        "_shape",
        "_texts",
        "_usage",
        "_without_choices",
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
        self._answer = GrowingAnswer(blocks=target.family.signed_text, sent=sent)
        self._facts = AnswerFacts(target, request_id)
        self._coalesce = coalesce
        self._done = False
        self._shape: list[str] | None = None  # the fields of the last event that has known fields only
        self._answered = False  # a choice was seen
        self._without_choices: dict[str, Any] | None = None  # the last event without choices
        self._pending: Part | None = None  # the last part, which a part that arrived together with it may extend
        self._texts: list[str] = []  # the same if it is plain text; one of the two is always empty
        self._logprobs: dict[str, Any] | None = None

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
                if is_last(raw):
                    self._done = True
                else:
                    self._read(_parse(raw), chunks)
                if not self._coalesce:
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
            MalformedResponseError: If the stream is not a stream of chat completions.
            StreamInterruptedError: If the answer did not say that it had ended.
        """
        unknown = self._without_choices
        if unknown is not None and self._mask is not None and (self._facts.finish_reason is None or not self._answered):
            unknown = _parse(self._mask(to_json(unknown, serialize_unknown=True).decode()))
        if not self._answered and unknown is not None:
            raise _no_choices(unknown, self._facts.target, self._facts.request_id)
        if self._facts.finish_reason is None and not (self._done and self._answered):
            text = "" if unknown is None else f" Before that, the server sent: {_text_of(unknown)}"
            raise StreamInterruptedError(
                "The stream ended before the answer did: there was no finish reason, and no answer before [DONE]. What "
                f"had arrived is in the error's `partial`.{text}"
            )
        kept = self._facts.kept.whole()
        chunks = [self._chunk(delta) for delta in self._answer.finish(kept, cut=self._facts.cut)]
        usage = decode_usage(self._facts.usage) if self._facts.usage and self._usage else None
        message = AIMessageChunk(
            content=self._answer.empty_content(),
            response_metadata=self._facts.metadata(),
            usage_metadata=usage,
            chunk_position="last",
        )
        info = {"finish_reason": self._facts.finish_reason} if self._facts.finish_reason else None
        chunks.append(ChatGenerationChunk(message=message, generation_info=info))
        return chunks

    def _partial_without_secrets(self) -> AIMessage:
        message = self.partial()
        if self._mask is None or self._mask(str(message)) == str(message):
            return message
        from langchain_dbchat.errors.sent_secrets import hide_in_values  # noqa: PLC0415  # where something went wrong

        return AIMessage(**hide_in_values(self._mask, dict(message)))

    def _without_secrets(self, error: DatabricksError, raw: bytes) -> DatabricksError:
        """Return the error of the same event without secrets; the event is read again if it contains any."""
        mask, text = self._mask, raw.decode("utf-8", "replace")
        masked = text if mask is None else mask(text)
        if mask is None or masked == text:
            return error
        again = ChatStreamDecoder(self._facts.target, self._facts.request_id)
        try:
            again._read(_parse(masked), [])
        except DatabricksError as other:
            return other
        return type(error)(mask(error.message))

    @contextmanager
    def keeping_partial(self) -> Iterator[None]:
        """Add the partial message to an error that ends the stream, wherever it is raised."""
        try:
            yield
        except DatabricksError as error:
            error.partial = self._partial_without_secrets()
            error.request_id = error.request_id or self._facts.request_id
            error.endpoint = error.endpoint or self._facts.target.model
            raise

    def partial(self) -> AIMessage:
        """Return the partial message."""
        return _message(self._answer, self._facts, cut=True)

    def _read(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        facts = self._facts
        shape = list(payload)
        blocked = False
        if shape == self._shape:
            pass  # most events have the same fields as the event before
        elif ANSWER_KEYS.issuperset(shape):
            self._shape = shape
        else:
            if "error" in payload or "error_code" in payload:
                raise_error_within(payload, "choices", request_id=facts.request_id)
            facts.keep(payload)
            blocked = may_be_blocked(payload)
        facts.note(payload)
        choices = payload.get("choices")
        if not choices:  # an event without choices, such as the usage, or a blocked answer
            raise_error_within(payload, "choices", request_id=facts.request_id)
        if choices is None:
            self._without_choices = payload
            return
        if not isinstance(choices, list):
            raise MalformedResponseError(f"The 'choices' of an event are a {type(choices).__name__}, not a list.")
        for choice in choices:
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                raise MalformedResponseError(f"The stream contains a choice that was not requested: {choice!r:.200}")
            self._answered = True
            self._read_choice(choice, chunks)
        if blocked or (facts.finish_reason is not None and may_be_blocked(payload)):
            self._flush(chunks)
            raise_blocked({**facts.kept.whole(), **payload}, self.partial, request_id=facts.request_id)

    def _read_choice(self, choice: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        if choice.get("finish_reason"):
            self._facts.finish_reason = _reason_of(choice)
        if not CHOICE_KEYS.issuperset(choice):
            self._facts.keep_choice(choice)
            self._facts.finish_reason = _reason_of(choice) or self._facts.finish_reason
        if isinstance(choice.get("logprobs"), dict):
            self._note_logprobs(storable(choice["logprobs"]))
        delta = choice.get("delta") or choice.get("message")
        if not delta:
            return
        if not isinstance(delta, dict):
            raise MalformedResponseError(f"A delta of the stream is a {type(delta).__name__}, not an object.")
        content = delta.get("content")
        if type(content) is str and _PLAIN_DELTA.issuperset(delta):
            if not content:
                return
            if self._pending is None:
                self._texts.append(content)
            else:
                self._add(Text(content), chunks)
            return
        for part in read_parts(delta):
            self._add(part, chunks)

    def _note_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        known = self._logprobs
        if known is None:
            self._logprobs = dict(logprobs)
            return
        for key, value in logprobs.items():
            before = known.get(key)
            known[key] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value

    def _add(self, part: Part, chunks: list[ChatGenerationChunk]) -> None:
        if type(part) in SILENT:
            self._answer.add(part)
            return
        pending = self._take_texts()
        if pending is None:
            self._pending = part
            return
        joined = join_parts(pending, part)
        if joined is None:
            self._emit(pending, chunks)
            self._pending = part
        else:
            self._pending = joined

    def _take_texts(self) -> Part | None:
        if self._texts:
            self._pending = Text("".join(self._texts))
            self._texts.clear()
        return self._pending

    def _flush(self, chunks: list[ChatGenerationChunk]) -> None:
        pending = self._take_texts()
        if pending is not None:
            self._emit(pending, chunks)
            self._pending = None
        if self._logprobs is not None:
            chunks.append(self._chunk(Delta(self._answer.empty_content())))

    def _emit(self, part: Part, chunks: list[ChatGenerationChunk]) -> None:
        delta = self._answer.add(part)
        if delta is not None:
            chunks.append(self._chunk(delta))

    def _chunk(self, delta: Delta) -> ChatGenerationChunk:
        fields: dict[str, Any] = {"content": delta.content, "response_metadata": _TAG}
        if delta.additional is not None:
            fields["additional_kwargs"] = delta.additional
        message = AIMessageChunk(**fields) if delta.call is None else call_chunk(delta.call, fields)
        if self._logprobs is None:
            return ChatGenerationChunk(message=message)
        info = {"logprobs": self._logprobs}
        self._logprobs = None
        return ChatGenerationChunk(message=message, generation_info=info)
