from __future__ import annotations

import asyncio
import dataclasses
import threading
from contextvars import ContextVar
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from langchain_dbchat import auth
from langchain_dbchat.auth import credentials
from langchain_dbchat.auth.credentials import CallableToken, StaticToken, bearer
from langchain_dbchat.auth.derived import ForWorkspace
from langchain_dbchat.auth.secret import Secret
from langchain_dbchat.errors import ConfigurationError, DatabricksTimeoutError
from langchain_dbchat.transport.signing import Credentials
from langchain_dbchat.transport.user_clients import UserClients

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

user: ContextVar[str] = ContextVar("user", default="nobody")


def authorization(headers: Mapping[str, str]) -> str:
    return headers["Authorization"]


@pytest.mark.parametrize("text", ["abc", " abc\n", "Bearer abc", "bearer  abc"])
def test_white_space_and_a_leading_bearer_are_forgiven(text: str) -> None:
    assert bearer(text, "x") == {"Authorization": "Bearer abc"}


@pytest.mark.parametrize("text", ["", "  ", "Bearer ", "hush hush", "hush\r\nX-Evil: 1", "hüsh", "hush\x00"])
def test_what_cannot_stand_in_a_header_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABRICKS_TOKEN") as caught:
        bearer(text, "DATABRICKS_TOKEN")
    assert "hush" not in str(caught.value)


async def test_a_static_token_gives_a_new_dict_each_time() -> None:
    static = StaticToken(Secret(SecretStr("abc")))
    first = dict(static.headers())
    first["X"] = "1"
    assert static.headers() == await static.aheaders(refresh=True) == {"Authorization": "Bearer abc"}
    assert isinstance(static, Credentials)


def test_a_callable_is_asked_every_time() -> None:
    answers: Iterator[Any] = iter(["a", SecretStr("b"), {"Authorization": "Basic x", "X-Extra": "1"}])
    signer = CallableToken(lambda: next(answers))
    assert signer.headers() == {"Authorization": "Bearer a"}
    assert signer.headers() == {"Authorization": "Bearer b"}
    assert signer.headers() == {"Authorization": "Basic x", "X-Extra": "1"}


@pytest.mark.parametrize("answer", [None, 5, {}, ""])
async def test_a_callable_without_an_answer_is_named(answer: Any) -> None:
    signer = CallableToken(lambda: answer)
    with pytest.raises(ConfigurationError, match="token argument"):
        signer.headers()
    with pytest.raises(ConfigurationError, match="token argument"):
        await signer.aheaders()


async def test_a_sync_callable_does_not_run_on_the_event_loop_but_sees_its_context() -> None:
    threads: list[int] = []

    def ask() -> str:
        threads.append(threading.get_ident())
        return user.get()

    user.set("ada")
    assert authorization(await CallableToken(ask).aheaders()) == "Bearer ada"
    assert threads[0] != threading.get_ident()


async def test_an_async_callable_runs_on_the_event_loop() -> None:
    loops: list[object] = []

    async def ask() -> str:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return user.get()

    def hidden() -> Awaitable[str]:
        return ask()

    class Asker:
        async def __call__(self) -> str:
            return await ask()

    user.set("ada")
    assert authorization(await CallableToken(ask).aheaders()) == "Bearer ada"
    assert authorization(await CallableToken(Asker()).aheaders()) == "Bearer ada"
    assert loops == [asyncio.get_running_loop()] * 2
    # Such a function does not show that it is async before it has been called.
    assert authorization(await CallableToken(hidden).aheaders()) == "Bearer ada"


async def _ask() -> str:
    await asyncio.sleep(0.01)
    return user.get()


def test_an_async_callable_works_from_sync_code() -> None:
    user.set("bob")
    assert authorization(CallableToken(_ask).headers()) == "Bearer bob"


async def test_an_async_callable_works_from_sync_code_inside_a_running_loop() -> None:
    user.set("eve")
    assert authorization(CallableToken(_ask).headers()) == "Bearer eve"


async def test_an_async_callable_that_needs_the_blocked_loop_ends_in_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_ASYNC_CALLABLE_PATIENCE", 0.1)

    async def never() -> str:
        await asyncio.sleep(30)
        return "x"

    with pytest.raises(DatabricksTimeoutError, match="ainvoke"):
        CallableToken(never).headers()


async def test_what_the_callable_raises_reaches_the_caller() -> None:
    def refuse() -> str:
        raise KeyError("no user")

    async def arefuse() -> str:
        raise KeyError("no user")

    for function in (refuse, arefuse):
        with pytest.raises(KeyError, match="no user"):
            CallableToken(function).headers()
        with pytest.raises(KeyError, match="no user"):
            await CallableToken(function).aheaders()


@pytest.mark.parametrize("is_async", [False, True])
async def test_two_hundred_users_at_once_never_see_each_other(is_async: bool) -> None:
    async def aask() -> str:
        await asyncio.sleep(0.001)
        return user.get()

    signer = CallableToken(aask if is_async else user.get)

    async def request(number: int) -> None:
        user.set(f"user-{number}")
        for _ in range(5):
            assert authorization(await signer.aheaders()) == f"Bearer user-{number}"
            await asyncio.sleep(0)

    await asyncio.gather(*(request(number) for number in range(200)))


async def test_the_workspace_id_is_added_unless_the_signer_names_one() -> None:
    plain = ForWorkspace(StaticToken(Secret(SecretStr("abc"))), "42")
    assert plain.headers() == {"Authorization": "Bearer abc", "X-Databricks-Workspace-Id": "42"}
    assert await plain.aheaders() == plain.headers()
    assert plain.name == "token argument"
    own = ForWorkspace(CallableToken(lambda: {"Authorization": "x", "X-Databricks-Workspace-Id": "7"}), "42")
    assert own.headers()["X-Databricks-Workspace-Id"] == "7"


def test_a_caller_is_another_one_in_another_workspace() -> None:
    static = StaticToken(Secret(SecretStr("abc")))
    one, other = (ForWorkspace(static, number).cache_identity() for number in ("1", "2"))
    assert None not in {one, other}
    assert len({one, other, static.cache_identity()}) == 3
    assert ForWorkspace(CallableToken(lambda: "abc"), "1").cache_identity() is None


async def test_a_new_token_is_asked_for_where_a_workspace_is_named_only_if_one_was_refused() -> None:
    class Noting:
        name = "noting"

        def headers(self, *, refresh: bool = False) -> dict[str, str]:
            return {"X-Refresh": str(refresh)}

        async def aheaders(self, *, refresh: bool = False) -> dict[str, str]:
            return self.headers(refresh=refresh)

    named = ForWorkspace(Noting(), "42")
    assert [named.headers()["X-Refresh"], named.headers(refresh=True)["X-Refresh"]] == ["False", "True"]
    assert (await named.aheaders())["X-Refresh"] == "False"
    assert (await named.aheaders(refresh=True))["X-Refresh"] == "True"


def test_what_signs_is_shared_and_so_cannot_be_changed() -> None:
    modules = [import_module(f"{auth.__name__}.{found.name}") for found in iter_modules(auth.__path__)]
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    found = {kind for kind in {*kinds, UserClients} if dataclasses.is_dataclass(kind)}
    assert {StaticToken, CallableToken, UserClients} < found
    assert [kind for kind in found if not vars(kind)["__dataclass_params__"].frozen] == []
