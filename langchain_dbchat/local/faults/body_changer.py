"""Change the body of an answer as a `Fault` demands; nothing here does I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_dbchat.local.faults.fault import Fault

GARBAGE = b"\x00\xff\xfe<<< no such thing was said >>>\x80\r\n\xc3"
"""Neither UTF-8 nor JSON nor HTTP."""
NOT_HTTP = GARBAGE * 4 + b"\r\n\r\n"
COMMENT = b": keep-alive\n\n"
COMMENT_SECONDS = 0.02  # between two comments


class BodyChanger:
    """Changes a body, piece by piece, as a fault demands.

    Args:
        fault: The fault.

    Attributes:
        cut: Whether the connection ends here.
        only_comments: Whether only comments follow.
    """

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        marks = (fault.duplicate, fault.swap, fault.comments_after, fault.cut_after_events)
        self._by_event = any(mark is not None for mark in marks)
        self._last_event = False  # whether `cut_after_events` has been reached
        self._tail = b""  # an event that has not ended yet
        self._event = 0
        self._kept: bytes | None = None  # the event that waits for the next one
        self._sent = 0
        self.cut = False
        self.only_comments = fault.comments_after == 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of the body.

        Args:
            data: The bytes.

        Yields:
            What to send; where `cut` is set afterwards, nothing more.
        """
        if self._by_event:
            *events, self._tail = (self._tail + data).split(b"\n\n")
            data = b"".join(part for event in events for part in self._event_parts(event + b"\n\n"))
        yield from self._bytes(data)
        self.cut = self.cut or self._last_event

    def close(self) -> Iterator[bytes]:
        """Note that the body has ended.

        Yields:
            What is left to send.
        """
        data, self._tail, self._kept = (self._kept or b"") + self._tail, b"", None
        self.cut = self.cut or (bool(data) and self._fault.cut_after_events == self._event)
        yield from self._bytes(b"" if self.only_comments else data)

    def _event_parts(self, event: bytes) -> list[bytes]:
        number, fault = self._event, self._fault
        if number == fault.cut_after_events:
            self._last_event = True
            return []
        self._event += 1
        if self.only_comments:
            return []
        self.only_comments = fault.comments_after == self._event
        if number == fault.swap:
            self._kept = event
            return []
        kept, self._kept = self._kept, None
        return [event] * (2 if number == fault.duplicate else 1) + ([] if kept is None else [kept])

    def _bytes(self, data: bytes) -> Iterator[bytes]:
        """Cut, insert garbage and split, by the count of bytes."""
        fault, begin = self._fault, self._sent
        if self.cut:
            return
        self._sent += len(data)
        if fault.cut_after is not None and self._sent >= fault.cut_after:
            data = data[: fault.cut_after - begin]
            self.cut = True
        place = fault.garbage_after
        if place is not None and begin <= place < begin + len(data):
            data = data[: place - begin] + GARBAGE + data[place - begin :]
        if not fault.drip:
            if data:
                yield data
            return
        for start in range(0, len(data), fault.piece):
            yield data[start : start + fault.piece]
