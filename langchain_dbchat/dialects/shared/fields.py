"""Fields of an answer that this package has no name for, collected over the events of a stream.

Rule 1. Null, empty text, an empty list and an empty object say nothing and are left out; everything else is kept.
Rule 2. A field that has the same value in each event is that value: servers repeat what does not change.
Rule 3. Otherwise objects are merged key by key. A list that begins with the one before it replaces it, other lists
    are joined. Text of a delta is joined, because a delta is a fragment; text beside ``choices`` is replaced. Of
    numbers and booleans the last one counts.
Rule 4. A whole number that MessagePack, and with it a LangGraph checkpoint, cannot hold becomes text.
Rule 5. A field is given once, when the answer has ended: langchain-core joins equal texts on two chunks to one text,
    adds up whole numbers and raises ``TypeError`` for booleans and values of two types.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["Fields", "says_something", "storable"]

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1  # what MessagePack, and with it a LangGraph checkpoint, can hold


def says_something(value: Any) -> bool:
    """Tell whether a field that a server sent holds anything.

    Args:
        value: The field's value.

    Returns:
        False for null, empty text, an empty list and an empty object.
    """
    return value is not None and value not in ("", [], {})


class Fields:
    """Fields as they arrive.

    Args:
        fragments: Whether text is a fragment that the next text continues.
    """

    __slots__ = ("_fragments", "_values")

    def __init__(self, *, fragments: bool) -> None:
        self._fragments = fragments
        self._values: dict[str, _Values] = {}

    def add(self, said: Mapping[str, Any], known: AbstractSet[str] = frozenset()) -> None:
        """Take fields.

        Args:
            said: The object that a server sent.
            known: Its fields that are read elsewhere.
        """
        for key, value in said.items():
            if key in known or value is None:  # most are known
                continue
            values = self._values.get(key)
            if values is None:
                if says_something(value):
                    self._values[key] = _Values(value)
            elif (value is not values.last or self._fragments) and says_something(value):
                values.add(value)

    def copy(self) -> Fields:
        """Return fields that can grow on their own."""
        other = Fields(fragments=self._fragments)
        other.add(self.whole())
        return other

    def whole(self) -> dict[str, Any]:
        """Return each field once, in the order in which they came."""
        return {key: storable(values.whole(fragments=self._fragments)) for key, values in self._values.items()}


class _Values:
    """The values of one field: the first and how often it came, until another one comes."""

    __slots__ = ("_all", "_count", "_first", "last")

    def __init__(self, first: Any) -> None:
        self._first = self.last = first
        self._count = 1
        self._all: list[Any] | None = None

    def add(self, value: Any) -> None:
        self.last = value
        if self._all is not None:
            self._all.append(value)
        elif value == self._first and type(value) is type(self._first):
            self._count += 1
        else:
            self._all = [self._first] * self._count
            self._all.append(value)

    def whole(self, *, fragments: bool) -> Any:
        values = self._all
        if values is None:
            return self._first
        if all(isinstance(value, dict) for value in values):
            merged = Fields(fragments=fragments)
            for value in values:
                merged.add(value)
            return merged.whole()
        if all(isinstance(value, list) for value in values):
            grows = all(after[: len(before)] == before for before, after in pairwise(values))
            return values[-1] if grows else [item for value in values for item in value]
        if fragments and all(isinstance(value, str) for value in values):
            return "".join(values)
        return values[-1]


def storable(value: Any) -> Any:
    """Write whole numbers that no checkpoint can hold as text.

    Args:
        value: Any JSON value.

    Returns:
        A copy, with text in place of numbers below -2**63 and above 2**64-1.
    """
    if isinstance(value, dict):
        return {key: storable(below) for key, below in value.items()}
    if isinstance(value, list):
        return [storable(below) for below in value]
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        return str(value)
    return value
