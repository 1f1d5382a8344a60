"""JSON schemas in tools and in response formats (docs/wire.md, 6.4).

An invalid or too large schema is refused everywhere; what else is refused depends on the provider of the model.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.schemas import error_in, excess_in
from langchain_dbchat.local.surfaces.chat_completions.checks.google_schemas import check_google
from langchain_dbchat.local.surfaces.chat_completions.checks.openai_schemas import OpenAISchema
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
PROPERTY = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")

LATEST = "https://json-schema.org/draft/2020-12"


def check_schema(
    request: ChatRequestBody, schema: dict[str, Any], place: int | None, name: str, *, strict: bool
) -> None:
    """Refuse a schema that the family refuses.

    Args:
        request: The request.
        schema: The schema.
        place: The number of its tool, None for a response format.
        name: Its tool's name, or its own.
        strict: Whether ``strict: true`` is set.
    """
    rules = request.family.schemas
    path = "response_format.json_schema.schema" if place is None else f"tools.{place}.function.parameters"
    if rules == "claude" and place is not None and "type" not in schema:
        raise invalid(request, f"tools.{place}.custom.input_schema.type: Field required")
    error = error_in(schema, latest_draft=rules == "openai")
    if error:
        raise invalid(request, f"{path}: JSON schema is invalid: {error}")
    if rules == "google":
        kind = schema.get("type", "object")
        google = "generation_config.response_schema"
        if place is not None:
            google = f"tools[0].function_declarations[{place}].parameters"
            if isinstance(kind, str) and kind.lower() != "object":
                raise invalid(request, f"* GenerateContentRequest.{google}: schema should be of type OBJECT")
        check_google(request, schema, google)
    if rules == "claude":
        _check_claude(request, schema, path if place is None else f"tools.{place}.custom.input_schema", place)
    if rules == "openai" and schema:
        owner = f"response_format '{name}'" if place is None else f"function '{name}'"
        OpenAISchema(request, owner, strict=strict).check(schema)


def _check_claude(request: ChatRequestBody, schema: dict[str, Any], path: str, place: int | None) -> None:
    if place is not None:
        if any(key in schema for key in ("oneOf", "allOf", "anyOf")):
            raise invalid(request, f"{path}: input_schema does not support oneOf, allOf, or anyOf at the top level")
        if schema["type"] != "object":
            raise invalid(request, f"{path}.type: Input should be 'object'")
    properties = schema.get("properties")
    if isinstance(properties, dict) and not all(map(PROPERTY.fullmatch, properties)):
        raise invalid(request, f"{path}.properties: Property keys should match pattern '{PROPERTY.pattern}'")
    if error_in(schema, latest_draft=True):
        raise invalid(request, f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12 ({LATEST}).")


def check_sizes(request: ChatRequestBody) -> None:
    """Refuse schemas beyond the bounds, in tools and in the response format."""
    tools = request.body.get("tools")
    for place, tool in enumerate(tools if isinstance(tools, list) else []):
        function = tool.get("function") if isinstance(tool, dict) else None
        schema = function.get("parameters") if isinstance(function, dict) else None
        _check_size(request, f"tools.{place}.function.parameters", schema)
    wanted = request.body.get("response_format")
    held = wanted.get("json_schema") if isinstance(wanted, dict) else None
    _check_size(request, "response_format.json_schema.schema", held.get("schema") if isinstance(held, dict) else None)


def _check_size(request: ChatRequestBody, path: str, schema: Any) -> None:
    excess = excess_in(schema)
    if excess:
        raise invalid(request, f"{path}: JSON schema is too large: {excess}")
