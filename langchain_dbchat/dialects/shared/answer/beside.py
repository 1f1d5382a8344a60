"""Read the fields of a message or a delta besides its content: images, audio, citations, and unknown fields.

Rule 1. LiteLLM and OpenRouter send generated images in the field ``images``
    (openrouter.ai/docs/features/multimodal/image-generation). They become content.
Rule 2. LiteLLM repeats reasoning (``thinking_blocks``) and citations in ``provider_specific_fields``. They are read
    once; the other fields in it are kept.
Rule 3. The same reasoning may be in two fields. It is read once; if their texts differ, the other one is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_dbchat.dialects.shared.answer.fields import says_something
from langchain_dbchat.dialects.shared.blocks.block_fields import flat
from langchain_dbchat.dialects.shared.blocks.storable import storable
from langchain_dbchat.errors import MalformedResponseError

PLAIN = frozenset({"role", "content", "refusal", "tool_calls", "reasoning_content", "thinking_blocks"})
"""The fields of a message whose every value is read or is an error."""

_PROVIDER = "provider_specific_fields"
_CITING = ("citations", "citation")
_REASONING = ("reasoning_content", "reasoning")


class Other(NamedTuple):
    """A part of another kind, such as an image, unchanged."""

    block: dict[str, Any]


class Cited(NamedTuple):
    """Citations outside of the content: OpenAI's ``annotations``, or ``citations`` in other spellings."""

    key: str
    citations: list[Any]


class Audio(NamedTuple):
    """Audio, or a fragment of it, in OpenAI's format: ``{"id", "data", "expires_at", "transcript"}``."""

    audio: Mapping[str, Any]


class UnknownFields(NamedTuple):
    """Unknown fields of a message or a delta."""

    fields: dict[str, Any]


def thinking_blocks(message: Mapping[str, Any]) -> list[Any]:
    """Return signed reasoning in LiteLLM's format.

    Args:
        message: A message or a delta.

    Returns:
        The blocks; an empty list if there are none.
    """
    blocks = message.get("thinking_blocks")
    provider = message.get(_PROVIDER)
    if not blocks and provider is not None and isinstance(provider, Mapping):
        blocks = provider.get("thinking_blocks")
    return blocks if isinstance(blocks, list) else []


def reasoning_key(message: Mapping[str, Any]) -> str | None:
    """Return the name of the field with reasoning as text.

    Args:
        message: A message or a delta.

    Returns:
        The name, or None.
    """
    for key in _REASONING:
        if message.get(key) and type(message[key]) is str:
            return key
    return None


def read_beside(message: Mapping[str, Any]) -> Iterator[Other | Audio | Cited | UnknownFields]:
    """Read the fields besides the content.

    Args:
        message: A message or a delta.

    Yields:
        Images, audio, citations, and the unknown fields.
    """
    rest = {key: value for key, value in message.items() if key not in PLAIN and says_something(value)}
    if not rest:
        return
    if thinking_blocks(message) or rest.get("reasoning") == message.get(reasoning_key(message) or ""):
        rest.pop("reasoning", None)
    for key, read in _READERS.items():
        if key in rest:
            parts, left = read(rest.pop(key))
            yield from parts
            if says_something(left):
                rest[key] = left
    if rest:
        yield UnknownFields(rest)


def _images(value: Any) -> tuple[list[Other], Any]:
    if not isinstance(value, list) or not all(isinstance(image, Mapping) and text_in(image, "type") for image in value):
        return [], value
    return [Other({key: storable(below) for key, below in image.items() if key != "index"}) for image in value], None


def _audio(value: Any) -> tuple[list[Audio], Any]:
    return ([Audio(storable(value))], None) if isinstance(value, Mapping) else ([], value)


def _annotations(value: Any) -> tuple[list[Cited], Any]:
    return ([Cited("annotations", list(flat(storable(value))))], None) if isinstance(value, list) else ([], value)


def _citations(value: Any) -> tuple[list[Cited], Any]:
    return [Cited("citations", list(flat(storable(value))))], None


def _provided(value: Any) -> tuple[list[Cited], Any]:
    if not isinstance(value, Mapping):
        return [], value
    citations = list(flat([storable(value.get(key)) for key in _CITING]))
    read = {*_CITING, "thinking_blocks"}
    left = {key: below for key, below in value.items() if key not in read and says_something(below)}
    return [Cited("citations", citations)] if citations else [], left


def _obsolete_call(value: Any) -> tuple[list[UnknownFields], Any]:
    """Drop an object, because it is read as a tool call unless it repeats one."""
    return [], None if isinstance(value, Mapping) else value


_READERS: dict[str, Callable[[Any], tuple[Sequence[Other | Audio | Cited | UnknownFields], Any]]] = {
    "images": _images,
    "audio": _audio,
    "annotations": _annotations,
    **dict.fromkeys(_CITING, _citations),
    _PROVIDER: _provided,
    "function_call": _obsolete_call,
}
"""The reader of each field, which returns its parts and the rest of the value, which is kept."""


def text_in(fields: Mapping[str, Any], key: str) -> str | None:
    """Read text that may be null or missing.

    Args:
        fields: An object that a server sent.
        key: The name of the field.

    Returns:
        The text; None if it is empty.

    Raises:
        MalformedResponseError: If it is not text.
    """
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise MalformedResponseError(f"The answer's {key!r} is a {type(value).__name__}, not text.")
    return value or None


def arguments_in(fields: Mapping[str, Any], key: str = "arguments") -> str:
    """Read the arguments of a call: JSON text, or an object, as some servers write it.

    Args:
        fields: An object that a server sent.
        key: The name of the field.

    Returns:
        The JSON text; empty for nothing.
    """
    value = fields.get(key)
    return value or "" if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
