"""A LiteLLM proxy's configuration makes models that call what the proxy would call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableWithFallbacks

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricks, DatabricksEmbeddings, Timeouts, from_litellm_config
from langchain_dbchat.errors import ConfigurationError

SECRET = "sk-of-the-file-9c1"


def _answer(request: Received) -> Scripted:
    if request.path.startswith("/serving-endpoints/broken"):
        return Scripted({"error_code": "INTERNAL_ERROR", "message": "no"}, 500)
    if "messages" not in request.json:
        return Scripted({"data": [{"index": 0, "embedding": [1.0]}]})
    if request.json.get("stream"):
        return Scripted(sse({"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}))
    return Scripted({"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]})


FILE = """
model_list:
  - model_name: claude
    litellm_params:
      model: databricks/my-claude
      api_key: os.environ/MY_KEY
      api_base: os.environ/MY_BASE
      temperature: 0.2
      max_tokens: 100
      rpm: 60
      tags: [a]
      extra_headers: {x-team: a}
      custom_field: 7
      stream_timeout: 20
    model_info: {mode: chat}
  - model_name: safe
    litellm_params: {model: databricks/broken, api_key: k, api_base: os.environ/MY_BASE}
  - model_name: safe
    litellm_params: {model: databricks/whole, api_key: k, api_base: os.environ/MY_BASE}
  - model_name: words
    litellm_params:
      model: databricks/databricks-bge-large-en
      api_key: os.environ/MY_KEY
      api_base: os.environ/MY_BASE
      instruction: "Find."
  - model_name: proxied
    litellm_params: {model: litellm_proxy/gpt, api_key: sk-1, api_base: os.environ/MY_BASE}
  - model_name: elsewhere
    litellm_params: {model: bedrock/claude}
litellm_settings: {drop_params: true, num_retries: 0, request_timeout: 30}
general_settings: {master_key: sk-9}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MY_KEY", SECRET)
    path = tmp_path / "config.yaml"
    path.write_text(FILE, "utf-8")
    return path


