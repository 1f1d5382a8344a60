"""Ways through proxies, of ours and of the users' clients: timeouts are deadlines, and no place in a pool is lost."""

from __future__ import annotations

import asyncio
import queue
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage

from kit.drips import DRIPS, dripping
from kit.in_time import LONG, ends_in_time
from kit.raw import RawServer, take_request
from kit.tls import certificate, contexts
from kit.ways import Way, ainvoke, astream, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksError, DatabricksTimeoutError
from langchain_dbchat.transport import clients
from langchain_dbchat.transport.channel import Timeouts

WHOLE = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)
PROXIED = "https://models.example.com"  # the test's certificate has this name
ONE_PLACE = httpx.Limits(max_connections=1)
STEPS = (b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6))  # what a SOCKS proxy answers: a way of signing in, a way
WHOSE = pytest.mark.parametrize("whose", ["ours", "the user's"])
pytestmark = pytest.mark.usefixtures("no_thread_stays")


class Interrupt(BaseException):
    """What a signal handler raises."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def secured(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts(folder)


def model(url: str, **more: Any) -> ChatDatabricksCompat:
    return ChatDatabricksCompat(model="e", base_url=url, token="t", max_retries=0, **more)  # no secret


@four_ways
@pytest.mark.parametrize("stage", ["the tunnel", "the answer in it"])
def test_a_proxy_that_answers_drop_by_drop(
    call: Way,
    stage: str,
    secured: tuple[ssl.SSLContext, ssl.SSLContext],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drips = dripping(*DRIPS["a head"])

    def serve(connection: socket.socket, number: int) -> None:
        if stage == "the tunnel":
            drips(connection, number)
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with secured[0].wrap_socket(connection, server_side=True) as inner:
            drips(inner, number)

    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "both.pem"))
    with RawServer(serve) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url.removesuffix("/x"))
        llm = model(PROXIED, timeout=Timeouts(connect=0.4, write=9, pool=9, first_event=0.5))
        ends_in_time(call, llm, text="connect" if stage == "the tunnel" else "first_event")


@WHOSE
def test_a_socks_proxy_that_says_nothing(whose: str) -> None:
    pytest.importorskip("socksio")

    def serve(connection: socket.socket, _: int) -> None:
        while connection.recv(65536):
            pass

    with RawServer(serve) as server:
        address = server.url.removesuffix("/x").replace("http", "socks5")
        with httpx.Client(proxy=address) as client:
            settings: dict[str, Any] = {"proxy": address} if whose == "ours" else {"http_client": client}
            llm = model(PROXIED, timeout=Timeouts(connect=0.4, first_event=9), **settings)
            ends_in_time(lambda llm, text: llm.invoke(text), llm, text="connect")


class Socks:
    """A SOCKS proxy whose first connections are silent, each a step later; behind the others is a server over TLS.

    Attributes:
        silent: The numbers of the connections that are silent, when they have come so far.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.silent: queue.Queue[int] = queue.Queue()

    def __call__(self, connection: socket.socket, number: int) -> None:
        connection.recv(100)
        for answer in STEPS[: number - 1]:
            connection.sendall(answer)
            if answer is STEPS[0]:
                connection.recv(100)
        if number <= len(STEPS) + 1:
            self.silent.put(number)
            while connection.recv(5000):
                pass
            return
        with self._context.wrap_socket(connection, server_side=True) as inner:
            take_request(inner)
            inner.sendall(ANSWER)


@contextmanager
def with_a_full_queue(serve: Callable[[socket.socket, int], None]) -> Iterator[tuple[str, threading.Event]]:
    """Give the address of a server that takes no connection until an event is set."""
    may_take = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as first:
        first.connect(listener.getsockname())

        def take() -> None:
            may_take.wait(LONG)
            listener.accept()[0].close()
            with listener.accept()[0] as connection:
                serve(connection, len(STEPS) + 2)

        thread = threading.Thread(target=take)
        thread.start()
        yield f"socks5://127.0.0.1:{listener.getsockname()[1]}", may_take
        thread.join(LONG)


@pytest.fixture
def through(
    whose: str, secured: tuple[ssl.SSLContext, ssl.SSLContext], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ChatDatabricksCompat]:
    """Make a model behind a SOCKS proxy, whose pool has one place."""
    pytest.importorskip("socksio")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "both.pem"))
    monkeypatch.setattr(clients, "_PROXY_LIMITS", ONE_PLACE)

    def make(address: str, connect: float) -> ChatDatabricksCompat:
        options: dict[str, Any] = {"proxy": address, "limits": ONE_PLACE, "verify": secured[1]}
        theirs = {"http_client": httpx.Client(**options), "http_async_client": httpx.AsyncClient(**options)}
        settings = {"proxy": address} if whose == "ours" else theirs
        return model(PROXIED, timeout=Timeouts(connect=connect, pool=3), **settings)

    return make


