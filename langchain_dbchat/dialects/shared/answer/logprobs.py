"""Log probabilities, which each chunk of a stream may have some of, so that langchain-core can add the chunks.

Rule 1. A list continues the list of the chunk before. langchain-core would merge two entries that have one ``index``,
    so an index of the server's is ``server_index``.
Rule 2. Any other value is in the last chunk only, because langchain-core adds up integers, joins texts, and raises
    ``TypeError`` for other numbers and for values of two types. If a field is a list in one event, other values of it
    are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.blocks.storable import storable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StreamedLogprobs", "read_logprobs"]


def read_logprobs(value: Any) -> Any:
    """Read the log probabilities of a choice.

    Args:
        value: Any JSON value.

    Returns:
        What a message can hold; a new object if it is one.
    """
    value = storable(value)
    return {key: _entries(below) for key, below in value.items()} if isinstance(value, dict) else value


def _entries(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [
        {f"server_{key}" if key == "index" else key: below for key, below in entry.items()}
        if isinstance(entry, dict) and "index" in entry
        else entry
        for entry in value
    ]


class StreamedLogprobs:
    """The log probabilities of one stream, while they arrive."""

    __slots__ = ("_listed", "_others")

    def __init__(self) -> None:
        self._listed: set[str] = set()  # the names of the fields that have been lists
        self._others: dict[str, Any] = {}

    def add(self, noted: dict[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Add the log probabilities of an event to those of the next chunk.

        Args:
            noted: Those of the next chunk so far, which are changed; None if there are none.
            given: Those of the event.

        Returns:
            Those of the next chunk; None if there are none.
        """
        noted = {} if noted is None else noted
        for key, value in read_logprobs(given).items():
            if isinstance(value, list):
                self._listed.add(key)
                before = noted.get(key)
                noted[key] = value if before is None else before
                if before is not None:
                    before.extend(value)
            elif value is None:
                noted.setdefault(key, None)
            else:
                self._others[key] = value
        return noted or None

    def rest(self) -> dict[str, Any]:
        """Return what the last chunk has."""
        return {key: value for key, value in self._others.items() if key not in self._listed}
