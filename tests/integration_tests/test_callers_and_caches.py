"""Answers in a cache: never shared between callers or workspaces; where the caller is not known, nothing is cached."""

from __future__ import annotations

import asyncio
import base64
import contextvars
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.globals import set_llm_cache

from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricksCompat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def _invoke(llm: Any) -> str:
    return str(llm.invoke("Who am I?").text)


def _ainvoke(llm: Any) -> str:
    return str(asyncio.run(llm.ainvoke("Who am I?")).text)


def _batch(llm: Any) -> str:
    return str(llm.batch(["Who am I?"])[0].text)


def _abatch(llm: Any) -> str:
    return str(asyncio.run(llm.abatch(["Who am I?"]))[0].text)


ways = pytest.mark.parametrize("ask", [_invoke, _ainvoke, _batch, _abatch])


def _mirror(request: Received) -> Scripted:
    """Answer with who signed, in which workspace."""
    if request.path == "/oidc/v1/token":
        basic = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        return Scripted({"access_token": basic.replace(":", "-"), "token_type": "Bearer", "expires_in": 3600})
    said = [request.headers.get(name, "") for name in ("authorization", "x-databricks-workspace-id", "x-user")]
    text = " ".join([request.path.partition("/serving")[0], *said, str(dict(request.query))])
    return Scripted({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(_mirror) as running:
        yield running


def _asked(server: ScriptedServer) -> int:
    return sum("invocations" in request.path for request in server.requests)


@pytest.fixture(autouse=True)
def _a_clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))


def _llm(server: ScriptedServer, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(**{"model": "m", "host": server.url, **settings})


USER: contextvars.ContextVar[str] = contextvars.ContextVar("USER")


async def _async_user() -> str:
    return USER.get()


@ways
@pytest.mark.parametrize("token", [USER.get, _async_user], ids=["sync", "async"])
@pytest.mark.parametrize("scope", ["global", "own"])
def test_two_users_of_one_callable_share_nothing(ask: Any, token: Any, scope: str, server: ScriptedServer) -> None:
    cache = InMemoryCache()
    llm = _llm(server, token=token, cache=cache if scope == "own" else None)
    set_llm_cache(cache if scope == "global" else None)
    try:
        for who in ("tok-ada", "tok-bob", "tok-ada"):
            USER.set(who)
            assert f"Bearer {who}" in ask(llm)
    finally:
        set_llm_cache(None)
    assert not cache._cache
    assert _asked(server) == 3


class Headers:
    """Credentials of the user's own."""

    name = "mine"

    def __init__(self, who: str) -> None:
        self.who = who

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Sign."""
        del refresh
        return {"Authorization": f"Bearer {self.who}"}

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        """Sign."""
        return self.headers(refresh=refresh)


class Named(Headers):
    """Credentials that say whom they stand for."""

    def cache_identity(self) -> str:
        """Name the caller."""
        return self.who


@ways
def test_credentials_of_the_users_own_are_cached_if_they_name_the_caller(ask: Any, server: ScriptedServer) -> None:
    cache = InMemoryCache()
    for signer, times in ((Headers("tok-ada"), 2), (Named("tok-bob"), 1), (Named("cid"), 1)):
        before = _asked(server)
        llm = _llm(server, credentials=signer, cache=cache)
        assert [ask(llm), ask(llm)] == [f" Bearer {signer.who}   {{}}"] * 2
        assert _asked(server) - before == times
    assert len(cache._cache) == 2


class Config:
    """What the SDK's Config is to us."""

    def __init__(self, host: str, who: str) -> None:
        self.host, self.auth_type, self.who = host, "pat", who

    def authenticate(self) -> dict[str, str]:
        """Sign."""
        return {"Authorization": f"Bearer {self.who}"}


class Client:
    """What the SDK's WorkspaceClient is to us."""

    def __init__(self, host: str, who: str) -> None:
        self.config = Config(host, who)


@ways
@pytest.mark.parametrize("kind", [Config, Client])
def test_clients_of_the_sdk_share_nothing(ask: Any, kind: Any, server: ScriptedServer) -> None:
    cache = InMemoryCache()
    for who in ("tok-ada", "tok-bob"):
        assert f"Bearer {who}" in ask(_llm(server, workspace_client=kind(server.url, who), cache=cache))


def test_a_client_of_the_users_own_may_sign_and_is_not_cached(server: ScriptedServer) -> None:
    cache = InMemoryCache()
    for who in ("tok-ada", "tok-bob"):
        with httpx.Client(headers={"x-user": who}) as client:
            assert who in _invoke(_llm(server, token="t", cache=cache, http_client=client))
    assert not cache._cache


async def test_an_async_client_of_the_users_own_is_not_cached_either(server: ScriptedServer) -> None:
    cache = InMemoryCache()
    for who in ("tok-ada", "tok-bob"):
        async with httpx.AsyncClient(headers={"x-user": who}) as client:
            said = await _llm(server, token="t", cache=cache, http_async_client=client).ainvoke("Who am I?")
            assert who in said.text
    assert not cache._cache


SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"token": "tok-ada"}, {"token": "tok-bob"}),
    ({"client_id": "i", "client_secret": "sec-one"}, {"client_id": "i", "client_secret": "sec-two"}),
    ({"client_id": "i", "client_secret": "s"}, {"client_id": "j", "client_secret": "s"}),
    ({"token": "t", "workspace_id": "1"}, {"token": "t", "workspace_id": "2"}),
    (
        {"token": "t", "default_headers": {"x-user": "tok-ada"}},
        {"token": "t", "default_headers": {"x-user": "tok-bob"}},
    ),
    ({"token": "t", "default_query": {"u": "tok-ada"}}, {"token": "t", "default_query": {"u": "tok-bob"}}),
]


