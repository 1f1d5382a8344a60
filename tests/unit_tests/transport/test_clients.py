"""Shared connections: across loops, threads and forks, without leaks. Warnings are errors here as everywhere."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import httpcore
import httpx
import pytest

from kit.scripted import Scripted, ScriptedServer, sse
from kit.signing import Rotating, request_to
from langchain_dbchat.errors import ConfigurationError, DatabricksConnectionError
from langchain_dbchat.transport import clients as process_clients
from langchain_dbchat.transport.channel import Channel
from langchain_dbchat.transport.exchange import RetryPolicy
from langchain_dbchat.transport.proxy_clients import proxy_of

TESTS = Path(__file__).parents[2]


def test_one_client_and_one_tls_context_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_clients, "_states", [process_clients._ProcessClients()])
    barrier = threading.Barrier(8)

    def get(_: int) -> httpx.Client:
        barrier.wait()
        client = process_clients.sync_client()
        with pytest.raises(httpx.ConnectError):
            client.send(client.build_request("GET", url))
        return client

    async def aget() -> None:
        client = await process_clients.async_client()
        with pytest.raises(httpx.ConnectError):
            await client.send(client.build_request("GET", url))

    with ScriptedServer(lambda _: Scripted({"tls": "no"})) as server:
        sync_client = process_clients.sync_client()
        sync_client.send(sync_client.build_request("GET", server.url)).close()
        assert not process_clients._states[0].contexts  # nobody needed it yet, and it takes 25 ms
    with socket.socket() as bound, ThreadPoolExecutor(8) as threads:
        bound.bind(("127.0.0.1", 0))  # where nobody listens
        url = f"https://127.0.0.1:{bound.getsockname()[1]}"
        clients = set(threads.map(get, range(8)))
        assert clients == {sync_client}
        asyncio.run(aget())
    assert len(process_clients._states[0].contexts) == 1
    clients.pop().close()


def test_an_answer_names_its_request() -> None:
    async def send(url: str) -> None:
        client = await process_clients.async_client()
        request = client.build_request("GET", url)
        response = await client.send(request)
        assert response.request is request
        await response.aclose()

    with ScriptedServer(lambda _: Scripted({})) as server:
        client = process_clients.sync_client()
        request = client.build_request("GET", server.url)
        response = client.send(request)
        assert response.request is request
        response.close()
        asyncio.run(send(server.url))


def test_an_idle_connection_is_kept_for_30_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_clients, "_states", [process_clients._ProcessClients()])
    channel, idle = Channel(Rotating()), [0.0]
    pool: Any = process_clients.sync_client()._pool._pool  # type: ignore[attr-defined]  # a client of ours
    monkeypatch.setattr(pool, "_clock", lambda: idle[0])
    with ScriptedServer(lambda _: Scripted({})) as server:
        for seconds, connections in ((0.0, 1), (29.9, 1), (30.0, 1), (30.1, 2)):
            idle[0] += seconds
            channel.post(request_to(server))
            assert server.connections == connections
    process_clients.sync_client().close()


def test_a_tls_context_is_kept_for_the_environment_that_it_was_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    state = process_clients._ProcessClients()
    context = process_clients._tls(state, process_clients._key())
    with monkeypatch.context() as changed:
        changed.setenv("SSL_CERT_DIR", "/nowhere")  # between the client and its first call
        context()
        assert not state.contexts
    assert context() is context()


def test_certificates_that_are_missing_are_told_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match=r"cannot be read \(No such file or directory\): SSL_CERT_FILE="):
        process_clients._tls(process_clients._ProcessClients(), process_clients._key())()


def test_a_changed_environment_gets_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    first = process_clients.sync_client()
    with monkeypatch.context() as changed:
        changed.setenv("SSL_CERT_FILE", certifi.where())
        changed.setenv("SSL_CERT_DIR", "/nowhere")
        second = process_clients.sync_client()
        assert second is not first
        assert process_clients.sync_client() is second
    assert process_clients.sync_client() is first


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(lambda _: Scripted({"by": "proxy"})) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        reply = Channel(Rotating()).post(request_to("http://workspace.invalid"))
        assert reply.body == b'{"by":"proxy"}'
        assert server.requests[0].headers["host"] == "workspace.invalid"
        monkeypatch.setenv("NO_PROXY", "workspace.invalid")
        with pytest.raises(DatabricksConnectionError, match=r"workspace\.invalid cannot be reached"):
            Channel(Rotating(), policy=RetryPolicy(0)).post(request_to("http://workspace.invalid"))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:hush@proxy", "proxy:80"),
        ("https://proxy", "https://proxy:443"),
        ("http://[::1]", "[::1]:80"),
        ("socks5://proxy", "socks5://proxy:1080"),
        ("socks5h://proxy", "socks5h://proxy:1080"),
        ("http://proxy:8080", "proxy:8080"),
    ],
)
def test_a_proxy_is_shown_with_the_port_that_it_has_unless_another_is_named(address: str, shown: str) -> None:
    # As httpx keeps it, because a proxy that speaks SOCKS needs an extra of httpx.
    transport = SimpleNamespace(_pool=SimpleNamespace(_proxy_url=httpcore.URL(address)))
    client: Any = SimpleNamespace(_transport_for_url=lambda _: transport)
    assert proxy_of(client, "https://h/x") == shown
    if address.startswith("http"):
        with httpx.Client(proxy=address) as real:
            assert proxy_of(real, "https://h/x") == shown


def test_a_name_that_does_not_exist_is_not_tried_again() -> None:
    pauses: list[float] = []
    with pytest.raises(DatabricksConnectionError, match="spelling of DATABRICKS_HOST") as caught:
        Channel(Rotating(), sleep=pauses.append).post(request_to("http://workspace.invalid"))
    assert pauses == []
    assert not caught.value.is_retryable


def test_loop_after_loop() -> None:
    channel = Channel(Rotating())

    async def use() -> None:
        for _ in range(2):
            await channel.apost(request_to(server, {"stream": False}))
        async with channel.astream(request_to(server, {"stream": True}, streaming=True)) as incoming:
            assert [payloads async for payloads in incoming]

    with ScriptedServer(lambda r: Scripted(sse({}) if r.json["stream"] else {})) as server:
        for number in range(1, 4):
            asyncio.run(use())
            assert server.connections == number
            assert server.wait_open(0) == 0  # the loop was shut down, and its client with it
        gc.collect()  # a connection that was forgotten would say so now
    assert not any(loop.is_closed() for loop in process_clients._states[-1].async_clients)


def test_a_stream_left_open_does_not_outlive_its_loop() -> None:
    async def abandon() -> None:
        async def chunks() -> object:
            async with Channel(Rotating()).astream(request_to(server, streaming=True)) as incoming:
                async for payloads in incoming:
                    yield payloads

        kept.append(chunks())
        await anext(kept[0])  # type: ignore[call-overload]  # an async generator

    kept: list[object] = []
    with ScriptedServer(Scripted([b"data: 1\n\n"], stall=True)) as server:
        asyncio.run(abandon())
        assert server.wait_open(0) == 0
    kept.clear()
    gc.collect()


def test_loops_that_were_closed_without_goodbye_are_dropped() -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(process_clients.async_client())
    loop.close()
    assert loop in process_clients._states[-1].async_clients
    asyncio.run(process_clients.async_client())
    assert loop not in process_clients._states[-1].async_clients


async def test_tasks_of_one_loop_share_a_client_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_clients, "_states", [process_clients._ProcessClients()])
    clients = await asyncio.gather(*(process_clients.async_client() for _ in range(10)))
    assert len(set(clients)) == 1


def test_loops_in_threads_have_their_own_clients() -> None:
    def use(_: int) -> bytes | None:
        return asyncio.run(Channel(Rotating()).apost(request_to(server))).body

    with ScriptedServer(lambda _: Scripted({}, wait=0.02)) as server, ThreadPoolExecutor(4) as threads:
        assert list(threads.map(use, range(12))) == [b"{}"] * 12
        assert server.connections == 12


def test_threads_share_connections() -> None:
    channel = Channel(Rotating())
    with ScriptedServer(lambda _: Scripted({}, wait=0.005)) as server, ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: channel.post(request_to(server)), range(80)))
        assert all(reply.body == b"{}" for reply in replies)
        assert server.connections <= 8


FORK = """
import os, sys
sys.path.insert(0, {tests!r})
from kit.signing import Rotating, request_to
from langchain_dbchat.transport.channel import Channel
channel = Channel(Rotating())
def call(who):
    assert channel.post(request_to({url!r}, {{"who": who}})).body == b"{{}}"
