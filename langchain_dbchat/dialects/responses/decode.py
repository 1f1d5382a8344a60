"""Decode a Responses answer, streamed or whole; `shared.stream` has the rules that all wire formats share.

Rule 1. A whole answer has ``output``, a list of items; a stream has events with a ``type``
(platform.openai.com/docs/api-reference/responses-streaming). An agent's stream may have several responses, bare results
of tools, and events without a type that name its trace.
Rule 2. A stream is complete at ``response.completed`` or ``response.incomplete``, or at ``[DONE]`` after an item. The
first two are known to be the end only if the endpoint has a name that Databricks gives, because it is a model then; an
agent may begin another response minutes later. So its stream is read on; if it breaks, or nothing comes, it is an
answer, unless the agent's tools or their results show that the agent was not finished.
Rule 3. ``response.failed``, ``response.cancelled`` and ``error`` raise; the error has what had arrived.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.responses.facts import ResponsesFacts
from langchain_dbchat.dialects.responses.reader import ItemReader
from langchain_dbchat.dialects.shared.answer.answer import GrowingAnswer
from langchain_dbchat.dialects.shared.answer.bounds import bounded
from langchain_dbchat.dialects.shared.answer.chunks import whole_result
from langchain_dbchat.dialects.shared.answer.errors_within import may_be_blocked, raise_blocked, raise_error_within
from langchain_dbchat.dialects.shared.answer.events import is_last, parse_event, text_of_event
from langchain_dbchat.dialects.shared.answer.facts import KEEP_ALIVE
from langchain_dbchat.dialects.shared.answer.stream import AnswerStreamDecoder
from langchain_dbchat.dialects.shared.answer.wires import instead_of
from langchain_dbchat.dialects.shared.request.agent_inputs import TRACE_FIELDS
from langchain_dbchat.errors import MalformedResponseError, StreamInterruptedError
from langchain_dbchat.errors.sound_text import read_json

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.answer.parts import Part
    from langchain_dbchat.dialects.shared.request.sent import SentTools

__all__ = ["ResponsesStreamDecoder", "decode_response", "ends_response"]

_ENDS = frozenset({"completed", "incomplete", "done"})
_BESIDE = TRACE_FIELDS | {"custom_outputs"}
"""What agents report beside the answer: in a response, at an event of any type (MLflow's `ResponsesAgentStreamEvent`),
or in an event without a type."""
_DELTAS = (b'{"type":"response.output_text.delta"', b'{"type": "response.output_text.delta"')
_BEGINS = ("created", "in_progress", "queued")  # no set: what a server sends may not be hashable
_FAILED = ("failed", "cancelled")


def ends_response(event: bytes) -> bool:
    """Decide whether an event ends the stream of a model of Databricks' own, which gives one response.

    Args:
        event: The event's payload.

    Returns:
        True if nothing follows it.
    """
    if event.startswith(_DELTAS):  # nearly all events, and this takes a third of the time of a search
        return False
    if b"omplete" not in event[:200]:
        return is_last(event)
    try:
        payload = read_json(event)
    except ValueError:
        return False
    return isinstance(payload, dict) and payload.get("type") in ("response.completed", "response.incomplete")


def decode_response(body: bytes, target: Target, request_id: str | None, sent: SentTools | None = None) -> ChatResult:
    """Decode a whole answer.

    Args:
        body: The response body.
        target: The called model or agent.
        request_id: The response's ``x-request-id``.
        sent: The changes of the request's tools, which are reverted; None for none.

    Returns:
        One generation.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If the body is not a response, or one that has only begun.
    """
    payload = parse_event(bounded(body))
    _raise_failure(payload, request_id)
    items = payload.get("output")
    if not isinstance(items, list):
        raise _no_output(payload, target, request_id)
    _raise_begun(payload, target, request_id)
    facts, reader = ResponsesFacts(target, request_id), ItemReader(None if sent is None else sent.bound)
    answer = GrowingAnswer(sent=sent)  # as a stream of one event, so that both give the same message
    facts.note(payload)
    reader.expect(items)
    parts: list[Part] = [part for event in _ended(items) for part in reader.end_item(event)]
    facts.end(calls=reader.has_calls, logprobs=reader.logprobs)
    for part in (*parts, *reader.rest()):
        answer.add(part)
    return whole_result(payload, answer, facts)


def _ended(items: list[Any]) -> list[dict[str, Any]]:
    """Return the events that would end the items of a whole answer."""
    return [{"output_index": index, "item": item} for index, item in enumerate(items)]


def _raise_failure(response: Mapping[str, Any], request_id: str | None) -> None:
    """Raise if a response has failed, or if it is an error."""
    error = response.get("error")
    if response.get("status") in _FAILED:
        raise_error_within({"error": error or _unexplained(response)}, "output", request_id=request_id)
    if error or "error_code" in response or response.get("output") is None:
        raise_error_within({**response, "error": error} if error else response, "output", request_id=request_id)


def _raise_begun(response: Mapping[str, Any], target: Target, request_id: str | None) -> None:
    """Raise if a whole response has only begun."""
    if not response.get("output") and response.get("status") in _BEGINS:
        raise MalformedResponseError(
            f"{target.model!r} has only begun to answer (status {response['status']!r}), as it does in the background. "
            "Answers are not fetched later: leave 'background' out.",
            request_id=request_id,
        )


def _no_output(payload: Mapping[str, Any], target: Target, request_id: str | None) -> MalformedResponseError:
    return MalformedResponseError(
        f"The endpoint {target.model!r} answered with {instead_of(payload, 'output')}: it does not use "
        f"Responses. Leave api= out, or choose another one. It said: {text_of_event(payload)}",
        request_id=request_id,
    )


class ResponsesStreamDecoder(AnswerStreamDecoder[ResponsesFacts]):
    """Decoder of a stream of Responses."""

    __slots__ = ("_complete", "_goes_on", "_reader", "_unknown")

    def _begin(self, target: Target, request_id: str | None) -> ResponsesFacts:
        self._reader = ItemReader(None if self._sent is None else self._sent.bound)
        self._complete = False  # the last response has ended
        self._goes_on = False  # after it came a result, which an agent will read
        self._unknown: dict[str, Any] | None = None  # the last event that says nothing
        return ResponsesFacts(target, request_id)

    def close(self) -> list[ChatGenerationChunk]:
        """End the stream; the calls that are the caller's to execute come before the metadata."""
        self._check_complete()
        self._facts.end(calls=self._reader.has_calls, logprobs=self._reader.logprobs)
        chunks: list[ChatGenerationChunk] = []
        for part in self._reader.rest():
            self._add(part, chunks)
        self._flush(chunks)
        return [*chunks, *super().close()]

    def is_complete(self) -> bool:
        """Return whether nothing is missing if the stream breaks now."""
        return self._complete and not (self._goes_on or self._reader.awaits_results)

    def _check_complete(self) -> None:
        facts, has_items = self._facts, self._reader.has_items
        if self._complete or (self._done and has_items):
            return
        if not has_items and self._unknown is not None:
            raise _no_output(self._told(self._unknown), facts.target, facts.request_id)
        raise StreamInterruptedError(
            "The stream ended before the answer did: there was no 'response.completed'. What had arrived is in the "
            "error's `partial`."
        )

    def _read(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        kind = payload.get("type")
        if kind == "response.output_text.delta":
            if self._complete:
                self._begin_next()
            for part in self._reader.read_delta("output_text.delta", payload):
                self._add(part, chunks)
            if "custom_outputs" in payload:
                self._note_report(payload)
            return
        if kind is None and isinstance(payload.get("output"), list):
            _raise_failure(payload, self._facts.request_id)
            _raise_begun(payload, self._facts.target, self._facts.request_id)
        elif kind == "error" or payload.get("error") or "error_code" in payload:
            failure = payload if payload.get("error") else {"error": _error_of(payload)}
            raise_error_within(failure, "output", request_id=self._facts.request_id)
        if kind is not None and not _BESIDE.isdisjoint(payload):
            self._note_report(payload)
        for part in self._parts(kind, payload):
            self._add(part, chunks)

    def _note_report(self, event: Mapping[str, Any]) -> None:
        self._facts.kept.add({key: event[key] for key in _BESIDE if key in event})

    def _parts(self, kind: Any, payload: dict[str, Any]) -> list[Part]:
        if not isinstance(kind, str):
            return self._untyped(payload)
        head, _, name = kind.partition(".")
        if head in ("response", "responses"):
            is_state = name in _BEGINS or name in _ENDS or name in _FAILED
            return self._response(name, payload) if is_state else self._item_parts(name, payload)
        if kind.endswith("_output") and "call_id" in payload:
            self._goes_on = True
            return [self._reader.result(payload)]
        if kind not in KEEP_ALIVE:
            self._facts.kept.add({kind: {key: value for key, value in payload.items() if key != "type"}})
        return []

    def _item_parts(self, name: str, payload: dict[str, Any]) -> list[Part]:
        if self._complete and (name.startswith("output_item.") or name.endswith(".delta")):
            self._begin_next()
        reader = self._reader
        if name == "output_item.added":
            return [*reader.begin_item(payload)]
        return [*(reader.end_item(payload) if name == "output_item.done" else reader.read_delta(name, payload))]

    def _begin_next(self) -> None:
        """Begin the next response of an agent that does not say so: its items are counted from 0 again."""
        self._reader.begin_response()
        self._complete = False

    def _untyped(self, payload: dict[str, Any]) -> list[Part]:
        """Read an event without a type: the id of a trace, or a whole answer of a server that does not stream."""
        if isinstance(payload.get("output"), list):
            return self._response("completed", {"response": payload})
        raise_error_within(payload, "output", request_id=self._facts.request_id)
        if not _BESIDE.isdisjoint(payload):
            self._facts.kept.add(payload)
        else:
            self._unknown = payload
        return []

    def _response(self, name: str, payload: Mapping[str, Any]) -> list[Part]:
        response = payload.get("response")
        response = response if isinstance(response, Mapping) else {}
        if name in _BEGINS:
            if name == "created" or self._complete:
                self._reader.begin_response()
            self._complete = False
            return []
        if name in _FAILED:
            error = response.get("error") or payload.get("error") or _unexplained(payload)
            raise_error_within({"error": error}, "output", request_id=self._facts.request_id)
        self._facts.note(response)
        if name == "incomplete" and self._facts.finish_reason is None:
            self._facts.finish_reason = "length"
        items = response.get("output")
        parts: list[Part] = []
        if isinstance(items, list) and not self._reader.has_items:  # no event described it before
            self._reader.expect(items)
            parts = [part for event in _ended(items) for part in self._reader.end_item(event)]
        self._complete, self._goes_on = True, False
        if may_be_blocked(response):
            raise_blocked(response, self.partial, request_id=self._facts.request_id)
        return parts


def _error_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the error of an event whose fields are the error's."""
    said = {key: value for key, value in event.items() if key not in {"type", "sequence_number"} and value is not None}
    return said or _unexplained(event)


def _unexplained(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the error of a response that has failed or was cancelled, and that does not say why."""
    if isinstance(said.get("message"), str):
        return {"message": said["message"], "code": said.get("code") or "server_error"}
    return {"message": "the response ended without an answer, and without a reason", "code": "server_error"}
