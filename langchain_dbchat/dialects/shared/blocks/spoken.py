"""Read audio in an answer: OpenAI's ``message.audio``, whole or in fragments, as LangChain's standard audio block.

Rule 1. The request chooses the format and the answer does not contain it, so it is detected from the first bytes. Raw
samples (``pcm16``, which a stream sends) have no signature. Source: platform.openai.com/docs/guides/audio.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["read_audio"]

_MARKS = {
    b"RIFF": "audio/wav",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
    b"\xff\xf1": "audio/aac",
}


def read_audio(fragments: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Join fragments of audio.

    Args:
        fragments: The values of ``audio``, in order.

    Returns:
        A standard audio block, with the transcript in ``extras["transcript"]``, and an empty dict. Without sound: an
        empty dict, and the other fields as ``{"audio": ...}``.
    """
    sounds = [fragment["data"] for fragment in fragments if isinstance(fragment.get("data"), str) and fragment["data"]]
    pieces = [fragment["transcript"] for fragment in fragments if isinstance(fragment.get("transcript"), str)]
    rest: dict[str, Any] = {"transcript": "".join(pieces)} if any(pieces) else {}
    for fragment in fragments:
        rest.update((key, value) for key, value in fragment.items() if key not in _PIECES and value is not None)
    if not sounds:
        return {}, {"audio": rest} if rest else {}
    data = _joined(sounds)
    block: dict[str, Any] = {"type": "audio", "base64": data, "mime_type": _mime_type(data)}
    if isinstance(rest.get("id"), str):
        block["id"] = rest.pop("id")
    return ({**block, "extras": rest} if rest else block), {}


_PIECES = frozenset({"data", "transcript"})


def _joined(sounds: list[str]) -> str:
    """Join pieces that were encoded separately, because padding is valid only at the end."""
    if len(sounds) == 1:
        return sounds[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(sound, validate=True) for sound in sounds)).decode()
    except ValueError:  # it is not Base64, or not even ASCII
        return "".join(sounds)


def _mime_type(data: str) -> str:
    try:
        start = base64.b64decode(data[:8])
    except ValueError:  # the same
        start = b""
    return next((kind for mark, kind in _MARKS.items() if start.startswith(mark)), "audio/pcm")
