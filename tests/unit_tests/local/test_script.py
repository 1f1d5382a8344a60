"""Scripts: answers that a test writes for an endpoint, given whole and streamed, in order, and then no more."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import (
    DatabricksConnectionError,
    DatabricksInvalidRequestError,
    DatabricksPermissionDeniedError,
    DatabricksRateLimitError,
    StreamInterruptedError,
)
from langchain_dbchat.local import LocalWorkspace

CLAUDE = "databricks-claude-sonnet-4-6"
GPT = "databricks-gpt-5-2"
GEMINI = "databricks-gemini-3-5-flash"
GLM = "databricks-glm-5-2"
OSS = "databricks-gpt-oss-120b"
LLAMA = "databricks-meta-llama-3-3-70b-instruct"
FAMILIES = pytest.mark.parametrize("model", [CLAUDE, GPT, GEMINI, GLM, OSS, LLAMA])
GTE = "databricks-gte-large-en"


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int


@tool
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"Rain in {city}."


@pytest.fixture
def scripted(served: LocalWorkspace) -> LocalWorkspace:
    served.reset()
    return served


def chat(workspace: LocalWorkspace, model: str = CLAUDE, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


@FAMILIES
@four_ways
def test_a_text_is_the_answer(scripted: LocalWorkspace, model: str, call: Way) -> None:
    scripted.script(model).answer("Rain, says the script.").answer("And then sun.")
    llm = chat(scripted, model)
    assert call(llm, "Weather?").text == "Rain, says the script."
    assert call(llm, "And then?").text == "And then sun."
    scripted.assert_scripts_used()


@FAMILIES
@four_ways
def test_several_calls_in_one_answer(scripted: LocalWorkspace, model: str, call: Way) -> None:
    scripted.script(model).call(get_weather, city="Oslo").and_call("get_weather", {"city": "Bergen"})
    answer = call(chat(scripted, model).bind_tools([get_weather]), "Weather?")
    assert [(one["name"], one["args"]) for one in answer.tool_calls] == [
        ("get_weather", {"city": "Oslo"}),
        ("get_weather", {"city": "Bergen"}),
    ]
    assert len({one["id"] for one in answer.tool_calls}) == 2


@four_ways
def test_arguments_that_are_not_json_are_sent_as_they_are(scripted: LocalWorkspace, call: Way) -> None:
    scripted.script(GLM).call(get_weather, '{"city": "Os')
    answer = call(chat(scripted, GLM).bind_tools([get_weather]), "Weather?")
    assert not answer.tool_calls
    assert str(answer.invalid_tool_calls[0]["args"]).startswith('{"city": "Os')


@pytest.mark.parametrize("model", [CLAUDE, GLM, OSS])
@four_ways
def test_reasoning_comes_before_the_answer(scripted: LocalWorkspace, model: str, call: Way) -> None:
    settings: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}} if model == CLAUDE else {}
    scripted.script(model).answer("Rain.", reasoning="It is Bergen.")
    answer = call(chat(scripted, model, max_tokens=4096, **settings), "Weather?")
    assert answer.text == "Rain."
    assert [block["reasoning"] for block in answer.content_blocks if block["type"] == "reasoning"] == ["It is Bergen."]


@FAMILIES
@four_ways
def test_an_object_is_the_structured_answer_in_every_family(scripted: LocalWorkspace, model: str, call: Way) -> None:
    scripted.script(model).answer(City(name="Oslo", inhabitants=709_037))
    result: Any = call(chat(scripted, model).with_structured_output(City), "Which city?")
    assert result == City(name="Oslo", inhabitants=709_037)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_an_object_follows_the_method(scripted: LocalWorkspace, method: Any) -> None:
    scripted.script(GPT).answer({"name": "Oslo", "inhabitants": 1})
    assert chat(scripted, GPT).with_structured_output(City, method=method).invoke("?") == City(
        name="Oslo", inhabitants=1
    )
    scripted.script(GPT).answer({"name": "Oslo"})
    assert json.loads(chat(scripted, GPT).invoke("?").text) == {"name": "Oslo"}


@pytest.mark.parametrize(
    ("model", "reason", "field"),
    [(GPT, "stop", "No."), (CLAUDE, "content_filter", None), (GLM, "content_filter", None)],
)
@four_ways
def test_the_model_refuses(scripted: LocalWorkspace, model: str, reason: str, field: str | None, call: Way) -> None:
    scripted.script(model).refuse("No.")
    answer = call(chat(scripted, model), "How do I rob a bank?")
    assert answer.response_metadata["finish_reason"] == reason
    assert answer.additional_kwargs.get("refusal") == field
    assert answer.text == ("" if field else "No.")


@pytest.mark.parametrize(
    ("finish", "on_chat", "on_messages"),
    [
        ("length", "length", "max_tokens"),
        ("content_filter", "content_filter", "refusal"),
        ("function_call", "function_call", "tool_use"),
        ("pause_turn", "pause_turn", "pause_turn"),
    ],
)
@four_ways
def test_an_answer_may_end_for_any_reason(
    scripted: LocalWorkspace, finish: str, on_chat: str, on_messages: str, call: Way
) -> None:
    for api, reason in (("chat", on_chat), ("messages", on_messages)):
        scripted.script(CLAUDE).answer("Some text.", finish=finish)
        answer = call(chat(scripted, api=api), "Hi")
        assert answer.text == "Some text."
        assert answer.response_metadata["stop_reason" if api == "messages" else "finish_reason"] == reason


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "length"), ("content_filter", "content_filter"), ("function_call", "stop"), ("pause_turn", "stop")],
)
@four_ways
def test_responses_names_what_an_answer_lacks(scripted: LocalWorkspace, finish: str, reason: str, call: Way) -> None:
    scripted.script(GPT).answer("Some text.", finish=finish)
    answer = call(chat(scripted, GPT, api="responses"), "Hi")
    assert answer.text == "Some text."
    assert answer.response_metadata["finish_reason"] == reason


@four_ways
def test_an_error_in_the_middle_of_a_script(scripted: LocalWorkspace, call: Way) -> None:
    scripted.script(GPT).fail("rate_limit", headers={"retry-after": "0"}, times=2).answer("At last.")
    assert call(chat(scripted, GPT), "Hi").text == "At last."
    assert len(scripted.requests) == 3
    scripted.script(GPT).fail(403).fail(429, headers={"retry-after": "0"})
    with pytest.raises(DatabricksPermissionDeniedError):
        call(chat(scripted, GPT), "Hi")
    with pytest.raises(DatabricksRateLimitError):
        call(chat(scripted, GPT, max_retries=0), "Hi")


@four_ways
def test_an_answer_is_cut_off(scripted: LocalWorkspace, call: Way, caplog: pytest.LogCaptureFixture) -> None:
    """It is not logged as an error of the workspace."""
    scripted.script(CLAUDE).answer("One two three four five six.").cut_off(after=3).answer("Hello.")
    with pytest.raises((StreamInterruptedError, DatabricksConnectionError)) as caught:
        call(chat(scripted, max_retries=0), "Count.")
    if isinstance(caught.value, StreamInterruptedError):
        assert caught.value.partial is not None
        assert caught.value.partial.text == "One two three"
    assert call(chat(scripted), "Hi").text == "Hello."  # the server has finished the first answer
    assert "The local workspace failed" not in caplog.text


def test_a_slow_answer_takes_its_time(scripted: LocalWorkspace) -> None:
    scripted.script(CLAUDE).answer("One two three four.").slowly(0.1)
    begun = time.monotonic()
    arrived = [chunk.text for chunk in chat(scripted, coalesce=False).stream("Count.") if chunk.text]
    assert time.monotonic() - begun >= 0.3
    assert arrived == ["One", " two", " three", " four."]


def test_a_function_sees_the_request(scripted: LocalWorkspace) -> None:
    scripted.script(GLM).answer(lambda request: f"{len(request.messages)}: {request.prompt.upper()}", times=None)
    llm = chat(scripted, GLM)
    assert llm.invoke("hi").text == "1: HI"
    assert llm.invoke([("system", "s"), ("human", "again")]).text == "2: AGAIN"
    scripted.assert_scripts_used()
    scripted.reset()
    scripted.script(GLM).answer(lambda request: request.messages[7])
    with pytest.raises(DatabricksInvalidRequestError, match="The function .* failed: IndexError"):
        llm.invoke("hi")


def test_an_agent_follows_its_script(scripted: LocalWorkspace) -> None:
    scripted.script(CLAUDE).answer("I look it up.").and_call(get_weather, city="Oslo").answer("It rains in Oslo.")
    agent: Any = create_agent(chat(scripted), [get_weather])
    messages = agent.invoke({"messages": [HumanMessage("Weather?")]})["messages"]
    assert [message.text for message in messages] == ["Weather?", "I look it up.", "Rain in Oslo.", "It rains in Oslo."]
    assert isinstance(messages[2], ToolMessage)


@four_ways
def test_a_script_that_has_run_out_says_so(scripted: LocalWorkspace, call: Way) -> None:
    scripted.script(GPT).answer("Only this.")
    llm = chat(scripted, GPT)
    call(llm, "Hi")
    with pytest.raises(DatabricksInvalidRequestError, match=r"has no answer left: it had 1, and this is request 2\."):
        call(llm, "Hi")
    assert len(scripted.requests) == 2, "it is not sent again"


def test_the_rules_may_follow(scripted: LocalWorkspace) -> None:
    scripted.script(GPT).answer("Mine.").then_rules()
    llm = chat(scripted, GPT)
    assert llm.invoke("Say yours").text == "Mine."
    assert llm.invoke("Say yours").text == "yours"


def test_each_endpoint_has_its_own_script_and_one_is_for_the_rest(scripted: LocalWorkspace) -> None:
    scripted.script().answer("any")
    scripted.script("system.ai.gpt-5-2").answer("gpt")
    assert chat(scripted, GLM).invoke("Hi").text == "any"
    assert chat(scripted, GPT).invoke("Hi").text == "gpt"


def test_a_refused_request_uses_up_no_answer(scripted: LocalWorkspace) -> None:
    scripted.script(CLAUDE).answer("Yes.")
    with pytest.raises(DatabricksInvalidRequestError):
        chat(scripted, extra_body={"no_such_field": 1}).invoke("Hi")
    assert chat(scripted).invoke("Hi").text == "Yes."


def test_every_choice_has_the_answer(scripted: LocalWorkspace) -> None:
    scripted.script(GPT).answer("Same.")
    result = chat(scripted, GPT, n=2).generate([[HumanMessage("Hi")]])
    assert [one.text for one in result.generations[0]] == ["Same.", "Same."]


def test_what_is_left_of_a_script_is_said(scripted: LocalWorkspace) -> None:
    scripted.script(GPT).answer("One.").answer("Two.", times=2)
    scripted.script().answer("Three.")
    chat(scripted, GPT).invoke("Hi")
    with pytest.raises(AssertionError, match=r"no request has taken: 1 of databricks-gpt-5-2, 1 of any endpoint\."):
        scripted.assert_scripts_used()


def test_vectors(scripted: LocalWorkspace) -> None:
    embeddings = DatabricksEmbeddings(model=GTE, host=scripted.host, token=scripted.token)
    script = scripted.script(GTE).embed([1, 0]).embed([1, 0], [0, 1]).embed(lambda texts: [[len(one)] for one in texts])
    assert embeddings.embed_documents(["a", "b"]) == [[1.0, 0.0], [1.0, 0.0]]
    assert embeddings.embed_documents(["a", "b"]) == [[1.0, 0.0], [0.0, 1.0]]
    assert embeddings.embed_documents(["a", "bcd"]) == [[1.0], [3.0]]
    script.fail(429, headers={"retry-after": "0"}).embed([0.5]).embed([1], [2])
    assert embeddings.embed_query("a") == [0.5]
    with pytest.raises(DatabricksInvalidRequestError, match="has 2 vectors, but the request has 1 texts"):
        embeddings.embed_query("a")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (
            lambda one: one.script("databricks-gpt-5-3"),
            "no endpoint 'databricks-gpt-5-3'. Did you mean 'databricks",
        ),
        (lambda one: one.script(GTE).answer("Hi"), r"'databricks-gte-large-en' serves embeddings: use \.embed"),
        (lambda one: one.script(GPT).embed([1]), r"serves chat: use \.answer"),
        (lambda one: one.script(GPT).embed(), "at least one vector"),
        (lambda one: one.script(GPT).and_call("x"), r"\.and_call\(\) changes the answer before it, and there is none"),
        (lambda one: one.script(GPT).fail(500).cut_off(), r"\.cut_off\(\) changes the answer before it"),
        (lambda one: one.script(GPT).fail("no_such"), "There is no fault named 'no_such'"),
        (lambda one: one.script(GPT).answer("x", times=0), "times is 0; it must be at least 1"),
        (lambda one: one.script(GPT).answer("x").slowly(-1), "must not be below 0"),
        (lambda one: one.script(GPT).answer("x").cut_off(-1), "must not be below 0"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused_when_it_is_written(
    scripted: LocalWorkspace, write: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write(scripted)


def test_a_tool_has_a_name(scripted: LocalWorkspace) -> None:
    with pytest.raises(TypeError, match="3 is neither a tool, nor a function, nor the name of a tool"):
        scripted.script(GPT).call(3)
