"""ChatAgents over a socket: the last answer, readable steps that the caller never executes, threads of turns."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, add_up, astream, four_ways, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    DatabricksError,
    MalformedResponseError,
    StreamInterruptedError,
    UnsupportedContentError,
)

_names = itertools.count()

FUNCTION = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
CALL = {"id": "call_1", "type": "function", "function": FUNCTION}
ASKS = {"role": "assistant", "content": "", "id": "m1", "tool_calls": [CALL]}
RESULT = {"role": "tool", "name": "get_weather", "content": "12 °C", "tool_call_id": "call_1", "id": "t1"}
SAYS = {"role": "assistant", "content": "It is 12 °C in Oslo.", "id": "m2"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}

CALL_BLOCK = {
    "type": "server_tool_call",
    "id": "call_1",
    "name": "get_weather",
    "args": {"city": "Oslo"},
    "extras": {"message_id": "m1"},
}
RESULT_BLOCK = {
    "type": "server_tool_result",
    "tool_call_id": "call_1",
    "status": "success",
    "output": "12 °C",
    "extras": {"name": "get_weather", "id": "t1"},
}


def agent(*messages: dict[str, Any], last: dict[str, Any] | None = None, **whole: Any) -> ScriptedServer:
    """A ChatAgent that answers with these messages, whole or as one event each."""

    def reply(received: Received) -> Scripted:
        if not received.json.get("stream"):
            return Scripted({"messages": list(messages), **whole})
        events = [{"id": "run", "delta": message} for message in messages]
        return Scripted(sse(*events[:-1], {**events[-1], **whole}, *([last] if last else [])))

    return ScriptedServer(reply)


def model(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(
        model="my-agent", host=server.url, token="dapi0", api="agent", max_retries=0, **settings
    )


def plain(blocks: list[Any]) -> list[Any]:
    return [{key: value for key, value in block.items() if key != "index"} for block in blocks]


@four_ways
def test_an_answer_without_steps_is_a_string(call: Way) -> None:
    with agent(SAYS, usage=USAGE, finish_reason="stop") as server:
        answer = call(model(server), "Hello!")
        assert answer.content == "It is 12 °C in Oslo."
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["total_tokens"] == 12
        assert answer.response_metadata["finish_reason"] == "stop"
        assert answer.response_metadata["id"] == "m2"
        assert answer.response_metadata["model_name"] == "my-agent"
        (received,) = server.requests
        assert received.path == "/serving-endpoints/my-agent/invocations"
        streams = {"stream": True} if received.json.get("stream") else {}
        assert received.json == {"messages": [{"role": "user", "content": "Hello!"}], **streams}


@four_ways
def test_the_last_answer_is_the_message_and_the_steps_are_readable(call: Way) -> None:
    with agent(ASKS, RESULT, SAYS) as server:
        answer = call(model(server), "What is the weather?")
    assert answer.text == "It is 12 °C in Oslo."
    assert answer.tool_calls == []
    assert answer.invalid_tool_calls == []
    assert plain(answer.content_blocks) == [CALL_BLOCK, RESULT_BLOCK, {"type": "text", "text": "It is 12 °C in Oslo."}]


@four_ways
def test_what_is_said_together_with_a_call_is_a_step(call: Way) -> None:
    with agent({**ASKS, "content": "Let me look.", "name": "planner"}, RESULT, SAYS) as server:
        answer = call(model(server), "What is the weather?")
    assert answer.text == "It is 12 °C in Oslo."
    said, called, *_ = plain(answer.content_blocks)
    value = {"type": "agent_message", "text": "Let me look.", "id": "m1", "name": "planner"}
    assert {key: below for key, below in said["value"].items() if key != "index"} == value
    assert called["extras"] == {"message_id": "m1", "agent": "planner"}


def test_text_that_was_streamed_before_a_call_stays_text() -> None:
    """Nobody knows that it is not the last answer while it streams."""
    events = [{**ASKS, "content": "Let me ", "tool_calls": None}, {**ASKS, "content": "look.", "tool_calls": None}]
    with agent(*events, ASKS, RESULT, SAYS) as server:
        chunks = list(model(server).stream("What is the weather?"))
    assert "".join(chunk.text for chunk in chunks) == "Let me look.It is 12 °C in Oslo."
    answer = add_up(chunks)
    assert [block["type"] for block in answer.content_blocks] == [
        "text",
        "server_tool_call",
        "server_tool_result",
        "text",
    ]
    last = answer.content_blocks[-1]
    assert last["type"] == "text"
    assert last["text"] == "It is 12 °C in Oslo."


@four_ways
def test_of_several_agents_the_last_one_answers(call: Way) -> None:
    first = {"role": "assistant", "content": "I ask the expert.", "id": "a1", "name": "supervisor"}
    with agent(first, {**SAYS, "name": "expert"}) as server:
        answer = call(model(server), "Hello!")
    assert answer.text == "It is 12 °C in Oslo."
    assert answer.additional_kwargs["name"] == "expert"
    said, _ = plain(answer.content_blocks)
    assert plain([said["value"]]) == [
        {"type": "agent_message", "text": "I ask the expert.", "id": "a1", "name": "supervisor"}
    ]


@four_ways
@pytest.mark.parametrize("text", ["", "I need your help."])
def test_a_call_without_a_result_is_the_callers(call: Way, text: str) -> None:
    own = {"id": "call_2", "type": "function", "function": {"name": "ask_user", "arguments": '{"question": "Which?"}'}}
    with agent(ASKS, RESULT, {"role": "assistant", "content": text, "id": "m2", "tool_calls": [own]}) as server:
        answer = call(model(server), "What is the weather?")
    assert answer.text == text
    assert [(one["name"], one["args"], one["id"]) for one in answer.tool_calls] == [
        ("ask_user", {"question": "Which?"}, "call_2")
    ]
    kinds = [block["type"] for block in answer.content_blocks]
    assert kinds == ["server_tool_call", "server_tool_result", *(["text"] if text else []), "tool_call"]


@four_ways
def test_several_calls_with_results_in_any_order(call: Way) -> None:
    other = {**CALL, "id": "call_2", "function": {"name": "get_time", "arguments": "{}"}}
    results = [{**RESULT, "tool_call_id": "call_2", "content": "noon", "id": "t2", "name": "get_time"}, RESULT]
    with agent({**ASKS, "tool_calls": [CALL, other]}, *results, SAYS) as server:
        answer = call(model(server), "What is the weather, and the time?")
    assert answer.tool_calls == []
    blocks: list[Any] = plain(answer.content_blocks)
    assert [block.get("id") or block.get("tool_call_id") for block in blocks] == [
        "call_1",
        "call_2",
        "call_2",
        "call_1",
        None,
    ]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_steps_are_streamed_as_they_happen(way: str) -> None:
    """The tool of the agent runs until the client has the call."""
    pieces = [sse({"delta": ASKS}, done=False), sse({"delta": RESULT}, {"delta": SAYS})]
    seen: list[str] = []
    with ScriptedServer(Scripted(pieces, delay=lambda _: seen == ["server_tool_call"])) as server:

        def note(chunk: Any) -> None:
            seen.extend(block["type"] if isinstance(block, dict) else "text" for block in chunk.content)

        async def read() -> None:
            async for chunk in model(server).astream("What is the weather?"):
                note(chunk)

        if way == "stream":
            for chunk in model(server).stream("What is the weather?"):
                note(chunk)
        else:
            asyncio.run(read())
    assert list(dict.fromkeys(seen)) == ["server_tool_call", "server_tool_result", "text"]


@four_ways
def test_what_the_agent_reports_beside_the_answer(call: Way) -> None:
    trace = {"trace": {"info": {"trace_id": "tr-1", "state": "OK"}, "data": {"spans": []}}}
    outputs = {"sources": ["a", "b"], "score": 0.5}
    with agent(SAYS, custom_outputs=outputs, databricks_output=trace, usage=USAGE) as server:
        answer = call(model(server, databricks_options={"return_trace": True}), "Hello!")
        (received,) = server.requests
        assert received.json["databricks_options"] == {"return_trace": True}
        assert received.headers["x-mlflow-return-trace-id"] == "true"
    assert answer.response_metadata["custom_outputs"] == outputs
    assert answer.response_metadata["trace_id"] == "tr-1"
    assert answer.response_metadata["databricks_output"] == trace


@four_ways
@pytest.mark.parametrize(
    ("report", "streamed"), [({"metadata": {"trace_id": "tr-2"}}, False), ({"trace_id": "tr-2"}, True)]
)
def test_the_trace_of_an_agent_server(call: Way, report: dict[str, Any], streamed: bool) -> None:
    with agent(SAYS, **({} if streamed else report), last=report if streamed else None) as server:
        answer = call(model(server), "Hello!")
        was_streamed = bool(server.requests[0].json.get("stream"))
    assert answer.response_metadata.get("trace_id") == ("tr-2" if was_streamed or not streamed else None)


@four_ways
def test_attachments_are_kept(call: Way) -> None:
    with agent(
        {**ASKS, "attachments": {"plan": "1. look"}}, RESULT, {**SAYS, "attachments": {"chart": "{}"}}
    ) as server:
        answer = call(model(server), "What is the weather?")
    assert answer.additional_kwargs["attachments"] == {"chart": "{}"}
    assert "1. look" in str(answer.content)


@four_ways
def test_inputs_of_the_agent_are_sent(call: Way) -> None:
    with agent(SAYS) as server:
        llm = model(server, custom_inputs={"user": {"id": 1}}, context={"conversation_id": "c", "user_id": "u"})
        call(llm, "Hello!")
        call(llm.bind(custom_inputs={"top": 3}), "Hello!")
        first, second = (received.json for received in server.requests)
    assert first["custom_inputs"] == {"user": {"id": 1}}
    assert first["context"] == {"conversation_id": "c", "user_id": "u"}
    assert second["custom_inputs"] == {"top": 3}


@pytest.mark.parametrize("context", [{"session": "x"}, {"user_id": 3}])
def test_a_context_that_mlflow_refuses_is_refused_before_anything_is_sent(context: dict[str, Any]) -> None:
    with agent(SAYS) as server:
        with pytest.raises(ValueError, match="'conversation_id' and 'user_id' only"):
            invoke(model(server, context=context), "Hello!")
        assert server.requests == []


def test_settings_of_a_model_are_left_out_with_a_warning() -> None:
    with agent(SAYS) as server:
        llm = model(server, temperature=0.5, max_tokens=100, n=1)
        with pytest.warns(UserWarning, match="ChatAgent chooses it itself") as caught:
            invoke(llm, "Hello!")
        assert {str(warning.message).partition(" ")[0] for warning in caught} == {"temperature", "max_tokens"}
        assert server.requests[0].json == {"messages": [{"role": "user", "content": "Hello!"}]}


def test_tools_and_schemas_are_refused_before_anything_is_sent() -> None:
    def get_time() -> str:
        """Get the time."""
        return "noon"

    with agent(SAYS) as server:
        llm = model(server)
        with pytest.raises(ValueError, match="takes none from the caller"):
            llm.bind_tools([get_time]).invoke("Hello!")
        with pytest.raises(ValueError, match="no response format and no schema"):
            llm.with_structured_output({"title": "A", "type": "object", "properties": {}}).invoke("Hello!")
        assert server.requests == []


def test_images_are_refused_and_documents_are_text() -> None:
    image = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
    document = {"type": "text-plain", "text": "A page.", "title": "Title"}
    with agent(SAYS) as server:
        with pytest.raises(UnsupportedContentError, match="message 0 .human., block 1.*are text"):
            invoke(model(server), [HumanMessage([{"type": "text", "text": "What is this?"}, image])])
        invoke(model(server), [HumanMessage([{"type": "text", "text": "Read this:"}, document])])
        assert server.requests[0].json["messages"] == [{"role": "user", "content": "Read this:\nTitle\n\nA page."}]


@four_ways
def test_a_thread_goes_back_as_the_messages_that_it_was(call: Way) -> None:
    said = {**ASKS, "content": "Let me look.", "name": "planner"}
    with agent(said, RESULT, {**SAYS, "attachments": {"chart": "{}"}}) as server:
        llm = model(server)
        question = HumanMessage("What is the weather?", name="Ada", additional_kwargs={"attachments": {"file": "text"}})
        thread: list[BaseMessage] = [SystemMessage("Be brief."), question]
        answer = call(llm, thread)
        before = answer.model_copy(deep=True)
        call(llm, [*thread, answer, HumanMessage("And tomorrow?")])
        assert answer == before
        sent = server.requests[1].json["messages"]
    assert sent == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the weather?", "name": "Ada", "attachments": {"file": "text"}},
        {"role": "assistant", "content": "Let me look.", "id": "m1", "name": "planner", "tool_calls": [CALL]},
        {"role": "tool", "content": "12 °C", "tool_call_id": "call_1", "name": "get_weather", "id": "t1"},
        {"role": "assistant", "content": "It is 12 °C in Oslo.", "id": "m2", "attachments": {"chart": "{}"}},
        {"role": "user", "content": "And tomorrow?"},
    ]


def test_a_thread_of_streamed_text_goes_back_alike() -> None:
    other = {**CALL, "id": "call_2"}
    pieces: list[dict[str, Any]] = [
        {**ASKS, "content": "Let me look.", "tool_calls": None},
        {**ASKS, "tool_calls": [CALL, other]},
    ]
    with agent(*pieces, RESULT, {**RESULT, "tool_call_id": "call_2", "id": "t2"}, SAYS) as server:
        answer = stream(model(server), "What is the weather?")
        invoke(model(server), [HumanMessage("Hi"), answer, HumanMessage("And tomorrow?")])
        sent = server.requests[1].json["messages"]
    assert sent[1:5] == [
        {"role": "assistant", "content": "Let me look.", "id": "m1", "tool_calls": [CALL, other]},
        {"role": "tool", "content": "12 °C", "tool_call_id": "call_1", "name": "get_weather", "id": "t1"},
        {"role": "tool", "content": "12 °C", "tool_call_id": "call_2", "name": "get_weather", "id": "t2"},
        {"role": "assistant", "content": "It is 12 °C in Oslo.", "id": "m2"},
    ]


@four_ways
def test_the_result_of_the_callers_own_tool_goes_back_with_its_name(call: Way) -> None:
    own = {"id": "call_2", "type": "function", "function": {"name": "ask_user", "arguments": '{"question": "Which?"}'}}
    with agent({"role": "assistant", "content": "Which one?", "id": "m2", "tool_calls": [own]}) as server:
        llm = model(server)
        answer = call(llm, "What is the weather?")
        call(llm, [HumanMessage("Hi"), answer, ToolMessage("Oslo", tool_call_id="call_2", status="error")])
        sent = server.requests[1].json["messages"]
    assert sent[1:] == [
        {"role": "assistant", "content": "Which one?", "id": "m2", "tool_calls": [own]},
        {"role": "tool", "content": "Error: Oslo", "tool_call_id": "call_2", "name": "ask_user"},
    ]


def test_another_agents_steps_stay_at_home_and_its_answer_goes_along() -> None:
    with agent(ASKS, RESULT, SAYS) as server:
        answer = invoke(model(server), "What is the weather?")
        other = model(server).bind(model="other-agent")
        invoke(other, [HumanMessage("Hi"), answer, HumanMessage("And tomorrow?")])
        chat = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="dapi0", api="chat")
        with pytest.raises(MalformedResponseError):
            invoke(chat, [HumanMessage("Hi"), answer, HumanMessage("And tomorrow?")])
        for received in server.requests[1:]:
            assert received.json["messages"] == [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "It is 12 °C in Oslo."},
                {"role": "user", "content": "And tomorrow?"},
            ]


@four_ways
def test_the_answer_of_a_model_goes_to_an_agent(call: Way) -> None:
    calls = [{"name": "f", "args": {"a": 1}, "id": "c1"}]
    thread = [
        HumanMessage("Hi"),
        AIMessage([{"type": "text", "text": "Let me "}, {"type": "text", "text": "see."}], tool_calls=calls),
        ToolMessage("3", tool_call_id="c1", name="f"),
        AIMessage("Three."),
        HumanMessage("Thanks"),
    ]
    with agent(SAYS) as server:
        call(model(server), thread)
        sent = server.requests[0].json["messages"]
    function = {"name": "f", "arguments": '{"a": 1}'}
    assert sent[1:4] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "3", "tool_call_id": "c1", "name": "f"},
        {"role": "assistant", "content": "Three."},
    ]


@pytest.mark.parametrize(
    "event", [{"error": "the agent crashed"}, {"error_code": "BAD", "message": "the agent crashed"}]
)
def test_an_error_in_the_stream_keeps_what_had_arrived(event: dict[str, Any]) -> None:
    with ScriptedServer(lambda _: Scripted(sse({"delta": ASKS}, {"delta": RESULT}, event))) as server:
        with pytest.raises(DatabricksError, match="the agent crashed") as caught:
            stream(model(server), "Hello!")
    assert caught.value.partial is not None
    assert [block["type"] for block in caught.value.partial.content_blocks] == [
        "server_tool_call",
        "server_tool_result",
    ]
    assert caught.value.partial.tool_calls == []


def test_an_error_in_the_stream_is_not_hidden_by_a_piece_that_cannot_be_read_either() -> None:
    kept = {"delta": {"role": "assistant", "id": "m", "content": ["a", {"type": "unknown"}]}}
    with ScriptedServer(Scripted(sse(kept, done=False) + b"data: [1]\n\n")) as server:
        with pytest.raises(DatabricksError, match="a JSON list instead of an object") as caught:
            stream(model(server), "Hello!")
    assert "Where:" in str(caught.value)
    assert caught.value.partial is not None


@pytest.mark.parametrize("events", [[ASKS], [ASKS, RESULT], [ASKS, RESULT, {**SAYS, "content": "It is"}]])
def test_a_stream_that_ends_before_the_answer_is_interrupted(events: list[dict[str, Any]]) -> None:
    body = sse(*({"delta": event} for event in events), done=False)
    with ScriptedServer(lambda _: Scripted(body)) as server:
        with pytest.raises(StreamInterruptedError) as caught:
            stream(model(server), "Hello!")
    assert caught.value.partial is not None
    assert caught.value.partial.tool_calls == []


@four_ways
def test_a_finish_reason_ends_a_stream_too(call: Way) -> None:
    def reply(received: Received) -> Scripted:
        if received.json.get("stream"):
            return Scripted(sse({"delta": SAYS, "finish_reason": "stop"}, done=False))
        return Scripted({"messages": [SAYS], "finish_reason": "stop"})

    with ScriptedServer(reply) as server:
        assert call(model(server), "Hello!").text == "It is 12 °C in Oslo."


@four_ways
def test_a_server_that_does_not_stream_answers_whole(call: Way) -> None:
    with ScriptedServer(lambda _: Scripted({"messages": [ASKS, RESULT, SAYS], "custom_outputs": {"a": 1}})) as server:
        answer = call(model(server), "Hello!")
    assert answer.text == "It is 12 °C in Oslo."
    assert [block["type"] for block in answer.content_blocks] == ["server_tool_call", "server_tool_result", "text"]
    assert answer.response_metadata["custom_outputs"] == {"a": 1}


@four_ways
@pytest.mark.parametrize(
    "body", [{"messages": []}, {"choices": [{"message": {"content": "x"}}]}, {"output": []}, {"predictions": ["x"]}]
)
def test_an_endpoint_that_is_no_chat_agent(call: Way, body: dict[str, Any]) -> None:
    with ScriptedServer(lambda _: Scripted(body)) as server, pytest.raises(MalformedResponseError, match="'messages'"):
        call(model(server), "Hello!")


@four_ways
@pytest.mark.parametrize(
    "message",
    [
        "text",
        {"role": "assistant", "content": 3},
        {"role": "assistant", "content": [{"type": "image"}]},
        {"role": "assistant", "tool_calls": "f"},
        {"role": "assistant", "tool_calls": [3]},
        {"role": 3},
    ],
)
def test_a_message_of_another_shape_is_an_error(call: Way, message: Any) -> None:
    with agent(message) as server, pytest.raises(MalformedResponseError):
        call(model(server), "Hello!")


@four_ways
def test_parts_of_text_and_a_missing_id_are_understood(call: Way) -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": "It is "}, {"type": "output_text", "text": "12."}],
    }
    with agent({"role": "assistant", "tool_calls": [{"function": FUNCTION}]}, message, choices=[]) as server:
        answer = call(model(server), "Hello!")
    assert answer.text == "It is 12."
    assert [one["id"] for one in answer.tool_calls] == ["call_0"]


@four_ways
@pytest.mark.parametrize("address", ["host", "base_url"])
def test_a_chat_agent_is_recognized_by_its_answer_and_asked_once(call: Way, address: str) -> None:
    with agent(ASKS, RESULT, SAYS) as server:
        url: dict[str, Any] = {"host": server.url} if address == "host" else {"base_url": f"{server.url}/v1"}
        llm = ChatDatabricksCompat(model=f"agent-{next(_names)}", token="dapi0", max_retries=0, **url)
        for number in (1, 2):
            answer = call(llm, "What is the weather?")
            assert answer.text == "It is 12 °C in Oslo."
            assert answer.tool_calls == []
            assert [block["type"] for block in answer.content_blocks[:2]] == ["server_tool_call", "server_tool_result"]
            assert len(server.requests) == number
        assert server.requests[1].json.keys() <= {"messages", "stream", "model"}


@four_ways
def test_a_wire_format_that_the_user_chose_is_not_changed(call: Way) -> None:
    with agent(ASKS, RESULT, SAYS) as server:
        llm = ChatDatabricksCompat(model=f"agent-{next(_names)}", host=server.url, token="dapi0", api="chat")
        with pytest.raises(MalformedResponseError, match="api='agent'"):
            call(llm, "Hello!")


@pytest.mark.parametrize("way", [stream, astream])
def test_events_before_the_first_message_do_not_matter(way: Way) -> None:
    pieces = [sse({"type": "ping"}, done=False), sse({"trace_id": "tr-1"}, done=False), sse({"delta": SAYS})]
    with ScriptedServer(Scripted(pieces, delay=0.01)) as server:
        llm = ChatDatabricksCompat(model=f"agent-{next(_names)}", host=server.url, token="dapi0")
        answer = way(llm, "Hello!")
    assert answer.text == "It is 12 °C in Oslo."
    assert answer.response_metadata["trace_id"] == "tr-1"


def test_what_breaks_after_the_format_is_known_keeps_what_had_arrived() -> None:
    with ScriptedServer(Scripted(sse({"delta": ASKS}, {"error": "the agent crashed"}))) as server:
        llm = ChatDatabricksCompat(model=f"agent-{next(_names)}", host=server.url, token="dapi0")
        with pytest.raises(DatabricksError, match="the agent crashed") as caught:
            stream(llm, "Hello!")
    assert caught.value.partial is not None
    assert [block["type"] for block in caught.value.partial.content_blocks] == ["server_tool_call"]


SAID = {"role": "assistant", "content": "I think.", "name": "thinker"}
OTHER = {"role": "assistant", "content": "Then look.", "attachments": {"plan": "1. look"}}
SILENT = {"role": "assistant", "content": ""}


def _messages(kinds: str) -> list[dict[str, Any]]:
    """Messages with ids of their own: said, other, silent, calls with and without text, results."""
    made: list[dict[str, Any]] = []
    for number, kind in enumerate(kinds):
        call = {**CALL, "id": f"call_{number}"}
        shapes: dict[str, dict[str, Any]] = {
            "s": SAID,
            "o": OTHER,
            "e": SILENT,
            "c": {**ASKS, "tool_calls": [call]},
            "t": {**ASKS, "content": "Let me look.", "tool_calls": [call]},
            "r": {**RESULT, "tool_call_id": f"call_{number - 1}"},
        }
        made.append({**shapes[kind], "id": f"m{number}"})
    return made


@pytest.mark.parametrize(
    "kinds",
    ["s", "ss", "so", "os", "crs", "trs", "strs", "scrs", "socrtro", "scr", "tr", "c", "t", "st", "ose", "se", "crse"],
)
def test_whole_messages_give_the_same_answer_streamed_and_whole(kinds: str) -> None:
    with agent(*_messages(kinds), finish_reason="stop") as server:
        whole = invoke(model(server), "Hi")
        for way in (stream, astream):
            streamed = way(model(server), "Hi")
            assert plain(streamed.content_blocks) == plain(whole.content_blocks)
            assert (streamed.text, streamed.tool_calls) == (whole.text, whole.tool_calls)
            assert streamed.additional_kwargs == whole.additional_kwargs
            assert streamed.response_metadata.get("id") == whole.response_metadata.get("id")
    last = [message for message in _messages(kinds) if message["content"] or message.get("tool_calls")][-1]
    assert whole.text == ("" if last["role"] == "tool" else last["content"])


@pytest.mark.parametrize("way", [stream, astream])
def test_a_message_in_pieces_is_seen_while_it_grows(way: Way) -> None:
    words = [{"role": "assistant", "content": word, "id": "m2"} for word in ("It ", "is ", "12 °C.")]
    with agent(ASKS, RESULT, *words) as server:
        assert way(model(server), "Hi").text == "It is 12 °C."
        texts = [chunk.text for chunk in model(server, coalesce=False).stream("Hi") if chunk.text]
    assert texts == ["It is ", "12 °C."]  # the first piece is kept until the second one comes


@pytest.mark.parametrize("way", [stream, astream])
def test_a_message_that_was_kept_is_not_lost_where_the_stream_ends(way: Way) -> None:
    for end in (sse({"delta": SAYS}, done=False), sse({"delta": SAYS}, {"error": "the agent crashed"})):
        with ScriptedServer(Scripted(end)) as server:
            with pytest.raises(DatabricksError) as caught:
                way(model(server), "Hi")
        assert caught.value.partial is not None
        assert caught.value.partial.text == "It is 12 °C in Oslo."