@ways
@pytest.mark.parametrize(("one", "other"), SETTINGS, ids=str)
def test_what_says_who_calls_is_in_the_key_and_no_secret_is(
    ask: Any, one: dict[str, Any], other: dict[str, Any], server: ScriptedServer
) -> None:
    cache = InMemoryCache()
    first = [ask(_llm(server, cache=cache, **one)) for _ in range(2)]
    second = [ask(_llm(server, cache=cache, **other)) for _ in range(2)]
    assert first[0] == first[1] != second[0] == second[1]
    assert _asked(server) == 2
    keys = str([key[1] for key in cache._cache])
    for setting in (*one.values(), *other.values()):
        for secret in setting.values() if isinstance(setting, dict) else [setting]:
            assert len(secret) < 3 or secret not in keys


CALLS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"token": "tok-ada"}, {"token": "tok-bob"}),
    ({"api_key": "tok-ada"}, {"api_key": "tok-bob"}),
    ({"api_key": "tok-ada"}, {"token": "tok-bob"}),
    ({}, {"api_key": "tok-bob"}),
    ({"extra_headers": {"x-user": "tok-ada"}}, {"extra_headers": {"x-user": "tok-bob"}}),
    ({"api_headers": {"x-user": "tok-ada"}}, {"default_headers": {"x-user": "tok-bob"}}),
    (
        {"extra_params": {"extra_headers": {"x-user": "tok-ada"}}},
        {"extra_params": {"extra_headers": {"x-user": "tok-bob"}}},
    ),
    ({"extra_query": {"u": "tok-ada"}}, {"extra_query": {"u": "tok-bob"}}),
    ({"extra_body": {"extra_query": {"u": "tok-ada"}}}, {"extra_body": {"extra_query": {"u": "tok-bob"}}}),
]


@ways
@pytest.mark.parametrize(("one", "other"), CALLS, ids=str)
def test_what_a_call_says_of_the_caller_is_in_the_key(
    ask: Any, one: dict[str, Any], other: dict[str, Any], server: ScriptedServer
) -> None:
    cache = InMemoryCache()
    llm = _llm(server, token="of-the-app", cache=cache)
    first = [ask(llm.bind(**one)) for _ in range(2)]
    second = [ask(llm.bind(**other)) for _ in range(2)]
    assert first[0] == first[1] != second[0] == second[1]
    assert _asked(server) == 2
    assert "tok-ada" not in str(list(cache._cache))
    assert "tok-bob" not in str(list(cache._cache))


