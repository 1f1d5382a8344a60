"""The AI gateway: which URL is called, what happens where there is none, and labels of requests."""

from __future__ import annotations

import asyncio
import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksInvalidRequestError,
    DatabricksNotFoundError,
)
from langchain_dbchat.local import LocalWorkspace

if TYPE_CHECKING:
    from collections.abc import Callable

GATEWAY = "/ai-gateway/mlflow/v1/chat/completions"
TAGS = "databricks-ai-gateway-request-tags"
NOT_FOUND = {
    "error_code": "ENDPOINT_NOT_FOUND",
    "message": "The given endpoint does not exist, please retry after checking the specified model and version.",
}


def answer(request: Received) -> Scripted:
    """Answer a chat completion or an embedding request."""
    if request.path.endswith("/embeddings") or "input" in request.json:
        return Scripted({"data": [{"index": 0, "embedding": [1.0, 0.0]}], "usage": {"prompt_tokens": 1}})
    if request.json.get("stream"):
        delta = {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}]}
        return Scripted(sse(delta))
    return Scripted({"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]})


def without_gateway(refusal: Scripted) -> Callable[[Received], Scripted]:
    """Serve a workspace whose gateway answers with a refusal."""
    return lambda request: refusal if request.path.startswith("/ai-gateway") else answer(request)


def chat(server: ScriptedServer, model: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model=model, host=server.url, token="dapi0", max_retries=0, **settings)


@four_ways
@pytest.mark.parametrize("model", ["system.ai.claude-sonnet-4-6", "main.models.my_service"])
def test_a_service_is_called_at_the_gateway(call: Way, model: str) -> None:
    with ScriptedServer(answer) as server:
        assert call(chat(server, model), "Hi").text == "Hello"
    assert [(request.path, request.json["model"]) for request in server.requests] == [(GATEWAY, model)]


@four_ways
def test_an_endpoint_is_called_at_the_gateway_if_the_user_asks_for_it(call: Way) -> None:
    with ScriptedServer(answer) as server:
        call(chat(server, "databricks-gpt-5-2", use_ai_gateway=True), "Hi")
        call(chat(server, "databricks-gpt-5-2", use_ai_gateway_native_api=True), "Hi")
        call(chat(server, "databricks-gpt-5-2", use_ai_gateway=None, use_ai_gateway_native_api=False), "Hi")
    assert [request.path for request in server.requests] == [
        GATEWAY,
        "/ai-gateway/openai/v1/chat/completions",
        "/serving-endpoints/databricks-gpt-5-2/invocations",
    ]


@four_ways
@pytest.mark.parametrize(
    "refusal",
    [
        Scripted(NOT_FOUND, status=404),
        Scripted({"error_code": "NOT_IMPLEMENTED", "message": "no gateway"}, status=501),
        Scripted("<html><body>Not Found</body></html>", status=404),
        Scripted({"detail": "Method Not Allowed"}, status=405),
    ],
    ids=["404", "501", "page", "405"],
)
@pytest.mark.parametrize(
    ("model", "settings"),
    [("system.ai.claude-sonnet-4-6", {}), ("databricks-claude-sonnet-4-6", {"use_ai_gateway": True})],
    ids=["service", "endpoint"],
)
def test_a_workspace_without_a_gateway_answers_at_the_endpoint(
    call: Way, model: str, settings: dict[str, Any], refusal: Scripted
) -> None:
    with ScriptedServer(without_gateway(refusal)) as server:
        llm = chat(server, model, **settings)
        with pytest.warns(UserWarning, match="no AI gateway.*system.ai_gateway.usage"):
            assert call(llm, "Hi").text == "Hello"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert call(llm, "Hi").text == "Hello"
    endpoint = "/serving-endpoints/databricks-claude-sonnet-4-6/invocations"
    assert [request.path for request in server.requests] == [GATEWAY, endpoint, endpoint]
    assert "model" not in server.requests[1].json


@four_ways
def test_a_service_that_only_the_gateway_knows_is_not_looked_for_elsewhere(call: Way) -> None:
    with ScriptedServer(without_gateway(Scripted(NOT_FOUND, status=404))) as server:
        with pytest.raises(DatabricksNotFoundError):
            call(chat(server, "main.models.my_service"), "Hi")
    assert [request.path for request in server.requests] == [GATEWAY]


@four_ways
def test_a_refusal_of_the_gateway_is_final(call: Way) -> None:
    blocked = Scripted({"error_code": "BAD_REQUEST", "message": "temperature must be between 0 and 1"}, status=400)
    with ScriptedServer(without_gateway(blocked)) as server:
        with pytest.raises(DatabricksInvalidRequestError):
            call(chat(server, "system.ai.claude-sonnet-4-6", temperature=3), "Hi")
    assert [request.path for request in server.requests] == [GATEWAY]


@four_ways
def test_an_address_of_the_gateway_is_not_left(call: Way) -> None:
    with ScriptedServer(without_gateway(Scripted(NOT_FOUND, status=404))) as server:
        llm = ChatDatabricksCompat(
            model="databricks-claude-sonnet-4-6", host=f"{server.url}/ai-gateway", token="dapi0", max_retries=0
        )
        with pytest.raises(DatabricksNotFoundError):
            call(llm, "Hi")
    assert [request.path for request in server.requests] == [GATEWAY]


@four_ways
def test_labels_are_a_header_and_never_in_the_body(call: Way) -> None:
    with ScriptedServer(answer) as server:
        llm = chat(server, "system.ai.gpt-5-2", request_tags={"team": "Zürich", "line": "a\nb"})
        call(llm, "Hi")
        call(llm.bind(request_tags={"team": "b"}), "Hi")
        call(llm.bind(request_tags=None), "Hi")
    assert [json.loads(request.headers.get(TAGS, "null")) for request in server.requests] == [
        {"team": "Zürich", "line": "a\nb"},
        {"team": "b"},
        {"team": "Zürich", "line": "a\nb"},
    ]
    assert all(set(request.json) <= {"model", "messages", "stream", "stream_options"} for request in server.requests)


def test_labels_have_to_be_text() -> None:
    with ScriptedServer(answer) as server:
        with pytest.raises(ConfigurationError, match="request_tags.*'team'.*string"):
            chat(server, "system.ai.gpt-5-2").invoke("Hi", request_tags={"team": 1})
    assert not server.requests


@four_ways
def test_labels_of_an_endpoint_are_in_the_body(call: Way) -> None:
    with ScriptedServer(answer) as server:
        call(chat(server, "my-endpoint", usage_context={"project": "x"}), "Hi")
    assert server.requests[0].json["usage_context"] == {"project": "x"}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_embeddings_fall_back_too(is_async: bool) -> None:
    def embed(model: DatabricksEmbeddings) -> list[float]:
        return asyncio.run(model.aembed_query("text")) if is_async else model.embed_query("text")

    with ScriptedServer(without_gateway(Scripted(NOT_FOUND, status=501))) as server:
        model = DatabricksEmbeddings(
            model="databricks-bge-large-en", host=server.url, token="dapi0", use_ai_gateway=True, max_retries=0
        )
        assert embed(model) == embed(model) == [1.0, 0.0]
    endpoint = "/serving-endpoints/databricks-bge-large-en/invocations"
    assert [request.path for request in server.requests] == ["/ai-gateway/mlflow/v1/embeddings", endpoint, endpoint]


@four_ways
def test_a_local_workspace_without_the_gateway(call: Way) -> None:
    with LocalWorkspace(gateway=False) as own:
        connection: dict[str, Any] = {"host": own.host, "token": own.token, "max_retries": 0}
        for model, by_gateway in (("system.ai.glm-5-2", None), ("databricks-gpt-5-2", True)):
            llm = ChatDatabricksCompat(model=model, use_ai_gateway=by_gateway, **connection)
            with pytest.warns(UserWarning, match="no AI gateway"):
                assert call(llm, "Say: hello").text == "hello"
            assert [request.path.split("/")[1] for request in own.requests] == ["ai-gateway", "serving-endpoints"]
            own.reset()
        with pytest.raises(DatabricksNotFoundError):
            call(ChatDatabricksCompat(model="main.models.mine", **connection), "Hi")