@pytest.mark.parametrize("ends", ["in time", "cancelled", "cancelled again and again"])
@WHOSE
async def test_a_silent_socks_proxy_costs_no_place(
    ends: str, through: Callable[..., ChatDatabricksCompat], secured: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """Also if it is silent a step later, or the server behind it is."""
    socks = Socks(secured[0])
    with RawServer(socks) as server:
        llm = through(server.url.removesuffix("/x").replace("http", "socks5"), 0.2 if ends == "in time" else 9)
        for _ in range(3):
            call = asyncio.create_task(llm.ainvoke("hi"))
            await asyncio.to_thread(socks.silent.get, timeout=LONG)
            await end(call, ends)
        assert (await llm.ainvoke("hi")).text == "a"


@pytest.mark.parametrize("ends", ["in time", "cancelled", "cancelled again and again"])
@WHOSE
async def test_nor_does_one_that_takes_no_connection(
    ends: str, through: Callable[..., ChatDatabricksCompat], secured: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with with_a_full_queue(Socks(secured[0])) as (address, may_take):
        llm = through(address, 0.3 if ends == "in time" else 9)
        call = asyncio.create_task(llm.ainvoke("hi"))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await end(call, ends)
        assert time.monotonic() - began < 2
        may_take.set()
        assert (await llm.model_copy(update={"timeout": LONG}).ainvoke("hi")).text == "a"


async def end(call: asyncio.Task[AIMessage], how: str) -> None:
    if how != "in time":
        call.cancel()
    while how == "cancelled again and again" and not call.done():
        await asyncio.sleep(0)
        call.cancel()
    with pytest.raises(DatabricksTimeoutError if how == "in time" else asyncio.CancelledError):
        await call


@pytest.mark.filterwarnings(
    "ignore:unclosed <ssl:ResourceWarning"
)  # ssl leaves the socket of a handshake to the collector
@WHOSE
def test_an_interrupt_costs_no_place(
    through: Callable[..., ChatDatabricksCompat], secured: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with RawServer(Socks(secured[0])) as server:
            llm = through(server.url.removesuffix("/x").replace("http", "socks5"), 9)
            for _ in range(3):
                signal.setitimer(signal.ITIMER_REAL, 0.3)
                with pytest.raises(Interrupt):
                    llm.invoke("hi")
            assert llm.invoke("hi").text == "a"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


async def test_a_call_that_is_cancelled_ends_no_other_behind_the_same_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """At any turn of the event loop: httpcore gives an idle connection to two calls, and one of them gets it."""

    def serve(connection: socket.socket, _: int) -> None:
        while True:
            take_request(connection)
            time.sleep(0.01)
            connection.sendall(ANSWER)

    with RawServer(serve) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/x"))
        llm = model("http://models.example.com", allow_http=True)
        for turns in range(12):
            await llm.ainvoke("hi")
            stays, goes = (asyncio.create_task(llm.ainvoke("hi")) for _ in range(2))
            for _ in range(turns):
                await asyncio.sleep(0)
            goes.cancel()
            await asyncio.wait({goes})
            assert (await stays).text == "a"


@four_ways
def test_a_slow_handshake_in_a_tunnel_has_the_time_to_connect(
    call: Way, secured: tuple[ssl.SSLContext, ssl.SSLContext], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        time.sleep(0.8)  # longer than the answer may take
        with secured[0].wrap_socket(connection, server_side=True) as inner:
            take_request(inner)
            inner.sendall(ANSWER)

    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "both.pem"))
    with RawServer(serve) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url.removesuffix("/x"))
        assert call(model(PROXIED, timeout=Timeouts(connect=9, first_event=0.4)), "hi").text == "a"


@four_ways
@pytest.mark.parametrize("fault", ["a certificate", "silence", "nonsense"])
@WHOSE
def test_a_tunnel_whose_tls_fails_gives_its_place_back(  # fixtures
    call: Way,
    whose: str,
    fault: str,
    secured: tuple[ssl.SSLContext, ssl.SSLContext],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool has one place: if it were lost, the last call would find none."""
    certificate.cache_clear()
    stranger = contexts(tmp_path)[0]

    def serve(connection: socket.socket, number: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        if number <= 3 and fault != "a certificate":
            connection.recv(65536)
            connection.sendall(b"" if fault == "silence" else b"nonsense" * 10)
            while connection.recv(65536):  # until the client closes
                pass
            return
        context = stranger if number <= 3 else secured[0]
        with context.wrap_socket(connection, server_side=True) as inner:
            take_request(inner)
            inner.sendall(ANSWER)

    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "both.pem"))
    monkeypatch.setattr(clients, "_PROXY_LIMITS", ONE_PLACE)
    with RawServer(serve) as server:
        address = server.url.removesuffix("/x")
        monkeypatch.setenv("HTTPS_PROXY", address)
        options: dict[str, Any] = {"proxy": address, "limits": ONE_PLACE, "verify": secured[1]}
        theirs = {"http_client": httpx.Client(**options), "http_async_client": httpx.AsyncClient(**options)}

        def failing(llm: ChatDatabricksCompat, text: str) -> AIMessage:
            for _ in range(3):
                with pytest.raises(DatabricksError):
                    call(llm, text)
            return call(llm, text)

        async def failing_in_one_loop(llm: ChatDatabricksCompat) -> AIMessage:
            for _ in range(3):
                with pytest.raises(DatabricksError):
                    await llm.ainvoke("hi")
            return await llm.ainvoke("hi")

        llm = model(PROXIED, timeout=Timeouts(connect=0.3, pool=3), **theirs if whose == "the user's" else {})
        is_async = call in (ainvoke, astream)
        answer = asyncio.run(failing_in_one_loop(llm)) if is_async else failing(llm, "hi")
        assert answer.text == "a"
