"""What was streamed goes back in the next turn as what was read as a whole, in each form that LangChain gives it."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import add_up
from langchain_dbchat import ChatDatabricksCompat

Api = Literal["chat", "responses", "messages", "agent"]
MESSAGES = [
    {"role": "assistant", "content": "Let me look.", "id": "m0"},
    {"role": "assistant", "content": "It rains.", "id": "m1"},
]


async def _answers(llm: ChatDatabricksCompat) -> dict[str, AIMessage]:
    return {
        "invoke": llm.invoke("Hi"),
        "ainvoke": await llm.ainvoke("Hi"),
        "stream": add_up(list(llm.stream("Hi"))),
        "astream": add_up([chunk async for chunk in llm.astream("Hi")]),
    }


async def _sent_again(api: Api, server: ScriptedServer, **settings: Any) -> list[Any]:
    """Return what the next request has of each answer."""
    llm = ChatDatabricksCompat(model="mine", api=api, host=server.url, token="t", **settings)
    sent = []
    for message in (await _answers(llm)).values():
        llm.invoke([("human", "Hi"), message, ("human", "Go on.")])
        body = server.requests[-1].json
        sent.append([item for item in body.get("messages", body.get("input")) if item.get("role") != "user"])
    return sent


@pytest.mark.parametrize("version", [None, "v1"])
async def test_the_messages_of_an_agent(version: str | None) -> None:
    def reply(request: Received) -> Scripted:
        streamed = sse(*({"id": "c", "delta": message} for message in MESSAGES))
        return Scripted(streamed if request.json.get("stream") else {"id": "c", "messages": MESSAGES})

    with ScriptedServer(reply) as server:
        assert await _sent_again("agent", server, output_version=version) == [MESSAGES] * 4


@pytest.mark.parametrize("coalesce", [True, False])
async def test_a_block_of_an_unknown_kind(coalesce: bool) -> None:
    content = [{"type": "text", "text": "See: "}, {"type": "weird", "x": 1}]

    def reply(request: Received) -> Scripted:
        if not request.json.get("stream"):
            return Scripted({"choices": [{"index": 0, "message": {"content": content}, "finish_reason": "stop"}]})
        events = [{"choices": [{"index": 0, "delta": {"content": [block]}}]} for block in content]
        return Scripted(sse(*events, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))

    with ScriptedServer(reply) as server, pytest.warns(UserWarning, match="weird"):
        first, *others = await _sent_again("chat", server, coalesce=coalesce)
    assert "lc_blk" not in json.dumps(first)
    assert others == [first] * 3


@pytest.mark.parametrize("coalesce", [True, False])
async def test_messages_and_summaries_that_begin_with_an_empty_delta(coalesce: bool) -> None:
    texts, summary = ["First.", "Second."], ["one", "two"]
    parts = [{"type": "summary_text", "text": text} for text in summary]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": parts, "encrypted_content": "E"}
    messages = [
        {
            "type": "message",
            "id": f"msg_{number}",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
        for number, text in enumerate(texts)
    ]
    whole = {"id": "a", "object": "response", "status": "completed", "output": [reasoning, *messages]}
    events: list[dict[str, Any]] = []
    for number, text in enumerate(summary):
        place = {"output_index": 0, "item_id": "rs_1", "summary_index": number}
        events += [{"type": "response.reasoning_summary_text.delta", **place, "delta": piece} for piece in ("", text)]
    events.append({"type": "response.output_item.done", "output_index": 0, "item": reasoning})
    for number, message in enumerate(messages):
        place = {"output_index": number + 1, "item_id": message["id"], "content_index": 0}
        pieces = ("", texts[number])
        events += [{"type": "response.output_text.delta", **place, "delta": piece} for piece in pieces]
        events.append({"type": "response.output_item.done", "output_index": number + 1, "item": message})
    events.append({"type": "response.completed", "response": whole})

    def reply(request: Received) -> Scripted:
        return Scripted(sse(*events, done=False) if request.json.get("stream") else whole)

    with ScriptedServer(reply) as server:
        first, *others = await _sent_again("responses", server, coalesce=coalesce)
    assert others == [first] * 3
    assert [text for text in (*texts, *summary) if json.dumps(text) not in json.dumps(first)] == []


class _Inner(BaseModel):
    a: int = 1


class _Items(BaseModel):
    items: list[_Inner] = []


class _Person(BaseModel):
    name: str = ""
    email: str | None = None


ANY = {"title": "Any", "type": "object", "properties": {"x": {}}}


@pytest.mark.parametrize("length", [1, 7, 20, 1000])
@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (_Items, '{"items":[{"a":1}],"items":[]}'),
        (_Items, '{"items":[{"a":1},{"a":2},{"a":3}],"items":[{"a":4}]}'),
        (_Items, '{"items":[{"a":1}]}'),
        (_Person, '{"name":"Ada","email":null}'),
        (ANY, '{"x": 100.0}'),
        (ANY, '{"x": [-0.0, 1.0]}'),
    ],
)
async def test_the_last_part_of_a_structured_answer_is_the_whole(schema: Any, text: str, length: int) -> None:
    pieces = [text[start : start + length] for start in range(0, len(text), length)]
    deltas = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

    def reply(request: Received) -> Scripted:
        message = {"message": {"content": text}, "index": 0, "finish_reason": "stop"}
        return Scripted(sse(*deltas, end) if request.json.get("stream") else {"choices": [message]})

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", family="gpt-5", coalesce=False)
        asked = llm.with_structured_output(schema, method="json_schema", strict=False)
        whole = asked.invoke("Hi")
        lasts = [await asked.ainvoke("Hi"), [*asked.stream("Hi")][-1], [part async for part in asked.astream("Hi")][-1]]
    for last in lasts:
        assert repr(last) == repr(whole)
        if isinstance(whole, BaseModel):
            assert last.model_dump(exclude_unset=True) == whole.model_dump(exclude_unset=True)


@pytest.mark.parametrize("end", ["", "]" * 3000 + "}"])
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_structured_answer_that_is_nested_too_deeply(way: str, end: str) -> None:
    text = '{"x":' + "[" * 3000 + end
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}

    def reply(request: Received) -> Scripted:
        message = {"message": {"content": text}, "index": 0, "finish_reason": "stop"}
        return Scripted(sse(chunk) if request.json.get("stream") else {"choices": [message]})

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", family="gpt-5")
        asked = llm.with_structured_output(ANY, method="json_schema", strict=False)
        with pytest.raises(OutputParserException):
            list(asked.stream("Hi")) if way == "stream" else asked.invoke("Hi")
