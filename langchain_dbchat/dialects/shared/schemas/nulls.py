"""Nulls that only a closed schema allowed, taken back.

A strict schema requires every property, so an optional one is sent as one that may be null, and a model that has
nothing to say writes null. The caller's own schema, where the property is optional and not nullable, means that it is
absent.

Rule 1  A null is dropped if the caller's schema neither requires the property nor allows null for it.
Rule 2  Everything else stays as the model wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_dbchat.dialects.shared.schemas.modern import modernise
from langchain_dbchat.dialects.shared.schemas.parts import Document, UnfitSchema, is_annotated_only, kinds_of

_DEEPEST = 16
"""How many references and combinations are followed at one place."""


def drop_nulls(value: Any, schema: Mapping[str, Any]) -> Any:
    """Drop the nulls of properties that the caller's schema wants absent.

    Args:
        value: What the model wrote, as JSON values.
        schema: The caller's schema.

    Returns:
        The value itself if nothing is dropped, else a new one.
    """
    if not _holds_null(value):
        return value
    modern = modernise(schema, checked=False)
    return _Dropping(Document(modern)).drop(value, [modern])


def _holds_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(inner is None or _holds_null(inner) for inner in value.values())
    return isinstance(value, list) and any(map(_holds_null, value))


class _Dropping:
    def __init__(self, document: Document) -> None:
        self._document = document

    def drop(self, value: Any, schemas: list[Any]) -> Any:
        if isinstance(value, list):
            fitting = self._flat(schemas)
            kept = [self.drop(inner, self._items(fitting, place)) for place, inner in enumerate(value)]
            return kept if any(new is not old for new, old in zip(kept, value, strict=True)) else value
        if not isinstance(value, Mapping):
            return value
        fitting = [schema for schema in self._flat(schemas) if isinstance(schema.get("properties"), Mapping)]
        known = [schema for schema in fitting if value.keys() <= schema["properties"].keys()]
        # Of several objects the one is meant whose constants are those of the value.
        known = [schema for schema in known if _constants_fit(schema["properties"], value)] or known or fitting
        changed: dict[str, Any] = {}
        for name, inner in value.items():
            below = [schema["properties"][name] for schema in known if name in schema["properties"]]
            if inner is None and below and not self._wanted(name, below, fitting):
                continue
            changed[name] = self.drop(inner, below)
        same = len(changed) == len(value) and all(changed[name] is inner for name, inner in value.items())
        return value if same else changed

    def _wanted(self, name: str, below: list[Any], objects: list[Mapping[str, Any]]) -> bool:
        required = any(name in (schema.get("required") or ()) and name in schema["properties"] for schema in objects)
        return required or any(self._allows_null(schema, _DEEPEST) for schema in below)

    def _allows_null(self, schema: Any, depth: int) -> bool:  # noqa: PLR0911  # a table of keywords
        if is_annotated_only(schema) or depth == 0:
            return True
        if not isinstance(schema, Mapping):
            return False
        if "const" in schema:
            return schema["const"] is None
        if "enum" in schema:
            return None in schema["enum"]
        kinds = kinds_of(schema)
        if kinds:
            return "null" in kinds
        if isinstance(schema.get("$ref"), str):
            return all(self._allows_null(target, depth - 1) for target in self._referred(schema["$ref"]))
        for key, how in (("anyOf", any), ("oneOf", any), ("allOf", all)):
            if isinstance(schema.get(key), list):
                return how(self._allows_null(inner, depth - 1) for inner in schema[key])
        return not {"properties", "items", "prefixItems", "additionalProperties"} & schema.keys()

    def _flat(self, schemas: list[Any]) -> list[Mapping[str, Any]]:
        """Give the schemas that a value may have to fit, without references and combinations."""
        flat: dict[int, Mapping[str, Any]] = {}
        waiting = list(schemas)
        while waiting:
            schema = waiting.pop()
            if not isinstance(schema, Mapping) or id(schema) in flat:
                continue
            flat[id(schema)] = schema
            for key in ("anyOf", "oneOf", "allOf"):
                waiting.extend(schema.get(key) or ())
            if isinstance(schema.get("$ref"), str):
                waiting.extend(self._referred(schema["$ref"]))
        return list(flat.values())

    def _referred(self, reference: str) -> list[Any]:
        try:
            return [self._document.resolve(reference)]
        except UnfitSchema:
            return []  # nothing is known of it, so nothing is dropped

    @staticmethod
    def _items(schemas: list[Mapping[str, Any]], place: int) -> list[Any]:
        below = []
        for schema in schemas:
            places = schema.get("prefixItems")
            if isinstance(places, list) and place < len(places):
                below.append(places[place])
            elif "items" in schema:
                below.append(schema["items"])
        return below


def _constants_fit(properties: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    for name, inner in value.items():
        schema = properties[name]
        if isinstance(schema, Mapping):
            if "const" in schema and schema["const"] != inner:
                return False
            if "enum" in schema and inner is not None and inner not in schema["enum"]:
                return False
    return True
