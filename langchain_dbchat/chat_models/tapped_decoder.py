"""Show each chunk of a stream to a function before it is given to LangChain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGenerationChunk

    from langchain_dbchat.dialects.dialect import StreamDecoder
    from langchain_dbchat.errors import DatabricksError

__all__ = ["TappedDecoder"]


class TappedDecoder:
    """A decoder that calls a function with each chunk of another decoder.

    Args:
        inner: The other decoder.
        tap: The function; it may change the chunk.
    """

    def __init__(self, inner: StreamDecoder, tap: Callable[[ChatGenerationChunk], None]) -> None:
        self._inner = inner
        self._tap = tap

    def feed(self, events: Sequence[bytes], /) -> Iterator[ChatGenerationChunk]:
        """Decode events that arrived together."""
        for chunk in self._inner.feed(events):
            self._tap(chunk)
            yield chunk

    def close(self) -> Sequence[ChatGenerationChunk]:
        """End the stream; raise if the answer is incomplete."""
        last = self._inner.close()
        for chunk in last:
            self._tap(chunk)
        return last

    def is_complete(self) -> bool:
        """Return whether nothing is missing if the stream breaks now."""
        return self._inner.is_complete()

    def keep_partial(self, error: DatabricksError, /) -> None:
        """Add the partial message to an error that ends the stream."""
        self._inner.keep_partial(error)

    def partial(self) -> AIMessage:
        """Return the partial message."""
        return self._inner.partial()
