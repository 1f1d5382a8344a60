"""Threads that no server may refuse: each of their shapes, on the strict workspace, in all four ways."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call

from kit.scripted import Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksError, DatabricksInvalidRequestError, UnsupportedContentError
from langchain_dbchat.local import LocalWorkspace

CLAUDE = "databricks-claude-sonnet-4-5"
LLAMA = "databricks-meta-llama-3-3-70b-instruct"
MODELS = [
    CLAUDE,
    "databricks-claude-opus-5",
    "databricks-gpt-5-2",
    "databricks-gemini-3-1-pro",
    "databricks-gpt-oss-120b",
    LLAMA,
    "databricks-llama-4-maverick",
    "databricks-glm-5-2",
    "databricks-kimi-k3",
]
LINK = {"type": "resource_link", "uri": "https://x.org/a.csv", "name": "a.csv"}
HI = HumanMessage("Hello!")
SO = HumanMessage("So?")


def _llm(workspace: LocalWorkspace, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


def _asks(*calls: tuple[str | None, dict[str, Any]], text: str = "") -> AIMessage:
    return AIMessage(text, tool_calls=[ToolCall(name="f", args=args, id=key, type="tool_call") for key, args in calls])


THREADS: dict[str, Callable[[], list[AnyMessage]]] = {
    "the assistant opens, and roles come twice": lambda: [
        SystemMessage("a"), AIMessage("Welcome!"), HI, HI, AIMessage("b"), AIMessage("c"), SystemMessage("d"), HI, SO,
    ],
    "ids of other models": lambda: [
        HI,
        _asks(("functions.f:0", {}), ("call|fc_1", {})),
        ToolMessage("1", tool_call_id="functions.f:0"),
        ToolMessage("2", tool_call_id="call|fc_1"),
        _asks(("x" * 83, {})),
        ToolMessage("3", tool_call_id="x" * 83),
        SO,
    ],
    "ids that are missing or come again": lambda: [
        HI,
        _asks((None, {"a": 1}), ("c1", {}), ("c1", {})),
        *(ToolMessage(key, tool_call_id=key) for key in ("", "c1", "c1")),
        _asks(("c1", {})),
        ToolMessage("4", tool_call_id="c1"),
        SO,
    ],
    "anthropic's blocks": lambda: [
        HI,
        AIMessage([{"type": "tool_use", "id": "f:0", "name": "f", "input": {"day": dt.date(2026, 1, 2)}}]),
        HumanMessage([{"type": "tool_result", "tool_use_id": "f:0", "content": [{"type": "text", "text": " "}]}]),
        SO,
    ],
    "openai's items": lambda: [
        HumanMessage([{"type": "input_text", "text": "Hello!"}]),
        AIMessage([
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"},
            {"type": "output_text", "text": "Let me see.", "annotations": []},
            {"type": "function_call", "id": "fc_1", "call_id": "call|fc_1", "name": "f", "arguments": '{"a":1}'},
        ]),
        HumanMessage([
            {"type": "function_call_output", "call_id": "call|fc_1", "output": [{"type": "input_text", "text": "42"}]},
            {"type": "input_text", "text": "So?"},
        ]),
    ],
    "blocks that langchain wrapped": lambda: [
        HumanMessage([{"type": "non_standard", "value": {"type": "input_text", "text": "Hello!"}}]),
        AIMessage([{"type": "non_standard", "value": {"type": "redacted_thinking", "data": "E"}}, "Hi."]),
        SO,
    ],
    "calls that nobody answered": lambda: [
        HI,
        _asks(("c1", {})),
        HumanMessage("Stop."),
        AIMessage("", invalid_tool_calls=[invalid_tool_call(name="f", args='{"a', id="c2", error="x")]),
        AIMessage("Sorry."),
        SO,
    ],
    "a late result": lambda: [HI, _asks(("c1", {})), HumanMessage("Hurry."), ToolMessage("1", tool_call_id="c1"), SO],
    "arguments that are not plain JSON": lambda: [
        HI,
        _asks(("c1", {"day": dt.date(2026, 1, 2), "n": float("nan"), "text": "\ud83d"})),
        ToolMessage("1\ud83d", tool_call_id="c1"),
        SO,
    ],
    "answers that said nothing": lambda: [
        HI, AIMessage(""), HI, AIMessage([]), HI, AIMessage(" \n"), HI,
        AIMessage([{"type": "reasoning", "reasoning": "hm"}]), SO,
    ],
    "blanks": lambda: [SystemMessage(" "), HI, _asks(("c1", {}), text=" "), ToolMessage("\n", tool_call_id="c1"),
                       AIMessage([" ", "a", " ", "b"]), HumanMessage([" ", "c"])],
    "an answer that a human repeats": lambda: [
        HumanMessage([
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm", "signature": "S"}]},
            {"type": "tool_call", "id": "c1", "name": "f", "args": {}},
            {"type": "text", "text": "Hello!"},
        ]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("thread", THREADS)
@pytest.mark.parametrize("model", MODELS)
@four_ways
def test_a_thread_is_taken(call: Way, model: str, thread: str, workspace: LocalWorkspace) -> None:
    assert call(_llm(workspace, model), THREADS[thread]()).text


def _answers(message: dict[str, Any], finish: str | None, *, broken: bool = False) -> Callable[[Any], Scripted]:
    """Answer whole or streamed, as asked; a broken stream ends without having said so."""

    def reply(request: Any) -> Scripted:
        choice = {"index": 0, "finish_reason": finish}
        if request.json.get("stream"):
            calls = [{**one, "index": place} for place, one in enumerate(message.get("tool_calls", []))]
            delta = {**message, **({"tool_calls": calls} if calls else {})}
            event = {"choices": [{**choice, "delta": delta}]}
            return Scripted(headers={"content-type": "text/event-stream"}, body=sse(event, done=not broken))
        return Scripted({"choices": [{**choice, "message": message}]})

    return reply


def _made(arguments: str, call_id: str = "functions.f:0", name: str = "f") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
ANSWERS: list[tuple[dict[str, Any], str]] = [
    ({"content": None, "tool_calls": [_made('{"a": "hel')]}, "length"),
    ({"content": "Look:", "tool_calls": [_made("{}", "c1"), _made("{not JSON", "c2"), _made("[1]", "c1")]}, "stop"),
    ({"content": None, "tool_calls": [_made("{}", "", "")]}, "tool_calls"),
    ({"content": None, "tool_calls": [_made('{"a": NaN, "b": "\\ud83d"}')]}, "tool_calls"),
    ({"content": "<invoke>", "tool_calls": []}, "tool_calls"),
    ({"content": ""}, "length"),
    ({"content": " "}, "stop"),
    ({"content": "", "reasoning_content": "hm"}, "length"),
    ({"content": None, "refusal": "I can't."}, "stop"),
    ({"content": [{"type": "text", "text": "Here:"}, PNG]}, "stop"),
]


@pytest.mark.filterwarnings("ignore:.*so text that names it was sent")
@pytest.mark.parametrize("number", range(len(ANSWERS)))
@four_ways
def test_no_answer_spoils_its_thread(call: Way, number: int, workspace: LocalWorkspace) -> None:
    message, finish = ANSWERS[number]
    with ScriptedServer(_answers({"role": "assistant", **message}, finish)) as server:
        answer = call(ChatDatabricksCompat(model="m", host=server.url, token="t"), "Hello!")
    stored = loads(dumps(answer), allowed_objects=[AIMessage, AIMessageChunk])
    for model in MODELS:
        for thread in ([HI, answer, SO], [HI, stored, AIMessage("Well."), SO]):
            assert call(_llm(workspace, model), thread).text


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_the_beginning_of_a_broken_answer_can_go_back(way: str, workspace: LocalWorkspace) -> None:
    from kit import ways

    message = {"role": "assistant", "content": "Let me", "tool_calls": [_made("{}", "c1"), _made('{"a": "h', "c2")]}
    with ScriptedServer(_answers(message, None, broken=True)) as server:
        with pytest.raises(DatabricksError) as caught:
            getattr(ways, way)(ChatDatabricksCompat(model="m", host=server.url, token="t", max_retries=0), "Hello!")
    partial = caught.value.partial
    assert partial is not None
    for model in MODELS:
        assert ways.invoke(_llm(workspace, model), [HI, partial, SO]).text


@four_ways
def test_the_answer_of_a_model_that_thinks_is_a_humans_words_for_the_next(call: Way, workspace: LocalWorkspace) -> None:
    thinks = _llm(workspace, CLAUDE, thinking={"type": "enabled", "budget_tokens": 1024})
    answer = call(thinks, "Hello!")
    assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text"]
    for model in MODELS:
        again = call(_llm(workspace, model), [HumanMessage(content=answer.content)])
        assert "Hello!" in again.text


@four_ways
def test_what_a_tool_returned_is_named_with_one_warning(call: Way, workspace: LocalWorkspace) -> None:
    thread = [HI, _asks(("c1", {})), ToolMessage([LINK, "see"], tool_call_id="c1")]
    # Warnings are given once for a model: each test takes one of its own.
    model = {"invoke": CLAUDE, "ainvoke": LLAMA, "stream": "databricks-gpt-5-2", "astream": "databricks-glm-5-2"}[
        call.__name__
    ]
    llm = _llm(workspace, model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "https://x.org/a.csv" in call(llm, thread).text
        call(llm, [*thread, AIMessage("Seen."), SO])
    assert len([one for one in caught if "resource_link" in str(one.message)]) == 1
    with pytest.raises(ValueError, match="resource_link"):
        call(_llm(workspace, model, strict_params=True), thread)
    with pytest.raises(UnsupportedContentError, match="resource_link"):
        call(llm, [HumanMessage(["a", LINK])])


@four_ways
def test_the_workspace_refuses_what_servers_refuse(call: Way, workspace: LocalWorkspace) -> None:
    """Sent to it as they are, through an endpoint whose name says nothing, such messages are a 400."""
    for model, thread, words in (
        (LLAMA, [HI, SO], "roles must alternate"),
        (CLAUDE, [HI, _asks(("a:0", {})), ToolMessage("1", tool_call_id="a:0")], "String should match pattern"),
        (CLAUDE, [HumanMessage(" ")], "non-whitespace text"),
    ):
        with pytest.raises(DatabricksInvalidRequestError, match=words):
            call(_llm(workspace, model, family="openai-compatible", stream_usage=False, strict_params=True), thread)


@four_ways
def test_an_endpoint_of_a_free_name_teaches_that_roles_take_turns(call: Way) -> None:
    with LocalWorkspace(endpoints=dict.fromkeys(("my-own", "other"), "meta-llama-3-3-70b-instruct")) as own:
        llm = _llm(own, "my-own", stream_usage=False)
        thread = [SystemMessage("Be brief."), AIMessage("Welcome!"), HI, HumanMessage("Say pong")]
        with pytest.warns(UserWarning, match="'my-own' refused 'roles', so it is made to alternate") as told:
            assert "pong" in call(llm, thread).text
        assert len(told) == 1
        assert "pong" in call(llm, thread).text  # the lesson is kept: no second warning
        with pytest.raises(DatabricksInvalidRequestError, match="must alternate"):
            call(_llm(own, "other", strict_params=True, stream_usage=False), thread)


IMAGES: list[dict[str, Any]] = [
    {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
    {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"},
]


@four_ways
def test_one_image_in_every_spelling_is_one_request(call: Way) -> None:
    with ScriptedServer(_answers({"role": "assistant", "content": "Seen."}, "stop")) as server:
        llm = ChatDatabricksCompat(model="m", host=server.url, token="t")
        for image in IMAGES:
            result = {"type": "tool_result", "tool_use_id": "c1", "content": [image]}
            assert call(llm, [HumanMessage(["See:", image]), _asks(("c1", {})), HumanMessage([result, image])]).text
    bodies = [request.json["messages"] for request in server.requests]
    assert len(bodies) == len(IMAGES)
    assert all(body == bodies[0] for body in bodies)