@ways
def test_a_callable_token_of_a_call_is_not_cached(ask: Any, server: ScriptedServer) -> None:
    cache = InMemoryCache()
    llm = _llm(server, token="of-the-app", cache=cache)
    assert "tok-ada" in ask(llm.bind(token=lambda: "tok-ada"))
    assert "tok-bob" in ask(llm.bind(token=lambda: "tok-bob"))
    assert not cache._cache


def test_one_name_of_a_setting_is_as_good_as_another(server: ScriptedServer) -> None:
    llm = _llm(server, token="of-the-app", cache=InMemoryCache())
    llm.invoke("Who am I?", token="tok-ada", max_tokens=5)
    llm.invoke("Who am I?", api_key="tok-ada", max_completion_tokens=5)
    assert _asked(server) == 1


PROFILES = "[one]\nhost = {url}\ntoken = tok-ada\n[two]\nhost = {url}\ntoken = tok-bob\n"


@ways
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"DATABRICKS_TOKEN": "tok-ada"}, {"DATABRICKS_TOKEN": "tok-bob"}),
        ({"DATABRICKS_API_KEY": "tok-ada"}, {"DATABRICKS_API_KEY": "tok-bob"}),
        (
            {"DATABRICKS_CLIENT_ID": "i", "DATABRICKS_CLIENT_SECRET": "sec-one"},
            {"DATABRICKS_CLIENT_ID": "i", "DATABRICKS_CLIENT_SECRET": "sec-two"},
        ),
        ({"DATABRICKS_CONFIG_PROFILE": "one"}, {"DATABRICKS_CONFIG_PROFILE": "two"}),
        (
            {"DATABRICKS_CONFIG_FILE": "{folder}/a", "DATABRICKS_CONFIG_PROFILE": "one"},
            {"DATABRICKS_CONFIG_FILE": "{folder}/b", "DATABRICKS_CONFIG_PROFILE": "one"},
        ),
        (
            {"DATABRICKS_TOKEN": "t", "DATABRICKS_WORKSPACE_ID": "1"},
            {"DATABRICKS_TOKEN": "t", "DATABRICKS_WORKSPACE_ID": "2"},
        ),
        (
            {"DATABRICKS_TOKEN": "tok-ada", "DATABRICKS_CLIENT_ID": "i", "DATABRICKS_CLIENT_SECRET": "s"},
            {
                "DATABRICKS_TOKEN": "tok-ada",
                "DATABRICKS_CLIENT_ID": "i",
                "DATABRICKS_CLIENT_SECRET": "s",
                "DATABRICKS_AUTH_TYPE": "oauth-m2m",
            },
        ),
    ],
    ids=str,
)
def test_what_the_environment_says_of_the_caller_is_in_the_key(
    ask: Any, one: dict[str, str], other: dict[str, str], server: ScriptedServer, tmp_path: Path
) -> None:
    text = PROFILES.format(url=server.url)
    (tmp_path / ".databrickscfg").write_text(text)
    (tmp_path / "a").write_text(text)
    (tmp_path / "b").write_text(text.replace("tok-ada", "tok-eve"))
    cache = InMemoryCache()
    said: list[list[str]] = []
    for environment in (one, other):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABRICKS_HOST", server.url)
            for name, value in environment.items():
                patch.setenv(name, value.format(folder=tmp_path))
            said.append([ask(ChatDatabricksCompat(model="m", cache=cache)) for _ in range(2)])
    assert said[0][0] == said[0][1] != said[1][0] == said[1][1]
    assert _asked(server) == 2
    assert not any(secret in str(list(cache._cache)) for secret in ("tok-ada", "tok-bob", "tok-eve"))