@four_ways
def test_a_chat_deployment(call: Way, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(_answer) as server:
        monkeypatch.setenv("MY_BASE", f"{server.url}/serving-endpoints")
        llm = from_litellm_config(file, "claude")
        assert isinstance(llm, ChatDatabricks)
        assert (llm.max_retries, llm.strict_params) == (0, False)
        assert llm.timeout == Timeouts(10, 30, 30, 30, 20)
        assert call(llm, "hi").text == "ok"
    (request,) = server.requests
    assert request.path == "/serving-endpoints/my-claude/invocations"
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["x-team"] == "a"
    body = request.json
    assert (body["temperature"], body["max_tokens"], body["custom_field"]) == (0.2, 100, 7)
    assert not {"rpm", "tags", "model_info", "api_key", "drop_params"} & body.keys()


@four_ways
def test_several_deployments_of_a_name_are_fallbacks(call: Way, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(_answer) as server:
        monkeypatch.setenv("MY_BASE", server.url)
        llm = from_litellm_config(str(file), "safe")
        assert isinstance(llm, RunnableWithFallbacks)
        assert call(llm, "hi").text == "ok"
    assert [request.path.split("/")[2] for request in server.requests] == ["broken", "whole"]


def test_embeddings(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(_answer) as server:
        monkeypatch.setenv("MY_BASE", server.url)
        embeddings = from_litellm_config(file, "words")
        assert isinstance(embeddings, DatabricksEmbeddings)
        assert embeddings.embed_query("x") == [1.0]
    assert server.requests[0].json == {"input": ["x"], "instruction": "Find."}


def test_an_openai_compatible_server(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(_answer) as server:
        monkeypatch.setenv("MY_BASE", server.url)
        assert from_litellm_config(file, "proxied").invoke("hi").text == "ok"
    assert (server.requests[0].path, server.requests[0].json["model"]) == ("/chat/completions", "gpt")


def _one(**params: Any) -> dict[str, Any]:
    return {"model_list": [{"model_name": "a", "litellm_params": {"model": "databricks/m", "api_key": "k", **params}}]}


def test_credentials_fallbacks_and_variables_of_the_file() -> None:
    config = _one(litellm_credential_name="c")
    del config["model_list"][0]["litellm_params"]["api_key"]
    config["credential_list"] = [
        {"credential_name": "c", "credential_values": {"api_key": "os.environ/INSIDE", "api_base": "https://w.example"}}
    ]
    config["environment_variables"] = {"INSIDE": SECRET}
    llm = from_litellm_config(config)
    assert (llm.host, llm.token.get_secret_value()) == ("https://w.example", SECRET)
    config["model_list"].append({"model_name": "b", "litellm_params": {"model": "databricks/n", "api_key": "k"}})
    config["litellm_settings"] = {"fallbacks": [{"a": ["b"]}]}
    both = from_litellm_config(config, "a")
    assert [each.model for each in both.runnables] == ["m", "n"]


@pytest.mark.parametrize(
    ("config", "name", "says"),
    [
        (_one(api_base="os.environ/NOT_SET"), None, "variable NOT_SET, which is not set"),
        (_one(model="bedrock/claude"), None, "not a model of Databricks"),
        (_one(model="openai/gpt"), None, "needs api_base"),
        (_one(mock_response="x"), None, "mock_response of 'a' cannot be expressed"),
        (_one(litellm_credential_name="none"), None, "no credential_name 'none'"),
        (_one(), "b", r"no model_name 'b'. It has \['a'\]"),
        ({"model_list": [*_one()["model_list"], {"model_name": "b"}]}, None, r"2 names.*\['a', 'b'\]"),
        ({"model_list": []}, None, "no model_list"),
        ({**_one(), "include": ["x.yaml"]}, None, "includes other files"),
        ({**_one(), "litellm_settings": {"cache": True}}, None, "cache of the LiteLLM configuration"),
        ({"model_list": _one(model="databricks/databricks-bge-large-en")["model_list"] * 2}, None, "no fallbacks"),
        ({"model_list": [{"model_name": "a"}]}, None, "no litellm_params"),
        (_one(model="bedrock/claude", custom_llm_provider="bedrock"), None, "not a model of Databricks"),
        (_one(timeout="soon"), None, "timeout of the LiteLLM configuration is not a number"),
        (_one(guardrails=["pii"]), None, "guardrails of 'a' cannot be expressed"),
        (_one(cache_control_injection_points=[{"location": "message"}]), None, "prompt_caching"),
        ({"model_list": [{**_one()["model_list"][0], "model_name": "databricks/*"}]}, None, "stands for many models"),
        ({**_one(), "litellm_settings": {"fallbacks": [{"a": [{"model": "a", "stop": "x"}]}]}}, "a", "own.*'stop'"),
    ],
    ids=str,
)
def test_what_cannot_be_read_says_why(config: Any, name: str | None, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        from_litellm_config(config, name)


@pytest.mark.parametrize("text", ["a: [", "- a", f"key: '{SECRET}\n"])
def test_a_file_that_is_no_configuration(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        from_litellm_config(path)
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        from_litellm_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "text",
    [
        FILE.encode("utf-16"),
        FILE.encode() + b"# \xe9\n",
        b"model_list: 2024-13-45\n",
        b"a: " + b"[" * 3_000,
        f"model_list: [{{model_name: a, litellm_params: {{model: databricks/m, api_key: {SECRET}, 1: 2}}}}]".encode(),
    ],
    ids=["UTF-16", "Latin-1", "a date that is none", "deep", "a name that is a number"],
)
def test_a_file_with_what_no_configuration_has(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(text)
    with pytest.raises(ConfigurationError) as caught:
        from_litellm_config(path, "a")
    assert SECRET not in f"{caught.value!r}{caught.value.__cause__!r}"


def _entry(name: str, model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, "api_key": "k", **params}}


@pytest.mark.parametrize(
    ("pattern", "model", "name", "called"),
    [
        ("databricks/*", "databricks/*", "databricks/my-llama", "my-llama"),
        ("*", "databricks/*", "my-llama", "my-llama"),
        ("*", "databricks/*", "databricks/my-llama", "my-llama"),
        ("team-*", "databricks/databricks-*", "team-gpt-5-2", "databricks-gpt-5-2"),
        ("*-fast", "databricks/fixed", "any-fast", "fixed"),
    ],
)
def test_a_name_with_a_star_stands_for_many(pattern: str, model: str, name: str, called: str) -> None:
    config = {"model_list": [_entry("*", "databricks/never"), _entry(pattern, model), _entry("other", "databricks/o")]}
    config["model_list"] = config["model_list"][pattern == "*" :]
    assert from_litellm_config(config, name).model == called
    assert from_litellm_config(config, "other").model == "o"


@pytest.mark.parametrize("meant", ["b", {"model": "b", "hidden": True}])
def test_an_alias_means_another_name(meant: Any) -> None:
    config = {
        "model_list": [_entry("a", "databricks/m"), _entry("b", "databricks/n")],
        "router_settings": {"model_group_alias": {"gpt-4": meant}},
    }
    assert from_litellm_config(config, "gpt-4").model == "n"


@pytest.mark.parametrize("fallbacks", [["b"], "b", [{"model": "b"}], ["a", "b"], ["b", "b"], ["alias"]], ids=str)
@pytest.mark.parametrize("key", ["a", "*"])
def test_fallbacks_in_each_of_their_spellings(fallbacks: Any, key: str) -> None:
    config = {
        "model_list": [_entry("a", "databricks/m"), _entry("b", "databricks/n")],
        "router_settings": {"fallbacks": [{key: fallbacks}], "model_group_alias": {"alias": "b"}},
    }
    assert [each.model for each in from_litellm_config(config, "a").runnables] == ["m", "n"]


@four_ways
def test_what_a_proxy_keeps_for_itself_is_not_sent(call: Way) -> None:
    own = {
        "cache_read_input_token_cost": 0.1, "output_cost_per_token_batches": 1, "input_cost_per_audio_token": 1,
        "cache_creation_input_token_cost": 2, "default_api_key_rpm_limit": 3, "litellm_trace_id": "t", "blocked": False,
        "allowed_openai_params": ["tools"], "additional_drop_params": ["temperature"], "temperature": 0.5,
        "cache": False, "guardrails": [], "configurable_clientside_auth_params": ["api_base"], "order": 1,
    }  # fmt: skip
    with ScriptedServer(_answer) as server:
        llm = from_litellm_config({"model_list": [_entry("a", "databricks/m", api_base=server.url, **own)]})
        assert call(llm, "hi").text == "ok"
    assert server.requests[0].json.keys() - {"stream", "stream_options"} == {"messages"}


def test_numbers_and_provider_may_be_said_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECONDS", "30")
    monkeypatch.setenv("TIMES", "4")
    numbers = {"timeout": "os.environ/SECONDS", "max_retries": "os.environ/TIMES"}
    config: dict[str, Any] = {
        "model_list": [
            {**_entry("a", "m", custom_llm_provider="databricks", **numbers), "model_info": {"mode": "responses"}}
        ],
        "environment_variables": {"TIMES": "os.environ/SECONDS"},
    }
    llm = from_litellm_config(config)
    assert (llm.model, llm.timeout, llm.max_retries, llm.api) == ("m", 30, 30, "responses")
