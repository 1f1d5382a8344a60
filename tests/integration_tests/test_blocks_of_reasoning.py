"""Blocks of reasoning stay apart, signed or not, whichever way they came."""

from __future__ import annotations

from typing import Any

import pytest

from kit.calling import Api
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, invoke, six_ways
from langchain_dbchat import ChatDatabricksCompat

UNSIGNED = {"type": "thinking", "thinking": "It may rain. "}
SIGNED = {"type": "thinking", "thinking": "It will.", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "ZW5j"}
EMPTY = {"type": "thinking", "thinking": "", "signature": "c2ln"}
ORDERS = {
    "unsigned, signed": [UNSIGNED, SIGNED],
    "unsigned, unsigned": [UNSIGNED, UNSIGNED],
    "unsigned, hidden": [UNSIGNED, HIDDEN],
    "unsigned, empty": [UNSIGNED, EMPTY],
    "hidden, unsigned, signed": [HIDDEN, UNSIGNED, SIGNED],
    "signed, unsigned": [SIGNED, UNSIGNED],
    "signed, hidden, hidden": [SIGNED, HIDDEN, HIDDEN],
}


def _messages(blocks: list[dict[str, Any]], *, stream: bool) -> Scripted:
    blocks = [*blocks, {"type": "text", "text": "Rain."}]
    head = {
        "id": "a",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": blocks,
        "stop_reason": "end_turn",
    }
    if not stream:
        return Scripted(head)
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**head, "content": []}}]
    for index, block in enumerate(blocks):
        start = block if "data" in block else {**block, **dict.fromkeys(block.keys() - {"type"}, "")}
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        for key in [key for key in block if key not in {"type", "data"}]:
            for piece in (block[key][:3], block[key][3:]) if key != "signature" else (block[key],):
                delta = {"type": f"{key}_delta", key: piece}
                events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    events += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    return Scripted(sse(*events, done=False))


def _chat(blocks: list[dict[str, Any]], *, stream: bool) -> Scripted:
    entries = [
        {"type": "summary_encrypted_text", "data": block["data"]}
        if "data" in block
        else {"type": "summary_text", "text": block["thinking"], "signature": block.get("signature")}
        for block in blocks
    ]
    content: list[dict[str, Any]] = [{"type": "reasoning", "summary": [entry]} for entry in entries]
    content.append({"type": "text", "text": "Rain."})
    if not stream:
        return Scripted({"choices": [{"index": 0, "message": {"content": content}, "finish_reason": "stop"}]})
    chunks = [{"choices": [{"index": 0, "delta": {"content": [part]}}]} for part in content]
    return Scripted(sse(*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))


def _without_index(blocks: Any) -> list[Any]:
    return [{key: value for key, value in block.items() if key != "index"} for block in blocks]


@six_ways
@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize(
    ("api", "order"),
    [*(("messages", order) for order in ORDERS), ("chat", "unsigned, hidden"), ("chat", "signed, hidden, hidden")],
)
def test_blocks_of_reasoning_stay_apart(api: Api, order: str, version: Any, coalesce: bool, call: Way) -> None:
    write = _chat if api == "chat" else _messages

    def answer(got: Received) -> Scripted:
        return write(ORDERS[order], stream=bool(got.json.get("stream")))

    with ScriptedServer(answer) as server:
        llm = ChatDatabricksCompat(
            model="databricks-claude-sonnet-4-6",
            host=server.url,
            token="t",
            api=api,
            coalesce=coalesce,
            output_version=version,
        )
        message, whole = call(llm, "Hi"), invoke(llm, "Hi")
    assert _without_index(message.content_blocks) == _without_index(whole.content_blocks)
    assert len(message.content_blocks) == len(ORDERS[order]) + 1
