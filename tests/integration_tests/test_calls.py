"""What one call may say, and what is said back: settings over settings, histories of others, answers that end badly."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from kit.scripted import Scripted, ScriptedServer, sse
from kit.ways import Way, astream, four_ways, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import ConfigurationError, DatabricksError, DatabricksTimeoutError, StreamInterruptedError
from langchain_dbchat.local import LocalWorkspace


def _whole(content: str | None = "Hi.", reason: str = "stop", **message: Any) -> Scripted:
    said = {"role": "assistant", "content": content, **message}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return Scripted({"choices": [{"index": 0, "message": said, "finish_reason": reason}], "usage": usage})


def _llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(**{"model": "m", "host": server.url, "token": "dapi0", **settings})


@four_ways
def test_a_call_says_how_it_travels(call: Way) -> None:
    with ScriptedServer(lambda _: Scripted(wait=20)) as server:
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match=r"0\.2"):
            call(_llm(server).bind(timeout=0.2, max_retries=0), "Hello!")
        assert time.monotonic() - began < 15


@four_ways
@pytest.mark.parametrize("name", ["host", "base_url", "streaming", "profile", "default_query", "http_client"])
def test_what_only_the_constructor_takes_is_refused_in_a_call(call: Way, name: str) -> None:
    with ScriptedServer(lambda _: _whole()) as server:
        with pytest.raises(ValueError, match=f"{name} cannot be given for one call"):
            call(_llm(server).bind(**{name: "x"}), "Hello!")
    assert not server.requests


@four_ways
def test_a_call_replaces_what_the_constructor_says_of_reasoning(call: Way) -> None:
    with LocalWorkspace() as workspace:
        llm = ChatDatabricksCompat(
            model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token, reasoning_effort="high"
        )
        call(llm.bind(thinking={"type": "disabled"}), "Hello!")
        call(llm.bind(thinking={"type": "enabled", "budget_tokens": 1024}), "Hello!")
        first, second = (request.json for request in workspace.requests)
    assert "thinking" not in first
    assert second["thinking"]["budget_tokens"] == 1024


@four_ways
def test_thinking_in_extra_params_is_fitted_too(call: Way) -> None:
    with LocalWorkspace() as workspace:
        thinking = {"type": "enabled", "budget_tokens": 1024}
        llm = ChatDatabricksCompat(
            model="databricks-claude-sonnet-4-5",
            host=workspace.host,
            token=workspace.token,
            extra_params={"thinking": thinking},
        )
        assert [block["type"] for block in call(llm, "Why?").content_blocks] == ["reasoning", "text"]
        assert workspace.requests[-1].json["max_tokens"] == 1024 + 4096

        class Answer(BaseModel):
            """An answer."""

            text: str

        assert isinstance(llm.with_structured_output(Answer).invoke("Why?"), Answer)


@four_ways
def test_the_prefix_of_other_clients_is_stripped_in_a_call_too(call: Way) -> None:
    with ScriptedServer(lambda _: _whole()) as server:
        call(_llm(server).bind(model="databricks/other"), "Hello!")
        assert server.requests[0].path == "/serving-endpoints/other/invocations"


@four_ways
def test_a_server_of_ones_own_needs_no_token(call: Way) -> None:
    with ScriptedServer(lambda _: _whole()) as server:
        llm = ChatDatabricksCompat(model="m", base_url=f"{server.url}/v1")
        assert call(llm, "Hello!").text == "Hi."
        assert "authorization" not in server.requests[0].headers


def test_no_usage_when_none_is_wanted() -> None:
    events = [{"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}]
    usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
    reply = Scripted(headers={"content-type": "text/event-stream"}, body=sse(*events, usage))
    with ScriptedServer(lambda _: reply) as server:
        for way in (stream, astream):
            assert way(_llm(server, stream_usage=False), "Hello!").usage_metadata is None
            assert way(_llm(server), "Hello!").usage_metadata is not None
    assert ["stream_options" in request.json for request in server.requests] == [False, True, False, True]


@pytest.mark.parametrize("way", [stream, astream])
def test_a_stream_of_done_alone_is_no_answer(way: Way) -> None:
    reply = Scripted(headers={"content-type": "text/event-stream"}, body=b"data: [DONE]\n\n")
    with ScriptedServer(lambda _: reply) as server:
        with pytest.raises(StreamInterruptedError):
            way(_llm(server), "Hello!")


def test_a_wrong_timeout_is_found_at_once() -> None:
    for wrong in ("abc", 0, -1, True):
        with pytest.raises(ValueError, match="timeout"):
            ChatDatabricksCompat(model="m", timeout=wrong)


@four_ways
def test_what_other_providers_own_tools_left_does_not_stop_a_conversation(call: Way) -> None:
    history = [
        HumanMessage("What is new?"),
        AIMessage(
            [
                {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "1", "content": []},
                {"type": "text", "text": "Much."},
            ],
            response_metadata={"model_provider": "anthropic"},
        ),
        AIMessage(
            [{"type": "web_search_call", "id": "ws_1"}, {"type": "text", "text": "Really."}],
            response_metadata={"model_provider": "openai"},
        ),
        HumanMessage("Hello!"),
    ]
    with ScriptedServer(lambda _: _whole()) as server:
        call(_llm(server), history)
        sent = server.requests[0].json["messages"]
    assert [message["content"] for message in sent] == ["What is new?", "Much.", "Really.", "Hello!"]


@four_ways
def test_results_of_split_calls_stay_with_their_turn(call: Way) -> None:
    def turn(*calls: tuple[str, str]) -> list[Any]:
        asked = AIMessage(
            "", tool_calls=[{"name": "f", "args": {"x": name}, "id": key} for key, name in calls], id=calls[0][1]
        )
        return [asked, *(ToolMessage(f"result of {name}", tool_call_id=key) for key, name in calls)]

    history = [HumanMessage("f?"), *turn(("call_0", "a"), ("call_1", "b")), *turn(("call_0", "c"), ("call_1", "d"))]
    with ScriptedServer(lambda _: _whole()) as server:
        call(_llm(server, family="gpt-oss"), history)
        sent = server.requests[0].json["messages"][1:]
    pairs = [
        (asked["tool_calls"][0]["function"]["arguments"], answered["content"])
        for asked, answered in zip(sent[::2], sent[1::2], strict=True)
    ]
    assert pairs == [(f'{{"x": "{name}"}}', f"result of {name}") for name in "abcd"]


@four_ways
def test_a_call_without_a_name_can_be_answered_and_goes_back(call: Way) -> None:
    nameless = {"index": 0, "id": "c", "type": "function", "function": {"name": "", "arguments": "{}"}}

    def reply(request: Any) -> Scripted:
        if request.json.get("stream"):
            event = {"choices": [{"index": 0, "delta": {"tool_calls": [nameless]}, "finish_reason": "tool_calls"}]}
            return Scripted(headers={"content-type": "text/event-stream"}, body=sse(event))
        return _whole(None, "tool_calls", tool_calls=[nameless])

    with ScriptedServer(reply) as server:
        answer = call(_llm(server), "Hello!")
        assert [made["name"] for made in answer.tool_calls] == ["unnamed_tool"]
        call(_llm(server), [HumanMessage("Hello!"), answer, ToolMessage("no such tool", tool_call_id="c")])
        assert server.requests[1].json["messages"][1]["tool_calls"][0]["function"]["name"] == "unnamed_tool"


class Person(BaseModel):
    """A person."""

    name: str
    age: int


BAD_ANSWERS = [
    ('{"name": "a", "age": "many"}', "stop", "does not fit"),
    ('{"name": "abc def', "length", "cut off"),
    ('{"name": "a", "age": 3', "length", "cut off"),
    ("I would rather not.", "stop", "not valid JSON"),
    ("", "stop", "no structured answer"),
]


@pytest.mark.parametrize(("content", "reason", "says"), BAD_ANSWERS)
@four_ways
def test_a_structured_answer_that_is_none_is_an_error_in_every_way(
    call: Way, content: str, reason: str, says: str
) -> None:
    def reply(request: Any) -> Scripted:
        if request.json.get("stream"):
            events = [
                {"choices": [{"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            ]
            return Scripted(headers={"content-type": "text/event-stream"}, body=sse(*events))
        return _whole(content, reason)

    with ScriptedServer(reply) as server:
        llm = _llm(server, family="gpt-5-2")
        with pytest.raises(OutputParserException, match=says):
            call(llm.with_structured_output(Person), "Who?")
        found: Any = call(llm.with_structured_output(Person, include_raw=True), "Who?")
    assert found["parsed"] is None
    assert isinstance(found["parsing_error"], OutputParserException)
    assert found["raw"].text == content


def test_a_cache_is_not_shared_between_users_or_workspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter("abcdef")
    with ScriptedServer(lambda _: _whole(next(answers))) as server:
        cache = InMemoryCache()
        alice = _llm(server, cache=cache, token="alice")
        assert alice.invoke("Hello!").text == "a"
        assert alice.invoke("Hello!").text == "a"
        assert _llm(server, cache=cache, token="bob").invoke("Hello!").text == "b"
        assert alice.with_credentials(token="carol").invoke("Hello!").text == "c"
        monkeypatch.setenv("DATABRICKS_TOKEN", "one")
        anyone = _llm(server, cache=cache, token=None)
        assert anyone.invoke("Hello!").text == "d"
        monkeypatch.setenv("DATABRICKS_TOKEN", "two")
        assert _llm(server, cache=cache, token=None).invoke("Hello!").text == "e"
    assert "alice" not in str(cache._cache.keys())


def test_many_calls_at_once_ask_for_the_family_once() -> None:
    with LocalWorkspace(endpoints={"bot-of-many": "claude-sonnet-4-5"}, latency=0.05) as workspace:
        llm = ChatDatabricksCompat(
            model="bot-of-many", family="discover", host=workspace.host, token=workspace.token, max_tokens=5
        )
        threads = [threading.Thread(target=llm.invoke, args=("Hello!",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(request.method == "GET" for request in workspace.requests) == 1


def test_a_failure_that_passes_does_not_settle_the_family() -> None:
    with LocalWorkspace(endpoints={"bot-of-one": "claude-sonnet-4-5"}) as workspace:
        workspace.fail_next(503, path="/api/2.0")
        llm = ChatDatabricksCompat(
            model="bot-of-one", family="discover", host=workspace.host, token=workspace.token, max_retries=0
        )
        with pytest.warns(UserWarning, match="did not say what is behind 'bot-of-one'"):
            assert llm.invoke("Hello!").response_metadata["model_family"] == "generic"
        assert llm.invoke("Hello!").response_metadata["model_family"] == "claude"


def test_a_user_who_is_nobody_is_not_signed_in_as_somebody() -> None:
    with ScriptedServer(lambda _: _whole()) as server:
        with pytest.raises(ConfigurationError, match="None was given"):
            _llm(server).invoke("Hello!", token=None)
    assert not server.requests


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"response_format": "json_object"}, "is not a dict"),
        ({"response_format": {"type": "json_schema"}}, "needs"),
        ({"tools": [Person]}, "bind_tools"),
    ],
)
def test_misuse_is_explained(settings: dict[str, Any], says: str) -> None:
    with ScriptedServer(lambda _: _whole()) as server:
        with pytest.raises((TypeError, ValueError, DatabricksError), match=says):
            _llm(server).invoke("Hello!", **settings)
    assert not server.requests
