"""The schema that an answer in text has to fit, where a prompt describes it and no ``response_format`` does.

Rule 1. A JSON schema within the instructions counts, as LangChain's format instructions have it: the last of several.
Rule 2. Else the named keys count, where any JSON is requested: by ``response_format``, or in words together with keys;
else an example object. A key whose value the text does not have is null.
Rule 3. The type of a key is what the prompt says (``age (integer)``, ``"age": 36``, ``"mood": "good|bad"``), else what
its name says (``is_member``), else a number if the text has a number beside it.
Rule 4. Values are taken from what is left of the prompt without the instructions, if anything is left.
"""

from __future__ import annotations

import re
from json import JSONDecoder
from typing import Any

from pydantic_core import from_json

from langchain_dbchat.local.rule_model.numbers_by_name import AGES, PRICES, YEARS, numbers_for
from langchain_dbchat.local.rule_model.schemas import error_in, excess_in
from langchain_dbchat.local.rule_model.string_values import COMPOSED
from langchain_dbchat.local.rule_model.tokens import content_words

ASKED = re.compile(
    r"\b(?:answer|respond|reply|return|output|extract|classify|give|tell|provide|format|write|produce)\b[^.?!\n]{0,120}"
    r"\b(?:json)\b(?!\s+(?:file|parser|library|string|schema)\b)",
    re.IGNORECASE,
)
QUOTED = re.compile(r"['\"`](\w{1,60})['\"`]")
QUOTED_BEFORE_COLON = re.compile(rf"{QUOTED.pattern}\s*:")
AFTER = re.compile(r"\b(?:keys?|fields?|property|properties)\b:?\s+([\w ,'\"`()|/]{1,500})", re.IGNORECASE)
BEFORE = re.compile(
    r"\b(\w{1,60}(?:, ?\w{1,60}){0,20}(?:,? and \w{1,60})?) (?:keys|fields|properties)\b", re.IGNORECASE
)
SEPARATOR = re.compile(r",\s*(?:and\s+)?|\s+and\s+")
AS_JSON = re.compile(
    r"\b(?:extract|return|output|find|get|give(?: me)?)\s+(?:the\s+)?((?:\w{1,60}(?:,\s|,? and\s)){1,20}\w{1,60})\s+"
    r"(?:as|in)\s+(?:an?\s+)?json\b",
    re.IGNORECASE,
)
JSON = re.compile(r"\bjson\b", re.IGNORECASE)
NO_KEYS = frozenset({"the", "these", "following", "with", "only", "as", "are", "and", "of", "in", "following:"})
TYPED = re.compile(r"([\w-]+)\s*\(([^()]{1,80})\)")
"""A key with its type: ``age (integer)``."""
PAIR = re.compile(r"[\"'](\w{1,60})[\"']\s*:\s*([^,{}\[\]\n]{1,200})")
"""A key and what stands for its value, in an example that is not JSON itself: ``{"age": number}``."""
EXAMPLE = re.compile(r"\{[^{}]{0,2000}(?:\{[^{}]{0,500}\}[^{}]{0,2000}){0,10}\}")
CHOICES = re.compile(r"\w[\w -]{0,40}(?:\s*[|/]\s*\w[\w -]{0,40}){1,12}")
TYPE_WORDS = {
    "integer": "integer", "int": "integer", "number": "number", "float": "number", "decimal": "number",
    "boolean": "boolean", "bool": "boolean", "true/false": "boolean", "true|false": "boolean", "list": "array",
    "array": "array",
}  # fmt: skip
FLAG = re.compile(r"(?:is|has|can|should|was|are|needs)_\w|(?:is|has)[A-Z]")
INTEGERS = AGES | YEARS | frozenset(content_words("count quantity population inhabitants minutes seconds hours"))
NUMBERS = PRICES | frozenset(content_words("score rating confidence percentage probability"))
SCHEMA = re.compile(r"\{\s*\"(?:\$defs|properties|type|title|description)\"")
"""The beginning of a JSON schema."""
REST = re.compile(r"\s*(?:(?<=\n)```|\Z)")
"""What may be behind a JSON schema: the end of the text, or of a block of code."""
DECODER = JSONDecoder()
SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")


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
    parts = {key: said or _named(key, prompt) for key, said in keys.items()} or {"answer": {"type": "string"}}
    return {"type": "object", "properties": parts, "required": list(parts)}


