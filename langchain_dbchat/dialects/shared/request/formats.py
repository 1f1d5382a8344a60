"""Write the ``response_format`` of a request from a schema in any supported spelling (see `spellings`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.request.spellings import UNTITLED, read_schema
from langchain_dbchat.dialects.shared.schemas import fit_answer

if TYPE_CHECKING:
    from langchain_dbchat.dialects.dialect import Target


NO_JSON_MODE = "it has no JSON mode, or none beside tools, so the prompt alone asks for JSON; a schema is more reliable"
"""The warning about a response format for any JSON, where it is not sent."""


def encode_format(response_format: Any) -> dict[str, Any]:
    """Turn a response format or a schema into the ``response_format`` of a request.

    Args:
        response_format: A ``response_format`` as a dict, or a schema in any spelling.

    Returns:
        The request's ``response_format``.

    Raises:
        TypeError: If it is a string or another value that is not a schema.
        ValueError: If its schema is missing.
    """
    if isinstance(response_format, str):
        raise TypeError(f"response_format={response_format!r} is not a dict: {{'type': 'json_object'}}, or a schema.")
    if isinstance(response_format, Mapping):
        if response_format.get("type") in ("text", "json_object"):
            return dict(response_format)
        held = response_format.get("json_schema")
        if isinstance(held, Mapping) and isinstance(held.get("schema"), Mapping):
            return {**response_format, "json_schema": {"name": UNTITLED, **held}}
    wanted = read_schema(response_format)
    return write_format(wanted.name, wanted.description, wanted.schema, wanted.strict)


def write_format(name: str, description: str, schema: Mapping[str, Any], strict: bool | None) -> dict[str, Any]:
    """Write a ``response_format`` of type ``json_schema``.

    Args:
        name: The schema's name.
        description: What it stands for, which goes into the schema.
        schema: The JSON schema.
        strict: Whether the answer has to follow it exactly; None says nothing.

    Returns:
        The response format.
    """
    held: dict[str, Any] = {"name": name, "schema": {**({"description": description} if description else {}), **schema}}
    if strict is not None:
        held["strict"] = strict
    return {"type": "json_schema", "json_schema": held}


def fit_named_schema(encoded: dict[str, Any], given: Any, target: Target, *, drops_nulls: bool) -> None:
    """Fit the schema of a response format to a model, in place.

    Args:
        encoded: The response format that `encode_format` made; its schema and ``strict`` are replaced.
        given: What the caller gave: a response format or a schema.
        target: The called model.
        drops_nulls: Whether the parser of the answer drops the nulls that only a closed schema allows.

    Raises:
        ValueError: If the schema cannot be fitted.
    """
    named = encoded.get("json_schema")
    if not isinstance(named, dict) or not isinstance(named.get("schema"), Mapping):
        return
    named["schema"], strict = fit_answer(
        named["schema"],
        target.family,
        str(named.get("name")),
        strict=named.get("strict"),
        written=isinstance(given, Mapping) and given.get("type") == "json_schema",
        drops_nulls=drops_nulls,
        model=target.model,
    )
    named.pop("strict", None)
    if strict is not None:
        named["strict"] = strict
