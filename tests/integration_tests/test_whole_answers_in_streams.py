"""A server that does not stream sends a whole answer, whatever was asked: it is what `invoke` makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, aevents, astream, events, invoke, stream
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    DatabricksError,
    DatabricksRefusalError,
    MalformedResponseError,
    StreamInterruptedError,
)

MESSAGE = {"role": "assistant", "content": "Hello"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
FLAGGED = {"input_guardrail": [{"flagged": True}], "finishReason": "input_guardrail_triggered"}
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]}
CITED = {"type": "text", "text": "a", "citations": [{"type": "page_location", "cited_text": "b"}]}
URL = {"type": "url_citation", "url_citation": {"url": "https://a", "title": "t", "start_index": 0, "end_index": 1}}
SPOKEN = {"id": "a", "data": "AAAA", "transcript": "hi", "expires_at": 1}

in_each_form = pytest.mark.parametrize("form", ["JSON", "event", "event and [DONE]", "JSON called a stream"])
streamed = pytest.mark.parametrize("call", [stream, astream])


def _call(arguments: str = '{"a": 1}', **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "arguments": arguments}, **more}


def _calls(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _body(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"id": "x", "model": "m", "choices": choices, **more}


def _llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    given: dict[str, Any] = {"model": "m", "base_url": server.url, "token": "t", "api": "chat", **settings}
    return ChatDatabricksCompat(**given)


BODIES = {
    "with a reason and usage": _body({"index": 0, "message": MESSAGE, "finish_reason": "stop"}, usage=USAGE),
    "no reason": _body({"message": MESSAGE}, baz=[1]),
    "null as reason": _body({"index": 0, "message": MESSAGE, "finish_reason": None}),
    "a delta that is null": _body({"index": 0, "delta": None, "message": MESSAGE}),
    "an empty delta": _body({"index": 0, "delta": {}, "message": MESSAGE}),
    "nothing": _body({"message": {}}),
    "null": _body({"message": None}),
    "null with a reason": _body({"message": None, "finish_reason": "stop"}),
    "null twice": _body({"message": None, "delta": None, "finish_reason": "stop"}),
    "no message": _body({"index": 0, "finish_reason": "stop"}),
    "no object": _body({"message": "", "finish_reason": "stop"}),
    "a text": _body({"message": "Hello", "finish_reason": "stop"}),
    "content that is a number": _body({"message": {"content": 5}, "finish_reason": "stop"}),
    "of the API before": _body({"index": 0, "text": "Hello", "finish_reason": "stop"}),
    "two choices": _body({"index": 0, "message": MESSAGE}, {"index": 1, "message": {"content": "Bye"}}),
    "two choices without an index": _body({"message": MESSAGE}, {"message": {"content": "Bye"}}),
    "a second choice without a message": _body({"message": MESSAGE}, {"message": None}),
    "another index": _body({"index": "0", "message": MESSAGE}),
    "a refusal": _body({"message": {"content": None, "refusal": "No."}}),
    "log probabilities": _body({"message": MESSAGE, "logprobs": {"content": [{"token": "Hello", "logprob": -0.1}]}}),
    "blocked": _body({"message": None}, **FLAGGED),
    "blocked with text": _body({"message": MESSAGE}, **FLAGGED),
    "an error beside it": _body({"message": MESSAGE}, error={"message": "Bad", "code": 500}),
    "a call": _body({"message": _calls(_call(id="c"))}),
    "calls without ids": _body({"message": _calls(_call("{}"), _call("{}"), _call(), _call())}),
    "calls with one id": _body({"message": _calls(_call(id="c"), _call(id="c"))}),
    "a call with more fields": _body({"message": _calls(_call(f'{{"a": {10**30}}}', id="c", note={"b": [1]}))}),
    "calls with one index": _body({"message": _calls(_call(index=0), _call(index=0))}),
    "many calls": _body({"message": _calls(*[_call(id=f"c{number}") for number in range(140)])}),
    "arguments that are not an object": _body({"message": _calls(_call("null", id="c"), _call("[1]", id="d"))}),
    "a call that was cut": _body({"message": _calls(_call('{"a": ', id="c")), "finish_reason": "length"}),
    "two thoughts": _body({"message": {"content": [THOUGHT, THOUGHT, {"type": "text", "text": "b"}]}}),
    "two cited texts": _body({"message": {"content": [CITED, CITED]}}),
    "text, then an image": _body({"message": {"content": [{"type": "text", "text": "a"}, {"type": "image", "b": 1}]}}),
    "text with a source": _body({"message": {"content": "a", "annotations": [URL]}}),
    "speech": _body({"message": {"content": "hi", "audio": SPOKEN}}),
}


def _without_index(value: Any) -> Any:
    """Leave out what blocks have in a stream only."""
    if isinstance(value, list):
        return [_without_index(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_index(each) for key, each in value.items() if key != "index"}
    return value


def _said(call: Way, server: ScriptedServer) -> Any:
    try:
        answer: AIMessage = call(_llm(server, max_retries=0), "Hello!")
    except DatabricksError as error:
        return type(error)
    ids = [found["id"] if len(found["id"] or "") < 9 else "new" for found in answer.tool_calls]
    given = {key: value for key, value in answer.response_metadata.items() if key != "model_name"}  # of one choice only
    calls = [(found["name"], found["args"]) for found in answer.tool_calls]
    invalid = [(found["name"], (found["args"] or "").partition("\x18")[0]) for found in answer.invalid_tool_calls]
    return _without_index([answer.content, calls, ids, invalid, answer.additional_kwargs, given, answer.usage_metadata])


@in_each_form
@streamed
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_it_is_read_as_invoke_reads_it(body: dict[str, Any], call: Way, form: str) -> None:
    def reply(received: Received) -> Scripted:
        if not received.json.get("stream") or form == "JSON":
            return Scripted(body)
        if form == "JSON called a stream":
            return Scripted(body, headers={"Content-Type": "text/event-stream"})
        return Scripted(sse(body, done=form == "event and [DONE]"))

    with ScriptedServer(reply) as server:
        expected = _said(invoke, server)
        assert _said(call, server) == expected


def test_some_of_them_are_errors_and_some_are_not() -> None:
    found = {}
    for name, body in BODIES.items():
        with ScriptedServer(Scripted(body)) as server:
            found[name] = _said(stream, server)
    assert found["null"] is found["of the API before"] is found["no object"] is MalformedResponseError
    assert found["blocked"] is DatabricksRefusalError
    assert found["no reason"][0] == found["two choices"][0] == found["an empty delta"][0] == "Hello"
    assert len(found["calls without ids"][1]) == 4
    assert len(found["many calls"][1]) == 140


@pytest.mark.parametrize("call", [events, aevents])
@pytest.mark.parametrize("name", ["no reason", "calls without ids", "two thoughts", "text, then an image"])
def test_as_events(name: str, call: Way) -> None:
    with ScriptedServer(lambda _: Scripted(BODIES[name])) as server:
        expected, answer = invoke(_llm(server), "Hello!"), call(_llm(server), "Hello!")
    assert answer.text == expected.text
    assert [found["args"] for found in answer.tool_calls] == [found["args"] for found in expected.tool_calls]
    assert [block["type"] for block in answer.content_blocks] == [block["type"] for block in expected.content_blocks]


@streamed
def test_the_usage_may_follow(call: Way) -> None:
    usage = {"choices": [], "usage": USAGE}
    with ScriptedServer(Scripted(sse(BODIES["no reason"], usage, done=False))) as server:
        answer = call(_llm(server), "Hello!")
    assert answer.text == "Hello"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 3


@streamed
@pytest.mark.parametrize("more", [[], [{"message": None, "finish_reason": "stop"}]], ids=["cut", "ended"])
@pytest.mark.parametrize("first", [[], [{}]], ids=["at once", "after an empty choice"])
def test_messages_in_the_place_of_deltas_are_no_whole_answer(call: Way, first: list[Any], more: list[Any]) -> None:
    choices = [*first, {"message": {"content": "Hel"}}, {"message": {"content": "lo"}}, *more]
    parts = [{"choices": [{"index": 0, **choice}]} for choice in choices]
    with ScriptedServer(Scripted(sse(*parts, done=False))) as server:
        if more:
            assert call(_llm(server), "Hello!").text == "Hello"
        else:
            with pytest.raises(StreamInterruptedError, match="no finish reason") as raised:
                call(_llm(server), "Hello!")
            assert raised.value.partial is not None
            assert raised.value.partial.text == "Hello"


@streamed
@pytest.mark.parametrize("more", [b"data: {", b"data: [1]\n\n"], ids=["cut", "malformed"])
def test_what_was_kept_is_in_the_partial_message(call: Way, more: bytes) -> None:
    with ScriptedServer(Scripted([sse(BODIES["no reason"], done=False), more], drop_after=2)) as server:
        with pytest.raises(DatabricksError) as raised:
            call(_llm(server, max_retries=0), "Hello!")
    assert raised.value.partial is not None
    assert raised.value.partial.text == "Hello"


@streamed
@pytest.mark.parametrize("more", [[], [{"index": 0, "message": MESSAGE}]], ids=["alone", "followed"])
@pytest.mark.parametrize("place", ["content", "choice", "type"])
def test_an_error_about_what_was_kept_has_no_secret(call: Way, place: str, more: list[Any]) -> None:
    secret = "own-secret-of-no-known-form"
    message: Any = {"role": "assistant", "content": [{"type": "text", "text": {secret: 1}}]}
    choice: Any = {"content": {"message": message}, "choice": [secret], "type": {"message": secret}}[place]
    parts = [_body(choice), *[_body(each) for each in more]]
    with ScriptedServer(Scripted(sse(*parts))) as server:
        with pytest.raises(MalformedResponseError) as raised:
            call(_llm(server, token=secret, max_retries=0), "Hello!")
    assert "own-secret" not in str(raised.value)
