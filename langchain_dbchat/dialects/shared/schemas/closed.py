"""Close schemas at every level, which ``strict: true`` requires.

OpenAI documents strict schemas (platform.openai.com/docs/guides/structured-outputs#supported-schemas). Any other schema
with ``strict: true`` is a 400: "'additionalProperties' is required to be supplied and to be false".

Rule 1. Every object has ``additionalProperties: false`` and requires all its properties; an optional one allows null.
    `drop_nulls` removes the nulls that only this rule allows.
Rule 2. Keywords that are not on OpenAI's list are translated (``oneOf``, ``allOf``, ``prefixItems``) or described in
    the description.
Rule 3. A ``$ref`` has no other keywords beside it ("$ref cannot have keywords"). If it has a description, it becomes
    the only branch of an ``anyOf``.
Rule 4. A schema that cannot be closed raises, with the place: a map (``dict[str, int]``), a part without a type, more
    than 5,000 properties, 10 levels or 1,000 values of enums.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count as count_from
from typing import Any, Final

from langchain_dbchat.dialects.shared.schemas.merged import merge, merge_branches, plain_object
from langchain_dbchat.dialects.shared.schemas.modern import or_null
from langchain_dbchat.dialects.shared.schemas.parts import (
    ANNOTATIONS,
    DEFINED,
    Document,
    Schema,
    UnfitSchema,
    in_json,
    kinds_of,
    map_schemas,
    subschemas,
    with_notes,
)
from langchain_dbchat.dialects.shared.schemas.references import definition_of
from langchain_dbchat.dialects.shared.schemas.subset import flatten_tuple, type_of

_KEYWORDS: Final = frozenset(
    {
        "type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "$ref", "$defs",
        "definitions", "title", "description", "pattern", "format", "multipleOf", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
    }
)  # fmt: skip
_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_SILENT: Final = frozenset(
    {
        "$schema", "$id", "$anchor", "$comment", "discriminator", "xml", "externalDocs", "readOnly", "writeOnly",
        "unevaluatedProperties", "unevaluatedItems",
    }
)  # fmt: skip
_MOST_PROPERTIES, _MOST_LEVELS, _MOST_VALUES = 5_000, 10, 1_000
_DEEPEST = 8
"""Maximum depth of combinations that are read to find the combined types."""


def close(schema: Schema, *, willing: bool) -> tuple[Schema, bool]:
    """Close a schema at every level.

    Args:
        schema: A schema of draft 2020-12 whose root is an object.
        willing: Whether the caller requested a strict schema: then objects with ``additionalProperties: true`` beside
            their properties are closed too.

    Returns:
        A new schema, and whether it allows nulls that the given one does not allow.

    Raises:
        UnfitSchema: If it cannot be closed.
    """
    closing = _Closing(schema, willing=willing)
    return closing.whole(), closing.added_nulls


class _Closing:
    def __init__(self, schema: Schema, *, willing: bool) -> None:
        self._schema = schema
        self._document = Document(schema)
        self._willing = willing
        self._wanted: list[str] = []
        self._places: dict[str, tuple[str, str]] = {}
        self.added_nulls = False

    def whole(self) -> Schema:
        root = {key: value for key, value in self._schema.items() if key not in DEFINED}
        if "anyOf" in root or "oneOf" in root:
            raise UnfitSchema("the root of a strict schema cannot be a choice (anyOf)")
        closed = self._closed(root)
        if closed.get("type") != "object":
            raise UnfitSchema("the root of a strict schema has to be an object")
        # Only definitions that are referred to are closed: an unused one must not raise.
        defined: dict[str, dict[str, Any]] = {}
        for reference in self._wanted:
            where, name = self._places[reference]
            try:
                defined.setdefault(where, {})[name] = self._closed(self._document.resolve(reference))
            except UnfitSchema as unfit:
                unfit.path[:0] = [where, name]
                raise
        whole = {**closed, **defined}
        _measure(whole)
        return whole

    def _closed(self, node: Any) -> Any:
        self._document.spend()
        if node is False:
            raise UnfitSchema("it allows no value at all")
        if not isinstance(node, Mapping) or ANNOTATIONS.issuperset(node):
            raise UnfitSchema("it has no type, so any value fits it")
        said: list[str] = []
        fitted = self._combined(dict(node), said)
        if "$ref" in fitted:
            return with_notes(self._referring(fitted), said)
        if "prefixItems" in fitted:
            flatten_tuple(fitted, said)
            if not self._willing and "anyOf" in fitted["items"]:
                raise UnfitSchema("it is a tuple of several types, whose order a strict schema cannot enforce")
        _add_type(fitted)
        kinds = kinds_of(fitted)
        if "array" in kinds and "items" not in fitted:
            raise UnfitSchema("it is an array whose items have no type")
        if "object" in kinds:
            self._open(fitted)
        for key in [key for key in fitted if key not in _KEYWORDS or _refused(key, fitted[key])]:
            value = fitted.pop(key)
            if key not in _SILENT:
                said.append(f"{key}: {in_json(value)}")
        fitted.pop("additionalProperties", None)
        closed = map_schemas(fitted, self._closed)
        return with_notes(self._required(closed) if "object" in kinds else closed, said)

    def _combined(self, node: Schema, said: list[str]) -> Schema:
        """Make ``anyOf`` the only combination, without other restrictions beside it."""
        if "oneOf" in node and "anyOf" not in node:
            node = {("anyOf" if key == "oneOf" else key): value for key, value in node.items()}
        parts = node.get("allOf", ())
        beside = node.keys() - ANNOTATIONS - {"allOf", "anyOf", "oneOf", "$ref"}
        choices = sum(key in node for key in ("allOf", "anyOf", "oneOf", "$ref"))
        if choices == 0 or (choices == 1 and not beside and not parts):
            return node
        if len(parts) == 1 and choices == 1 and not beside:
            del node["allOf"]
            return self._combined({**parts[0], **node}, said) if isinstance(parts[0], Mapping) else node
        if self._is_object(node, 0):
            whole = plain_object(node, self._document)
            return {key: value for key, value in whole.items() if key not in DEFINED}
        branches = node.pop("anyOf", None)
        merged: Any = {key: value for key, value in node.items() if key not in {"allOf", "oneOf", "$ref"}}
        for part in [*parts, *([self._document.resolve(node["$ref"])] if "$ref" in node else [])]:
            merged = merge(merged, part)
        if "oneOf" in node:
            said.append(f"oneOf: {in_json(node['oneOf'])}")
        if branches is None:
            return dict(merged)
        if beside & {"items", "prefixItems"}:
            said.append(f"anyOf: {in_json(branches)}")
            return dict(merged)
        words = {key: value for key, value in merged.items() if key in ANNOTATIONS}
        rest = {key: value for key, value in merged.items() if key not in ANNOTATIONS}
        return {**words, "anyOf": merge_branches(branches, rest)}

    def _is_object(self, node: Any, depth: int) -> bool:
        """Return whether the combined schemas are objects."""
        if not isinstance(node, Mapping) or depth > _DEEPEST:
            return False
        if kinds_of(node) or "properties" in node or "required" in node:
            return not kinds_of(node) or "object" in kinds_of(node)
        parts = [part for key in ("allOf", "anyOf", "oneOf") for part in node.get(key, ())]
        if isinstance(node.get("$ref"), str):
            parts.append(self._document.resolve(node["$ref"]))
        return any(self._is_object(part, depth + 1) for part in parts)

    def _referring(self, node: Schema) -> Schema:
        reference = node["$ref"]
        self._document.resolve(reference)
        if reference != "#" and reference not in self._places:
            self._wanted.append(reference)
            self._places[reference] = definition_of(reference) or ("$defs", self._unused(reference))
        where, name = self._places.get(reference, ("", ""))
        reference = f"#/{where}/{name.replace('~', '~0').replace('/', '~1')}" if where else reference
        description = node.get("description")
        only = {"$ref": reference}
        return {"description": description, "anyOf": [only]} if description else only

    def _unused(self, reference: str) -> str:
        """Return a name for a part that is not a definition yet, because strict schemas refer to definitions."""
        last = Document.steps(reference)[-1]
        taken = {*self._schema.get("$defs", ()), *(name for _, name in self._places.values())}
        return next(name for count in count_from(1) if (name := last if count == 1 else f"{last}_{count}") not in taken)

    def _open(self, node: Schema) -> None:
        """Raise if an object allows properties that it does not name."""
        further = node.get("additionalProperties")
        named = node.get("properties")
        if (isinstance(further, Mapping) and further) or node.get("patternProperties"):
            raise UnfitSchema("it allows properties of any name (a map, such as dict[str, int])")
        if not named and further is not False and (further or named is None):
            raise UnfitSchema("it is an object that does not name its properties")
        if (further is True or further == {}) and not self._willing:
            raise UnfitSchema("it allows further properties")

    def _required(self, node: Schema) -> Schema:
        properties: Schema = node.get("properties") or {}
        needed = set(node.get("required", ()))
        missing = needed - properties.keys()
        if missing:
            raise UnfitSchema(f"it requires {', '.join(sorted(missing))} without naming a property of that name")
        filled = {name: inner if name in needed else or_null(inner) for name, inner in properties.items()}
        self.added_nulls |= any(filled[name] is not inner for name, inner in properties.items())
        return {**node, "properties": filled, "required": list(filled), "additionalProperties": False}


def _add_type(node: Schema) -> None:
    """Add the type: "schema must have a 'type' key"."""
    if "type" in node or "anyOf" in node:
        return
    values = [node["const"]] if "const" in node else node.get("enum")
    if values:
        kinds = list(dict.fromkeys(map(type_of, values)))
        node["type"] = kinds[0] if len(kinds) == 1 else kinds
    elif "properties" in node or "additionalProperties" in node:
        node["type"] = "object"
    elif "items" in node:
        node["type"] = "array"
    else:
        raise UnfitSchema("it has no type, so any value fits it")


def _refused(key: str, value: Any) -> bool:
    """Return whether strict schemas do not support this value of a keyword."""
    return (key == "format" and value not in _FORMATS) or (key == "pattern" and "(?" in value)


def _measure(schema: Schema) -> None:
    properties = values = 0
    for node in subschemas(schema):
        properties += len(node.get("properties", ()))
        values += len(node.get("enum", ()))
    if properties > _MOST_PROPERTIES or values > _MOST_VALUES:
        raise UnfitSchema(
            f"it has {properties} properties and {values} values of enums; a strict schema has at most "
            f"{_MOST_PROPERTIES} and {_MOST_VALUES}"
        )
    level = [schema, *(inner for key in DEFINED for inner in schema.get(key, {}).values())]
    depth = 0
    while level:
        level = [inner for node in level for inner in _below(node) if isinstance(inner, Mapping)]
        depth += any("properties" in node for node in level)
        if depth > _MOST_LEVELS:
            raise UnfitSchema(f"it is nested deeper than the {_MOST_LEVELS} levels that a strict schema may have")


def _below(node: Mapping[str, Any]) -> list[Any]:
    items = [node["items"]] if "items" in node else []
    return [*node.get("properties", {}).values(), *node.get("anyOf", ()), *items]
