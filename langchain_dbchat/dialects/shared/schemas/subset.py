"""Write schemas for a server that supports a fixed list of keywords, as Gemini's does.

The server copies a schema into its own ``Schema`` message (ai.google.dev/api/caching#Schema). A keyword that is not a
field of that message is a 400: ``Unknown name "const" at 'tools[0].function_declarations[0].parameters': Cannot find
field``.

Rule 1. Keywords that are not on the family's list (``schema_keywords``) are translated, or described in the
    description.
Rule 2. ``$ref`` is replaced by the schema that it names. A schema that contains itself is followed a few times
    (`_DEPTHS`); at the end the description says what is repeated.
Rule 3. ``type`` is one name: a list of types becomes ``anyOf``, and null becomes ``nullable``.
Rule 4. ``enum`` contains texts ("Invalid value ... (TYPE_STRING), 1"); other values are described in the description.
    An empty text is refused too ("enum[0]: cannot be empty").
Rule 5. Arrays need ``items``; ``prefixItems`` becomes the types of its places and the length.
Rule 6. ``format`` of a text is described too, except for two values ("only 'enum' and 'date-time' are supported for
    STRING type", gemini-cli #3178).
Rule 7. ``required`` names only properties that exist ("required[0]: property is not defined").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_dbchat.dialects.shared.schemas.merged import merge, merge_branches, plain_object
from langchain_dbchat.dialects.shared.schemas.parts import (
    ANNOTATIONS,
    Document,
    OverBudget,
    Schema,
    in_json,
    kinds_of,
    map_schemas,
    subschemas,
    with_notes,
)

_DEPTHS: Final = (3, 2, 1)
"""How often a schema is followed within itself; a smaller number is tried if the result is too large."""

_MOST_PROPERTIES = 64
"""Maximum number of properties of a schema that contains itself: Databricks' maximum for a response format."""

_MOST_BRANCHES = 50
"""Maximum number of branches of an ``anyOf`` that are merged with the keywords beside it."""

_SILENT: Final = frozenset(
    {
        "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "discriminator", "xml", "externalDocs",
        "readOnly", "writeOnly",
    }
)  # fmt: skip
"""Keywords without a meaning for a model."""

_OPEN_OR_CLOSED: Final = frozenset({"additionalProperties", "unevaluatedProperties", "unevaluatedItems"})

_OF_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"pattern", "minLength", "maxLength", "format"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"}),
    "object": frozenset(
        {
            "properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties",
            "propertyNames", "dependentRequired", "dependentSchemas", "propertyOrdering",
        }
    ),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}  # fmt: skip
"""Which keywords belong to which type."""

_PLAIN: Final = frozenset({"type", "description"})
_SCALARS: Final = ("string", "integer", "number", "boolean")
"""Most parts of most schemas have these keywords and one of these types, and need no fitting."""

