"""A response format that an endpoint refuses is asked for in another way, alike on each wire."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.messages import SystemMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.local import LocalWorkspace

SAID = '{"city": "Oslo", "condition": "rain"}'


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    condition: str = Field(min_length=2)


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f"It rains in {city}."


def _chat(stream: bool, name: str | None) -> Scripted:
    call = {"index": 0, "id": "c0", "type": "function", "function": {"name": name, "arguments": SAID}}
    message = {"role": "assistant", **({"tool_calls": [call]} if name else {"content": "{}"})}
    choice = {"index": 0, "delta" if stream else "message": message, "finish_reason": "tool_calls" if name else "stop"}
    return Scripted(sse({"choices": [choice]}) if stream else {"choices": [choice]})


def _responses(stream: bool, name: str | None) -> Scripted:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c0", "name": name, "arguments": SAID}
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "{}"}]}
    whole = {"id": "resp_1", "object": "response", "status": "completed", "output": [call if name else text]}
    if not stream:
        return Scripted(whole)
    if not name:
        return Scripted(sse({"type": "response.completed", "response": whole}, done=False))
    kinds = "response.function_call_arguments"
    fragments = [
        {"type": f"{kinds}.delta", "output_index": 0, "item_id": "fc_1", "delta": delta}
        for delta in (SAID[:9], SAID[9:])
    ]
    begun = {"type": "response.output_item.added", "output_index": 0, "item": {**call, "arguments": ""}}
    ended = {"type": "response.output_item.done", "output_index": 0, "item": call}
    return Scripted(sse(begun, *fragments, ended, {"type": "response.completed", "response": whole}, done=False))


def _messages(stream: bool, name: str | None) -> Scripted:
    block: dict[str, Any] = {"type": "text", "text": "{}"}
    if name:
        block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {"city": "Oslo", "condition": "rain"}}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
    reason = "tool_use" if name else "end_turn"
    if not stream:
        return Scripted({**head, "content": [block], "stop_reason": reason})
    kind, field = ("input_json_delta", "partial_json") if name else ("text_delta", "text")
    begun = {**block, "input": {}} if name else {**block, "text": ""}
    deltas = [SAID[:9], SAID[9:]] if name else ["{}"]
    return Scripted(
        sse(
            {"type": "message_start", "message": head},
            {"type": "content_block_start", "index": 0, "content_block": begun},
            *({"type": "content_block_delta", "index": 0, "delta": {"type": kind, field: delta}} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason}},
            {"type": "message_stop"},
            done=False,
        )
    )


def _format_of(body: dict[str, Any]) -> Any:
    """Return the response format of a request on any wire."""
    return body.get("response_format") or body.get("text") or body.get("output_config")


def _name_of(entry: dict[str, Any]) -> str:
    return str(entry.get("name") or entry["function"]["name"])


ANSWERS = {"chat": _chat, "responses": _responses, "messages": _messages}
REFUSALS = {
    "chat": "response_format.type: 'json_schema' is not supported for this model.",
    "responses": "Unsupported parameter: 'text.format' is not supported with this model.",
    "messages": "output_config.format: Extra inputs are not permitted",
}
wires = pytest.mark.parametrize("wire", list(ANSWERS))


def _refusing(wire: str) -> Callable[[Received], Scripted]:
    def reply(request: Received) -> Scripted:
        if _format_of(request.json):
            return Scripted({"error_code": "BAD_REQUEST", "message": REFUSALS[wire]}, status=400)
        tools = request.json.get("tools")
        return ANSWERS[wire](bool(request.json.get("stream")), _name_of(tools[-1]) if tools else None)

    return reply


def _llm(server: ScriptedServer, wire: str, **settings: Any) -> Any:
    given: dict[str, Any] = {"model": "mine", "host": server.url, "token": "t", "api": wire, "max_retries": 0}
    return ChatDatabricksCompat(**given, **settings)


@four_ways
@wires
@pytest.mark.parametrize("tools", [[], [get_weather]], ids=["alone", "beside a tool"])
def test_a_refused_schema_is_asked_for_by_a_tool_whose_call_is_the_text(call: Way, wire: str, tools: list[Any]) -> None:
    with ScriptedServer(_refusing(wire)) as server:
        llm = _llm(server, wire)
        bound = llm.bind_tools(tools, response_format=Weather) if tools else llm.bind(response_format=Weather)
        with pytest.warns(UserWarning, match="refused 'response_format', so it is asked for in another way") as warned:
            first = call(bound, "Hi")
        second = call(bound, "Hi")
        parsed: Any = call(llm.with_structured_output(Weather, method="json_schema", tools=tools), "Hi")
    assert len(warned) == 1
    for message in (first, second):
        assert Weather.model_validate_json(message.text) == Weather(city="Oslo", condition="rain")
        assert (message.tool_calls, message.invalid_tool_calls) == ([], [])
    assert parsed == Weather(city="Oslo", condition="rain")
    assert [bool(_format_of(request.json)) for request in server.requests] == [True, False, False, False]
    (*own, answer) = server.requests[1].json["tools"]
    assert ([_name_of(entry) for entry in own], _name_of(answer)) == ([entry.name for entry in tools], "Weather")
    assert server.requests[1].json["tool_choice"] in ("required", {"type": "any"})


@wires
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_an_agent_with_the_providers_strategy_where_the_schema_is_refused(wire: str, way: str) -> None:
    with ScriptedServer(_refusing(wire)) as server:
        agent: Any = create_agent(_llm(server, wire), [], response_format=ProviderStrategy(Weather))
        asked = {"messages": [("human", "Hi")]}
        with pytest.warns(UserWarning, match="asked for in another way"):
            state = agent.invoke(asked) if way == "invoke" else list(agent.stream(asked, stream_mode="values"))[-1]
    assert state["structured_response"] == Weather(city="Oslo", condition="rain")
    assert len(server.requests) == 2


@four_ways
@wires
def test_a_name_that_the_wire_refuses_and_a_tool_of_the_same_name(call: Way, wire: str) -> None:
    """The tool that stands for the schema has a name that fits, and that no other tool has."""
    schema = {"name": "weather.in city", "schema": Weather.model_json_schema()}
    own = {"type": "function", "function": {"name": "weather.in city", "parameters": {"type": "object"}}}
    wanted = {"type": "json_schema", "json_schema": schema}
    with ScriptedServer(_refusing(wire)) as server:
        with pytest.warns(UserWarning, match="asked for in another way"):
            message = call(_llm(server, wire).bind_tools([own], response_format=wanted), "Hi")
    assert Weather.model_validate_json(message.text).city == "Oslo"
    assert message.tool_calls == []
    names = [_name_of(entry) for entry in server.requests[-1].json["tools"]]
    assert len(set(names)) == 2
    assert all(name.replace("_", "").isalnum() for name in names)


@four_ways
def test_a_tool_of_the_wires_own_may_have_the_schemas_name(call: Way) -> None:
    own = {"type": "custom", "name": "Weather", "description": "Not the schema."}
    with ScriptedServer(_refusing("responses")) as server:
        with pytest.warns(UserWarning, match="asked for in another way"):
            message = call(_llm(server, "responses").bind_tools([own], response_format=Weather), "Hi")
    assert Weather.model_validate_json(message.text).city == "Oslo"
    assert [tool["name"] for tool in server.requests[-1].json["tools"]] == ["Weather", "Weather_answer"]


@four_ways
@wires
def test_a_schema_beside_tools_that_must_not_be_called(call: Way, wire: str) -> None:
    """Only the tool that stands for the schema is called; else the answer would not follow the schema."""
    with ScriptedServer(_refusing(wire)) as server:
        bound = _llm(server, wire).bind_tools([get_weather], tool_choice="none", response_format=Weather)
        with pytest.warns(UserWarning, match="asked for in another way"):
            message = call(bound, "Hi")
    assert Weather.model_validate_json(message.text).city == "Oslo"
    assert "Weather" in str(server.requests[-1].json["tool_choice"])


@four_ways
@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_a_refused_json_mode_is_left_to_the_prompt(call: Way, wire: str) -> None:
    with ScriptedServer(_refusing(wire)) as server:
        llm = _llm(server, wire)
        with pytest.warns(UserWarning, match="refused 'response_format'"):
            assert call(llm.bind(response_format={"type": "json_object"}), "Say JSON").text == "{}"
        parsed: Any = call(llm.with_structured_output(None, method="json_mode"), "Say JSON")
    assert parsed == {}
    assert [bool(_format_of(request.json)) for request in server.requests] == [True, False, False]


@four_ways
@wires
def test_a_refused_format_is_an_error_with_strict_params(call: Way, wire: str) -> None:
    with ScriptedServer(_refusing(wire)) as server:
        llm = _llm(server, wire, strict_params=True)
        with pytest.raises(DatabricksInvalidRequestError, match="format"):
            call(llm.bind(response_format=Weather), "Hi")
    assert len(server.requests) == 1


# -- a model that writes its calls into the text

GEMMA = "databricks-gemma-3-12b"


@four_ways
@pytest.mark.parametrize("method", [None, "json_schema", "function_calling"])
def test_gemma_gets_the_schema_in_the_prompt(workspace: LocalWorkspace, call: Way, method: Any) -> None:
    llm = ChatDatabricksCompat(model=GEMMA, host=workspace.host, token=workspace.token)
    asked = [SystemMessage("Be terse."), ("human", "It rains in Oslo.")]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the prompt describes it")  # once an endpoint, by the first test
        found: Any = call(llm.with_structured_output(Weather, method=method), asked)
    assert isinstance(found, Weather)
    body = workspace.requests[-1].json
    assert (body["response_format"], body.get("tools")) == ({"type": "json_object"}, None)
    system, human = body["messages"]
    assert (system["role"], human) == ("system", {"role": "user", "content": "It rains in Oslo."})
    assert system["content"].startswith("Be terse.")
    assert '"minLength":2' in system["content"]
    assert asked[0] == SystemMessage("Be terse.")


def test_the_providers_strategy_on_gemma_with_one_warning(workspace: LocalWorkspace) -> None:
    with ScriptedServer(lambda request: _chat(bool(request.json.get("stream")), None)) as server:
        llm = ChatDatabricksCompat(model=GEMMA, host=server.url, token="t")
        with pytest.warns(UserWarning, match="the prompt describes it") as warned:
            llm.bind(response_format=Weather).batch(["Hi", "Hi"])
    assert [str(each.message) for each in warned] == [f"{GEMMA!r}: it takes no schema, so the prompt describes it."]
    llm = ChatDatabricksCompat(model=GEMMA, host=workspace.host, token=workspace.token)
    agent: Any = create_agent(llm, [], response_format=ProviderStrategy(Weather))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the prompt describes it")  # as above
        state = agent.invoke({"messages": [("human", "What is the weather in Oslo?")]})
    assert isinstance(state["structured_response"], Weather)


@four_ways
def test_gemma_without_json_mode_gets_the_prompt_alone(call: Way) -> None:
    with ScriptedServer(_refusing("chat")) as server:
        llm = ChatDatabricksCompat(model=GEMMA, host=server.url, token="t", max_retries=0)
        with pytest.warns(UserWarning, match="(?s)the prompt describes it|refused 'response_format'") as warned:
            assert call(llm.bind(response_format=Weather), "Hi").text == "{}"
    assert len(warned) == 2
    assert [sorted(request.json.keys() - {"stream"}) for request in server.requests] == [
        ["messages", "response_format"],
        ["messages"],
    ]
    assert "JSON schema" in server.requests[1].json["messages"][0]["content"]


def test_tools_for_gemma_warn_that_no_agent_finds_their_calls() -> None:
    with ScriptedServer(lambda _: _chat(stream=False, name=None)) as server:
        llm = ChatDatabricksCompat(model=GEMMA, host=server.url, token="t")
        with pytest.warns(UserWarning, match="writes its tool calls into the text .* ProviderStrategy"):
            llm.bind_tools([get_weather]).invoke("Hi")
        assert len(server.requests[0].json["tools"]) == 1
        with pytest.raises(ValueError, match="writes its tool calls into the text"):
            llm.bind_tools([get_weather]).invoke("Hi", strict_params=True)


@four_ways
@wires
@pytest.mark.parametrize("given", [{"name": "x"}, {"name": "x", "schema": None}, {}, None])
def test_a_format_without_its_schema_raises_before_anything_is_sent(call: Way, wire: str, given: Any) -> None:
    with ScriptedServer(_refusing(wire)) as server:
        with pytest.raises(ValueError, match=r"type 'json_schema' needs \{'name': ..., 'schema': ...\}"):
            call(_llm(server, wire).bind(response_format={"type": "json_schema", "json_schema": given}), "Hi")
        assert not server.requests
