"""Arguments that are nested more deeply than pydantic's parser follows: each way of calling makes the same call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit.calling import Api, calling
from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, invoke, six_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import MalformedResponseError


def model(server: ScriptedServer, api: Api) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="t", api=api)


@six_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("depth", [150, 250, 500])
def test_arguments_nested_deeply(api: Api, depth: int, call: Way) -> None:
    text = '{"a\\u00e9":' * depth + r'["\ud83d\ude00", "\ud83d"]' + "}" * depth
    with ScriptedServer(lambda got: calling(api, text, 30, stream=bool(got.json.get("stream")))) as server:
        (made,) = call(model(server, api), "Hi").tool_calls
    assert made["id"] == "c1"
    assert json.dumps(made["args"], ensure_ascii=False) == '{"aé": ' * depth + '["😀", "\ufffd"]' + "}" * depth


@pytest.mark.parametrize("where", ["answer", "block", "input"])
def test_what_is_nested_too_deeply_is_malformed(where: str) -> None:
    """Elsewhere than in arguments, and where not even Python's parser follows."""
    depth = 250 if where != "input" else 5_000
    deep = "[" * depth + "]" * depth
    block: dict[str, Any] = {"type": "tool_use", "id": "c1", "name": "find", "input": {}}
    body = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": [block], "stop_reason": "x"}
    {"answer": body, "block": block, "input": block["input"]}[where]["deep"] = "DEEP"
    with ScriptedServer(lambda _: Scripted(json.dumps(body).replace('"DEEP"', deep))) as server:
        with pytest.raises(MalformedResponseError):
            invoke(model(server, "messages"), "Hi")
