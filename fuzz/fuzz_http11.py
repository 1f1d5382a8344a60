"""Fuzz target: our HTTP/1.1 reader against h11, on the same bytes, cut anywhere.

Both have to give the same: the same status and body, or both find the bytes broken, or both wait for more. Where they
may differ is listed in `_DECISIONS`, with the reason; anything else is a finding. And whatever h11 says: a connection
behind whose answer something stands is never used again.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import httpx
from answers import Outcome, answer, as_h11_reads
from running import pieces, run

from langchain_dbchat.transport.http.http11 import write_request

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from langchain_dbchat.transport.http.http11 import Head

_RETURN_IN_EXTENSION = re.compile(rb"[0-9A-Fa-f];[^\n]*\r[^\n]")
_SPACE_BEFORE_EXTENSION = re.compile(rb"[0-9A-Fa-f][ \t]+;")
_DECISIONS: tuple[tuple[str, Callable[[bytes, Outcome, Outcome], bool]], ...] = (
    (
        "RFC 9112 7.1.1 lets a recipient take white space before a chunk's extension; h11 does not",
        lambda said, ours, theirs: (
            theirs.kind == "broken" and ours.status == theirs.status and bool(_SPACE_BEFORE_EXTENSION.search(said))
        ),
    ),
    (
        "bytes that can no longer become a chunk are refused at once; h11 waits for the end of their line",
        lambda said, ours, theirs: (
            (ours.kind, theirs.kind) == ("broken", "waits")
            and as_h11_reads(said + b"\r\n\r\n", ends=True).kind == "broken"
        ),
    ),
    (
        "RFC 9112 2.2 lets a recipient refuse a return without a line feed; h11 takes one in a chunk's extension",
        lambda said, ours, theirs: (
            ours.kind == "broken" and ours.status == theirs.status and bool(_RETURN_IN_EXTENSION.search(said))
        ),
    ),
)
"""Differences that are meant: why, and how to recognise them from the bytes, our outcome and h11's."""


def as_we_read(dice: random.Random, said: bytes, *, ends: bool, method: str = "POST") -> Outcome:
    """Read an answer with our reader, which gets it cut anywhere."""
    reader, _ = write_request(httpx.Request(method, "http://x/", content=b""))
    cut = [piece for piece in pieces(dice, said) if piece]  # an empty read is the end of a connection
    if ends:
        cut.append(b"")
    read: list[bytes] = []
    head = None
    try:
        for piece in cut:
            if head is not None:
                _take(head, piece, read)
            elif (head := reader.feed(piece)) is not None:
                _take(head, head.rest, read, first=True)
    except httpx.RemoteProtocolError:
        return Outcome("broken", head.status if head else None, b"".join(read))
    if head is not None and head.body.done:
        return Outcome("whole", head.status, b"".join(read), head.keeps and not head.body.excess and not ends)
    return Outcome("broken" if ends else "waits", head.status if head else None, b"".join(read))


def _take(head: Head, piece: bytes, read: list[bytes], *, first: bool = False) -> None:
    """Take bytes of the body; what lies behind it is what the pool finds in the socket before it lends it again."""
    if not head.body.done:
        if piece or not first:  # an empty piece is the end of the connection, but not behind a head
            read.append(head.body.feed(piece))
            if head.body.error is not None:
                raise head.body.error
    elif piece:
        head.body.excess = True


def reading(dice: random.Random) -> None:
    """Read one answer twice, and compare."""
    said = answer(dice)
    ends = dice.random() < 0.5
    theirs = as_h11_reads(said, ends=ends)
    ours = as_we_read(dice, said, ends=ends)
    if any(is_meant(said, ours, theirs) for _, is_meant in _DECISIONS):
        return
    if ours.keeps and not theirs.keeps:
        raise AssertionError(f"{said!r}: we would use the connection again, h11 would not")
    same = ours.kind == theirs.kind
    if same and ours.kind == "whole":
        same = (ours.status, ours.body) == (theirs.status, theirs.body)
    if not same:
        raise AssertionError(f"{said!r} (ends: {ends}): {ours} and not {theirs}")


if __name__ == "__main__":
    sys.exit(run(reading))
