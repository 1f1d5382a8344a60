"""Names of tools and schemas: fitted alike in every place of a request, distinct, stable, and mapped back."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from kit.encoding import encode_request
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder, decode_answer
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.request.names import fit_body, fit_name, fit_names, is_whole
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.models.families import FAMILIES, GENERIC

PATTERN = re.compile(r"[a-zA-Z0-9_-]{1,64}")
LONG = "mcp__a_server_with_a_long_name__" + "and_a_tool_with_an_even_longer_name_" * 2
NAMES = ["weather.get", "Box[int]", "a b", "météo", "天気", "🌧", "a/b:c", "x" * 65, LONG, "a\n", "-", "__", "$filter"]


def _tool(name: str, description: str = "Do it.") -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
@pytest.mark.parametrize("name", [*NAMES, "3d_render", "-dash"])
def test_every_name_fits_every_family(name: str, family: Any) -> None:
    fitted = fit_name(name, family)
    assert PATTERN.fullmatch(fitted)
    assert re.fullmatch(family.tool_names, fitted)
    assert fit_name(name, family) == fitted
    assert fit_name(fitted, family) == fitted


def test_a_name_keeps_what_a_model_can_read() -> None:
    assert fit_name("weather.get", GENERIC) == "weather_get"
    assert fit_name("météo du jour", GENERIC) == "meteo_du_jour"
    assert fit_name(LONG, GENERIC).startswith("mcp__a_server_with_a_long_name__")
    assert fit_name("天気", GENERIC) != fit_name("時間", GENERIC)
    assert fit_name("3d", GENERIC) == "3d"
    assert fit_name("3d", FAMILIES["gemini-3"]) == "_3d"


@pytest.mark.parametrize("name", ["get_weather", "get-weather", "A", "9", "_", "x" * 64])
def test_a_name_that_fits_is_never_changed(name: str) -> None:
    assert fit_names([name, f"{name[:60]}.x", "other.one"], GENERIC)[name] == name


@pytest.mark.parametrize(
    "names",
    [
        ["a.b", "a/b"],
        ["a.b", "a_b"],
        ["a_b", "a.b"],
        ["a.b", "a b", "a_b", "a-b"],
        ["x" * 65, "x" * 66, "x" * 64],
        ["天", "気"],
        ["é", "e"],
    ],
)
def test_two_that_would_collide_stay_two_in_any_order(names: list[str]) -> None:
    sent = fit_names(names, GENERIC)
    assert len(set(sent.values())) == len(names)
    assert fit_names(names[::-1], GENERIC) == sent
    for name in names:
        if PATTERN.fullmatch(name):
            assert sent[name] == name


def test_a_tool_with_the_name_that_a_hash_makes_stays_another() -> None:
    hashed = fit_names(["a.b", "a_b"], GENERIC)["a.b"]
    sent = fit_names(["a.b", "a_b", hashed], GENERIC)
    assert sent[hashed] == hashed
    assert len(set(sent.values())) == 3


@given(st.lists(st.text(min_size=1, max_size=80), unique=True, max_size=8))
def test_any_names_fit_and_stay_distinct(names: list[str]) -> None:
    sent = fit_names(names, GENERIC)
    assert all(PATTERN.fullmatch(fitted) for fitted in sent.values())
    assert len(set(sent.values())) == len(names)


HISTORY = [
    HumanMessage("Weather?"),
    AIMessage("", tool_calls=[{"name": "weather.get", "args": {}, "id": "c1", "type": "tool_call"}]),
    ToolMessage("rain", tool_call_id="c1"),
    AIMessage([{"type": "tool_use", "id": "c2", "name": "old tool", "input": {}}]),
    ToolMessage("gone", tool_call_id="c2"),
    AIMessage("", invalid_tool_calls=[{"name": "weather.get", "args": "{", "id": "c3", "error": "x"}]),
    ToolMessage("what?", tool_call_id="c3"),
]


@pytest.mark.parametrize("family", ["generic", "openai-compatible", "claude", "gpt-5-2", "gemini-3", "open-weights"])
def test_every_place_of_a_request_has_the_same_name_and_the_callers_objects_stay(family: str) -> None:
    settings = {
        "tools": [_tool("weather.get"), _tool("weather_get"), _tool("right")],
        "tool_choice": "weather.get",
    }
    before = copy.deepcopy((settings, HISTORY))
    encoded = encode_request(HISTORY, settings, Target("m", FAMILIES[family]), stream=False)
    assert (settings, HISTORY) == before
    names = [tool["function"]["name"] for tool in encoded.body["tools"]]
    assert names[1:] == ["weather_get", "right"]
    assert encoded.body["tool_choice"]["function"]["name"] == names[0]
    calls = [call["function"]["name"] for message in encoded.body["messages"] for call in message.get("tool_calls", [])]
    assert calls == [names[0], "old_tool", names[0]]
    assert encoded.sent.names == {names[0]: "weather.get", "weather_get": "weather_get", "right": "right"}


def test_the_bound_tools_keep_their_names_whatever_the_history_holds() -> None:
    def names(history: list[Any]) -> list[str]:
        settings = {"tools": [_tool("a.b"), _tool("c.d")]}
        body = encode_request(history, settings, Target("m", GENERIC), stream=False).body
        return [tool["function"]["name"] for tool in body["tools"]]

    past = AIMessage("", tool_calls=[{"name": "a/b", "args": {}, "id": "c1", "type": "tool_call"}])
    assert names([HumanMessage("x")]) == names([HumanMessage("x"), past, ToolMessage("y", tool_call_id="c1")])
    body: Any = {
        "messages": [{"role": "assistant", "tool_calls": [_tool("a/b"), _tool("a.b")]}],
    }
    fit_body(body, {"a.b": "a_b"}, GENERIC)
    assert len({call["function"]["name"] for call in body["messages"][0]["tool_calls"]}) == 2


def test_the_names_of_past_calls_and_results_fit_where_no_tool_is_bound() -> None:
    past = AIMessage("", tool_calls=[{"name": "a/b", "args": {}, "id": "c1", "type": "tool_call"}])
    answered = ToolMessage("y", tool_call_id="c1")
    body = encode_request([HumanMessage("x"), past, answered], {}, Target("m", GENERIC), stream=False).body
    (call,) = body["messages"][1]["tool_calls"]
    assert re.fullmatch(GENERIC.tool_names, call["function"]["name"])
    result = {"messages": [{"role": "tool", "tool_call_id": "c1", "name": "a/b", "content": "y"}]}
    fit_body(result, {}, GENERIC)
    assert result["messages"][0]["name"] == call["function"]["name"]


def test_a_response_formats_name_and_a_tool_messages_name_fit() -> None:
    shared: Any = {"type": "json_schema", "json_schema": {"name": "Box[int]", "schema": {"type": "object"}}}
    body: Any = {"messages": [{"role": "tool", "name": "weather.get", "content": "x"}], "response_format": shared}
    fit_body(body, {}, GENERIC)
    assert body["response_format"]["json_schema"]["name"] == "Box_int_"
    assert body["messages"][0]["name"] == "weather_get"
    assert shared["json_schema"]["name"] == "Box[int]"


@pytest.mark.parametrize("name", ["", " ", "\n"])
def test_a_tool_without_a_name_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match="empty name"):
        encode_request([HumanMessage("x")], {"tools": [_tool(name)]}, Target("m", GENERIC), stream=False)


def test_one_name_for_two_tools_is_refused_and_one_tool_bound_twice_is_sent_once() -> None:
    target = Target("m", GENERIC)
    with pytest.raises(ValueError, match=r"named 'a\.b'"):
        encode_request([HumanMessage("x")], {"tools": [_tool("a.b"), _tool("a.b", "Else.")]}, target, stream=False)
    encoded = encode_request([HumanMessage("x")], {"tools": [_tool("a"), _tool("a")]}, target, stream=False)
    assert len(encoded.body["tools"]) == 1


SENT = {"weather_get_1": "weather.get", "weather": "weather", "weather_get": "weather_get"}


def test_a_name_is_whole_where_it_cannot_grow() -> None:
    assert is_whole("weather_get_1", SENT)
    assert not is_whole("weather", SENT)
    assert not is_whole("weather_ge", SENT)


def _events(*pieces: tuple[str | None, str]) -> list[bytes]:
    from pydantic_core import to_json

    events = []
    for number, (name, arguments) in enumerate(pieces):
        function = {"arguments": arguments, **({"name": name} if name is not None else {})}
        call = {"index": 0, "function": function, **({"id": "c1", "type": "function"} if number == 0 else {})}
        events.append({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]})
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    return [to_json(event) for event in events]


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize(
    ("pieces", "name"),
    [
        ([("weather_get_1", "{}")], "weather.get"),
        ([("weather_get_1", ""), (None, '{"a"'), (None, ": 1}")], "weather.get"),
        ([("weather", ""), ("_get", ""), ("_1", ""), (None, '{"a": 1}')], "weather.get"),
        ([("weather_get_1", ""), ("weather_get_1", '{"a": 1}')], "weather.get"),
        ([("weather", ""), ("_get", ""), (None, "{}")], "weather_get"),
        ([("weather", "")], "weather"),
        ([("weather_get", "")], "weather_get"),
        ([("weather.get", "{}")], "weather.get"),
        ([("invented", ""), ("_one", "{}")], "invented_one"),
    ],
)
def test_a_streamed_name_is_mapped_when_it_is_whole(
    pieces: list[tuple[str | None, str]], name: str, coalesce: bool
) -> None:
    decoder = ChatStreamDecoder(Target("m", GENERIC), coalesce=coalesce, sent=SentTools(SENT))
    chunks: list[Any] = []
    for event in _events(*pieces):
        chunks.extend(decoder.feed([event]))
    chunks.extend(decoder.close())
    told = [call["name"] for chunk in chunks for call in chunk.message.tool_call_chunks if call["name"]]
    assert told == [name]
    whole: Any = AIMessageChunk(content="")
    for chunk in chunks:
        whole += chunk.message
    assert [call["name"] for call in whole.tool_calls] == [name]


def test_a_whole_answer_and_a_broken_call_are_mapped() -> None:
    from pydantic_core import to_json

    calls = [
        {"id": "1", "type": "function", "function": {"name": "weather_get_1", "arguments": "{}"}},
        {"id": "2", "type": "function", "function": {"name": "weather_get_1", "arguments": "{"}},
        {"id": "3", "type": "function", "function": {"name": "weather_get", "arguments": "{}"}},
        {"id": "4", "type": "function", "function": {"name": "weather.get", "arguments": "{}"}},
    ]
    body = {"choices": [{"index": 0, "message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}
    message: Any = decode_answer(to_json(body), Target("m", GENERIC), None, SentTools(SENT)).generations[0].message
    assert [call["name"] for call in message.tool_calls] == ["weather.get", "weather_get", "weather.get"]
    assert [call["name"] for call in message.invalid_tool_calls] == ["weather.get"]
