"""What the API refuses, before the model is asked: fields, input items, tools, replayed reasoning (docs/wire.md, 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.schemas import error_in, excess_in
from langchain_dbchat.local.surfaces.responses.refusals import invalid, unknown_parameter, wrong_type

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.responses.request import ResponsesRequestBody

KNOWN = frozenset(
    {
        "model", "input", "instructions", "max_output_tokens", "reasoning", "tools", "tool_choice", "text", "stream",
        "include", "temperature", "top_p", "parallel_tool_calls", "metadata", "truncation", "user",
        "max_tool_calls", "prompt_cache_key", "safety_identifier", "top_logprobs", "stream_options",
    }
)  # fmt: skip
REFUSED = ("background", "store", "conversation", "previous_response_id", "service_tier")
BUILT_IN = frozenset(
    {"custom", "apply_patch", "shell", "image_generation", "mcp", "web_search", "web_search_preview",
     "code_interpreter", "file_search", "computer_use_preview"}
)  # fmt: skip
LONGEST_ID = 64
PREFIXES = {"message": "msg_", "function_call": "fc_", "reasoning": "rs_"}
FIELDS = {
    "message": {"role", "content", "phase"},
    "function_call": {"call_id", "name", "arguments"},
    "function_call_output": {"call_id", "output"},
    "reasoning": {"summary", "content", "encrypted_content"},
}
NEEDED = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id",),
}
PARTS = {"input_text", "input_image", "input_file", "output_text", "refusal"}


def check(request: ResponsesRequestBody) -> None:
    """Refuse a request that the API or the model does not take.

    Raises:
        Refused: 400, with OpenAI's text.
    """
    _check_fields(request)
    _check_tools(request)
    _check_format(request.body.get("text"))
    given = request.body.get("input")
    if not isinstance(given, str | list) or not given:
        raise wrong_type("input", "a string or a list of items that is not empty")
    for place, item in enumerate(request.items):
        _check_item(request, f"input[{place}]", item)
    _check_pairs(request)


def _check_fields(request: ResponsesRequestBody) -> None:
    body, model = request.body, request.model
    for key in body:
        if key in REFUSED:
            raise invalid(f"'{key}' is not supported on Databricks.")
        if key not in KNOWN:
            raise unknown_parameter(key)
    for key in ("temperature", "top_p"):
        if body.get(key) is not None and not model.sampling:
            raise invalid(f"Unsupported parameter: '{key}' is not supported with this model.")
    if not isinstance(body.get("include") or [], list):
        raise wrong_type("include", "a list")
    _check_limit(body.get("max_output_tokens"), model.output)
    _check_effort(request)


def _check_limit(limit: Any, most: int | None) -> None:
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise wrong_type("max_output_tokens", "a positive integer")
    if limit is not None and most is not None and limit > most:
        raise invalid(f"max_output_tokens is too large: {limit}. This model supports at most {most}.")


def _check_effort(request: ResponsesRequestBody) -> None:
    body, model = request.body, request.model
    if not isinstance(body.get("reasoning") or {}, dict):
        raise wrong_type("reasoning", "an object")
    effort = request.reasoning.get("effort")
    if effort is not None and effort not in model.efforts:
        supported = ", ".join(f"'{one}'" for one in model.efforts)
        raise invalid(f"Unsupported value: 'reasoning.effort' does not support '{effort}'. Supported: {supported}.")


def _check_tools(request: ResponsesRequestBody) -> None:
    tools = request.body.get("tools") or []
    names = []
    for place, tool in enumerate(tools if isinstance(tools, list) else [None]):
        path = f"tools[{place}]"
        if not isinstance(tool, dict):
            raise wrong_type(path, "an object")
        if str(tool.get("type")) in BUILT_IN:
            names.append(tool.get("name"))
            continue
        if tool.get("type") != "function":
            raise invalid(f"Invalid value: '{tool.get('type')}' for '{path}.type'.")
        for key in tool.keys() - {"type", "name", "description", "parameters", "strict"}:
            raise unknown_parameter(f"{path}.{key}")
        if not isinstance(tool.get("name"), str):
            raise invalid(f"Missing required parameter: '{path}.name'.")
        _check_schema(f"{path}.parameters", tool.get("parameters") or {"type": "object"})
        names.append(tool["name"])
    choice = request.body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function" and choice.get("name") not in names:
        raise invalid(f"Tool choice 'function' '{choice.get('name')}' not found in 'tools' parameter.")
    if isinstance(choice, str) and choice not in {"auto", "none", "required"}:
        raise invalid(f"Invalid value: '{choice}' for 'tool_choice'.")
    if not names and choice not in (None, "none", "auto"):
        raise invalid("Tool choice 'required' must be specified with 'tools' parameter.")


def _check_format(text: Any) -> None:
    if text is None:
        return
    if not isinstance(text, dict):
        raise wrong_type("text", "an object")
    for key in text.keys() - {"format", "verbosity"}:
        raise unknown_parameter(f"text.{key}")
    wanted = text.get("format")
    if wanted is None:
        return
    kind = str(wanted.get("type")) if isinstance(wanted, dict) else None
    if kind not in {"text", "json_object", "json_schema"}:
        raise invalid(f"Invalid value: '{kind}' for 'text.format.type'.")
    if kind == "json_schema":
        for key in wanted.keys() - {"type", "name", "schema", "strict", "description"}:
            raise unknown_parameter(f"text.format.{key}")
        if not isinstance(wanted.get("name"), str):
            raise invalid("Missing required parameter: 'text.format.name'.")
        _check_schema("text.format.schema", wanted.get("schema"))


def _check_schema(path: str, schema: Any) -> None:
    if not isinstance(schema, dict):
        raise wrong_type(path, "an object")
    error = error_in(schema) or excess_in(schema)
    if error:
        raise invalid(f"Invalid schema for '{path}': {error}")


def _check_item(request: ResponsesRequestBody, path: str, item: Any) -> None:
    if not isinstance(item, dict):
        raise wrong_type(path, "an object")
    kind = str(item.get("type", "message"))
    _check_values(path, item)
    if kind not in FIELDS:
        return
    for key in item.keys() - FIELDS[kind] - {"type", "id"}:
        raise unknown_parameter(f"{path}.{key}")
    for key in NEEDED.get(kind, ()):
        if not isinstance(item.get(key), str):
            raise wrong_type(f"{path}.{key}", "a string")
    _check_id(path, kind, item.get("id", PREFIXES.get(kind, "")))
    if kind in {"message", "function_call_output"}:
        _check_content(f"{path}.{'content' if kind == 'message' else 'output'}", item)
    if kind == "reasoning":
        _check_reasoning(request, path, item)


def _check_values(path: str, item: dict[str, Any]) -> None:
    for key, value in item.items():
        if key == "status":
            raise unknown_parameter(f"{path}.status")
        if value is None:
            raise wrong_type(f"{path}.{key}", "a value, but got null instead")


def _check_id(path: str, kind: str, given: Any) -> None:
    if not isinstance(given, str):
        raise wrong_type(f"{path}.id", "a string")
    if len(given) > LONGEST_ID:
        raise invalid(
            f"Invalid '{path}.id': string too long. Expected a string with maximum length {LONGEST_ID}, but got a "
            f"string with length {len(given)} instead."
        )
    prefix = PREFIXES.get(kind, "")
    if not given.startswith(prefix):
        raise invalid(f"Invalid '{path}.id': '{given}'. Expected an ID that begins with '{prefix}'.")


def _check_content(path: str, item: dict[str, Any]) -> None:
    role = str(item.get("role"))
    if "output" not in item and role not in {"user", "assistant", "system", "developer"}:
        raise invalid(f"Invalid value: '{role}' for a role in 'input'.")
    content = item.get(path.rpartition(".")[2])
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise wrong_type(path, "a string or a list")
    for place, part in enumerate(content):
        kind = str(part.get("type")) if isinstance(part, dict) else None
        if kind not in PARTS:
            raise invalid(f"Invalid value: '{kind}' for '{path}[{place}].type'.")


def _check_reasoning(request: ResponsesRequestBody, path: str, item: dict[str, Any]) -> None:
    """Refuse reasoning that cannot be read: made by another server, changed, or without its encrypted content."""
    if not isinstance(item.get("summary"), list):
        raise invalid(f"Missing required parameter: '{path}.summary'.")
    if not request.is_gpt:
        return
    if "encrypted_content" not in item:
        raise invalid(f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is false.")
    if not request.signer.is_redaction(item["encrypted_content"]):
        raise invalid("The encrypted content could not be verified. It could not be decrypted or parsed.")


def _check_pairs(request: ResponsesRequestBody) -> None:
    calls: set[str] = set()
    results: set[str] = set()
    for item in request.items:
        if item.get("type") == "function_call":
            calls.add(item["call_id"])
        elif item.get("type") == "function_call_output":
            if item["call_id"] not in calls:
                raise invalid(f"No tool call found for function call output with call_id {item['call_id']}.")
            results.add(item["call_id"])
    for call_id in sorted(calls - results):
        raise invalid(f"No tool output found for function call {call_id}.")
