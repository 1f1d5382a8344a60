"""What hooks and the authentication of a user's client read of an answer has the bound of every answer."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
import traceback
import tracemalloc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

import httpx
import pytest

from kit.raw import RawServer, take_request
from kit.scripted import Scripted, ScriptedServer
from kit.silence import SILENCES, silent
from kit.ways import Way, ainvoke, astream, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.transport.timeouts import Timeouts

LIMIT = 200_000
LAST = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}'
CHALLENGE = b'www-authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
NOT_KEPT = httpx.Limits(max_keepalive_connections=0)  # for clients that nobody closes in their event loop
BOMB = gzip.compress(bytes(300 * LIMIT))


class Reading(httpx.Auth):
    """Needs the body of each answer."""

    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        yield request


class Asking(httpx.Auth):
    """Gets a token first, with a request of its own."""

    requires_response_body = True

    def __init__(self, url: str) -> None:
        self.url = url

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        answer = yield httpx.Request("POST", self.url, content=b"{}")
        request.headers["x-token"] = answer.text[:10]
        yield request


class AskingInLoops(Asking):
    """Does it in a flow of its own for each way of calling, as an authentication with locks does."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        answer = yield httpx.Request("POST", self.url, content=b"{}")
        request.headers["x-token"] = answer.read().decode()[:10]
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        answer = yield httpx.Request("POST", self.url, content=b"{}")
        request.headers["x-token"] = (await answer.aread()).decode()[:10]
        yield request


def endless(head: bytes, sent: list[int]) -> Callable[[socket.socket, int], None]:
    """Answer without an end, and note how much the client took."""

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 " + head + b"\r\n")
        while True:
            connection.sendall(b"x" * 65536)
            sent[0] += 65536

    return serve


def compressed(head: bytes, coding: bytes = b"gzip", body: bytes = BOMB) -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        while True:
            take_request(connection)
            framing = b"content-length: %d\r\ncontent-encoding: %b\r\n\r\n" % (len(body), coding)
            connection.sendall(b"HTTP/1.1 " + head + framing + body)

    return serve


class Derived(httpx.Client):
    """A class of a user's."""


class AsyncDerived(httpx.AsyncClient):
    """The same for event loops."""


class Logging(httpx.Client):
    """Reads each answer to note it."""

    def send(self, *args: Any, **options: Any) -> httpx.Response:
        response = super().send(*args, **options)
        response.read()
        return response


class AsyncLogging(httpx.AsyncClient):
    """The same for event loops."""

    async def send(self, *args: Any, **options: Any) -> httpx.Response:
        response = await super().send(*args, **options)
        await response.aread()
        return response


def clients(
    auth: httpx.Auth | None = None,
    *,
    hooks: bool = False,
    catches: bool = False,
    kinds: tuple[type[httpx.Client], type[httpx.AsyncClient]] = (httpx.Client, httpx.AsyncClient),
) -> dict[str, Any]:
    caught = contextlib.suppress(Exception) if catches else contextlib.nullcontext()

    def read(response: httpx.Response) -> None:
        with caught:
            response.read()

    async def aread(response: httpx.Response) -> None:
        with caught:
            await response.aread()

    ours: dict[str, Any] = {"response": [read]} if hooks else {}
    inside: dict[str, Any] = {"response": [aread]} if hooks else {}
    return {
        "http_client": kinds[0](auth=auth, event_hooks=ours),
        "http_async_client": kinds[1](auth=auth, event_hooks=inside, limits=NOT_KEPT),
    }


READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "the answer to an unsigned request": lambda _: clients(httpx.DigestAuth("me", "it")),
    "an authentication's last answer": lambda _: clients(Reading()),
    "an authentication's own request": lambda url: clients(Asking(url)),
    "the same in its own flows": lambda url: clients(AskingInLoops(url)),
    "a hook": lambda _: clients(hooks=True),
    "a hook, and an authentication": lambda _: clients(Reading(), hooks=True),
    "a hook that catches what it meets": lambda _: clients(hooks=True, catches=True),
    "a hook of a class of the user's": lambda _: clients(hooks=True, kinds=(Derived, AsyncDerived)),
    "a method of a class of the user's": lambda _: clients(kinds=(Logging, AsyncLogging)),
}


def model(server: RawServer | ScriptedServer, theirs: dict[str, Any], **more: Any) -> ChatDatabricksCompat:
    host = server.url.removesuffix("/x")
    settings: dict[str, Any] = {"max_retries": 0, **theirs, **more}
    return ChatDatabricksCompat(model="e", base_url=host, token="t", **settings)  # no secret


