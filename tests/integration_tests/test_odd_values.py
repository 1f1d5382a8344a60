"""Values of a wrong type that are given for one call raise before anything is sent, and name the setting."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from numbers import Real
from typing import Any

import pytest
from pydantic import ValidationError

from kit import ways
from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import ConfigurationError

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
STREAMED = {"choices": [{"index": 0, "delta": CHOICE["message"], "finish_reason": "stop"}]}
WRONG = [True, 5, 1.5, "x", ["a"], {"a": 1}, (1,), b"x", object(), Decimal("NaN")]
WRONG_STOPS: list[Any] = [True, 5, 1.5, [1], [None], ["a", 5], {"a": 1}, b"x", object(), float("nan")]
TEXTS = ["model", "endpoint", "api", "family"]
MAPPINGS = ["extra_body", "model_kwargs", "extra_headers", "default_headers", "request_tags"]
WHOLE = ["max_retries", "num_retries", "max_response_bytes"]
REAL = ["retry_deadline"]


def _answer(request: Received) -> Scripted:
    return Scripted(sse(STREAMED)) if request.json.get("stream") else Scripted({"choices": [CHOICE]})


def _wrong(name: str) -> list[Any]:
    right = {**dict.fromkeys(TEXTS, str), **dict.fromkeys(WHOLE, int), **dict.fromkeys(REAL, Real)}.get(name, dict)
    return [value for value in WRONG if not isinstance(value, right) or isinstance(value, bool)]


@four_ways
@pytest.mark.parametrize("name", [*TEXTS, *MAPPINGS, *WHOLE, *REAL])
def test_a_setting_of_a_wrong_type_names_itself(call: Way, name: str) -> None:
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t")
        for value in _wrong(name):
            with pytest.raises(TypeError, match=f"^{name} is a {type(value).__name__}, but it has to be a "):
                call(llm.bind(**{name: value}), "Hi")
        assert not server.requests


@four_ways
@pytest.mark.parametrize("name", ["max_retries", "max_response_bytes", "retry_deadline"])
def test_a_number_without_a_meaning_is_refused(call: Way, name: str) -> None:
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t")
        for value in (-1, -(10**400)):
            wrong: dict[str, Any] = {name: value}
            with pytest.raises(ValidationError, match=name):
                ChatDatabricksCompat(model="mine", host=server.url, token="t", **wrong)
            with pytest.raises(ConfigurationError, match=name.removeprefix("retry_")):
                call(llm.bind(**wrong), "Hi")
        assert not server.requests


@four_ways
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"reasoning_effort": True}, "reasoning_effort='true' is not one of"),
        ({"reasoning_effort": 5}, "reasoning_effort='5' is not one of"),
        ({"reasoning_effort": ["low"]}, "is not one of"),
        ({"tools": 5}, "tools is a int, but it has to be a list of tools"),
        ({"tools": True}, "tools is a bool, but it has to be a list of tools"),
        ({"structured": " "}, "call with_structured_output"),
        ({"structured": {"name": "x"}}, "call with_structured_output"),
        ({"context": "x", "api": "agent"}, "context is a str, but it has to be a mapping"),
        ({"context": ["x"], "api": "responses"}, "context is a list, but it has to be a mapping"),
    ],
)
def test_a_field_of_a_wrong_type_names_itself(call: Way, given: dict[str, Any], words: str) -> None:
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricksCompat(model="databricks-gpt-5-2", host=server.url, token="t")
        with pytest.raises((TypeError, ValueError), match=words):
            call(llm.bind(**given), "Hi")
        assert not server.requests


@four_ways
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        *[({name: value}, "stop is or contains a ") for name in ("stop", "stop_sequences") for value in WRONG_STOPS],
        ({"thinking": {"type": ["enabled"]}}, "thinking=.* is not valid"),
        ({"thinking": {"type": {}}}, "thinking=.* is not valid"),
    ],
)
def test_such_a_field_is_refused_on_each_wire(call: Way, api: str, given: dict[str, Any], words: str) -> None:
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=server.url, token="t").bind(api=api)
        with pytest.raises((TypeError, ValueError), match=words):
            call(llm.bind(**given), "Hi")
        assert not server.requests


@pytest.mark.parametrize("value", [" ", "2", ["a"], {"a": 1}, b"x", object(), float("nan"), 10**400, -1])
def test_a_number_of_answers_that_cannot_be_streamed(value: Any) -> None:
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t").bind(n=value)
        for way in (ways.stream, ways.astream):
            with pytest.raises(ValueError, match="^n=.* answers cannot be streamed"):
                way(llm, "Hi")
        assert not server.requests


@four_ways
@pytest.mark.parametrize("name", ["max_retries", "num_retries", "model", "endpoint", "api", "timeout", "family"])
def test_none_for_one_call_is_the_models_own_value(call: Way, name: str) -> None:
    """As in the constructor, and as other clients' defaults are."""
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t")
        assert call(llm.bind(**{name: None}), "Hi").text == "Hi."
    assert len(server.requests) == 1


def test_embeddings_do_the_same() -> None:
    row = {"index": 0, "embedding": [1.0]}
    with ScriptedServer(lambda _: Scripted({"data": [row]})) as server:
        model: Any = DatabricksEmbeddings(model="mine", host=server.url, token="t")
        for name in ("max_retries", "extra_headers"):
            with pytest.raises(TypeError, match=f"^{name} is a str, but it has to be a "):
                model.embed_query("a", **{name: "x"})
            with pytest.raises(TypeError, match=f"^{name} is a str, but it has to be a "):
                asyncio.run(model.aembed_query("a", **{name: "x"}))
        assert not server.requests
        assert model.embed_query("a", max_retries=None) == [1.0]
