"""A refused token is not sent a second time: only another token is worth another request."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import DatabricksAuthenticationError, DatabricksProviderAuthenticationError

UNKNOWN = Scripted({"error_code": 401, "message": "Credential was not sent or was of an unsupported type"}, 401)
EXPIRED = Scripted(b"Invalid Token", 403)
PROVIDER = Scripted(
    {
        "external_model_provider": "openai",
        "external_model_error": {"error": {"message": "x", "code": "invalid_api_key"}},
    },
    401,
)
WORDS = {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}


def _token(received: Received) -> str | None:
    return received.headers.get("authorization", "").removeprefix("Bearer ") or None


def _accepts(good: str) -> Callable[[Received], Scripted]:
    def reply(received: Received) -> Scripted:
        if _token(received) != good:
            return UNKNOWN
        return Scripted(sse(WORDS)) if received.json.get("stream") else Scripted(ANSWER)

    return reply


def _same() -> str:
    return "the-token"


async def _asame() -> str:
    return "the-token"


def _same_headers() -> Mapping[str, str]:
    return {"Authorization": "Bearer the-token", "X-User": "me"}


@four_ways
@pytest.mark.parametrize("refusal", [UNKNOWN, EXPIRED], ids=["401", "403 Invalid Token"])
@pytest.mark.parametrize(
    "token", ["the-token", _same, _asame, _same_headers], ids=["text", "callable", "coroutine", "headers"]
)
def test_the_same_token_is_not_sent_again(call: Way, token: Any, refusal: Scripted) -> None:
    with ScriptedServer(lambda _: refusal) as server:
        llm = ChatDatabricksCompat(model="e", host=server.url, token=token)
        with pytest.raises(DatabricksAuthenticationError) as caught:
            call(llm, "Hello!")
    assert len(server.requests) == 1
    assert any("gave the same token" in note for note in caught.value.__dict__["__notes__"])


@four_ways
def test_a_token_of_one_call_is_not_sent_again(call: Way) -> None:
    with ScriptedServer(lambda _: UNKNOWN) as server:
        llm = ChatDatabricksCompat(model="e", host=server.url, token="another")
        with pytest.raises(DatabricksAuthenticationError):
            call(llm.bind(token="of-this-call"), "Hello!")
    assert [_token(received) for received in server.requests] == ["of-this-call"]


@four_ways
def test_another_token_is_sent_once(call: Way) -> None:
    numbers = itertools.count(1)
    with ScriptedServer(_accepts("token-2")) as server:
        llm = ChatDatabricksCompat(model="e", host=server.url, token=lambda: f"token-{next(numbers)}")
        assert call(llm, "Hello!").text == "Hi."
        assert [_token(received) for received in server.requests] == ["token-1", "token-2"]
        with pytest.raises(DatabricksAuthenticationError):
            call(llm, "Hello!")
        assert [_token(received) for received in server.requests[2:]] == ["token-3", "token-4"]


@four_ways
def test_the_environment_is_looked_at_again(call: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "old")
    with ScriptedServer(_accepts("new")) as server:
        monkeypatch.setenv("DATABRICKS_HOST", server.url)
        llm = ChatDatabricksCompat(model="e")
        with pytest.raises(DatabricksAuthenticationError):
            call(llm, "Hello!")
        assert len(server.requests) == 1
        monkeypatch.setenv("DATABRICKS_TOKEN", "new")
        assert call(llm, "Hello!").text == "Hi."
        assert _token(server.requests[-1]) == "new"


@four_ways
def test_a_profile_has_one_token(call: Way, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ScriptedServer(lambda _: UNKNOWN) as server:
        file = tmp_path / "databrickscfg"
        file.write_text(f"[mine]\nhost = {server.url}\ntoken = of-the-profile\n", encoding="utf-8")
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(file))
        with pytest.raises(DatabricksAuthenticationError):
            call(ChatDatabricksCompat(model="e", profile="mine"), "Hello!")
    assert [_token(received) for received in server.requests] == ["of-the-profile"]


def test_embeddings_do_the_same() -> None:
    with ScriptedServer(lambda _: UNKNOWN) as server:
        embeddings = DatabricksEmbeddings(model="e", host=server.url, token="the-token")
        with pytest.raises(DatabricksAuthenticationError):
            embeddings.embed_query("x")
        with pytest.raises(DatabricksAuthenticationError):
            asyncio.run(embeddings.aembed_query("x"))
    assert len(server.requests) == 2


@four_ways
def test_a_providers_key_is_not_the_callers_token(call: Way) -> None:
    numbers = itertools.count(1)
    with ScriptedServer(lambda _: PROVIDER) as server:
        llm = ChatDatabricksCompat(model="e", host=server.url, token=lambda: f"token-{next(numbers)}")
        with pytest.raises(DatabricksProviderAuthenticationError, match="endpoint's owner"):
            call(llm, "Hello!")
    assert [_token(received) for received in server.requests] == ["token-1"]
    assert next(numbers) == 2
