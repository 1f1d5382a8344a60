"""`list_endpoints` tells what the user can query, with one request where one is enough, sync and async."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricks, alist_endpoints, list_endpoints
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksPermissionDeniedError,
    MalformedResponseError,
)
from langchain_dbchat.local import LocalWorkspace


def _list(is_async: bool, **connection: Any) -> Any:
    return asyncio.run(alist_endpoints(**connection)) if is_async else list_endpoints(**connection)


both_ways = pytest.mark.parametrize("is_async", [False, True])


@both_ways
def test_the_local_workspace_is_listed(is_async: bool, workspace: LocalWorkspace) -> None:
    found = {each.name: each for each in _list(is_async, host=workspace.host, token=workspace.token)}
    claude = found["databricks-claude-sonnet-4-6"]
    assert (claude.task, claude.is_ready) == ("llm/v1/chat", True)
    assert {"chat", "messages"} <= set(claude.wires)
    assert claude.profile is not None
    assert claude.profile["tool_calling"] is True
    assert found["databricks-gte-large-en"].task == "llm/v1/embeddings"
    assert found["databricks-gte-large-en"].wires == ()
    assert found["databricks-gte-large-en"].family == "gte-large-en"
    llm = ChatDatabricks(model=claude.name, family=claude.family, host=workspace.host, token=workspace.token)
    assert llm.invoke("Say: hello").text == "hello"


def _entry(name: str, entity: dict[str, Any], task: str = "llm/v1/chat", **more: Any) -> dict[str, Any]:
    return {"name": name, "task": task, "config": {"served_entities": [entity]}, **more}


CLAUDE = "system.ai.claude-sonnet-4-6"
PAGES: dict[str, dict[str, Any]] = {
    "": {
        "endpoints": [
            _entry(
                "support", {"foundation_model": {"name": "system.ai.claude-sonnet-4-6"}}, state={"ready": "NOT_READY"}
            ),
            _entry("ours", {"external_model": {"name": "gpt-5.2", "provider": "openai"}}),
        ],
        "next_page_token": "a/b",
    },
    "a/b": {"endpoints": [_entry("agent", {"entity_name": "main.agents.helper"}, "agent/v1/responses"), {"name": "x"}]},
}


@both_ways
def test_pages_custom_names_and_agents(is_async: bool) -> None:
    def answer(request: Received) -> Scripted:
        return Scripted(PAGES[request.query.get("page_token", [""])[0]])

    with ScriptedServer(answer) as server:
        found = _list(is_async, host=server.url, token="t", default_headers={"x-team": "a"})
    assert [request.path for request in server.requests] == ["/api/2.0/serving-endpoints"] * 2
    assert all(request.method == "GET" and request.headers["x-team"] == "a" for request in server.requests)
    assert all(request.headers["authorization"] == "Bearer t" for request in server.requests)
    support, ours, agent, unknown = found
    assert support.family.startswith("claude")
    assert support.is_ready is False
    assert support.profile is not None
    assert support.profile["max_input_tokens"] > 0
    assert ours.family.startswith("gpt-5")
    assert ours.wires
    assert (agent.task, agent.wires) == ("agent/v1/responses", ("responses",))
    assert (unknown.name, unknown.task, unknown.is_ready) == ("x", "", None)


@both_ways
def test_one_request_where_one_is_enough_and_a_page_that_repeats_ends(is_async: bool) -> None:
    with ScriptedServer(lambda _: Scripted({"endpoints": [], "next_page_token": "same"})) as server:
        assert _list(is_async, host=server.url, token="t") == []
        assert len(server.requests) == 2
    with ScriptedServer(lambda _: Scripted({})) as server:
        assert _list(is_async, host=server.url, token="t") == []
        assert len(server.requests) == 1


@both_ways
@pytest.mark.parametrize("token", [["a"], {"a": 1}, 7, True, 1.5])
def test_a_page_token_that_is_not_text(token: Any, is_async: bool) -> None:
    with ScriptedServer(lambda _: Scripted({"endpoints": [], "next_page_token": token})) as server:
        assert _list(is_async, host=server.url, token="t") == []
        assert [request.query.get("page_token") for request in server.requests] == [None, [str(token)]]


@both_ways
def test_a_service_principal_signs_in(is_async: bool) -> None:
    def answer(request: Received) -> Scripted:
        if request.path == "/oidc/v1/token":
            return Scripted({"access_token": "made", "token_type": "Bearer", "expires_in": 3600})
        return Scripted({"endpoints": []})

    with ScriptedServer(answer) as server:
        assert _list(is_async, host=server.url, client_id="i", client_secret="s") == []
    assert server.requests[-1].headers["authorization"] == "Bearer made"


@both_ways
def test_another_server_lists_its_models(is_async: bool) -> None:
    with ScriptedServer(lambda _: Scripted({"data": [{"id": "gpt-4o"}, {"id": "claude"}]})) as server:
        found = _list(is_async, base_url=f"{server.url}/v1", token="sk-1")
    assert [each.name for each in found] == ["gpt-4o", "claude"]
    assert server.requests[0].path == "/v1/models"
    assert found[0].wires == ("chat",)


@both_ways
def test_refusals_and_nonsense_are_errors_with_words(is_async: bool) -> None:
    refusal = Scripted({"error_code": "PERMISSION_DENIED", "message": "User does not have access."}, 403)
    with ScriptedServer(lambda _: refusal) as server:
        with pytest.raises(DatabricksPermissionDeniedError, match="does not have access"):
            _list(is_async, host=server.url, token="t")
    for body in (b"[]", b"nonsense", b'{"endpoints": 5}'):
        with ScriptedServer(lambda _, body=body: Scripted(body)) as server:
            with pytest.raises(MalformedResponseError, match="list of endpoints is not"):
                _list(is_async, host=server.url, token="t")
    with pytest.raises(ConfigurationError, match="is an app"):
        _list(is_async, host="https://a-1.aws.databricksapps.com", token="t")
    with pytest.raises(ConfigurationError):
        _list(is_async, token="t")


SERVICES = [
    {"name": "model-services/system.ai.claude-sonnet-4-6", "supported_api_types": ["anthropic/v1/messages"]},
    {"name": "model-services/system.ai.qwen3-embedding-0-6b", "supported_api_types": ["mlflow/v1/embeddings"]},
    {"name": "model-services/system.ai.gpt-5-2"},
    {"name": "model-services/system.ai.of-a-new-maker", "supported_api_types": "nonsense"},
]


@both_ways
def test_the_gateways_model_services_are_listed_if_the_caller_asks_for_them(is_async: bool) -> None:
    def answer(request: Received) -> Scripted:
        if request.path == "/api/2.0/serving-endpoints":
            return Scripted({"endpoints": [{"name": "mine"}]})
        assert request.query["parent"] == ["schemas/system.ai"]
        is_first = "page_token" not in request.query
        page = (
            {"model_services": SERVICES[:2], "next_page_token": "2&"} if is_first else {"model_services": SERVICES[2:]}
        )
        return Scripted(page)

    with ScriptedServer(answer) as server:
        found = _list(is_async, host=server.url, token="t", model_services=True)
        services = [request for request in server.requests if request.path.endswith("/model-services")]
        assert [request.query.get("page_token") for request in services] == [None, ["2&"]]
        assert len(_list(is_async, host=server.url, token="t")) == 1
    mine, claude, qwen, gpt, other = found
    assert mine.name == "mine"
    assert (claude.name, claude.task, claude.wires) == ("system.ai.claude-sonnet-4-6", "llm/v1/chat", ("messages",))
    assert claude.profile is not None
    assert (qwen.task, qwen.family, qwen.wires) == ("llm/v1/embeddings", "qwen3-embedding-0-6b", ())
    assert gpt.wires[0] == "chat"
    assert (other.family, other.wires) == ("generic", ("chat",))


@both_ways
@pytest.mark.parametrize("status", [404, 501])
def test_a_workspace_without_the_gateway_lists_its_endpoints(is_async: bool, status: int) -> None:
    def answer(request: Received) -> Scripted:
        is_endpoints = request.path == "/api/2.0/serving-endpoints"
        return Scripted({"endpoints": [{"name": "mine"}]}) if is_endpoints else Scripted({"error_code": "X"}, status)

    with ScriptedServer(answer) as server:
        found = _list(is_async, host=server.url, token="t", model_services=True, max_retries=0)
    assert [each.name for each in found] == ["mine"]


@both_ways
def test_a_refusal_of_the_list_of_services_is_an_error(is_async: bool) -> None:
    def answer(request: Received) -> Scripted:
        is_endpoints = request.path == "/api/2.0/serving-endpoints"
        refusal = Scripted({"error_code": "PERMISSION_DENIED", "message": "User does not have USE SCHEMA."}, 403)
        return Scripted({"endpoints": []}) if is_endpoints else refusal

    with ScriptedServer(answer) as server:
        with pytest.raises(DatabricksPermissionDeniedError, match="USE SCHEMA"):
            _list(is_async, host=server.url, token="t", model_services=True)


@both_ways
@pytest.mark.parametrize("gateway", [True, False])
def test_the_services_of_the_local_workspace(is_async: bool, gateway: bool) -> None:
    with LocalWorkspace(gateway=gateway) as own:
        found = {
            each.name: each
            for each in _list(is_async, host=own.host, token=own.token, model_services=True)
            if each.name.startswith("system.ai.")
        }
    assert len(found) > 50 if gateway else not found
    if gateway:
        assert found["system.ai.claude-opus-5-5"].wires == ("messages",)
        assert found["system.ai.gpt-5-5-pro"].wires == ("responses",)
