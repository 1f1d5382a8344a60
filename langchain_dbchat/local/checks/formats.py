"""``response_format`` (docs/wire.md, 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.checks.schemas import check_schema, subschemas
from langchain_dbchat.local.checks.tools import check_name
from langchain_dbchat.local.refusals import invalid

if TYPE_CHECKING:
    from langchain_dbchat.local.asked import Asked

MOST_KEYS = 64


def check_format(asked: Asked) -> None:
    """Refuse formats that the family does not have, or not here."""
    wanted = asked.body.get("response_format")
    if wanted is None:
        return
    family = asked.model.family
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise invalid(asked, "response_format.type: Input should be 'text', 'json_object' or 'json_schema'")
    if kind == "text":
        return
    if (kind == "json_object" and not family.json_object) or (kind == "json_schema" and not family.json_schema):
        raise invalid(asked, f"response_format.type: '{kind}' is not supported for this model.")
    if family.voice == "claude":
        if asked.tools:
            raise invalid(asked, "Cannot specify both response_format and tools in the same request.")
        if asked.streaming:
            raise invalid(asked, "response_format: `stream` must be false")
    if kind == "json_object":
        # Only string content is looked at, not lists (docs/wire.md, 2.2).
        texts = [message["content"] for message in asked.messages if isinstance(message.get("content"), str)]
        if not any("json" in text.lower() for text in texts):
            raise invalid(
                asked,
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            )
    else:
        _check_schema(asked, wanted)


def _check_schema(asked: Asked, wanted: dict[str, Any]) -> None:
    held = wanted.get("json_schema")
    if not isinstance(held, dict) or not isinstance(held.get("schema"), dict):
        raise invalid(asked, "response_format.json_schema.schema: Field required")
    if not isinstance(held.get("name"), str) or not held["name"]:
        raise invalid(asked, "response_format.json_schema.name: Field required")
    check_name(asked, "response_format.json_schema.name", held["name"])
    check_schema(asked, held["schema"], None, held["name"], strict=held.get("strict") is True)
    keys = sum(len(node.get("properties") or {}) for node in subschemas(held["schema"]))
    if keys > MOST_KEYS:
        raise invalid(
            asked, f"response_format.json_schema.schema: at most {MOST_KEYS} keys are supported, found {keys}"
        )
