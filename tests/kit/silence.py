"""Compressed bodies that contain nothing: large in between, small when they are sent."""

from __future__ import annotations

import functools
import gzip
import zlib

HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\x03"
NAMED = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"

SILENCES = {
    "a name without an end": (NAMED, b"a"),
    "members without content": (b"", gzip.compress(b"")),
    "blocks without content": (HEADER, b"\0\0\0\xff\xff"),
}
"""How each begins, and what it repeats."""


@functools.cache
def silent(kind: str, megabytes: int, layers: int = 3) -> bytes:
    """Compress so many megabytes of a silence, so that the whole has so many layers."""
    begin, unit = SILENCES[kind]
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH)]
    piece = packer.compress(unit * (1_000_000 // len(unit))) + packer.flush(zlib.Z_FULL_FLUSH)  # it can be repeated
    body = b"".join([*pieces, *[piece] * megabytes])
    for _ in range(layers - 2):
        body = gzip.compress(body)
    return body
