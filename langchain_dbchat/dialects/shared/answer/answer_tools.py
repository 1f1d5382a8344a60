"""Read the calls of the tool that stands for a response format (`other_formats`) as the text of the answer.

Rule 1. An empty object before the real arguments (seen on Claude) is ignored, as in other calls.
Rule 2. A call without arguments is an empty object, as in other calls, unless a limit ended the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_dbchat.dialects.shared.answer.parts import EMPTY

if TYPE_CHECKING:
    from langchain_dbchat.dialects.shared.answer.parts import ToolCallPart

__all__ = ["AnswerToolCalls"]


@dataclass(slots=True)
class _NamedCall:
    """A call, and whether arguments of it have arrived."""

    name: str
    id: str | None
    has_begun: bool = False


class AnswerToolCalls:
    """The calls of the tool that stands for a response format, while the parts of an answer arrive.

    Args:
        name: The tool's name, as it was sent.
    """

    __slots__ = ("_by_index", "_empty", "_has_begun", "_last", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._by_index: dict[int | None, _NamedCall] = {}
        self._last: _NamedCall | None = None
        self._empty = ""
        self._has_begun = False

    def text_of(self, part: ToolCallPart) -> str | None:
        """Return the text of the answer that a fragment of a call contains.

        Args:
            part: The call or the fragment.

        Returns:
            The text, which may be empty; None if it belongs to another tool.
        """
        call = self._call_of(part)
        if call is None or call.name != self._name:
            return None
        text = part.arguments
        if text == EMPTY and not call.has_begun:
            self._empty = text
            return ""
        if text:
            call.has_begun = self._has_begun = True
            self._empty = ""
        elif not self._has_begun:
            self._empty = EMPTY
        return text

    def _call_of(self, part: ToolCallPart) -> _NamedCall | None:
        """Return the call of a fragment: by its index, else the last one; a name begins one, unless it is repeated."""
        call = self._by_index.get(part.index, self._last)
        if part.name and (call is None or call.name != part.name or (part.id and part.id != call.id)):
            call = self._last = self._by_index[part.index] = _NamedCall(part.name, part.id)
        return call

    def rest(self, *, cut: bool = False) -> str:
        """Return the text that was not passed on: an empty object, if nothing followed it.

        Args:
            cut: Whether a limit ended the answer, so that arguments may be missing.

        Returns:
            The text, which may be empty.
        """
        rest, self._empty = self._empty, ""
        return "" if cut else rest
