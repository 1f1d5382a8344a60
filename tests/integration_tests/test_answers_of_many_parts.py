"""An answer with more parts than any model writes is an error in words; up to the bounds it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways, invoke
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.dialects.shared.answer import bounds
from langchain_dbchat.errors import MalformedResponseError


def _calls(count: int) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    return {"tool_calls": [{"index": i, "id": f"c{i}", "type": "function", "function": function} for i in range(count)]}


def _blocks(count: int) -> dict[str, Any]:
    return {"content": [{"type": "picture", "number": number} for number in range(count)]}


def _reasoning(count: int) -> dict[str, Any]:
    entry = {"type": "summary_text", "text": "a", "signature": "s"}
    return {"content": [{"type": "reasoning", "summary": [entry] * (count - 1)}]}


def _fields(count: int) -> dict[str, Any]:
    return {"content": "a", **{f"field_{number}": number for number in range(count)}}


def _fields_of_a_call(count: int) -> dict[str, Any]:
    extras = {f"field_{number}": number for number in range(count)}
    return {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}, **extras}]}


def _name(count: int) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "n" * count, "arguments": "{}"}}]}


def _sources(count: int) -> dict[str, Any]:
    sources = [f"https://example.com/{number}" for number in range(count)]
    return {"content": "a", "provider_specific_fields": {"search_results": [{"url": url} for url in sources]}}


MANY = [
    (_name, bounds.LONGEST_NAME, "10,000 characters in the name of a called tool"),
    (_calls, bounds.MOST_CALLS, "25,000 tool calls"),
    (_blocks, bounds.MOST_BLOCKS, "5,000 content blocks"),
    (_reasoning, bounds.MOST_BLOCKS, "5,000 content blocks"),
    (_fields, bounds.MOST_FIELDS, "1,000 unknown fields"),
    (_fields_of_a_call, bounds.MOST_FIELDS, "1,000 unknown fields in one tool call"),
]


def _server(message: dict[str, Any]) -> ScriptedServer:
    def answer(got: Received) -> Scripted:
        ends = {"index": 0, "finish_reason": "stop"}
        if got.json.get("stream"):
            return Scripted(sse({"choices": [{"index": 0, "delta": message}]}, {"choices": [{**ends, "delta": {}}]}))
        return Scripted({"choices": [{**ends, "message": {"content": None, **message}}]})

    return ScriptedServer(answer)


def _model(server: ScriptedServer, **more: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="m", base_url=server.url, token="t", max_retries=0, **more)


@four_ways
@pytest.mark.parametrize(("parts", "most", "words"), MANY)
def test_more_than_the_bound_is_an_error(parts: Callable[[int], Any], most: int, words: str, call: Way) -> None:
    with _server(parts(most + 1)) as server, pytest.raises(MalformedResponseError, match=f"more than {words}, which"):
        call(_model(server), "Hi")


@pytest.mark.parametrize(("parts", "most", "words"), MANY)
def test_as_many_as_the_bound_are_read(parts: Callable[[int], Any], most: int, words: str) -> None:
    del words
    with _server(parts(most)) as server:
        whole = invoke(_model(server), "Hi")
        streamed = invoke(_model(server, streaming=True), "Hi")
    assert len(whole.tool_calls) == len(streamed.tool_calls)
    assert len(whole.content) == len(streamed.content)
    assert whole.additional_kwargs == streamed.additional_kwargs


@four_ways
@pytest.mark.parametrize("version", [None, "v1"])
def test_calls_that_no_model_writes_at_once_come_together_at_the_end(version: Any, call: Way) -> None:
    """langchain-core compares each fragment that has an index with all calls before it."""
    function = {"name": "f", "arguments": '{"a": 18446744073709551616}'}
    calls = [{"index": i, "id": f"c{i}", "type": "function", "function": function, "more": i} for i in range(1_000)]
    with _server({"tool_calls": calls}) as server:
        whole = invoke(_model(server, output_version=version), "Hi")
        answer = call(_model(server, output_version=version), "Hi")
        chunks = list(_model(server, output_version=version).stream("Hi"))
    assert answer.tool_calls == whole.tool_calls
    assert answer.additional_kwargs == whole.additional_kwargs
    assert len(whole.tool_calls) == 1_000
    together = max(chunks, key=lambda chunk: len(chunk.tool_call_chunks)).tool_call_chunks
    assert len(together) == 1_000 - 128
    assert {fragment["index"] for fragment in together} == {None}


@four_ways
def test_sources_beside_an_answer(call: Way) -> None:
    with _server(_sources(5_000)) as server:
        (block,) = call(_model(server), "Hi").content_blocks
        assert len(block["annotations"]) == 5_000  # type: ignore[typeddict-item]  # it is text
    with _server(_sources(5_001)) as server, pytest.raises(MalformedResponseError, match="5,000 sources beside it"):
        call(_model(server), "Hi")


def test_what_came_before_is_in_the_error() -> None:
    events = [{"choices": [{"index": 0, "delta": _calls(bounds.MOST_CALLS + 1)}]}]
    with ScriptedServer(Scripted(sse(*events))) as server, pytest.raises(MalformedResponseError) as caught:
        list(_model(server).stream("Hi"))
    assert caught.value.partial is not None
    assert len(caught.value.partial.invalid_tool_calls) == bounds.MOST_CALLS  # all are cut off


def test_too_many_choices() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    with (
        ScriptedServer(Scripted({"choices": [choice] * (bounds.MOST_CHOICES + 1)})) as server,
        pytest.raises(MalformedResponseError, match="more than 500 choices, which"),
    ):
        invoke(_model(server), "Hi")


@pytest.mark.parametrize("api", ["chat", "responses", "messages", "agent"])
def test_too_many_lists(api: Any) -> None:
    body = b'{"zz":[' + b"[]," * bounds.MOST_CONTAINERS + b"1]}"
    with (
        ScriptedServer(Scripted(body)) as server,
        pytest.raises(MalformedResponseError, match="more than 2,000,000 lists and objects, which"),
    ):
        invoke(_model(server, api=api), "Hi")


def test_too_many_lists_of_an_embedding_endpoint() -> None:
    body = b'{"data":[' + b"[]," * bounds.MOST_CONTAINERS + b"1]}"
    with (
        ScriptedServer(Scripted(body)) as server,
        pytest.raises(MalformedResponseError, match="more than 2,000,000 lists and objects, which"),
    ):
        DatabricksEmbeddings(model="m", base_url=server.url, token="t", max_retries=0).embed_query("Hi")


@four_ways
@pytest.mark.parametrize("api", ["chat", "responses", "messages", "agent"])
def test_an_error_about_a_large_answer_is_short(api: Any, call: Way) -> None:
    large = {"name " * 10_000: 1, **{f"key {number}": 1 for number in range(100_000)}}
    index = {"type": "content_block_stop", "index": "x" * 500_000}

    def answer(got: Received) -> Scripted:
        return Scripted(sse(index if api == "messages" else large) if got.json.get("stream") else large)

    with ScriptedServer(answer) as server, pytest.raises(MalformedResponseError) as caught:
        call(_model(server, api=api), "Hi")
    assert len(str(caught.value)) < 10_000


def test_an_error_about_a_large_answer_of_an_embedding_endpoint_is_short() -> None:
    with ScriptedServer(Scripted({f"key {number}": 1 for number in range(100_000)})) as server:
        model = DatabricksEmbeddings(model="m", base_url=server.url, token="t", max_retries=0)
        with pytest.raises(MalformedResponseError, match="instead of 'data'") as caught:
            model.embed_query("Hi")
    assert len(str(caught.value)) < 10_000


@four_ways
def test_the_error_about_a_large_answer_says_what_is_wrong_with_it(call: Way) -> None:
    """Only its first MiB is searched for secrets, and what remains of it is not JSON."""
    with _server({"content": [7], "zz": "z" * 2_000_000}) as server, pytest.raises(MalformedResponseError) as caught:
        call(_model(server), "Hi")
    assert "A part of the answer's content is a int, not an object." in str(caught.value)