call("parent")
child = os.fork()
call("child" if child == 0 else "parent")
if child:
    _, status = os.waitpid(child, 0)
    call("parent")
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system does not fork")
def test_a_forked_child_opens_its_own_connections() -> None:
    with ScriptedServer(lambda _: Scripted({})) as server:
        script = FORK.format(tests=str(TESTS), url=server.url)
        # The child leaves its parent's socket as it is, which is the one thing it may be warned about at its exit.
        warned = ["-W", "error", "-W", "ignore::ResourceWarning"]
        done = subprocess.run(
            [sys.executable, *warned, "-c", script], capture_output=True, text=True, timeout=120, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    used = {who: {r.connection for r in server.requests if r.json["who"] == who} for who in ("parent", "child")}
    assert {who: len(numbers) for who, numbers in used.items()} == {"parent": 1, "child": 1}
    assert not used["parent"] & used["child"]


def test_at_its_exit_a_forked_child_closes_its_own_clients_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    inherited, own = process_clients._ProcessClients(), process_clients._ProcessClients()
    inherited.pid = -1
    for state in (inherited, own):
        state.clients[process_clients._key()] = process_clients._new_client(
            process_clients._tls(state, process_clients._key())
        )
    clients = [client for state in (inherited, own) for client in state.clients.values()]
    monkeypatch.setattr(process_clients, "_states", [inherited, own])
    process_clients.close_sync_clients()
    assert [client.is_closed for client in clients] == [False, True]
    assert not own.clients  # a later call makes a new one
    monkeypatch.setattr(process_clients, "_states", [own, inherited])  # nothing was sent since the fork
    process_clients.close_sync_clients()
    for client in inherited.clients.values():
        assert not client.is_closed
        client.close()


def test_a_process_ends_without_warnings() -> None:
    script = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from kit.signing import Rotating, request_to
from langchain_dbchat.transport.channel import Channel
channel = Channel(Rotating())
channel.post(request_to({url!r}))
async def call():
    asyncio.get_running_loop().slow_callback_duration = 60  # on a busy machine each step takes long
    await channel.apost(request_to({url!r}))
asyncio.run(call())
"""
    with ScriptedServer(lambda _: Scripted({})) as server:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", script.format(tests=str(TESTS), url=server.url)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
