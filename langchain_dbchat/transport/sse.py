"""Decode an event stream: from bytes to the payloads of complete events.

This is the part of the WHATWG format that model serving uses
(https://html.spec.whatwg.org/multipage/server-sent-events.html): `data` lines, joined by line feeds, ended by an empty
line. Ids, retry times and comments are skipped.

Rule 1. Bytes may be cut anywhere: within a line end, the byte order mark or a character. The decoder works on bytes,
    because no UTF-8 sequence contains a line end, and because the JSON parser takes bytes. One call splits all lines of
    a read. A carriage return, which no known server sends, costs one more pass; JSON contains none.
Rule 2. The size of an incomplete event is counted while it grows, each line with the memory of its place in a list. So
    many small reads and many empty lines have the same bound as one large line.
Rule 3. An event without data, or with blank data, is left out.
Rule 4. The last event of a stream differs between APIs, so the caller passes `is_last`.
Rule 5. The name of an event counts if its data may not have the same meaning. An event named `error` is an error,
    whatever its data is: text, and JSON without an error field, become `{"error": ...}`. One named `ping` is left out,
    unless its data is part of an answer. One named `done` or `end` without further data becomes `done`.
Rule 6. A line that is not a field is text that a server or a proxy has inserted. A JSON object on one line is read as
    an event. Other text (a web page, words, JSON over several lines) is returned at the end, as `{"stray_text": ...}`
    or as the JSON that it is, unless the last event came: then the answer is complete.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.errors import MalformedResponseError
from langchain_dbchat.errors.sound_text import read_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EventStreamDecoder"]

_BOM = b"\xef\xbb\xbf"
_LINE = 32  # bytes of memory for a line of an event of several lines, besides its text
_EVENT_LIMIT = 16 * 1024 * 1024  # bytes; the largest payload that model serving takes or gives
_DONE = b"done"
_BRACE = ord("{")
_FEW = 4  # lines that `_read` reads as fast as `_read_many`
_NAMES = {
    **dict.fromkeys((b"error", b"exception"), "error"),
    **dict.fromkeys((b"ping", b"heartbeat", b"keepalive", b"keep-alive"), "ping"),
    **dict.fromkeys((b"done", b"end", b"close", b"complete", b"completed"), "done"),
}
"""The names of events that count, and their meanings; any other name is ignored."""

_FIELDS = (b"event:", b"id:", b"retry:", b":")
_ENDINGS = (b"", b"{}", b"null", b'""', b"done", b"end")
"""The data of an event named `done` that has no further meaning."""

_STRAY = re.compile(rb"\s*[!-~]")  # stray text begins with a visible ASCII character
_STRAY_LIMIT = 16 * 1024  # bytes of stray text that are kept


def _is_never_last(event: bytes) -> bool:
    del event
    return False


class EventStreamDecoder:
    """Decode one event stream.

    Args:
        limit: The largest event in bytes, 16 MiB by default.
        is_last: Decides whether an event is the last one of the stream; by default, none is.
    """

    __slots__ = (
        "_after_return",
        "_data",
        "_fresh",
        "_held",
        "_is_cut",
        "_is_last",
        "_limit",
        "_meaning",
        "_room",
        "_stray",
        "_tail",
    )

    def __init__(self, limit: int = _EVENT_LIMIT, is_last: Callable[[bytes], bool] = _is_never_last) -> None:
        self._limit = limit
        self._is_last = is_last
        self._tail = bytearray()  # a line that has not ended yet
        self._data: list[bytes] = []  # the data lines of an event that has not ended yet
        self._meaning = ""  # what the name of that event means
        self._stray: list[bytes] | None = []  # lines that are not fields; None after the last event
        self._room = _STRAY_LIMIT  # how many more bytes of those lines are kept
        self._held = 0  # bytes in the data lines after the first one
        self._is_cut = False  # an object was inserted into the event that has not ended yet
        self._after_return = False  # the last byte was a carriage return, so that a line feed now belongs to it
        self._fresh: bytes | None = b""  # the beginning of a byte order mark, perhaps; None once that is known

    def feed(self, data: bytes) -> list[bytes]:
        """Decode the next bytes.

        Args:
            data: The bytes, cut anywhere.

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
            self._check(len(self._tail))
            return []
        if self._tail:
            self._tail += data
            data = bytes(self._tail)
            self._tail.clear()
        lines = data.split(b"\n")
        tail = lines.pop()
        payloads = self._read_many(lines) if len(lines) > _FEW else self._read(lines)
        if tail:
            self._tail += tail
            self._check(len(tail))
        return payloads

    def ignore_stray(self) -> None:
        """Leave text that was inserted into the stream out, as after the last event."""
        self._stray = None

    def close(self) -> list[bytes]:
        """Decode the end of the stream.

        Returns:
            The payload of a last event without an empty line after it, if it is complete: its last line has ended, or
            is a whole data line (JSON, or the last event). A line that was cut off is left out: the dialect, which
            knows how an answer ends, then raises. After it, the text that was inserted into the stream, if any.
        """
        tail, self._tail = bytes(self._tail), bytearray()
        payloads: list[bytes] = []
        if tail.startswith(b"data:"):
            data, self._data = [*self._data, _value(tail)], []
            payload = self._finished(b"\n".join(data))
            payloads.extend([payload] if payload and self._is_whole(payload) else [])
        else:
            if tail and not any(field.startswith(tail) for field in (b"data", *_FIELDS)):
                self._read_other(tail, payloads)
            self._end_event(payloads)
        stray = b"\n".join(self._stray or ()).strip()
        self._stray = []
        return [*payloads, _worded(stray)] if stray else payloads

    def _read_many(self, lines: list[bytes]) -> list[bytes]:
        """Read one event, then at once all that look like the next one, if each is an object in a line of its own."""
        start = lines.index(b"") + 1 if b"" in lines else len(lines)
        payloads, lines = self._read(lines[:start]), lines[start:]
        is_named = bool(lines) and lines[0].startswith(b"event:")
        size = 3 if is_named else 2  # lines of an event: its name, data, an empty line
        alike = lines[: len(lines) // size * size]
        names = set(alike[::size]) if is_named else ()
        mean_nothing = all(name.startswith(b"event:") and not _meaning_of(name) for name in names)
        if mean_nothing and not any(alike[size - 1 :: size]):
            limit = self._limit
            data = alike[size - 2 :: size]
            objects = [line[6:] for line in data if line.startswith(b"data: {") and len(line) <= limit]
            if len(objects) == len(data):
                payloads += objects
                lines = lines[len(alike) :]
        return payloads + self._read(lines) if lines else payloads

    def _read(self, lines: list[bytes]) -> list[bytes]:
        payloads: list[bytes] = []
        data, limit = self._data, self._limit
        for line in lines:
            if line:
                if line.startswith(b"data:"):
                    data.append(line[6:] if line[5:6] == b" " else line[5:])  # as `_value`, without a call
                    if len(data) > 1 or len(line) > limit:
                        self._count(data)
                else:
                    self._read_other(line, payloads)
            elif data:
                payload = data[0]
                if len(data) > 1:
                    payload = b"\n".join(data)
                    self._held = 0
                data.clear()
                self._is_cut = False
                if self._meaning or (payload and payload[0] != _BRACE):
                    payload = self._finished(payload)
                if payload:
                    payloads.append(payload)
            elif self._meaning:
                self._end_event(payloads)
        return payloads

    def _end_event(self, payloads: list[bytes]) -> None:
        if self._data or self._meaning:
            payload = b"\n".join(self._data)
            self._data.clear()
            self._held, self._is_cut = 0, False
            payload = self._finished(payload)
            payloads.extend([payload] if payload else [])

    def _read_other(self, line: bytes, payloads: list[bytes]) -> None:
        """Read a line that is not data: a name, a field that is skipped, or stray text."""
        if line.startswith(b"event:"):
            self._meaning = _meaning_of(line)
        elif line == b"data":  # the format allows a field without a colon: it is empty
            self._data.append(b"")
            self._count(self._data)
        elif not line.startswith(_FIELDS) and self._stray is not None:
            self._read_stray(line, payloads)

    def _read_stray(self, line: bytes, payloads: list[bytes]) -> None:
        if not self._stray and line.lstrip().startswith(b"{") and _is_object(line):
            if self._data and not self._is_cut:  # once for each event, because this reads all of it
                self._is_cut = True
                if self._is_whole(b"\n".join(self._data)):  # an empty line is missing
                    self._end_event(payloads)
            payloads.append(line)
        elif self._stray is not None and (self._stray or _STRAY.match(line)):
            self._stray.extend([line[: self._room]] if self._room > 0 else [])
            self._room -= len(line) + 1

    def _finished(self, payload: bytes) -> bytes:
        """Return the payload of an event whose data is not an object, or whose name counts; empty if it is left out."""
        meaning, self._meaning = self._meaning, ""
        bare = payload.strip()
        if meaning == "error":
            return _failed(bare)
        if meaning == "ping" and not (b'"choices"' in bare or b'"error' in bare):
            return b""
        if meaning == "done" and bare.lower() in _ENDINGS:
            payload = bare = _DONE
        if self._is_last(payload):
            self._stray = None
        return payload if bare else b""

    def _is_whole(self, payload: bytes) -> bool:
        return self._is_last(payload) or _decoded(payload) is not None or payload.strip() == b"null"

    def _count(self, data: list[bytes]) -> None:
        """Count the last data line of an event."""
        if len(data) > 1:
            self._held += _LINE + len(data[-1])
        self._check()

    def _check(self, tail: int = 0) -> None:
        """Raise if an event that has not ended, with so many bytes of a line that has not ended, is too large."""
        first = len(self._data[0]) if self._data else 0
        if first + self._held + tail > self._limit:
            raise MalformedResponseError(f"An event of the stream is larger than {self._limit} bytes.")

    def _settle_mark(self, data: bytes) -> bytes:
        """Remove a byte order mark, which can only be at the very beginning."""
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


def _value(line: bytes, start: int = 5) -> bytes:
    """Return the value after a field's name and colon, without the one space that may follow them."""
    return line[start + 1 :] if line[start : start + 1] == b" " else line[start:]


def _meaning_of(line: bytes) -> str:
    """Return what the name in a line ``event: name`` means; empty if it means nothing."""
    return _NAMES.get(_value(line, len(b"event:")).strip().lower(), "")


def _is_object(line: bytes) -> bool:
    return isinstance(_decoded(line), dict)


def _decoded(payload: bytes) -> Any:
    try:
        return read_json(payload)
    except ValueError:
        return None


def _failed(payload: bytes) -> bytes:
    """Return the data of an event named ``error`` as an error, with its whole text."""
    said = _decoded(payload)
    if isinstance(said, dict) and (said.get("error") or said.get("error_code")):
        return payload
    words = payload.decode("utf-8", "replace") if said is None else said
    return to_json({"error": words or "The server sent an error without words."})


def _worded(stray: bytes) -> bytes:
    """Return stray text as an event that is not a part of an answer."""
    return stray if _is_object(stray) else to_json({"stray_text": stray.decode("utf-8", "replace")})
