"""The event stream on the wire: bytes in, the payloads of complete events out.

This is the part of the WHATWG event stream format that model serving uses: `data` lines, joined by line feeds, ended
by an empty line. The names of events, ids and retry times say nothing here that the payloads do not say themselves
(Databricks sends none of them in chat), so those fields are skipped, like comments.

Bytes may be cut anywhere: within a line end, within the byte order mark, within a character. Everything is done on
bytes, because no UTF-8 sequence contains a line end, and because the JSON reader takes bytes. Lines are split by one
call per read; a carriage return, which no known server sends, costs one pass more (raw ones cannot stand within
JSON).

What is held of an event that is not complete is counted as it grows, lines with what a list needs for them, so that
many small reads and many empty lines cost no more than one large one.

An event without data, and an event whose data is empty, is no event for us: no dialect has a meaning for it.
"""

from __future__ import annotations

from pydantic_core import from_json

from langchain_dbchat.errors import MalformedResponseError

__all__ = ["EventStreamDecoder"]

_BOM = b"\xef\xbb\xbf"
_LINE = 32  # bytes that a line of an event of several lines takes in memory besides its own, at least
_EVENT_LIMIT = 16 * 1024 * 1024  # bytes; the largest payload that model serving takes or gives


class EventStreamDecoder:
    """Decode one event stream.

    Args:
        limit: The largest event in bytes, 16 MiB by default.
    """

    __slots__ = ("_after_return", "_data", "_fresh", "_held", "_limit", "_tail")

    def __init__(self, limit: int = _EVENT_LIMIT) -> None:
        self._limit = limit
        self._tail = bytearray()  # a line that has not ended yet
        self._data: list[bytes] = []  # the data lines of an event that has not ended yet
        self._held = 0  # bytes in them
        self._after_return = False  # the last byte was a carriage return: a line feed now belongs to it
        self._fresh: bytes | None = b""  # what may become a byte order mark; None once that is settled

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come.

        Args:
            data: The next bytes of the stream, cut anywhere.

        Returns:
            The payloads of the events that are complete now, in order.

        Raises:
            MalformedResponseError: An event is larger than the limit.
        """
        if self._fresh is not None:
            data = self._settle_mark(data)
        if self._after_return or b"\r" in data:
            data = self._unify_line_ends(data)
        if b"\n" not in data:
            self._tail += data
            self._check(self._held + len(self._tail))
            return []
        if self._tail:
            self._tail += data
            data = bytes(self._tail)
            self._tail.clear()
        lines = data.split(b"\n")
        tail = lines.pop()
        payloads = self._read(lines)
        if tail:
            self._tail += tail
            self._check(self._held + len(tail))
        return payloads

    def close(self) -> list[bytes]:
        """Say that no more bytes come.

        Returns:
            The payload of a last event that no empty line ended, if it is complete: its last line has ended, or is a
            data line that is whole (JSON, or ``[DONE]``). A line that was cut off is left out; that the stream was
            cut off is then for the dialect to notice, which knows how an answer ends.
        """
        tail = bytes(self._tail)
        data, self._data, self._tail = self._data, [], bytearray()
        if tail.startswith(b"data:"):
            payload = b"\n".join([*data, _value(tail)])
            return [payload] if _is_whole(payload) else []
        payload = b"\n".join(data)
        return [payload] if payload else []

    def _read(self, lines: list[bytes]) -> list[bytes]:
        payloads = []
        data = self._data
        for line in lines:
            if line:
                if line.startswith(b"data:"):
                    data.append(_value(line))
                elif line == b"data":  # the format allows a field without a colon: it is empty
                    data.append(b"")
                else:
                    continue
                if len(data) > 1:
                    self._held += _LINE + len(data[-1])
                else:
                    self._held = len(data[0])
                self._check(self._held)
            elif data:
                payload = data[0] if len(data) == 1 else b"\n".join(data)
                data.clear()
                self._held = 0
                if payload:
                    payloads.append(payload)
        return payloads

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise MalformedResponseError(f"An event of the stream is larger than {self._limit} bytes.")

    def _settle_mark(self, data: bytes) -> bytes:
        """Take the byte order mark away, which stands at the very beginning or not at all."""
        data = (self._fresh or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._fresh = data
            return b""
        self._fresh = None
        return data.removeprefix(_BOM)

    def _unify_line_ends(self, data: bytes) -> bytes:
        if self._after_return:
            if not data:
                return data
            data = data.removeprefix(b"\n")
        self._after_return = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _value(line: bytes) -> bytes:
    """What stands behind ``data:``, without the one space that may follow it."""
    return line[6:] if line[5:6] == b" " else line[5:]


def _is_whole(payload: bytes) -> bool:
    if payload == b"[DONE]":
        return True
    try:
        from_json(payload)
    except ValueError:
        return False
    return True
