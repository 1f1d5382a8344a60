"""What interrupts have taken is taken back although their exceptions are kept, and with them all frames.

A notebook keeps the last exception, and a log may keep each of them.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from kit.interrupts import Interrupt, Interruption
from kit.scripted import Scripted, ScriptedServer, sse
from kit.signing import Rotating, request_to
from langchain_dbchat.transport import clients as pools
from langchain_dbchat.transport import limiter as limits
from langchain_dbchat.transport.channel import Channel
from langchain_dbchat.transport.http import pool as places
from langchain_dbchat.transport.http.transport import PooledTransport
from langchain_dbchat.transport.limiter import EndpointLimiter, LocalLimiter
from langchain_dbchat.transport.timeouts import Timeouts

HTTP = str(Path(places.__file__).parent)
LIMITER = limits.__file__
LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=1)


class Client(pools._Client):
    """Our client, with a pool of the test."""

    def __init__(self) -> None:
        super().__init__(ssl.create_default_context)
        self._pool = PooledTransport(ssl.create_default_context, LIMITS)


def post(channel: Channel, server: ScriptedServer, limiter: EndpointLimiter | None = None) -> None:
    assert channel.post(request_to(server), limiter=limiter).body == b'{"a":1}'


def stream(channel: Channel, server: ScriptedServer, limiter: EndpointLimiter | None = None) -> None:
    with channel.stream(request_to(server, streaming=True), limiter=limiter) as incoming:
        assert [payload for payloads in incoming for payload in payloads] == [b'{"a":1}', b"[DONE]"]


def leave_early(channel: Channel, server: ScriptedServer) -> None:
    with channel.stream(request_to(server, streaming=True)) as incoming:
        next(incoming)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[PooledTransport]:
    """The pool of the shared client; it has one place, and no connection is left open for the collector."""
    client = Client()
    monkeypatch.setattr("langchain_dbchat.transport.waits.sync_client", lambda _: client)
    yield client._pool
    client._pool.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("call", [post, stream, leave_early])
@pytest.mark.parametrize("waits", [False, True])
def test_the_place_of_a_call(
    call: Callable[[Channel, ScriptedServer], None],
    waits: bool,
    pool: PooledTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also of a call that waits for its place behind another one."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # an interrupt in a finalizer is reported, not raised
    kept: list[Interrupt] = []
    channel = Channel(Rotating(), timeouts=Timeouts(pool=3))
    answer = Scripted(sse({"a": 1}) if call is not post else {"a": 1})
    with ScriptedServer(lambda _: answer) as server:
        call(channel, server)
        for at in itertools.count(1):
            interruption = Interruption(at, HTTP)
            with occupied(pool, server) if waits else contextlib.nullcontext():
                try:
                    with interruption.under_way():
                        call(channel, server)
                except Interrupt as interrupt:
                    kept.append(interrupt)
            if interruption.left > 0:
                break
            call(channel, server)
            assert pool._pool.total == pool._pool.idle <= 1
    assert len(kept) > 50
    kept.clear()
    gc.collect()  # here: a socket that was opened in the very step of an interrupt is closed with its frames


@contextlib.contextmanager
def occupied(pool: PooledTransport, server: ScriptedServer) -> Iterator[None]:
    """Let a thread have the only place until somebody waits for it, or leaves the block."""
    left = threading.Event()
    response = pool.handle_request(httpx.Request("POST", server.url, json={}))

    def give() -> None:
        while not pool._pool._line and not left.is_set():
            time.sleep(0.0002)
        response.close()

    thread = threading.Thread(target=give)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("call", [post, stream])
@pytest.mark.parametrize("is_local", [False, True])
@pytest.mark.usefixtures("pool")
def test_the_right_to_ask_an_endpoint(call: Callable[..., None], is_local: bool) -> None:
    kept: list[Interrupt] = []
    shared = EndpointLimiter("host endpoint")
    shared.limit.bound = 1
    limiter = LocalLimiter(1, shared) if is_local else shared
    channel = Channel(Rotating())
    with ScriptedServer(lambda _: Scripted({"a": 1} if call is post else sse({"a": 1}))) as server:
        for at in itertools.count(1):
            interruption = Interruption(at, LIMITER)
            try:
                with interruption.under_way():
                    call(channel, server, limiter)
            except Interrupt as interrupt:
                kept.append(interrupt)
            assert shared.in_flight == limiter.in_flight == 0
            if interruption.left > 0:
                break
        call(channel, server, limiter)
    assert len(kept) > 20
    kept.clear()
    gc.collect()  # as above
