"""Many users at once: who asks is who signs, under load, in tasks and in threads, through refusals and retries."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.caches import InMemoryCache
from pydantic import SecretStr

from kit.sign_in import BUSY, INVALID, UNKNOWN, Mirror, answer, as_json, chat, on_connect, signer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.errors import ConfigurationError, DatabricksAuthenticationError
from langchain_dbchat.transport import clients as pools

USERS = 210
user: contextvars.ContextVar[str] = contextvars.ContextVar("user")

Act = Callable[[ChatDatabricksCompat, str], tuple[Any, dict[str, Any]]]


async def _user_in_a_task() -> str:
    await asyncio.sleep(random.random() / 100)  # noqa: S311  # spreads the tasks
    return user.get()


# How a model is made to call for somebody: what the model is given, and what each call adds.
MECHANISMS: dict[str, tuple[dict[str, Any], Act]] = {
    "with_credentials": ({"token": "of-the-app"}, lambda llm, who: (llm.with_credentials(token=who), {})),
    "per call": ({"token": "of-the-app"}, lambda llm, who: (llm, {"token": who})),
    "bound": ({"token": "of-the-app"}, lambda llm, who: (llm.bind(token=who), {})),
    "callable": ({"token": user.get}, lambda llm, _: (llm, {})),
    "async callable": ({"token": _user_in_a_task}, lambda llm, _: (llm, {})),
    "viewer": ({"token": "of-the-app"}, lambda llm, who: (llm, {"user_session_token": who})),
    "viewer callable": ({"user_session_token": user.get}, lambda llm, _: (llm, {})),
}


class Busy(Mirror):
    """A mirror that takes its time, and refuses or fails some questions first."""

    def _reply(self, received: Any) -> Any:
        chance = random.random()  # noqa: S311  # load, not a secret
        if received.path.endswith("/invocations") and chance < 0.15:
            return (UNKNOWN, INVALID, BUSY)[int(chance * 20)]
        return replace(super()._reply(received), wait=chance / 50)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    with Busy() as server:
        for name, value in {**on_connect(server), "DATABRICKS_TOKEN": "of-the-environment"}.items():
            monkeypatch.setenv(name, value)
        yield server


def _is(token: str, who: str) -> bool:
    """Whether a token is a user's own, or was exchanged for their session."""
    return token == who or token.startswith(f"for-{who}-")


def _models(server: Mirror) -> list[tuple[ChatDatabricksCompat, Act]]:
    """A model for each mechanism; all of them share their sockets."""
    return [(chat(server.url, **settings, max_retries=9), act) for settings, act in MECHANISMS.values()]


def _was_refused_twice(error: DatabricksAuthenticationError) -> bool:
    """Whether a user has to ask again: a new token is tried in silence, the same token is not tried again."""
    notes = getattr(error, "__notes__", ())
    return any("sent again with a new token" in note or "gave the same token" in note for note in notes)


def _check(said: list[tuple[str, str]], server: Mirror) -> None:
    """Everybody was answered as themselves, and no question was ever signed by another than who asked it."""
    assert [pair for pair in said if not _is(pair[1], pair[0])] == []
    asked = [(received.json["messages"][-1]["content"], signer(received)) for received in server.questions]
    assert {who for who, _ in asked} == {who for who, _ in said}
    assert len(asked) > len(said)  # some were refused or failed, and were sent again
    assert [pair for pair in asked if not _is(pair[1], pair[0])] == []


async def test_two_hundred_tasks_never_sign_for_each_other(busy: Busy) -> None:
    models = _models(busy)

    async def ask(number: int) -> tuple[str, str]:
        who = f"user-{number}"
        user.set(who)
        llm, act = models[number % len(models)]
        runnable, call = act(llm, who)
        try:
            if number // len(models) % 2:
                return who, (await runnable.ainvoke(who, **call)).text
            return who, "".join([chunk.text async for chunk in runnable.astream(who, **call)])
        except DatabricksAuthenticationError as error:
            if not _was_refused_twice(error):
                raise
            return await ask(number)

    with blockbuster_ctx():
        said = await asyncio.gather(*(ask(number) for number in range(USERS)))
    _check(said, busy)


