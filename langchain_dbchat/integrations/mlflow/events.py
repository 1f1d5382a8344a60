"""Turn the stream of an agent into the stream events of MLflow's ResponsesAgent.

Rule 1. Text is passed on as it comes (``response.output_text.delta``); an item is passed on when its message is
complete (``response.output_item.done``), because MLflow collects the answer from these
(github.com/mlflow/mlflow, mlflow/types/responses.py, `responses_agent_output_reducer`).
Rule 2. The chunks of messages that are written at the same time are distinguished by the ids of the messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk, BaseMessage

from langchain_dbchat.integrations.mlflow.items import text_item_id, to_response_items

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

__all__ = ["aresponse_events", "response_events"]


def response_events(stream: Iterable[Any]) -> Iterator[Any]:
    """Turn a stream of messages into events for `predict_stream`.

    Args:
        stream: Messages and chunks: ``agent.stream(..., stream_mode="messages")`` or ``model.stream(...)``.

    Yields:
        ``ResponsesAgentStreamEvent`` objects.

    Raises:
        ImportError: If MLflow is not installed.
        UnsupportedContentError: If a message has content that an item cannot represent.
    """
    events = _Events()
    for each in stream:
        yield from events.read(each)
    yield from events.close()


async def aresponse_events(stream: AsyncIterable[Any]) -> AsyncIterator[Any]:
    """Do the same as `response_events` with an async stream."""
    events = _Events()
    async for each in stream:
        for event in events.read(each):
            yield event
    for event in events.close():
        yield event


class _Events:
    """The messages that are being written."""

    def __init__(self) -> None:
        try:
            from mlflow.types.responses import ResponsesAgentStreamEvent  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise ImportError('response_events needs MLflow: pip install "langchain-dbchat[mlflow]".') from error
        self._event = ResponsesAgentStreamEvent
        self._open: dict[str | None, _GrowingMessage] = {}

    def read(self, given: Any) -> Iterator[Any]:
        """Read a message or a chunk, alone or with LangGraph's metadata."""
        message = given[0] if isinstance(given, tuple) else given
        if not isinstance(message, BaseMessage):
            raise TypeError(
                f"The stream has a {type(given).__name__}, not messages. Use agent.stream(..., stream_mode='messages')."
            )
        if not isinstance(message, AIMessageChunk):
            yield from self._done(message)
            return
        growing = self._open.get(message.id)
        if growing is None:
            growing = self._open[message.id] = _GrowingMessage()
        for text, item_id in growing.add(message):
            yield self._event(type="response.output_text.delta", item_id=item_id, delta=text)
        if message.chunk_position == "last":
            yield from self._done(self._open.pop(message.id).whole())

    def close(self) -> Iterator[Any]:
        """Complete what has not said that it is complete."""
        while self._open:
            yield from self._done(self._open.pop(next(iter(self._open))).whole())

    def _done(self, message: BaseMessage) -> Iterator[Any]:
        for item in to_response_items(message):
            yield self._event(type="response.output_item.done", item=item)


class _GrowingMessage:
    """One message that is being written."""

    def __init__(self) -> None:
        self._chunks: list[AIMessageChunk] = []
        self._run = 0
        self._in_text = False

    def add(self, chunk: AIMessageChunk) -> Iterator[tuple[str, str]]:
        """Add a chunk; give its texts, each with the id of its item."""
        self._chunks.append(chunk)
        content = chunk.content
        for block in [content] if isinstance(content, str) else content:
            text = block if isinstance(block, str) else block.get("text") if block.get("type") == "text" else None
            if text:
                self._in_text = True
                yield text, text_item_id(chunk.id, self._run)
            elif text is None and self._in_text:
                self._run, self._in_text = self._run + 1, False

    def whole(self) -> AIMessageChunk:
        """Return the sum of the chunks."""
        first, *others = self._chunks
        return first + others if others else first
