"""Ways through proxies, of ours and of the users' clients: timeouts are deadlines, and no place in a pool is lost."""

from __future__ import annotations

import asyncio
import itertools
import queue
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpcore._synchronization import AsyncLock
from langchain_core.messages import AIMessage

from kit.drips import DRIPS, EVENTS, chunk, dripping, head
from kit.in_time import LONG, ends_in_time
from kit.interrupts import Interrupt
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
ONE_PLACE = httpx.Limits(max_connections=1, max_keepalive_connections=0)  # an event loop ends before its client does
STEPS = (b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6))  # what a SOCKS proxy answers: a way of signing in, a way
WHOSE = pytest.mark.parametrize("whose", ["ours", "the user's"])
# Python's ssl leaves the socket of a handshake that fails, the server's too, to the garbage collector.
pytestmark = [
    pytest.mark.usefixtures("no_thread_stays"),
    pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning"),
]


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
        late = "connect" if stage == "the tunnel" else "first_event"
        patient = dict.fromkeys(("connect", "write", "pool", "first_event"), LONG)
        ends_in_time(call, model(PROXIED, timeout=Timeouts(**patient | {late: 0.4})), text=late)


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
        with suppress(OSError):  # a client whose time was up sooner
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
            with suppress(OSError):
                listener.accept()[0].close()
                with listener.accept()[0] as connection:
                    serve(connection, len(STEPS) + 2)

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield f"socks5://127.0.0.1:{listener.getsockname()[1]}", may_take
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            may_take.set()
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
        assert (await llm.model_copy(update={"timeout": LONG}).ainvoke("hi")).text == "a"


@pytest.mark.parametrize("ends", ["in time", "cancelled", "cancelled again and again"])
@WHOSE
async def test_nor_does_one_that_takes_no_connection(
    ends: str, through: Callable[..., ChatDatabricksCompat], secured: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with with_a_full_queue(Socks(secured[0])) as (address, may_take):
        llm = through(address, 0.3 if ends == "in time" else 60)
        call = asyncio.create_task(llm.ainvoke("hi"))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await end(call, ends)
        assert time.monotonic() - began < LONG  # it may connect for a minute
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


class Talking:
    """A server over TLS, behind a SOCKS proxy, in a tunnel or without either, that answers each request."""

    def __init__(self, way: str, context: ssl.SSLContext) -> None:
        self._way = way
        self._context = context

    def __call__(self, connection: socket.socket, _: int) -> None:
        if self._way == "socks5":
            for answer in STEPS:
                connection.recv(100)
                connection.sendall(answer)
        elif self._way == "http":
            take_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with self._context.wrap_socket(connection, server_side=True) as inner:
            while True:
                take_request(inner)
                inner.sendall(ANSWER)


@pytest.mark.parametrize("moment", ["a turn of the loop", "a lock that httpcore takes"])
@pytest.mark.parametrize(
    ("whose", "way"),
    [("ours", "socks5"), ("ours", "http"), ("the user's", "socks5"), ("the user's", "http"), ("the user's", "none")],
)
async def test_a_call_that_is_cancelled_at_any_moment_costs_no_place(  # fixtures
    whose: str,
    way: str,
    moment: str,
    secured: tuple[ssl.SSLContext, ssl.SSLContext],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "both.pem"))
    monkeypatch.setattr(clients, "_PROXY_LIMITS", ONE_PLACE)
    left: list[tuple[asyncio.Task[Any], Iterator[int]]] = []  # a call that is cancelled, and locks until then
    enter = AsyncLock.__aenter__

    async def entering(lock: AsyncLock) -> AsyncLock:
        for call, locks in left:
            if next(locks) == 0:
                call.cancel()
        return await enter(lock)

    monkeypatch.setattr(AsyncLock, "__aenter__", entering)
    with RawServer(Talking(way, secured[0])) as server:
        there = server.url.removesuffix("/x")
        options: dict[str, Any] = {"limits": ONE_PLACE, "verify": secured[1]}
        proxy: dict[str, Any] = {} if way == "none" else {"proxy": there.replace("http", way)}
        url = there.replace("http://127.0.0.1", "https://localhost") if way == "none" else PROXIED
        for number in range(1, 26 if moment == "a turn of the loop" else 8):
            theirs = httpx.AsyncClient(**options, **proxy)
            settings = proxy if whose == "ours" else {"http_async_client": theirs}
            llm = model(url, timeout=Timeouts(pool=3), **settings)
            call = asyncio.create_task(llm.ainvoke("hi"))
            if moment == "a turn of the loop":
                for _ in range(number):
                    await asyncio.sleep(0)
                call.cancel()
            else:
                left.append((call, itertools.count(1 - number)))
            await asyncio.wait({call})
            left.clear()
            assert (await llm.ainvoke("hi")).text == "a", number
            await theirs.aclose()


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
                with pytest.raises(Interrupt):  # noqa: PT012  # the signal may come before the call
                    signal.setitimer(signal.ITIMER_REAL, 0.3)
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
        time.sleep(2.2)  # longer than the answer may take
        with secured[0].wrap_socket(connection, server_side=True) as inner:
            take_request(inner)
            inner.sendall(ANSWER)

    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "both.pem"))
    with RawServer(serve) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url.removesuffix("/x"))
        assert call(model(PROXIED, timeout=Timeouts(connect=LONG, first_event=2)), "hi").text == "a"


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
            return call(llm.model_copy(update={"timeout": LONG}), text)

        async def failing_in_one_loop(llm: ChatDatabricksCompat) -> AIMessage:
            for _ in range(3):
                with pytest.raises(DatabricksError):
                    await llm.ainvoke("hi")
            return await llm.model_copy(update={"timeout": LONG}).ainvoke("hi")

        llm = model(PROXIED, timeout=Timeouts(connect=0.3), **theirs if whose == "the user's" else {})
        is_async = call in (ainvoke, astream)
        answer = asyncio.run(failing_in_one_loop(llm)) if is_async else failing(llm, "hi")
        assert answer.text == "a"


