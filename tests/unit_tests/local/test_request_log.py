"""The requests that came in: readable on every API, bounded, and assertions that show what was sent instead."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.local import LocalWorkspace
from langchain_dbchat.local.server.request_log import RecordedRequest, RequestLog

CLAUDE = "databricks-claude-sonnet-4-6"
GPT = "databricks-gpt-5-2"
GEMINI = "databricks-gemini-3-5-flash"
GTE = "databricks-gte-large-en"
HISTORY = [
    SystemMessage("Be short."),
    HumanMessage("Weather in Oslo?"),
    AIMessage("", tool_calls=[{"name": "get_weather", "args": {"city": "Oslo"}, "id": "call_1"}]),
    ToolMessage("Rain in Oslo.", tool_call_id="call_1"),
    HumanMessage([{"type": "text", "text": "And in Bergen?"}]),
]
TEXTS = ["Be short.", "Weather in Oslo?", "Rain in Oslo.", "And in Bergen?"]


@tool
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"Rain in {city}."


@pytest.fixture
def asked(served: LocalWorkspace) -> LocalWorkspace:
    served.reset()
    return served


def chat(workspace: LocalWorkspace, model: str = GEMINI, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=workspace.host, token=workspace.token, **settings)


@pytest.mark.parametrize(
    ("model", "api", "name"),
    [
        (GEMINI, "chat", GEMINI),
        (CLAUDE, "chat", CLAUDE),
        (CLAUDE, "messages", CLAUDE),
        (GPT, "responses", GPT),
        ("system.ai.gemini-3-5-flash", "chat", "system.ai.gemini-3-5-flash"),
    ],
)
@four_ways
def test_a_call_is_read_alike_on_every_api(asked: LocalWorkspace, model: str, api: Any, name: str, call: Way) -> None:
    call(chat(asked, model, api=api, user_agent="my-app/1").bind_tools([get_weather]), HISTORY)
    request = asked.assert_called_once(api=api)
    assert (request.endpoint, request.api, request.tools) == (name, api, ["get_weather"])
    assert request.texts == TEXTS
    assert request.messages[0]["role"] in {"system", "developer"}
    assert "my-app/1" in request.user_agent
    assert asked.token not in str(vars(request)) + repr(request)
    assert repr(request) == f"{name} ({api}), 4 texts, the last is 'And in Bergen?', tools ['get_weather']"


def test_texts_to_embed(asked: LocalWorkspace) -> None:
    DatabricksEmbeddings(model=GTE, host=asked.host, token=asked.token).embed_documents(["a", "b"])
    request = asked.assert_called_once(endpoint=GTE, api="embeddings", text="b")
    assert request.texts == ["a", "b"]
    assert request.messages == []
    assert request.tools == []


def test_what_is_no_call_is_not_counted(asked: LocalWorkspace) -> None:
    settings: dict[str, Any] = {"client_id": asked.client_id, "client_secret": asked.client_secret}
    ChatDatabricksCompat(model=GEMINI, host=asked.host, **settings).invoke("Hi")
    asked.assert_called_once()
    assert len(asked.requests) > 1
    assert repr(asked.requests[0]).startswith(("GET /", "POST /oidc"))


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        ({}, True),
        ({"endpoint": GEMINI}, True),
        ({"endpoint": GPT}, False),
        ({"api": "chat"}, True),
        ({"api": "messages"}, False),
        ({"text": "in Oslo"}, True),
        ({"text": "in Bergen"}, False),
        ({"tools": [get_weather]}, True),
        ({"tools": ["get_weather"]}, True),
        ({"tools": ["get_weather", "get_time"]}, False),
        ({"tools": []}, False),
        ({"fields": {"temperature": 0.5}}, True),
        ({"fields": {"temperature": 0.6}}, False),
        ({"fields": {"top_p": 1}}, False),
        ({"endpoint": GEMINI, "text": "Weather", "fields": {"max_tokens": 9}}, True),
        ({"endpoint": GEMINI, "text": "Weather", "fields": {"max_tokens": 8}}, False),
    ],
)
def test_what_a_call_has_to_have(asked: LocalWorkspace, expected: Any, fits: bool) -> None:
    chat(asked, temperature=0.5, max_tokens=9).bind_tools([get_weather]).invoke("Weather in Oslo?")
    assert len(asked.assert_called(1 if fits else 0, **expected)) == fits
    with pytest.raises(AssertionError):
        asked.assert_called(0 if fits else 1, **expected)


def test_of_an_object_the_named_keys_are_compared(asked: LocalWorkspace) -> None:
    chat(asked, GPT, stream_usage=True).bind_tools([get_weather], tool_choice="get_weather").invoke("Hi")
    asked.assert_called_once(fields={"tool_choice": {"function": {"name": "get_weather"}}})
    asked.assert_not_called(fields={"tool_choice": {"function": {"name": "get_time"}}})


def test_a_failure_shows_what_was_sent_instead(asked: LocalWorkspace) -> None:
    with pytest.raises(AssertionError) as none:
        asked.assert_called(endpoint=GPT)
    assert str(none.value) == (
        "Expected at least one call with endpoint='databricks-gpt-5-2', but there were 0. No call has come in."
    )
    chat(asked).invoke("Weather in Bergen?")
    chat(asked, CLAUDE).bind_tools([get_weather]).invoke("Hello " * 40)
    with pytest.raises(AssertionError) as some:
        asked.assert_called_once(endpoint=GEMINI, text="Oslo")
    first, *lines = str(some.value).splitlines()
    given = f"endpoint='{GEMINI}', text='Oslo'"
    assert first == f"Expected 1 call with {given}, but there were 0. These calls came in:"
    assert lines == [
        "  1. databricks-gemini-3-5-flash (chat), 1 texts, the last is 'Weather in Bergen?'",
        "     no text has 'Oslo'",
        f"  2. {CLAUDE} (chat), 1 texts, the last is '{('Hello ' * 40)[:80]}...', tools ['get_weather']",
        f"     endpoint is '{CLAUDE}'",
        "     no text has 'Oslo'",
    ]
    with pytest.raises(AssertionError, match="Expected 0 calls, but there were 2"):
        asked.assert_not_called()
    with pytest.raises(TypeError, match=r"A call has no \['endpiont'\]. It has: endpoint, api, text, tools, fields"):
        asked.assert_called_once(endpiont=GPT)  # type: ignore[call-arg]  # that is the mistake


def test_a_failure_shows_the_last_calls_only(asked: LocalWorkspace) -> None:
    llm = chat(asked)
    for number in range(12):
        llm.invoke(f"Number {number}")
    with pytest.raises(AssertionError) as caught:
        asked.assert_called(13)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("These calls came in, of which the last 10 are shown:")
    assert len(lines) == 11
    assert "'Number 2'" in lines[1]


def test_the_log_is_bounded_by_number_and_by_bytes() -> None:
    def request(number: int, size: int = 10) -> RecordedRequest:
        return RecordedRequest("POST", f"/{number}", "", {}, b"x" * size)

    log = RequestLog(count=3, size=100)
    for number in range(5):
        log.append(request(number))
    assert [one.path for one in log] == ["/2", "/3", "/4"]
    assert [one.path for one in log[1:]] == ["/3", "/4"]
    log.append(request(5, 95))
    assert [one.path for one in log] == ["/5"]
    log.append(request(6, 500))
    assert [one.path for one in log] == ["/6"]
    log.clear()
    log.append(request(7, 95))
    assert len(log) == 1
    assert log[0].json is None


def test_a_local_workspace_keeps_a_thousand_requests(asked: LocalWorkspace) -> None:
    for number in range(1100):
        asked.requests.append(RecordedRequest("GET", f"/{number}", "", {}, b""))
    assert len(asked.requests) == 1000
    assert asked.requests[-1].path == "/1099"


def test_headers_with_secrets_are_not_kept(asked: LocalWorkspace) -> None:
    secrets = {"x-api-key": "abc1", "x-forwarded-access-token": "abc2", "cookie": "abc3", "x-tag": "seen"}
    chat(asked, default_headers=secrets).invoke("Hi")
    headers = asked.requests[-1].headers
    assert headers["x-tag"] == "seen"
    assert not {"authorization", "x-api-key", "x-forwarded-access-token", "cookie"} & headers.keys()
    assert not {"abc1", "abc2", "abc3"} & set(headers.values())
