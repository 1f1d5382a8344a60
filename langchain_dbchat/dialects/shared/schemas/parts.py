"""Find the schemas inside of a JSON schema, and the part that a reference names.

Rule 1. Keys below ``properties``, ``$defs`` and the like are names that the user chose and not keywords. Values of
    ``enum``, ``const``, ``default`` and ``examples`` are data and not schemas (json-schema.org/draft/2020-12).
Rule 2. A changed schema shares all unchanged parts with the caller's schema. Nothing is changed in place.
Rule 3. A schema that cannot be fitted raises `UnfitSchema`, which contains the place.
Rule 4. Following references may double the size of a schema at each step, so all code that follows them has a budget.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urljoin

Schema = dict[str, Any]

TYPES: Final = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})

NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values are schemas under names that the user chose."""

DEFINED: Final = ("$defs", "definitions")
"""Keywords of definitions, which references name."""

LISTED: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
"""Keywords whose values are lists of schemas."""

SINGLE: Final = frozenset(
    {
        "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems",
        "unevaluatedProperties", "contentSchema",
    }
)  # fmt: skip
"""Keywords whose value is one schema."""

HOLDS_SCHEMAS: Final = NAMED | LISTED | SINGLE

ANNOTATIONS: Final = frozenset(
    {
        "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment",
        "$schema", "$id", "$anchor", "$defs", "definitions", "discriminator", "xml", "externalDocs",
    }
)  # fmt: skip
"""Keywords that do not restrict the values."""

_BUDGET = 20_000
"""Maximum number of parts of a schema whose references are followed."""


class UnfitSchema(ValueError):  # noqa: N818  # it becomes a ValueError for the caller
    """A schema that cannot be sent.

    Args:
        reason: The reason, as the end of a sentence.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []

    @property
    def place(self) -> str:
        """Return where it is: ``the property 'a[].b'``, or the root."""
        return place_of(self.path)


class OverBudget(UnfitSchema):
    """A schema that becomes too large when its references are followed."""


def place_of(path: list[str]) -> str:
    """Return the name of a place in a schema, by its properties.

    Args:
        path: Keywords, names and positions from the root.

    Returns:
        The properties that lead there, such as ``the property 'a[].b'``.
    """
    said = ""
    steps = iter(path)
    for step in steps:
        if step in NAMED:
            name = next(steps, "")
            said += f".{name}" if said and step == "properties" else name
        elif step in {"items", "prefixItems"}:
            said += "[]"
    return f"the property {said!r}" if said else "the root"


def mapping_of(node: Mapping[str, Any]) -> dict[str, str]:
    """Return the references of OpenAPI's ``discriminator``, by the value that each stands for.

    Args:
        node: A schema.
    """
    discriminator = node.get("discriminator")
    mapping = discriminator.get("mapping") if isinstance(discriminator, Mapping) else None
    if not isinstance(mapping, Mapping):
        return {}
    return {value: reference for value, reference in mapping.items() if isinstance(reference, str)}


def map_schemas(node: Schema, change: Callable[[Any], Any]) -> Schema:
    """Change each schema right below a schema.

    Args:
        node: The schema.
        change: Returns a new schema for one, or the same object if nothing changes.

    Returns:
        The schema itself if nothing changed; otherwise a new one.
    """
    changed: Schema = {}
    for key, value in node.items():
        if key not in HOLDS_SCHEMAS:
            continue
        fitted = value
        if key in NAMED and isinstance(value, Mapping):
            below = {name: _changed(inner, change, key, name) for name, inner in value.items()}
            fitted = below if any(below[name] is not inner for name, inner in value.items()) else value
        elif key in LISTED and isinstance(value, list):
            listed = [_changed(inner, change, key, str(place)) for place, inner in enumerate(value)]
            fitted = listed if any(new is not old for new, old in zip(listed, value, strict=True)) else value
        elif key in SINGLE and isinstance(value, (Mapping, bool)):
            fitted = _changed(value, change, key)
        if fitted is not value:
            changed[key] = fitted
    return {**node, **changed} if changed else node


def _changed(node: Any, change: Callable[[Any], Any], *path: str) -> Any:
    try:
        return change(node)
    except UnfitSchema as unfit:
        unfit.path[:0] = path
        raise


def subschemas(node: Any) -> Iterator[Schema]:
    """Yield a schema and all schemas inside of it.

    Args:
        node: The schema.

    Yields:
        Each, the outer one first.
    """
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, dict):
            continue
        yield one
        for key, value in one.items():
            if key in NAMED and isinstance(value, Mapping):
                waiting.extend(value.values())
            elif key in LISTED and isinstance(value, list):
                waiting.extend(value)
            elif key in SINGLE:
                waiting.append(value)


def kinds_of(node: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema names; an empty list if it names none."""
    kind = node.get("type")
    return [kind] if isinstance(kind, str) else list(kind) if isinstance(kind, list) else []


