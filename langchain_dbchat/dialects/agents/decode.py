"""Decode a ChatAgent's answer, streamed or whole; `shared.stream` has the rules that all wire formats share.

Rule 1. A whole answer has ``messages``, an event has a ``delta``; both may have ``finish_reason``, ``usage`` and
    ``custom_outputs``, and neither has ``choices`` with something in it (mlflow/types/agent.py).
Rule 2. A stream is complete if it has a finish reason, which most agents do not send, or ``[DONE]`` after an answer.
Rule 3. A server that does not stream (MLflow's scoring server) sends a whole answer, whatever was asked.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.agents.answers import AgentMessages
from langchain_dbchat.dialects.shared.answer.answer import GrowingAnswer
from langchain_dbchat.dialects.shared.answer.bounds import bounded
from langchain_dbchat.dialects.shared.answer.chunks import whole_result
from langchain_dbchat.dialects.shared.answer.errors_within import may_be_blocked, raise_blocked, raise_error_within
from langchain_dbchat.dialects.shared.answer.events import parse_event, text_of_event
from langchain_dbchat.dialects.shared.answer.facts import KEEP_ALIVE, AnswerFacts
from langchain_dbchat.dialects.shared.answer.parts import Text
from langchain_dbchat.dialects.shared.answer.stream import AnswerStreamDecoder
from langchain_dbchat.dialects.shared.answer.wires import in_other_format, instead_of
from langchain_dbchat.errors import DatabricksError, StreamInterruptedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.answer.parts import Part
    from langchain_dbchat.dialects.shared.request.sent import SentTools
    from langchain_dbchat.errors import MalformedResponseError

__all__ = ["AgentStreamDecoder", "decode_answer"]

_READ = frozenset(
    {"messages", "delta", "choices", "usage", "finish_reason", "model", "object", "created", "error", "error_code"}
)


class AgentFacts(AnswerFacts):
    """The metadata of a ChatAgent's answer."""

    __slots__ = ()

    def note(self, payload: Mapping[str, Any]) -> None:
        """Read the metadata of an event or a whole answer; the last usage with counts is kept.

        Args:
            payload: The event or the answer.
        """
        usage = payload.get("usage")
        if usage and isinstance(usage, dict):
            self.usage = usage
        if payload.get("model"):
            self.served_model = str(payload["model"])
        if payload.get("finish_reason"):
            self.finish_reason = str(payload["finish_reason"])
        if payload.get("type") not in KEEP_ALIVE:
            self.kept.add(payload, _READ)


def decode_answer(body: bytes, target: Target, request_id: str | None, sent: SentTools | None = None) -> ChatResult:
    """Decode a whole answer.

    Args:
        body: The response body.
        target: The called agent.
        request_id: The response's ``x-request-id``.
        sent: Not used: an agent takes no tools.

    Returns:
        One generation.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If the body is not a ChatAgent's answer.
    """
    del sent
    payload = parse_event(bounded(body))
    raise_error_within(payload, "messages", request_id=request_id)
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _no_messages(payload, target, request_id)
    facts, reader, answer = AgentFacts(target, request_id), AgentMessages(), GrowingAnswer(whole=True)
    facts.note(payload)
    for part in (*reader.read_all(messages), *reader.rest()):
        answer.add(part)
    facts.id = reader.id
    return whole_result(payload, answer, facts)


def _no_messages(payload: Mapping[str, Any], target: Target, request_id: str | None) -> MalformedResponseError:
    return in_other_format(
        f"The endpoint {target.model!r} answered with {instead_of(payload, 'messages')}: it is not a ChatAgent. "
        f"Leave api='agent' out, or choose the API of the endpoint's task. It said: {text_of_event(payload)}",
        payload,
        request_id,
    )


class AgentStreamDecoder(AnswerStreamDecoder[AgentFacts]):
    """Decoder of a ChatAgent's stream."""

    __slots__ = ("_answered", "_reader", "_unknown")

    def _begin(self, target: Target, request_id: str | None) -> AgentFacts:
        self._reader = AgentMessages()
        self._answered = False  # a message was seen
        self._unknown: dict[str, Any] | None = None  # the last event without one
        return AgentFacts(target, request_id)

    def close(self) -> list[ChatGenerationChunk]:
        """End the stream; the calls that are the caller's to execute come before the metadata."""
        self._check_complete()
        chunks: list[ChatGenerationChunk] = []
        for part in self._reader.rest():
            self._add(part, chunks)
        self._facts.id = self._reader.id
        self._flush(chunks)
        return [*chunks, *super().close()]

    def partial(self) -> AIMessage:
        """Return the partial message, with the piece that the reader kept."""
        with suppress(DatabricksError):  # the stream has failed already
            for part in self._reader.held():
                self._answer.add(part)
        return super().partial()

    def _check_complete(self) -> None:
        facts, unknown = self._facts, self._unknown
        if unknown is not None and (facts.finish_reason is None or not self._answered):
            unknown = self._told(unknown)
        if not self._answered and unknown is not None:
            raise _no_messages(unknown, facts.target, facts.request_id)
        if facts.finish_reason is None and not (self._done and self._answered):
            text = "" if unknown is None else f" Before that, the server sent: {text_of_event(unknown)}"
            raise StreamInterruptedError(
                "The stream ended before the answer did: there was no finish reason, and no message before [DONE]. "
                f"What had arrived is in the error's `partial`.{text}"
            )

    def _read(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        facts = self._facts
        delta, messages = payload.get("delta"), payload.get("messages")
        if "error" in payload or "error_code" in payload or delta is None:
            for part in self._reader.held() if payload.get("error") or "error_code" in payload else ():
                self._add(part, chunks)
            raise_error_within(payload, "delta" if messages is None else "messages", request_id=facts.request_id)
        facts.note(payload)
        parts: Iterable[Part]
        if isinstance(messages, list) and messages:
            parts = self._reader.read_all(messages)
            self._done = True
        elif (text := self._reader.continued_text(delta)) is not None:
            parts = (Text(text),)
        elif delta:
            parts = self._reader.read_delta(delta)
        else:
            self._unknown = self._unknown if delta is not None or facts.finish_reason else payload
            return
        self._answered = True
        for part in parts:
            self._add(part, chunks)
        if may_be_blocked(payload):
            self._flush(chunks)
            raise_blocked(payload, self.partial, beside=facts.kept.whole, request_id=facts.request_id)
