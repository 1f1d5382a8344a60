"""Anthropic's Messages over a socket: errors, the order of events, lessons, and conversations that change the wire."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.formats import in_each_format
from kit.scripted import Received, Scripted, ScriptedServer
from kit.ways import Way, astream, four_ways, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    MalformedResponseError,
    StreamInterruptedError,
    UnsupportedContentError,
)
from langchain_dbchat.local import LocalWorkspace

CLAUDE = "databricks-claude-sonnet-4-6"
START: dict[str, Any] = {"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 3}}}
TEXT: list[dict[str, Any]] = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
]
END: list[dict[str, Any]] = [
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
WHOLE: dict[str, Any] = {
    "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
_names = count()


def events(*listed: dict[str, Any]) -> Scripted:
    text = "".join(f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n" for event in listed)
    return Scripted(text, headers={"content-type": "text/event-stream"})


def answer(received: Received) -> Scripted:
    return events(START, *TEXT, *END) if received.json.get("stream") else Scripted(WHOLE)


def llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    """A model of an endpoint that nothing is known of yet."""
    name = settings.pop("model", f"bot-{next(_names)}")
    given = {"host": server.url, "token": "t", "api": "messages", "max_retries": 0, "family": "claude", **settings}
    return ChatDatabricksCompat(model=name, **given)


@pytest.fixture
def workspace() -> Iterator[LocalWorkspace]:
    with LocalWorkspace() as running:
        yield running


def on(workspace: LocalWorkspace, model: str = CLAUDE, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It is raining in {city}."


class Person(BaseModel):
    """A person."""

    name: str


# -- errors


@four_ways
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", DatabricksInvalidRequestError),
        (429, "rate_limit_error", DatabricksRateLimitError),
        (529, "overloaded_error", DatabricksAPIError),
    ],
)
def test_errors_in_anthropics_form(call: Way, status: int, kind: str, expected: type[DatabricksError]) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "No, because of X"}}
    with ScriptedServer(lambda _: Scripted(body, status=status)) as server:
        with pytest.raises(expected, match="No, because of X"):
            call(llm(server), "Hi")


@pytest.mark.parametrize("call", [stream, astream])
def test_an_error_within_a_stream_carries_what_had_arrived(call: Way) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with ScriptedServer(lambda _: events(START, *TEXT, error)) as server:
        with pytest.raises(DatabricksAPIError, match="Overloaded") as caught:
            call(llm(server), "Hi")
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello"


@pytest.mark.parametrize("call", [stream, astream])
@pytest.mark.parametrize("arrived", [1, 2, 3, 4, 5], ids=str)
def test_a_stream_without_its_last_event_was_interrupted(call: Way, arrived: int) -> None:
    listed = [START, *TEXT, *END][:arrived]
    with ScriptedServer(lambda _: events(*listed)) as server:
        with pytest.raises(StreamInterruptedError) as caught:
            call(llm(server), "Hi")
    assert caught.value.partial is not None
    assert caught.value.partial.text == ("Hello" if arrived > 2 else "")


@pytest.mark.parametrize("call", [stream, astream])
@pytest.mark.parametrize("as_event", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "Hello"}],
        [
            {"type": "thinking", "thinking": "A greeting.", "signature": "c2ln"},
            {"type": "text", "text": "Hello"},
            {"type": "text", "text": "Oslo", "citations": [{"type": "char_location", "cited_text": "o"}]},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo", "days": [1, 2]}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ],
        [],
    ],
    ids=["text", "all kinds", "nothing"],
)
def test_a_server_that_does_not_stream_answers_whole(call: Way, as_event: bool, content: list[Any]) -> None:
    message = {**WHOLE, "content": content, "stop_reason": "tool_use" if len(content) > 1 else "end_turn"}

    def reply(received: Received) -> Scripted:
        return events(message) if as_event and received.json.get("stream") else Scripted(message)

    with ScriptedServer(reply) as server:
        model = llm(server)
        streamed, told = call(model, "Hello!"), model.invoke("Hello!")
    blocks = [{key: value for key, value in block.items() if key != "index"} for block in streamed.content_blocks]
    assert blocks == told.content_blocks
    assert streamed.tool_calls == told.tool_calls
    assert streamed.usage_metadata == told.usage_metadata
    assert streamed.response_metadata == told.response_metadata


DEEP = '{"a":' * 300 + "1" + "}" * 300


def _whole(content: Any, **more: Any) -> str:
    return json.dumps({**WHOLE, "content": content, **more}).replace('"DEEP"', DEEP)


@four_ways
@pytest.mark.parametrize("as_event", [False, True])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (_whole([{"type": "text", "text": "Hello"}]).replace('"type": "message", ', ""), "Hello"),
        (_whole([{"type": "text", "text": "Hello"}], type="completion"), "Hello"),
        (_whole([{"type": "tool_use", "id": "t", "name": "f", "input": "DEEP"}]), "nested more than 150 levels deep"),
        (_whole([{"type": "tool_use", "id": "t", "name": "f", "input": '{"a": 1}'}]), "{'a': 1}"),
        (_whole(None), "answered with 'content' that is null"),
        (_whole("Hello"), "answered with 'content' that is str"),
        (_whole(["Hello"]), "A block of the answer is a str"),
    ],
    ids=["no type", "another type", "a deep input", "an input as text", "null", "text", "a block that is text"],
)
def test_an_odd_whole_answer_is_read_alike_in_each_way(call: Way, as_event: bool, body: str, says: str) -> None:
    def reply(received: Received) -> Scripted:
        return Scripted(f"data: {body}\n\n") if as_event and received.json.get("stream") else Scripted(body)

    with ScriptedServer(reply) as server:
        try:
            answer = call(llm(server), "Hello!")
            told = answer.text or str([*answer.tool_calls, *answer.content_blocks])
        except MalformedResponseError as error:
            told = str(error)
    assert says in told


DISORDER: dict[str, list[dict[str, Any]]] = {
    "a block before the message": TEXT,
    "a delta of a block that is not open": [START, {**TEXT[1], "index": 4}],
    "a delta after the end of its block": [START, *TEXT, END[0], TEXT[1]],
    "a block that has begun already": [START, TEXT[0], TEXT[0]],
    "a smaller index": [START, {**TEXT[0], "index": 2}, {**END[0], "index": 2}, TEXT[0]],
    "an end of a block that is not open": [START, END[0]],
    "an end with an open block": [START, *TEXT, END[2]],
    "a second message": [START, START],
    "a change before the message": [END[1]],
    "thinking in a text": [START, TEXT[0], {**TEXT[1], "delta": {"type": "thinking_delta", "thinking": "x"}}],
    "a delta that is text": [START, TEXT[0], {**TEXT[1], "delta": "x"}],
    "another wire": [{"choices": [{"index": 0, "delta": {"content": "x"}}]}],
}  # fmt: skip


@pytest.mark.parametrize("call", [stream, astream])
@pytest.mark.parametrize("name", DISORDER)
def test_events_out_of_order_are_malformed(call: Way, name: str) -> None:
    with ScriptedServer(lambda _: events(*DISORDER[name], *END)) as server:
        with pytest.raises(MalformedResponseError):
            call(llm(server), "Hi")


@four_ways
@pytest.mark.parametrize("index", [5, "lc_txt_0", [1]])
def test_an_index_of_the_servers_own_does_not_join_two_texts(call: Way, index: Any) -> None:
    texts: list[dict[str, Any]] = [
        {"type": "text", "text": text, "index": index, "id": [1], "more": more}
        for text, more in (("A", 1), ("B", "b"), ("C", 2.5))
    ]

    def reply(received: Received) -> Scripted:
        blocks = [
            {"type": f"content_block_{step}", "index": place, **({"content_block": text} if step == "start" else {})}
            for place, text in enumerate(texts)
            for step in ("start", "stop")
        ]
        return (
            events(START, *blocks, *END[1:]) if received.json.get("stream") else Scripted({**WHOLE, "content": texts})
        )

    with ScriptedServer(reply) as server:
        found: list[Any] = call(llm(server), "Hi").content_blocks
    assert [(block["text"], block["extras"]["more"]) for block in found] == [("A", 1), ("B", "b"), ("C", 2.5)]


@four_ways
def test_an_answer_of_another_wire_is_named(call: Way) -> None:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]}
    listed = events({"choices": [{"index": 0, "delta": {"content": "x"}}]})
    with ScriptedServer(lambda received: listed if received.json.get("stream") else Scripted(body)) as server:
        with pytest.raises(MalformedResponseError, match="does not use Anthropic's Messages"):
            call(llm(server), "Hi")


class _Signed:
    """Credentials that an app accepts."""

    name = "test"

    def headers(self, *, refresh: bool = False) -> dict[str, str]:
        return {"authorization": f"Bearer eyJ-{refresh}"}

    async def aheaders(self, *, refresh: bool = False) -> dict[str, str]:
        return self.headers(refresh=refresh)


def test_an_app_has_no_messages() -> None:
    model = ChatDatabricksCompat(
        model="x", host="https://x-1.aws.databricksapps.com", api="messages", credentials=_Signed()
    )
    with pytest.raises(ConfigurationError, match="does not serve this API"):
        model.invoke("Hi")


UNSENDABLE: list[tuple[list[Any], str]] = [
    ([{"type": "image", "url": "https://example.com/a.png"}], "the model refuses image URLs"),
    ([{"type": "file", "url": "https://example.com/a.pdf"}], "cannot be sent as a URL"),
    ([{"type": "image", "file_id": "file-1"}], "stores no files"),
    ([{"type": "file", "base64": "UEs=", "mime_type": "application/zip"}], "takes PDF and text documents"),
    ([{"type": "file", "base64": "/w==", "mime_type": "text/plain"}], "not Base64 of UTF-8 text"),
    ([{"type": "file", "base64": "\u00e9", "mime_type": "text/plain"}], "not Base64 of UTF-8 text"),
    ([{"type": "audio", "base64": "UEs=", "mime_type": "audio/wav"}], "takes no audio content"),
    ([{"type": "unheard_of", "x": 1}], "a content block of type 'unheard_of' cannot be sent"),
    ([{"type": "document", "source": {"type": "text"}}], "needs its 'text'"),
]


@four_ways
@pytest.mark.parametrize(("content", "words"), UNSENDABLE, ids=lambda value: value if isinstance(value, str) else "")
def test_content_that_cannot_be_sent_is_named_before_anything_is_sent(
    call: Way, content: list[Any], words: str
) -> None:
    with ScriptedServer(answer) as server:
        with pytest.raises(UnsupportedContentError, match=words):
            call(llm(server), [HumanMessage(content)])
        assert not server.requests


@four_ways
def test_another_server_takes_urls_and_files(call: Way) -> None:
    content: list[Any] = [
        {"type": "image", "url": "https://example.com/a.png"},
        {"type": "file", "url": "https://example.com/a.pdf"},
        {"type": "file", "file_id": "file-1"},
        {"type": "file", "base64": "aGk=", "mime_type": "text/plain", "filename": "a.txt"},
    ]
    with ScriptedServer(answer) as server:
        model = ChatDatabricksCompat(model="claude", base_url=f"{server.url}/v1", token="t", api="messages")
        call(model, [HumanMessage(content)])
        assert server.requests[-1].path == "/v1/messages"
        (sent,) = server.requests[-1].json["messages"]
    assert [block["source"] for block in sent["content"]] == [
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "url", "url": "https://example.com/a.pdf"},
        {"type": "file", "file_id": "file-1"},
        {"type": "text", "media_type": "text/plain", "data": "hi"},
    ]
    assert sent["content"][3]["title"] == "a.txt"


@four_ways
def test_an_open_schema_that_has_to_be_strict_says_what_to_do(call: Way) -> None:
    schema = {"title": "Counts", "type": "object", "additionalProperties": {"type": "integer"}, "strict": True}
    with ScriptedServer(answer) as server:
        with pytest.raises(ValueError, match="method='function_calling'"):
            call(llm(server).bind(response_format=schema), "Count")
        assert not server.requests


@four_ways
def test_an_open_schema_is_asked_for_by_a_tool(call: Way) -> None:
    def called(received: Received) -> Scripted:
        block = {"type": "tool_use", "id": "toolu_1", "name": "Counts", "input": {"a": 1}}
        if received.json.get("stream"):
            return events(START, {**TEXT[0], "content_block": block}, END[0], *END[1:])
        return Scripted({**WHOLE, "content": [block], "stop_reason": "tool_use"})

    schema = {"title": "Counts", "type": "object", "additionalProperties": {"type": "integer"}}
    with ScriptedServer(called) as server:
        model = llm(server)
        with pytest.warns(UserWarning, match="takes only closed schemas .*, so the schema is sent as a tool"):
            message = call(model.bind(response_format=schema), "Count")
        parsed: Any = call(model.with_structured_output(schema, method="json_schema"), "Count")
    assert (json.loads(message.text), message.tool_calls) == ({"a": 1}, [])
    assert parsed == {"a": 1}
    for request in server.requests:
        assert "output_config" not in request.json
        assert [tool["name"] for tool in request.json["tools"]] == ["Counts"]


class Counts(BaseModel):
    counts: dict[str, int] = {}


@four_ways
@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_an_empty_answer_is_one_unless_a_limit_ended_it(call: Way, method: Any, limited: bool) -> None:
    stop = "max_tokens" if limited else "tool_use"

    def called(received: Received) -> Scripted:
        block = {"type": "tool_use", "id": "toolu_1", "name": "Counts", "input": {}}
        if received.json.get("stream"):
            delta = {"type": "input_json_delta", "partial_json": ""}
            end = {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 2}}
            return events(START, {**TEXT[0], "content_block": block}, {**TEXT[1], "delta": delta}, END[0], end, END[2])
        return Scripted({**WHOLE, "content": [block], "stop_reason": stop})

    with ScriptedServer(called) as server, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*closed schemas")
        asked = llm(server).with_structured_output(Counts, method=method, include_raw=True)
        found: Any = call(asked, "Count")
    assert found["parsed"] == (None if limited else Counts())
    assert isinstance(found["parsing_error"], OutputParserException) is limited


@four_ways
def test_any_schema_is_an_answer_of_a_model_that_cannot_be_forced(call: Way, workspace: LocalWorkspace) -> None:
    """Its answers are asked for by a schema, and a map cannot be closed."""
    model = on(workspace, "databricks-claude-opus-5-5")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*(closed schemas|cannot be forced)")  # once an endpoint
        found: Any = call(model.with_structured_output(dict[str, int], include_raw=True), "Count: a 1")
    assert found["raw"].text
    assert [tool["name"] for tool in workspace.requests[-1].json["tools"]] == ["answer"]


@four_ways
def test_media_of_another_models_answer_follow_as_the_users(call: Way, workspace: LocalWorkspace) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    made = AIMessage([image], response_metadata={"model_provider": "databricks", "model_name": "x"})
    assert call(on(workspace, api="messages"), [HumanMessage("Draw"), made, HumanMessage("Say: nice")]).text
    _, said, following = workspace.requests[-1].json["messages"]
    assert said["content"] == "(see the 1 attachment(s) in the next message)"
    assert [block["type"] for block in following["content"]] == ["image", "text"]


# -- what is sent


@four_ways
def test_headers_and_what_is_left_out(call: Way) -> None:
    with ScriptedServer(answer) as server:
        model = llm(server, family="claude-opus-5", temperature=0.2, seed=1, n=1, max_tokens=9)
        bound = model.bind(anthropic_beta="a-1", betas=["b-2"], extra_body={"metadata": {"user_id": "u"}})
        with pytest.warns(UserWarning, match="left out") as caught:
            message = call(bound, "Hi")
        received = server.requests[-1]
    assert message.text == "Hello"
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.headers["anthropic-beta"] == "a-1,b-2"
    assert {key: received.json.get(key) for key in ("max_tokens", "metadata", "temperature", "seed", "n")} == {
        "max_tokens": 9, "metadata": {"user_id": "u"}, "temperature": None, "seed": None, "n": None,
    }  # fmt: skip
    told = " ".join(str(warning.message) for warning in caught)
    assert "temperature" in told
    assert "seed" in told


@four_ways
def test_a_mark_for_the_whole_request_stands_on_its_last_block(call: Way) -> None:
    with ScriptedServer(answer) as server:
        call(
            llm(server).bind(cache_control={"type": "ephemeral", "ttl": "1h"}), [SystemMessage("S"), HumanMessage("Q")]
        )
        sent = server.requests[-1].json
    marked = {"type": "text", "text": "Q", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert sent["messages"] == [{"role": "user", "content": [marked]}]
    assert "cache_control" not in sent


@pytest.mark.parametrize("refused", ["output_config.format", "output_config"])
def test_a_refused_format_is_asked_for_as_a_tool(refused: str) -> None:
    def refuse(received: Received) -> Scripted:
        if "output_config" in received.json:
            text = f"{refused}: Extra inputs are not permitted"
            return Scripted({"type": "error", "error": {"type": "invalid_request_error", "message": text}}, status=400)
        block = {"type": "tool_use", "id": "toolu_1", "name": "Person", "input": {"name": "Ada"}}
        if received.json.get("stream"):
            return events(START, {**TEXT[0], "content_block": block}, END[0], *END[1:])
        return Scripted({**WHOLE, "content": [block], "stop_reason": "tool_use"})

    with ScriptedServer(refuse) as server:
        structured = llm(server).with_structured_output(Person, method="json_schema", include_raw=True)
        with pytest.warns(UserWarning, match="refused 'response_format'"):
            result: Any = structured.invoke("Ada")
        assert result["parsed"] == Person(name="Ada")
        assert [("output_config" in sent.json, "tools" in sent.json) for sent in server.requests] == [
            (True, False),
            (False, True),
        ]


@four_ways
def test_a_refused_mark_is_left_out(call: Way) -> None:
    def refuse(received: Received) -> Scripted:
        if "cache_control" in json.dumps(received.json):
            text = "system.0.cache_control: Extra inputs are not permitted"
            return Scripted({"type": "error", "error": {"type": "invalid_request_error", "message": text}}, status=400)
        return answer(received)

    system = SystemMessage([{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}])
    with ScriptedServer(refuse) as server:
        with pytest.warns(UserWarning, match="cache_control"):
            assert call(llm(server), [system, HumanMessage("Q")]).text == "Hello"


# -- on the local workspace, which is as strict as the facts


@four_ways
@pytest.mark.parametrize("model", ["databricks-claude-opus-5-5", "databricks-claude-fable-5-1"])
def test_the_newest_models_answer_without_a_setting(call: Way, model: str, workspace: LocalWorkspace) -> None:
    assert call(on(workspace, model), "Say: hello").text
    assert workspace.requests[-1].path == "/serving-endpoints/anthropic/v1/messages"


@four_ways
def test_a_model_of_an_own_name_learns_its_wire(call: Way) -> None:
    with LocalWorkspace(endpoints={"my-claude": "claude-opus-5-5"}) as workspace:
        model = on(workspace, "my-claude")
        assert call(model, "Say: hello").text
        assert call(model, "Say: hello").text
        paths = [request.path for request in workspace.requests if request.method == "POST"]
    assert paths == ["/serving-endpoints/my-claude/invocations", *["/serving-endpoints/anthropic/v1/messages"] * 2]


@four_ways
def test_the_gateway_serves_messages(call: Way, workspace: LocalWorkspace) -> None:
    assert call(on(workspace, "system.ai.claude-sonnet-4-6", api="messages"), "Say: hello").text
    assert workspace.requests[-1].path == "/ai-gateway/anthropic/v1/messages"


@four_ways
@pytest.mark.parametrize(("first", "second"), [("chat", "messages"), ("messages", "chat")])
def test_a_conversation_changes_the_wire_in_the_middle(
    call: Way, first: Any, second: Any, workspace: LocalWorkspace
) -> None:
    settings: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    before = on(workspace, api=first, **settings).bind_tools([get_weather])
    after = on(workspace, api=second, **settings).bind_tools([get_weather])
    messages: list[Any] = [HumanMessage("What is the weather in Oslo?")]
    said = call(before, messages)
    assert said.tool_calls
    messages += [said, *(get_weather.invoke(one) for one in said.tool_calls)]
    final = call(after, messages)
    assert "raining in Oslo" in final.text
    sent = json.dumps(workspace.requests[-1].json)
    assert "signature" in sent  # the reasoning went along, and the workspace has checked it
    assert call(before, [*messages, final, HumanMessage("Thank you")]).text


@four_ways
def test_calls_of_another_model_are_answered_although_it_thinks(call: Way, workspace: LocalWorkspace) -> None:
    calls = [{"name": "get_weather", "args": {"city": "Oslo"}, "id": "call.1"}]
    foreign = AIMessage("", tool_calls=calls, response_metadata={"model_provider": "openai"})
    messages = [HumanMessage("Weather in Oslo?"), foreign, ToolMessage("Rain", tool_call_id="call.1")]
    model = on(workspace, api="messages", thinking={"type": "enabled", "budget_tokens": 2048})
    with pytest.warns(UserWarning, match="thinking was left out"):
        assert "Rain" in call(model.bind_tools([get_weather]), messages).text


@four_ways
def test_prompt_caching_is_counted(call: Way, workspace: LocalWorkspace) -> None:
    long = "A long text about many things. " * 400
    mark = {"type": "ephemeral", "ttl": "1h"}
    messages = [SystemMessage([{"type": "text", "text": long, "cache_control": mark}]), HumanMessage("Say: hello")]
    model = on(workspace, api="messages")
    first, second = call(model, messages).usage_metadata, call(model, messages).usage_metadata
    assert first is not None
    assert second is not None
    written: Any = first["input_token_details"]
    assert written["ephemeral_1h_input_tokens"] > 1024
    assert second["input_token_details"]["cache_read"] == written["ephemeral_1h_input_tokens"]
    assert first["input_tokens"] == second["input_tokens"] > written["ephemeral_1h_input_tokens"]
    assert first["total_tokens"] == first["input_tokens"] + first["output_tokens"]


@four_ways
def test_a_cut_off_call_is_never_executed(call: Way, workspace: LocalWorkspace) -> None:
    model = on(workspace, api="messages", max_tokens=14).bind_tools([get_weather], tool_choice="any")
    message = call(model, "What is the weather in Oslo and in Bergen?")
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["stop_reason"] == "max_tokens"
    assert not message.tool_calls or not message.invalid_tool_calls
    assert all(one["args"].get("city") for one in message.tool_calls)


@four_ways
def test_anthropics_own_tool_can_be_chosen(call: Way) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    with ScriptedServer(answer) as server:
        call(llm(server).bind_tools([search], tool_choice="web_search"), "Hi")
    assert server.requests[0].json["tool_choice"] == {"type": "tool", "name": "web_search"}


@four_ways
def test_citations_go_back_streamed_or_whole(call: Way) -> None:
    cited = {"type": "char_location", "cited_text": "Rain.", "document_index": 0, "document_title": "News"}
    text = {"type": "text", "text": "Hello", "citations": [cited]}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": cited}}

    def reply(received: Received) -> Scripted:
        streamed = events(START, *TEXT, delta, *END)
        return streamed if received.json.get("stream") else Scripted({**WHOLE, "content": [text]})

    with ScriptedServer(reply) as server:
        model = llm(server)
        said = call(model, "Hi")
        call(model, [HumanMessage("Hi"), said, HumanMessage("And now?")])
    assert server.requests[1].json["messages"][1] == {"role": "assistant", "content": [text]}


def _streamed(blocks: list[dict[str, Any]]) -> Scripted:
    """Stream blocks as Anthropic does: each begins empty."""
    told = [START]
    for n, block in enumerate(blocks):
        empty = {"thinking": "", "signature": "", "text": "", "input": {}}
        begun = {key: empty.get(key, value) for key, value in block.items()}
        told.append({"type": "content_block_start", "index": n, "content_block": begun})
        deltas = {
            "thinking": [("thinking_delta", "thinking"), ("signature_delta", "signature")],
            "text": [("text_delta", "text")],
        }
        for kind, field in deltas.get(block["type"], []):
            told.append({"type": "content_block_delta", "index": n, "delta": {"type": kind, field: block[field]}})
        if block["type"] == "tool_use":
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            told.append({"type": "content_block_delta", "index": n, "delta": delta})
        told.append({"type": "content_block_stop", "index": n})
    return events(*told, *END[1:])


def _thought(number: int) -> dict[str, Any]:
    return {"type": "thinking", "thinking": f"Step {number}", "signature": f"sig-{number}"}


def _used(number: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "get", "input": {"n": number}}


SAID: dict[str, Any] = {"type": "text", "text": "Let me see."}
HIDDEN: dict[str, Any] = {"type": "redacted_thinking", "data": "abc"}


@four_ways
@pytest.mark.parametrize(
    "blocks",
    [
        [_thought(1), SAID, _used(1), _used(2)],
        [_thought(1), _used(1), _thought(2), _used(2)],
        [_thought(1), SAID, _used(1), _used(2), HIDDEN, _used(3), _thought(3), _used(4)],
        [HIDDEN, _thought(2), _used(1), _thought(3), _used(2)],
    ],
    ids=["before", "between", "hidden", "twice before"],
)
def test_reasoning_between_calls_goes_back_in_its_place(call: Way, blocks: list[dict[str, Any]]) -> None:
    def reply(received: Received) -> Scripted:
        whole = Scripted({**WHOLE, "content": blocks, "stop_reason": "tool_use"})
        return _streamed(blocks) if received.json.get("stream") else whole

    with ScriptedServer(reply) as server:
        said = call(llm(server), "Hi")
        results = [ToolMessage("1", tool_call_id=one["id"]) for one in said.tool_calls]
        call(llm(server), [HumanMessage("Hi"), said, *results])
    assert server.requests[1].json["messages"][1] == {"role": "assistant", "content": blocks}
    with ScriptedServer(in_each_format) as server:  # the place is not a field of chat completions
        call(llm(server, model=CLAUDE, api="chat"), [HumanMessage("Hi"), said, *results])
        assert "after_reasoning" not in server.requests[0].body.decode()


@pytest.mark.parametrize("call", [stream, astream])
@pytest.mark.parametrize(
    ("event", "kept"), [({}, None), ({"error": None}, None), ({"trace": "t1"}, "t1"), ({"type": None}, None)]
)
def test_an_event_without_a_type_does_not_end_an_answer(call: Way, event: dict[str, Any], kept: Any) -> None:
    """As on the other APIs: it is kept, if it says something."""
    for place in range(1, 5):
        whole = [START, *TEXT, *END]
        whole.insert(place, event)
        with ScriptedServer(events(*whole)) as server:
            message = call(llm(server), "Hi")
        assert message.text == "Hello"
        assert message.response_metadata.get("trace") == kept
    with ScriptedServer(events(event, START, *TEXT, *END)) as server:
        with pytest.raises(MalformedResponseError, match="does not use Anthropic's Messages"):
            call(llm(server), "Hi")