_ANY: Final = ({"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "object"})
"""The replacement for a schema that allows any value."""


def fit_subset(schema: Schema, keywords: frozenset[str]) -> Schema:
    """Write a schema with only the keywords of a server.

    Args:
        schema: A schema of draft 2020-12.
        keywords: The keywords that the server supports.

    Returns:
        A new schema.

    Raises:
        UnfitSchema: If a reference names nothing, or the schema becomes too large when references are followed.
    """
    for depth in _DEPTHS[:-1]:
        subset = _Subset(schema, keywords, depth)
        fitted = subset.fit_within()
        if fitted is not None:
            return fitted
    return _Subset(schema, keywords, _DEPTHS[-1]).fit()


class _Subset:
    def __init__(self, schema: Schema, keywords: frozenset[str], depth: int) -> None:
        self._schema = schema
        self._document = Document(schema)
        self._keywords = keywords
        self._depth = depth
        self._recurs = False

    def fit(self) -> Schema:
        inlined = self._inlined(self._schema, ())
        fitted: Schema = self._translated(inlined)
        return fitted

    def fit_within(self) -> Schema | None:
        """Return the fitted schema; None if following a schema within itself makes it too large."""
        try:
            fitted = self.fit()
        except OverBudget:
            return None
        if self._recurs and sum(len(node.get("properties", ())) for node in subschemas(fitted)) > _MOST_PROPERTIES:
            return None
        return fitted

    # -- Rule 2

    def _inlined(self, node: Any, above: tuple[str, ...]) -> Any:
        self._document.spend()
        if not isinstance(node, Mapping):
            return {} if node is True else {"not": {}} if node is False else node
        if _PLAIN.issuperset(node):
            return node
        rest = {key: value for key, value in node.items() if key not in {"$ref", "$defs", "definitions"}}
        rest = map_schemas(rest, lambda inner: inner if isinstance(inner, bool) else self._inlined(inner, above))
        reference = node.get("$ref")
        if isinstance(reference, str):
            if above.count(reference) >= self._depth:
                target = self._again(reference)
            else:
                target = self._inlined(self._document.resolve(reference), (*above, reference))
            rest = {**target, **rest} if ANNOTATIONS.issuperset(rest) else merge(rest, target)
        parts = rest.pop("allOf", None)
        for part in parts or ():
            rest = merge(rest, part)
        return rest

    def _again(self, reference: str) -> Schema:
        """Return a description of a schema at the place where it is repeated."""
        self._recurs = True
        name = reference.rpartition("/")[2].removeprefix("#")
        target = self._document.resolve(reference)
        names = list(target.get("properties", ())) if isinstance(target, Mapping) else []
        said = f"again a {name}, with the properties {', '.join(names)}" if names else f"again a {name or 'whole'}"
        kinds = kinds_of(target) if isinstance(target, Mapping) else []
        if kinds == ["array"]:
            return {"type": "array", "items": {"type": "object"}, "description": f"({said})"}
        return {"type": "object", "description": f"({said})"}

    # -- Rules 1 and 3 to 7

    def _translated(self, node: Any) -> Any:
        self._document.spend()
        if not isinstance(node, Mapping):
            return self._translated({} if node is not False else {"not": {}})
        if _PLAIN.issuperset(node) and node.get("type") in _SCALARS:
            return node
        said: list[str] = []
        nullable = node.get("nullable") is True
        fitted = self._combined(dict(node), said)
        if "const" in fitted:
            fitted["enum"] = [fitted.pop("const")]
        if "enum" in fitted:
            nullable |= _enum(fitted, said)
        fitted, null = self._typed(fitted)
        nullable |= null
        _array(fitted, said)
        _object(fitted, said)
        said.extend(self._rest(fitted))
        fitted = {
            key: value for key, value in fitted.items() if key in self._keywords and not _strange_format(fitted, key)
        }
        if not fitted.keys() & {"type", "anyOf"}:
            fitted["anyOf"] = [dict(kind) for kind in _ANY]
        if nullable and fitted.get("type") != "null":
            if "anyOf" in fitted:
                fitted["anyOf"] = [*fitted["anyOf"], *([] if _NULL in fitted["anyOf"] else [_NULL])]
            else:
                fitted["nullable"] = True
        return with_notes(map_schemas(fitted, self._translated), said)

    def _combined(self, node: Schema, said: list[str]) -> Schema:
        """Make ``anyOf`` the only choice, without other restrictions beside it."""
        if "oneOf" in node:
            if "anyOf" in node:
                said.append(f"oneOf: {in_json(node.pop('oneOf'))}")
            else:
                node = {("anyOf" if key == "oneOf" else key): value for key, value in node.items()}
        beside = node.keys() - ANNOTATIONS - {"anyOf", "nullable"}
        if "anyOf" not in node or not beside:
            return node
        kinds = kinds_of(node)
        if "object" in kinds or (not kinds and "properties" in node):
            whole = plain_object(node, self._document)
            return {**whole, "type": kinds} if "null" in kinds else whole
        rest = {key: node[key] for key in beside}
        branches = node.pop("anyOf")
        if "array" in kinds or len(branches) > _MOST_BRANCHES:
            said.append(f"anyOf: {in_json(branches)}")
            return node
        fitting = merge_branches(branches, rest)
        return {**{key: value for key, value in node.items() if key not in beside}, "anyOf": fitting}

    def _typed(self, node: Schema) -> tuple[Schema, bool]:
        """Return the schema with one type, and whether it may be null."""
        kinds = kinds_of(node)
        if not kinds:
            guess = _implied(node)
            return ({"type": guess, **node} if guess else node), False
        if len(kinds) == 1:
            return {**node, "type": kinds[0]}, False
        real = [kind for kind in kinds if kind != "null"]
        if len(real) == 1:
            return {**node, "type": real[0]}, "null" in kinds
        below = frozenset().union(*_OF_TYPE.values())
        branches: list[Schema] = []
        for kind in real:
            own = _OF_TYPE.get("number" if kind == "integer" else kind, frozenset())
            branches.append({"type": kind, **{key: value for key, value in node.items() if key in own}})
        outer = {key: value for key, value in node.items() if key not in below and key != "type"}
        return {**outer, "anyOf": branches}, "null" in kinds

    def _rest(self, node: Schema) -> list[str]:
        """Return descriptions of the keywords that will be left out."""
        said = []
        for key, value in node.items():
            if key in _SILENT or (key in self._keywords and not _strange_format(node, key)):
                continue
            if key in _OPEN_OR_CLOSED:
                if isinstance(value, Mapping) and value:
                    said.append(f"further properties: {in_json(value)}")
            elif key == "patternProperties":
                said.append(f"properties by pattern: {in_json(value)}")
            else:
                said.append(f"{key}: {in_json(value)}")
        return said


_NULL: Final[Schema] = {"type": "null"}
_TEXT_FORMATS: Final = frozenset({"enum", "date-time"})


def _strange_format(node: Schema, key: str) -> bool:
    return key == "format" and node.get("type", "string") == "string" and node["format"] not in _TEXT_FORMATS


def _implied(node: Schema) -> str | None:
    """Return the type that the keywords of a schema without ``type`` imply."""
    if "anyOf" in node:
        return None
    if "properties" in node or "additionalProperties" in node or "patternProperties" in node:
        return "object"
    if "items" in node or "prefixItems" in node:
        return "array"
    return next((kind for kind, own in _OF_TYPE.items() if own & node.keys()), None)


def _enum(node: Schema, said: list[str]) -> bool:
    """Keep an ``enum`` of texts, describe any other one; return whether null is one of its values."""
    values = node.pop("enum")
    real = [value for value in values if value is not None]
    null = len(real) < len(values)
    kinds = [kind for kind in kinds_of(node) if kind != "null"]
    if not real:
        node["type"] = "null"
        return null
    if all(isinstance(value, str) and value for value in real) and kinds in ([], ["string"]):
        node["type"] = "string"
        node["enum"] = real
        return null
    said.append(f"one of: {', '.join(map(in_json, real))}")
    if not kinds and "anyOf" not in node:
        kinds = list(dict.fromkeys(map(type_of, real)))
        if "number" in kinds and "integer" in kinds:
            kinds.remove("integer")
        node["type"] = kinds
    elif kinds:
        node["type"] = kinds
    return null


def type_of(value: Any) -> str:
    """Return the name of the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def _array(node: Schema, said: list[str]) -> None:
    if "prefixItems" in node:
        flatten_tuple(node, said)
    if node.get("type") != "array":
        return
    items = node.get("items")
    if items is False:
        node["maxItems"] = 0
    if not isinstance(items, Mapping):
        node["items"] = {"type": "string"} if "items" not in node else {}


def flatten_tuple(node: Schema, said: list[str]) -> None:
    """Write ``prefixItems`` as the types of its places and the length.

    Args:
        node: The schema; it is changed.
        said: The additions to the description; one is added.
    """
    places = node.pop("prefixItems")
    rest = node.pop("items", None)
    kinds = []
    for place in places:
        bare = {key: value for key, value in place.items() if key != "title"} if isinstance(place, Mapping) else {}
        if bare not in kinds:
            kinds.append(bare)
    if isinstance(rest, Mapping):
        if rest not in kinds:
            kinds.append(dict(rest))
    else:
        node.setdefault("maxItems", len(places))
        node.setdefault("minItems", len(places))
    node["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    said.append(f"in this order: {', '.join(map(_place, places))}")


def _place(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "anything"
    name = schema.get("title") or schema.get("description")
    kinds = " or ".join(kinds_of(schema))
    if not kinds:
        kinds = "anything" if ANNOTATIONS.issuperset(schema) else in_json(schema)
    return f"{name} ({kinds})" if name else kinds


def _object(node: Schema, said: list[str]) -> None:
    required = node.get("required")
    if required is None:
        return
    properties = node.get("properties") or {}
    there = [name for name in required if name in properties]
    missing = [name for name in required if name not in properties]
    if missing:
        said.append(f"required: {', '.join(missing)}")
    if there:
        node["required"] = there
    else:
        del node["required"]
