"""Fuzz target: the event stream decoder against a second one that is written from the format alone.

The second decoder takes the whole stream at once and is as simple as can be; ours gets the same bytes cut anywhere.
Both have to give the same payloads, or ours says that an event is too large. Lines that are not fields, and names
of events, are left out of the streams, because the format gives them no meaning; the unit tests have those.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from pydantic_core import from_json
from running import pieces, run, streams

from langchain_dbchat.dialects.shared.answer.events import is_last
from langchain_dbchat.errors import MalformedResponseError
from langchain_dbchat.transport.sse import EventStreamDecoder

if TYPE_CHECKING:
    import random

_STREAMS = streams()
_ATOMS = (
    b"data: ", b"data:", b"data", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b":", b": keep-alive", b"event: x",
    b"id: 1", b"retry: 5", b"\xef\xbb\xbf", b"\xef", b"[DONE]", b'{"a":1}', b'{"a":', b" ", b"\x00", b"\xff", b"dat",
    "å€😀".encode(), b"x" * 40, b'data: {"a":1}\n\n', b'data: {"a":1}\n\ndata: {"b":2}\n\n',
)  # fmt: skip


def expected(stream: bytes) -> list[bytes]:
    """Decode a whole stream."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *lines, tail = text.split(b"\n")
    payloads: list[bytes] = []
    data: list[bytes] = []
    for line in lines:
        if not line:
            payloads.append(b"\n".join(data))
            data = []
        elif line == b"data":
            data.append(b"")
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
    if tail.startswith(b"data:"):
        last = _meant(b"\n".join([*data, tail[5:].removeprefix(b" ")]))
        payloads.append(last if _whole(last) else b"")
    else:
        payloads.append(b"\n".join(data))
    return [meant for payload in payloads if (meant := _meant(payload))]


def _meant(payload: bytes) -> bytes:
    """Read blanks as nothing."""
    return payload if payload.strip() else b""


def _fields_alone(stream: bytes) -> bytes:
    """Leave out lines that are not fields, and the beginning of such a line at the end."""
    lines = re.split(rb"(\r\n|\r|\n)", stream.removeprefix(b"\xef\xbb\xbf"))
    kept = [
        line + end
        for line, end in zip(lines[::2], [*lines[1::2], b""], strict=True)
        if not line
        or line == b"data"
        or line.startswith((b"data:", b"id:", b"retry:", b":"))
        or line in (b"event: x", b"event: message", b"event:chunk")
    ]
    return b"".join(kept)


def _whole(payload: bytes) -> bool:
    try:
        from_json(payload)
    except ValueError:
        return is_last(payload)
    return True


def stream_of(dice: random.Random) -> bytes:
    """Make a stream: a real one with damage, or one of the format's own pieces."""
    if dice.random() < 0.5:
        return b"".join(dice.choice(_ATOMS) for _ in range(dice.randint(0, 40)))
    stream = bytearray(dice.choice(_STREAMS)[: dice.choice((200, 2000, 100_000))])
    for _ in range(dice.randint(0, 5)):
        place = dice.randint(0, len(stream))
        damage = dice.choice(_ATOMS) if dice.random() < 0.7 else dice.randbytes(dice.randint(1, 4))
        stream[place : place + dice.choice((0, 0, 1, 5))] = damage
    return bytes(stream).replace(b"\n", dice.choice((b"\n", b"\n", b"\r\n", b"\r")))


def decoding(dice: random.Random) -> None:
    """Decode one stream, cut anywhere, and compare."""
    stream = _fields_alone(stream_of(dice))
    limit = dice.choice((16 * 2**20, 16 * 2**20, 30, 300))
    decoder = EventStreamDecoder(limit, is_last)
    got: list[bytes] = []
    try:
        for piece in pieces(dice, stream):
            got.extend(decoder.feed(piece))
    except MalformedResponseError:
        if limit > len(stream) + 32 * stream.count(b"data"):  # what a line of several takes in memory counts, too
            raise
        return
    got.extend(decoder.close())
    if got != expected(stream):
        raise AssertionError(f"{stream!r}: {got!r} instead of {expected(stream)!r}")
    if max(map(len, got), default=0) > limit:
        raise AssertionError(f"an event over the limit of {limit} bytes came through: {stream!r}")


if __name__ == "__main__":
    sys.exit(run(decoding))
