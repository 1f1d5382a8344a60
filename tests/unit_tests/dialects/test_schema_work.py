"""Parameters are fitted once for each family, and what a call gets is its own. Work is counted, not timed."""

from __future__ import annotations

import copy
import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from kit.encoding import encode_request
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared import schemas
from langchain_dbchat.dialects.shared.request.fitted_tools import encode_tools, fit_tools
from langchain_dbchat.dialects.shared.request.sent import SentTools
from langchain_dbchat.models.families import FAMILIES, Family

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from langchain_dbchat.models.families import WireName

Result = TypeVar("Result")

FITTERS = {str(path) for path in Path(schemas.__file__).parent.glob("*.py") if path.name != "__init__.py"}
NAMES = sorted(FAMILIES)


def tools(count: int, mark: str) -> list[dict[str, Any]]:
    """Make tools that no other test has; the last property may hold nulls once it is closed."""
    return [
        {
            "type": "function",
            "function": {
                "name": f"tool_{number}",
                "description": mark,
                "parameters": {
                    "$ref": "#/$defs/Root",
                    "$defs": {
                        "Root": {
                            "type": "object",
                            "properties": {
                                "city": {"type": "string", "description": f"{mark} {number}"},
                                "days": {"type": ["integer", "null"], "exclusiveMinimum": 0},
                                "tags": {"type": "array", "items": {"type": "string"}},
                            },
                            "required": ["city"],
                        }
                    },
                },
            },
        }
        for number in range(count)
    ]


def encode(bound: list[dict[str, Any]], family: Family) -> tuple[list[dict[str, Any]], int]:
    """Encode tools, and count the calls of functions that fit schemas."""
    return counted(lambda: encode_tools(bound, family))


def counted(run: Callable[[], Result]) -> tuple[Result, int]:
    """Run something, and count the calls of functions that fit schemas."""
    calls = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        del arg
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename in FITTERS

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        result = run()
    finally:
        sys.setprofile(before)
    return result, calls


@pytest.mark.parametrize("name", NAMES)
def test_the_same_tools_are_fitted_once(name: str) -> None:
    family = FAMILIES[name]
    first, work = encode(tools(30, f"once {name}"), family)
    again, more = encode(tools(30, f"once {name}"), family)  # equal tools, other objects
    assert work >= 30
    assert more == 0
    assert again == first


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_that_was_changed_is_fitted_anew(name: str) -> None:
    bound = tools(2, f"changed {name}")
    family = FAMILIES[name]
    encode(bound, family)
    bound[1]["function"]["parameters"]["$defs"]["Root"]["properties"]["city"]["type"] = "integer"
    encoded, work = encode(bound, family)
    assert work
    kinds = [tool["function"]["parameters"]["properties"]["city"]["type"] for tool in encoded]
    assert [str(kind).lower() for kind in kinds] == ["string", "integer"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_shared_with_the_caller_or_the_next_call(name: str) -> None:
    bound = tools(1, f"own {name}")
    unchanged = copy.deepcopy(bound)
    first, _ = encode(bound, FAMILIES[name])
    expected = copy.deepcopy(first)
    first[0]["function"]["parameters"]["properties"].clear()
    assert encode(bound, FAMILIES[name])[0] == expected
    assert bound == unchanged
    # Whoever changes the schema later changes no fitted one.
    bound[0]["function"]["parameters"]["$defs"]["Root"]["properties"]["city"]["type"] = "integer"
    assert encode(unchanged, FAMILIES[name])[0] == expected


def test_another_family_and_a_strict_tool_are_other_schemas() -> None:
    bound = tools(1, "families")
    gpt, gemini = FAMILIES["gpt-5"], FAMILIES["gemini-2-5-flash"]
    plain = encode(bound, gpt)[0][0]["function"]["parameters"]
    assert encode(bound, gemini)[1], "what was fitted for one family was given to another"
    bound[0]["function"]["strict"] = True
    for _ in range(2):
        sent = SentTools()
        closed = encode_tools(bound, gpt, sent)[0]["function"]["parameters"]
        assert closed["additionalProperties"] is False
        assert sent.closed.keys() == {"tool_0"}, "the second time, too, the reader has to hear of the nulls"
    assert plain.get("additionalProperties") is not False


def test_a_schema_that_cannot_be_sent_raises_each_time_and_names_who() -> None:
    bound = [{"type": "function", "function": {"name": "t", "parameters": {"type": "array"}}}]
    for _ in range(2):
        with pytest.raises(ValueError, match="The tool 't' cannot be sent"):
            encode_tools(bound, FAMILIES["claude"])
    named = {"type": "object", "properties": {"not valid!": {"type": "string"}}}
    bound = [{"type": "function", "function": {"name": "t", "parameters": named}}]
    for model in ("first-endpoint", "second-endpoint"):
        with pytest.raises(ValueError, match=model):
            encode_tools(bound, FAMILIES["claude"], model=model)


def test_values_that_json_does_not_tell_apart_are_not_taken_for_each_other() -> None:
    class Colour(str, enum.Enum):
        RED = "red"

    kinds = ([1], [True], [1.0], [Colour.RED], ["red"])
    fitted = [
        encode_tools(
            [
                {
                    "type": "function",
                    "function": {
                        "name": "t",
                        "parameters": {"type": "object", "properties": {"x": {"enum": kind, "title": "told apart"}}},
                    },
                }
            ],
            FAMILIES["generic"],
        )[0]["function"]["parameters"]["properties"]["x"]["enum"]
        for kind in kinds
    ]
    assert [[type(value) for value in values] for values in fitted] == [[type(kind[0])] for kind in kinds]


WIRES: list[WireName] = ["chat", "responses", "messages"]


@pytest.mark.parametrize("api", WIRES)
def test_the_tools_of_a_request_are_fitted_once_and_no_request_changes_them(api: WireName) -> None:
    bound = tools(3, f"an agent's on {api}")
    bound[0]["function"]["name"] = "weather.get"
    bound[2]["cache_control"] = {"type": "ephemeral"}
    family = FAMILIES["claude" if api == "messages" else "gpt-5-2"]
    shared = fit_tools(bound, Target("m", family))
    before = copy.deepcopy(shared)
    settings = {"tools": bound, "tool_choice": "weather.get", "parallel_tool_calls": False, "max_tokens": 9}

    def body() -> dict[str, Any]:
        said = [HumanMessage("Hi"), AIMessage("", tool_calls=[{"name": "weather.get", "args": {}, "id": "1"}])]
        target = Target("m", family)
        return encode_request([*said, ToolMessage("x", tool_call_id="1")], settings, target, stream=True, api=api).body

    first, work = counted(body)
    assert work == 0
    assert "weather_get" in str(first["tools"][0])
    assert "weather.get" not in str(first)
    first["tools"].clear()
    assert len(body()["tools"]) == 3
    assert fit_tools(copy.deepcopy(bound), Target("m", family)) is shared
    assert shared == before
    bound[1]["function"]["parameters"]["$defs"]["Root"]["properties"]["city"]["type"] = "integer"
    changed, work = counted(body)
    assert work
    tool = changed["tools"][1].get("function", changed["tools"][1])
    city = tool["input_schema" if api == "messages" else "parameters"]["properties"]["city"]
    assert city["type"] == "integer"
    assert shared == before


def test_a_list_of_tools_that_is_very_large_is_not_kept() -> None:
    bound = tools(2, "x" * 300_000)
    first = fit_tools(bound, Target("m", FAMILIES["claude"]))
    again = fit_tools(bound, Target("m", FAMILIES["claude"]))
    assert again == first
    assert again is not first
