"""OpenAI's rules for a schema: an object at the root, closed at every level with ``strict`` (docs/wire.md, 6.4).

The rules of ``strict`` are those of platform.openai.com/docs/guides/structured-outputs#supported-schemas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid

if TYPE_CHECKING:
    from langchain_dbchat.local.refusals import Refused
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

AT_THE_TOP = ("oneOf", "anyOf", "allOf", "enum", "not")
STRICT = frozenset(
    {
        "type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "$ref", "$defs",
        "definitions", "title", "description", "pattern", "format", "multipleOf", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
    }
)  # fmt: skip
FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})

SchemaPath = tuple[str, ...]


@dataclass(slots=True)
class OpenAISchema:
    """One schema of a request."""

    request: ChatRequestBody
    owner: str
    """``function 'x'`` or ``response_format 'X'``."""
    strict: bool
    """Whether ``strict: true`` is set."""
    root: dict[str, Any] = field(default_factory=dict)

    def check(self, schema: dict[str, Any]) -> None:
        """Refuse what OpenAI refuses."""
        if schema.get("type") != "object":
            said = f'"{schema["type"]}"' if "type" in schema else '"None"'
            raise self._refused(f"schema must be a JSON Schema of 'type: \"object\"', got 'type: {said}'.")
        if any(name in schema for name in AT_THE_TOP):
            named = "/".join(f"'{name}'" for name in AT_THE_TOP)
            raise self._refused(f"schema must have type 'object' and not have {named} at the top level.")
        if "properties" not in schema:
            raise self._refused("In context=(), object schema missing properties.")
        self.root = schema
        self._walk(schema, ())

    def _refused(self, text: str) -> Refused:
        return invalid(self.request, f"Invalid schema for {self.owner}: {text}")

    def _wrong(self, context: SchemaPath, text: str) -> Refused:
        return self._refused(f"In context={context!r}, {text}")

    def _walk(self, schema: Any, context: SchemaPath) -> None:
        if not isinstance(schema, dict):
            if self.strict:
                raise self._wrong(context, f"{schema!r} is not of type 'object'.")
            return
        self._check_reference(schema.get("$ref", "#"), context)
        kinds = schema.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if "array" in kinds and "items" not in schema:
            raise self._wrong(context, "array schema missing items.")
        if self.strict:
            self._check_closed(schema, kinds, context)
        for key in ("properties", "$defs", "definitions"):
            for name, inner in (schema.get(key) or {}).items():
                self._walk(inner, (*context, key, name))
        for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            for place, inner in enumerate(schema.get(key) or ()):
                self._walk(inner, (*context, key, str(place)))
        if isinstance(schema.get("items"), dict):
            self._walk(schema["items"], (*context, "items"))

    def _check_reference(self, reference: str, context: SchemaPath) -> None:
        """Refuse what is not a pointer to a part of the schema (openai-node #970)."""
        node: Any = self.root if reference == "#" or reference.startswith("#/") else None
        for step in unquote(reference).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list):
                node = dict(enumerate(node)).get(int(name) if name.isdigit() else -1)
            else:
                node = node.get(name) if isinstance(node, dict) else None
        if not isinstance(node, dict | bool):
            raise self._wrong(context, f"reference to component '{reference}' which was not found in the schema.")

    def _check_closed(self, schema: dict[str, Any], kinds: list[Any], context: SchemaPath) -> None:
        if "$ref" in schema:
            beside = sorted(schema.keys() - {"$ref"})
            if beside:
                raise self._wrong(context, f"$ref cannot have keywords {set(beside)!r}.")
            return
        for key in schema:
            if key not in STRICT:
                raise self._wrong(context, f"'{key}' is not permitted.")
        self._check_values(schema, context)
        if "object" in kinds:
            self._check_object(schema, context)

    def _check_values(self, schema: dict[str, Any], context: SchemaPath) -> None:
        if schema.get("format", "date") not in FORMATS:
            raise self._wrong(context, f"'{schema['format']}' is not a valid format.")
        if "type" not in schema and "anyOf" not in schema:
            raise self._wrong(context, "schema must have a 'type' key.")
        if schema.get("items", {}) is True or schema.get("items") == {}:
            raise self._wrong((*context, "items"), "schema must have a 'type' key.")

    def _check_object(self, schema: dict[str, Any], context: SchemaPath) -> None:
        if schema.get("additionalProperties") is not False:
            raise self._wrong(context, "'additionalProperties' is required to be supplied and to be false.")
        required = schema.get("required")
        for name in schema.get("properties") or {}:
            if not isinstance(required, list) or name not in required:
                raise self._wrong(
                    context,
                    "'required' is required to be supplied and to be an array including every key in properties. "
                    f"Missing '{name}'.",
                )
        extra = sorted(set(required or ()) - set(schema.get("properties") or ()))
        if extra:
            raise self._wrong(context, f"'required' has extra keys: {', '.join(extra)}.")
