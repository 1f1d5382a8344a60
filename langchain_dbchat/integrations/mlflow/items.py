"""Turn messages into the items of MLflow's ResponsesAgent, and items into messages.

Rule 1. The items are those of OpenAI's Responses as MLflow validates them (github.com/mlflow/mlflow,
mlflow/types/responses_helpers.py). They keep further fields, so a provider's own data of the reasoning survives both
ways: its signature, or its encrypted content.
Rule 2. MLflow's own helper puts the content of a message into one text, which fails for a list of blocks, and loses the
reasoning (mlflow/types/responses.py, `_langchain_message_stream_to_responses_stream`).
Rule 3. Neighbouring items of the assistant are one message, because a provider wants reasoning, text and calls of one
turn together.
Rule 4. A call whose arguments were cut off is not an item, because nobody may execute it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_dbchat.errors import UnsupportedContentError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage, ToolCall

__all__ = ["from_response_items", "text_item_id", "to_response_items"]

_TEXT = frozenset({"text", "output_text", "refusal"})
_CALLS = frozenset(
    {"tool_call", "tool_use", "function_call", "tool_call_chunk", "input_json_delta", "invalid_tool_call"}
)
"""Blocks that repeat a tool call of the message."""

_ASSISTANT = frozenset({"reasoning", "function_call"})


def to_response_items(messages: BaseMessage | Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """Turn an agent's messages into the items of a ``ResponsesAgentResponse``.

    Args:
        messages: The messages that the agent has added. Those of the user and the system are left out.

    Returns:
        New dicts: reasoning, messages, function calls and their outputs, in their order.

    Raises:
        UnsupportedContentError: If a message has content that an item cannot represent, such as an image.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> from langchain_dbchat.integrations.mlflow import to_response_items
        >>> call = {"name": "get_weather", "args": {"city": "Oslo"}, "id": "c1"}
        >>> [item["type"] for item in to_response_items(AIMessage("I look it up.", tool_calls=[call]))]
        ['message', 'function_call']
    """
    items: list[dict[str, Any]] = []
    for message in [messages] if hasattr(messages, "content") else messages:
        if isinstance(message, AIMessage):
            items += _from_assistant(message)
        elif isinstance(message, ToolMessage):
            items.append(_from_tool(message))
    return items


def from_response_items(items: Iterable[Any]) -> list[BaseMessage]:
    """Turn the ``input`` of a ``ResponsesAgentRequest`` into messages.

    Args:
        items: The items, as dicts or as MLflow's objects.

    Returns:
        New messages.

    Raises:
        UnsupportedContentError: If an item has a type that is not known.

    Example:
        >>> from langchain_dbchat.integrations.mlflow import from_response_items
        >>> from_response_items([{"role": "user", "content": "Hello!"}])[0].text
        'Hello!'
    """
    plain = [item if isinstance(item, Mapping) else item.model_dump(exclude_none=True) for item in items]
    messages: list[BaseMessage] = []
    for is_assistant, group in groupby(plain, _is_assistant):
        if is_assistant:
            messages.append(_to_assistant(list(group)))
        else:
            messages += map(_to_message, group)
    return messages


def text_item_id(message_id: str | None, run: int) -> str:
    """Return the id of an item of text.

    Args:
        message_id: The message's id.
        run: Which of the texts of the message it is, from 0; between two of them are other items.

    Returns:
        The id.
    """
    name = message_id or f"msg_{uuid4().hex}"
    return f"{name}_{run}" if run else name


def _from_assistant(message: AIMessage) -> Iterator[dict[str, Any]]:
    content = message.content
    blocks: list[Any] = [content] if isinstance(content, str) else content
    name, runs = message.id or f"msg_{uuid4().hex}", 0
    for kind, group in groupby(blocks, _kind):
        if kind == "text":
            parts = [part for block in group if (part := _write_text(block))]
            if parts:
                item_id = text_item_id(name, runs)
                yield {"type": "message", "id": item_id, "role": "assistant", "content": parts}
            runs += 1
        elif kind == "reasoning":
            yield from map(_write_reasoning, group)
        elif kind in {"server_tool_call", "server_tool_result"}:
            yield from map(_write_step, group)
        elif kind != "call":
            raise UnsupportedContentError(
                f"A message of the assistant has a block of type {kind!r}, for which a ResponsesAgent has no item. "
                "Leave it out, or put it into custom_outputs."
            )
    yield from map(_write_call, message.tool_calls)


def _kind(block: Any) -> str:
    kind = "text" if isinstance(block, str) else str(block.get("type"))
    return "text" if kind in _TEXT else "call" if kind in _CALLS else kind


def _write_text(block: Any) -> dict[str, Any] | None:
    if isinstance(block, str):
        return {"type": "output_text", "text": block, "annotations": []} if block else None
    if block.get("type") == "refusal":
        return {"type": "refusal", "refusal": block.get("refusal", "")}
    notes = [
        {
            "type": "url_citation",
            "url": note["url"],
            "title": note.get("title") or note["url"],
            "start_index": note.get("start_index"),
            "end_index": note.get("end_index"),
        }
        for note in block.get("annotations") or ()
        if isinstance(note.get("url"), str)
    ]
    return {"type": "output_text", "text": block.get("text", ""), "annotations": notes} if block.get("text") else None


def _write_reasoning(block: Mapping[str, Any]) -> dict[str, Any]:
    """Write reasoning with all that the provider gave with it."""
    item = {key: value for key, value in block.items() if key not in {"index", "reasoning"} and value is not None}
    summary = item.get("summary")
    entries = summary if isinstance(summary, list) else [{"type": "summary_text", "text": block.get("reasoning", "")}]
    # The place in a stream is not part of the entry.
    item["summary"] = [{key: value for key, value in entry.items() if key != "index"} for entry in entries]
    return {"id": f"rs_{uuid4().hex}", **item}


def _write_call(call: ToolCall) -> dict[str, Any]:
    call_id = call.get("id") or f"call_{uuid4().hex}"
    arguments = json.dumps(call["args"], ensure_ascii=False)
    item_id = f"fc_{uuid4().hex}"
    return {"type": "function_call", "id": item_id, "call_id": call_id, "name": call["name"], "arguments": arguments}


def _write_step(block: Mapping[str, Any]) -> dict[str, Any]:
    """Write what an agent behind the model did itself."""
    if block["type"] == "server_tool_call":
        return _write_call({"name": block["name"], "args": block.get("args") or {}, "id": block.get("id")})
    output = block.get("output", "")
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, default=str)
    return {"type": "function_call_output", "call_id": str(block.get("tool_call_id")), "output": text}


def _from_tool(message: ToolMessage) -> dict[str, Any]:
    content: Any = message.content
    if not isinstance(content, str):
        parts = [_write_part(block) for block in content]
        only_text = all(part["type"] == "input_text" for part in parts)
        content = "".join(part["text"] for part in parts) if only_text else parts
    item = {"type": "function_call_output", "call_id": message.tool_call_id, "output": content}
    return {**item, "is_error": True} if message.status == "error" else item


def _write_part(block: Any) -> dict[str, Any]:
    if isinstance(block, str):
        return {"type": "input_text", "text": block}
    if block.get("type") in {"text", "input_text"}:
        return {"type": "input_text", "text": block.get("text", "")}
    if block.get("type") == "image_url":
        url = block["image_url"]
        return {"type": "input_image", "image_url": url["url"] if isinstance(url, Mapping) else url}
    if block.get("type") == "image" and block.get("base64"):
        url = f"data:{block.get('mime_type', 'image/png')};base64,{block['base64']}"
        return {"type": "input_image", "image_url": url}
    return {"type": "input_text", "text": json.dumps(block, ensure_ascii=False, default=str)}


def _is_assistant(item: Mapping[str, Any]) -> bool:
    return item.get("role") == "assistant" or item.get("type") in _ASSISTANT


def _to_assistant(items: list[Mapping[str, Any]]) -> AIMessage:
    blocks: list[str | dict[str, Any]] = []
    calls: list[ToolCall] = []
    message_id: str | None = None
    for item in items:
        if item.get("type") == "reasoning":
            blocks.append(_read_reasoning(item))
        elif item.get("type") == "function_call":
            calls.append(_read_call(item))
        else:
            message_id = message_id or item.get("id")
            blocks += _read_texts(item["content"])
    plain = [block for block in blocks if isinstance(block, dict) and set(block) == {"type", "text"}]
    content: Any = "".join(block["text"] for block in plain) if len(plain) == len(blocks) else blocks
    return AIMessage(content, tool_calls=calls, id=message_id)


def _read_texts(content: Any) -> Iterator[dict[str, Any]]:
    for part in [content] if isinstance(content, str) else content:
        if isinstance(part, str):
            yield {"type": "text", "text": part}
        elif part.get("type") == "refusal":
            yield {"type": "refusal", "refusal": part["refusal"]}
        else:
            yield {"type": "text", "text": part.get("text", "")}


def _read_reasoning(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read reasoning as the provider gave it; an id belongs to encrypted content only."""
    return {key: value for key, value in item.items() if key not in {"id", "status"} or item.get("encrypted_content")}


