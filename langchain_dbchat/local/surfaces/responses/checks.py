"""What the Responses API refuses (docs/wire.md, 9.1, 9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.refusals import Refused

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.responses.request import ItemBody, ResponsesRequestBody

_KNOWN = frozenset(
    {
        "model", "input", "instructions", "include", "max_output_tokens", "max_tool_calls", "metadata",
        "parallel_tool_calls", "reasoning", "safety_identifier", "stream", "temperature", "text", "tool_choice",
        "tools", "top_logprobs", "top_p", "truncation", "user", "prompt_cache_key", "usage_context",
    }
)  # fmt: skip
_STORED = ("background", "store", "conversation", "previous_response_id", "service_tier")
_ROLES = frozenset({"user", "assistant", "system", "developer"})
_PREFIXES = {"message": "msg_", "function_call": "fc_"}
_PARTS = {
    "assistant": frozenset({"output_text", "refusal"}),
    "": frozenset({"input_text", "input_image", "input_file", "input_audio"}),
}
_REQUIRED = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("summary",),
}
_RESULTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
_LONGEST_ID = 64


def invalid(message: str) -> Refused:
    """Return a refusal in OpenAI's words, as Databricks passes it on."""
    return Refused(400, {"error_code": "BAD_REQUEST", "message": f"Bad Request: {message}"})


def check(request: ResponsesRequestBody) -> None:
    """Refuse what the API refuses.

    Raises:
        Refused: 400 if something is wrong.
    """
    body = request.body
    stored = next((name for name in _STORED if name in body), None)
    if stored is not None:
        raise invalid(f"Unsupported parameter: '{stored}' is not supported with Databricks.")
    unknown = next((name for name in body if name not in _KNOWN), None)
    if unknown is not None:
        raise invalid(f"Unknown parameter: '{unknown}'.")
    for name in ("temperature", "top_p"):
        if name in body and not request.model.sampling:
            raise invalid(f"Unsupported parameter: '{name}' is not supported with this model.")
    if request.effort is not None and request.effort not in request.model.efforts:
        raise invalid(f"Unsupported value: 'reasoning.effort' does not support '{request.effort}' with this model.")
    given = body.get("input")
    if not isinstance(given, (str, list)) or not given:
        raise invalid("Missing required parameter: 'input'.")
    for number, item in enumerate(request.items):
        _check_item(item, f"input[{number}]")
    _check_calls(request.items)
    _check_reasoning(request)
    for number, tool in enumerate(body.get("tools") or []):
        _check_tool(tool, f"tools[{number}]")


def _check_item(item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise invalid(f"Invalid type for '{where}': expected an object.")
    kind = item.get("type") or "message"
    nulls = [key for key, value in item.items() if value is None]
    if nulls or "status" in item:
        raise invalid(f"Unknown parameter: '{where}.{'status' if 'status' in item else nulls[0]}'.")
    for key in _REQUIRED.get(kind, ()):
        if key not in item:
            raise invalid(f"Missing required parameter: '{where}.{key}'.")
    item_id = item.get("id")
    if item_id is not None:
        if len(str(item_id)) > _LONGEST_ID:
            raise invalid(
                f"Invalid '{where}.id': string too long. Expected a string with maximum length {_LONGEST_ID}."
            )
        prefix = _PREFIXES.get(kind)
        if prefix is not None and not str(item_id).startswith(prefix):
            raise invalid(f"Invalid '{where}.id': '{item_id}'. Expected an ID that begins with '{prefix[:-1]}'.")
    if kind == "message":
        _check_message(item, where)


def _check_message(item: ItemBody, where: str) -> None:
    role, content = item["role"], item["content"]
    if role not in _ROLES:
        raise invalid(f"Invalid value: '{role}'. Supported values are: {', '.join(sorted(_ROLES))}.")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise invalid(f"Invalid type for '{where}.content': expected one of an array or string.")
    known = _PARTS.get(role, _PARTS[""])
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in known:
            raise invalid(
                f"Invalid value: '{kind}' in '{where}.content[{number}]'. Supported: {', '.join(sorted(known))}."
            )


def _check_calls(items: list[ItemBody]) -> None:
    made: dict[str, str] = {}
    for item in items:
        kind = item.get("type")
        if kind in _RESULTS.values():
            made[item["call_id"]] = str(kind)
        elif kind in _RESULTS and made.pop(item["call_id"], "") != _RESULTS[str(kind)]:
            raise invalid(f"No tool call found for function call output with call_id {item['call_id']}.")
    if made:
        raise invalid(f"No tool output found for function call {next(iter(made))}.")


def _check_reasoning(request: ResponsesRequestBody) -> None:
    items = request.items
    for number, item in enumerate(items):
        if item.get("type") != "reasoning":
            continue
        if not request.signer.is_redaction(item.get("encrypted_content")):
            raise invalid(f"The encrypted content of 'input[{number}]' could not be verified.")
        following = items[number + 1].get("type") if number + 1 < len(items) else None
        if following not in {"message", "function_call", "custom_tool_call", "reasoning"}:
            raise invalid(
                f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item."
            )


def _check_tool(tool: Any, where: str) -> None:
    if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
        raise invalid(f"Missing required parameter: '{where}.type'.")
    if tool["type"] == "function" and not isinstance(tool.get("name"), str):
        raise invalid(f"Missing required parameter: '{where}.name'.")
