"""What stands beside the content of a message or a delta: images, audio, citations, and fields without a name here.

Rule 1. LiteLLM and OpenRouter put the images that a model drew beside the content, under ``images``
    (openrouter.ai/docs/features/multimodal/image-generation). They are content.
Rule 2. LiteLLM repeats under ``provider_specific_fields`` what it has put into the message as well: reasoning in
    ``thinking_blocks``, and citations. Those are read once, the rest is kept.
Rule 3. Reasoning may come under two names with the same words. It is read once; other words beside it are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_dbchat.dialects.shared.citations import flat
from langchain_dbchat.dialects.shared.fields import says_something, storable
from langchain_dbchat.errors import MalformedResponseError

PLAIN = frozenset({"role", "content", "refusal", "tool_calls", "reasoning_content", "thinking_blocks"})
"""The fields of a message whose every value is read or is an error."""

_PROVIDER = "provider_specific_fields"
_CITING = ("citations", "citation")


class Other(NamedTuple):
    """A part of another kind, such as an image, kept as it came."""

    block: dict[str, Any]


class Cited(NamedTuple):
    """Citations that stand beside the content: OpenAI's ``annotations``, or ``citations`` in other spellings."""

    key: str
    citations: list[Any]


class Spoken(NamedTuple):
    """Audio, or a fragment of it, as OpenAI sends it: ``{"id", "data", "expires_at", "transcript"}``."""

    audio: Mapping[str, Any]


class Beside(NamedTuple):
    """Fields of a message or a delta that this package has no name for."""

    fields: dict[str, Any]


def thinking_blocks(says: Mapping[str, Any]) -> list[Any]:
    """Find signed reasoning in LiteLLM's shape.

    Args:
        says: A message or a delta.

    Returns:
        The blocks; an empty list if there are none.
    """
    blocks = says.get("thinking_blocks")
    provider = says.get(_PROVIDER)
    if not blocks and provider is not None and isinstance(provider, Mapping):
        blocks = provider.get("thinking_blocks")
    return blocks if isinstance(blocks, list) else []


def reasoning_key(says: Mapping[str, Any]) -> str | None:
    """Find the field that holds reasoning as text.

    Args:
        says: A message or a delta.

    Returns:
        Its name, or None.
    """
    for key in ("reasoning_content", "reasoning"):
        if says.get(key) and type(says[key]) is str:
            return key
    return None


def read_beside(says: Mapping[str, Any]) -> Iterator[Other | Spoken | Cited | Beside]:
    """Read what stands beside the content.

    Args:
        says: A message or a delta.

    Yields:
        Images, audio, citations, and the fields that have no name here.
    """
    rest = {key: value for key, value in says.items() if key not in PLAIN and says_something(value)}
    if not rest:
        return
    if thinking_blocks(says) or rest.get("reasoning") == says.get(reasoning_key(says) or ""):
        rest.pop("reasoning", None)
    for key, read in _READERS.items():
        if key in rest:
            parts, left = read(rest.pop(key))
            yield from parts
            if says_something(left):
                rest[key] = left
    if rest:
        yield Beside(rest)


def _images(value: Any) -> tuple[list[Other], Any]:
    if not isinstance(value, list) or not all(isinstance(image, Mapping) and words(image, "type") for image in value):
        return [], value
    return [Other({key: storable(below) for key, below in image.items() if key != "index"}) for image in value], None


def _audio(value: Any) -> tuple[list[Spoken], Any]:
    return ([Spoken(storable(value))], None) if isinstance(value, Mapping) else ([], value)


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


def _obsolete_call(value: Any) -> tuple[list[Beside], Any]:
    """Leave out an object, which is read as a tool call unless it repeats one."""
    return [], None if isinstance(value, Mapping) else value


_READERS: dict[str, Callable[[Any], tuple[Sequence[Other | Spoken | Cited | Beside], Any]]] = {
    "images": _images,
    "audio": _audio,
    "annotations": _annotations,
    **dict.fromkeys(_CITING, _citations),
    _PROVIDER: _provided,
    "function_call": _obsolete_call,
}
"""How each field is read: the parts that it holds, and what of it is kept as it is."""


def words(said: Mapping[str, Any], key: str) -> str | None:
    """Read text that may be null or missing.

    Args:
        said: An object that a server sent.
        key: The field.

    Returns:
        The text; None if it is empty.

    Raises:
        MalformedResponseError: If it is not text.
    """
    value = said.get(key)
    if value is not None and not isinstance(value, str):
        raise MalformedResponseError(f"The answer's {key!r} is a {type(value).__name__}, not text.")
    return value or None