def _read_call(item: Mapping[str, Any]) -> ToolCall:
    which = f"The arguments of the function call {item.get('call_id')!r}"
    try:
        args = json.loads(item.get("arguments") or "{}")
    except (ValueError, RecursionError) as error:
        raise UnsupportedContentError(f"{which} are not JSON that can be read: {error}.") from error
    if not isinstance(args, dict):
        raise UnsupportedContentError(f"{which} are not a JSON object.")
    return {"type": "tool_call", "name": item["name"], "args": args, "id": item["call_id"]}


def _to_message(item: Mapping[str, Any]) -> BaseMessage:
    kind = item.get("type", "message")
    if kind == "function_call_output":
        output = item["output"]
        return ToolMessage(
            _read_content(output), tool_call_id=item["call_id"], status="error" if item.get("is_error") else "success"
        )
    if kind == "mcp_approval_response":
        return HumanMessage([dict(item)])
    if kind != "message":
        raise UnsupportedContentError(f"The input has an item of type {kind!r}, which is not a message. Leave it out.")
    content = _read_content(item["content"])
    return SystemMessage(content) if item.get("role") in {"system", "developer"} else HumanMessage(content)


def _read_content(content: Any) -> str | list[str | dict[str, Any]]:
    return content if isinstance(content, str) else [_read_part(part) for part in content]


def _read_part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    if kind == "input_file":
        return {"type": "file", "file": {key: value for key, value in part.items() if key != "type"}}
    return {"type": "text", "text": part.get("text", "")}
