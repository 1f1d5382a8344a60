"""Translate the work of OpenAI's own tools to LangChain's standard blocks, and back.

Rule 1. The item of a tool (``web_search_call``, ...) is LangChain's ``server_tool_call`` and its
``server_tool_result``, with the names of langchain-core's translator for OpenAI; a generated image is an ``image``
(docs.langchain.com/oss/python/langchain/messages#standard-content-blocks).
Rule 2. ``extras["block_type"]`` has OpenAI's type. The two blocks together contain the whole item, so that it goes
back to OpenAI as it came.
Rule 3. Calls that the caller has to execute (``computer_call``, ``shell_call``, ...) and requests for an approval have
no standard form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_dbchat.dialects.shared.blocks.block_fields import mapping_of
from langchain_dbchat.dialects.shared.blocks.call_arguments import parse_arguments
from langchain_dbchat.dialects.shared.blocks.storable import storable

__all__ = ["native_item", "results_by_call", "standard_work"]

_CALL, _RESULT, _TYPE = "server_tool_call", "server_tool_result", "block_type"
_IMAGE = "image_generation_call"


class _Form(NamedTuple):
    """Where the item of a tool has what LangChain's blocks have.

    Attributes:
        name: LangChain's name of the tool.
        given: The fields that are the arguments.
        output: The field that is the output.
    """

    name: str
    given: tuple[str, ...]
    output: str


_FORMS = {
    "web_search_call": _Form("web_search", ("action",), "sources"),
    "file_search_call": _Form("file_search", ("queries",), "results"),
    "code_interpreter_call": _Form("code_interpreter", ("code",), "outputs"),
    "mcp_call": _Form("remote_mcp", ("arguments",), "output"),
    "mcp_list_tools": _Form("mcp_list_tools", (), "tools"),
}
_NOT_EXTRAS = frozenset({"type", "id", "index", "status", "error"})


def standard_work(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Translate the item of one of OpenAI's own tools.

    Args:
        item: A block of an answer. It is not changed.

    Returns:
        LangChain's standard blocks, without indices; an empty list for any other block.
    """
    kind = item.get("type")
    if not isinstance(kind, str) or not isinstance(item.get("id"), str):
        return []
    if kind == _IMAGE:
        return [_image(item)] if isinstance(item.get("result"), str) else []
    form = _FORMS.get(kind)
    if form is None:
        return []
    fields = dict(item)
    args = {key: fields.pop(key) for key in form.given if key in fields}
    output = fields.pop(form.output, None)
    if kind == "web_search_call":
        action = args.get("action")
        args = {key: value for key, value in action.items() if key != "sources"} if isinstance(action, Mapping) else {}
        output = {"sources": action["sources"]} if isinstance(action, Mapping) and "sources" in action else output
    elif kind == "mcp_call":
        fields.update(args)  # the text, which goes back byte for byte
        args = _parsed(args.get("arguments"))
    if "name" in fields:
        fields["tool_name"] = fields.pop("name")
    extras = {key: value for key, value in fields.items() if key not in _NOT_EXTRAS}
    call = {"type": _CALL, "id": item["id"], "name": form.name, "args": args, "extras": {_TYPE: kind, **extras}}
    return [call, _result(item, kind, output)]


def results_by_call(content: Sequence[Any]) -> dict[Any, Mapping[str, Any]]:
    """Return LangChain's blocks of results in an answer.

    Args:
        content: The blocks of the answer.

    Returns:
        The blocks by the ids of their calls.
    """
    blocks = (block for block in content if isinstance(block, Mapping) and block.get("type") == _RESULT)
    return {block["tool_call_id"]: block for block in blocks if isinstance(block.get("tool_call_id"), str)}


def native_item(block: Mapping[str, Any], results: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Translate LangChain's standard blocks back.

    Args:
        block: A block of an answer. It is not changed.
        results: The results in the same answer, by the ids of their calls.

    Returns:
        OpenAI's item; an empty one for a result, which is a part of the item of its call. None if the block is not the
        work of one of OpenAI's own tools.
    """
    extras = block.get("extras")
    kind = extras.get(_TYPE) if isinstance(extras, Mapping) else None
    if not isinstance(extras, Mapping) or not isinstance(kind, str):
        return None
    rest = {key: value for key, value in extras.items() if key != _TYPE}
    if kind == _IMAGE and block.get("type") == "image":
        return {"type": kind, "id": block.get("id"), "result": block.get("base64"), **rest}
    form = _FORMS.get(kind)
    if form is None or block.get("type") not in {_CALL, _RESULT}:
        return None
    if block["type"] == _RESULT:
        return {}
    if "tool_name" in rest:
        rest["name"] = rest.pop("tool_name")
    args = mapping_of(block, "args")
    call_id = block.get("id")
    result = results.get(call_id, {}) if isinstance(call_id, str) else {}
    output = result.get("output")
    if kind == "web_search_call":
        action = {**args, **mapping_of(result, "output")}
        args, output = {"action": action} if action else {}, None
    item = {"type": kind, "id": call_id, **rest, **({} if kind == "mcp_call" else args)}
    if output is not None:
        item[form.output] = output
    error = mapping_of(result, "extras").get("error")
    return {**item, "error": error} if error else item


def _result(item: Mapping[str, Any], kind: str, output: Any) -> dict[str, Any]:
    failed = item.get("error") or item.get("status") == "failed"
    result: dict[str, Any] = {"type": _RESULT, "tool_call_id": item["id"], "status": "error" if failed else "success"}
    if output is not None:
        result["output"] = output
    error = {"error": item["error"]} if item.get("error") else {}
    return {**result, "extras": {_TYPE: kind, **error}}


def _image(item: Mapping[str, Any]) -> dict[str, Any]:
    extras = {key: value for key, value in item.items() if key not in {*_NOT_EXTRAS, "result"}}
    mime_type = f"image/{item.get('output_format') or 'png'}"
    image = {"type": "image", "id": item["id"], "base64": item["result"], "mime_type": mime_type}
    return {**image, "extras": {_TYPE: _IMAGE, **extras}}


def _parsed(arguments: Any) -> dict[str, Any]:
    parsed = parse_arguments(arguments)[0] if isinstance(arguments, str) else arguments
    return storable(parsed) if isinstance(parsed, dict) else {}
