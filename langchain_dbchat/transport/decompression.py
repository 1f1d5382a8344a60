"""Decompress an answer, in pieces of bounded size.

Rule 1. 64 kB of gzip can be 64 MB of text, and gzip within gzip a thousand times more. So nothing is decompressed as a
whole: each piece is passed on, and the receiver counts the pieces and can stop.
Rule 2. Compressed bytes need not contain anything: the name of a file in a header of gzip may be endless. So what goes
into each compression is bounded too, and a pull ends after a bounded amount of work, also if nothing came out.
Rule 3. Only gzip and deflate are accepted, because Python's own library can decompress them and bound its output.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ACCEPTED", "Decompressor", "TooLargeToDecompress", "decompressor_for"]

ACCEPTED = "gzip, deflate"
"""The header ``Accept-Encoding`` that goes with it."""

_PIECE = 64 * 1024  # bytes that come out at once
_BITE = 4 * 1024  # bytes that go in at once: what is not taken is copied each time
_HEADER = 2  # bytes
_MEMBER = 0x1F  # the first byte of a member of gzip
_LAYERS = 3  # an answer that is compressed more often wants to harm
_GROWTH = 1024 * 1024  # bytes by which compression may make an answer larger, as it does with many small parts


class TooLargeToDecompress(httpx.DecodingError):
    """What goes into a compression is larger than an answer may be.

    Args:
        limit: The maximum size of the answer in bytes.
    """

    def __init__(self, limit: float) -> None:
        super().__init__(f"more than {limit:.0f} bytes are compressed once more")
        self.limit = limit


class _Layer:
    """One compression; it yields an empty piece where what it has taken contains nothing."""

    __slots__ = ("_begin", "_bits", "_limit", "_taken", "_zip")

    def __init__(self, encoding: str, limit: float) -> None:
        self._limit = limit
        self._taken = 0  # bytes
        self._bits = 16 + zlib.MAX_WBITS if encoding.endswith("gzip") else 0
        self._begin = b""  # the first bytes of a deflated body, which say whether it has a header
        self._zip = zlib.decompressobj(self._bits or zlib.MAX_WBITS)

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._taken += len(data)
        if self._taken > self._limit + _GROWTH:
            raise TooLargeToDecompress(self._limit)
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
                        yield b""
                        return
                    self._zip = zlib.decompressobj(self._bits)  # gzip allows another member behind the first
                piece = self._zip.decompress(bite, _PIECE)
                bite = self._zip.unused_data or self._zip.unconsumed_tail
                if piece or not bite:
                    yield piece
        while not self._zip.eof and (piece := self._zip.decompress(b"", _PIECE)):
            yield piece  # what it still contains, because a piece was full


class Decompressor:
    """Undo all compressions of one body.

    Args:
        encodings: Their names, in the order in which they were applied.
        limit: The maximum size of the answer in bytes; each compression may have little more before it is undone.
    """

    __slots__ = ("_layers", "_pieces")

    def __init__(self, encodings: list[str], limit: float) -> None:
        self._layers = [_Layer(encoding, limit) for encoding in reversed(encodings)]
        self._pieces: Iterator[bytes] = iter(())

    def push(self, data: bytes) -> None:
        """Take bytes; what was pushed before has been pulled."""
        self._pieces = self._through(0, data)

    def pull(self) -> bytes | None:
        """Give the next piece of at most 64 KiB, in a time that is bounded.

        Returns:
            The piece, which may be empty; None if there is none until more is pushed.

        Raises:
            httpx.DecodingError: The bytes are not compressed as was said, or there are too many of them.
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
            if piece:
                yield from self._through(layer + 1, piece)
            else:
                yield piece


def decompressor_for(encoding: str, limit: float) -> Decompressor | None:
    """Make the unpacker for a header ``Content-Encoding``.

    Args:
        encoding: The header; empty if there is none.
        limit: The maximum size of the answer in bytes; infinite for no limit.

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
    return Decompressor(names, limit)