def values_text(prompt: str) -> str:
    """Return the part of a prompt in which the values are: without the schema, the example and the request for JSON.

    Args:
        prompt: The prompt.
    """
    lines = "\n".join(line for line in prompt.split("\n") if '"properties"' not in line)
    if not JSON.search(lines[:10_000]):
        return lines
    rest = [part for part in SENTENCE.split(EXAMPLE.sub(" ", lines)) if part and not JSON.search(part)]
    left = "\n".join(rest).strip(" \n:")
    return left if len(content_words(left)) > 1 else lines


def _named(key: str, prompt: str) -> dict[str, Any]:
    """Return the schema of a key that has no type, from its name and from the numbers beside it in a text."""
    words = set(content_words(key))
    if FLAG.match(key):
        return {"type": ["boolean", "null"]}
    if words & INTEGERS:
        return {"type": ["integer", "null"]}
    if words & NUMBERS or numbers_for(key, prompt):
        return {"type": ["number", "null"]}
    return {"type": "string" if words & COMPOSED else ["string", "null"]}


def _typed(said: str) -> dict[str, Any] | None:
    """Return the schema of a key whose type, or whose choices, are said in words; None if they are not."""
    words = said.strip(" \"'<>[]").lower()
    first = TYPE_WORDS.get(words) or TYPE_WORDS.get(words.split(" ")[0] if words else "")
    if first == "array":
        of = next((TYPE_WORDS[word] for word in words.removesuffix("s").split()[1:] if word in TYPE_WORDS), "string")
        return {"type": "array", "items": {"type": of}}
    if first is not None:
        return {"type": [first, "null"]}
    if CHOICES.fullmatch(words):
        return {"enum": [choice.strip() for choice in re.split(r"[|/]", said.strip(" \"'<>"))]}
    return None


def _like(value: Any) -> dict[str, Any]:
    """Return the schema of the values that are like an example."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {key: _like(one) for key, one in value.items()}, "required": [*value]}
    if isinstance(value, list):
        return {"type": "array", "items": _like(value[0]) if value else {"type": "string"}}
    if isinstance(value, str):
        return _typed(value) or {"type": ["string", "null"]}
    kinds: dict[type, str] = {bool: "boolean", int: "integer", float: "number"}
    return {"type": [kinds.get(type(value), "string"), "null"]}


def _schema_in(text: str) -> dict[str, Any] | None:
    """Return the last JSON schema within a text."""
    for match in reversed(list(SCHEMA.finditer(text))):
        try:
            value: dict[str, Any]
            value, end = DECODER.raw_decode(text, match.start())
        except ValueError:
            continue
        except RecursionError:  # so has each that begins before it
            return None
        if REST.match(text, end) is None or not isinstance(value.get("properties"), dict):
            continue
        if error_in(value) is None and excess_in(value) is None:
            return value
    return None


def _keys_in(text: str) -> dict[str, dict[str, Any] | None]:
    """Return the keys that a text names, in their order, each with its schema if the text says its type."""
    after = AFTER.search(text)
    keys = _listed(after[1]) if after else {}
    example = None if keys else _example_in(text)
    if example:
        return example
    plain = keys or _plain_keys(text)
    return plain if isinstance(plain, dict) else dict.fromkeys(plain)


def _plain_keys(text: str) -> list[str]:
    for listed in filter(None, (AS_JSON.search(text), BEFORE.search(text))):
        keys = [key for key in SEPARATOR.split(listed[1]) if key.lower() not in NO_KEYS]
        if keys:
            return keys
    return QUOTED_BEFORE_COLON.findall(text) or QUOTED.findall(text)


def _example_in(text: str) -> dict[str, dict[str, Any] | None]:
    """Return the keys of the last object that a text has as an example."""
    for match in reversed(list(EXAMPLE.finditer(text))):
        try:
            value = from_json(match.group())
        except ValueError:
            value = {key: said.strip() for key, said in PAIR.findall(match.group())}
        if isinstance(value, dict) and value:
            return {key: _like(one) if one != "..." else None for key, one in value.items()}
    return {}


def _listed(text: str) -> dict[str, dict[str, Any] | None]:
    """Return the keys at the beginning of a text: ``name, age (integer) and city of the person`` has three."""
    keys: dict[str, dict[str, Any] | None] = {}
    for item in SEPARATOR.split(text.strip()):
        typed = TYPED.match(item.strip())
        if typed:
            keys[typed[1]] = _typed(typed[2])
            continue
        words = [word for word in item.strip().split() if word.lower() not in {"a", "an"}]
        if not words or words[0].lower() in NO_KEYS:
            break
        keys[words[0].strip("'\"`")] = None
        if len(words) > 1:
            break
    return {key: said for key, said in keys.items() if key}
