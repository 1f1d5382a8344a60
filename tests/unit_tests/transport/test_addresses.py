"""Several addresses of one host: who is tried when, who wins, and that no socket is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_dbchat.transport.http import addresses
from langchain_dbchat.transport.http.addresses import first_in_turn, first_to_answer

V4, V6 = socket.AF_INET, socket.AF_INET6
Info = tuple[Any, ...]


def listener() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made


def info(port: int) -> Info:
    return (V4, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))


def _names(infos: list[Info]) -> Any:
    """Stand for the system, to which each name has these addresses."""
    system = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **given: Any) -> Any:
        return system(host, port, **given) if given.get("flags", 0) & socket.AI_NUMERICHOST else infos

    return getaddrinfo


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the next name stand for these ports, of which those below 10 never answer."""

    def to(*ports: int) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, asyncio.BaseEventLoop):
            pytest.skip("uvloop's loops cannot be patched")
        connect = loop.sock_connect

        async def sock_connect(made: socket.socket, address: tuple[str, int]) -> None:
            await (asyncio.sleep(60) if address[1] < 10 else connect(made, address))

        monkeypatch.setattr(socket, "getaddrinfo", _names([info(port) for port in ports]))
        monkeypatch.setattr(loop, "sock_connect", sock_connect)

    return to


