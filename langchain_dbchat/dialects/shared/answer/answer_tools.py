"""Read the calls of the tool that stands for a response format (`other_formats`) as the text of the answer.

Rule 1. An empty object before the real arguments (seen on Claude) is ignored, as in other calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.dialects.shared.answer.parts import EMPTY

if TYPE_CHECKING:
    from langchain_dbchat.dialects.shared.answer.parts import ToolCallPart

__all__ = ["AnswerToolCalls"]


class AnswerToolCalls:
    """The calls of the tool that stands for a response format, while the parts of an answer arrive.

    Args:
        name: The tool's name, as it was sent.
        whole: Whether each part is a whole call.
    """

    __slots__ = ("_begun", "_by_index", "_empty", "_is_last", "_name", "_whole")

    def __init__(self, name: str, *, whole: bool) -> None:
        self._name = name
        self._whole = whole
        self._by_index: dict[int | None, bool] = {}
        self._is_last = False
        self._begun: set[int | None] = set()  # the calls of which arguments have arrived
        self._empty = ""

    def text_of(self, part: ToolCallPart) -> str | None:
        """Return the text of the answer that a fragment of a call contains.

        Args:
            part: The call or the fragment.

        Returns:
            The text, which may be empty; None if it belongs to another tool.
        """
        if part.name:
            self._is_last = self._by_index[part.index] = part.name == self._name
        if not self._by_index.get(part.index, self._is_last):
            return None
        text = part.arguments
        if text == EMPTY and not self._whole and part.index not in self._begun:
            self._empty = text
            return ""
        if text:
            self._begun.add(part.index)
            self._empty = ""
        return text

    def rest(self) -> str:
        """Return the text that was not passed on: an empty object, if nothing followed it."""
        rest, self._empty = self._empty, ""
        return rest
