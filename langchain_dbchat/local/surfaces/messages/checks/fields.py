"""The fields of a request, and the values of those that depend on nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.schemas import error_in, excess_in, subschemas
from langchain_dbchat.local.surfaces.messages.refusals import invalid, missing, unknown_field

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody

KNOWN = frozenset(
    {
        "model", "messages", "max_tokens", "system", "tools", "tool_choice", "thinking", "output_config",
        "stop_sequences", "stream", "temperature", "top_p", "top_k", "metadata", "service_tier",
    }
)  # fmt: skip
SAMPLING = ("temperature", "top_p", "top_k")
EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
REFUSED_KEYWORDS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems"}
)


def check_fields(request: MessagesRequestBody) -> None:
    """Refuse unknown fields, a missing limit, and values out of their range."""
    body, model = request.body, request.model
    for key in body:
        if key not in KNOWN:
            raise unknown_field(key)
    _check_limit(body.get("max_tokens"), model.output, model.name)
    for key in SAMPLING:
        if body.get(key) is not None and not model.sampling:
            raise invalid(f"`{key}` is deprecated for this model.")
        _check_number(key, body.get(key))
    _check_stop(body.get("stop_sequences"))
    metadata = body.get("metadata")
    for key in metadata if isinstance(metadata, dict) else ():
        if key != "user_id":
            raise unknown_field(f"metadata.{key}")
    _check_output_config(body.get("output_config"))


def _check_number(key: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, int if key == "top_k" else int | float) or isinstance(value, bool):
        raise invalid(f"{key}: Input should be a valid {'integer' if key == 'top_k' else 'number'}")
    if not value >= 0:
        raise invalid(f"{key}: Input should be greater than or equal to 0")
    if key != "top_k" and value > 1:
        raise invalid(f"{key}: Input should be less than or equal to 1")


def _check_limit(limit: Any, most: int | None, model: str) -> None:
    if limit is None:
        raise missing("max_tokens")
    if not isinstance(limit, int) or limit < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    if most is not None and limit > most:
        raise invalid(f"max_tokens: {limit} > {most}, which is the maximum allowed number of output tokens for {model}")


def _check_stop(stop: Any) -> None:
    if stop is None:
        return
    if not isinstance(stop, list) or not all(isinstance(text, str) for text in stop):
        raise invalid("stop_sequences: Input should be a valid list of strings")
    if not all(text.strip() for text in stop):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")


def _check_output_config(config: Any) -> None:
    if config is None:
        return
    if not isinstance(config, dict):
        raise invalid("output_config: Input should be an object")
    for key in config:
        if key not in {"effort", "format"}:
            raise unknown_field(f"output_config.{key}")
    if config.get("effort") not in (None, *EFFORTS):
        raise invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    if config.get("format") is not None:
        _check_format(config["format"])


def _check_format(wanted: Any) -> None:
    path = "output_config.format"
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise invalid(f"{path}.type: Input should be 'json_schema'")
    for key in wanted:
        if key not in {"type", "schema"}:
            raise unknown_field(f"{path}.{key}")
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise missing(f"{path}.schema")
    _check_schema(f"{path}.schema", schema)


def _check_schema(path: str, schema: dict[str, Any]) -> None:
    error = error_in(schema, latest_draft=True) or excess_in(schema)
    if error:
        raise invalid(f"{path}: JSON schema is invalid: {error}")
    for node in subschemas(schema):
        if node.get("type") == "object" and node.get("additionalProperties") is not False:
            raise invalid(f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false")
        for key in REFUSED_KEYWORDS & node.keys():
            raise invalid(f"{path}: For '{node.get('type')}' type, property '{key}' is not supported")
