"""The schema that an answer in text has to fit, where a prompt describes it and no ``response_format`` does.

Rule 1. A JSON schema within the instructions counts, as LangChain's format instructions have it: the last of several.
Rule 2. Else the named keys count, where any JSON is requested: by ``response_format``, or in words together with keys.
A key beside which the text has a number is a number.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json

from langchain_dbchat.local.rule_model.numbers_by_name import numbers_for
from langchain_dbchat.local.rule_model.schemas import error_in, excess_in

ASKED = re.compile(
    r"\b(?:answer|respond|reply|return|output|extract|classify|give|tell|provide|format|write|produce)\b[^.?!\n]{0,120}"
    r"\b(?:json)\b(?!\s+(?:file|parser|library|string|schema)\b)",
    re.IGNORECASE,
)
QUOTED = re.compile(r"['\"`](\w{1,60})['\"`]")
QUOTED_BEFORE_COLON = re.compile(rf"{QUOTED.pattern}\s*:")
AFTER = re.compile(r"\b(?:keys?|fields?|property|properties)\b:?\s+([\w ,'\"`]{1,500})", re.IGNORECASE)
BEFORE = re.compile(
    r"\b(\w{1,60}(?:, ?\w{1,60}){0,20}(?:,? and \w{1,60})?) (?:keys|fields|properties)\b", re.IGNORECASE
)
SEPARATOR = re.compile(r",\s*(?:and\s+)?|\s+and\s+")
NO_KEYS = frozenset({"the", "these", "following", "with", "only", "as", "are", "and", "of", "in", "following:"})


def wanted_schema(instructions: str, prompt: str, *, is_json: bool) -> dict[str, Any] | None:
    """Return the schema that instructions describe; None if they describe none.

    Args:
        instructions: The message of the system and the prompt.
        prompt: The prompt, in which the values are.
        is_json: Whether the request itself wants a JSON object.
    """
    written = _schema_in(instructions)
    if written is not None or not (is_json or ASKED.search(instructions)):
        return written
    keys = _keys_in(instructions)
    if not (keys or is_json):
        return None
    kinds = {key: "number" if numbers_for(key, prompt) else "string" for key in keys or ["answer"]}
    return {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in kinds.items()},
        "required": list(kinds),
    }


def _schema_in(text: str) -> dict[str, Any] | None:
    """Return the last JSON schema within a text."""
    for match in reversed(list(re.finditer(r"\{", text))):
        if not re.match(r"\{\s*\"(?:\$defs|properties|type|title|description)\"", text[match.start() :]):
            continue
        try:
            value = from_json(text[match.start() :].partition("\n```")[0].strip())
        except ValueError:
            continue
        if not isinstance(value, dict) or not isinstance(value.get("properties"), dict):
            continue
        if error_in(value) is None and excess_in(value) is None:
            return value
    return None


def _keys_in(text: str) -> list[str]:
    """Return the keys that a text names, in their order."""
    after = AFTER.search(text)
    keys = _listed(after[1]) if after else []
    before = None if keys else BEFORE.search(text)
    if before:
        keys = [key for key in SEPARATOR.split(before[1]) if key.lower() not in NO_KEYS]
    keys = keys or QUOTED_BEFORE_COLON.findall(text) or QUOTED.findall(text)
    return list(dict.fromkeys(keys))


def _listed(text: str) -> list[str]:
    """Return the keys at the beginning of a text: ``name, age and city of the person`` has three."""
    keys: list[str] = []
    for item in SEPARATOR.split(text.strip()):
        words = item.strip().split()
        if not words or words[0].lower() in NO_KEYS:
            break
        keys.append(words[0].strip("'\"`"))
        if len(words) > 1:
            break
    return [key for key in keys if key]
