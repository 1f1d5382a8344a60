"""Tools, tool choices, response formats, and the arguments of calls."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_dbchat.dialects.shared.request.fitted_tools import encode_tools
from langchain_dbchat.dialects.shared.request.formats import encode_format
from langchain_dbchat.dialects.shared.request.tools import (
    convert_tool,
    convert_tool_choice,
)
from langchain_dbchat.models.families import FAMILIES

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": CITY}}


class weather(BaseModel):  # noqa: N801  # the class is the tool, and its name the tool's
    """The weather."""

    city: str


class WeatherDict(TypedDict):
    """The weather."""

    city: str


def weather_of(city: str) -> str:
    """The weather."""  # it is the tool's description
    return city


@tool
def clock() -> str:
    """The time."""  # the same
    return "now"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (OPENAI, "weather"),
        (weather, "weather"),
        (WeatherDict, "WeatherDict"),
        (weather_of, "weather_of"),
        ({"title": "weather", "description": "The weather.", **CITY}, "weather"),
        ({"name": "weather", "description": "The weather.", "parameters": CITY}, "weather"),
        ({"name": "weather", "description": "The weather.", "input_schema": CITY}, "weather"),
    ],
)
def test_everything_that_langchain_calls_a_tool(given: Any, name: str) -> None:
    before = copy.deepcopy(given)
    (wire,) = encode_tools([convert_tool(given, None)], FAMILIES["generic"])
    assert wire["type"] == "function"
    assert (wire["function"]["name"], wire["function"]["description"]) == (name, "The weather.")
    assert wire["function"]["parameters"]["type"] == "object"
    assert wire["function"]["parameters"]["properties"]["city"]["type"] == "string"
    assert wire["function"]["parameters"]["required"] == ["city"]
    assert "strict" not in wire["function"]
    if isinstance(given, dict):
        assert given == before


@pytest.mark.parametrize(
    "given",
    [
        clock,
        {"type": "function", "function": {"name": "clock", "description": "The time."}},
        {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": {}}},
        {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": None}},
        {
            "type": "function",
            "function": {"name": "clock", "description": "The time.", "parameters": {"properties": {}}},
        },
    ],
)
def test_a_tool_without_arguments_says_so(given: Any) -> None:
    for family in ("claude", "open-weights", "gemini-3"):
        (wire,) = encode_tools([convert_tool(given, None)], FAMILIES[family])
        assert wire["function"] == {
            "name": "clock",
            "description": "The time.",
            "parameters": {"type": "object", "properties": {}},
        }


def test_strict_goes_only_where_it_is_known() -> None:
    strict = convert_tool(weather, True)
    assert strict["function"]["strict"] is True
    for family, kept in (
        ("gpt-5", True),
        ("generic", True),
        ("claude", False),
        ("gemini-3", False),
        ("glm-5-2", False),
    ):
        (wire,) = encode_tools([strict], FAMILIES[family])
        assert ("strict" in wire["function"]) is kept, family


def test_cache_marks_on_tools_reach_claude_and_nobody_else() -> None:
    marked = convert_tool({**OPENAI, "cache_control": {"type": "ephemeral"}}, None)
    (wire,) = encode_tools([marked], FAMILIES["claude"])
    assert wire["cache_control"] == {"type": "ephemeral"}
    (wire,) = encode_tools([marked], FAMILIES["gpt-5"])
    assert wire.keys() == {"type", "function"}
    with_extras = copy.copy(clock)
    with_extras.extras = {"cache_control": {"type": "ephemeral"}}
    assert convert_tool(with_extras, None)["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in convert_tool(clock, None)


def test_encoding_changes_no_tool() -> None:
    tools = [{**OPENAI, "cache_control": {"type": "ephemeral"}}]
    before = copy.deepcopy(tools)
    for family in FAMILIES.values():
        (wire,) = encode_tools(tools, family)
        wire["function"]["name"] = "other"
        wire["function"]["parameters"]["extra"] = 1
    assert tools == before


NAMED = {"type": "function", "function": {"name": "weather"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        (False, None),
        (True, "required"),
        ("any", "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("weather", NAMED),
        (NAMED, NAMED),
        ({"type": "tool", "name": "weather"}, NAMED),
        ({"type": "any"}, "required"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
    ],
)
def test_every_spelling_of_a_tool_choice(choice: Any, sent: Any) -> None:
    assert convert_tool_choice(choice, [OPENAI]) == sent


@pytest.mark.parametrize("choice", ["snow", {"type": "tool", "name": "snow"}, {"type": "mood"}, 3, {}, ["weather"]])
def test_a_choice_that_names_nothing_raises(choice: Any) -> None:
    with pytest.raises(ValueError, match="tool_choice"):
        convert_tool_choice(choice, [OPENAI])


def test_response_formats_and_schemas() -> None:
    assert encode_format({"type": "json_object"}) == {"type": "json_object"}
    assert encode_format({"type": "text"}) == {"type": "text"}
    given = {"type": "json_schema", "json_schema": {"name": "n", "schema": CITY, "strict": True}}
    encoded = encode_format(given)
    assert encoded == given
    encoded["json_schema"]["name"] = "other"
    assert given["json_schema"]["name"] == "n"  # type: ignore[index]  # a dict of dicts

    class Forecast(BaseModel):
        """What is coming."""

        high: int = Field(description="In degrees.")

    made = encode_format(Forecast)
    assert made["type"] == "json_schema"
    assert made["json_schema"]["name"] == "Forecast"
    assert made["json_schema"]["schema"]["properties"]["high"] == {"description": "In degrees.", "type": "integer"}
    assert made["json_schema"]["schema"]["description"] == "What is coming."
