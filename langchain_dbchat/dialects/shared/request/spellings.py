"""Read a schema for a structured answer, in any supported spelling, as a `Wanted`.

Rule 1. OpenAI's dicts are supported: the inner form (``{"name", "schema", "strict"}``), the whole form
(``{"type": "json_schema", "json_schema": {...}}``), that of Responses (``{"type": "json_schema", "name", "schema"}``),
and tools (platform.openai.com/docs/guides/structured-outputs). So are functions (``{"name", "parameters"}``), tools of
Anthropic and MCP (``input_schema``, ``inputSchema``), Bedrock's ``toolSpec``, and JSON schemas.
Rule 2. So is every type that Pydantic understands: classes of either version, TypedDicts, dataclasses, enums,
``list[int]``, unions, and a ``TypeAdapter``.
Rule 3. A schema that does not describe the answer raises an error, so that it is never ignored.
Rule 4. A schema whose root is not one plain object is requested as the only property of an object, because servers
refuse other roots (OpenAI: ``schema must be a JSON Schema of 'type: "object"'``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_origin

from langchain_core.tools import BaseTool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from typing_extensions import is_typeddict

from langchain_dbchat.dialects.shared.request.tools import convert_tool

UNTITLED = "answer"
"""The name of a schema that has none."""

_WRAPPERS = ("value", "answer", "result", "output", "content")
"""Names for the property of a wrapped schema; the first one that the schema does not use is chosen."""

_DEFINITIONS = ("$defs", "definitions")
_ALTERNATIVES = frozenset({"anyOf", "oneOf", "allOf", "not", "if", "then", "else", "$ref", "enum", "const"})
_ASSERTIONS = _ALTERNATIVES | {
    "type", "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
    "maxProperties", "dependentRequired", "dependentSchemas", "items", "prefixItems", "contains", "minItems",
    "maxItems", "uniqueItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "$dynamicRef", "$recursiveRef",
}  # fmt: skip
"""Keywords of JSON schema that constrain a value."""

_VALUES = frozenset({"enum", "const", "default", "examples"})
"""Keywords whose values are not schemas."""


class Wanted(NamedTuple):
    """A schema for an answer.

    Attributes:
        name: The caller's name of it.
        description: The description, or empty.
        schema: The JSON schema, without title and description.
        strict: The value of ``strict`` in the spelling; None if it has none.
        kind: The given Python type, or a ``TypeAdapter``; None for dicts, functions and tools.
    """

    name: str
    description: str
    schema: dict[str, Any]
    strict: bool | None = None
    kind: Any = None

    @property
    def builds(self) -> bool:
        """Return whether answers are instances of the type; those of a TypedDict, a function and a schema are dicts."""
        return self.kind is not None and not is_typeddict(self.kind)


def read_schema(schema: Any) -> Wanted:
    """Read a schema in any spelling.

    Args:
        schema: The schema.

    Returns:
        The record.

    Raises:
        ValueError: If it does not describe the answer, or cannot be written as a JSON schema.
        TypeError: If it is a value and not a schema.
    """
    if isinstance(schema, Mapping):
        return _read_mapping(schema)
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return _read_class(schema)
    if isinstance(schema, TypeAdapter) or (_is_type(schema) and not is_typeddict(schema)):
        return _read_type(schema)
    if not callable(schema) and not isinstance(schema, BaseTool):
        raise TypeError(
            f"{schema!r} is not a schema. Give a Pydantic class, a dataclass, a TypedDict or another type, a JSON "
            "schema, or an OpenAI response format."
        )
    return _converted(schema)


def is_object(schema: Mapping[str, Any]) -> bool:
    """Return whether the root of a schema is one plain object."""
    kind = schema.get("type", "object" if "properties" in schema else None)
    return kind == "object" and _ALTERNATIVES.isdisjoint(schema)


def wrap(schema: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return a schema whose root is one plain object.

    Args:
        schema: A JSON schema.

    Returns:
        The schema and None if its root is one; else an object with one property, and the property's name.
    """
    if is_object(schema):
        return {"type": "object", **schema}, None
    used = set(_property_names(schema))
    key = next((name for name in _WRAPPERS if name not in used), "wrapped_value")
    moved = _moved({name: part for name, part in schema.items() if name != "$schema"}, f"#/properties/{key}")
    definitions = {name: moved.pop(name) for name in _DEFINITIONS if name in moved}
    return {"type": "object", "properties": {key: moved}, "required": [key], **definitions}, key


def _is_type(schema: Any) -> bool:
    """Return whether a value is a type: a class, ``list[int]``, a union, a NewType or an alias."""
    alias = type(schema).__name__ in {"TypeAliasType", "NewType"}
    return isinstance(schema, type) or get_origin(schema) is not None or alias


