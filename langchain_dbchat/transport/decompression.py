"""Decompress an answer, in pieces of bounded size.

Rule 1. 64 kB of gzip can be 64 MB of text, and gzip within gzip a thousand times more. So nothing is decompressed as a
whole: each piece is passed on, and the receiver counts the pieces and can stop.
Rule 2. Only gzip and deflate are accepted, because Python's own library can decompress them and bound its output.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ACCEPTED", "Decompressor", "decompressor_for"]

ACCEPTED = "gzip, deflate"
"""The header ``Accept-Encoding`` that goes with it."""

_PIECE = 64 * 1024  # bytes that come out at once
_BITE = 4 * 1024  # bytes that go in at once: what is not taken is copied each time
_HEADER = 2  # bytes
_MEMBER = 0x1F  # the first byte of a member of gzip
_LAYERS = 3  # an answer that is compressed more often wants to harm


class _Layer:
    """One compression."""

    __slots__ = ("_begin", "_bits", "_zip")

    def __init__(self, encoding: str) -> None:
        self._bits = 16 + zlib.MAX_WBITS if encoding.endswith("gzip") else 0
        self._begin = b""  # the first bytes of a deflated body, which say whether it has a header
        self._zip = zlib.decompressobj(self._bits or zlib.MAX_WBITS)

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._bits:
            data = self._begin = self._begin + data
            if len(data) < _HEADER:
                return
            # Many servers send deflate without zlib's header (RFC 1950, 2.2); browsers and httpx read both.
            has_header = data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:_HEADER], "big") % 31 == 0
            self._bits = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
            self._zip = zlib.decompressobj(self._bits)
        for start in range(0, len(data), _BITE):
            bite = data[start : start + _BITE]
            while bite:
                if self._zip.eof:
                    if self._bits <= zlib.MAX_WBITS or bite[0] != _MEMBER:  # padding behind the end says nothing
                        return
                    self._zip = zlib.decompressobj(self._bits)  # gzip allows another member behind the first
                piece = self._zip.decompress(bite, _PIECE)
                if piece:
                    yield piece
                bite = self._zip.unused_data or self._zip.unconsumed_tail
        while not self._zip.eof and (piece := self._zip.decompress(b"", _PIECE)):
            yield piece  # what it still contains, because a piece was full


class Decompressor:
    """Undo all compressions of one body.

    Args:
        encodings: Their names, in the order in which they were applied.
    """

    __slots__ = ("_layers", "_pieces")

    def __init__(self, encodings: list[str]) -> None:
        self._layers = [_Layer(encoding) for encoding in reversed(encodings)]
        self._pieces: Iterator[bytes] = iter(())

    def push(self, data: bytes) -> None:
        """Take bytes; what was pushed before has been pulled."""
        self._pieces = self._through(0, data)

    def pull(self) -> bytes | None:
        """Give the next piece of at most 64 KiB.

        Returns:
            The piece; None if there is none until more is pushed.

        Raises:
            httpx.DecodingError: The bytes are not compressed as was said.
        """
        try:
            return next(self._pieces, None)
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error

    def _through(self, layer: int, data: bytes) -> Iterator[bytes]:
        if layer == len(self._layers):
            yield data
            return
        for piece in self._layers[layer].feed(data):
            yield from self._through(layer + 1, piece)


def decompressor_for(encoding: str) -> Decompressor | None:
    """Make the unpacker for a header ``Content-Encoding``.

    Args:
        encoding: The header; empty if there is none.

    Returns:
        The unpacker; None if nothing is compressed.

    Raises:
        httpx.DecodingError: It is compressed in a way that we did not ask for.
    """
    names = [name.strip().lower() for name in encoding.split(",")]
    names = [name for name in names if name and name != "identity"]
    if not names:
        return None
    if len(names) > _LAYERS or not {"gzip", "x-gzip", "deflate"}.issuperset(names):
        raise httpx.DecodingError(f"content-encoding is {encoding!r}, and {ACCEPTED!r} was asked for")
    return Decompressor(names)