@four_ways
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("status", [b"401 No\r\n" + CHALLENGE, b"200 OK\r\n", b"500 Bad\r\n"])
def test_a_body_without_an_end(call: Way, reader: str, status: bytes) -> None:
    """An error of the endpoint is that error; any other answer is too large."""
    sent = [0]
    with RawServer(endless(status, sent)) as server:
        theirs = READERS[reader](server.url)
        with theirs["http_client"], pytest.raises(DatabricksError) as caught:
            call(model(server, theirs, max_response_bytes=LIMIT, timeout=20), "hi")
    assert caught.value.status_code == int(status[:3])
    if status.startswith(b"200"):
        assert isinstance(caught.value, MalformedResponseError)
        assert f"larger than {LIMIT} bytes" in str(caught.value)
        assert "max_response_bytes" in str(caught.value)
    else:
        assert not isinstance(caught.value, MalformedResponseError)
    assert sent[0] < 60_000_000  # what the sockets of both sides hold, for two answers


@four_ways
@pytest.mark.parametrize("reader", READERS)
def test_a_body_that_is_small_until_it_is_decompressed(call: Way, reader: str) -> None:
    is_challenged = reader.endswith("unsigned request")
    with RawServer(compressed(b"401 No\r\n" + CHALLENGE if is_challenged else b"200 OK\r\n")) as server:
        theirs = READERS[reader](server.url)
        kind = DatabricksAuthenticationError if is_challenged else MalformedResponseError
        with theirs["http_client"], pytest.raises(kind, match="401" if is_challenged else "larger than 200000 bytes"):
            call(model(server, theirs, max_response_bytes=LIMIT), "hi")


@four_ways
@pytest.mark.parametrize("reader", ["an authentication's last answer", "a hook"])
@pytest.mark.parametrize("kind", SILENCES)
def test_a_body_that_is_large_only_in_between(call: Way, reader: str, kind: str) -> None:
    """It contains nothing, so it is httpx that would hold all of it."""
    with RawServer(compressed(b"200 OK\r\n", b"gzip, gzip, gzip", silent(kind, 300))) as server:
        theirs = READERS[reader](server.url)
        call_it = model(server, theirs, max_response_bytes=LIMIT)
        tracemalloc.start()
        try:
            with theirs["http_client"], pytest.raises(MalformedResponseError, match="larger than 200000 bytes"):
                call(call_it, "hi")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 30_000_000


@four_ways
@pytest.mark.parametrize("reader", READERS)
def test_an_answer_of_a_usual_size_is_read_as_before(call: Way, reader: str) -> None:
    def answer(request: Any) -> Scripted:
        unsigned = reader.endswith("unsigned request") and "Digest" not in request.headers.get("authorization", "")
        if unsigned:
            return Scripted(b"no" * 100, status=401, headers={"www-authenticate": 'Digest realm="r", nonce="n"'})
        return Scripted(WHOLE)

    with ScriptedServer(answer) as server:
        theirs = READERS[reader](server.url)
        with theirs["http_client"]:
            assert call(model(server, theirs, max_response_bytes=LIMIT), "hi").text == "a"


KNOWN: weakref.WeakKeyDictionary[httpx.Client, str] = weakref.WeakKeyDictionary()
DERIVED: list[str] = []


class Counting(httpx.Client):
    """Keeps a state, knows itself, and closes its connections when it goes, as clients of some libraries do."""

    calls = 0
    closed = 0
    _client = "its own"
    _answers = "its own"

    def send(self, *args: Any, **options: Any) -> httpx.Response:
        self.calls += 1
        assert KNOWN[self] == "this"
        assert (self._client, self._answers) == ("its own", "its own")
        with type(self)() as other:  # one more of its kind
            other.build_request("GET", "http://localhost")
        return super().send(*args, **options)

    def __del__(self) -> None:
        Counting.closed += 1
        self.close()


class Slotted(Counting):
    """Keeps its state elsewhere."""

    __slots__ = ("calls",)

    def __init__(self, **options: Any) -> None:
        self.calls = 0
        super().__init__(**options)


class Registering(Counting):
    """Notes each class that is derived from it."""

    def __init_subclass__(cls) -> None:
        DERIVED.append(cls.__name__)


