"""Raw control characters in the arguments of a call, which no strict parser takes: each way makes the same call."""

from __future__ import annotations

from typing import Any

import pytest

from kit.calling import Api, calling
from kit.scripted import ScriptedServer
from kit.ways import Way, six_ways
from langchain_dbchat import ChatDatabricksCompat

APIS: list[Api] = ["chat", "responses", "messages"]

RAW = '{\n\t"text": "a\nb\tc\x01 \\\\",\r\n "q\n": ["\\"\n\\"", {"\u00a0": "\\u00e9\n"}],\n "n": 1\n}\n'
READ = {"text": "a\nb\tc\x01 \\", "q\n": ['"\n"', {"\u00a0": "é\n"}], "n": 1}


def model(server: ScriptedServer, api: Api, **more: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(
        model="databricks-claude-sonnet-4-6", host=server.url, token="t", api=api, max_retries=0, **more
    )


@six_ways
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("length", [1, 3, 1000])
@pytest.mark.parametrize("version", [None, "v1"])
def test_raw_control_characters(api: Api, length: int, version: Any, call: Way) -> None:
    with ScriptedServer(lambda got: calling(api, RAW, length, stream=bool(got.json.get("stream")))) as server:
        message = call(model(server, api, coalesce=length > 1, output_version=version), "Hi")
    assert [(made["name"], made["args"]) for made in message.tool_calls] == [("find", READ)]
    assert message.invalid_tool_calls == []
