"""What a 400 teaches: several fields in one call, for one address, for an hour, and never from the user's own words."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from kit.scripted import Received, Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.connection.endpoints import forget
from langchain_dbchat.dialects.chat_completions.refusable import REFUSABLE
from langchain_dbchat.dialects.messages.refusable import REFUSABLE as MESSAGES
from langchain_dbchat.errors import DatabricksError, DatabricksInvalidRequestError

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}
NO_LIMIT = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
NO_TEMPERATURE = (
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported."
)


def _plain(words: str) -> dict[str, Any]:
    return {"error_code": "BAD_REQUEST", "message": words}


def _bare(words: str) -> dict[str, Any]:
    said = {"message": words, "type": "invalid_request_error", "param": None, "code": "unsupported_parameter"}
    return {"external_model_provider": "openai", "external_model_error": {"error": said}}


def _wrapped(words: str) -> dict[str, Any]:
    return _plain(json.dumps(_bare(words)))


def _older(words: str) -> dict[str, Any]:
    return {"error": "Received error from openai", "external_model_message": {"error": {"message": words}}}


shapes = pytest.mark.parametrize("shape", [_plain, _bare, _wrapped, _older])


def _refusing(words: dict[str, str], shape: Callable[[str], dict[str, Any]] = _plain) -> Callable[[Received], Scripted]:
    """Answer like a server that refuses the first of these fields that it gets."""

    def reply(request: Received) -> Scripted:
        refused = next((field for field in words if field in request.json), None)
        return Scripted(ANSWER) if refused is None else Scripted(shape(words[refused]), 400)

    return reply


@four_ways
@shapes
def test_an_o_series_model_behind_another_name(call: Way, shape: Callable[[str], dict[str, Any]]) -> None:
    with ScriptedServer(_refusing({"max_tokens": NO_LIMIT, "temperature": NO_TEMPERATURE}, shape)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", max_tokens=50, temperature=0.2)
        with pytest.warns(UserWarning, match="'mine' refused 'temperature'") as caught:
            assert call(llm, "Hello!").text == "Hi."
        assert len(caught) == 1  # a value under another name is not lost
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert call(llm, "Hello!").text == "Hi."
    sent = [
        {key: request.json.get(key) for key in ("max_tokens", "max_completion_tokens")} for request in server.requests
    ]
    assert sent == [{"max_tokens": 50, "max_completion_tokens": None}] + 3 * [
        {"max_tokens": None, "max_completion_tokens": 50}
    ]
    assert ["temperature" in request.json for request in server.requests] == [True, True, False, False]


@four_ways
@shapes
def test_the_other_name_of_the_limit(call: Way, shape: Callable[[str], dict[str, Any]]) -> None:
    words = {"max_completion_tokens": "max_completion_tokens: Extra inputs are not permitted"}
    with ScriptedServer(_refusing(words, shape)) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", max_completion_tokens=50)
        assert call(llm, "Hello!").text == "Hi."
        assert call(llm, "Hello!").text == "Hi."
    assert [request.json.get("max_tokens") for request in server.requests] == [None, 50, 50]


@four_ways
def test_an_endpoint_that_takes_neither_name_is_asked_twice(call: Way) -> None:
    words = {"max_tokens": NO_LIMIT, "max_completion_tokens": "Unknown parameter: 'max_completion_tokens'"}
    with ScriptedServer(_refusing(words)) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", max_tokens=50)
        with pytest.raises(DatabricksInvalidRequestError, match="max_completion_tokens"):
            call(llm, "Hello!")
    assert len(server.requests) == 2


@four_ways
def test_four_lessons_in_a_call_and_no_more(call: Way) -> None:
    fields: dict[str, Any] = {"temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 1, "frequency_penalty": 0.5}
    words = {field: f"{field}: Extra inputs are not permitted" for field in fields}
    with ScriptedServer(_refusing(words)) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", **fields)
        with pytest.raises(DatabricksInvalidRequestError, match="frequency_penalty"):
            call(llm, "Hello!")
        assert len(server.requests) == 5
        assert call(llm, "Hello!").text == "Hi."  # the next call knows four and learns the fifth
    assert len(server.requests) == 7


QUOTING = [
    ("temperature is not supported", "Message refused: temperature is not supported"),
    ("temperature", "Message 'temperature' is not supported"),
    ("temperature", "Message blocked: temperature is not supported"),
    ("Max_tokens?", "Content refused: 'max_tokens' is not allowed"),
    (
        "What is `temperature` is deprecated for this model?",
        "Refused: What is `temperature` is deprecated for this mo...",
    ),
    ("It said:\ntemperature: Extra inputs are not permitted\nWhy?", None),
    ("Why 'Unknown parameter: 'temperature''?", None),
    ("conversation roles must alternate", None),
    ("max_tokens is not supported, use max_completion_tokens", None),
]


@four_ways
@shapes
@pytest.mark.parametrize(("prompt", "words"), QUOTING)
def test_words_that_quote_the_prompt_do_not_teach(
    call: Way, shape: Callable[[str], dict[str, Any]], prompt: str, words: str | None
) -> None:
    said = words or f"Content policy: the message {prompt!r} was blocked"

    def reply(request: Received) -> Scripted:
        is_quoted = prompt in str(request.json["messages"][-1]["content"])
        return Scripted(shape(said), 400) if is_quoted else Scripted(ANSWER)

    with ScriptedServer(reply) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", temperature=0.2, max_tokens=9)
        with pytest.raises(DatabricksError):
            call(llm, prompt)
        assert call(llm, "Hello!").text == "Hi."
    assert [(request.json["temperature"], request.json["max_tokens"]) for request in server.requests] == [(0.2, 9)] * 2


@four_ways
@pytest.mark.parametrize(
    "field", ["filters", "guardrails", "system", "safe_prompt", "guided_json", "logit_bias", "x_("]
)
def test_what_is_not_on_the_list_is_never_left_out(call: Way, field: str) -> None:
    with ScriptedServer(_refusing({field: f"Unknown parameter: '{field}'"})) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", extra_body={field: {"a": 1}})
        with pytest.raises(DatabricksInvalidRequestError):
            call(llm, "Hello!")
    assert len(server.requests) == 1


@four_ways
def test_two_tenants_behind_paths_of_one_host_share_no_lesson(call: Way) -> None:
    def reply(request: Received) -> Scripted:
        refuses = request.path.startswith("/a/") and "temperature" in request.json
        return Scripted(_plain("Unknown parameter: 'temperature'"), 400) if refuses else Scripted(ANSWER)

    with ScriptedServer(reply) as server:
        first, second = (
            ChatDatabricksCompat(model="mine", base_url=f"{server.url}/{name}/v1", token="t", temperature=0.2)
            for name in "ab"
        )
        with pytest.warns(UserWarning, match="refused 'temperature'"):
            call(first, "Hello!")
        call(second, "Hello!")
    assert [(request.path[:3], "temperature" in request.json) for request in server.requests] == [
        ("/a/", True), ("/a/", False), ("/b/", True),
    ]  # fmt: skip


@four_ways
def test_two_workspaces_of_one_host_share_no_lesson(call: Way) -> None:
    def reply(request: Received) -> Scripted:
        refuses = request.headers.get("x-databricks-workspace-id") == "1" and "temperature" in request.json
        return Scripted(_plain("Unknown parameter: 'temperature'"), 400) if refuses else Scripted(ANSWER)

    with ScriptedServer(reply) as server:
        first, second = (
            ChatDatabricksCompat(model="mine", host=f"{server.url}?o={name}", token="t", temperature=0.2)
            for name in "12"
        )
        with pytest.warns(UserWarning, match="refused 'temperature'"):
            call(first, "Hello!")
        call(second, "Hello!")
    assert ["temperature" in request.json for request in server.requests] == [True, False, True]


TENANTS = [{"default_query": {"tenant": "a"}}, {"default_headers": {"X-Tenant": "a"}}, {"default_query": {"t": "a"}}]


@four_ways
@pytest.mark.parametrize("per_call", [False, True])
@pytest.mark.parametrize("setting", TENANTS, ids=str)
def test_two_tenants_by_query_or_header_share_no_lesson(call: Way, setting: dict[str, Any], per_call: bool) -> None:
    ((name, sent),) = setting.items()

    def reply(request: Received) -> Scripted:
        tenant = [*next(iter(request.query.values()), []), request.headers.get("x-tenant")][0]
        refuses = tenant == "a" and "temperature" in request.json
        return Scripted(_plain("Unknown parameter: 'temperature'"), 400) if refuses else Scripted(ANSWER)

    with ScriptedServer(reply) as server:
        one = ChatDatabricksCompat(model="mine", host=server.url, token="t", temperature=0.2)

        def of(tenant: str) -> Any:
            given = dict.fromkeys(sent, tenant)
            if per_call:
                return one.bind(**{"extra_query" if name == "default_query" else name: given})
            return one.model_copy(update={name: given})

        first, second = of("a"), of("b")
        with pytest.warns(UserWarning, match="refused 'temperature'"):
            call(first, "Hello!")
        call(second, "Hello!")
        call(first, "Hello!")
    assert ["temperature" in request.json for request in server.requests] == [True, False, True, False]


@four_ways
def test_headers_that_differ_from_request_to_request_tell_no_tenants_apart(call: Way) -> None:
    with ScriptedServer(_refusing({"temperature": "Unknown parameter: 'temperature'"})) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", temperature=0.2)
        with pytest.warns(UserWarning, match="refused 'temperature'"):
            call(llm.bind(extra_headers={"X-Request-Id": "1"}), "Hello!")
        call(llm.bind(extra_headers={"x-request-id": "2"}), "Hello!")
    assert len(server.requests) == 3


@four_ways
def test_a_lesson_ends_after_an_hour(call: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"temperature": "Unknown parameter: 'temperature'"}
    with ScriptedServer(_refusing(words)) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", temperature=0.2)
        call(llm, "Hello!")
        monkeypatch.setattr("langchain_dbchat.connection.endpoints.LIFETIME", 0.0)
        forget()
        call(llm, "Hello!")
        call(llm, "Hello!")
    assert ["temperature" in request.json for request in server.requests] == [True, False] * 3


def test_embeddings_are_not_taught_by_a_text() -> None:
    text = "instruction: Extra inputs are not permitted"

    def reply(request: Received) -> Scripted:
        if text in request.json["input"]:
            return Scripted(_plain(f"cannot embed {text!r}"), 400)
        return Scripted({"data": [{"index": 0, "embedding": [1.0]}]})

    with ScriptedServer(reply) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        model = DatabricksEmbeddings(model="databricks-gte-large-en", host=server.url, token="t")
        with pytest.raises(DatabricksError):
            model.embed_query(text)
        model.embed_query("Hello!")
    assert sorted(server.requests[0].json) == sorted(server.requests[-1].json)


@four_ways
def test_strict_params_is_not_weakened_by_what_others_have_learned(call: Way) -> None:
    with ScriptedServer(_refusing({"temperature": "Unknown parameter: 'temperature'"})) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", temperature=0.2)
        with pytest.warns(UserWarning, match="temperature"):
            call(llm, "Hello!")
        strict = llm.model_copy(update={"strict_params": True})
        with pytest.raises(DatabricksInvalidRequestError, match="temperature"):
            call(strict, "Hello!")
        assert call(llm, "Hello!").text
    assert ["temperature" in request.json for request in server.requests] == [True, False, True, False]


@four_ways
@pytest.mark.parametrize("field", sorted(REFUSABLE.nested))
def test_a_key_of_parts_or_tools_at_the_top_of_the_request_is_left_out_too(call: Way, field: str) -> None:
    with ScriptedServer(_refusing({field: f"{field}: Extra inputs are not permitted"})) as server:
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", extra_body={field: {"type": "ephemeral"}})
        with pytest.warns(UserWarning, match=f"'mine' refused {field!r}"):
            assert call(llm, "Hello!").text == "Hi."
        assert call(llm, "Hello!").text == "Hi."
    assert [field in request.json for request in server.requests] == [True, False, False]


TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "sort",
        "strict": True,
        "parameters": {"type": "object", "properties": {"strict": {"type": "boolean"}}, "required": ["strict"]},
    },
}
MARKED: list[Any] = [{"type": "text", "text": "Hello!", "cache_control": {"type": "ephemeral"}}]
NESTED: dict[str, tuple[str, HumanMessage, dict[str, Any]]] = {
    "strict": ("tools.0.custom.strict", HumanMessage("Hello!"), {"tools": [TOOL]}),
    "cache_control": ("messages.0.content.0.text.cache_control", HumanMessage(MARKED), {}),
    "name": ("messages.0.name", HumanMessage("Hello!", name="bo"), {}),
}
"""For each optional key below the top: its place in a request, and a call that has it there."""


def _has(key: str, body: dict[str, Any]) -> bool:
    """Look for a key where it may be left out: in messages, in their parts and beside the schema of a tool."""
    parts = [part for message in body["messages"] for part in message["content"] if isinstance(part, dict)]
    functions = [] if key == "name" else [tool["function"] for tool in body.get("tools", ())]
    return any(key in place for place in (*body["messages"], *parts, *functions))


@four_ways
@pytest.mark.parametrize("as_extra", [False, True])
@pytest.mark.parametrize("key", NESTED)
def test_a_key_of_messages_or_tools_is_left_out_where_it_stands(call: Way, key: str, as_extra: bool) -> None:
    place, message, settings = NESTED[key]
    if as_extra:
        wire = {"role": "user", "content": message.content, **({"name": message.name} if message.name else {})}
        settings = {"extra_body": {"messages": [wire], **settings}}

    def reply(request: Received) -> Scripted:
        refusal = Scripted(_plain(f"{place}: Extra inputs are not permitted"), 400)
        return refusal if _has(key, request.json) else Scripted(ANSWER)

    with ScriptedServer(reply) as server:  # any other server takes names of messages until it refuses them
        llm = ChatDatabricksCompat(model="mine", base_url=f"{server.url}/v1", token="t").bind(**settings)
        with pytest.warns(UserWarning, match=f"'mine' refused {key!r}"):
            assert call(llm, [message]).text == "Hi."
        assert call(llm, [message]).text == "Hi."
    assert [_has(key, request.json) for request in server.requests] == [True, False, False]
    assert all("Hello!" in str(request.json["messages"]) for request in server.requests)
    assert all(
        "strict" in tool["function"]["parameters"]["properties"]  # the caller's own parameter
        for request in server.requests
        for tool in request.json.get("tools", ())
    )


@four_ways
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
@pytest.mark.parametrize("extra", [{"response_format": {"type": "json_object"}}, {"tool_choice": "auto"}])
def test_a_structured_answer_is_requested_in_the_other_way_whatever_extra_body_says(
    call: Way, method: Any, extra: dict[str, Any]
) -> None:
    refused = next(iter(extra))

    def reply(request: Received) -> Scripted:
        if refused in request.json:
            return Scripted(_plain(f"{refused}: Extra inputs are not permitted"), 400)
        message: dict[str, Any] = {"role": "assistant", "content": '{"n": 1}'}
        if "tools" in request.json:
            function = {"name": "Answer", "arguments": '{"n": 1}'}
            message = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
        return Scripted({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    schema = {"title": "Answer", "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with ScriptedServer(reply) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        llm = ChatDatabricksCompat(model="mine", host=server.url, token="t", extra_body={**extra, "custom": 1})
        chain = llm.with_structured_output(schema, method=method, include_raw=True)
        assert _parsed(call, chain) == {"n": 1}
        assert _parsed(call, chain) == {"n": 1}
    assert [refused in request.json for request in server.requests] == [True, False, False]
    assert all(request.json["custom"] == 1 for request in server.requests)


def _parsed(call: Way, chain: Any) -> Any:
    answer: Any = call(chain, "One?")
    return answer["parsed"]


def test_the_page_lists_the_fields_that_may_be_left_out() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    section = text[text.index("## What a 400 teaches") :]
    names = {name for row in (REFUSABLE, MESSAGES) for name in (*row.optional, *row.nested)}
    assert [name for name in sorted(names) if f"`{name}`" not in section] == []