@ways
def test_a_profile_that_another_signs_in_with_now_is_another_caller(
    ask: Any, server: ScriptedServer, tmp_path: Path
) -> None:
    file = tmp_path / ".databrickscfg"
    llm = ChatDatabricksCompat(model="m", profile="one", cache=InMemoryCache())
    file.write_text(PROFILES.format(url=server.url))
    assert "tok-ada" in ask(llm)
    file.write_text(PROFILES.format(url=server.url).replace("tok-ada", "tok-eve-who-came-later"))
    assert "tok-eve" in ask(llm)


@ways
def test_a_change_of_the_environment_is_seen_by_a_model_at_work(
    ask: Any, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "tok-ada")
    llm = _llm(server, cache=InMemoryCache())
    ask(llm)
    key = llm._get_llm_string()
    monkeypatch.setenv("DATABRICKS_TOKEN", "tok-bob")
    assert llm._get_llm_string() != key


@ways
def test_a_sign_in_that_only_a_request_tells_is_not_cached(
    ask: Any, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = tmp_path / "databricks"
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(cli))
    for who in ("tok-ada", "tok-bob"):
        cli.write_text(f'#!/bin/sh\necho \'{{"access_token": "{who}"}}\'\n')
        cli.chmod(0o755)
        cache = InMemoryCache()
        llm = _llm(server, auth_type="databricks-cli", cache=cache)
        ask(llm)
        assert not cache._cache


def test_with_credentials_is_another_caller(server: ScriptedServer) -> None:
    llm = _llm(server, token="tok-ada", cache=InMemoryCache())
    assert "tok-ada" in _invoke(llm)
    assert "tok-bob" in _invoke(llm.with_credentials(token="tok-bob"))
    assert "cid" in _invoke(llm.with_credentials(credentials=Headers("cid")))


def test_two_workspaces_share_nothing() -> None:
    cache = InMemoryCache()
    with ScriptedServer(_mirror) as one, ScriptedServer(_mirror) as other:
        for server in (one, other, one, other):
            _invoke(_llm(server, token="t", cache=cache))
        assert (_asked(one), _asked(other)) == (1, 1)


class Keeper(BaseCache):
    """A cache of somebody else's, which is asked under whatever key it is given."""

    def __init__(self) -> None:
        self.keys: list[tuple[str, str]] = []
        self.kept: dict[tuple[str, str], Any] = {}

    def lookup(self, prompt: str, llm_string: str) -> Any:
        """Find an answer."""
        self.keys.append((prompt, llm_string))
        return self.kept.get((prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        """Keep an answer."""
        self.kept[prompt, llm_string] = return_val

    def clear(self, **kwargs: Any) -> None:
        """Forget all answers."""
        del kwargs
        self.kept.clear()


@ways
def test_a_cache_is_not_even_asked_for_an_unknown_caller(ask: Any, server: ScriptedServer) -> None:
    cache = Keeper()
    ask(_llm(server, token=lambda: "tok-ada", cache=cache))
    assert cache.keys == []
    ask(_llm(server, token="tok-ada", cache=cache))
    assert len(cache.keys) == len(cache.kept) == 1


def test_the_key_of_an_unknown_caller_never_comes_again(server: ScriptedServer) -> None:
    llm = _llm(server, token=lambda: "tok-ada")
    assert llm._get_llm_string() != llm._get_llm_string()
    assert _llm(server, token="tok-ada")._get_llm_string() == _llm(server, token="tok-ada")._get_llm_string()


def test_a_cached_answer_does_not_make_a_new_connection(server: ScriptedServer) -> None:
    llm = _llm(server, token="tok-ada", cache=InMemoryCache())
    _invoke(llm)
    session = llm._session()
    _invoke(llm)
    assert llm._session() is session
    assert _asked(server) == 1


def test_cache_false_and_no_cache_are_langchains_business(server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="no cache found"):
        _invoke(_llm(server, token="t", cache=True))
    set_llm_cache(InMemoryCache())
    try:
        assert [_invoke(_llm(server, token="t", cache=False)) for _ in range(2)]
    finally:
        set_llm_cache(None)
    assert _asked(server) == 2