class TwoWays(httpx.Auth):
    """Gets a token on one way, and sends the call on another while the first way is in use by somebody else."""

    def __init__(self) -> None:
        self.has_token, self.is_streaming = threading.Event(), threading.Event()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if b"another" in request.content:
            token = yield httpx.Request("POST", "http://models.example.com/token", content=b"{}")
            token.read()  # so that its way is free again
            self.has_token.set()
            self.is_streaming.wait(LONG)
            request.url = httpx.URL("http://other.example.com")
        yield request


def test_a_way_that_fails_closes_no_other() -> None:
    pytest.importorskip("socksio")
    auth = TwoWays()
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
    failed: queue.Queue[Exception] = queue.Queue()

    def another(llm: ChatDatabricksCompat) -> None:
        try:
            llm.invoke("another")
        except DatabricksError as error:
            failed.put(error)

    def serve(connection: socket.socket, _: int) -> None:
        server.stop_accepting()  # no second way
        for answer in STEPS:
            connection.recv(100)
            connection.sendall(answer)
        take_request(connection)
        connection.sendall(ANSWER)
        take_request(connection)
        connection.sendall(head(EVENTS) + chunk(event))
        failed_with.append(failed.get(timeout=LONG))
        connection.sendall(chunk(event) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    failed_with: list[Exception] = []
    with RawServer(serve) as server:
        address = server.url.removesuffix("/x").replace("http", "socks5")
        with httpx.Client(proxy=address, auth=auth) as client:
            llm = model("http://models.example.com", timeout=LONG, http_client=client, allow_http=True)
            thread = threading.Thread(target=another, args=(llm,))
            thread.start()
            assert auth.has_token.wait(LONG)
            texts = []
            for piece in llm.stream("a stream"):
                auth.is_streaming.set()
                texts.append(piece.text)
            thread.join(LONG)
    assert "".join(texts) == "aa"
    assert len(failed_with) == 1
