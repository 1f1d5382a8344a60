"""Fields of content blocks, wherever a spelling puts them.

Rule 1. What LangChain puts into a block's ``extras`` is read as if it stood in the block; the block's own fields win.
Rule 2. ``index`` and an ``id`` that begins with ``lc_`` are LangChain's: they only identify blocks while they stream
(docs.langchain.com/oss/python/langchain/messages#standard-content-blocks).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Block = Mapping[str, Any]

_NOT_CONTENT = frozenset({"type", "extras", "index", "source_type"})


def rest_of_streamed_text(content: Sequence[Any]) -> int:
    """Find the other fields of an answer's first text, which was streamed as a string: they came as a block, later.

    Args:
        content: The content of a message.

    Returns:
        The place of the block; 0 if there is none.
    """
    if not content or not isinstance(content[0], str):
        return 0
    places = (place for place, block in enumerate(content) if isinstance(block, Mapping))
    return next((place for place in places if content[place].get("index") == "lc_txt_0"), 0)


def unwrapped(block: Block) -> Block:
    """Find the block that LangChain wrapped because it has no standard form.

    Args:
        block: The block.

    Returns:
        The block within; the block itself if nothing is wrapped.
    """
    value = block.get("value")
    return value if block.get("type") == "non_standard" and isinstance(value, Mapping) else block


def mapping_of(block: Block, key: str) -> Block:
    """Find the object under a key.

    Args:
        block: The block.
        key: The key.

    Returns:
        The object; an empty one if the value is not an object.
    """
    value = block.get(key)
    return value if isinstance(value, Mapping) else {}


def flattened(block: Block) -> Block:
    """Lay a block over its ``extras``.

    Args:
        block: The block. It is not changed.

    Returns:
        Its fields. They are the block itself if it has no extras.
    """
    extras = block.get("extras")
    if not extras or not isinstance(extras, Mapping):
        return block
    return {**extras, **{key: value for key, value in block.items() if value is not None}}


def first_text(fields: Block, keys: Iterable[str]) -> str | None:
    """Find the first of several keys that contains a string.

    Args:
        fields: The fields.
        keys: The spellings of one name, the first choice first.

    Returns:
        The string, or None.
    """
    for key in keys:
        value = fields.get(key)
        if isinstance(value, str):
            return value
    return None


def own_id(fields: Block) -> str | None:
    """Find the id that a provider gave a block.

    Args:
        fields: The fields of the block.

    Returns:
        The id; None if there is none or if it is LangChain's.
    """
    value = fields.get("id")
    return value if isinstance(value, str) and not value.startswith("lc_") else None


def remaining(fields: Block, read: frozenset[str]) -> dict[str, Any]:
    """Find the fields that nobody has read.

    Args:
        fields: The fields of the block.
        read: The keys that have been read.

    Returns:
        The others, without those that are empty.
    """
    return {
        key: value
        for key, value in fields.items()
        if key not in read
        and key not in _NOT_CONTENT
        and value is not None
        and not (isinstance(value, list) and not value)
        and not (key == "id" and own_id(fields) is None)
    }


def flat(citations: Any) -> Iterator[Any]:
    """Flatten citations: a list in whole answers, a list of lists or a single citation in deltas.

    Args:
        citations: Citations in lists of any depth.

    Yields:
        Each citation.
    """
    if not isinstance(citations, list):
        if citations is not None:
            yield citations
        return
    open_lists = [iter(citations)]  # no recursion, which passes each citation on once for each list that it is in
    while open_lists:
        for citation in open_lists[-1]:
            if isinstance(citation, list):
                open_lists.append(iter(citation))
                break
            if citation is not None:
                yield citation
        else:
            open_lists.pop()
