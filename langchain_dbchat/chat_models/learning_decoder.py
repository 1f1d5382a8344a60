"""Decode a stream whose wire format is not known before its first event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.dialects.shared.answer.wires import OtherWireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGenerationChunk

    from langchain_dbchat.dialects.dialect import StreamDecoder
    from langchain_dbchat.errors import DatabricksError

__all__ = ["LearningDecoder"]


class LearningDecoder:
    """A decoder that is replaced if the first events are in another wire format.

    Args:
        make: Makes a decoder of the current wire format.
        switches: Changes the current wire format to that of the error; returns False if it must not change.
        confirm: Called when the whole stream was decoded.
    """

    __slots__ = ("_confirm", "_decoder", "_earlier", "_make", "_switches")

    def __init__(
        self, make: Callable[[], StreamDecoder], switches: Callable[[OtherWireError], bool], confirm: Callable[[], None]
    ) -> None:
        self._make = make
        self._switches = switches
        self._confirm = confirm
        self._decoder = make()
        self._earlier: list[bytes] | None = []  # all events so far; None as soon as the format is known

    def feed(self, events: Sequence[bytes], /) -> Iterator[ChatGenerationChunk]:
        """Decode events that arrived together.

        Args:
            events: The events' payloads.

        Returns:
            Their chunks.
        """
        return self._decoder.feed(events) if self._earlier is None else self._feed_first(self._earlier, events)

    def _feed_first(self, earlier: list[bytes], events: Sequence[bytes]) -> Iterator[ChatGenerationChunk]:
        earlier.extend(events)
        try:
            for chunk in self._decoder.feed(events):
                self._earlier = None
                yield chunk
        except OtherWireError as error:
            if self._earlier is None or not self._switches(error):
                raise
            self._decoder, self._earlier = self._make(), None
            yield from self._decoder.feed(earlier)

    def close(self) -> Sequence[ChatGenerationChunk]:
        """End the stream.

        Returns:
            The remaining chunks.
        """
        last = self._decoder.close()
        self._confirm()
        return last

    def is_complete(self) -> bool:
        """Return whether nothing is missing if the stream breaks now."""
        return self._decoder.is_complete()

    def keep_partial(self, error: DatabricksError, /) -> None:
        """Add the partial message to an error that ends the stream."""
        self._decoder.keep_partial(error)

    def partial(self) -> AIMessage:
        """Return the partial message."""
        return self._decoder.partial()
