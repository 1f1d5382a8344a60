"""What a server says is kept, once, however it is asked: over a socket, in four ways, in threads and after storage."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import TYPE_CHECKING, Any, cast

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, messages_from_dict, messages_to_dict
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    DatabricksAPIError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    MalformedResponseError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.local import LocalWorkspace

EVENT_STREAM = {"content-type": "text/event-stream"}


def model(server: ScriptedServer, **more: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="my-endpoint", host=server.url, token="dapi-invented", max_retries=0, **more)


def answering(message: dict[str, Any], finish: str = "stop", **more: Any) -> Callable[[Received], Scripted]:
    """Give one message to all who ask, whole or in one delta, from a server that repeats its ids."""

    def answer(received: Received) -> Scripted:
        frame = {"id": "chatcmpl-1", "model": "m", **more}
        if not received.json.get("stream"):
            return Scripted({**frame, "choices": [{"index": 0, "message": message, "finish_reason": finish}]})
        first = {**frame, "choices": [{"index": 0, "delta": message, "finish_reason": None}]}
        last = {**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
        return Scripted(sse(first, last), headers=EVENT_STREAM)

    return answer


URL = {
    "type": "url_citation",
    "url_citation": {"url": "https://yr.no", "title": "Yr", "start_index": 0, "end_index": 4},
}
KEPT = {"custom_outputs": {"steps": [1, 2.5], "ok": False, "big": 2**70}, "reasoning_details": [{"text": "ha"}]}
STORED = {**KEPT, "custom_outputs": {"steps": [1, 2.5], "ok": False, "big": str(2**70)}}
BESIDE = {
    "role": "assistant",
    "content": "Sun.",
    "annotations": [URL],
    "provider_specific_fields": {"citations": [[{"url": "https://met.no"}]], "container": "c"},
    "audio": None,
    **KEPT,
}


@four_ways
def test_what_stands_beside_the_content_is_kept_once(call: Way) -> None:
    with ScriptedServer(answering(BESIDE, databricks_output={"trace": {"id": "t"}})) as server:
        message = call(model(server), "Hi.")
        assert message.text == "Sun."
        (text,) = message.content_blocks
        assert text["type"] == "text"
        assert text["annotations"] == [
            {"type": "citation", "url": "https://yr.no", "title": "Yr", "start_index": 0, "end_index": 4},
            {"type": "citation", "url": "https://met.no"},
        ]
        assert message.additional_kwargs == {**STORED, "provider_specific_fields": {"container": "c"}}
        assert message.response_metadata["databricks_output"] == {"trace": {"id": "t"}}
        trips = [
            pickle.loads(pickle.dumps(message)),
            load(dumpd(message), allowed_objects=[AIMessage, AIMessageChunk]),
            messages_from_dict(messages_to_dict([message]))[0],
            JsonPlusSerializer().loads_typed(JsonPlusSerializer().dumps_typed(message)),
        ]
        for arrived in trips:
            assert arrived.content_blocks == message.content_blocks
            assert arrived.additional_kwargs == message.additional_kwargs
            assert arrived.response_metadata == message.response_metadata
            call(model(server), [HumanMessage("Hi."), arrived, HumanMessage("And now?")])
            assert server.requests[-1].json["messages"][1] == {"role": "assistant", "content": "Sun."}


@four_ways
def test_fields_without_a_citation_leave_text_a_string(call: Way) -> None:
    with ScriptedServer(answering({"content": "Sun.", **KEPT, "annotations": []})) as server:
        message = call(model(server), "Hi.")
        assert message.content == "Sun."
        assert message.additional_kwargs == STORED


@four_ways
def test_audio_is_content_and_its_words_are_kept(call: Way) -> None:
    audio = {"id": "audio_1", "data": "UklGRgAA", "expires_at": 7, "transcript": "Sun."}
    with ScriptedServer(answering({"content": None, "audio": audio})) as server:
        block: Any = call(model(server), "Hi.").content_blocks[0]
        block.pop("index", None)  # streamed blocks have one
        assert block == {
            "type": "audio",
            "id": "audio_1",
            "base64": "UklGRgAA",
            "mime_type": "audio/wav",
            "extras": {"transcript": "Sun.", "expires_at": 7},
        }


def test_audio_comes_in_fragments() -> None:
    pieces = [{"id": "audio_1"}, {"transcript": "Su"}, {"data": "YQ=="}, {"transcript": "n."}, {"data": "YmM="}]
    deltas = [{"choices": [{"index": 0, "delta": {"audio": piece}, "finish_reason": None}]} for piece in pieces]
    stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    with ScriptedServer(lambda _: Scripted(sse(*deltas, stop), headers=EVENT_STREAM)) as server:
        for call in (stream, astream):
            block: Any = call(model(server), "Hi.").content_blocks[0]
            assert (block["base64"], block["extras"]) == ("YWJj", {"transcript": "Sun."})


@four_ways
def test_what_a_tool_call_carries_is_kept_and_signatures_alone_go_back(call: Way) -> None:
    function = {"name": "f", "arguments": "{}", "thoughts": "mine"}
    carried = {"caller": {"type": "direct"}, "extra_content": {"google": {"thought_signature": "S"}}}
    message = {
        "content": None,
        "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function, **carried}],
    }
    with ScriptedServer(answering(message, "tool_calls")) as server:
        answer = call(model(server), "Hi.")
        kept = answer.additional_kwargs["databricks_tool_call_extras"]
        assert kept == {"c1": {**carried, "function_extras": {"thoughts": "mine"}}}
        call(model(server), [HumanMessage("Hi."), answer, {"role": "tool", "tool_call_id": "c1", "content": "1"}])
        (sent,) = server.requests[-1].json["messages"][1]["tool_calls"]
        assert sent == {
            "id": "c1",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
            "extra_content": carried["extra_content"],
        }


# Ids


@four_ways
def test_a_message_has_langchains_id_and_keeps_the_servers(call: Way) -> None:
    with ScriptedServer(answering({"content": "a"})) as server:
        first, second = (call(model(server), "Hi.") for _ in range(2))
        assert (first.id or "").startswith("lc_run-")
        assert first.id != second.id
        assert first.response_metadata["id"] == second.response_metadata["id"] == "chatcmpl-1"


def test_every_path_gives_an_id_of_its_own() -> None:
    with ScriptedServer(answering({"content": "a"})) as server:
        llm = model(server)
        messages = [
            *llm.batch(["Hi.", "Hi."]),
            *asyncio.run(llm.abatch(["Hi.", "Hi."])),
            invoke(model(server, output_version="v1"), "Hi."),
            stream(model(server, output_version="v1"), "Hi."),
            llm.stream_events("Hi.", version="v3").output,
            *[
                generations[0].message
                for generations in cast("Any", llm.generate([[HumanMessage("Hi.")]] * 2)).generations
            ],
        ]
        ids = [message.id or "" for message in messages]
        assert len(set(ids)) == len(ids)
        assert all(found.startswith("lc_run-") for found in ids)
        assert {message.response_metadata["id"] for message in messages} == {"chatcmpl-1"}
        assert len({chunk.id for chunk in llm.stream("Hi.")}) == 1


def thread(llm: Any, *, last_alone: bool = False) -> Any:
    def answer(state: MessagesState) -> dict[str, Any]:
        asked = state["messages"][-1:] if last_alone else state["messages"]
        return {"messages": [llm.invoke(asked)]}

    graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer")
    return graph.compile(checkpointer=InMemorySaver())


def test_a_thread_keeps_each_answer_of_a_server_that_repeats_ids() -> None:
    with ScriptedServer(answering({"content": "a", "custom_outputs": {"n": 1}})) as server:
        graph = thread(model(server))
        config = {"configurable": {"thread_id": "1"}}
        streamed: list[str] = []
        for _ in range(3):
            items = graph.stream({"messages": [HumanMessage("Hi.")]}, config, stream_mode="messages")
            streamed.append("".join(message.text for message, _ in items))
        messages = graph.get_state(config).values["messages"]
        assert [message.type for message in messages] == ["human", "ai"] * 3
        assert messages[1].additional_kwargs == {"custom_outputs": {"n": 1}}
        assert streamed == ["a"] * 3


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_answers_from_a_cache_are_messages_of_their_own(way: str) -> None:
    with ScriptedServer(answering({"content": "a"})) as server:
        llm = model(server, cache=InMemoryCache())
        answers = [llm.invoke("Hi.") if way == "invoke" else asyncio.run(llm.ainvoke("Hi.")) for _ in range(3)]
        assert len(server.requests) == 1
        assert len({answer.id for answer in answers}) == 3
        assert None not in {answer.id for answer in answers}
        graph = thread(llm, last_alone=True)
        config = {"configurable": {"thread_id": "1"}}
        for _ in range(2):
            graph.invoke({"messages": [HumanMessage("Hi.")]}, config)
        assert len(server.requests) == 1
        assert [message.type for message in graph.get_state(config).values["messages"]] == ["human", "ai"] * 2


def test_an_agent_loop_survives_ids_that_repeat_from_turn_to_turn() -> None:
    called: list[str] = []

    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        called.append(city)
        return f"rain {len(called)}"

    def answer(received: Received) -> Scripted:
        results = [message for message in received.json["messages"] if message["role"] == "tool"]
        turn = len([message for message in received.json["messages"] if message["role"] == "user"])
        if len(results) == turn:
            return answering({"content": f"It is {results[-1]['content']}."})(received)
        function = {"name": "get_weather", "arguments": json.dumps(json.dumps({"city": f"Oslo {turn}"}))}
        calls = [{"index": 0, "id": "call_0", "type": "function", "function": function}]
        return answering({"content": None, "tool_calls": calls}, "tool_calls")(received)

    with ScriptedServer(answer) as server:
        agent: Any = create_agent(model(server), [get_weather], checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": "1"}}
        for turn in (1, 2, 3):
            asked = {"messages": [HumanMessage("Weather?")]}
            if turn == 2:
                list(agent.stream(asked, config, stream_mode="messages"))
            else:
                agent.invoke(asked, config)
        messages = agent.get_state(config).values["messages"]
        assert [message.type for message in messages] == ["human", "ai", "tool", "ai"] * 3
        assert [message.text for message in messages[3::4]] == ["It is rain 1.", "It is rain 2.", "It is rain 3."]
        assert called == ["Oslo 1", "Oslo 2", "Oslo 3"]


# Arguments


@four_ways
@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ("null", {}),
        (None, {}),
        ("", {}),
        (" ", {}),
        ('""', {}),
        ("None", {}),
        ("{}", {}),
        ({}, {}),
        ({"city": "Oslo"}, {"city": "Oslo"}),
        (json.dumps('{"city": "Oslo"}'), {"city": "Oslo"}),
        (json.dumps(json.dumps('{"city": "Oslo"}')), {"city": "Oslo"}),
        ('```json\n{"city": "Oslo"}\n```', {"city": "Oslo"}),
        ("[]", None),
        ([1], None),
        ('"Oslo"', None),
        ('{"city": "Oslo"}</tool_call>', None),
        ('{"city": "Oslo"}{"city": "Bergen"}', None),
        ("{'city': 'Oslo'}", None),
    ],
)
def test_arguments(call: Way, arguments: Any, read: dict[str, Any] | None) -> None:
    calls = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    with ScriptedServer(answering({"content": None, "tool_calls": calls}, "tool_calls")) as server:
        answer = call(model(server), "Hi.")
        assert [found["args"] for found in answer.tool_calls] == ([] if read is None else [read])
        assert len(answer.invalid_tool_calls) == (read is None)


@four_ways
def test_an_obsolete_call_is_a_call_and_repeats_none(call: Way) -> None:
    function = {"name": "f", "arguments": '{"a": 1}'}
    for more in ({}, {"tool_calls": [{"index": 0, "id": "c1", "function": function}]}):
        with ScriptedServer(answering({"content": None, "function_call": function, **more}, "function_call")) as server:
            answer = call(model(server), "Hi.")
            assert [(found["name"], found["args"]) for found in answer.tool_calls] == [("f", {"a": 1})]
            assert "function_call" not in answer.additional_kwargs
    with ScriptedServer(answering({"content": "a", "function_call": {"name": "", "arguments": ""}})) as server:
        assert call(model(server), "Hi.").tool_calls == []


# Streams

SAID = b'data: {"choices":[{"index":0,"delta":{"content":"Sun"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
two_ways = pytest.mark.parametrize("call", [stream, astream])


@two_ways
@pytest.mark.parametrize(
    ("tail", "kind", "words"),
    [
        (b"event: error\ndata: the model fell asleep\n\n", DatabricksAPIError, "the model fell asleep"),
        (b"event:error\ndata: first line\ndata: second line\n\n", DatabricksAPIError, "first line\nsecond line"),
        (b'event: error\ndata: "asleep"\n\n', DatabricksAPIError, "asleep"),
        (b'event: error\ndata: ["a", "b"]\n\n', DatabricksAPIError, "a; b"),
        (b'event: error\ndata: {"message": "slow down", "code": 429}\n\n', DatabricksRateLimitError, "slow down"),
        (b'event: error\ndata: {"detail": "asleep"}\n\n', DatabricksAPIError, "asleep"),
        (
            b'event: error\ndata: {"error": {"message": "asleep", "code": 400}}\n\n',
            DatabricksInvalidRequestError,
            "asleep",
        ),
        (b"event: error\ndata: <html><title>Bad Gateway</title></html>\n\n", DatabricksAPIError, "Bad Gateway"),
        (b"event: error\n\n", DatabricksAPIError, "error without words"),
        (b"event: exception\ndata: asleep", DatabricksAPIError, "asleep"),
        (b'data: {"detail": "asleep"}\n\n', DatabricksAPIError, "asleep"),
        (b'data: {"message": "asleep", "status": 429}\n\n', DatabricksRateLimitError, "asleep"),
        (b'data: {"type": "error", "message": "asleep"}\n\n', DatabricksAPIError, "asleep"),
        (b'{"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "asleep"}\n', DatabricksRateLimitError, "asleep"),
        (b'{"error_code": "INTERNAL_ERROR", "message": "asleep"}', DatabricksAPIError, "asleep"),
        (b'{\n  "error": {\n    "message": "asleep"\n  }\n}\n', DatabricksAPIError, "asleep"),
        (b"<html>\n<h1>502 Bad Gateway</h1>\n</html>\n", StreamInterruptedError, "502 Bad Gateway"),
        (b"upstream connect error", StreamInterruptedError, "upstream connect error"),
        (b'data: {"note": "warming up"}\n\n', StreamInterruptedError, "warming up"),
        (b"data: upstream connect error\n\n", MalformedResponseError, "upstream connect error"),
    ],
)
def test_the_words_of_an_error_in_a_stream_are_told(
    call: Way, tail: bytes, kind: type[DatabricksError], words: str
) -> None:
    with ScriptedServer(lambda _: Scripted(SAID + tail, headers=EVENT_STREAM)) as server:
        with pytest.raises(kind) as caught:
            call(model(server), "Hi.")
        assert words in str(caught.value)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "Sun"


@two_ways
@pytest.mark.parametrize(
    "end",
    [
        b"data: [DONE] \n\n", b"data:[DONE]\n\n", b"data:  [DONE]\r\n\r\n", b"data: [done]\n\n", b'data: "[DONE]"\n\n',
        b"event: done\ndata: [DONE]\n\n", b"event: end\ndata: {}\n\n", b"event: done\n\n", b"data: [DONE] ",
        b"event: ping\ndata: {}\n\ndata: [DONE]\n\n", b'data: {"type":"ping"}\n\ndata:  \n\ndata: [DONE]\n\n',
        b"data: [DONE]\n\n<html>bye</html>\n",
    ],
)  # fmt: skip
def test_a_stream_may_say_in_many_ways_that_it_is_done(call: Way, end: bytes) -> None:
    with ScriptedServer(lambda _: Scripted(SAID + end, headers=EVENT_STREAM)) as server:
        message = call(model(server), "Hi.")
        assert message.text == "Sun"
        assert "type" not in message.response_metadata


@two_ways
def test_text_after_an_answer_that_is_complete_does_no_harm(call: Way) -> None:
    with ScriptedServer(lambda _: Scripted(SAID + STOP + b"<html>bye</html>\n", headers=EVENT_STREAM)) as server:
        message = call(model(server), "Hi.")
        assert message.text == "Sun"
        assert message.response_metadata["stray_text"] == "<html>bye</html>"


def test_a_whole_answer_that_is_a_complaint_is_an_error() -> None:
    with (
        ScriptedServer(lambda _: Scripted({"detail": "asleep"})) as server,
        pytest.raises(DatabricksError, match="asleep"),
    ):
        invoke(model(server), "Hi.")


@four_ways
def test_kept_fields_do_not_go_back_to_the_strict_workspace(call: Way, workspace: LocalWorkspace) -> None:
    with ScriptedServer(answering(BESIDE)) as server:
        answer = call(model(server), "Hi.")
    for name in ("databricks-claude-sonnet-4-6", "databricks-gpt-5-2", "databricks-gemini-3-5-flash"):
        llm = ChatDatabricksCompat(model=name, host=workspace.host, token=workspace.token)
        assert call(llm, [HumanMessage("Hi."), answer, HumanMessage("Hello!")]).text