@pytest.mark.parametrize("kind", [Counting, Slotted, Registering])
def test_a_client_of_a_class_of_the_users_keeps_its_state(kind: type[Counting]) -> None:
    seen: list[int] = []
    hooks: dict[str, list[Callable[..., Any]]] = {"response": [lambda response: seen.append(response.status_code)]}
    events = Scripted([b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'] * 3 + [LAST], delay=0.05)
    with ScriptedServer(lambda _: events) as server, kind(event_hooks=hooks) as client:
        KNOWN[client] = "this"
        llm = model(server, {"http_client": client})
        for _ in range(2):
            assert "".join(chunk.text for chunk in llm.stream("hi")) == "aaa"
        assert client.calls == 2
    assert seen == [200, 200]
    assert not DERIVED


def cut_off(words: bytes) -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 429 No\r\ncontent-length: 5000\r\n\r\n" + words)

    return serve


def whole(words: bytes, coding: bytes) -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        head = b"content-encoding: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (coding, len(words))
        connection.sendall(b"HTTP/1.1 429 No\r\n" + head + words)

    return serve


WORDS = b'{"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Too many of them."}'
ERRORS = {
    "cut off": cut_off(WORDS),
    "long": whole(WORDS + b" " * 2 * LIMIT, b"identity"),
    "long, in gzip": whole(gzip.compress(WORDS + b" " * 2 * LIMIT), b"gzip"),
    "in br": whole(WORDS, b"br"),
    "in what nobody knows": whole(WORDS, b"unknown"),
    "in gzip that is none": whole(WORDS, b"gzip"),
}


@four_ways
@pytest.mark.parametrize("reader", [name for name in READERS if "hook" in name])
@pytest.mark.parametrize("error", ERRORS)
def test_a_hook_that_reads_an_error_changes_nothing(call: Way, reader: str, error: str) -> None:
    raised: list[DatabricksError] = []
    for theirs in (clients(), READERS[reader]("")):
        with (
            RawServer(ERRORS[error]) as server,
            theirs["http_client"],
            pytest.raises(DatabricksRateLimitError) as caught,
        ):
            call(model(server, theirs, max_response_bytes=LIMIT), "hi")
        raised.append(caught.value)
    plain, hooked = raised
    assert (plain.detail, plain.error_code) == (hooked.detail, hooked.error_code)
    assert plain.error_code == "REQUEST_LIMIT_EXCEEDED" or error.startswith("in ")


@four_ways
def test_it_is_sent_again_as_without_a_hook(call: Way) -> None:
    replies = [Scripted(b"x" * 20 * LIMIT, status=429), Scripted(WHOLE)]
    with ScriptedServer(*replies) as server:
        theirs = clients(hooks=True)
        with theirs["http_client"]:
            assert call(model(server, theirs, max_response_bytes=LIMIT, max_retries=1), "hi").text == "a"


class Passing(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Passes a body on, as a hook that shows progress does."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __iter__(self) -> Iterator[bytes]:
        yield from self.inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.inner:
            yield piece

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()


@four_ways
@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_an_answer_is_counted_once(call: Way, size: int) -> None:
    """Also one that a hook passes on: it is the call that reads it."""

    def put(response: httpx.Response) -> None:
        response.stream = Passing(response.stream)

    async def aput(response: httpx.Response) -> None:
        put(response)

    with ScriptedServer(lambda _: Scripted(WHOLE + b" " * (size - len(WHOLE)))) as server:
        client = httpx.Client(event_hooks={"response": [put]})
        inside = httpx.AsyncClient(event_hooks={"response": [aput]}, limits=NOT_KEPT)
        llm = model(server, {"http_client": client, "http_async_client": inside}, max_response_bytes=LIMIT)
        with client, contextlib.nullcontext() if size == LIMIT else pytest.raises(MalformedResponseError):
            assert call(llm, "hi").text == "a"


@four_ways
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("closes", [False, True])
def test_a_hook_that_takes_an_answer_is_named(call: Way, status: int, closes: bool) -> None:
    def take(response: httpx.Response) -> None:
        response.close() if closes else list(response.iter_bytes())

    async def atake(response: httpx.Response) -> None:
        if closes:
            await response.aclose()
        else:
            _ = [piece async for piece in response.aiter_bytes()]

    with ScriptedServer(lambda _: Scripted(WHOLE, status=status)) as server:
        client = httpx.Client(event_hooks={"response": [take]})
        inside = httpx.AsyncClient(event_hooks={"response": [atake]}, limits=NOT_KEPT)
        kind = ConfigurationError if status == 200 else DatabricksInvalidRequestError
        with client, pytest.raises(kind, match=r"response\.(a)?read\(\)" if status == 200 else "400"):
            call(model(server, {"http_client": client, "http_async_client": inside}), "hi")


@four_ways
def test_a_client_with_hooks_stays_as_it_is(call: Way) -> None:
    """Each hook runs once; cookies come into its own jar; hooks that are added between two calls are used."""
    headers = {"set-cookie": "a=b; Path=/", "content-type": "application/json"}
    with ScriptedServer(lambda _: Scripted(WHOLE, headers=headers)) as server:
        theirs = clients(hooks=True)
        is_async = call in {ainvoke, astream}
        client = theirs["http_async_client" if is_async else "http_client"]
        seen: list[str] = []

        def note(response: httpx.Response) -> None:
            seen.append(response.text)

        async def anote(response: httpx.Response) -> None:
            note(response)

        with theirs["http_client"]:
            llm = model(server, theirs)
            hooks = [*client.event_hooks["response"]]
            assert call(llm, "hi").text == "a"
            assert client.event_hooks["response"] == hooks
            client.event_hooks["response"].append(anote if is_async else note)
            assert call(llm, "hi").text == "a"
        assert seen == [WHOLE.decode()]
        assert dict(client.cookies) == {"a": "b"}
        assert server.requests[-1].headers["cookie"] == "a=b"


@four_ways
def test_a_request_of_an_authentication_has_the_timeouts_of_the_call(call: Way) -> None:
    """Without them, a server that says nothing would hold the call for ever."""

    def silent(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.recv(1)

    with RawServer(silent) as server:
        theirs = clients(Asking(server.url))
        with theirs["http_client"], pytest.raises(DatabricksTimeoutError, match="first_event"):
            call(model(server, theirs, timeout=Timeouts(first_event=0.3)), "hi")


class Keeping(httpx.Auth):
    """Gets a token with the same request each time."""

    def __init__(self, url: str) -> None:
        self.request = httpx.Request("POST", url, content=b"{}")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        yield self.request
        yield request


class Copying(httpx.Auth):
    """Sends a copy of the request, as some that sign do."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        headers = {**request.headers, **self.headers}
        yield httpx.Request(request.method, request.url, headers=headers, content=request.content)


class Broken(httpx.Auth):
    """Yields something that is not a request."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:  # noqa: ARG002  # httpx's
        yield self.given


def dripping(connection: socket.socket, _: int) -> None:
    take_request(connection)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


@four_ways
@pytest.mark.parametrize("make", [Asking, Keeping, lambda _: Copying()])
def test_its_requests_have_deadlines(call: Way, make: Callable[[str], httpx.Auth]) -> None:
    with RawServer(dripping) as server:
        theirs = clients(make(server.url))
        began = time.monotonic()
        with theirs["http_client"], pytest.raises(DatabricksTimeoutError, match="first_event"):
            call(model(server, theirs, timeout=Timeouts(first_event=0.4)), "hi")
        assert time.monotonic() - began < 15


@pytest.mark.parametrize("seconds", [(0.3, 15.0), (15.0, 0.3)])
def test_a_request_that_is_sent_again_has_the_deadline_of_each_call(seconds: tuple[float, float]) -> None:
    """The first answer comes after 2 s, the others at once; of two calls, the patient one succeeds."""

    def serve(connection: socket.socket, number: int) -> None:
        while True:
            take_request(connection)
            if number <= 2:
                time.sleep(2)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE))

    with RawServer(serve) as server:
        auth = Keeping(server.url)
        with httpx.Client(auth=auth) as client:
            for timeout in seconds:
                llm = model(server, {"http_client": client}, timeout=timeout)
                if timeout < 1:
                    with pytest.raises(DatabricksTimeoutError):
                        llm.invoke("hi")
                else:
                    assert llm.invoke("hi").text == "a"
                assert auth.request.extensions == {}


@four_ways
def test_a_stream_that_it_reads_has_a_deadline(call: Way) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        while True:
            connection.sendall(b": nothing\n\n")
            time.sleep(0.1)

    with RawServer(serve) as server:
        theirs = clients(Reading())
        began = time.monotonic()
        with theirs["http_client"], pytest.raises(DatabricksTimeoutError, match="first_event"):
            call(model(server, theirs, timeout=Timeouts(first_event=0.4)), "hi")
        assert time.monotonic() - began < 15


@four_ways
def test_what_it_sends_is_masked(call: Way) -> None:
    secret = "of-no-known-shape-1"  # no secret
    with ScriptedServer(lambda got: Scripted({"message": got.headers["x-api-key"]}, status=400)) as server:
        theirs = clients(Copying(**{"x-api-key": secret}))
        with theirs["http_client"], pytest.raises(DatabricksError) as caught:
            call(model(server, theirs), "hi")
    assert secret not in "".join(traceback.format_exception(caught.value))


@four_ways
def test_its_copy_does_not_change_the_framing(call: Way) -> None:
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server:
        theirs = clients(Copying(**{"transfer-encoding": "chunked"}))
        with theirs["http_client"], pytest.raises(ConfigurationError, match=r"(?i)transfer-encoding"):
            call(model(server, theirs), "hi")
    assert not server.requests


@four_ways
@pytest.mark.parametrize("given", [None, "text"])
def test_one_that_yields_no_request_is_named(call: Way, given: Any) -> None:
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server:
        theirs = clients(Broken(given))
        with theirs["http_client"], pytest.raises(ConfigurationError, match="authentication of your HTTP client"):
            call(model(server, theirs), "hi")
