"""Parse the arguments of tool calls, which models and servers write in several ways."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json

from langchain_dbchat.errors.sound_text import clean_text, sound_escapes

UNNAMED = "unnamed_tool"
"""The name of a call that has none. Servers refuse a blank name; an agent answers that it has no tool of this name."""

_NO_ARGUMENTS = frozenset({"", "null", "none", "undefined"})
_FENCE = re.compile(r"```(?:json)?[ \t]*\r?\n?(\{.*\})\s*```", re.DOTALL | re.IGNORECASE)
_LAYERS = 4  # two were seen: a server that encodes what the model has encoded already


def parse_arguments(text: str) -> tuple[dict[str, Any], str | None]:
    """Read the arguments of a tool call.

    Nothing, ``null`` and how Python and JavaScript write it mean no arguments (langchain #34123). A string with one
    JSON object is that object: vLLM's Hermes parser encodes what Granite has encoded already (vllm #54964). A
    Markdown fence around one object is left out. Raw control characters inside strings, which models write, are
    accepted, as langchain-core accepts them. Half of a surrogate pair, which nothing could store, is U+FFFD, as
    elsewhere in an answer. Everything else is not a call, and the model gets an error that says so: a list, a number,
    an object that more text follows, single quotes.

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
            return value, None
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
