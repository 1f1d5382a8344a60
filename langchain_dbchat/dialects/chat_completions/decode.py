"""Decode a chat-completions answer, streamed or whole; `shared.stream` has the rules that all wire formats share.

Rule 1. A stream is complete if it has a finish reason, or ``[DONE]`` after an answer (Inkling sends no finish reason).
Rule 2. A server that does not stream sends a whole answer, whatever was asked. It is read as `invoke` reads it, so a
first event without a delta is kept until another choice shows that it was a part of a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.chat_completions.choices import read_content, read_parts
from langchain_dbchat.dialects.chat_completions.facts import ANSWER_KEYS, CHOICE_KEYS, ChatFacts
from langchain_dbchat.dialects.shared.answer.answer import GrowingAnswer
from langchain_dbchat.dialects.shared.answer.bounds import MOST_CHOICES, bounded, too_many
from langchain_dbchat.dialects.shared.answer.chunks import answer_message
from langchain_dbchat.dialects.shared.answer.copied_messages import generation, result
from langchain_dbchat.dialects.shared.answer.errors_within import may_be_blocked, raise_blocked, raise_error_within
from langchain_dbchat.dialects.shared.answer.events import MESSAGE_KEYS, parse_event, text_of_event
from langchain_dbchat.dialects.shared.answer.parts import Text
from langchain_dbchat.dialects.shared.answer.stream import AnswerStreamDecoder
from langchain_dbchat.dialects.shared.answer.wires import in_other_format, instead_of, wire_of
from langchain_dbchat.errors import DatabricksError, MalformedResponseError, StreamInterruptedError

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.request.sent import SentTools

__all__ = ["ChatStreamDecoder", "decode_answer"]

_PLAIN_DELTA = frozenset({"role", "content"})
_PLAIN_CHOICE = frozenset({"index", "delta", "message", "finish_reason"})
_CHECKED = frozenset({"error", "error_code", "finish_reason", "finishReason"})
"""Fields of an event that say that something went wrong, or that a guardrail ended the answer."""


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
    return _decode(parse_event(bounded(body)), target, request_id, sent)


def _decode(payload: Mapping[str, Any], target: Target, request_id: str | None, sent: SentTools | None) -> ChatResult:
    raise_error_within(payload, "choices", request_id=request_id)
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_choices(payload, target, request_id)
    if len(choices) > MOST_CHOICES:
        raise too_many("choices", MOST_CHOICES)
    generations: list[ChatGeneration] = []
    shared = ChatFacts(target, request_id)
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
            from langchain_dbchat.dialects.shared.answer.logprobs import read_logprobs  # noqa: PLC0415  # few answers have them

            info["logprobs"] = read_logprobs(choice["logprobs"])
        message = answer_message(answer, facts, cut=facts.cut)
        if is_blocked and (blocked is None or may_be_blocked(choice)):
            blocked = message
        generations.append(generation(message, info or None))
    if blocked is not None:
        refused = blocked
        raise_blocked(payload, lambda: refused, request_id=request_id)
    return result(generations, shared.llm_output())


def _reason_of(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason") or choice.get("finishReason")  # the AI gateway's spelling
    return str(reason) if reason else None


def _no_choices(payload: Mapping[str, Any], target: Target, request_id: str | None) -> MalformedResponseError:
    said = f" It said: {text_of_event(payload)}" if MESSAGE_KEYS & payload.keys() else ""
    return in_other_format(
        f"The endpoint {target.model!r} answered with {instead_of(payload, 'choices')}: it does not use "
        f"chat completions. Agent and custom model endpoints have other formats; check the endpoint's task.{said}",
        payload,
        request_id,
    )


def _may_be_whole(choices: list[Any]) -> bool:
    """Return whether an event may be a whole answer: no choice has a delta, unless it is empty beside a message."""
    return not any(
        choice.get("delta") or ("delta" in choice and "message" not in choice)
        for choice in choices
        if isinstance(choice, Mapping)
    )


class ChatStreamDecoder(AnswerStreamDecoder[ChatFacts]):
    """Decoder of a streamed chat completion."""

    __slots__ = ("_answered", "_held", "_others", "_without_choices")

    def _begin(self, target: Target, request_id: str | None) -> ChatFacts:
        self._others: dict[str, Any] = {}  # the unknown fields of the last event that had some
        self._answered = False  # a choice was seen
        self._held: dict[str, Any] | None = None  # the first event, if it may be a whole answer (rule 2)
        self._without_choices: dict[str, Any] | None = None  # the last event without choices
        return ChatFacts(target, request_id)

    def close(self) -> list[ChatGenerationChunk]:
        """End the stream; an event that stands alone was a whole answer (rule 2)."""
        chunks: list[ChatGenerationChunk] = []
        if self._held is not None:
            self._read_whole(self._held, chunks)
        return [*chunks, *super().close()]

    def partial(self) -> AIMessage:
        """Return the partial message, with the event that was kept."""
        if self._held is not None:
            chunks: list[ChatGenerationChunk] = []
            with suppress(DatabricksError):  # the stream has failed already
                self._release(chunks)
            self._flush(chunks)
        return super().partial()

    def _read_whole(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        target, request_id = self._facts.target, self._facts.request_id
        try:
            whole = _decode(payload, target, request_id, self._sent).generations[0].message
        except MalformedResponseError:
            _decode(self._told(payload), target, request_id, self._sent)  # raises it without secrets
            raise
        self._held, self._answered, self._done = None, True, True
        self._answer = GrowingAnswer(whole=True, blocks=isinstance(whole.content, list), sent=self._sent)
        choice = payload["choices"][0]
        self._note_choice(choice)
        for part in read_parts(choice["message"]):
            self._emit(part, chunks)
        self._flush(chunks)

    def _check_complete(self) -> None:
        facts, unknown = self._facts, self._without_choices
        if unknown is not None and (facts.finish_reason is None or not self._answered):
            unknown = self._told(unknown)
        if not self._answered and unknown is not None:
            raise _no_choices(unknown, facts.target, facts.request_id)
        if facts.finish_reason is None and not (self._done and self._answered):
            text = "" if unknown is None else f" Before that, the server sent: {text_of_event(unknown)}"
            raise StreamInterruptedError(
                "The stream ended before the answer did: there was no finish reason, and no answer before [DONE]. What "
                f"had arrived is in the error's `partial`.{text}"
            )

    def _note_unknown(self, payload: dict[str, Any]) -> None:
        """Note an event without choices; raise if the stream is in another wire format."""
        if not self._answered and self._held is None and wire_of(payload) is not None:
            raise _no_choices(payload, self._facts.target, self._facts.request_id)
        self._without_choices = payload

    def _read(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        facts = self._facts
        blocked = not ANSWER_KEYS.issuperset(payload) and self._read_others(payload)
        facts.note(payload)
        choices = payload.get("choices")
        if not choices:  # an event without choices, such as the usage, or a blocked answer
            raise_error_within(payload, "choices", request_id=facts.request_id)
            if choices is None:
                self._note_unknown(payload)
                return
        if not isinstance(choices, list):
            raise MalformedResponseError(f"The 'choices' of an event are a {type(choices).__name__}, not a list.")
        if not self._answered and len(choices) > 0:
            if not blocked and self._keep_first(payload, chunks):
                return
            self._answered = True
        for choice in choices:
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                raise MalformedResponseError(f"The stream contains a choice that was not requested: {choice!r:.200}")
            self._read_choice(choice, chunks)
        if blocked or (facts.finish_reason is not None and may_be_blocked(payload)):
            self._flush(chunks)
            raise_blocked(payload, self.partial, beside=facts.kept.whole, request_id=facts.request_id)

    def _keep_first(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> bool:
        """Keep the first event if it may be a whole answer, and return whether it is kept (rule 2)."""
        if self._release(chunks) or not _may_be_whole(payload["choices"]) or may_be_blocked(payload):
            return False
        self._held = payload
        return True

    def _release(self, chunks: list[ChatGenerationChunk]) -> bool:
        """Read the event that was kept as a part of a stream (rule 2); return whether there is one."""
        held, self._held = self._held, None
        if held is None:
            return False
        self._answered = True
        try:
            self._read({"choices": held["choices"]}, chunks)
        except DatabricksError:
            again = ChatStreamDecoder(self._facts.target, self._facts.request_id)
            again._answered = True
            again._read({"choices": self._told(held)["choices"]}, [])  # raises it without secrets
            raise
        return True

    def _read_others(self, payload: dict[str, Any]) -> bool:
        """Read the unknown fields of an event; return whether a guardrail may have ended the answer."""
        others = {key: value for key, value in payload.items() if key not in ANSWER_KEYS}
        is_ordinary = _CHECKED.isdisjoint(others)
        if not is_ordinary and ("error" in others or "error_code" in others):
            raise_error_within(payload, "choices", request_id=self._facts.request_id)
        if others != self._others:  # most events have the same as the event before
            self._others = others
            self._facts.keep(payload)
        return not is_ordinary and may_be_blocked(payload)

    def _read_choice(self, choice: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        if choice.get("finish_reason") or not _PLAIN_CHOICE.issuperset(choice):
            self._note_choice(choice)
        delta = choice.get("delta") or choice.get("message")
        if not delta:
            return
        if not isinstance(delta, dict):
            raise MalformedResponseError(f"A delta of the stream is a {type(delta).__name__}, not an object.")
        content = delta.get("content")
        if content is None or (len(delta) > 1 and not _PLAIN_DELTA.issuperset(delta)):
            parts = read_parts(delta)
        elif type(content) is not str:
            parts = read_content(content)
        elif not content:
            return
        elif self._pending is None:
            self._texts.append(content)
            return
        else:
            self._add(Text(content), chunks)
            return
        for part in parts:
            self._add(part, chunks)

    def _note_choice(self, choice: dict[str, Any]) -> None:
        self._facts.finish_reason = _reason_of(choice) or self._facts.finish_reason
        if not CHOICE_KEYS.issuperset(choice):
            self._facts.keep_choice(choice)
        if isinstance(choice.get("logprobs"), dict):
            self._note_logprobs(choice["logprobs"])
