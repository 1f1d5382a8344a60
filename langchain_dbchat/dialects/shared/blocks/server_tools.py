"""Translate the work of Anthropic's own tools to LangChain's standard blocks, and back.

Rule 1. ``server_tool_use`` and ``mcp_tool_use`` are LangChain's ``server_tool_call``; the results, whose types end with
``_tool_result``, are its ``server_tool_result``
(docs.langchain.com/oss/python/langchain/messages#standard-content-blocks).
Rule 2. ``extras["block_type"]`` has Anthropic's type, as in ChatAnthropic's standard blocks, so that the block goes
back to Anthropic as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_dbchat.dialects.shared.blocks.block_fields import flattened

__all__ = ["native_step", "standard_step"]

_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})
_CALL, _RESULT, _TYPE = "server_tool_call", "server_tool_result", "block_type"


def standard_step(block: Mapping[str, Any]) -> dict[str, Any] | None:
    """Translate a block of Anthropic's own tools.

    Args:
        block: A block of an answer. It is not changed.

    Returns:
        LangChain's standard block, without an index; None for any other block.
    """
    kind = block.get("type")
    rest = {key: value for key, value in block.items() if key not in {"type", "index"}}
    if kind in _CALLS and isinstance(rest.get("id"), str) and isinstance(rest.get("input", {}), Mapping):
        call = {"type": _CALL, "id": rest.pop("id"), "name": rest.pop("name", ""), "args": rest.pop("input", {})}
        return {**call, "extras": {_TYPE: kind, **rest}}
    if isinstance(kind, str) and kind.endswith("_tool_result") and isinstance(rest.get("tool_use_id"), str):
        output = rest.pop("content", None)
        failed = rest.get("is_error") or (isinstance(output, Mapping) and "error_code" in output)
        status = "error" if failed else "success"
        result = {"type": _RESULT, "tool_call_id": rest.pop("tool_use_id"), "status": status, "output": output}
        return {**result, "extras": {_TYPE: kind, **rest}}
    return None


def native_step(block: Mapping[str, Any]) -> dict[str, Any] | None:
    """Translate LangChain's standard block back.

    Args:
        block: A block of an answer. It is not changed.

    Returns:
        Anthropic's block; None if it is not the standard block of one.
    """
    kind = block.get("type")
    if kind not in {_CALL, _RESULT}:
        return None
    fields = {key: value for key, value in flattened(block).items() if key not in {"type", "extras", "index"}}
    if kind == _CALL:
        own = _own_type(fields, "server_tool_use")
        call = {"type": own, "id": fields.pop("id", None), "name": fields.pop("name", None)}
        return {**call, "input": fields.pop("args", None) or {}, **fields}
    own = _own_type(fields, "web_search_tool_result")
    fields.pop("status", None)
    result = {"type": own, "tool_use_id": fields.pop("tool_call_id", None), "content": fields.pop("output", None)}
    return {**result, **fields}


def _own_type(fields: dict[str, Any], default: str) -> str:
    own = fields.pop(_TYPE, None)
    return own if isinstance(own, str) and own else default
