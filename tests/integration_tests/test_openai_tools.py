"""The work of OpenAI's own tools: LangChain's standard blocks, and the same items when they go back."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.content import KNOWN_BLOCK_TYPES

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat

Item = dict[str, Any]

SAID: Item = {
    "type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}],
}  # fmt: skip
SEARCH = {"type": "search", "query": "moon", "sources": [{"type": "url", "url": "https://a.example"}]}

ITEMS: dict[str, Item] = {
    "search": {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": SEARCH},
    "search without sources": {
        "type": "web_search_call", "id": "ws_1", "status": "failed", "action": {"type": "open_page", "url": "https://b"},
    },
    "files": {
        "type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["a", "b"],
        "results": [{"file_id": "f", "text": "t", "score": 0.5}],
    },
    "code": {
        "type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1 + 1", "container_id": "c_1",
        "outputs": [{"type": "logs", "logs": "2"}],
    },
    "mcp": {
        "type": "mcp_call", "id": "mcp_1", "server_label": "docs", "name": "find", "arguments": '{"a":  1}',
        "output": "found", "error": None,
    },
    "mcp that failed": {
        "type": "mcp_call", "id": "mcp_1", "server_label": "docs", "name": "find", "arguments": "{broken",
        "output": None, "error": "no such tool",
    },
    "mcp list": {
        "type": "mcp_list_tools", "id": "mcpl_1", "server_label": "docs", "tools": [{"name": "find"}], "error": None,
    },
    "image": {
        "type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBORw0KGgo=",
        "output_format": "webp", "revised_prompt": "A moon", "size": "1024x1024",
    },
}  # fmt: skip

STANDARD: dict[str, list[tuple[Any, ...]]] = {
    "search": [
        ("server_tool_call", "web_search", {"type": "search", "query": "moon"}),
        ("server_tool_result", "success", {"sources": SEARCH["sources"]}),
    ],
    "search without sources": [
        ("server_tool_call", "web_search", {"type": "open_page", "url": "https://b"}),
        ("server_tool_result", "error", None),
    ],
    "files": [
        ("server_tool_call", "file_search", {"queries": ["a", "b"]}),
        ("server_tool_result", "success", ITEMS["files"]["results"]),
    ],
    "code": [
        ("server_tool_call", "code_interpreter", {"code": "1 + 1"}),
        ("server_tool_result", "success", [{"type": "logs", "logs": "2"}]),
    ],
    "mcp": [("server_tool_call", "remote_mcp", {"a": 1}), ("server_tool_result", "success", "found")],
    "mcp that failed": [("server_tool_call", "remote_mcp", {}), ("server_tool_result", "error", None)],
    "mcp list": [("server_tool_call", "mcp_list_tools", {}), ("server_tool_result", "success", [{"name": "find"}])],
    "image": [("image", "image/webp", "iVBORw0KGgo=")],
}


def answering(*items: Item) -> Any:
    def answer(request: Received) -> Scripted:
        done = [{"type": "response.output_item.done", "output_index": n, "item": one} for n, one in enumerate(items)]
        whole = {"object": "response", "status": "completed", "output": list(items)}
        end = {"type": "response.completed", "response": whole}
        return Scripted(sse(*done, end, done=False) if request.json.get("stream") else whole)

    return answer


def told(block: Any) -> tuple[Any, ...]:
    keys = {
        "server_tool_call": ("name", "args"),
        "server_tool_result": ("status", "output"),
        "image": ("mime_type", "base64"),
    }
    return (block["type"], *(block.get(key) for key in keys.get(block["type"], ("text",))))


@four_ways
@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize("name", ITEMS)
def test_an_item_is_standard_and_goes_back_as_it_came(call: Way, name: str, version: str | None) -> None:
    item = ITEMS[name]
    with ScriptedServer(answering(item, SAID)) as server:
        model = ChatDatabricksCompat(
            model="databricks-gpt-5-2", host=server.url, token="dapi0", api="responses", output_version=version
        )
        answer = call(model, "Hi")
        assert [told(block) for block in answer.content_blocks] == [*STANDARD[name], ("text", "Done.")]
        assert all(block["type"] in KNOWN_BLOCK_TYPES for block in answer.content_blocks)
        assert answer.tool_calls == []
        call(model, [HumanMessage("Hi"), answer, HumanMessage("And?")])
    sent = server.requests[1].json["input"][1]
    assert sent == {key: value for key, value in item.items() if value is not None and key != "status"}


@four_ways
def test_what_the_caller_has_to_do_has_no_standard_form(call: Way) -> None:
    items: list[Item] = [
        {"type": "computer_call", "id": "cu_1", "call_id": "c1", "action": {"type": "click"}},
        {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "docs", "name": "find", "arguments": "{}"},
    ]
    with ScriptedServer(answering(*items)) as server:
        model = ChatDatabricksCompat(model="databricks-gpt-5-2", host=server.url, token="dapi0", api="responses")
        answer: Any = call(model, "Hi")
    assert [(block["type"], block["value"]) for block in answer.content_blocks] == [
        ("non_standard", item) for item in items
    ]


def test_another_model_gets_the_text_alone() -> None:
    """The work of one maker's tools means nothing to another one's model."""
    with ScriptedServer(answering(ITEMS["code"], SAID)) as server:
        model = ChatDatabricksCompat(model="databricks-gpt-5-2", host=server.url, token="dapi0", api="responses")
        answer = model.invoke("Hi")
    blocks: list[Any] = [*answer.content_blocks]
    standard = AIMessage(blocks, response_metadata={**answer.response_metadata, "output_version": "v1"})
    reply = {"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]}
    with ScriptedServer(lambda _: Scripted(reply)) as server:
        claude = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="dapi0")
        for one in (answer, standard):
            claude.invoke([HumanMessage("Hi"), one, HumanMessage("And?")])
    for request in server.requests:
        assert "Done." in str(request.json["messages"][1]["content"])
        assert "code_interpreter" not in request.body.decode()
