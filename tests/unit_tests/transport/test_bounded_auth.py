"""What the authentication of a user's client reads before the call does has the bound of every answer."""

from __future__ import annotations

import gzip
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import httpx
import pytest

from kit.raw import RawServer, take_request
from kit.scripted import Scripted, ScriptedServer
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksError, DatabricksTimeoutError, MalformedResponseError

LIMIT = 200_000
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
            connection.sendall(bytes(65536))
            sent[0] += 65536

    return serve


def compressed(head: bytes) -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        while True:
            take_request(connection)
            length = b"content-length: %d\r\ncontent-encoding: gzip\r\n\r\n" % len(BOMB)
            connection.sendall(b"HTTP/1.1 " + head + length + BOMB)

    return serve


READERS: dict[str, Callable[[str], httpx.Auth]] = {
    "the answer to an unsigned request": lambda _: httpx.DigestAuth("me", "it"),
    "an authentication's last answer": lambda _: Reading(),
    "an authentication's own request": Asking,
    "the same in its own flows": AskingInLoops,
}


def clients(auth: httpx.Auth) -> dict[str, Any]:
    return {"http_client": httpx.Client(auth=auth), "http_async_client": httpx.AsyncClient(auth=auth, limits=NOT_KEPT)}


def model(server: RawServer | ScriptedServer, theirs: dict[str, Any], **more: Any) -> ChatDatabricksCompat:
    host = server.url.removesuffix("/x")
    return ChatDatabricksCompat(model="e", base_url=host, token="t", max_retries=0, **theirs, **more)  # no secret


@four_ways
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("status", [b"401 No\r\n" + CHALLENGE, b"200 OK\r\n", b"500 Bad\r\n"])
def test_a_body_without_an_end(call: Way, reader: str, status: bytes) -> None:
    sent = [0]
    with RawServer(endless(status, sent)) as server:
        theirs = clients(READERS[reader](server.url))
        with theirs["http_client"], pytest.raises(DatabricksError) as caught:
            call(model(server, theirs, max_response_bytes=LIMIT, timeout=20), "hi")
    if reader == "the answer to an unsigned request" and status.startswith(b"500"):
        # It answers no authentication: it is read as an error is, up to a bound.
        assert not isinstance(caught.value, MalformedResponseError)
    else:
        assert isinstance(caught.value, MalformedResponseError)
        assert f"larger than {LIMIT} bytes" in str(caught.value)
        assert "max_response_bytes" in str(caught.value)
    assert caught.value.status_code == int(status[:3])
    assert sent[0] < 20_000_000  # what the sockets of both sides hold


@four_ways
@pytest.mark.parametrize("reader", READERS)
def test_a_body_that_is_small_until_it_is_decompressed(call: Way, reader: str) -> None:
    with RawServer(compressed(b"401 No\r\n" + CHALLENGE)) as server:
        theirs = clients(READERS[reader](server.url))
        with theirs["http_client"], pytest.raises(MalformedResponseError, match="larger than 200000 bytes"):
            call(model(server, theirs, max_response_bytes=LIMIT), "hi")


@four_ways
@pytest.mark.parametrize("reader", READERS)
def test_an_answer_of_a_usual_size_is_read_as_before(call: Way, reader: str) -> None:
    def answer(request: Any) -> Scripted:
        unsigned = reader.endswith("unsigned request") and "Digest" not in request.headers.get("authorization", "")
        if unsigned:
            return Scripted(b"no" * 100, status=401, headers={"www-authenticate": 'Digest realm="r", nonce="n"'})
        return Scripted(WHOLE)

    with ScriptedServer(answer) as server:
        theirs = clients(READERS[reader](server.url))
        with theirs["http_client"]:
            assert call(model(server, theirs, max_response_bytes=LIMIT), "hi").text == "a"


@four_ways
def test_a_request_of_an_authentication_has_the_timeouts_of_the_call(call: Way) -> None:
    """Without them, a server that says nothing would hold the call for ever."""

    def silent(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.recv(1)

    with RawServer(silent) as server:
        theirs = clients(Asking(server.url))
        with theirs["http_client"], pytest.raises(DatabricksTimeoutError, match="first_event"):
            call(model(server, theirs, timeout=0.3), "hi")
