"""The body of a request: what is sent, what is left out, what raises."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from kit.encoding import encode_request
from kit.targets import target
from langchain_dbchat.dialects.chat_completions.quirks import QUIRKS
from langchain_dbchat.dialects.dialect import EncodedRequest
from langchain_dbchat.dialects.shared.request.merging import merge_deep
from langchain_dbchat.models.families import FAMILIES

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}},
}
MESSAGES = [{"role": "user", "content": "hi"}]


def request(family: str = "generic", *, stream: bool = False, usage: bool = True, **settings: Any) -> EncodedRequest:
    return encode_request([HumanMessage("hi")], settings, target(family), stream=stream, usage=usage)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_sent_that_was_not_asked_for(family: str) -> None:
    encoded = request(family, temperature=None, tools=[], stop=None, thinking=None)
    assert (encoded.body, encoded.dropped, encoded.warnings) == ({"messages": MESSAGES}, {}, [])


def test_falsy_values_that_mean_something_are_sent() -> None:
    body = request(temperature=0, seed=0, logprobs=False, top_p=0.0, stop=[], metadata={}).body
    assert body == {"messages": MESSAGES, "temperature": 0, "seed": 0, "logprobs": False, "top_p": 0.0}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_family_refuses_is_left_out_and_said(family: str) -> None:
    row = QUIRKS[family]
    settings: dict[str, Any] = {
        "temperature": 0.5,
        "top_k": 3,
        "seed": 1,
        "stop": ["x"],
        "n": 2,
        "parallel_tool_calls": False,
    }
    encoded = request(family, **settings)
    for name in settings:
        assert (name in encoded.body) is (name not in encoded.dropped), name
        if name in row.refuses:
            assert "the endpoint refuses it" in encoded.dropped[name]


def test_sampling_is_left_out_while_claude_thinks() -> None:
    encoded = request("claude", temperature=0.5, top_p=0.9, stop=["x"], reasoning_effort="low")
    assert encoded.dropped.keys() == {"temperature", "top_p"}
    assert "while the model thinks" in encoded.dropped["temperature"]
    assert encoded.body["stop"] == ["x"]
    assert request("claude", temperature=0.5).body["temperature"] == 0.5
    assert request("gemini-2-5-flash", temperature=0.5, reasoning_effort="low").body["temperature"] == 0.5


def test_a_budget_decides_max_tokens() -> None:
    assert request("claude", max_tokens=2000, reasoning_effort="high").body["max_tokens"] == 2000
    assert request("claude", reasoning_effort="high").body["max_tokens"] == 8192
    assert request("claude", max_tokens=2000).body["max_tokens"] == 2000


def test_streams_ask_for_usage_where_that_is_accepted() -> None:
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    for family, row in QUIRKS.items():
        body = request(family, stream=True).body
        assert body == {"messages": MESSAGES, **(asked if row.stream_options else {"stream": True})}, family
        assert request(family, stream=True, usage=False).body == {"messages": MESSAGES, "stream": True}
        assert "stream_options" not in request(family, stream_options={"include_usage": True}).body
    given = {"include_usage": False}
    assert request(stream=True, stream_options=given).body["stream_options"] == given


def test_a_forced_choice_is_softened_where_it_is_refused() -> None:
    for choice in ("any", "f", True):
        hard = request("claude-opus-5-5", tools=[TOOL], tool_choice=choice)
        assert hard.body["tool_choice"] == "auto"
        assert "cannot be forced to call a tool" in hard.warnings[0]
    thinking = request("claude", tools=[TOOL], tool_choice="any", reasoning_effort="low")
    assert thinking.body["tool_choice"] == "auto"
    assert "while it thinks" in thinking.warnings[0]
    assert request("claude", tools=[TOOL], tool_choice="any").body["tool_choice"] == "required"
    for choice in ("auto", "none"):
        kept = request("claude-opus-5-5", tools=[TOOL], tool_choice=choice)
        assert (kept.body["tool_choice"], kept.warnings) == (choice, [])


def test_a_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in request(tools=[], tool_choice="any").body


@pytest.mark.parametrize("family", ["claude", "glm-5-2"])
def test_a_schema_beside_tools_is_a_tool_where_the_family_takes_either(family: str) -> None:
    encoded = request(family, response_format=SCHEMA, tools=[TOOL])
    assert "response_format" not in encoded.body
    own, answer = encoded.body["tools"]
    assert own["function"]["name"] == TOOL["function"]["name"]
    assert answer["function"]["name"] == encoded.sent.answer == SCHEMA["json_schema"]["name"]
    assert answer["function"]["parameters"]["properties"] == SCHEMA["json_schema"]["schema"]["properties"]
    assert encoded.body["tool_choice"] == "required"
    assert "its call is the answer" in encoded.warnings[0]
    chosen = request(family, response_format=SCHEMA, tools=[TOOL], tool_choice="auto").body
    assert chosen["tool_choice"] == "auto"


def test_a_json_mode_that_is_not_there_is_left_to_the_prompt() -> None:
    for tools in ([], [TOOL]):
        encoded = request("claude", response_format={"type": "json_object"}, tools=tools)
        assert "response_format" not in encoded.body
        assert "the prompt alone asks for JSON" in encoded.warnings[0]
        assert not encoded.sent.answer


def test_response_formats_that_a_family_takes_are_sent() -> None:
    assert request("gpt-5", response_format=SCHEMA, tools=[TOOL]).body["response_format"] == SCHEMA
    assert request("claude", response_format={"type": "text"}, tools=[TOOL]).body["response_format"] == {"type": "text"}


def test_claude_does_not_stream_a_response_format() -> None:
    assert "stream" not in request("claude", stream=True, response_format=SCHEMA).body
    assert request("claude", stream=True, response_format={"type": "text"}).body["stream"] is True
    assert request("gpt-5", stream=True, response_format=SCHEMA).body["stream"] is True


def test_settings_are_never_changed() -> None:
    settings: dict[str, Any] = {
        "tools": [copy.deepcopy(TOOL)],
        "thinking": {"type": "enabled", "budget_tokens": 4096},
        "max_tokens": 2000,
        "stop": ["x"],
    }
    before = copy.deepcopy(settings)
    body = request("claude", **settings).body
    body["thinking"]["budget_tokens"] = 0
    body["tools"][0]["function"]["parameters"]["x"] = 1
    assert settings == before


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": None}, {}),
        ({}, {"a": None}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": None, "d": 3}}, {"a": {"b": 1, "d": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 2}, {"a": {"b": 1, "c": None}}, {"a": {"b": 1}}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}}, {"a": {"b": {"c": 1, "d": 2}}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": False}, {"a": False}),
    ],
)
def test_merging_deep(base: dict[str, Any], over: dict[str, Any], merged: dict[str, Any]) -> None:
    before = copy.deepcopy((base, over))
    assert merge_deep(base, over) == merged
    assert (base, over) == before