def _read_mapping(given: Mapping[str, Any]) -> Wanted:
    kind = given.get("type")
    kind = "" if isinstance(kind, list) else kind
    if kind == "json_schema":
        inner = given.get("json_schema", given)
        if not isinstance(inner, Mapping) or inner.get("schema") is None:
            raise ValueError(
                "A response_format of type 'json_schema' needs {'name': ..., 'schema': ...} under that name."
            )
        return _named(inner, inner["schema"])
    if kind in {"json_object", "text"}:
        raise ValueError(f"A response format of type {kind!r} has no schema; for any JSON use method='json_mode'.")
    function = given.get("function")
    if kind == "function" and isinstance(function, Mapping):
        return _named({"strict": given.get("strict"), **function}, function.get("parameters"))
    tool = given.get("toolSpec")
    if isinstance(tool, Mapping):
        inner = tool.get("inputSchema")
        return _named(tool, inner.get("json") if isinstance(inner, Mapping) else None)
    for key in ("input_schema", "inputSchema", "parameters", "schema"):
        if key in given and "properties" not in given and kind in {None, "function", "custom"}:
            return _named(given, given[key])
    if kind == "function":
        raise _no_schema(given)
    return _read_json_schema(given)


def _named(spelling: Mapping[str, Any], schema: Any) -> Wanted:
    """Read the schema in a spelling with a name; the fields of the spelling override those of the schema."""
    if schema is None:
        raise _no_schema(spelling)
    inner = read_schema(schema)
    strict = spelling.get("strict")
    return Wanted(
        str(spelling.get("name") or inner.name),
        str(spelling.get("description") or inner.description),
        inner.schema,
        strict if isinstance(strict, bool) else inner.strict,
        inner.kind,
    )


def _read_json_schema(given: Mapping[str, Any]) -> Wanted:
    if _ASSERTIONS.isdisjoint(given):
        raise _no_schema(given)
    schema = dict(given)
    name = schema.pop("title", None) or schema.pop("name", None)
    strict = schema.pop("strict", None)
    schema = _root(schema)
    name = name or schema.pop("title", None)
    description = schema.pop("description", "")
    named = isinstance(name, str) and bool(name)
    return Wanted(
        str(name) if named else UNTITLED, str(description), schema, strict if isinstance(strict, bool) else None
    )


def _no_schema(given: Mapping[str, Any]) -> ValueError:
    return ValueError(
        f"{dict(given)!r:.300} contains no schema for the answer. Give a JSON schema, such as {{'title': 'City', "
        "'type': 'object', 'properties': {'name': {'type': 'string'}}}, an OpenAI response format, or a Pydantic class."
    )


def _root(schema: dict[str, Any]) -> dict[str, Any]:
    """Replace a root that is only a reference by its target, if that is an object (Pydantic's recursive models)."""
    seen: set[str] = set()
    root = schema
    while isinstance(reference := root.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        node: Any = schema
        for step in reference.removeprefix("#/").split("/") if reference.startswith("#/") else [""]:
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
        if not isinstance(node, Mapping):
            return schema
        root = {**node, **{key: value for key, value in root.items() if key != "$ref"}}
    return root if is_object(root) else schema


def _read_class(kind: Any) -> Wanted:
    """Read a Pydantic class of v1 or v2; objects are written by langchain-core, as for tools."""
    schema = _json_schema_of(kind, kind.model_json_schema if issubclass(kind, BaseModel) else kind.schema)
    return (_converted(kind) if is_object(_root(schema)) else _read_json_schema(schema))._replace(kind=kind)


def _read_type(kind: Any) -> Wanted:
    """Read a type; a class that Pydantic does not support is read by the parameters of its constructor."""
    try:
        adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    except PydanticSchemaGenerationError as error:
        if isinstance(kind, type):
            return _converted(kind)
        raise ValueError(f"{kind!r} cannot be written as a JSON schema: {error}") from error
    schema = _json_schema_of(kind, adapter.json_schema)
    name = getattr(kind, "__name__", None) if isinstance(kind, type) and kind.__module__ != "builtins" else None
    if _ASSERTIONS.isdisjoint(schema):
        raise ValueError(f"{kind!r} allows any answer. Give a type that describes the answer.")
    wanted = _read_json_schema(schema)
    return wanted._replace(name=name if wanted.name == UNTITLED and name else wanted.name, kind=kind)


def _json_schema_of(kind: Any, write: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return write()
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise ValueError(f"{kind!r} cannot be written as a JSON schema: {error}") from error


def _converted(schema: Any) -> Wanted:
    """Read a schema that LangChain can convert to a tool."""
    function = convert_tool(schema, None)["function"]
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    kind = schema if is_typeddict(schema) else None
    return Wanted(function["name"], function.get("description") or "", dict(parameters), None, kind)


def _property_names(node: Any) -> list[str]:
    """Return the names of all properties in a schema."""
    if isinstance(node, list):
        return [name for part in node for name in _property_names(part)]
    if not isinstance(node, Mapping):
        return []
    own = list(node["properties"]) if isinstance(node.get("properties"), Mapping) else []
    return own + [name for part in node.values() for name in _property_names(part)]


def _moved(node: Any, below: str) -> Any:
    """Return a schema for a place below another root, with references adapted; the definitions stay in the root."""
    if isinstance(node, list):
        return [_moved(part, below) for part in node]
    if not isinstance(node, Mapping):
        return node
    copied = {key: value if key in _VALUES else _moved(value, below) for key, value in node.items()}
    reference = node.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        inside = any(reference.startswith(f"#/{name}/") for name in _DEFINITIONS)
        copied["$ref"] = reference if inside else below + reference[1:]
    return copied
