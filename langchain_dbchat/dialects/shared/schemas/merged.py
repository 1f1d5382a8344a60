"""Merge schemas: two that must both hold, and the parts of a root into one plain object.

Rule 1. The root of a tool's parameters is one plain object. Claude: "input_schema does not support oneOf, allOf, or
    anyOf at the top level"; GPT: "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at
    the top level" (notion-mcp-server #340, langchainjs #9804).
Rule 2. What is common to all branches is kept as keywords: all properties, and as required those that every branch
    requires (with ``allOf``: that any branch requires). What each branch requires is described in the description.
Rule 3. A branch that is not an object cannot be arguments, so it is left out; if no branch is an object, that raises.
Rule 4. GPT requires ``properties`` even if it is empty: "object schema missing properties".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from langchain_dbchat.dialects.shared.schemas.parts import (
    ANNOTATIONS,
    Document,
    Schema,
    UnfitSchema,
    in_json,
    is_annotated_only,
    kinds_of,
    with_notes,
)

_COMBINING: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "enum", "const", "not"})
_LOWEST: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_HIGHEST: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_AS_OBJECT: Final = frozenset({"type", "properties", "required"})


class NotAnObject(UnfitSchema):
    """A schema that allows no object."""


def merge(first: Any, second: Any) -> Any:
    """Merge two schemas that both have to hold.

    Args:
        first: A schema; its annotations are kept.
        second: Another one.

    Returns:
        One schema. Values that one keyword cannot combine are described in the description.

    Raises:
        UnfitSchema: If no value fits both.
    """
    if is_annotated_only(first) or is_annotated_only(second):
        base, over = (second, first) if is_annotated_only(first) else (first, second)
        if isinstance(base, bool) or isinstance(over, bool):
            return base
        return {**over, **base, **{key: first[key] for key in ANNOTATIONS & first.keys()}}
    if isinstance(first, bool) or isinstance(second, bool):
        raise UnfitSchema("no value fits all parts of its allOf")
    merged: Schema = dict(first)
    said: list[str] = []
    for key, value in second.items():
        if key not in merged or merged[key] == value:
            merged[key] = value
        elif key not in ANNOTATIONS or key in {"$defs", "definitions"}:
            joined = _joined(key, merged[key], value)
            if joined is None:
                said.append(f"{key}: {in_json(value)}")
            else:
                merged[key] = joined
    return with_notes(merged, said)


def merge_branches(branches: list[Any], rest: Schema) -> list[Any]:
    """Merge each branch of a choice with the keywords beside the choice.

    Args:
        branches: The branches.
        rest: The keywords beside it.

    Returns:
        The merged branches, without those that allow no value.

    Raises:
        UnfitSchema: If none of them allows a value.
    """
    merged = [one for branch in branches for one in _merged_or_nothing(branch, rest)]
    if not merged:
        raise UnfitSchema("no value fits any part of its anyOf")
    return merged


def _merged_or_nothing(branch: Any, rest: Schema) -> list[Any]:
    try:
        return [merge(branch, rest)]
    except UnfitSchema:
        return []


def _joined(key: str, first: Any, second: Any) -> Any:  # noqa: PLR0911  # a table of keywords
    """Join two values of one keyword; None if no value means both."""
    if key in {"properties", "patternProperties"}:
        return {**first, **{name: both(first[name], of) if name in first else of for name, of in second.items()}}
    if key in {"$defs", "definitions"}:
        return {**second, **first}
    if key == "required":
        return list(dict.fromkeys([*first, *second]))
    if key == "type":
        return _common_type(first, second)
    if key == "enum":
        common = [value for value in first if value in second]
        if not common:
            raise UnfitSchema("no value fits all parts of its allOf")
        return common
    if key in _LOWEST or key in _HIGHEST:
        return min(first, second) if key in _LOWEST else max(first, second)
    if key in {"items", "additionalProperties"}:
        return False if first is False or second is False else merge(first, second)
    return None


def _common_type(first: Any, second: Any) -> Any:
    left, right = ([kind] if isinstance(kind, str) else kind for kind in (first, second))
    common = [kind for kind in left if kind in right or (kind == "integer" and "number" in right)]
    common += [kind for kind in right if kind == "integer" and "number" in left and kind not in common]
    if not common:
        raise UnfitSchema("no value fits all parts of its allOf")
    return common[0] if len(common) == 1 else common


def both(first: Any, second: Any) -> Any:
    """Merge two schemas, with ``allOf`` if they cannot be merged into one."""
    if first == second:
        return first
    apart = {"$ref", "allOf", "anyOf", "oneOf"}
    if any(isinstance(one, Mapping) and not apart.isdisjoint(one) for one in (first, second)):
        return {"allOf": [first, second]}
    return merge(first, second)


@dataclass
class _MergedObject:
    """The parts of an object that are merged so far."""

    properties: Schema = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    rest: Schema = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def take(self, other: _MergedObject) -> None:
        """Add the parts of another object."""
        for name, inner in other.properties.items():
            self.properties[name] = both(self.properties[name], inner) if name in self.properties else inner
        self.required = list(dict.fromkeys([*self.required, *other.required]))
        for key, value in other.rest.items():
            if key not in self.rest:
                if not (key == "additionalProperties" and value is False):
                    self.rest[key] = value
            elif key == "description" and value != self.rest[key]:
                self.said.append(str(value))
            elif key not in ANNOTATIONS and value != self.rest[key]:
                self.said.append(f"{key}: {in_json(value)}")
        self.said.extend(other.said)

    def label(self) -> str:
        """Return a description of a branch: its title, its properties, and the required ones."""
        title = self.rest.get("title") or self.rest.get("description")
        words = [f"{title}:"] if title else []
        words.append(", ".join(map(_named, self.properties, self.properties.values())))
        if self.required:
            words.append(f"required: {', '.join(self.required)}")
        return " ".join(filter(None, [*words, *self.said]))


def is_plain(schema: Schema) -> bool:
    """Return whether a schema is an object that combines nothing.

    Args:
        schema: A schema of draft 2020-12.

    Returns:
        True if servers accept it as a root, apart from missing ``properties``.
    """
    return schema.get("type") == "object" and _COMBINING.isdisjoint(schema)


def plain_object(schema: Schema, document: Document) -> Schema:
    """Convert a root to one plain object.

    Args:
        schema: A schema of draft 2020-12.
        document: The document that resolves its references.

    Returns:
        The schema itself if it is one; otherwise a new one with ``type``, ``properties`` and ``required``.

    Raises:
        NotAnObject: If it allows no object.
        UnfitSchema: If its parts contradict each other.
    """
    if is_plain(schema):
        return schema if "properties" in schema else {**schema, "properties": {}}
    shape = _shape(schema, document, ())
    rest = {key: value for key, value in shape.rest.items() if key not in _AS_OBJECT}
    if rest.pop("unevaluatedProperties", None) is False:
        rest.setdefault("additionalProperties", False)
    for key in ("$defs", "definitions"):
        if isinstance(document.root.get(key), Mapping) and (key in schema or document.root is schema):
            rest[key] = document.root[key]
    whole: Schema = {"type": "object", **rest, "properties": shape.properties}
    if shape.required:
        whole["required"] = shape.required
    return with_notes(whole, shape.said)


def _shape(node: Any, document: Document, above: tuple[str, ...]) -> _MergedObject:
    document.spend()
    if node is True:
        return _MergedObject()
    shape = _own_shape(node)
    reference = node.get("$ref")
    if isinstance(reference, str):
        if reference in above:
            raise UnfitSchema(f"it refers to itself by {reference!r}")
        target = _shape(document.resolve(reference), document, (*above, reference))
        closed = target.rest.get("additionalProperties")
        shape.take(target)
        if closed is False and not shape.properties.keys() - target.properties.keys():
            shape.rest.setdefault("additionalProperties", False)
    for part in node.get("allOf", ()):
        shape.take(_shape(part, document, above))
    for key, how in (("anyOf", "at least one"), ("oneOf", "exactly one")):
        if key in node:
            _branch(shape, _objects(node[key], document, above), how)
    values = [node["const"]] if "const" in node else node.get("enum")
    if values is not None:
        _branch(shape, _of_values(values), "exactly one")
    return shape


def _own_shape(node: Any) -> _MergedObject:
    """Read the keywords of a schema itself, without what it combines."""
    if not isinstance(node, Mapping):
        raise NotAnObject("no object fits it")
    kinds = kinds_of(node)
    if kinds and "object" not in kinds:
        raise NotAnObject(f"it is of type {' or '.join(kinds)} and not an object")
    if not kinds and "properties" not in node and ("items" in node or "prefixItems" in node):
        raise NotAnObject("it is an array and not an object")
    if "not" in node and not (kinds or node.keys() - ANNOTATIONS - {"not"}):
        raise NotAnObject("it only says what is not allowed")
    return _MergedObject(
        dict(node.get("properties", {})),
        list(node.get("required", ())),
        {key: value for key, value in node.items() if key not in _COMBINING | _AS_OBJECT | {"$defs", "definitions"}},
        [f"not: {in_json(node['not'])}"] if "not" in node else [],
    )


def _objects(branches: list[Any], document: Document, above: tuple[str, ...]) -> list[_MergedObject]:
    refused: list[NotAnObject] = []
    shapes = [shape for branch in branches for shape in _object_or_nothing(branch, document, above, refused)]
    if not shapes:
        raise refused[0]
    return shapes


def _object_or_nothing(
    branch: Any, document: Document, above: tuple[str, ...], refused: list[NotAnObject]
) -> list[_MergedObject]:
    try:
        return [_shape(branch, document, above)]
    except NotAnObject as error:
        refused.append(error)
        return []


def _of_values(values: list[Any]) -> list[_MergedObject]:
    objects = [value for value in values if isinstance(value, Mapping)]
    if not objects:
        raise NotAnObject("none of its values is an object")
    return [_MergedObject({name: {"const": value} for name, value in one.items()}, list(one)) for one in objects]


def _branch(shape: _MergedObject, branches: list[_MergedObject], how: str) -> None:
    """Add branches of which one has to hold."""
    if len(branches) == 1:
        shape.take(branches[0])
        if branches[0].rest.get("additionalProperties") is False:
            shape.rest.setdefault("additionalProperties", False)
        return
    found: dict[str, list[Any]] = {}
    for branch in branches:
        for name, inner in branch.properties.items():
            found.setdefault(name, []).append(inner)
    for name, schemas in found.items():
        if name not in shape.properties:
            shape.properties[name] = _any_of(schemas)
        elif len(schemas) == len(branches):
            shape.properties[name] = both(shape.properties[name], _any_of(schemas))
    required = [name for name in branches[0].required if all(name in branch.required for branch in branches)]
    shape.required = list(dict.fromkeys([*shape.required, *required]))
    if all(branch.rest.get("additionalProperties") is False for branch in branches):
        shape.rest.setdefault("additionalProperties", False)
    labels = " ".join(f"({place}) {branch.label()}." for place, branch in enumerate(branches, 1))
    shape.said.append(f"Give what {how} of these needs: {labels}")


def _any_of(schemas: list[Any]) -> Any:
    """Return a schema that allows what any of these schemas allows, each only once."""
    flat: list[Any] = []
    for schema in schemas:
        inner = schema["anyOf"] if isinstance(schema, Mapping) and schema.keys() == {"anyOf"} else [schema]
        flat.extend(one for one in inner if one not in flat)
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


def _named(name: str, schema: Any) -> str:
    if isinstance(schema, Mapping) and "const" in schema:
        return f"{name} = {in_json(schema['const'])}"
    return name
