"""Parse the arguments of tool calls, which models and servers write in several ways, and mark invalid ones."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langchain_dbchat.dialects.shared.blocks.storable import DEEPEST, is_nested_too_deeply
from langchain_dbchat.errors.sound_text import clean_text, sound_escapes

if TYPE_CHECKING:
    from langchain_core.messages import InvalidToolCall

UNNAMED = "unnamed_tool"
"""The name of a call that has none. Servers refuse a blank name; an agent answers that it has no tool of this name."""

CUT_BEFORE = "The answer was cut off before the arguments."
"""What is wrong with missing arguments, if a limit ended the answer."""

_MARK = "\x18"
"""What separates invalid arguments from their end: CANCEL, "the data before it is in error" (ECMA-48, 8.3.7)."""
_ENDS = ("]", "}", '"]', '"}')
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*("?)|[\[\]{}]', re.DOTALL)
_NO_ARGUMENTS = frozenset({"", "null", "none", "undefined"})
_FENCE = re.compile(r"```(?:json)?[ \t]*\r?\n?(\{.*\})\s*```", re.DOTALL | re.IGNORECASE)
_TOO_DEEP = f"The arguments are nested more than {DEEPEST} levels deep."
_LAYERS = 4  # two were seen: a server that encodes what the model has encoded already


def parse_arguments(text: str) -> tuple[dict[str, Any], str | None]:
    """Read the arguments of a tool call.

    Nothing, ``null`` and how Python and JavaScript write it mean no arguments (langchain #34123). A string with one
    JSON object is that object: vLLM's Hermes parser encodes what Granite has encoded already (vllm #54964). A
    Markdown fence around one object is left out. Raw control characters inside strings, which models write, are
    accepted, as langchain-core accepts them. Half of a surrogate pair, which nothing could store, is U+FFFD, as
    elsewhere in an answer. Everything else is not a call, and the model gets an error that says so: a list, a number,
    an object that more text follows, single quotes, an object that is nested too deeply (`DEEPEST`).

    Args:
        text: JSON text as the model wrote it.

    Returns:
        The arguments and None, or an empty dict and what is wrong with them.
    """
    value: Any = text
    for _ in range(_LAYERS):
        text = value.strip()
        if text.lower() in _NO_ARGUMENTS:
            return {}, None
        fenced = _FENCE.fullmatch(text) if text.startswith("```") else None
        try:
            value = _decode(fenced[1] if fenced else text)
        except (ValueError, RecursionError) as error:
            return {}, f"The arguments are not valid JSON: {error}"
        if isinstance(value, dict):
            return ({}, _TOO_DEEP) if is_nested_too_deeply(text) else (value, None)
        if not isinstance(value, str) or not _may_hold_arguments(value):
            break
    return {}, f"The arguments are a JSON {type(value).__name__}, not an object."


def _decode(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return json.loads(sound_escapes(clean_text(text)), strict=False)


def _may_hold_arguments(text: str) -> bool:
    """Return whether text within JSON may be arguments that were encoded again, and not words."""
    text = text.strip()
    return text.startswith(("{", '"', "```")) or text.lower() in _NO_ARGUMENTS


class Brackets:
    """The brackets that are open where JSON text, cut anywhere, has been read.

    Attributes:
        opened: The brackets, the outermost first.
        in_string: Whether a string is open.
    """

    __slots__ = ("_escape", "in_string", "opened")

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.in_string = False
        self._escape = ""  # a backslash at the end of an open string

    def read(self, text: str) -> None:
        """Read more of the text.

        Args:
            text: What follows.
        """
        text = ('"' if self.in_string else "") + self._escape + text
        self.in_string, self._escape = False, ""
        for found in _STRING_OR_BRACKET.finditer(text):
            mark = found[0]
            if mark in "[{":
                self.opened.append(mark)
            elif mark in "]}":
                del self.opened[-1:]
            elif not found[1]:  # a string without its last quote
                self.in_string, self._escape = True, text[found.end() :]


def invalid_end(arguments: str) -> str:
    """Return the text that, if appended, makes langchain-core's parser refuse arguments instead of completing them.

    It ends in a bracket that closes nothing that is open. The parser refuses such a text after reading it once; of any
    other invalid text it parses each beginning, the longest first, in a time quadratic in the length.

    Args:
        arguments: Invalid arguments, as the model wrote them.
    """
    brackets = Brackets()
    brackets.read(arguments)
    quote = '"' if brackets.in_string else ""
    return _MARK + quote + ("]" if brackets.opened and brackets.opened[-1] == "{" else "}")


def as_written(arguments: str) -> str:
    """Return the arguments of an invalid call without what `invalid_end` has appended.

    Args:
        arguments: Arguments of an entry of ``invalid_tool_calls``.
    """
    text, mark, end = arguments.rpartition(_MARK)
    return text if mark and end in _ENDS else arguments


def with_reason(call: InvalidToolCall) -> InvalidToolCall:
    """Return an invalid call as a whole answer has it: langchain-core adds up chunks without the reason.

    Args:
        call: An entry of ``invalid_tool_calls``. It is not changed.
    """
    given = call["args"] or ""
    text = as_written(given)
    if text is given:
        return call
    return {**call, "args": text, "error": parse_arguments(text)[1] or CUT_BEFORE}
