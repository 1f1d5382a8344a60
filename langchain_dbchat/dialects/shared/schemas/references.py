"""References of a schema, written so that every server can follow them.

Rule 1  A reference by ``$id`` or ``$anchor`` becomes a pointer (``#/...``): only validators follow the others.
Rule 2  What a rewritten root no longer contains moves to ``$defs``.
Rule 3  A reference of OpenAPI's ``discriminator`` to nothing is left out: langchain-core writes the parts of a union in
        the place of their references, and removes ``$defs`` (spec.openapis.org/oas/v3.0.3#discriminator-object).
Rule 4  Any other reference to nothing raises and names the place, if the family's server checks schemas. GPT:
        "reference to component '#/$defs/A' which was not found in the schema" (openai-node #970).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_dbchat.dialects.shared.schemas.parts import (
    DEFINED,
    Document,
    Schema,
    map_schemas,
    mapping_of,
    subschemas,
)


def settle_references(schema: Schema, document: Document, references: set[str], *, checked: bool) -> Schema:
    """Write the references of a schema as pointers into itself.

    Args:
        schema: The schema, whose root may have been rewritten.
        document: The schema before that.
        references: All references in it.
        checked: Whether a reference to nothing raises; else it stays.

    Returns:
        The schema itself if nothing changes, else a new one.

    Raises:
        UnfitSchema: If a reference names nothing.
    """
    now = Document(schema)
    written: dict[str, str | None] = {}
    moved: dict[str, Any] = {}
    waiting = sorted(references)
    for reference in waiting:
        pointer = document.pointer(reference)
        if pointer is None or not document.holds(pointer):
            if checked:
                _follow(schema, document)
            written[reference] = None
            continue
        written[reference] = pointer
        if now.holds(pointer):
            continue
        name = f"moved_{len(moved)}"
        written[reference] = f"#/$defs/{name}"
        moved[name] = document.resolve(pointer)
        # What is moved may refer to further parts.
        inner = {node["$ref"] for node in subschemas(moved[name]) if isinstance(node.get("$ref"), str)}
        waiting.extend(sorted(inner.difference(waiting)))
    written = {reference: pointer for reference, pointer in written.items() if reference != pointer}
    if not written:
        return schema
    whole = {**schema, "$defs": {**schema.get("$defs", {}), **moved}} if moved else schema
    renamed: Schema = _renamed(whole, written)
    return renamed


def _follow(node: Any, document: Document) -> Any:
    """Raise at the place of the first reference that names nothing."""
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            document.resolve(node["$ref"])
        map_schemas(dict(node), lambda inner: _follow(inner, document))
    return node


def _renamed(node: Any, written: Mapping[str, str | None]) -> Any:
    if not isinstance(node, Mapping):
        return node
    if isinstance(node.get("$ref"), str) and written.get(node["$ref"]):
        node = {**node, "$ref": written[node["$ref"]]}
    mapping = mapping_of(node)
    if not written.keys().isdisjoint(mapping.values()):
        node = {**node, "discriminator": _remapped(node["discriminator"], mapping, written)}
    return map_schemas(dict(node), lambda inner: _renamed(inner, written))


def _remapped(discriminator: Schema, mapping: Schema, written: Mapping[str, str | None]) -> Schema:
    """Return a discriminator without references to nothing, and without a mapping that has no other."""
    names = {value: written.get(reference, reference) for value, reference in mapping.items()}
    kept = {value: reference for value, reference in names.items() if reference is not None}
    rest = {key: value for key, value in discriminator.items() if key != "mapping"}
    return {**rest, "mapping": kept} if kept else rest


def definition_of(reference: str) -> tuple[str, str] | None:
    """Read a pointer to a definition of the root's.

    Args:
        reference: The reference.

    Returns:
        ``("$defs", "A")`` for ``#/$defs/A``; None for a pointer to anywhere else.
    """
    steps = Document.steps(reference)
    return (steps[0], steps[1]) if len(steps) == 2 and steps[0] in DEFINED else None  # noqa: PLR2004  # keyword and name
