"""An integer that no checkpoint stores: the tool gets all its digits, the message is stored, the number goes back."""

from __future__ import annotations

import json
import pickle
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from kit.calling import Api, calling
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, ainvoke, astream, invoke, six_ways, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.dialects.shared.blocks.argument_fragments import ArgumentFragments
from langchain_dbchat.dialects.shared.blocks.storable import storable

APIS: list[Api] = ["chat", "responses", "messages"]
STORED = [2**64 - 1, -(2**63), 2**63, 0, 10**18]
TEXT = [2**64, -(2**63) - 1, 2**70, int("9" * 400), -int("9" * 400), 10**4299]
WRITTEN = f"""{{"n": {TEXT[0]}, "l": [{", ".join(map(str, [*STORED, *TEXT]))}], "o": {{"s": "{TEXT[2]}0", "e": 1e30,
 "f": 0.{"1" * 40}, "g": {"2" * 30}.5, "h": {"3" * 30}e2, "t": true, "q": "\\"{TEXT[2]}1,", "x": {TEXT[4]} }}}}"""


def model(server: ScriptedServer, api: Api, **more: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(
        model="databricks-claude-sonnet-4-6", host=server.url, token="t", api=api, max_retries=0, **more
    )


def _serve(api: Api, text: str, length: int) -> ScriptedServer:
    return ScriptedServer(lambda got: calling(api, text, length, stream=bool(got.json.get("stream"))))


def _stored(message: AIMessage) -> list[AIMessage]:
    serializer = JsonPlusSerializer()
    return [
        serializer.loads_typed(serializer.dumps_typed({"messages": [message]}))["messages"][0],
        pickle.loads(pickle.dumps(message)),
        load(json.loads(json.dumps(dumpd(message))), allowed_objects="all"),
        type(message).model_validate_json(message.model_dump_json()),
    ]


def _sent_back(server: ScriptedServer, api: Api) -> Any:
    body = json.loads(server.requests[-1].body)
    if api == "responses":
        return json.loads(next(item for item in body["input"] if item.get("type") == "function_call")["arguments"])
    if api == "messages":
        return next(block for block in body["messages"][1]["content"] if block["type"] == "tool_use")["input"]
    return json.loads(body["messages"][1]["tool_calls"][0]["function"]["arguments"])


@six_ways
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("length", [1, 7, 100_000])
@pytest.mark.parametrize("more", [{}, {"output_version": "v1"}, {"coalesce": False}], ids=str)
def test_it_is_text_with_its_digits_and_goes_back_as_a_number(
    api: Api, length: int, more: dict[str, Any], call: Way
) -> None:
    written = json.loads(WRITTEN)
    with _serve(api, WRITTEN, length) as server:
        llm = model(server, api, **more)
        message = call(llm, "Hi")
        (made,) = message.tool_calls
        assert made["args"] == storable(written)
        assert made["args"]["n"] == str(2**64)
        assert made["args"]["l"] == [*STORED, *map(str, TEXT)]
        for stored in _stored(message):
            assert stored.tool_calls == message.tool_calls
            invoke(llm, [HumanMessage("Hi"), stored, ToolMessage("done", tool_call_id="c1")])
            assert _sent_back(server, api) == written
            assert "large_integers" not in server.requests[-1].body.decode()


@pytest.mark.parametrize(
    ("api", "call"),
    [
        *((api, call) for api in APIS[:2] for call in (invoke, ainvoke)),
        *((api, call) for api in APIS for call in (stream, astream)),
    ],
)
def test_a_number_that_python_does_not_read_is_text_as_well(api: Api, call: Way) -> None:
    digits = "9" * 5_000
    with _serve(api, f'{{"n": {digits}}}', 99) as server:
        llm = model(server, api)
        message = call(llm, "Hi")
        assert message.tool_calls[0]["args"] == {"n": digits}
        call(llm, [HumanMessage("Hi"), message, ToolMessage("done", tool_call_id="c1")])


@six_ways
@pytest.mark.parametrize("wrap", [json.dumps, lambda text: json.dumps(json.dumps(text)), "```json\n{}\n```".format])
def test_within_text_too(wrap: Any, call: Way) -> None:
    """Arguments that were encoded twice, or that are within a Markdown fence."""
    with _serve("chat", wrap(f'{{"n": [{TEXT[0]}]}}'), 3) as server:
        llm = model(server, "chat")
        message = call(llm, "Hi")
        assert message.tool_calls[0]["args"] == {"n": [str(TEXT[0])]}
        call(llm, [HumanMessage("Hi"), message, ToolMessage("done", tool_call_id="c1")])
        assert _sent_back(server, "chat") == {"n": [TEXT[0]]}


@six_ways
@pytest.mark.parametrize("given", [{"a": 1}, ["5"], "5"], ids=str)
def test_a_servers_field_of_the_same_name_is_another_one(given: Any, call: Way) -> None:
    def reply(got: Received) -> Scripted:
        function = {"name": "find", "arguments": f'{{"n": {TEXT[0]}, "m": "5"}}'}
        made = {"index": 0, "id": "c1", "large_integers": given, "function": function}
        said = "delta" if got.json.get("stream") else "message"
        body = {"choices": [{"index": 0, said: {"tool_calls": [made]}, "finish_reason": "tool_calls"}]}
        return Scripted(sse(body) if got.json.get("stream") else body)

    with ScriptedServer(reply) as server:
        llm = model(server, "chat")
        message = call(llm, "Hi")
        extras = message.additional_kwargs["databricks_tool_call_extras"]["c1"]
        assert extras == {"server_large_integers": given, "large_integers": [str(TEXT[0])]}
        invoke(llm, [HumanMessage("Hi"), message, ToolMessage("done", tool_call_id="c1")])
        assert _sent_back(server, "chat") == {"n": TEXT[0], "m": "5"}


@six_ways
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_invalid_call_goes_back_as_the_model_wrote_it(api: Api, call: Way) -> None:
    text = f'{{"n": {TEXT[0]}, "m": "{STORED[0]}", "x": ['
    with _serve(api, text, 3) as server:
        llm = model(server, api)
        message = call(llm, "Hi")
        assert not message.tool_calls
        invoke(llm, [HumanMessage("Hi"), message])
        assert _sent_back(server, api) == {"invalid_arguments": text}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("value", TEXT)
def test_an_agent_with_a_checkpointer_gives_the_tool_the_exact_number(api: Api, streaming: bool, value: int) -> None:
    given: list[int] = []

    @tool
    def find(n: int) -> str:
        """Find a number."""
        given.append(n)
        return "found"

    def reply(got: Received) -> Scripted:
        done = "found" in got.body.decode()
        return calling(api, "{}" if done else f'{{"n": {value}}}', 9, stream=bool(got.json.get("stream")))

    with ScriptedServer(reply) as server:
        llm = model(server, api, streaming=streaming)
        agent: Any = create_agent(llm, [find], checkpointer=InMemorySaver(), interrupt_after=["tools"], middleware=[])
        config: Any = {"configurable": {"thread_id": "1"}}
        agent.invoke({"messages": [HumanMessage("Hi")]}, config)
        assert given == [value]
        messages = agent.get_state(config).values["messages"]
        invoke(llm, messages)
        assert _sent_back(server, api) == {"n": value}


@pytest.mark.parametrize("version", [None, "v1"])
def test_in_the_work_of_a_tool_that_ran_on_the_server(version: Any) -> None:
    """The arguments of an MCP server's tool, and of an agent's call, are JSON text."""
    text = f'{{"n": {TEXT[0]}, "half": "\\ud800"}}'
    said = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}
    output = [
        {"type": "mcp_call", "id": "mcp_1", "name": "find", "server_label": "s", "arguments": text, "output": "x"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "find", "arguments": text},
        {"type": "function_call_output", "call_id": "c1", "output": "x"},
    ]
    body = {"id": "a", "object": "response", "status": "completed", "output": [*output, said]}
    with ScriptedServer(lambda _: Scripted(body)) as server:
        llm = model(server, "responses", output_version=version)
        message = invoke(llm, "Hi")
        calls = [block for block in message.content_blocks if block["type"] == "server_tool_call"]
        assert [call["args"] for call in calls] == [{"n": str(TEXT[0]), "half": "\ufffd"}] * 2
        for stored in _stored(message):
            invoke(llm, [HumanMessage("Hi"), stored, HumanMessage("Go on.")])
            sent = json.loads(server.requests[-1].body)["input"]
            numbers = [json.loads(item["arguments"])["n"] for item in sent if "arguments" in item]
            assert numbers == [TEXT[0]] * len(numbers)
            assert numbers


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_structured_answer_has_the_number(method: Literal["function_calling", "json_schema"], way: str) -> None:
    with _serve("chat", f'{{"n": {TEXT[0]}}}', 4) as server:
        schema = {"title": "find", "type": "object", "properties": {"n": {"type": "integer"}}}
        llm: Any = model(server, "chat").with_structured_output(schema, method=method)
        answer = llm.invoke("Hi") if way == "invoke" else list(llm.stream("Hi"))[-1]
    assert answer == {"n": TEXT[0]}


VALUES = st.recursive(
    st.one_of(
        st.integers(),
        st.sampled_from([*STORED, *TEXT]),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
        st.booleans(),
        st.none(),
        st.integers().map(str),
        st.sampled_from(TEXT).map(lambda n: f' "{n}, \\'),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.booleans(), st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_wherever_a_stream_is_cut_it_is_the_same(value: Any, ascii_only: bool, lengths: list[int]) -> None:
    text = json.dumps({"a": value}, ensure_ascii=ascii_only)
    fragments, place, said = ArgumentFragments(), 0, ""
    while place < len(text):
        length = lengths[place % len(lengths)]
        said += fragments.add(text[place : place + length])
        place += length
    assert fragments.held == ""
    assert json.loads(said) == storable({"a": value})
