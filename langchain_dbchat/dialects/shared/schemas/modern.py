"""Write older spellings of JSON schema as draft 2020-12, against which servers validate.

Rule 1. Drafts 3 to 7 (json-schema.org/draft/2020-12/release-notes, draft-06, draft-04): boolean ``exclusiveMinimum``
    and ``exclusiveMaximum`` become the bound; ``items`` as a list becomes ``prefixItems``; ``id`` becomes ``$id``;
    ``dependencies``, ``divisibleBy``, ``disallow``, ``extends`` and a property's own ``required: true`` become their
    successors. Claude answers "JSON schema is invalid. It must match JSON Schema draft 2020-12" to each of them.
Rule 2. OpenAPI 3.0 (spec.openapis.org/oas/v3.0.3#schema-object): ``nullable: true`` becomes an additional type, ``type:
    file`` a binary string. Google's upper-case names of types (ai.google.dev/api/caching#Type) become lower-case.
Rule 3. A keyword that is null has no meaning, unless null is a value of it (``const``, ``default``, ...).
Rule 4. If the family's server validates schemas, anything else that is not a schema raises, with the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_dbchat.dialects.shared.schemas.parts import TYPES, Schema, UnfitSchema, map_schemas, mapping_of

_LATEST = "https://json-schema.org/draft/2020-12/schema"

_NULL_IS_A_VALUE: Final = frozenset({"const", "default", "example"})

_OLD: Final = frozenset(
    {
        "id", "nullable", "additionalItems", "dependencies", "divisibleBy", "disallow", "extends", "$recursiveRef",
        "$dynamicRef", "$recursiveAnchor", "$dynamicAnchor", "$schema",
    }
)  # fmt: skip
"""Keywords that were renamed or removed."""

_MUST_BE: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "properties": ((dict,), "an object of schemas"),
    "$defs": ((dict,), "an object of schemas"),
    "required": ((list,), "a list of names"),
    "enum": ((list,), "a list of values"),
    "anyOf": ((list,), "a list of schemas"),
    "oneOf": ((list,), "a list of schemas"),
    "allOf": ((list,), "a list of schemas"),
    "prefixItems": ((list,), "a list of schemas"),
    "items": ((dict, bool), "a schema"),
    "description": ((str,), "a text"),
    "pattern": ((str,), "a text"),
    "format": ((str,), "a text"),
    "minimum": ((int, float), "a number"),
    "maximum": ((int, float), "a number"),
    "exclusiveMinimum": ((int, float), "a number"),
    "exclusiveMaximum": ((int, float), "a number"),
    "minItems": ((int,), "a whole number"),
    "maxItems": ((int,), "a whole number"),
    "minLength": ((int,), "a whole number"),
    "maxLength": ((int,), "a whole number"),
}
_PLAIN: Final = frozenset({"type", "description"})
"""The keywords of most parts of most schemas; they are the same in all drafts."""
_COMBINED: Final = ("anyOf", "oneOf", "allOf")


def modernise(schema: Any, *, checked: bool, references: set[str] | None = None) -> Any:
    """Write a schema as draft 2020-12.

    Args:
        schema: A schema of any draft.
        checked: Whether a value that is not a schema raises; otherwise it is not changed.
        references: A set to which all its references are added, also those of OpenAPI's ``discriminator``.

    Returns:
        The schema itself if nothing in it is old; otherwise a new one.

    Raises:
        UnfitSchema: If it is not a schema.
    """
    if type(schema) is not dict and not isinstance(schema, Mapping):
        if checked and not isinstance(schema, bool):
            raise UnfitSchema(f"{schema!r} is not a JSON schema")
        return schema
    kind = schema.get("type")
    if type(kind) is str and kind in TYPES and _PLAIN.issuperset(schema) and type(schema.get("description", "")) is str:
        return schema  # most parts of most schemas
    node: Schema = schema if type(schema) is dict else dict(schema)
    if any(value is None for value in node.values()):
        node = {key: value for key, value in node.items() if value is not None or key in _NULL_IS_A_VALUE}
    node = _types(node, checked=checked)
    if not _OLD.isdisjoint(node):
        node = _renamed(node)
    node = _bounds(node)
    if type(node.get("items")) is list or "additionalItems" in node:
        node = _tuple(node)
    node = _required(node)
    if checked:
        _check(node)
    if references is not None:
        if isinstance(node.get("$ref"), str):
            references.add(node["$ref"])
        references.update(mapping_of(node).values())
    node = map_schemas(node, lambda inner: modernise(inner, checked=checked, references=references))
    return _nullable(node) if "nullable" in node else node


def _types(node: Schema, *, checked: bool) -> Schema:  # noqa: PLR0911  # a table of spellings
    kind = node.get("type")
    if kind is None or (type(kind) is str and kind in TYPES):
        return node
    rest = {key: value for key, value in node.items() if key != "type"}
    if kind == "any":
        return rest
    if kind == "file":
        return {**node, "type": "string", "format": "binary"}
    if isinstance(kind, str) and kind.isupper() and kind.lower() in TYPES:
        return {**node, "type": kind.lower()}
    if isinstance(kind, list) and kind:
        if "any" in kind:
            return rest
        if any(isinstance(one, Mapping) for one in kind):
            return {**rest, "anyOf": [one if isinstance(one, Mapping) else {"type": one} for one in kind]}
        names = [one.lower() if isinstance(one, str) and one.isupper() else one for one in kind]
        wrong = [one for one in names if not isinstance(one, str) or one not in TYPES]
        if not wrong:
            names = list(dict.fromkeys(names))
            return node if names == kind else {**node, "type": names}
        kind = wrong[0]
    if not checked:
        return node
    raise UnfitSchema(f"{kind!r} is not a type of JSON schema. The types are {', '.join(sorted(TYPES))}")


def _renamed(node: Schema) -> Schema:
    new = {key: value for key, value in node.items() if key not in _OLD}
    identifier = node.get("id")
    if isinstance(identifier, str):
        key, name = ("$anchor", identifier[1:]) if identifier.startswith("#") else ("$id", identifier)
        new.setdefault(key, name)
    elif "id" in node:
        new["id"] = identifier
    if node.get("$schema") == _LATEST:
        new["$schema"] = _LATEST
    new.update({key: node[key] for key in ("nullable", "additionalItems") if key in node})
    _rename_combinations(node, new)
    if isinstance(node.get("dependencies"), Mapping):
        _split_dependencies(node["dependencies"], new)
    return new


def _rename_combinations(node: Schema, new: Schema) -> None:
    if "divisibleBy" in node:
        new.setdefault("multipleOf", node["divisibleBy"])
    for key in ("$recursiveRef", "$dynamicRef"):
        if isinstance(node.get(key), str):
            new.setdefault("$ref", node[key])
    if isinstance(node.get("$dynamicAnchor"), str):
        new.setdefault("$anchor", node["$dynamicAnchor"])
    if "disallow" in node:
        kinds = node["disallow"]
        new.setdefault("not", {"type": kinds} if isinstance(kinds, (str, list)) else kinds)
    if "extends" in node:
        base = node["extends"]
        new["allOf"] = [*(base if isinstance(base, list) else [base]), *new.get("allOf", [])]


def _split_dependencies(dependencies: Mapping[str, Any], new: Schema) -> None:
    names: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for name, needs in dependencies.items():
        if isinstance(needs, (str, list)):
            names[name] = [needs] if isinstance(needs, str) else needs
        else:
            schemas[name] = needs
    if names:
        new["dependentRequired"] = {**names, **new.get("dependentRequired", {})}
    if schemas:
        new["dependentSchemas"] = {**schemas, **new.get("dependentSchemas", {})}


def _bounds(node: Schema) -> Schema:
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(exclusive), bool):
            rest = {key: value for key, value in node.items() if key != exclusive}
            if node[exclusive] and bound in rest:
                rest[exclusive] = rest.pop(bound)
            node = rest
    return node


def _tuple(node: Schema) -> Schema:
    """Write a list of ``items`` as ``prefixItems``, and ``additionalItems`` as ``items``."""
    new = {key: value for key, value in node.items() if key != "additionalItems"}
    if isinstance(node.get("items"), list):
        places = new.pop("items")
        if places:
            new["prefixItems"] = places
        rest = node.get("additionalItems")
        if rest is not None and rest is not True:
            new["items"] = rest
    return new


def _required(node: Schema) -> Schema:
    """Collect the ``required: true`` of properties (draft 3), and remove repeated names."""
    named = node.get("required")
    if isinstance(named, bool):
        node = {key: value for key, value in node.items() if key != "required"}
        named = None
    properties = node.get("properties")
    if isinstance(properties, Mapping):
        own = [
            name for name, inner in properties.items() if isinstance(inner, Mapping) and inner.get("required") is True
        ]
        if own:
            return {**node, "required": list(dict.fromkeys([*(named or []), *own]))}
    if isinstance(named, list) and len(named) > 1 and all(isinstance(name, str) for name in named):
        once = list(dict.fromkeys(named))
        return node if len(once) == len(named) else {**node, "required": once}
    return node


def _nullable(node: Schema) -> Schema:
    """Write OpenAPI's ``nullable`` as an additional type."""
    new = {key: value for key, value in node.items() if key != "nullable"}
    return or_null(new) if node["nullable"] is True else new


