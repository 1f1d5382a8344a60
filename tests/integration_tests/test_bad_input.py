"""Each thing a newcomer gets wrong gives one error that says what to do, soon, and never shows a secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as core
from langchain_core.messages import HumanMessage

from kit.scripted import Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksNotFoundError,
    MalformedResponseError,
)
from langchain_dbchat.local import LocalWorkspace

SECRET = "dapi0123456789abcdef0123456789abcdef"
Model = ChatDatabricksCompat | DatabricksEmbeddings


def _chat(**settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(**{"model": "databricks-claude-sonnet-4-6", "timeout": 5, **settings})


def _invoke(llm: ChatDatabricksCompat) -> object:
    return llm.invoke("Hello!")


def _stream(llm: ChatDatabricksCompat) -> object:
    return list(llm.stream("Hello!"))


def _ainvoke(llm: ChatDatabricksCompat) -> object:
    return asyncio.run(llm.ainvoke("Hello!"))


def _astream(llm: ChatDatabricksCompat) -> object:
    async def collect() -> list[object]:
        return [chunk async for chunk in llm.astream("Hello!")]

    return asyncio.run(collect())


Way = Callable[[ChatDatabricksCompat], object]
four_ways = pytest.mark.parametrize("call", [_invoke, _ainvoke, _stream, _astream])


def _error(call: Way, llm: ChatDatabricksCompat, kind: type[DatabricksError]) -> DatabricksError:
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        call(llm)
    assert time.monotonic() - began < 10
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__dict__}"
    return caught.value


@four_ways
def test_no_host(call: Way) -> None:
    error = _error(call, _chat(token=SECRET), ConfigurationError)
    assert "DATABRICKS_HOST" in str(error)


@four_ways
def test_no_token(call: Way, workspace: LocalWorkspace) -> None:
    error = _error(call, _chat(host=workspace.host), ConfigurationError)
    assert "DATABRICKS_TOKEN" in str(error)


@four_ways
def test_a_wrong_token(call: Way, workspace: LocalWorkspace) -> None:
    error = _error(call, _chat(host=workspace.host, token=SECRET), DatabricksAuthenticationError)
    assert isinstance(error, core.ModelAuthenticationError)
    assert error.status_code == 401
    assert "token argument" in str(error)


@four_ways
def test_an_unknown_endpoint(call: Way, workspace: LocalWorkspace) -> None:
    llm = _chat(model="no-such-endpoint", host=workspace.host, token=workspace.token)
    error = _error(call, llm, DatabricksNotFoundError)
    assert isinstance(error, core.ModelNotFoundError)
    assert error.error_code == "ENDPOINT_NOT_FOUND"
    assert "no-such-endpoint" in str(error)
    assert error.request_id


@pytest.mark.parametrize(
    "host", ["not a url", "ftp://workspace.example", "https://accounts.cloud.databricks.com", SECRET]
)
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _chat(host=host, token="dapi0").invoke("Hello!")
    assert SECRET not in str(caught.value)


@four_ways
def test_an_unreachable_host(call: Way) -> None:
    error = _error(call, _chat(host="http://127.0.0.1:9", token=SECRET, max_retries=1), DatabricksConnectionError)
    assert isinstance(error, core.ModelConnectionError)
    assert "127.0.0.1:9" in str(error)


@four_ways
def test_html_with_status_200(call: Way) -> None:
    page = b"<!doctype html><html><title>Sign in to Databricks</title></html>"
    with ScriptedServer(lambda _: Scripted(headers={"content-type": "text/html"}, body=page)) as server:
        error = _error(call, _chat(host=server.url, token=SECRET), MalformedResponseError)
    assert "a web page" in str(error)
    assert "DATABRICKS_HOST" in str(error)
    assert len(server.requests) == 1


@four_ways
def test_json_that_is_no_chat_completion(call: Way) -> None:
    reply = Scripted(headers={"content-type": "application/json"}, body=b'{"predictions": [1]}')
    with ScriptedServer(lambda _: reply) as server:
        error = _error(call, _chat(host=server.url, token=SECRET), DatabricksError)
    assert "ended before" in str(error) or "predictions" in str(error)


@four_ways
def test_a_secret_in_the_servers_words_is_masked(call: Way) -> None:
    words = f'{{"error_code": "PERMISSION_DENIED", "message": "token {SECRET} may not"}}'.encode()
    reply = Scripted(status=403, headers={"content-type": "application/json"}, body=words)
    with ScriptedServer(lambda _: reply) as server:
        error = _error(call, _chat(host=server.url, token=SECRET), DatabricksError)
    assert "may not" in str(error)


@four_ways
def test_a_client_that_was_closed_is_named(call: Way) -> None:
    client, async_client = httpx.Client(), httpx.AsyncClient()
    client.close()
    asyncio.run(async_client.aclose())
    with ScriptedServer(Scripted({})) as server:
        llm = _chat(host=server.url, token="t", http_client=client, http_async_client=async_client)
        with pytest.raises(ConfigurationError, match=r"http_(async_)?client= is closed"):
            call(llm)
        assert server.requests == []


@pytest.mark.parametrize("name", ["http_client", "http_async_client"])
def test_what_is_no_client_is_refused(name: str) -> None:
    other = httpx.AsyncClient() if name == "http_client" else httpx.Client()
    clients: list[Any] = [object(), True, "x", {}, httpx.Client, httpx.HTTPTransport(), other]
    for client in clients:
        wrong: dict[str, Any] = {name: client}
        for model in (ChatDatabricksCompat, DatabricksEmbeddings):
            with pytest.raises(ValueError, match=f"{name} is .* but it has to be an httpx"):
                model(model="e", host="https://h.example", token="t", **wrong)
        copy = _chat(host="https://h.example", token="t").model_copy(update=wrong)
        with pytest.raises(ConfigurationError, match=f"{name} is .* but it has to be an httpx"):
            copy.invoke("Hi")


def test_embeddings_fail_alike(workspace: LocalWorkspace) -> None:
    embeddings = DatabricksEmbeddings(model="no-such-endpoint", host=workspace.host, token=workspace.token)
    with pytest.raises(DatabricksNotFoundError, match="no-such-endpoint"):
        embeddings.embed_query("x")
    with pytest.raises(TypeError, match="Text 1 is a int"):
        embeddings.embed_documents(["a", 1])  # type: ignore[list-item]  # the mistake under test
    chat = DatabricksEmbeddings(model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token)
    with pytest.raises(DatabricksError):
        chat.embed_query("x")


def test_n_answers_cannot_be_streamed(workspace: LocalWorkspace) -> None:
    llm = _chat(model="databricks-gpt-5-2", host=workspace.host, token=workspace.token, n=2)
    with pytest.raises(ValueError, match="n=2 answers cannot be streamed"):
        list(llm.stream("Hello!"))
    assert len(llm.generate([[HumanMessage("Hello!")]]).generations[0]) == 2
