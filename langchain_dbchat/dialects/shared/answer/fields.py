"""Collect the unknown fields of an answer over the events of a stream.

Rule 1. Null, empty text, an empty list and an empty object are left out; all other values are kept.
Rule 2. If a field has the same value in all events, it has that value: servers repeat values that do not change.
Rule 3. Otherwise objects are merged key by key. A list that begins with the previous list replaces it; other lists are
    joined. Text of a delta is joined, because a delta is a fragment; text next to ``choices`` is replaced. Of numbers
    and booleans the last one is kept.
Rule 4. What no checkpoint stores becomes text (`storable`).
Rule 5. A field is in one chunk only, at the end of the answer, because langchain-core concatenates equal texts of two
    chunks, adds up integers and raises ``TypeError`` for booleans and values of two types.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.answer.bounds import MOST_FIELDS, too_many
from langchain_dbchat.dialects.shared.blocks.storable import storable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["Fields", "says_something"]

_LEVELS = 20  # of objects that are merged key by key; below them the last object is kept


def says_something(value: Any) -> bool:
    """Return whether the value of a field is not empty.

    Args:
        value: The field's value.

    Returns:
        False for null, empty text, an empty list and an empty object.
    """
    return value is not None and value not in ("", [], {})


class Fields:
    """The fields of one answer, while its events arrive.

    Args:
        fragments: Whether a text continues the previous text of the same field.
        most: How many names of fields there may be; None for any number.
    """

    __slots__ = ("_fragments", "_most", "_values")

    def __init__(self, *, fragments: bool, most: int | None = MOST_FIELDS) -> None:
        self._fragments = fragments
        self._most = most
        self._values: dict[str, _Values] = {}

    def add(self, fields: Mapping[str, Any], known: AbstractSet[str] = frozenset()) -> None:
        """Add the fields of one event.

        Args:
            fields: The object that the server sent.
            known: The names of fields that are read elsewhere.

        Raises:
            MalformedResponseError: If there are too many.
        """
        for key, value in fields.items():
            if key in known or value is None:  # most are known
                continue
            values = self._values.get(key)
            if values is None:
                if says_something(value):
                    if self._most is not None and len(self._values) >= self._most:
                        raise too_many("unknown fields", self._most)
                    self._values[key] = _Values(value)
            elif (value is not values.last or self._fragments) and says_something(value):
                values.add(value)

    def copy(self) -> Fields:
        """Return a copy, to which other fields can be added."""
        other = Fields(fragments=self._fragments)
        other._values = {key: _Values(value, is_kept=True) for key, value in self.whole().items()}
        return other

    def whole(self) -> dict[str, Any]:
        """Return the merged fields, in the order of their arrival; nobody may change their values."""
        if not self._values:
            return {}
        return {key: values.kept(fragments=self._fragments) for key, values in self._values.items()}

    def merged(self, levels: int = _LEVELS) -> dict[str, Any]:
        """Return the merged fields as they were sent; objects are merged on so many levels."""
        return {key: values.merged(fragments=self._fragments, levels=levels) for key, values in self._values.items()}


class _Values:
    """The values of one field; equal values at its beginning are counted and not stored."""

    __slots__ = ("_all", "_count", "_first", "_kept", "last")

    def __init__(self, first: Any, *, is_kept: bool = False) -> None:
        self._first = self.last = first
        self._count = 1
        self._all: list[Any] | None = None
        self._kept: Any = first if is_kept else None  # as a message has it; a value may be large, so it is made once

    def add(self, value: Any) -> None:
        self.last = value
        if self._all is not None:
            self._all.append(value)
        elif value == self._first and type(value) is type(self._first):
            self._count += 1
            return
        else:
            self._all = [self._first] * self._count
            self._all.append(value)
        self._kept = None

    def kept(self, *, fragments: bool) -> Any:
        if self._kept is None:
            self._kept = storable(self.merged(fragments=fragments))
        return self._kept

    def merged(self, *, fragments: bool, levels: int = _LEVELS) -> Any:
        values = self._all
        if values is None:
            return self._first
        if levels and all(isinstance(value, dict) for value in values):
            merged = Fields(fragments=fragments, most=None)
            for value in values:
                merged.add(value)
            return merged.merged(levels - 1)
        if all(isinstance(value, list) for value in values):
            grows = all(after[: len(before)] == before for before, after in pairwise(values))
            return values[-1] if grows else [item for value in values for item in value]
        if fragments and all(isinstance(value, str) for value in values):
            return "".join(values)
        return values[-1]
