"""What Google's ``Schema`` message accepts: fixed fields, one type, strings in enums (docs/wire.md, 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid

if TYPE_CHECKING:
    from langchain_dbchat.local.refusals import Refused
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

FIELDS = frozenset(
    {
        "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required",
        "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering",
        "default", "items", "minimum", "maximum",
    }
)  # fmt: skip
TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
TEXT_FORMATS = frozenset({"enum", "date-time"})
"""For any other format of a text see gemini-cli #3178."""
TYPE = "type.googleapis.com/google.ai.generativelanguage.v1beta.Type"


def check_google(request: ChatRequestBody, schema: Any, path: str) -> None:
    """Refuse a schema that is not such a message."""
    if not isinstance(schema, dict):
        raise invalid(request, f"Invalid value at '{path}' (google.ai.generativelanguage.v1beta.Schema), {schema!r}")
    for name in schema:
        if name not in FIELDS:
            raise invalid(
                request, f"Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."
            )
    _check_type(request, schema, path)
    _check_enum(request, schema, path)
    for place, name in enumerate(schema.get("required") or ()):
        if name not in (schema.get("properties") or {}):
            raise _missing(request, f"{path}.required[{place}]: property is not defined")
    for place, inner in enumerate((schema.get("properties") or {}).values()):
        check_google(request, inner, f"{path}.properties[{place}].value")
    for place, inner in enumerate(schema.get("anyOf") or ()):
        check_google(request, inner, f"{path}.any_of[{place}]")
    if "items" in schema:
        check_google(request, schema["items"], f"{path}.items")


def _check_type(request: ChatRequestBody, schema: dict[str, Any], path: str) -> None:
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        raise invalid(request, f"Proto field is not repeating, cannot start list. at '{path}.type'")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise invalid(request, f"Invalid value at '{path}.type' ({TYPE}), \"{kind}\"")
    if kind.lower() == "string" and schema.get("format", "enum") not in TEXT_FORMATS:
        raise _missing(request, f"{path}.format: only 'enum' and 'date-time' are supported for STRING type")
    if kind.lower() == "array" and "items" not in schema:
        raise invalid(request, f"* GenerateContentRequest.{path}.items: missing field.")


def _check_enum(request: ChatRequestBody, schema: dict[str, Any], path: str) -> None:
    for place, value in enumerate(schema.get("enum") or ()):
        if not isinstance(value, str):
            said = to_json(value).decode()
            raise invalid(request, f"Invalid value at '{path}.enum[{place}]' (TYPE_STRING), {said}")
        if not value:
            raise _missing(request, f"{path}.enum[{place}]: cannot be empty")
    if schema.get("enum") and str(schema.get("type")).lower() != "string":
        raise _missing(request, f"{path}.enum: only allowed for STRING type")


def _missing(request: ChatRequestBody, text: str) -> Refused:
    return invalid(request, f"* GenerateContentRequest.{text}")
