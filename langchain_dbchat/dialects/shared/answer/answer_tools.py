"""Request a structured answer from a model that refuses a response format, or refuses one beside tools.

Rule 1. The schema becomes one more tool, which the model calls to give its answer. Some tool has to be called, so that
the model either goes on with its work or answers.
Rule 2. The decoder makes the call of this tool the text of the answer, as a response format would have: LangChain's
`ProviderStrategy` reads the text, and no agent executes the call.
Rule 3. An empty object before the real arguments (seen on Claude) is ignored, as in other calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.request.formats import encode_format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_dbchat.dialects.shared.answer.parts import ToolCallPart

__all__ = ["AnswerToolCalls", "answer_tool"]

_DESCRIPTION = "Give the final answer to the user by calling this tool."


def answer_tool(response_format: Any, tools: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the tool that stands for a response format.

    Args:
        response_format: The user's response format, or a schema.
        tools: The bound tools, in OpenAI's format.

    Returns:
        The tool; None if the response format has no schema.
    """
    named = encode_format(response_format).get("json_schema")
    if not isinstance(named, dict):
        return None
    name, taken = str(named.get("name")), {tool.get("function", {}).get("name") for tool in tools}
    while name in taken:
        name += "_answer"
    schema = dict(named.get("schema") or {})
    described = schema.pop("description", None)
    description = f"{_DESCRIPTION} {described}" if described else _DESCRIPTION
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


class AnswerToolCalls:
    """The calls of the tool that stands for a response format, while the parts of an answer arrive.

    Args:
        name: The tool's name, as it was sent.
        whole: Whether each part is a whole call.
    """

    __slots__ = ("_by_index", "_empty", "_is_last", "_name", "_whole")

    def __init__(self, name: str, *, whole: bool) -> None:
        self._name = name
        self._whole = whole
        self._by_index: dict[int | None, bool] = {}
        self._is_last = False
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
        if text == "{}" and not self._whole:
            self._empty = text
            return ""
        if text:
            self._empty = ""
        return text

    def rest(self) -> str:
        """Return the text that was not passed on: an empty object, if nothing followed it."""
        rest, self._empty = self._empty, ""
        return rest
