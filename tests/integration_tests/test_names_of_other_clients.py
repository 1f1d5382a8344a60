"""Settings of databricks-langchain, langchain-openai, LiteLLM, ellmer and chatlas mean the same, or say what to do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from pydantic import SecretStr, ValidationError

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricks, ChatDatabricksCompat, DatabricksEmbeddings, Timeouts
from langchain_dbchat.errors import ConfigurationError, DatabricksConnectionError

SECRET = "tok-of-the-user-2f7d"
CHAT: Any = ChatDatabricks  # as untyped code sees them
EMBEDDINGS: Any = DatabricksEmbeddings


def _answer(request: Received, **headers: str) -> Scripted:
    if "input" in request.json and "messages" not in request.json:
        rows = [{"index": index, "embedding": [1.0, 0.0]} for index, _ in enumerate(request.json["input"])]
        return Scripted({"data": rows, "usage": {"prompt_tokens": 1, "total_tokens": 1}}, headers=headers)
    if request.json.get("stream"):
        pieces = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("o", "k")]
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        return Scripted(sse(*pieces, end), headers=headers)
    choice = {"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}
    return Scripted({"choices": [choice]}, headers=headers)


def _llm(server: ScriptedServer, **settings: Any) -> Any:
    return CHAT(**{"host": server.url, "token": "of-the-app", **settings})


# databricks-langchain.


def test_it_is_one_class_under_two_names() -> None:
    llm = CHAT(endpoint="m", host="https://w.example", token="t")
    assert ChatDatabricks is ChatDatabricksCompat
    assert llm.endpoint == llm.model == "m"
    assert EMBEDDINGS(endpoint="e").endpoint == "e"
    assert json.loads(dumps(llm))["id"] == ["langchain_dbchat", "chat_models", "ChatDatabricksCompat"]


@four_ways
def test_the_whole_constructor_with_its_defaults(call: Way) -> None:
    defaults = {
        "target_uri": None,
        "workspace_client": None,
        "temperature": None,
        "n": 1,
        "stop": None,
        "max_tokens": None,
        "extra_params": None,
        "stream_usage": True,
        "use_responses_api": False,
        "timeout": None,
        "max_retries": None,
        "use_ai_gateway": False,
        "use_ai_gateway_native_api": False,
    }
    with ScriptedServer(_answer) as server:
        assert call(_llm(server, endpoint="m", **defaults), "hi").text == "ok"
        assert call(_llm(server, endpoint="m"), "hi").text == "ok"
    first, second = server.requests
    assert first.json == second.json
    assert "n" not in first.json
    assert first.path == "/serving-endpoints/m/invocations"


@four_ways
def test_extra_params_have_the_openai_clients_keywords(call: Way) -> None:
    given = {
        "extra_headers": {"x-team": "a"},
        "extra_query": {"trace": "yes"},
        "extra_body": {"custom_inputs": {"user": 1}, "guided_json": {"a": 1}},
        "timeout": 7.5,
        "top_p": 0.5,
    }
    with ScriptedServer(_answer) as server:
        llm = _llm(server, model="m", extra_params=given)
        assert call(llm.bind(custom_inputs={"session": 2}), "hi").text == "ok"
    (request,) = server.requests
    assert request.headers["x-team"] == "a"
    assert request.query == {"trace": ["yes"]}
    assert request.json["guided_json"] == {"a": 1}
    assert request.json["top_p"] == 0.5
    assert request.json["custom_inputs"]["user"] == 1
    assert llm.timeout == 7.5


@pytest.mark.parametrize("make", [CHAT, EMBEDDINGS])
def test_a_target_uri_names_a_profile(make: Any) -> None:
    assert make(model="m", target_uri="databricks").config_profile is None
    assert make(model="m", target_uri="databricks://work").config_profile == "work"
    with pytest.raises(ValidationError, match="secret scope.*host=.*token="):
        make(model="m", target_uri="databricks://scope:prefix")
    with pytest.raises(ValidationError, match="not a URI of a workspace.*base_url="):
        make(model="m", target_uri="http://localhost:5000")
    with pytest.raises(ValidationError, match="'config_profile' is given twice"):
        make(model="m", target_uri="databricks://work", profile="other")


def test_both_apis_of_the_gateway_are_refused_as_there() -> None:
    with pytest.raises(ValidationError, match="use_ai_gateway and use_ai_gateway_native_api"):
        CHAT(model="m", use_ai_gateway=True, use_ai_gateway_native_api=True)


def test_use_responses_api_chooses_the_api() -> None:
    assert CHAT(model="m", use_responses_api=True).api == "responses"
    assert CHAT(model="m", use_responses_api=False).api == "auto"
    assert CHAT(model="m", use_responses_api=None).api == "auto"
    with pytest.raises(ValidationError, match="use_responses_api='yes' is neither True nor False"):
        CHAT(model="m", use_responses_api="yes")
    with pytest.raises(ValidationError, match="'api' is given twice"):
        CHAT(model="m", use_responses_api=True, api="chat")


# ChatOpenAI's and LiteLLM's names.


@four_ways
def test_the_names_of_chat_openai(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        llm = CHAT(
            model_name="m",
            openai_api_key=SecretStr(SECRET),
            openai_api_base=f"{server.url}/v1",
            model_kwargs={"parallel_tool_calls": False},
            extra_body={"guided_json": {"a": 1}},
            extra_headers={"x-team": "a"},
            request_timeout=(3, 60),
            logit_bias={"42": -100},
            service_tier="flex",
            user="u1",
            tiktoken_model_name="gpt-4o",
            openai_organization=None,
            use_previous_response_id=False,
        )
        assert call(llm, "hi").text == "ok"
        assert llm.model == "m"
        assert Timeouts.of(llm.timeout) == Timeouts(3, 60, 60, 60, 60)
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["x-team"] == "a"
    body = request.json
    assert body["logit_bias"] == {"42": -100}
    assert body["guided_json"] == {"a": 1}
    assert (body["parallel_tool_calls"], body["service_tier"], body["user"]) == (False, "flex", "u1")
    assert not {"extra_headers", "request_timeout", "tiktoken_model_name", "model_kwargs", "n"} & body.keys()
    assert SECRET not in request.body.decode()


@four_ways
def test_the_same_names_in_a_call(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        bound = _llm(server, model="m").bind(
            model_name="other",
            openai_api_key=SECRET,
            extra_headers={"x-team": "a"},
            request_timeout=(3, 60),
            model_kwargs={"guided_json": {"a": 1}},
            logit_bias={"42": 1},
            service_tier="flex",
        )
        assert call(bound, "hi").text == "ok"
        assert SECRET not in repr(bound) + dumps(bound)
    (request,) = server.requests
    assert request.path == "/serving-endpoints/other/invocations"
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["x-team"] == "a"
    assert (request.json["guided_json"], request.json["logit_bias"]) == ({"a": 1}, {"42": 1})
    assert request.json["service_tier"] == "flex"


@four_ways
def test_openais_reasoning_is_the_effort(call: Way) -> None:
    with ScriptedServer(_answer) as server:
        call(_llm(server, model="m", family="gpt-5", reasoning={"effort": "low"}), "hi")
        call(_llm(server, model="m", family="gpt-5").bind(reasoning={"effort": "high", "summary": None}), "hi")
    assert [request.json["reasoning_effort"] for request in server.requests] == ["low", "high"]


def test_two_names_of_the_request_fields_are_joined_unless_they_contradict() -> None:
    llm = CHAT(model="m", extra_body={"a": {"b": 1}}, model_kwargs={"c": 2}, extra_params=None, store=False)
    assert llm.extra_body == {"a": {"b": 1}, "c": 2, "store": False}
    with pytest.raises(ValidationError, match="a is given twice"):
        CHAT(model="m", extra_body={"a": 1}, model_kwargs={"a": 2})


@four_ways
@pytest.mark.parametrize("where", ["constructor", "call"])
def test_response_headers_are_shown_without_secrets(call: Way, where: str) -> None:
    sent = {"x-ratelimit-remaining-tokens": "42", "set-cookie": "s=1", "x-seen": f"for {SECRET}", "x-request-id": "r1"}
    asked: dict[str, Any] = {"include_response_headers": True}
    with ScriptedServer(lambda request: _answer(request, **sent)) as server:
        llm = _llm(server, model="m", token=SECRET, **(asked if where == "constructor" else {}))
        message = call(llm if where == "constructor" else llm.bind(**asked), "hi")
        plain = call(_llm(server, model="m", token=SECRET), "hi")
    headers = message.response_metadata["headers"]
    assert headers["x-ratelimit-remaining-tokens"] == "42"
    assert headers["x-request-id"] == "r1"
    assert "set-cookie" not in headers
    assert SECRET not in repr(message)
    assert headers["x-seen"].startswith("for ")
    assert "headers" not in plain.response_metadata
    assert "include_response_headers" not in server.requests[0].json


def test_each_answer_of_several_has_the_headers() -> None:
    def two(request: Received) -> Scripted:
        choices = [
            {"index": i, "message": {"content": "ok"}, "finish_reason": "stop"} for i in range(request.json["n"])
        ]
        return Scripted({"choices": choices}, headers={"x-a": "1"})

    with ScriptedServer(two) as server:
        result = _llm(server, model="m", n=2, include_response_headers=True).generate([[HumanMessage("hi")]])
    assert [each.message.response_metadata["headers"]["x-a"] for each in result.generations[0]] == ["1", "1"]


@four_ways
@pytest.mark.parametrize("name", ["proxy", "openai_proxy"])
def test_a_given_proxy_is_used_and_its_password_is_shown_nowhere(call: Way, name: str) -> None:
    seen: list[str] = []

    class Everything(BaseCallbackHandler):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(repr((args, kwargs)))

    with ScriptedServer(_answer) as proxy:
        address = proxy.url.replace("http://", f"http://me:{SECRET}@")
        llm = CHAT(
            model="m",
            host="http://workspace.example",
            allow_http=True,
            token="t",
            callbacks=[Everything()],
            **{name: address},
        )
        assert call(llm, "hi").text == "ok"
    (request,) = proxy.requests
    assert request.headers["host"] == "workspace.example"
    assert "proxy-authorization" in request.headers
    assert SECRET not in repr(llm) + dumps(llm) + llm.model_dump_json() + "".join(seen)


@four_ways
def test_a_given_proxy_goes_before_those_of_the_environment(call: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://other.invalid:1")
    monkeypatch.setenv("NO_PROXY", "*")
    with ScriptedServer(_answer) as proxy:
        llm = CHAT(model="m", host="http://workspace.example", allow_http=True, token="t", proxy=proxy.url)
        assert call(llm, "hi").text == "ok"
    assert len(proxy.requests) == 1


@four_ways
def test_a_dead_proxy_is_named_by_its_setting(call: Way) -> None:
    llm = CHAT(
        model="m",
        host="https://adb-1.azuredatabricks.net",
        token="t",
        max_retries=0,
        proxy=f"http://me:{SECRET}@127.0.0.1:9",
    )
    with pytest.raises(DatabricksConnectionError, match=r"The proxy 127\.0\.0\.1:9 \(proxy=\.\.\.\)") as caught:
        call(llm, "hi")
    assert SECRET not in repr(caught.value) + str(caught.value)


@four_ways
def test_a_proxy_that_cannot_be_read_is_named(call: Way) -> None:
    llm = CHAT(model="m", host="https://adb-1.azuredatabricks.net", token="t", proxy=f"ftp://me:{SECRET}@proxy:1")
    with pytest.raises(ConfigurationError, match=r"\(proxy=\.\.\.\) has an address that cannot be read") as caught:
        call(llm, "hi")
    assert SECRET not in repr(caught.value) + str(caught.value)


def test_token_requests_go_through_the_proxy_too() -> None:
    def both(request: Received) -> Scripted:
        if request.path.endswith("/oidc/v1/token"):
            return Scripted({"access_token": "made", "token_type": "Bearer", "expires_in": 3600})
        return _answer(request)

    with ScriptedServer(both) as proxy:
        llm = CHAT(
            model="m",
            host="http://workspace.example",
            allow_http=True,
            client_id="i",
            client_secret="s",
            proxy=proxy.url,
        )
        assert llm.invoke("hi").text == "ok"
    assert [request.headers["host"] for request in proxy.requests] == ["workspace.example"] * 2
    assert proxy.requests[1].headers["authorization"] == "Bearer made"


# Settings that are expressed in another way here.

INSTEAD = [
    ({"system_prompt": "Be terse."}, r"\('system', \.\.\.\)"),
    ({"params": {"temperature": 0}}, "temperature=.*log_probs is logprobs"),
    ({"echo": "all"}, r"Print what llm\.stream"),
    ({"organization": "org"}, "default_headers=.*OpenAI-Organization"),
    ({"openai_organization": "org"}, "default_headers=.*OpenAI-Organization"),
    ({"disabled_params": {"n": None}}, "extra_body="),
    ({"stream_chunk_timeout": 3.0}, r"timeout=Timeouts\(idle="),
    ({"http_socket_options": []}, "http_client="),
    ({"use_previous_response_id": True}, "whole conversation"),
    ({"custom_llm_provider": "bedrock"}, "base_url="),
    ({"base_model": "claude"}, "family="),
    ({"model_list": [{}]}, "from_litellm_config"),
    ({"api_version": "2024"}, "default_query="),
]


@pytest.mark.parametrize(("setting", "says"), INSTEAD, ids=lambda value: str(value)[:24])
def test_what_has_no_meaning_here_says_what_to_do(setting: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CHAT(model="m", **setting)
    with ScriptedServer(_answer) as server:
        with pytest.raises(ValueError, match=says):
            _llm(server, model="m").invoke("hi", **setting)
    assert not server.requests
    CHAT(model="m", **dict.fromkeys(setting))  # None has no effect


def test_litellms_drop_params_is_the_opposite_of_strict_params() -> None:
    assert CHAT(model="m", drop_params=False).strict_params is True
    assert CHAT(model="m", drop_params=True).strict_params is False


# Embeddings.


@pytest.mark.parametrize("is_async", [False, True])
def test_the_names_of_openai_embeddings(is_async: bool) -> None:
    with ScriptedServer(_answer) as server:
        embeddings = EMBEDDINGS(
            model="e",
            openai_api_key=SECRET,
            openai_api_base=f"{server.url}/v1",
            chunk_size=1000,
            model_kwargs={"user": "u"},
            check_embedding_ctx_length=False,
            tiktoken_enabled=True,
            show_progress_bar=False,
            skip_empty=False,
            headers={"x-team": "a"},
            request_timeout=5,
        )
        assert embeddings.batch_size == 150
        rows = asyncio.run(embeddings.aembed_documents(["a"])) if is_async else embeddings.embed_documents(["a"])
    assert rows == [[1.0, 0.0]]
    (request,) = server.requests
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["x-team"] == "a"
    assert request.json == {"model": "e", "input": ["a"], "user": "u"}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"skip_empty": True}, "Leave empty texts out"),
        ({"retry_max_seconds": 20}, "retry_deadline="),
        ({"deployment": "e"}, "model="),
        ({"query_input_type": "query"}, "query_params="),
        ({"document_input_type": "document"}, "documents_params="),
        ({"openai_api_type": "azure"}, "base_url="),
        ({"use_responses_api": True}, "has no field 'use_responses_api'"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_has_no_meaning_for_embeddings_says_what_to_do(setting: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        EMBEDDINGS(model="e", **setting)


def _embed(embeddings: Any, is_async: bool, texts: list[str], *args: Any, **settings: Any) -> Any:
    if is_async:
        return asyncio.run(embeddings.aembed_documents(texts, *args, **settings))
    return embeddings.embed_documents(texts, *args, **settings)


@pytest.mark.parametrize("is_async", [False, True])
def test_settings_of_one_embedding_call(is_async: bool) -> None:
    with ScriptedServer(_answer) as server:
        embeddings = EMBEDDINGS(model="e", host=server.url, token="of-the-app", extra_body={"a": 1})
        _embed(embeddings, is_async, ["a", "b", "c"], 1, max_concurrency=1)
        _embed(embeddings, is_async, ["a", "b", "c"], chunk_size=2, max_concurrency=1)
        _embed(
            embeddings,
            is_async,
            ["a"],
            token=SECRET,
            extra_headers={"x-team": "a"},
            extra_query={"trace": "yes"},
            extra_body={"b": 2},
            input_type="document",
            timeout=(3, 5),
        )
        _embed(embeddings, is_async, ["a"])
    assert [len(request.json["input"]) for request in server.requests[:5]] == [1, 1, 1, 2, 1]
    special, plain = server.requests[5:]
    assert special.headers["authorization"] == f"Bearer {SECRET}"
    assert special.headers["x-team"] == "a"
    assert special.query == {"trace": ["yes"]}
    assert special.json == {"input": ["a"], "a": 1, "b": 2, "input_type": "document"}
    assert plain.json == {"input": ["a"], "a": 1}
    assert plain.headers["authorization"] == "Bearer of-the-app"
    assert embeddings.usage.texts == 8
    assert (embeddings.batch_size, embeddings.query_params) == (100, {})


@pytest.mark.parametrize("is_async", [False, True])
def test_settings_of_one_query(is_async: bool) -> None:
    with ScriptedServer(_answer) as server:
        embeddings = EMBEDDINGS(model="qwen3-embedding", host=server.url, token="t", query_params={"a": 1})
        settings = {"query_instruction": "Find.", "input_type": "query"}
        if is_async:
            asyncio.run(embeddings.aembed_query("x", **settings))
        else:
            embeddings.embed_query("x", **settings)
    assert server.requests[0].json == {"input": ["x"], "instruction": "Find.", "a": 1, "input_type": "query"}


def test_settings_of_a_call_for_the_other_results() -> None:
    pytest.importorskip("numpy")
    with ScriptedServer(_answer) as server:
        embeddings = EMBEDDINGS(model="e", host=server.url, token="t")
        embeddings.embed_array(["x"], input_type="document")
        embeddings.embed_documents_or_none(["x"], input_type="document")
        asyncio.run(embeddings.aembed_array(["x"], input_type="document"))
        asyncio.run(embeddings.aembed_documents_or_none(["x"], input_type="document"))
    assert [request.json["input_type"] for request in server.requests] == ["document"] * 4


def test_an_embedding_call_shares_the_connection_unless_it_changes_it() -> None:
    def both(request: Received) -> Scripted:
        if request.path.endswith("/oidc/v1/token"):
            return Scripted({"access_token": "made", "token_type": "Bearer", "expires_in": 3600})
        return _answer(request)

    with ScriptedServer(both) as server:
        embeddings = EMBEDDINGS(model="e", host=server.url, client_id="i", client_secret="s")
        for _ in range(3):
            embeddings.embed_query("x", input_type="query")
    assert [request.path.rpartition("/")[2] for request in server.requests] == ["token", *["invocations"] * 3]


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"chunk_size": 0}, ValidationError, "batch_size"),
        ({"batchsize": 5}, ValueError, "Did you mean 'batch_size'"),
        ({"host": "https://other.example"}, ValueError, "cannot be given for one call"),
        ({"openai_api_base": "https://other.example"}, ValueError, "cannot be given for one call"),
        ({"token": None}, ConfigurationError, "None was given"),
        ({"anthropic_api_key": SECRET}, ValueError, "looks like a secret"),
    ],
    ids=str,
)
def test_bad_settings_of_an_embedding_call_raise_before_anything_is_sent(
    settings: dict[str, Any], error: type[Exception], says: str
) -> None:
    with ScriptedServer(_answer) as server:
        embeddings = EMBEDDINGS(model="e", host=server.url, token="t")
        for is_async in (False, True):
            with pytest.raises(error, match=says) as caught:
                _embed(embeddings, is_async, ["x"], **settings)
            assert SECRET not in str(caught.value)
    assert not server.requests


def test_the_callers_mappings_are_not_changed() -> None:
    given = {"extra_headers": {"x-a": "1"}, "extra_body": {"a": 1}}
    kept = json.dumps(given)
    with ScriptedServer(_answer) as server:
        EMBEDDINGS(model="e", host=server.url, token="t", query_params=given["extra_body"]).embed_query("x", **given)
        CHAT(model="m", host=server.url, token="t", model_kwargs=given, reasoning={"effort": "low"}).invoke("hi")
    assert json.dumps(given) == kept
