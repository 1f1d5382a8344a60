"""Find the item of a response that an event of its stream belongs to.

Rule 1. Items are distinguished by their ``output_index``, and without one by their id.
Rule 2. The ids of an agent's events may differ for one item (databricks-ai-bridge, ``test_responses_agent_stream``), or
only the end of it may have an index. An item that ends at a place where nothing has begun is the call that began with
its ``call_id``, or what has been said of it so far.
Rule 3. Agents may give all their items one ``output_index``, or no place at all. What follows the end of an item at its
place is another item, unless it repeats that item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ItemPlaces"]

_NOT_COMPARED = frozenset({"id", "status"})
_MOST_OPEN = 100  # items without an index that have not ended; an item that ends is one of the last that began


class ItemPlaces:
    """The places of the items of one response; a place is a key that two items never share."""

    __slots__ = ("_begun", "_ended", "_indexed", "_latest", "_said")

    def __init__(self) -> None:
        self._latest: dict[Any, Any] = {}  # the place of the last item under an index or an id, if it is not the first
        self._ended: dict[Any, Mapping[str, Any]] = {}
        self._begun: dict[str, Any] = {}  # the places of calls that have begun, by their call_id
        self._said: dict[Any, list[str]] = {}  # what was said of the items without an index that have not ended
        self._indexed: set[int] = set()  # the indices at which an item has begun

    @property
    def has_ended(self) -> bool:
        """Return whether an item has ended."""
        return bool(self._ended)

    def of_event(self, event: Mapping[str, Any], *, adds: bool) -> Any:
        """Return the place of the item that an event is about.

        Args:
            event: The event.
            adds: Whether it begins an item or adds to one, so that it does not repeat what was sent before.
        """
        given = _given(event)
        place = self._latest.get(given, given)
        if adds and place in self._ended:
            place = self._next(given)
        return place

    def begin_call(self, place: Any, call_id: Any) -> None:
        """Note that a call has begun.

        Args:
            place: Its place.
            call_id: Its ``call_id``.
        """
        if type(place) is int:
            self._indexed.add(place)
        if isinstance(call_id, str):
            self._begun[call_id] = place

    def note_text(self, place: Any, text: str) -> None:
        """Note what was said of an item; of one without an index only that may show which item it was.

        Args:
            place: The place of the item.
            text: What was said of it now.
        """
        if type(place) is int:
            self._indexed.add(place)
        elif place not in self._ended:
            self._said.setdefault(place, []).append(text)
            if len(self._said) > _MOST_OPEN:
                del self._said[next(iter(self._said))]

    def end(self, event: Mapping[str, Any], item: Mapping[str, Any]) -> tuple[bool, Any]:
        """Return the place of an item that has ended.

        Args:
            event: The event that has it.
            item: The item.

        Returns:
            Whether it is new, and the place. An item that repeats one that has ended is not new.
        """
        given = _given(event)
        place = self._latest.get(given, given)
        if place not in self._said and place not in self._indexed:  # nothing was said of it under this place
            place = self._elsewhere(item, place)
        known = self._ended.get(place)
        if known is not None:
            if given is not None and _is_same(known, item):
                return False, place
            place = self._next(given)
        self._ended[place] = item
        self._said.pop(place, None)
        return True, place

    def _next(self, given: Any) -> Any:
        place = (given, len(self._ended))
        self._latest[given] = place
        return place

    def _elsewhere(self, item: Mapping[str, Any], place: Any) -> Any:
        """Return the place at which an item began under another id; the place that it names if it did not."""
        call_id = item.get("call_id")
        if call_id is not None:
            return self._begun.get(str(call_id), place)
        text = _text_of(item)
        for other, pieces in self._said.items():
            pieces[:] = ["".join(pieces)]  # joined once, because many items may end while a long text is open
            if text.startswith(pieces[0]):
                return other
        return place


def _text_of(item: Mapping[str, Any]) -> str:
    """Return all that an item says: the text of a message, or the summary or the text of reasoning."""
    entries: list[Any] = []
    for field in ("summary", "content"):
        value = item.get(field) or []
        entries.extend(value if isinstance(value, list) else [value])
    texts = (entry.get("text") if isinstance(entry, Mapping) else entry for entry in entries)
    return "".join(text for text in texts if isinstance(text, str))


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two items are one, which was sent twice; agents may give all their items one id."""
    if any(one.get(key) != other.get(key) for key in ("type", "call_id")):
        return False
    is_named = one.get("id") is not None and one.get("id") == other.get("id") and _text_of(one) == _text_of(other)
    return is_named or _compared(one) == _compared(other)


def _compared(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in _NOT_COMPARED and value is not None}


def _given(event: Mapping[str, Any]) -> Any:
    """Return what an event says of its item's place: an index, an id, or nothing."""
    index = event.get("output_index")
    if isinstance(index, int):
        return index
    item = event.get("item")
    found = event.get("item_id") or (item.get("id") if isinstance(item, Mapping) else None)
    return None if found is None else str(found)
