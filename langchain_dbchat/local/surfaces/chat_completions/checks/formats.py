"""``response_format`` (docs/wire.md, 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.schemas import subschemas
from langchain_dbchat.local.surfaces.chat_completions.checks.schemas import check_schema
from langchain_dbchat.local.surfaces.chat_completions.checks.tools import check_name
from langchain_dbchat.local.surfaces.chat_completions.refusals import invalid

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.chat_completions.request import ChatRequestBody

MOST_KEYS = 64


def check_format(request: ChatRequestBody) -> None:
    """Refuse formats that the family does not accept, at all or in this request."""
    wanted = request.body.get("response_format")
    if wanted is None:
        return
    family = request.family
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise invalid(request, "response_format.type: Input should be 'text', 'json_object' or 'json_schema'")
    if kind == "text":
        return
    if (kind == "json_object" and not family.json_object) or (kind == "json_schema" and not family.json_schema):
        raise invalid(request, f"response_format.type: '{kind}' is not supported for this model.")
    if family.error_style == "claude":
        if request.tools:
            raise invalid(request, "Cannot specify both response_format and tools in the same request.")
        if request.streaming:
            raise invalid(request, "response_format: `stream` must be false")
    if kind == "json_object":
        # Only string content counts, not lists (docs/wire.md, 2.2).
        texts = [message["content"] for message in request.messages if isinstance(message.get("content"), str)]
        if not any("json" in text.lower() for text in texts):
            raise invalid(
                request,
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            )
    else:
        _check_schema(request, wanted)


def _check_schema(request: ChatRequestBody, wanted: dict[str, Any]) -> None:
    given = wanted.get("json_schema")
    if not isinstance(given, dict) or not isinstance(given.get("schema"), dict):
        raise invalid(request, "response_format.json_schema.schema: Field required")
    if not isinstance(given.get("name"), str) or not given["name"]:
        raise invalid(request, "response_format.json_schema.name: Field required")
    check_name(request, "response_format.json_schema.name", given["name"])
    check_schema(request, given["schema"], None, given["name"], strict=given.get("strict") is True)
    keys = sum(len(node.get("properties") or {}) for node in subschemas(given["schema"]))
    if keys > MOST_KEYS:
        raise invalid(
            request, f"response_format.json_schema.schema: at most {MOST_KEYS} keys are supported, found {keys}"
        )
