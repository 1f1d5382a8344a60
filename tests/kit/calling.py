"""Answers with one tool call, on each wire, whole or in fragments of any length."""

from __future__ import annotations

import json
from typing import Any, Literal

from kit.scripted import Scripted, sse

Api = Literal["chat", "responses", "messages"]


def calling(api: Api, arguments: str, length: int, *, stream: bool, cut: bool = False) -> Scripted:
    """Answer with one call of the tool ``find``.

    Args:
        api: The wire.
        arguments: The JSON text of the arguments.
        length: The length of the fragments of a stream.
        stream: Whether a stream was asked for.
        cut: Whether a limit ended the answer.
    """
    fragments = [arguments[start : start + length] for start in range(0, len(arguments), length)]
    if api == "chat":
        function = {"name": "find", "arguments": arguments}
        finish = "length" if cut else "tool_calls"
        call: dict[str, Any] = {"index": 0, "id": "c1", "function": function}
        if not stream:
            message = {"content": None, "tool_calls": [call]}
            return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})
        calls = [{**call, "function": {**function, "arguments": ""}}]
        calls += [{"index": 0, "function": {"arguments": fragment}} for fragment in fragments]
        deltas = [{"choices": [{"index": 0, "delta": {"tool_calls": [made]}}]} for made in calls]
        return Scripted(sse(*deltas, {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}))
    if api == "responses":
        item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "find", "arguments": arguments}
        whole: dict[str, Any] = {"id": "a", "object": "response", "status": "completed", "output": [item]}
        if cut:
            whole |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        if not stream:
            return Scripted(whole)
        place = {"output_index": 0, "item_id": "fc_1"}
        events: list[dict[str, Any]] = [
            {"type": "response.output_item.added", **place, "item": {**item, "arguments": ""}},
            *({"type": "response.function_call_arguments.delta", **place, "delta": piece} for piece in fragments),
            {"type": "response.output_item.done", **place, "item": item},
            {"type": f"response.{whole['status']}", "response": whole},
        ]
        return Scripted(sse(*events, done=False))
    stop = "max_tokens" if cut else "tool_use"
    block = {"type": "tool_use", "id": "c1", "name": "find", "input": {}}
    head = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": []}
    if not stream:
        content = [{**block, "input": json.loads(arguments, strict=False)}]
        return Scripted(json.dumps({**head, "content": content, "stop_reason": stop}))
    events = [
        {"type": "message_start", "message": head},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in fragments
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop}},
        {"type": "message_stop"},
    ]
    return Scripted(sse(*events, done=False))
