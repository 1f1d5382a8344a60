"""Decode a Messages answer, streamed or whole; `shared.stream` has the rules that all wire formats share.

Rule 1. A stream is ``message_start``, blocks of ``content_block_start``, ``content_block_delta`` and
``content_block_stop`` with an index each, ``message_delta`` and ``message_stop``; ``ping`` and ``error`` come at any
place (docs.claude.com/en/docs/build-with-claude/streaming). An event out of this order is an error, because the answer
cannot be put together from it; an event of an unknown type, or without one, is kept in ``response_metadata``.
Rule 2. A stream is complete if ``message_stop`` has arrived, or instead of all events a whole message.
Rule 3. An answer that is a refusal, or that was cut off, has what had arrived; its tool calls are never executed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.messages.blocks import REASONING_TYPES, OpenBlock, read_content_block
from langchain_dbchat.dialects.messages.facts import MessagesFacts
from langchain_dbchat.dialects.shared.answer.answer import GrowingAnswer
from langchain_dbchat.dialects.shared.answer.beside import text_in
from langchain_dbchat.dialects.shared.answer.bounds import bounded
from langchain_dbchat.dialects.shared.answer.chunks import whole_result
from langchain_dbchat.dialects.shared.answer.errors_within import raise_error_within
from langchain_dbchat.dialects.shared.answer.events import MESSAGE_KEYS, is_last, parse_event, text_of_event
from langchain_dbchat.dialects.shared.answer.facts import KEEP_ALIVE
from langchain_dbchat.dialects.shared.answer.parts import Text
from langchain_dbchat.dialects.shared.answer.stream import AnswerStreamDecoder
from langchain_dbchat.dialects.shared.answer.wires import instead_of
from langchain_dbchat.errors import MalformedResponseError, StreamInterruptedError
from langchain_dbchat.errors.sound_text import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_dbchat.dialects.dialect import Target
    from langchain_dbchat.dialects.shared.answer.parts import Part
    from langchain_dbchat.dialects.shared.request.sent import SentTools

__all__ = ["MessagesStreamDecoder", "decode_message", "ends_stream"]


def ends_stream(event: bytes) -> bool:
    """Decide whether an event ends the stream: ``message_stop``, or ``[DONE]``, which some proxies send after it.

    Args:
        event: The event's payload.

    Returns:
        True if nothing follows it.
    """
    if b"message_stop" not in event[:200]:
        return is_last(event)
    try:
        payload = read_json(event)
    except ValueError:
        return False
    return isinstance(payload, dict) and payload.get("type") == "message_stop"


def decode_message(body: bytes, target: Target, request_id: str | None, sent: SentTools | None = None) -> ChatResult:
    """Decode a whole answer.

    Args:
        body: The response body.
        target: The called model.
        request_id: The response's ``x-request-id``.
        sent: The changes of the request's tools, which are reverted; None for none.

    Returns:
        One generation.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If the body is not a message.
    """
    payload = _parsed(bounded(body))
    raise_error_within(payload, "content", request_id=request_id)
    content = payload.get("content")
    if not isinstance(content, list):
        raise _not_a_message(payload, target, request_id)
    facts = MessagesFacts(target, request_id)
    facts.note(payload)
    answer, thoughts = GrowingAnswer(whole=True, sent=sent), 0
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            raise MalformedResponseError(f"A block of the answer is a {type(block).__name__}, not an object.")
        for part in read_content_block(block, index, thoughts):
            answer.add(part)
        thoughts += text_in(block, "type") in REASONING_TYPES
    return whole_result(payload, answer, facts)


def _parsed(body: bytes) -> dict[str, Any]:
    """Parse an answer or an event, in which the input of a call may be nested more deeply than the parser follows.

    A delta has a piece of an input as text. So it is text here, too, if the rest cannot be parsed as it is.
    """
    try:
        return parse_event(body)
    except MalformedResponseError:
        written = _with_inputs_as_text(body)
        if written is None:
            raise
        return parse_event(written)


def _with_inputs_as_text(body: bytes) -> str | None:
    try:
        payload = json.loads(body)
        blocks = [payload["content_block"]] if "content_block" in payload else payload["content"]
        uses = [block for block in blocks if block["type"] == "tool_use"]
        for use in uses:
            use["input"] = json.dumps(use["input"])
        return json.dumps(payload) if uses else None
    except (ValueError, RecursionError, LookupError, TypeError):
        return None


def _not_a_message(payload: Mapping[str, Any], target: Target, request_id: str | None) -> MalformedResponseError:
    return MalformedResponseError(
        f"The endpoint {target.model!r} answered with {instead_of(payload, 'content')}: it does "
        "not use Anthropic's Messages. Leave api= out, or choose another one."
        + (f" It said: {text_of_event(payload)}" if MESSAGE_KEYS & payload.keys() else ""),
        request_id=request_id,
    )


class MessagesStreamDecoder(AnswerStreamDecoder[MessagesFacts]):
    """Decoder of a streamed message."""

    __slots__ = ("_begun", "_ended", "_has_text", "_next", "_open", "_thoughts")
    _parse = staticmethod(_parsed)

    def _begin(self, target: Target, request_id: str | None) -> MessagesFacts:
        self._begun = False  # message_start has arrived
        self._ended = False  # message_stop has arrived
        self._open: dict[int, OpenBlock] = {}  # the blocks that have begun and not ended, by their index
        self._has_text = False  # a text block has begun
        self._thoughts = 0  # the number of blocks of reasoning that have begun
        self._next = 0  # the smallest index that no block has had
        return MessagesFacts(target, request_id)

    def _check_complete(self) -> None:
        if not self._ended:
            raise StreamInterruptedError(
                "The stream ended before the answer did: there was no 'message_stop'. What had arrived is in the "
                "error's `partial`."
            )

    def _read(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        kind = payload.get("type")
        if kind == "content_block_delta":
            self._read_delta(payload, chunks)
            return
        if kind == "error" or "error" in payload or "error_code" in payload:
            raise_error_within(payload, "content", request_id=self._facts.request_id)
        if kind == "content_block_start":
            self._start_block(payload, chunks)
        elif kind == "content_block_stop":
            self._stop_block(payload, chunks)
        elif kind == "message_start":
            self._start_message(payload, chunks)
        elif kind == "message_delta":
            self._change_message(payload)
        elif kind == "message_stop":
            self._stop_message(payload)
        elif kind == "message" or (not self._begun and isinstance(payload.get("content"), list)):
            self._read_whole(payload, chunks)
        elif kind not in KEEP_ALIVE:
            self._keep_event(kind, payload)

    def _keep_event(self, kind: Any, payload: dict[str, Any]) -> None:
        """Keep an event of an unknown type, or without one; raise if it is an error, or before the message."""
        if not isinstance(kind, str) or not self._begun:
            raise_error_within(payload, "content", request_id=self._facts.request_id)
        if not self._begun:
            raise _not_a_message(payload, self._facts.target, self._facts.request_id)
        rest = {key: value for key, value in payload.items() if key != "type"}
        self._facts.kept.add({kind: rest} if isinstance(kind, str) else rest)

    def _start_message(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        message = payload.get("message")
        if self._begun or not isinstance(message, dict):
            raise MalformedResponseError("The stream contains a second 'message_start', or one without a message.")
        self._begun = True
        self._facts.note(message)
        content = message.get("content") or []
        if not isinstance(content, list):
            raise MalformedResponseError(f"The content of 'message_start' is a {type(content).__name__}, not a list.")
        for index, block in enumerate(content):
            self._start_block({"index": index, "content_block": block}, chunks)
            self._stop_block({"index": index}, chunks)

    def _read_whole(self, message: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        """Read the answer of a server that does not stream."""
        raise_error_within(message, "content", request_id=self._facts.request_id)
        if not isinstance(message.get("content"), list):
            raise _not_a_message(message, self._facts.target, self._facts.request_id)
        self._start_message({"message": message}, chunks)
        self._ended = True

    def _start_block(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        index, block = payload.get("index"), payload.get("content_block")
        if not self._begun or self._ended:
            raise MalformedResponseError("The stream contains a block outside of 'message_start' and 'message_stop'.")
        if not isinstance(block, dict):
            raise MalformedResponseError(f"A block of the answer is a {type(block).__name__}, not an object.")
        if not isinstance(index, int) or index < self._next:
            raise MalformedResponseError(f"The stream contains a block with the index {index!r:.80}, which is not new.")
        self._next = index + 1
        opened = self._open[index] = OpenBlock(block, index, follows_text=self._has_text, thoughts=self._thoughts)
        self._thoughts += opened.kind in REASONING_TYPES
        self._has_text = self._has_text or opened.kind == "text"
        for part in opened.begin():
            self._add_in_block(part, chunks)

    def _block_of(self, payload: dict[str, Any]) -> OpenBlock:
        index = payload.get("index")
        opened = self._open.get(index) if isinstance(index, int) else None
        if opened is None:
            raise MalformedResponseError(f"The stream contains an event of the block {index!r:.80}, which is not open.")
        return opened

    def _read_delta(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        delta = payload.get("delta")
        if not isinstance(delta, dict):
            raise MalformedResponseError(f"A delta of the stream is a {type(delta).__name__}, not an object.")
        opened = self._block_of(payload)
        text = delta.get("text")
        if opened.kind == "text" and type(text) is str and delta.get("type") == "text_delta" and not opened.opens:
            self._add_in_block(Text(text), chunks)
            return
        for part in opened.add(delta):
            self._add_in_block(part, chunks)

    def _add_in_block(self, part: Part, chunks: list[ChatGenerationChunk]) -> None:
        """Add a part; a text that begins a block is a chunk of its own."""
        self._add(part, chunks)
        if type(part) is Text and part.opens:
            self._flush(chunks)

    def _stop_block(self, payload: dict[str, Any], chunks: list[ChatGenerationChunk]) -> None:
        opened = self._block_of(payload)
        del self._open[payload["index"]]
        for part in opened.end():
            self._add(part, chunks)

    def _change_message(self, payload: dict[str, Any]) -> None:
        delta = payload.get("delta")
        if not self._begun or self._ended or not isinstance(delta, dict):
            raise MalformedResponseError("The stream contains a 'message_delta' at the wrong place, or an empty one.")
        rest = {key: value for key, value in payload.items() if key not in {"type", "delta"}}
        self._facts.note({**delta, **rest})

    def _stop_message(self, payload: dict[str, Any]) -> None:
        if not self._begun or self._ended or self._open:
            raise MalformedResponseError("The stream contains a 'message_stop' at the wrong place.")
        self._ended = True
        self._facts.note({key: value for key, value in payload.items() if key != "type"})
