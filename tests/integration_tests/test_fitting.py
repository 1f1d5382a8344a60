"""Requests fit the family that is called, and a 400 that names an optional field teaches the client."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool

from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.shared.request.refusals import refused_field
from langchain_dbchat.errors import DatabricksInvalidRequestError
from langchain_dbchat.local import LocalWorkspace

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}


def _llm(workspace: LocalWorkspace, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


REFUSED = [
    ("databricks-claude-opus-5", {"temperature": 0}),
    ("databricks-claude-opus-5", {"top_p": 0.5}),
    ("databricks-claude-sonnet-4-6", {"seed": 1}),
    ("databricks-claude-sonnet-4-6", {"frequency_penalty": 0.5}),
    ("databricks-claude-sonnet-4-6", {"temperature": 0, "reasoning_effort": "low"}),
    ("databricks-gpt-5-2", {"temperature": 0}),
    ("databricks-gpt-5-2", {"stop": ["x"]}),
    ("databricks-gemini-3-6-flash", {"temperature": 0}),
    ("databricks-kimi-k3", {"temperature": 0, "reasoning_effort": "low"}),
]


@four_ways
@pytest.mark.parametrize(("model", "settings"), REFUSED, ids=str)
def test_what_the_family_refuses_is_left_out_with_one_warning(
    workspace: LocalWorkspace, model: str, settings: dict[str, Any], call: Way
) -> None:
    refused = next(iter(settings))
    llm = _llm(workspace, model, **settings)
    with pytest.warns(UserWarning, match=f"{refused} was left out of the request to '{model}'"):
        call(llm, "Hello!")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(llm, "Hello!")
    assert all(refused not in request.json for request in workspace.requests)
    assert len(workspace.requests) == 2


@four_ways
@pytest.mark.parametrize(("model", "settings"), REFUSED, ids=str)
def test_strict_params_raise_before_anything_is_sent(
    workspace: LocalWorkspace, model: str, settings: dict[str, Any], call: Way
) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        call(_llm(workspace, model, strict_params=True, **settings), "Hello!")
    assert not workspace.requests


@four_ways
def test_a_400_that_names_an_optional_field_teaches_the_client(call: Way) -> None:
    refusal = {"error_code": "BAD_REQUEST", "message": '{"message":"temperature: Extra inputs are not permitted"}'}

    def reply(request: Any) -> Scripted:
        return Scripted(refusal, status=400) if "temperature" in request.json else Scripted(ANSWER)

    with ScriptedServer(reply) as server:
        llm = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0", temperature=0, max_tokens=5)
        with pytest.warns(UserWarning, match="'my-own' refused 'temperature', so it is left out from now on"):
            assert call(llm, "Hello!").text == "Hi."
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert call(llm, "Hello!").text == "Hi."
            another = ChatDatabricksCompat(model="my-own", host=server.url, token="dapi0", temperature=1)
            assert call(another, "Hello!").text == "Hi."
    assert ["temperature" in request.json for request in server.requests] == [True, False, False, False]
    assert server.requests[1].json["max_tokens"] == 5


@four_ways
@pytest.mark.parametrize("named", ["messages.0.content", "tools.0.function", "max_tokens", "reasoning_effort"])
def test_what_changes_the_meaning_is_never_dropped(call: Way, named: str) -> None:
    refusal = {"error_code": "BAD_REQUEST", "message": f"{named}: Extra inputs are not permitted"}
    with ScriptedServer(lambda _: Scripted(refusal, status=400)) as server:
        llm = ChatDatabricksCompat(
            model="my-own", host=server.url, token="dapi0", max_tokens=5, reasoning_effort="low", temperature=0
        )
        with pytest.raises(DatabricksInvalidRequestError, match=named):
            call(llm, "Hello!")
    assert len(server.requests) == 1


def test_strict_params_learn_nothing() -> None:
    refusal = {"error_code": "BAD_REQUEST", "message": "temperature: Extra inputs are not permitted"}
    with ScriptedServer(lambda _: Scripted(refusal, status=400)) as server:
        llm = ChatDatabricksCompat(model="m", host=server.url, token="dapi0", temperature=0, strict_params=True)
        with pytest.raises(DatabricksInvalidRequestError):
            llm.invoke("Hello!")
    assert len(server.requests) == 1


BODY = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}], "name": "a"}],
    "temperature": 0,
    "top_p": 1,
    "stop": ["x"],
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"properties": {}}}}],
}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("temperature: Extra inputs are not permitted", "temperature"),
        ('Bad request: json: unknown field "stream_options"', "stream_options"),
        ("Bad Request: Unknown parameter: 'top_p'", "top_p"),
        ("Invalid JSON payload received. Unknown name \"stream_options\" at 'generation_config'", "stream_options"),
        ("Model us.anthropic.claude-opus-5 does not support the temperature parameter.", "temperature"),
        ("`temperature` and `top_p` cannot both be specified for this model.", "top_p"),
        ("tools.0.custom.strict: Extra inputs are not permitted", "strict"),
        ("messages.0.content.0.text.cache_control: Extra inputs are not permitted", "cache_control"),
        ("messages.0.name: Extra inputs are not permitted", "name"),
        ("Unsupported parameter: 'stop' is not supported with this model.", None),
        ("Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.", None),
        ("Invalid value: 'top_p' must be between 0 and 1", None),
        ("custom_inputs.user is invalid: unknown user", None),
        ("prompt is too long: please stop", None),
        ("max_tokens (10000) cannot exceed 8192", None),
        ("Unsupported message role", None),
        ("something else entirely about temperature", None),
        ("frequency_penalty: Extra inputs are not permitted", None),
    ],
)
def test_the_field_that_a_400_names(text: str, field: str | None) -> None:
    assert refused_field(text, BODY, REFUSABLE) == field


def test_the_family_of_a_custom_endpoint_can_be_named(workspace: LocalWorkspace) -> None:
    with LocalWorkspace(endpoints={"support-bot": "claude-sonnet-4-5"}) as own:
        llm = ChatDatabricksCompat(
            model="support-bot", family="claude", host=own.host, token=own.token, reasoning_effort="low"
        )
        answer = llm.invoke("Why is the sky blue?")
    assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text"]
    with pytest.raises(ValueError, match=r"Unknown family 'claud'.*claude"):
        _llm(workspace, "x", family="claud").invoke("Hello!")


@four_ways
def test_the_workspace_is_asked_once_for_the_family(call: Way) -> None:
    with LocalWorkspace(endpoints={"support-bot": "claude-sonnet-4-5"}) as own:
        llm = ChatDatabricksCompat(
            model="support-bot", family="discover", host=own.host, token=own.token, reasoning_effort="low"
        )
        for _ in range(2):
            answer = call(llm, "Why is the sky blue?")
            assert answer.response_metadata["model_family"] == "claude"
        asked = [request for request in own.requests if request.method == "GET"]
    assert [request.path for request in asked] == ["/api/2.0/serving-endpoints/support-bot"]


@tool
def lookup(word: str) -> str:
    """Look a word up."""
    return word


@four_ways
@pytest.mark.parametrize("where", ["system", "tools", "tool result"])
def test_prompt_caching_reaches_claude_and_is_counted_once(workspace: LocalWorkspace, where: str, call: Way) -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    long = f"{where} {call.__name__} " + "a long text that is worth caching. " * 400
    messages: list[Any] = [HumanMessage("Look up the word 'fjord'.")]
    tools: list[Any] = [lookup]
    if where == "system":
        messages.insert(0, SystemMessage([{"type": "text", "text": long, **mark}]))
    elif where == "tools":
        parameters = {"type": "object", "properties": {}}
        function = {"name": "other", "description": long, "parameters": parameters}
        tools.append({"type": "function", "function": function, **mark})
    llm: Any = _llm(workspace, "databricks-claude-sonnet-4-6").bind_tools(tools)
    if where == "tool result":
        answer = llm.invoke(messages)
        result = lookup.invoke(answer.tool_calls[0])
        result.content = [{"type": "text", "text": long, **mark}]
        messages += [answer, result]
    first = call(llm, messages).usage_metadata
    second = call(llm, messages).usage_metadata
    assert first is not None
    assert second is not None
    assert first["input_token_details"]["cache_creation"] > 1000
    assert first["input_token_details"]["cache_read"] == 0
    assert second["input_token_details"]["cache_read"] == first["input_token_details"]["cache_creation"]
    assert second["input_token_details"]["cache_creation"] == 0
    assert second["input_tokens"] == first["input_tokens"]
    assert second["total_tokens"] == second["input_tokens"] + second["output_tokens"]


def test_cache_marks_do_not_reach_other_families(workspace: LocalWorkspace) -> None:
    content = [{"type": "text", "text": "Hello!", "cache_control": {"type": "ephemeral"}}]
    with pytest.warns(UserWarning, match="cache_control was left out"):
        _llm(workspace, "databricks-gpt-5-2").invoke([HumanMessage(content)])  # type: ignore[arg-type]  # core wants str | dict
    assert "cache_control" not in str(workspace.requests[-1].json)
