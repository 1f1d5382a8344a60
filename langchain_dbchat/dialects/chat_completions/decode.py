"""Decode a chat-completions answer, streamed or whole; `shared.stream` has the rules that all wire formats share.

Rule 1. A stream is complete if it has a finish reason, or ``[DONE]`` after an answer (Inkling sends no finish reason).
Rule 2. A server that does not stream sends a whole answer, whatever was asked; that is complete without a reason, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_dbchat.dialects.chat_completions.choices import read_content, read_parts
from langchain_dbchat.dialects.chat_completions.facts import ANSWER_KEYS, CHOICE_KEYS, ChatFacts
from langchain_dbchat.dialects.shared.answer.answer import GrowingAnswer
from langchain_dbchat.dialects.shared.answer.bounds import MOST_CHOICES, bounded, too_many
from langchain_dbchat.dialects.shared.answer.chunks import answer_message
from langchain_dbchat.dialects.shared.answer.errors_within import may_be_blocked, raise_blocked, raise_error_within
from langchain_dbchat.dialects.shared.answer.events import MESSAGE_KEYS, parse_event, text_of_event
from langchain_dbchat.dialects.shared.answer.parts import Text
from langchain_dbchat.dialects.shared.answer.stream import AnswerStreamDecoder
from langchain_dbchat.dialects.shared.answer.wires import in_other_format, instead_of, wire_of
from langchain_dbchat.dialects.shared.blocks.storable import storable
from langchain_dbchat.errors import MalformedResponseError, StreamInterruptedError

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

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
    payload = parse_event(bounded(body))
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
            raise _no_message(request_id)
        answer = GrowingAnswer(whole=True, blocks=target.family.signed_text, sent=sent)
        for part in read_parts(sent_message):
            answer.add(part)
        facts = shared if len(choices) == 1 else shared.copy()
        facts.keep_choice(choice)
        facts.finish_reason = _reason_of(choice)
        info: dict[str, Any] = {"finish_reason": facts.finish_reason} if facts.finish_reason else {}
        if choice.get("logprobs") is not None:
            info["logprobs"] = storable(choice["logprobs"])
        message = answer_message(answer, facts, cut=facts.cut)
        if is_blocked and (blocked is None or may_be_blocked(choice)):
            blocked = message
        generations.append(ChatGeneration(message=message, generation_info=info or None))
    if blocked is not None:
        refused = blocked
        raise_blocked(payload, lambda: refused, request_id=request_id)
    return ChatResult(generations=generations, llm_output=shared.llm_output())


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


def _no_message(request_id: str | None) -> MalformedResponseError:
    return MalformedResponseError("A choice of the answer has no message.", request_id=request_id)


class ChatStreamDecoder(AnswerStreamDecoder[ChatFacts]):
    """Decoder of a streamed chat completion."""

    __slots__ = ("_answered", "_messages", "_others", "_without_choices")

    def _begin(self, target: Target, request_id: str | None) -> ChatFacts:
        self._others: dict[str, Any] = {}  # the unknown fields of the last event that had some
        self._answered = False  # a choice was seen
        self._messages: list[Any] = []  # what stood in the place of deltas
        self._without_choices: dict[str, Any] | None = None  # the last event without choices
        return ChatFacts(target, request_id)

    def _check_complete(self) -> None:
        facts, unknown = self._facts, self._without_choices
        if unknown is not None and (facts.finish_reason is None or not self._answered):
            unknown = self._told(unknown)
        if not self._answered and unknown is not None:
            raise _no_choices(unknown, facts.target, facts.request_id)
        is_whole = len(self._messages) == 1
        if self._messages == [None] and not (self.partial().content or self.partial().tool_calls):
            raise _no_message(facts.request_id)
        if facts.finish_reason is None and not (self._answered and (self._done or is_whole)):
            text = "" if unknown is None else f" Before that, the server sent: {text_of_event(unknown)}"
            raise StreamInterruptedError(
                "The stream ended before the answer did: there was no finish reason, and no answer before [DONE]. What "
                f"had arrived is in the error's `partial`.{text}"
            )

    def _note_unknown(self, payload: dict[str, Any]) -> None:
        """Note an event without choices; raise if the stream is in another wire format."""
        if not self._answered and wire_of(payload) is not None:
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
        for choice in choices:
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                raise MalformedResponseError(f"The stream contains a choice that was not requested: {choice!r:.200}")
            self._answered = True
            self._read_choice(choice, chunks)
        if blocked or (facts.finish_reason is not None and may_be_blocked(payload)):
            self._flush(chunks)
            raise_blocked({**facts.kept.whole(), **payload}, self.partial, request_id=facts.request_id)

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
        delta = choice.get("delta") or self._message_of(choice)
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

    def _message_of(self, choice: dict[str, Any]) -> Any:
        """Return the message of a choice without a delta (rule 2)."""
        message = choice.get("message")
        if "message" in choice and "delta" not in choice:
            self._messages.append(message)
        return message

    def _note_choice(self, choice: dict[str, Any]) -> None:
        self._facts.finish_reason = _reason_of(choice) or self._facts.finish_reason
        if not CHOICE_KEYS.issuperset(choice):
            self._facts.keep_choice(choice)
        if isinstance(choice.get("logprobs"), dict):
            self._note_logprobs(storable(choice["logprobs"]))
