"""Reading a chat-completions answer, streamed or whole.

A stream is ``feed`` and ``close``, and ``close`` may object: an answer that ended without a finish reason and without
``[DONE]`` was cut off, and is an error that carries what had arrived. Everything that has to come exactly once (model
name, finish reason, usage) stands on the last chunk, because langchain-core adds up what it finds on several.
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
from langchain_dbchat.dialects.chat_completions.facts import ANSWER_KEYS, CHOICE_KEYS, Facts
from langchain_dbchat.dialects.shared.answer import Answer, Delta
from langchain_dbchat.dialects.shared.errors_within import may_be_blocked, raise_blocked, raise_error_within
from langchain_dbchat.dialects.shared.fields import storable
from langchain_dbchat.dialects.shared.parts import SILENT, Part, Text, join_parts
from langchain_dbchat.dialects.shared.reasoning import PROVIDER, Target
from langchain_dbchat.dialects.shared.usage import decode_usage
from langchain_dbchat.errors import DatabricksError, MalformedResponseError, StreamInterrupted

if TYPE_CHECKING:
    from langchain_dbchat.dialects.shared.sent import SentTools

DONE = b"[DONE]"


def is_last(event: bytes) -> bool:
    """Decide whether an event ends the stream: ``[DONE]``, also quoted or in lower case, or an event named ``done``."""
    return event[:1] != b"{" and event.strip().strip(b'"').strip().upper() in {DONE, b"DONE"}


_TAG = {"model_provider": PROVIDER}
_PLAIN_DELTA = frozenset({"role", "content"})
_SAID = frozenset({"message", "stray_text"})
"""Fields of an event that is no part of an answer and holds words; the second is what `sse` gives such text as."""

_QUOTED = 2_000  # characters of such words that an error quotes
_JSON_SPACE = " \t\n\r"


def _message(answer: Answer, facts: Facts, *, cut: bool) -> AIMessage:
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
        raise_error_within({"error": payload}, "choices")  # as Google writes errors
    if not isinstance(payload, dict):
        raise MalformedResponseError(
            f"The server sent a JSON {type(payload).__name__} instead of an object: {bytes_start(raw)}"
        )
    return payload


def bytes_start(raw: bytes | str, limit: int = 200) -> str:
    """Return the beginning of what a server sent, for an error's text."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return text if len(text) <= limit else text[:limit] + "..."


def decode_answer(body: bytes, target: Target, request_id: str | None, sent: SentTools | None = None) -> ChatResult:
    """Read a whole answer.

    Args:
        body: The response body.
        target: The model that was called.
        request_id: The response's ``x-request-id``.
        sent: What the request changed in its tools, which is undone; None for nothing.

    Returns:
        One generation for each choice.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If the body is no chat completion.
    """
    payload = _parse(body)
    raise_error_within(payload, "choices", request_id=request_id)
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_choices(payload, target, request_id)
    generations: list[ChatGeneration] = []
    said = Facts(target, request_id)
    said.note(payload)
    said.keep(payload)
    blocked: AIMessage | None = None
    is_blocked = may_be_blocked(payload)
    for choice in choices:
        says = choice.get("message") if isinstance(choice, Mapping) else None
        if says is None and is_blocked:
            says = {}
        if not isinstance(says, Mapping):
            raise MalformedResponseError("A choice of the answer has no message.", request_id=request_id)
        answer = Answer(whole=True, blocks=target.family.signed_text, sent=sent)
        for part in read_parts(says):
            answer.add(part)
        facts = said.copy()
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
    usage = storable(dict(said.usage)) if said.usage else {}
    return ChatResult(generations=generations, llm_output={"token_usage": usage, "model_name": target.model})


