"""A call whose arguments are not an object, or were cut off, is not lost, and goes back as the model wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from kit.calling import Api, calling
from kit.scripted import Received, Scripted, ScriptedServer
from kit.ways import Way, four_ways, invoke, six_ways
from langchain_dbchat import ChatDatabricksCompat


def model(server: ScriptedServer, api: Api, **more: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(
        model="databricks-claude-sonnet-4-6", host=server.url, token="t", api=api, max_retries=0, **more
    )


INVALID = [
    ('{"a": "x', True),
    ('{"a": "x"', True),
    ('{"a": [1, {"b": "y\n', True),
    ('{"a": [1', True),
    ('{"a": "x\\', True),
    ("", True),
    ("{", True),
    ("[1]", False),
    ("'a'\n\"b\nc", False),
    ('{"a": 1} and more]', False),
    ('"words"', False),
]


def _sent_back(api: Api, body: Any) -> Any:
    if api == "responses":
        return next(item for item in body["input"] if item.get("type") == "function_call")["arguments"]
    return body["messages"][1]["tool_calls"][0]["function"]["arguments"]


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize(("text", "cut"), INVALID)
@pytest.mark.parametrize("version", [None, "v1"])
def test_an_invalid_call_goes_back_as_the_model_wrote_it(api: Api, text: str, cut: bool, version: Any) -> None:
    def answer(got: Received) -> Scripted:
        history = got.json.get("messages", got.json.get("input"))
        first = not isinstance(history, list) or len(history) == 1
        return calling(api, text if first else "{}", 3, stream=bool(got.json.get("stream")), cut=cut and first)

    sent: dict[str, list[Any]] = {}
    with ScriptedServer(answer) as server:
        llm = model(server, api, output_version=version)
        for way in six_ways.args[1]:
            message: AIMessage = way(llm, "Hi")
            (invalid,) = message.invalid_tool_calls
            assert message.tool_calls == []
            assert (invalid["args"] or "").replace("\\n", "\n").startswith(text)
            invoke(llm, [HumanMessage("Hi"), message, HumanMessage("Go on")])
            sent.setdefault(json.dumps(_sent_back(api, server.requests[-1].json)), []).append(way.__name__)
    assert len(sent) == 1, sent


@four_ways
@pytest.mark.parametrize(("text", "cut"), INVALID)
def test_the_standard_blocks_say_why_a_call_is_invalid(text: str, cut: bool, call: Way) -> None:
    with ScriptedServer(lambda got: calling("chat", text, 3, stream=bool(got.json.get("stream")), cut=cut)) as server:
        message = call(model(server, "chat"), "Hi")
        whole = invoke(model(server, "chat"), "Hi")
    (block,), (invalid,) = message.content_blocks, whole.invalid_tool_calls
    assert block["type"] == "invalid_tool_call"
    assert (block["args"], block["error"]) == (invalid["args"], invalid["error"])
    assert invalid["error"]