def _check(node: Schema) -> None:
    for key, value in node.items():
        rule = _MUST_BE.get(key)
        if rule is None:
            continue
        kinds, words = rule
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise UnfitSchema(f"{key!r} has to be {words}, not {value!r}")
        if key in _COMBINED and not value:
            raise UnfitSchema(f"{key!r} has to name at least one schema")
    if not all(isinstance(name, str) for name in node.get("required", ())):
        raise UnfitSchema(f"'required' has to be a list of names, not {node['required']!r}")


def or_null(node: Schema) -> Schema:
    """Return a schema that also allows null.

    Args:
        node: The schema, of draft 2020-12.

    Returns:
        A new one, or the same if it allows null already.
    """
    kind = node.get("type")
    simple = not {"anyOf", "oneOf", "allOf", "$ref", "const", "not", "if"} & node.keys()
    if simple and kind is not None:
        kinds = [kind] if isinstance(kind, str) else kind
        whole = "enum" not in node or None in node["enum"]
        if "null" in kinds:
            return node if whole else {**node, "enum": [*node["enum"], None]}
        new = {**node, "type": [*kinds, "null"]}
        return new if whole else {**new, "enum": [*node["enum"], None]}
    if simple and kind is None and "enum" in node:
        return node if None in node["enum"] else {**node, "enum": [*node["enum"], None]}
    null = {"type": "null"}
    said = {key: value for key, value in node.items() if key in {"title", "description", "default"}}
    rest = {key: value for key, value in node.items() if key not in said}
    if rest.keys() == {"anyOf"}:
        return node if null in rest["anyOf"] else {**said, "anyOf": [*rest["anyOf"], null]}
    return {**said, "anyOf": [rest, null]} if rest else node
