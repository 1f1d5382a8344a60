"""Arguments that are nested deeply: a call that can be stored and sent back, or an invalid call that says why."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from kit.calling import Api, calling
from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, astream, four_ways, invoke, six_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.dialects.shared.blocks.storable import DEEPEST
from langchain_dbchat.errors import ConfigurationError, MalformedResponseError


def model(server: ScriptedServer, api: Api, **more: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="t", api=api, **more)


def _nested(depth: int) -> str:
    return '{"a\\u00e9":' * (depth - 1) + r'["\ud83d\ude00", "\ud83d"]' + "}" * (depth - 1)


def _use(llm: ChatDatabricksCompat, message: AIMessage) -> None:
    """Store a message in each way, and send what comes back."""
    serializer = JsonPlusSerializer()
    for stored in [
        serializer.loads_typed(serializer.dumps_typed({"messages": [message]}))["messages"][0],
        pickle.loads(pickle.dumps(message)),
        copy.deepcopy(message),
        load(json.loads(json.dumps(dumpd({"state": {"messages": [message]}}))), allowed_objects="all")["state"][
            "messages"
        ][0],
        type(message).model_validate_json(message.model_dump_json()),
    ]:
        calls = [*stored.tool_calls, *stored.invalid_tool_calls]
        for way in (invoke, astream):
            way(llm, [HumanMessage("Hi"), stored, *(ToolMessage("done", tool_call_id=made["id"]) for made in calls)])


@six_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize("depth", [100, DEEPEST])
def test_arguments_nested_deeply(api: Api, depth: int, version: Any, call: Way) -> None:
    text = _nested(depth)
    with ScriptedServer(lambda got: calling(api, text, 30, stream=bool(got.json.get("stream")))) as server:
        llm = model(server, api, output_version=version)
        message = call(llm, "Hi")
        (made,) = message.tool_calls
        _use(llm, message)
    assert made["id"] == "c1"
    assert json.dumps(made["args"], ensure_ascii=False) == '{"aé": ' * (depth - 1) + '["😀", "\ufffd"]' + "}" * (
        depth - 1
    )


@six_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("version", [None, "v1"])
@pytest.mark.parametrize("depth", [DEEPEST + 1, 250, 400, 900])
def test_what_is_nested_more_deeply_is_an_invalid_call(api: Api, depth: int, version: Any, call: Way) -> None:
    text = _nested(depth)
    with ScriptedServer(lambda got: calling(api, text, 30, stream=bool(got.json.get("stream")))) as server:
        llm = model(server, api, output_version=version)
        message = call(llm, "Hi")
        _use(llm, message)
    assert not message.tool_calls
    (invalid,) = message.invalid_tool_calls
    if call.__name__.endswith("events") or (version and call.__name__.endswith("stream")):
        return  # langchain-core assembles these, and gives a reason of its own or none
    (invalid,) = [block for block in message.content_blocks if block["type"] == "invalid_tool_call"]
    assert invalid["error"] == f"The arguments are nested more than {DEEPEST} levels deep."


@four_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("depth", [150, 199, 250, 400, 700])
def test_a_past_call_of_another_client_goes_back(api: Api, depth: int, call: Way) -> None:
    args: dict[str, Any] = {}
    for _ in range(depth):
        args = {"a": args}
    past = AIMessage("", tool_calls=[{"name": "find", "args": args, "id": "c1"}])
    with ScriptedServer(lambda got: calling(api, "{}", 30, stream=bool(got.json.get("stream")))) as server:
        call(model(server, api), [HumanMessage("Hi"), past, ToolMessage("done", tool_call_id="c1")])
    assert '"a' in server.requests[0].body.decode().replace("\\", "")


@four_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("depth", [300, 2_000])
def test_what_a_user_nests_too_deeply_is_our_error(api: Api, depth: int, call: Way) -> None:
    deep: dict[str, Any] = {}
    for _ in range(depth):
        deep = {"a": deep}
    with ScriptedServer(lambda got: calling(api, "{}", 30, stream=bool(got.json.get("stream")))) as server:
        llm = model(server, api, max_retries=0)
        with pytest.raises(ConfigurationError):
            call(llm.bind(extra_body={"x": deep}), "Hi")
        assert not server.requests


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