def is_annotated_only(node: Any) -> bool:
    """Return whether a schema allows any value."""
    return node is True or (isinstance(node, Mapping) and ANNOTATIONS.issuperset(node))


def with_notes(node: Schema, said: list[str]) -> Schema:
    """Add what the keywords of a schema cannot say to its description.

    Args:
        node: The schema.
        said: The additions.

    Returns:
        The schema itself if there are no additions; otherwise a new one.
    """
    if not said:
        return node
    known = node.get("description")
    text = f"({', '.join(said)})"
    return {**node, "description": f"{known} {text}" if known else text}


def in_json(value: Any) -> str:
    """Return a value as JSON, for a description."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _inside(node: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the schemas right below a schema, each with the steps of a pointer to it."""
    for key, value in node.items():
        if key in NAMED and isinstance(value, Mapping):
            below = [(f"{key}/{_step(name)}", inner) for name, inner in value.items()]
        elif key in LISTED and isinstance(value, list):
            below = [(f"{key}/{place}", inner) for place, inner in enumerate(value)]
        elif key in SINGLE:
            below = [(key, value)]
        else:
            continue
        yield from ((steps, inner) for steps, inner in below if isinstance(inner, dict))


def _step(name: Any) -> str:
    return quote(str(name).replace("~", "~0").replace("/", "~1"), safe="~$")


class Document:
    """A whole schema, in which references are resolved.

    Args:
        root: The schema.
    """

    def __init__(self, root: Schema) -> None:
        self.root = root
        self._left = _BUDGET
        self._names: dict[str, str] | None = None

    def spend(self) -> None:
        """Count one part of the budget.

        Raises:
            OverBudget: If there are too many.
        """
        self._left -= 1
        if self._left < 0:
            raise OverBudget(
                f"its references grow to more than {_BUDGET} parts when they are followed. Give a smaller schema"
            )

    def resolve(self, reference: str) -> Any:
        """Return the schema that a reference names.

        Args:
            reference: A pointer (``#/$defs/A``), an anchor (``#a``) or the ``$id`` of a schema in the document.

        Returns:
            The schema.

        Raises:
            UnfitSchema: If there is none.
        """
        pointer = self.pointer(reference)
        if pointer is not None:
            return self._point(pointer)
        if reference.startswith("#"):
            raise UnfitSchema(f"it refers to {reference!r}, which it does not contain")
        raise UnfitSchema(f"it refers to {reference!r}, outside of itself, which this server cannot follow")

    def pointer(self, reference: str) -> str | None:
        """Return a reference as a pointer from the root.

        Args:
            reference: A pointer, an anchor or an ``$id``, with or without a pointer after it.

        Returns:
            The pointer, which may name nothing; None for an anchor or an ``$id`` that does not exist.
        """
        if reference == "#" or reference.startswith("#/"):
            return reference
        if self._names is None:
            self._names = self._named()
        base = str(self.root.get("$id", ""))
        for name in (reference, urljoin(base, reference)):
            if name in self._names:
                return self._names[name]
            address, _, below = name.partition("#")
            if address in self._names and below.startswith("/"):
                return self._names[address] + below
        return None

    def _named(self) -> dict[str, str]:
        """Return the pointers to all schemas with an anchor or an ``$id``."""
        base = str(self.root.get("$id", ""))
        names: dict[str, str] = {}
        waiting: list[tuple[Any, str]] = [(self.root, "#")]
        while waiting:
            node, pointer = waiting.pop()
            if isinstance(node.get("$anchor"), str):
                names["#" + node["$anchor"]] = pointer
            if isinstance(node.get("$id"), str):
                names[node["$id"]] = names[urljoin(base, node["$id"])] = pointer
            waiting.extend((inner, f"{pointer}/{steps}") for steps, inner in _inside(node))
        return names

    def holds(self, reference: str) -> bool:
        """Return whether a reference names a part of the document."""
        try:
            self.resolve(reference)
        except UnfitSchema:
            return False
        return True

    @staticmethod
    def steps(pointer: str) -> list[str]:
        """Return the keywords, names and positions of a pointer."""
        return [step.replace("~1", "/").replace("~0", "~") for step in unquote(pointer).split("/")[1:]]

    def _point(self, reference: str) -> Any:
        node: Any = self.root
        for name in self.steps(reference):
            if isinstance(node, list) and name.isdigit() and int(name) < len(node):
                node = node[int(name)]
            elif isinstance(node, Mapping) and name in node:
                node = node[name]
            else:
                raise UnfitSchema(f"it refers to {reference!r}, which it does not contain")
        return node
