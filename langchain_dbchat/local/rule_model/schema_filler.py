"""Fill a JSON schema with values of a text, or with invented values that fit.

Rule 1. The work is bounded: each step has a cost, and a schema that refers to itself or multiplies its parts ends in
`SchemaTooLargeError`.
Rule 2. A list of objects has one for each line, sentence or clause of the text that has all that an object needs.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import to_json

from langchain_dbchat.local.rule_model.arithmetic import sums_in
from langchain_dbchat.local.rule_model.classification import class_of
from langchain_dbchat.local.rule_model.extracted_values import ExtractedValues
from langchain_dbchat.local.rule_model.numbers_by_name import RESULTS, numbers_for
from langchain_dbchat.local.rule_model.records import ways_to_split
from langchain_dbchat.local.rule_model.string_values import WHERE, invented, listed_for, string_in
from langchain_dbchat.local.rule_model.tokens import STOPWORDS, content_words

DEEP, DEEP_REQUIRED = 3, 6
"""The depth at which optional parts of a recursive schema end, and required ones."""
MISSING: Any = object()
"""No value: the text has nothing for an optional property."""

LONGEST_NUMBER = 300  # digits
BUDGET = 20_000  # steps, or pieces of 64 characters
MOST_RECORDS = 50  # objects of a list
MOST_LEVELS = 60  # schemas within each other, by nesting or by reference


class SchemaTooLargeError(ValueError):
    """A schema whose values would be too many or too large."""


class SchemaFiller:
    """Fills schemas from one text.

    Args:
        text: The text with the values.
        root: The whole schema, for ``$ref``.
        focus: A part of the text whose numbers come first.
        subject: What a search in the text's place is about; empty for the text.
    """

    def __init__(self, text: str, root: dict[str, Any], focus: str = "", subject: str = "") -> None:
        self.found = ExtractedValues.of(text)
        self.found.subject = subject or text
        self.root = root
        self._left = BUDGET
        self._level = 0
        self._inventions = 0
        self._in_record = False
        keys = root.get("properties") or {}
        self.found.quoted = [quoted for quoted in self.found.quoted if quoted not in keys]
        first = ExtractedValues.of(focus).numbers
        self.found.numbers = [*first, *(number for number in self.found.numbers if number not in first)]

    def fill(self, schema: dict[str, Any], key: str = "", *, required: bool = True, depth: int = 0) -> Any:
        """Return a value for ``schema``.

        Args:
            schema: A JSON schema.
            key: The property's name.
            required: Whether there must be one; else `MISSING` where the text has nothing.
            depth: The depth in the whole schema; a recursive schema ends.
        """
        self._level += 1
        try:
            return self._fill(schema, key, required=required, depth=depth)
        finally:
            self._level -= 1

    def _fill(self, schema: dict[str, Any], key: str, *, required: bool, depth: int) -> Any:
        schema = self.resolve(schema)
        for name in ("description", "title", "const", "default"):
            self._spend(schema.get(name))
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._one_of(schema, key, required=required)
        choices = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(choices, list) and choices:
            return self._any_of(schema, choices, key, required=required, depth=depth)
        if required and _may_be_null(schema):
            value = self.fill(schema, key, required=False, depth=depth)
            return None if value is MISSING else value
        kind = _kind(schema)
        if kind in {"object", "array"}:
            nested = self._object if kind == "object" else self._array
            return nested(schema, key, required=required, depth=depth)
        simple = {"integer": self._number, "number": self._number, "boolean": self._boolean, "null": self._nothing}
        return simple.get(kind, self._string)(schema, key, required=required)

    @staticmethod
    def _nothing(_schema: dict[str, Any], _key: str, *, required: bool) -> Any:
        return None if required else MISSING

    def _spend(self, value: Any = None) -> None:
        """Count a step, and the size of a value that may be in the answer."""
        size = len(value) if isinstance(value, str) else len(to_json(value)) if isinstance(value, dict | list) else 0
        self._left -= 1 + size // 64
        if self._left < 0:
            raise SchemaTooLargeError("its values would be too many or too large")
        if self._level > MOST_LEVELS:
            raise SchemaTooLargeError("it is nested too deeply, or refers to itself without end")

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema with ``$ref`` followed and ``allOf`` merged."""
        self._level += 1
        try:
            self._spend()
            return self._resolve(schema)
        finally:
            self._level -= 1

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        for _ in range(8):
            target = schema.get("$ref")
            if not isinstance(target, str):
                break
            rest = {name: value for name, value in schema.items() if name != "$ref"}
            schema = {**self._at(target), **rest}
        merged = dict(schema)
        for part in schema.get("allOf") or []:
            one = self.resolve(part) if isinstance(part, dict) else {}
            merged = {
                **merged,
                **one,
                "properties": {**merged.get("properties", {}), **one.get("properties", {})},
                "required": [*merged.get("required", []), *one.get("required", [])],
            }
        return merged

    def _at(self, target: str) -> dict[str, Any]:
        node: Any = self.root
        for part in target.removeprefix("#").strip("/").split("/"):
            node = node.get(part, {}) if part and isinstance(node, dict) else node
        return node if isinstance(node, dict) else {}

    def _one_of(self, schema: dict[str, Any], key: str, *, required: bool) -> Any:
        values = schema["enum"]
        self._left -= len(values) // 16
        said = self.found.after(key) if key else None
        for value in values:
            if said is not None and str(value).lower() == said.lower():
                return value
        for value in values:
            if value is not None and self._says(str(value)):
                return value
        if "default" in schema:
            return schema["default"]
        fitting = class_of(self.found.text, key, values)
        if fitting is not None:
            return fitting
        return values[0] if required else MISSING

    def _says(self, value: str) -> bool:
        """Return whether the text has all words of a value."""
        words = content_words(value)
        return bool(words) and self.found.words.issuperset(words)

    def _any_of(self, schema: dict[str, Any], choices: list[Any], key: str, *, required: bool, depth: int) -> Any:
        rest = {name: value for name, value in schema.items() if name in {"description", "title"}}
        real = [{**rest, **choice} for choice in choices if isinstance(choice, dict) and choice.get("type") != "null"]
        nullable = len(real) < len(choices)
        for choice in real:
            value = self.fill(choice, key, required=False, depth=depth)
            if value is not MISSING:
                return value
        if "default" in schema:
            return schema["default"] if required else MISSING
        if nullable:
            return None if required else MISSING
        return self.fill(real[0], key, required=True, depth=depth) if required and real else MISSING

    def _object(self, schema: dict[str, Any], _key: str, *, required: bool, depth: int) -> Any:
        properties = schema.get("properties")
        needed = schema.get("required") or []
        filled: dict[str, Any] = {}
        if not isinstance(properties, dict) or depth > DEEP_REQUIRED:
            return filled if required else MISSING
        parts = {name: part if isinstance(part, dict) else {} for name, part in properties.items() if part is not False}
        # Simple properties come first, so that nested ones do not use up their values.
        for name, part in sorted(parts.items(), key=lambda one: _kind(self.resolve(one[1])) in {"object", "array"}):
            value = self.fill(part, name, required=name in needed and required, depth=depth + 1)
            if value is not MISSING:
                filled[name] = value
        if not (filled or required):
            return MISSING
        # An object that has any value has all required ones.
        for name, part in parts.items():
            if name in needed and name not in filled:
                filled[name] = self.fill(part, name, required=True, depth=depth + 1)
        return {name: filled[name] for name in parts if filled.get(name, MISSING) is not MISSING}

    def _array(self, schema: dict[str, Any], key: str, *, required: bool, depth: int) -> Any:
        places = schema.get("prefixItems")
        if isinstance(places, list):
            parts = [place if isinstance(place, dict) else {} for place in places]
            return [self.fill(part, key, required=True, depth=depth + 1) for part in parts] if required else MISSING
        items = schema.get("items")
        items = items if isinstance(items, dict) else {}
        # Nested lists end, because a schema may be recursive.
        least = schema.get("minItems", 1 if required and depth < DEEP else 0)
        most = schema.get("maxItems", max(8, least))
        records = self._records(items, schema.get("maxItems", MOST_RECORDS), depth)
        if len(records) >= max(least, 2):
            return records
        values: list[Any] = []
        if _kind(self.resolve(items)) == "string":
            values = list(dict.fromkeys(listed_for(self.found, key)))[:most]
            if len(values) >= max(least, 1):
                return values
            values = []
        while len(values) < most and depth <= DEEP_REQUIRED and (least or depth < DEEP):
            value = self.fill(items, _singular(key), required=len(values) < least, depth=depth + 1)
            if value is MISSING or (value in values and len(values) >= least):
                break
            values.append(value)
            if _kind(self.resolve(items)) in {"boolean", "null", "array", "object"} and len(values) >= least:
                break
        return values if values or required else MISSING

    def _records(self, items: dict[str, Any], most: int, depth: int) -> list[dict[str, Any]]:
        """Return an object for each part of the text that has all that it needs; of the ways to split, the best."""
        items = self.resolve(items)
        if self._in_record or _kind(items) != "object" or not items.get("properties") or depth > DEEP:
            return []
        whole, used = self.found, self.found.used
        best: list[dict[str, Any]] = []
        self._in_record = True
        try:
            for parts in ways_to_split(whole.head):
                records: list[dict[str, Any]] = []
                taken = set(whole.used)
                for part in parts:
                    if len(records) == most or self._left < BUDGET // 2:
                        break
                    self._spend(part)
                    self.found = ExtractedValues.of(part)
                    self.found.used = set(whole.used)
                    record = self._record(items, depth)
                    if record is not None and record not in records:
                        records.append(record)
                        taken |= self.found.used
                if len(records) > len(best):
                    best, used = records, taken
        finally:
            self.found, self._in_record = whole, False
        if len(best) > 1:
            whole.used |= used
        return best

    def _record(self, items: dict[str, Any], depth: int) -> dict[str, Any] | None:
        """Return an object with the values of the present text; None if something that it needs is not in the text."""
        before = self._inventions
        record = self._object(items, "", required=False, depth=depth + 1)
        return record if isinstance(record, dict) and self._inventions == before else None

    def _number(self, schema: dict[str, Any], key: str, *, required: bool) -> Any:
        kind = _kind(schema)
        results = (
            [result for _, result in sums_in(self.found.text[:2_000])] if RESULTS & set(content_words(key)) else []
        )
        for text in [*results, *numbers_for(key, self.found.head), *self.found.numbers]:
            if len(text) > LONGEST_NUMBER:
                continue
            number: float = float(text) if kind == "number" and "." in text else int(float(text))
            whole = kind == "number" or "." not in text
            if whole and f"#{text}" not in self.found.used and _within(number, schema):
                self.found.used.add(f"#{text}")
                return number
        if "default" in schema:
            return schema["default"]
        if not required:
            return MISSING
        self._inventions += 1
        return next((number for number in _bounds(schema) if _within(number, schema)), 1)

    def _boolean(self, schema: dict[str, Any], key: str, *, required: bool) -> Any:
        said = (self.found.after(key) or "").lower()
        if said:
            return said.split(" ", maxsplit=1)[0] not in {"no", "not", "false", "off", "none"}
        words = content_words(key)
        if words and self.found.words.issuperset(words):
            return not re.search(rf"\b(?:no|not|without|never)\s+(?:\w+\s+)?{words[0]}", self.found.text, re.IGNORECASE)
        if "default" in schema:
            return schema["default"]
        return False if required else MISSING

    def _string(self, schema: dict[str, Any], key: str, *, required: bool) -> Any:
        value = string_in(self.found, schema, key, required=required)
        if value is None and "default" in schema:
            return schema["default"]
        mentioned = self.found.words.intersection(content_words(key))
        if value is None and not required and not mentioned:
            return MISSING
        if value is None:
            value = self.found.take([name for name in self.found.names if name not in self.found.used])
        if value is None:
            self._inventions += 1
            value = invented(self.found, key)
        least, most = schema.get("minLength", 0), schema.get("maxLength", 10_000)
        value = value.ljust(least, ".")[:most]
        self._spend(value)
        return value


def is_place(key: str, schema: dict[str, Any]) -> bool:
    """Return whether a string property is a place."""
    words = {*content_words(key), *content_words(str(schema.get("description", "")))}
    return bool(words & WHERE) and _kind(schema) == "string" and "enum" not in schema


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _may_be_null(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return (isinstance(kind, list) and "null" in kind) or (schema.get("nullable") is True and kind != "null")


def _within(number: float, schema: dict[str, Any]) -> bool:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    return (
        (low is None or number >= low)
        and (high is None or number <= high)
        and (not isinstance(above, int | float) or number > above)
        and (not isinstance(below, int | float) or number < below)
    )


def _bounds(schema: dict[str, Any]) -> list[int]:
    """Return the candidates if the text has no number."""
    edges = [schema.get(name) for name in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")]
    return [1, *(int(edge) + step for edge in edges if isinstance(edge, int | float) for step in (0, 1, -1))]


def _singular(key: str) -> str:
    return key.removesuffix("s") if key.lower() not in STOPWORDS else key
