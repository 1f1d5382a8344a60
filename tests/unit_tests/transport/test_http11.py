"""Answers on the wire, read as httpx reads them: heads, bodies, chunks, and what is none."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from kit.raw import OK, OURS, WAITS, WAYS, Caller, RawServer, answer_always, take_request
from langchain_dbchat.transport.http import http11
from langchain_dbchat.transport.http.http11 import Chunked, Head, write_request


@pytest.fixture(params=WAYS)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    made = Caller(request.param)
    yield made
    made.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
def test_a_connection_that_cannot_be_kept_is_closed(caller: Caller, head: bytes) -> None:
    with RawServer(answer_always(head)) as server:
        assert [caller.send(server.url) for _ in range(2)] == [(200, b"{}")] * 2
        assert server.connections == 2


@pytest.mark.parametrize("way", OURS)
def test_a_server_that_says_too_much_is_left(way: str) -> None:
    caller = Caller(way)  # httpx, too, does not use the connection again, but fails the call
    with RawServer(answer_always(OK + b"too much")) as server:
        assert [caller.send(server.url) for _ in range(2)] == [(200, b"{}")] * 2
        assert server.connections == 2
    caller.close()


def test_a_body_that_ends_with_the_connection(caller: Caller) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n{")
        time.sleep(0.01)
        connection.sendall(b"}")

    with RawServer(serve) as server:
        assert [caller.send(server.url) for _ in range(2)] == [(200, b"{}")] * 2
        assert server.connections == 2


def test_the_callers_wish_to_close_is_heard(caller: Caller) -> None:
    with RawServer(answer_always(OK)) as server:
        for _ in range(2):
            assert caller.send(server.url, Connection="close") == (200, b"{}")
        assert server.connections == 2


def test_heads_without_bodies_and_news_before_the_head(caller: Caller) -> None:
    replies = [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
    ]

    def serve(connection: socket.socket, _: int) -> None:
        for reply in replies:
            take_request(connection)
            connection.sendall(reply)
        connection.recv(1)

    with RawServer(serve) as server:
        assert caller.send(server.url) == (204, b"")
        assert caller.send(server.url) == (200, b"{}")
        assert caller.send(server.url, b"", "HEAD") == (200, b"")
        assert server.connections == 1
        caller.close()
        if caller.sync is None:
            caller.loop = asyncio.new_event_loop()


CHUNKS = b'5\r\nhello\r\n6; name="x"\r\n world\r\n001\r\n!\r\nA \r\n0123456789\r\n0\r\nx-trailer: 1\r\n\r\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_chunks_cut_anywhere(caller: Caller, size: int) -> None:
    whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS

    def serve(connection: socket.socket, _: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            take_request(connection)
            for start in range(0, len(whole), size):
                connection.sendall(whole[start : start + size])

    with RawServer(serve) as server:
        for _ in range(2):
            assert caller.send(server.url) == (200, b"hello world!0123456789")
        assert server.connections == 1


def test_chunks_cut_at_every_two_places() -> None:
    for first in range(len(CHUNKS) + 1):
        for second in range(first, len(CHUNKS) + 1):
            body = Chunked()
            pieces = [CHUNKS[:first], CHUNKS[first:second], CHUNKS[second:]]
            assert b"".join(body.feed(piece) for piece in pieces if piece) == b"hello world!0123456789"
            assert body.done
            assert not body.excess


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 200_000,
    ],
)
def test_answers_that_are_none(caller: Caller, reply: bytes) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(reply)

    with RawServer(serve) as server, pytest.raises(httpx.RemoteProtocolError):
        caller.send(server.url)


def test_requests_that_cannot_be_written(caller: Caller) -> None:
    with RawServer(answer_always(OK)) as server:
        with pytest.raises(httpx.LocalProtocolError):
            caller.send(server.url, authorization="Bearer a\r\nx: y")
        assert caller.send(server.url) == (200, b"{}")


def test_addresses_that_cannot_be_called(caller: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        caller.send(f"http://127.0.0.1:{port}/")
    with pytest.raises(httpx.ConnectError):
        caller.send("http://workspace.invalid/")
    with pytest.raises(httpx.UnsupportedProtocol):
        caller.send("ftp://127.0.0.1/")


def test_tls_that_is_none(caller: Caller) -> None:
    with RawServer(lambda connection, _: connection.sendall(b"I speak no TLS")) as server:
        with pytest.raises(httpx.ConnectError) as caught:
            caller.send(server.url.replace("http:", "https:"))
        assert caught.value.__cause__ is not None


def test_a_silent_server(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WAITS, "read", 0.05)

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.recv(1)

    with RawServer(serve) as server, pytest.raises(httpx.ReadTimeout):
        caller.send(server.url)


def test_a_server_that_refuses_before_it_has_read_is_heard(caller: Caller) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass

    with RawServer(serve) as server:
        assert caller.send(server.url, b"x" * 8_000_000) == (413, b"{}")


def read(data: bytes, request: httpx.Request, *, plain: bool) -> Head | str | None:
    """Read a head, with the patterns or with h11 alone."""
    reader, _ = write_request(request)
    if not plain:
        reader.written()
    try:
        return reader.feed(data)
    except httpx.RemoteProtocolError as error:
        return str(error)


def facts(head: Head | str | None) -> object:
    if not isinstance(head, Head):
        return head
    headers = [(name, value) for name, value in head.headers]
    return (head.status, head.reason, head.version, headers, head.rest, head.keeps, type(head.body), head.body.done)


HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: today\r\nX-Odd:  a b\t \r\nX-Empty:\r\ncontent-length: 3\r\nConnection: close\r\n\r\nabc"
)
SEEDS = (
    HEAD,
    HEAD.replace(b"content-length: 3", b"Transfer-Encoding: chunked"),
    HEAD.replace(b"Date: today", b"Transfer-Encoding: Chunked"),
    HEAD.replace(b"Date: today", b"Content-Length: 3"),
    HEAD.replace(b"Date: today", b"Content-Length: 4"),
    HEAD.replace(b"Date: today", b"Date: to\r\n day"),
    HEAD.replace(b"200 OK", b"204"),
    HEAD.replace(b"200 OK", b"100 Continue"),
    HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    HEAD.replace(b"\r\n", b"\n"),
)


def test_the_patterns_read_what_h11_reads() -> None:
    dice = random.Random(0)  # noqa: S311  # to be thrown again
    request = httpx.Request("POST", "http://host/path", content=b"{}")
    by_pattern = 0
    for number in range(20_000):
        data = bytearray(SEEDS[number % len(SEEDS)])
        for _ in range(dice.randrange(3)):
            where = dice.randrange(len(data))
            match dice.randrange(3):
                case 0:
                    data[where] = dice.choice(b"\r\n\t :;,\0\x7f\xffaA0-")
                case 1:
                    del data[where]
                case _:
                    data.insert(where, dice.choice(b"\r\n\t :;,\0\x7f\xffaA0-"))
        by_pattern += http11._plain_head(bytes(data), "POST") is not None
        ours, theirs = (facts(read(bytes(data), request, plain=plain)) for plain in (True, False))
        assert ours == theirs, bytes(data)
    assert by_pattern > 2_000


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer a b"}, {"x-empty": ""}, {"X-Case": "a\tb"}, {"x-letters": "\xe9".encode("latin-1")}],
)
@pytest.mark.parametrize("content", [b"", b"{}", b"x" * 65_536, b"x" * 65_537])
def test_the_patterns_write_what_h11_writes(headers: dict[str, str | bytes], content: bytes) -> None:
    url = "http://host/a%20b?c=d"
    request = httpx.Request("POST", url, headers=headers, content=content)  # type: ignore[arg-type]  # str and bytes
    reader, pieces = write_request(request)
    assert b"".join(pieces) == reader.written()


def test_a_large_body_is_not_copied_behind_its_head() -> None:
    small, large = b"x" * 64 * 1024, b"x" * (64 * 1024 + 1)
    assert [len(write_request(httpx.Request("POST", "http://host/", content=body))[1]) for body in (small, large)] == [
        1,
        2,
    ]
    assert write_request(httpx.Request("POST", "http://host/", content=large))[1][1] is large


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\r\n", "a\nb", "a\0b", " a", "a ", "a\r\n\r\nGET / HTTP/1.1"])
def test_a_header_cannot_smuggle_another(value: str) -> None:
    request = httpx.Request("POST", "http://host/", headers={"x-own": value}, content=b"{}")
    with pytest.raises(httpx.LocalProtocolError):
        write_request(request)


@pytest.mark.parametrize("name", ["Authorization: Bearer other", "Content-Length: 9", "a b", "x:", "", "x\r\ny"])
def test_a_name_cannot_smuggle_a_header(name: str) -> None:
    request = httpx.Request("POST", "http://host/", headers={name: "x"}, content=b"{}")
    with pytest.raises(httpx.LocalProtocolError):
        write_request(request)


def test_a_request_without_a_host_or_with_two_framings_is_h11s_to_judge() -> None:
    request = httpx.Request("POST", "http://host/", headers={"transfer-encoding": "2"}, content=b"{}")
    with pytest.raises(httpx.LocalProtocolError):
        write_request(request)
    request = httpx.Request("POST", "http://host/", content=b"{}")
    del request.headers["host"]
    with pytest.raises(httpx.LocalProtocolError):
        write_request(request)


def test_a_head_has_a_limit() -> None:
    reader, _ = write_request(httpx.Request("POST", "http://host/", content=b"{}"))
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: " + b"a" * 150_000
    assert http11._plain_head(long + b"\r\n\r\n", "POST") is None
    with pytest.raises(httpx.RemoteProtocolError):
        reader.feed(long)


@pytest.mark.parametrize("way", OURS)
@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
def test_what_follows_an_answer_without_a_body_is_left_too(way: str, head: bytes) -> None:
    caller = Caller(way)
    with RawServer(answer_always(head + b"HTTP/1.1 200")) as server:
        assert [caller.send(server.url)[1] for _ in range(2)] == [b""] * 2
        assert server.connections == 2
    caller.close()


@pytest.mark.parametrize("length", ["1", "3"])
def test_a_length_that_is_none_is_not_sent(length: str) -> None:
    request = httpx.Request("POST", "http://host/", headers={"content-length": length}, content=b"{}")
    with pytest.raises(httpx.LocalProtocolError):
        write_request(request)


def test_a_head_that_almost_fits_takes_no_time() -> None:
    began = time.process_time()
    for filler in (b" " * 60_000, b"a" * 60_000, b"a " * 30_000, b"a:b\r\n" * 10_000, b"\t \t" * 20_000):
        assert http11._plain_head(b"HTTP/1.1 200 OK\r\nx:" + filler + b"\0\r\n\r\n", "POST") is None
    assert time.process_time() - began < 15


@pytest.mark.parametrize(("end", "checked"), [(b"\r\n", 0), (b"\n", 0), (b"x: y\r\n\r\n", 1)])
def test_h11_is_asked_only_if_headers_follow_the_last_chunk(
    end: bytes, checked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[bytes] = []
    monkeypatch.setattr(http11, "_check_trailers", blocks.append)
    whole = b"2\r\n{}\r\n0\r\n" + end
    for cut in range(len(whole)):
        body, before = Chunked(), len(blocks)
        assert b"".join(body.feed(piece) for piece in (whole[:cut], whole[cut:]) if piece) == b"{}"
        assert (body.done, body.excess) == (True, False)
        assert len(blocks) - before == checked


@pytest.mark.parametrize("trailers", [b"x\r\n", b"a b: c\r\n", b": y\r\n", b"x: a\x00b\r\n", b"content-length: -1\r\n"])
def test_malformed_headers_after_the_last_chunk_are_refused(caller: Caller, trailers: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    with (
        RawServer(answer_always(head + trailers + b"\r\n")) as server,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        caller.send(server.url)