def test_threads_never_sign_for_each_other(busy: Busy) -> None:
    models = _models(busy)

    def ask(number: int) -> tuple[str, str]:
        who = f"user-{number}"
        user.set(who)
        llm, act = models[number % len(models)]
        runnable, call = act(llm, who)
        try:
            return who, runnable.invoke(who, **call).text
        except DatabricksAuthenticationError as error:
            if not _was_refused_twice(error):
                raise
            return ask(number)

    with ThreadPoolExecutor(20) as threads:
        said = list(threads.map(lambda number: contextvars.Context().run(ask, number), range(USERS // 2)))
    _check(said, busy)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        yield server


@four_ways
def test_a_copy_calls_for_somebody_else_over_the_same_connection(call: Way, mirror: Mirror) -> None:
    llm = chat(mirror.url, token="of-the-app")
    ada = llm.with_credentials(token="ada")
    assert [call(model, "Who am I?").text for model in (llm, ada, llm.with_credentials(token="bob"), llm)] == [
        "of-the-app",
        "ada",
        "bob",
        "of-the-app",
    ]
    if call.__name__ in {"invoke", "stream"}:  # each asyncio.run of the others has connections of its own
        assert mirror.connections == 1
        assert len(pools._states[-1].clients) >= 1


@four_ways
def test_a_field_that_is_set_anew_counts_from_the_next_call(call: Way, mirror: Mirror) -> None:
    llm = chat(mirror.url, token="ada")
    assert call(llm, "Who am I?").text == "ada"
    llm.token = SecretStr("bob")
    assert call(llm, "Who am I?").text == "bob"


def test_embeddings_call_for_somebody_else(mirror: Mirror) -> None:
    embeddings = DatabricksEmbeddings(model="e", host=mirror.url, token="of-the-app")
    embeddings.with_credentials(token="ada").embed_query("x")
    asyncio.run(embeddings.with_credentials(token="bob").aembed_query("x"))
    embeddings.embed_query("x")
    assert mirror.signers == ["ada", "bob", "of-the-app"]


@four_ways
@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_a_header_that_signs_for_the_app_does_not_sign_for_a_user(call: Way, name: str, mirror: Mirror) -> None:
    llm = chat(mirror.url, token="t", default_headers={name: "Bearer of-the-app", "X-Team": "a"})
    assert call(llm, "Who am I?").text == "of-the-app"
    assert call(llm.with_credentials(token="ada"), "Who am I?").text == "ada"
    assert call(llm.bind(token="bob"), "Who am I?").text == "bob"
    for spelled in ("Authorization", "authorization"):
        assert call(llm.bind(extra_headers={spelled: "Bearer eve"}), "Who am I?").text == "eve"
    assert call(llm, "Who am I?").text == "of-the-app"
    assert {request.headers["x-team"] for request in mirror.questions} == {"a"}


def test_a_header_that_signs_for_the_app_does_not_sign_for_a_users_embeddings(mirror: Mirror) -> None:
    headers = {"Authorization": "Bearer of-the-app"}
    embeddings = DatabricksEmbeddings(model="e", host=mirror.url, token="t", default_headers=headers)
    embeddings.embed_query("x")
    embeddings.with_credentials(token="ada").embed_query("x")
    embeddings.embed_query("x", token="bob")
    embeddings.embed_query("x", extra_headers={"authorization": "Bearer eve"})
    assert mirror.signers == ["of-the-app", "ada", "bob", "eve"]


@four_ways
@pytest.mark.parametrize("setting", ["token", "user_session_token"])
@pytest.mark.parametrize("nobody", [None, "", "  "])
def test_a_user_who_is_missing_is_not_replaced_by_the_app(
    call: Way, setting: str, nobody: str | None, mirror: Mirror
) -> None:
    llm = chat(mirror.url, token="of-the-app")
    assert call(llm, "Who am I?").text == "of-the-app"  # the link is at hand, which is when a mix-up would be easy
    with pytest.raises(ConfigurationError, match=f"{setting}.*(None was given|is empty)"):
        call(llm.bind(**{setting: nobody}), "Who am I?")
    with pytest.raises(ConfigurationError):
        llm.with_credentials(**{setting: nobody})
    assert mirror.signers == ["of-the-app"]


@pytest.mark.parametrize(
    "nobody", [{"user_session_token": None, "audience": "guid"}, {"token": None, "auth_type": "pat"}]
)
def test_what_is_given_beside_a_user_who_is_missing_does_not_let_the_environment_sign(
    nobody: dict[str, Any], mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "of-the-environment")
    with pytest.raises(ConfigurationError, match="with_credentials takes"):
        chat(mirror.url, token="of-the-app").with_credentials(**nobody).invoke("Who am I?")
    assert mirror.signers == []


@four_ways
def test_a_callable_without_a_user_is_an_error(call: Way, mirror: Mirror) -> None:
    with pytest.raises(ConfigurationError, match="returned NoneType"):
        call(chat(mirror.url, token=lambda: None), "Who am I?")
    assert mirror.requests == []


@four_ways
def test_a_cache_keeps_no_users_token_and_no_user_gets_anothers_answer(call: Way, mirror: Mirror) -> None:
    cache = InMemoryCache()
    llm = chat(mirror.url, token="of-the-app", cache=cache)
    said = [call(llm.bind(token=who), "Who am I?").text for who in ("secret-of-ada", "secret-of-bob")]
    assert said == ["secret-of-ada", "secret-of-bob"]
    assert "secret-of" not in as_json([list(key) for key in cache._cache])


def test_the_mirror_tells_users_apart(mirror: Mirror) -> None:
    assert chat(mirror.url, token="ada").invoke("x").text == "ada"
    assert answer(mirror.questions[0], "bob").body != answer(mirror.questions[0], "ada").body