def _reason_of(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason") or choice.get("finishReason")  # the AI gateway's spelling
    return str(reason) if reason else None


def _no_choices(payload: Mapping[str, Any], target: Target, request_id: str | None) -> MalformedResponseError:
    return MalformedResponseError(
        f"The endpoint {target.model!r} answered with {sorted(payload)} instead of 'choices': it does not speak "
        "chat completions. Agent and custom model endpoints have other shapes; check the endpoint's task."
        + (f" It said: {_words(payload)}" if _SAID & payload.keys() else ""),
        request_id=request_id,
    )


def _words(payload: Mapping[str, Any]) -> str:
    """Return what an event says that is neither an answer nor known to be an error."""
    said = next((payload[key] for key in sorted(_SAID) if isinstance(payload.get(key), str)), None)
    return bytes_start(said or to_json(payload), _QUOTED)


def call_chunk(call: Mapping[str, Any], fields: Mapping[str, Any]) -> AIMessageChunk:
    """Make the chunk of a fragment of a tool call.

    The constructor parses each fragment as partial JSON, dropping letter by letter what it does not understand: 60 µs
    for a few letters, and quadratic in many. What does not begin with a brace can only become an invalid call, so it
    is made one here, as the constructor would; the others are left to it.

    Args:
        call: The fragment.
        fields: The chunk's other fields.

    Returns:
        The chunk, equal to what the constructor makes.
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


class StreamDecoder:
    """Read a streamed answer, event by event.

    Args:
        target: The model that was called.
        request_id: The response's ``x-request-id``.
        coalesce: Whether deltas of one kind that arrived together become one chunk. It never waits for more, so a slow
            model still gives a chunk for each of its tokens.
        usage: Whether the last chunk carries the token usage.
        sent: What the request changed in its tools, which is undone; None for nothing.
        hide: What masks the secrets that were sent, in a text of the server; only errors hold such texts.
    """

    __slots__ = (
        "_answer",
        "_answered",
        "_coalesce",
        "_done",
        "_facts",
        "_hide",
        "_logprobs",
        "_pending",
        "_shape",
        "_strange",
        "_texts",
        "_usage",
    )

    def __init__(  # noqa: PLR0913 - how an answer is read, all but two by keyword
        self,
        target: Target,
        request_id: str | None = None,
        *,
        coalesce: bool = True,
        usage: bool = True,
        sent: SentTools | None = None,
        hide: Callable[[str], str] | None = None,
    ) -> None:
        self._usage = usage
        self._hide = hide
        self._answer = Answer(blocks=target.family.signed_text, sent=sent)
        self._facts = Facts(target, request_id)
        self._coalesce = coalesce
        self._done = False
        self._shape: list[str] | None = None  # the fields of the last event that has none besides those that are read
        self._answered = False  # a choice was seen
        self._strange: dict[str, Any] | None = None  # the last event without choices
        self._pending: Part | None = None  # what may still grow by what arrived with it
        self._texts: list[str] = []  # the same, while it is nothing but text; one of the two is empty
        self._logprobs: dict[str, Any] | None = None

    def feed(self, events: Sequence[bytes]) -> Iterator[ChatGenerationChunk]:
        """Read events that arrived together.

        Args:
            events: The events' payloads.

        Yields:
            The chunks that they make, in order; if an event is an error, those of the events before it come first.

        Raises:
            DatabricksError: If an event is an error.
            MalformedResponseError: If an event is no JSON object, or of no known shape.
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
            What was held back, and the last chunk, with the finish reason, the model's name and the usage.

        Raises:
            MalformedResponseError: If the stream was none of chat completions.
            StreamInterrupted: If the answer did not say that it had ended.
        """
        strange = self._strange
        if strange is not None and self._hide is not None and (self._facts.finish_reason is None or not self._answered):
            strange = _parse(self._hide(to_json(strange, serialize_unknown=True).decode()))
        if not self._answered and strange is not None:
            raise _no_choices(strange, self._facts.target, self._facts.request_id)
        if self._facts.finish_reason is None and not (self._done and self._answered):
            words = "" if strange is None else f" Before that, the server sent: {_words(strange)}"
            raise StreamInterrupted(
                "The stream ended before the answer did: there was no finish reason, and no answer before [DONE]. What "
                f"had arrived is in the error's `partial`.{words}"
            )
        said = self._facts.kept.whole()
        chunks = [self._chunk(delta) for delta in self._answer.finish(said, cut=self._facts.cut)]
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
        if self._hide is None or self._hide(str(message)) == str(message):
            return message
        from langchain_dbchat.errors.answers import hide_in_values  # noqa: PLC0415  # where something went wrong

        return AIMessage(**hide_in_values(self._hide, dict(message)))

    def _without_secrets(self, error: DatabricksError, raw: bytes) -> DatabricksError:
        """Read the event that is an error again, without the secrets in it, if there are any."""
        hide, text = self._hide, raw.decode("utf-8", "replace")
        masked = text if hide is None else hide(text)
        if hide is None or masked == text:
            return error
        again = StreamDecoder(self._facts.target, self._facts.request_id)
        try:
            again._read(_parse(masked), [])
        except DatabricksError as other:
            return other
        return type(error)(hide(error.message))

    @contextmanager
    def keeping_partial(self) -> Iterator[None]:
        """Give an error that breaks the stream, whatever raised it, the message as far as it had arrived."""
        try:
            yield
        except DatabricksError as error:
            error.partial = self._partial_without_secrets()
            error.request_id = error.request_id or self._facts.request_id
            error.endpoint = error.endpoint or self._facts.target.model
            raise

    def partial(self) -> AIMessage:
        """Return the message as far as it has arrived."""
        return _message(self._answer, self._facts, cut=True)

    def _read(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        facts = self._facts
        shape = list(payload)
        blocked = False
        if shape == self._shape:
            pass  # the fields of most events are those of the event before
        elif ANSWER_KEYS.issuperset(shape):
            self._shape = shape
        else:
            if "error" in payload or "error_code" in payload:
                raise_error_within(payload, "choices", request_id=facts.request_id)
            facts.keep(payload)
            blocked = may_be_blocked(payload)
        facts.note(payload)
        choices = payload.get("choices")
        if not choices:  # nothing, or the event of the usage, or a guardrail's verdict
            raise_error_within(payload, "choices", request_id=facts.request_id)
        if choices is None:
            self._strange = payload
            return
        if not isinstance(choices, list):
            raise MalformedResponseError(f"The 'choices' of an event are a {type(choices).__name__}, not a list.")
        for choice in choices:
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                raise MalformedResponseError(f"The stream holds a choice that was not asked for: {choice!r:.200}")
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
        says = choice.get("delta") or choice.get("message")
        if not says:
            return
        if not isinstance(says, dict):
            raise MalformedResponseError(f"A delta of the stream is a {type(says).__name__}, not an object.")
        content = says.get("content")
        if type(content) is str and _PLAIN_DELTA.issuperset(says):
            if not content:
                return
            if self._pending is None:
                self._texts.append(content)
            else:
                self._add(Text(content), chunks)
            return
        for part in read_parts(says):
            self._add(part, chunks)

    def _note_logprobs(self, logprobs: Mapping[str, Any]) -> None:
        known = self._logprobs
        if known is None:
            self._logprobs = dict(logprobs)
            return
        for key, value in logprobs.items():
            below = known.get(key)
            known[key] = [*below, *value] if isinstance(below, list) and isinstance(value, list) else value

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
