"""Nulls that only a closed schema allowed, taken back.

A strict schema requires every property, so an optional one is sent as one that may be null, and a model that has
nothing to say writes null. The caller's own schema, where the property is optional and not nullable, means that it is
absent.

Rule 1  A null is dropped if the caller's schema neither requires the property nor allows null for it.
Rule 2  Everything else stays as the model wrote it.
Rule 3  Of an answer that is still arriving, the elements of a list that were complete are not read again, so the time
    is linear in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import Any, NamedTuple

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


class PartialNulls:
    """Drops the nulls of an answer that is still arriving.

    Args:
        schema: The caller's schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = modernise(schema, checked=False)
        self._dropping = _Dropping(Document(self._schema), {})

    def drop(self, value: Any) -> Any:
        """Do the same as `drop_nulls`.

        Args:
            value: The JSON of a partial answer. Its complete parts are the same objects as in the answer before.

        Returns:
            The value itself if nothing is dropped, else a new one, whose complete parts are the same objects as in the
            one before.
        """
        return self._dropping.drop(value, [self._schema])


class _ReadList(NamedTuple):
    """What became of a list, or of the part of it that had arrived."""

    value: list[Any]
    fitting: list[Mapping[str, Any]]
    kept: list[Any]
    same: bool  # whether nothing was dropped in any element before the last one

    def is_of(self, value: list[Any], fitting: list[Mapping[str, Any]]) -> bool:
        """Return whether a list has the same elements, the last one perhaps apart, and has to fit the same schemas."""
        last = len(self.value) - 1
        return (
            0 < last < len(value)
            and isinstance(self.value[last - 1], (dict, list))  # of which there is one; a number may be in many lists
            and value[last - 1] is self.value[last - 1]
            and len(fitting) == len(self.fitting)
            and all(map(is_, fitting, self.fitting))
        )


class _Dropping:
    """Drops the nulls of values.

    Args:
        document: The schema's document.
        read: Where to note the lists of an answer that is still arriving, by the names of the properties that lead to
            them; None for a whole value.
    """

    def __init__(self, document: Document, read: dict[tuple[str, ...], _ReadList] | None = None) -> None:
        self._document = document
        self._read = read

    def drop(self, value: Any, schemas: list[Any], path: tuple[str, ...] = ()) -> Any:
        if isinstance(value, list):
            return self._drop_in_list(value, self._flat(schemas), path)
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
            changed[name] = self.drop(inner, below, (*path, name))
        same = len(changed) == len(value) and all(changed[name] is inner for name, inner in value.items())
        return value if same else changed

    def _drop_in_list(self, value: list[Any], fitting: list[Mapping[str, Any]], path: tuple[str, ...]) -> list[Any]:
        read = None if self._read is None else self._read.get(path)
        kept: list[Any] = []
        same = True
        if read is not None and read.is_of(value, fitting):
            kept, same = read.kept[: len(read.value) - 1], read.same
        same_before = same
        for place in range(len(kept), len(value)):
            same_before = same
            kept.append(self.drop(value[place], self._items(fitting, place), (*path, "")))
            same = same and kept[-1] is value[place]
        if self._read is not None:
            self._read[path] = _ReadList(value, fitting, kept, same_before)
        return value if same else kept

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
