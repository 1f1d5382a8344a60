"""Sources beside the answer belong to its text, wherever the text stands, whichever way the answer came."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, invoke, six_ways
from langchain_dbchat import ChatDatabricksCompat

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm", "signature": "c2ln"}]}
FIELDS: dict[str, dict[str, Any]] = {
    "citations": {"citations": ["https://yr.no"]},
    "sources": {"search_results": [{"url": "https://yr.no", "title": "Yr"}]},
}
ORDERS: list[list[Any]] = [
    ["Rain.", IMAGE],
    ["Rain.", REASONING],
    ["Rain.", REASONING, IMAGE],
    [IMAGE, "Rain."],
    ["Rain."],
]


def _answer(got: Received, order: list[Any], fields: dict[str, Any]) -> Scripted:
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in order]
    if not got.json.get("stream"):
        return Scripted({"choices": [{"index": 0, "message": {"content": parts}, "finish_reason": "stop"}], **fields})
    deltas = [{"content": part if isinstance(part, str) else [part]} for part in order]
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return Scripted(sse(*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **fields}))


@six_ways
@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_sources_beside_the_answer_belong_to_its_text(order: list[Any], fields: str, version: Any, call: Way) -> None:
    with ScriptedServer(lambda got: _answer(got, order, FIELDS[fields])) as server:
        llm = ChatDatabricksCompat(
            model="databricks-claude-sonnet-4-6",
            host=server.url,
            token="t",
            api="chat",
            coalesce=False,
            output_version=version,
        )
        message, whole = call(llm, "Hi"), invoke(llm, "Hi")
        for answer in (message, whole):
            invoke(llm, [HumanMessage("Hi"), answer, HumanMessage("Go on")])
        sent = [request.json["messages"][1:] for request in server.requests[-2:]]
    blocks: Any = [[{**block, "index": 0} for block in answer.content_blocks] for answer in (message, whole)]
    assert blocks[0] == blocks[1]
    (text,) = [block for block in blocks[0] if block["type"] == "text"]
    assert [source["url"] for source in text["annotations"]] == ["https://yr.no"]
    assert sent[0] == sent[1]