@pytest.fixture
def refusing() -> Iterator[int]:
    """A port on which nobody listens, and nobody will while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_an_address_that_refuses_costs_no_time(
    resolve: Any, refusing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_STAGGER", 20)
    with listener() as server:
        port = server.getsockname()[1]
        resolve(refusing, port)
        began = time.monotonic()
        with await first_to_answer("host", 443) as connected:
            assert connected.getpeername()[1] == port
        assert time.monotonic() - began < 15


async def test_an_address_that_is_silent_costs_a_quarter_of_a_second(resolve: Any) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        resolve(1, port)
        began = time.monotonic()
        with await first_to_answer("host", 443) as connected:
            assert connected.getpeername()[1] == port
        assert 0.2 < time.monotonic() - began < 15
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}  # nobody waits for the silent one any more


@pytest.mark.parametrize("silent", [0, 1])
async def test_the_last_address_may_take_its_time(resolve: Any, monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        resolve(*[1] * silent, port)
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def slowly(made: socket.socket, address: tuple[str, int]) -> None:
            await asyncio.sleep(0.4)
            await connect(made, address)

        monkeypatch.setattr(loop, "sock_connect", slowly)
        with await first_to_answer("host", 443) as connected:
            assert connected.getpeername()[1] == port


async def test_an_earlier_address_is_waited_for_where_the_last_refuses(
    resolve: Any, monkeypatch: pytest.MonkeyPatch, refusing: int
) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        resolve(port, refusing)
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def slowly(made: socket.socket, address: tuple[str, int]) -> None:
            await asyncio.sleep(0.4 if address[1] == port else 0)
            await connect(made, address)

        monkeypatch.setattr(loop, "sock_connect", slowly)
        with await first_to_answer("host", 443) as connected:
            assert connected.getpeername()[1] == port


async def test_where_nobody_answers_the_first_says_why(resolve: Any, refusing: int) -> None:
    resolve(refusing, refusing)
    with pytest.raises(ConnectionRefusedError):
        await first_to_answer("host", 443)


async def test_no_address_at_all_is_an_error_of_the_network(resolve: Any) -> None:
    resolve()
    with pytest.raises(OSError, match="no address"):
        await first_to_answer("host", 443)


async def test_a_literal_address_waits_for_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "in_thread", None)
    with listener() as server:
        (await asyncio.wait_for(first_to_answer("127.0.0.1", server.getsockname()[1]), 30)).close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="event loops have no eager tasks before")
def test_tasks_that_start_at_once(refusing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*ports: int) -> int:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009  # types are those of 3.10

        async def sock_connect(made: socket.socket, address: tuple[str, int]) -> None:
            made.setblocking(True)
            made.connect(address)  # at once, as to a socket of this machine

        monkeypatch.setattr(socket, "getaddrinfo", _names([info(port) for port in ports]))
        monkeypatch.setattr(loop, "sock_connect", sock_connect)
        with await first_to_answer("host", 443) as connected:
            return int(connected.getpeername()[1])

    with listener() as server:
        assert asyncio.run(run(refusing, server.getsockname()[1])) == server.getsockname()[1]


async def test_two_that_answer_at_once_leave_one_socket(resolve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_STAGGER", 0.0)
    with listener() as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        resolve(port, port, port)
        with await first_to_answer("host", 443):
            await asyncio.sleep(0.05)
        gc.collect()  # a socket that nobody closed would say so now


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancelled_race_leaves_no_socket(resolve: Any, turns: int) -> None:
    with listener() as server:
        resolve(server.getsockname()[1])
        racing = asyncio.create_task(first_to_answer("host", 443))
        for _ in range(turns):
            await asyncio.sleep(0)
        won = racing.done()
        racing.cancel()
        if won:
            (await racing).close()
        else:
            with pytest.raises(asyncio.CancelledError):
                await racing
        await asyncio.sleep(0.01)
        gc.collect()  # a socket that nobody closed would say so now


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog makes no connection wait there")
@pytest.mark.parametrize("silent", [1, 2])
def test_in_turn_each_address_has_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    with socket.socket() as full, listener() as server, contextlib.ExitStack() as queued:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # nobody accepts them, so that those who come later wait
            made = queued.enter_context(socket.socket())
            made.setblocking(False)
            made.connect_ex(full.getsockname())
        ports = [full.getsockname()[1]] * silent + [server.getsockname()[1]]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(map(info, ports)))
        began = time.monotonic()
        with first_in_turn("host", 443, began + 3) as connected:
            assert connected.getpeername() == server.getsockname()
        share = 3 / (silent + 1)
        assert silent * share - 0.1 < time.monotonic() - began


def test_a_name_that_nobody_looks_up_holds_up_no_other_and_not_the_end_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never, system = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *_: Any, **given: Any) -> Any:
        if "flags" in given:
            return system(host, port, **given)
        if host == "lost":
            never.wait(60)
        return [info(port)]

    async def use(port: int) -> None:
        lost = [asyncio.ensure_future(first_to_answer("lost", 443)) for _ in range(50)]
        await asyncio.sleep(0.05)
        (await asyncio.wait_for(first_to_answer("found", port), 15)).close()
        for each in lost:
            each.cancel()
        await asyncio.wait(lost)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    began = time.monotonic()
    try:
        with listener() as server:
            asyncio.run(use(server.getsockname()[1]))
        assert time.monotonic() - began < 15
    finally:
        never.set()


def test_in_turn_a_name_that_nobody_looks_up_in_time_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up, system = threading.Event(), socket.getaddrinfo

    def slow(host: str, port: int, **given: Any) -> Any:
        if given.get("flags", 0) & socket.AI_NUMERICHOST:
            return system(host, port, **given)
        looked_up.wait(30)
        return system("127.0.0.1", port, **given)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with listener() as server:
        port = server.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            first_in_turn("host", port, began + 0.3)
        assert 0.25 < time.monotonic() - began < 15
        looked_up.set()
        for until in (None, time.monotonic() + 30):
            with first_in_turn("host", port, until) as connected:
                assert connected.getpeername() == server.getsockname()


@pytest.mark.parametrize("until", [None, math.inf])
def test_in_turn_a_name_without_an_address_says_so(until: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(socket.gaierror, match="not known"):
        first_in_turn("host", 443, until and time.monotonic() + 30)


def test_in_turn_an_address_of_a_kind_that_the_system_does_not_have_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listener() as server:
        infos = [(1000, socket.SOCK_STREAM, 0, "", ()), info(server.getsockname()[1])]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
        with first_in_turn("host", 443, None) as connected:
            assert connected.getpeername() == server.getsockname()


def test_in_turn_without_a_deadline_the_first_that_refuses_says_why(
    monkeypatch: pytest.MonkeyPatch, refusing: int
) -> None:
    with listener() as server:
        ports = [refusing, server.getsockname()[1]]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(map(info, ports)))
        with first_in_turn("host", 443, None) as connected:
            assert connected.getpeername() == server.getsockname()
        del ports[1:]
        with pytest.raises(ConnectionRefusedError):
            first_in_turn("host", 443, None)
        with pytest.raises(TimeoutError):
            first_in_turn("host", 443, time.monotonic())


def test_families_take_turns() -> None:
    infos = [(V6, "a"), (V6, "b"), (V4, "c"), (V6, "d"), (V4, "e")]
    assert [one[1] for one in addresses._by_turns(infos)] == ["a", "c", "b", "e", "d"]
