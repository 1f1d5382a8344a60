"""A thousand streams on one event loop: all finish, and the loop stays free for others meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from kit.proc import holdings, wait_for_at_most
from kit.watch import on_a_watched_loop
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.local import LocalWorkspace

EVENTS = 8
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STALL = 0.05  # seconds


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(text: str, reason: str = "null") -> bytes:
    delta = '{"role":"assistant","content":"%s"}' % text  # noqa: UP031  # braces
    return _chunk(
        b'data: {"id":"m","choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
        % (delta.encode(), reason.encode())
    )


PIECES = [*(_event(f"{number} ") for number in range(EVENTS)), _event("", '"stop"')]
END = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
TEXT = "".join(f"{number} " for number in range(EVENTS))


class _Slow(asyncio.Protocol):
    """Streams an answer, an event every few milliseconds; cheap enough for a thousand at once."""

    def __init__(self, server: CrowdServer) -> None:
        self._server = server
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.now += 1
        self._server.most = max(self._server.most, self._server.now)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._server.now -= 1

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"}"):  # all of a small request
            self._transport.write(HEAD)
            self._next(0)

    def _next(self, number: int) -> None:
        if self._transport is None:
            return
        if number < len(PIECES):
            self._transport.write(PIECES[number])
            asyncio.get_running_loop().call_later(self._server.pause, self._next, number + 1)
        else:
            self._transport.write(END)


class CrowdServer:
    """A server on the running loop."""

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.now = self.most = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[CrowdServer]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Slow(self), "127.0.0.1", 0, backlog=2048)
        self.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        yield self
        server.close()


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """Without the garbage collector, whose pauses grow with all that the test session has loaded."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _llm(url: str, **settings: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="m", host=url, token="dapi0", **settings)


async def _read(llm: ChatDatabricksCompat) -> str:
    return "".join([chunk.text async for chunk in llm.astream("Hello!")])


def _calmest(longest_slice: Callable[[], float]) -> float:
    """Return the least of a few measurements: a busy machine makes some of them long, our code would make all."""
    measured = [longest_slice()]
    while measured[-1] >= STALL and len(measured) < 5:
        measured.append(longest_slice())
    return min(measured)


def test_a_thousand_streams_at_once_finish(record_property: Callable[[str, object], None]) -> None:
    before = holdings()

    async def main() -> None:
        async with CrowdServer(0.1).serving() as server:
            llm = _llm(server.url)
            texts = await asyncio.gather(*[_read(llm) for _ in range(1000)])
            assert texts == [TEXT] * 1000
            assert server.most <= 500  # the pool is bounded; the others waited their turn

    began = time.monotonic()
    asyncio.run(main())
    record_property("seconds", round(time.monotonic() - began, 2))
    after = wait_for_at_most(before)
    assert (after.sockets, after.tasks, after.threads) <= (before.sockets, before.tasks, before.threads)


@pytest.mark.usefixtures("no_garbage")
def test_the_loop_is_never_held_longer_than_50_ms_at_a_time(record_property: Callable[[str, object], None]) -> None:
    async def main() -> None:
        async with CrowdServer(0.01).serving() as server:
            llm = _llm(server.url)
            for _ in range(4):  # twenty new streams in each turn of the loop, as requests of users come
                tasks = [asyncio.ensure_future(_read(llm)) for _ in range(20)]
                await asyncio.sleep(0)
                assert await asyncio.gather(*tasks) == [TEXT] * 20

    longest = _calmest(lambda: max(on_a_watched_loop(main).slices))
    record_property("longest slice in ms", round(longest * 1000, 1))
    assert longest < STALL


@pytest.mark.usefixtures("no_garbage")
def test_one_call_after_another_holds_the_loop_for_milliseconds(
    workspace: LocalWorkspace, record_property: Callable[[str, object], None]
) -> None:
    async def main() -> None:
        llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token)
        await llm.ainvoke("Hello!")
        for _ in range(10):
            await llm.ainvoke("Hello!")
            assert [chunk async for chunk in llm.astream("Tell me of the wide blue sky over Oslo.")]

    longest = _calmest(lambda: max(on_a_watched_loop(main).slices))
    record_property("longest slice in ms", round(longest * 1000, 1))
    assert longest < STALL


FIRST_CALL = """
import sys
from langchain_dbchat import ChatDatabricksCompat
sys.path.insert(0, sys.argv[1])
from kit.watch import on_a_watched_loop
from langchain_core.language_models import FakeListChatModel
llm = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6", host=sys.argv[2], token=sys.argv[3])
async def others():  # langchain-core loads its tracers with the first call of any model: not our share
    assert [chunk async for chunk in FakeListChatModel(responses=["Hi."]).astream("Hello!")]
on_a_watched_loop(others)
async def main():
    assert [chunk async for chunk in llm.astream("Hello!")]
print(max(on_a_watched_loop(main).slices))
"""


def test_the_first_call_of_a_process_does_not_stall_its_loop(
    workspace: LocalWorkspace, record_property: Callable[[str, object], None]
) -> None:
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", FIRST_CALL, tests, workspace.host, workspace.token]
    longest = _calmest(lambda: float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    record_property("longest slice in ms", round(longest * 1000, 1))
    assert longest < STALL


def test_the_watch_sees_a_stall() -> None:
    async def main() -> None:
        end = time.thread_time() + 2 * STALL
        while time.thread_time() < end:
            pass
        await asyncio.sleep(0)

    assert max(on_a_watched_loop(main).slices) > STALL


async def _invoke(llm: ChatDatabricksCompat) -> str:
    return (await llm.ainvoke("Hello!")).text


@pytest.mark.parametrize("way", [_invoke, _read], ids=["ainvoke", "astream"])
@pytest.mark.parametrize("signing", ["token", "callable", "async callable", "m2m", "profile", "environment"])
async def test_no_way_of_signing_in_blocks_the_loop(
    signing: str, way: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    async def atoken() -> str:
        await asyncio.sleep(0)
        return workspace.token

    with LocalWorkspace(token_lifetime=30) as workspace:
        settings: dict[str, Any] = {"model": "databricks-claude-sonnet-4-6", "host": workspace.host}
        if signing == "token":
            settings["token"] = workspace.token
        elif signing == "callable":
            settings["token"] = lambda: workspace.token
        elif signing == "async callable":
            settings["token"] = atoken
        elif signing == "m2m":
            settings |= {"client_id": workspace.client_id, "client_secret": workspace.client_secret}
        elif signing == "profile":
            file = tmp_path / "databrickscfg"
            file.write_text(f"[work]\nhost = {workspace.host}\ntoken = {workspace.token}\n")
            settings = {"model": settings["model"], "profile": "work", "config_file": str(file)}
        else:
            monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
            monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
            settings = {"model": settings["model"]}
        with blockbuster_ctx():
            assert await way(ChatDatabricksCompat(**settings))
