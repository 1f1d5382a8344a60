"""The event stream on the wire: bytes in, the payloads of complete events out.

This is the part of the WHATWG event stream format that model serving uses
(html.spec.whatwg.org/multipage/server-sent-events.html): `data` lines, joined by line feeds, ended by an empty line.
Ids and retry times say nothing here, so those fields are skipped, like comments.

Bytes may be cut anywhere: within a line end, within the byte order mark, within a character. Everything is done on
bytes, because no UTF-8 sequence contains a line end, and because the JSON reader takes bytes. Lines are split by one
call per read; a carriage return, which no known server sends, costs one pass more (raw ones cannot stand within
JSON).

What is held of an event that is not complete is counted as it grows, lines with what a list needs for them, so that
many small reads and many empty lines cost no more than one large one.

Rule 1. An event without data, and an event whose data is blank, is not an event.
Rule 2. Which event is the last one differs between APIs: the caller passes `is_last`.
Rule 3. The name of an event counts where its data may not say the same. An event named `error` is an error, whatever
    its data is: text and JSON without an error field become `{"error": ...}`. One named `ping` says nothing unless its
    data is part of an answer. One named `done` or `end` whose data says nothing more is given as `done`.
Rule 4. A line that is not a field is text that a server or a proxy has put into the stream. A JSON object on one line
    is taken as an event. Other text (a web page, words, JSON over several lines) is given at the end, as
    `{"stray_text": ...}` or as the JSON that it is, unless the last event came: then the answer is complete.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from langchain_dbchat.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EventStreamDecoder"]

_BOM = b"\xef\xbb\xbf"
_LINE = 32  # bytes that a line of an event of several lines takes in memory besides its own, at least
_EVENT_LIMIT = 16 * 1024 * 1024  # bytes; the largest payload that model serving takes or gives
_DONE = b"done"
_BRACE = ord("{")
_NAMES = {
    **dict.fromkeys((b"error", b"exception"), "error"),
    **dict.fromkeys((b"ping", b"heartbeat", b"keepalive", b"keep-alive"), "ping"),
    **dict.fromkeys((b"done", b"end", b"close", b"complete", b"completed"), "done"),
}
"""Names of events that count, and what they mean; any other name says nothing."""

_FIELDS = (b"event:", b"id:", b"retry:", b":")
_ENDINGS = (b"", b"{}", b"null", b'""', b"done", b"end")
"""Data of an event named `done` that says nothing more."""

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
        self._stray: list[bytes] | None = []  # lines that are no fields; None once the stream has said that it is done
        self._room = _STRAY_LIMIT  # bytes of those lines that are still kept
        self._held = 0  # bytes in the data lines
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
        """Note that no more bytes come.

        Returns:
            The payload of a last event that no empty line ended, if it is complete: its last line has ended, or is a
            data line that is whole (JSON, or the last event). A line that was cut off is left out; that the stream was
            cut off is then for the dialect to notice, which knows how an answer ends. Then the text that was put into
            the stream, if any.
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

    def _read(self, lines: list[bytes]) -> list[bytes]:
        payloads: list[bytes] = []
        data = self._data
        for line in lines:
            if line:
                if line.startswith(b"data:"):
                    data.append(_value(line))
                    self._count(data)
                else:
                    self._read_other(line, payloads)
            elif data:
                payload = b"\n".join(data)
                data.clear()
                self._held = 0
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
            self._held = 0
            payload = self._finished(payload)
            payloads.extend([payload] if payload else [])

    def _read_other(self, line: bytes, payloads: list[bytes]) -> None:
        """Read a line that is not data: a name, a field that says nothing, or stray text."""
        if line.startswith(b"event:"):
            self._meaning = _NAMES.get(_value(line, len(b"event:")).strip().lower(), "")
        elif line == b"data":  # the format allows a field without a colon: it is empty
            self._data.append(b"")
            self._count(self._data)
        elif not line.startswith(_FIELDS) and self._stray is not None:
            self._read_stray(line, payloads)

    def _read_stray(self, line: bytes, payloads: list[bytes]) -> None:
        if not self._stray and line.lstrip().startswith(b"{") and _is_object(line):
            if self._data and self._is_whole(b"\n".join(self._data)):  # the event before it lacks its empty line
                self._end_event(payloads)
            payloads.append(line)
        elif self._stray is not None and (self._stray or _STRAY.match(line)):
            self._stray.extend([line[: self._room]] if self._room > 0 else [])
            self._room -= len(line) + 1

    def _finished(self, payload: bytes) -> bytes:
        """Describe what an event means whose data is no object, or whose name counts; empty if it says nothing."""
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
        else:
            self._held = len(data[0])
        self._check(self._held)

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


def _value(line: bytes, start: int = 5) -> bytes:
    """Return what stands behind a field's name and colon, without the one space that may follow them."""
    return line[start + 1 :] if line[start : start + 1] == b" " else line[start:]


def _is_object(line: bytes) -> bool:
    return isinstance(_decoded(line), dict)


def _decoded(payload: bytes) -> Any:
    try:
        return from_json(payload)
    except ValueError:
        return None


def _failed(payload: bytes) -> bytes:
    """Write the data of an event named ``error`` as an error, with all of its words."""
    said = _decoded(payload)
    if isinstance(said, dict) and (said.get("error") or said.get("error_code")):
        return payload
    words = payload.decode("utf-8", "replace") if said is None else said
    return to_json({"error": words or "The server sent an error without words."})


def _worded(stray: bytes) -> bytes:
    """Write stray text as an event that says something and is no part of an answer."""
    return stray if _is_object(stray) else to_json({"stray_text": stray.decode("utf-8", "replace")})
