"""Every timeout is a deadline, every size is bounded, whatever bytes arrive; in all four ways of calling."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import math
import re
import resource
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser

from kit.drips import DRIPS, EVENTS, JSON, chunk, dripping, head
from kit.raw import RawServer, take_request
from kit.scripted import Scripted, ScriptedServer, sse
from kit.signing import Rotating, request_to
from kit.silence import SILENCES, silent
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.auth import grants
from langchain_dbchat.auth.grants import TokenRequest, fetch_grant
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.transport import channel, clients, content, decompression
from langchain_dbchat.transport.channel import Channel, Timeouts
from langchain_dbchat.transport.decompression import Decompressor, decompressor_for
from langchain_dbchat.transport.exchange import RetryPolicy
from langchain_dbchat.transport.http import async_sockets, http11, sockets
from langchain_dbchat.transport.sse import EventStreamDecoder

PAGE = Path(__file__).parents[3] / "docs" / "http.md"
CHUNK = {
    "id": "1",
    "object": "chat.completion.chunk",
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "a"}}],
}
LAST = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
WHOLE = {
    "id": "1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
}


def model(url: str, **more: Any) -> ChatDatabricksCompat:
    host = url.removesuffix("/x")
    return ChatDatabricksCompat(model="e", base_url=host, token="t", max_retries=0, **more)  # no secret


@four_ways
@pytest.mark.parametrize("drip", DRIPS)
def test_a_timeout_ends_an_answer_that_comes_drop_by_drop(call: Way, drip: str) -> None:
    start, drop = DRIPS[drip]
    with RawServer(dripping(start, drop)) as server:
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match="first_event"):
            call(model(server.url, timeout=Timeouts(first_event=0.4)), "hi")
        assert 0.35 < time.monotonic() - began < 15


@four_ways
def test_informational_answers_without_an_end_are_refused(call: Way) -> None:
    """As fast as they come: to read one takes longer than to send it."""

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        while True:
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 20_000)

    with RawServer(serve) as server:
        used = time.thread_time()
        with pytest.raises(DatabricksConnectionError, match="the head of the answer"):
            call(model(server.url, timeout=20), "hi")
        assert time.thread_time() - used < 1.0


@pytest.mark.parametrize("way", ["sync", "async"])
def test_informational_answers_may_be_many(way: str) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 3000 + head(JSON, b"content-length: 2") + b"{}")

    with RawServer(serve) as server:
        assert _post(way, Channel(Rotating()), request_to(server.url)).body == b"{}"


@four_ways
def test_a_stream_that_has_begun_ends_when_no_event_is_complete(call: Way) -> None:
    for drop in (chunk(b": ping\n\n"), chunk(b"data: "), b"5;" + b"x" * 100, chunk(b"event: x\n")):

        def start(kind: bytes) -> bytes:
            return head(kind) + (chunk(sse(CHUNK, done=False)) if kind == EVENTS else b"")

        with RawServer(dripping(start, drop)) as server:
            began = time.monotonic()
            with pytest.raises(DatabricksTimeoutError):
                call(model(server.url, timeout=Timeouts(first_event=0.6, idle=0.3)), "hi")
            assert time.monotonic() - began < 15


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_request_that_is_taken_slowly_is_a_timeout(way: str) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        while connection.recv(65536):  # fast enough for each part of it, too slow for the whole
            time.sleep(0.004)

    with RawServer(serve) as server:
        channel = Channel(Rotating(), timeouts=Timeouts(write=0.4, first_event=5), policy=RetryPolicy(max_retries=0))
        request = request_to(server.url, {"x": "x" * 30_000_000})
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match="timeout: write"):
            _post(way, channel, request)
        assert time.monotonic() - began < 15


def _post(way: str, channel: Channel, request: Any) -> Any:
    return channel.post(request) if way == "sync" else asyncio.run(channel.apost(request))


@four_ways
@pytest.mark.parametrize(
    "behind",
    [
        b": ping\n\n" * 5,
        b"data: {}",
        b"data: " + b"x" * 20_000_000,
        b'data: {"trace_id": "t"}\n\n',
        None,
    ],
    ids=["comments", "half an event", "too large an event", "another event", "nonsense instead of a chunk"],
)
def test_what_is_complete_is_an_answer_whatever_follows(call: Way, behind: bytes | None) -> None:
    body = sse(CHUNK, LAST)

    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(head(EVENTS) + chunk(body))
        if behind is None:
            connection.sendall(b"nonsense\r\n")
        while behind is not None:
            connection.sendall(chunk(behind))
            time.sleep(0.02)

    with RawServer(serve) as server:
        began = time.monotonic()
        llm = model(server.url, streaming=True, timeout=20)
        assert call(llm, "hi").text == "a"
        assert time.monotonic() - began < 15


# Sizes


def endless(kind: bytes, piece: bytes, packing: bytes = b"") -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(head(kind, b"connection: close" + (b"\r\ncontent-encoding: " + packing if packing else b"")))
        while True:
            connection.sendall(piece)

    return serve


PIECE = b" " * 65536
LONG_EVENTS = b"data: " + json.dumps(CHUNK).encode() + b"\n\n"


@four_ways
def test_an_answer_without_an_end_is_refused(call: Way) -> None:
    for kind, piece in ((JSON, PIECE), (EVENTS, LONG_EVENTS * 200), (EVENTS, b": x\n" * 10_000)):
        with RawServer(endless(kind, piece)) as server:
            with pytest.raises(DatabricksError, match=r"larger than 2000000 bytes.*max_response_bytes"):
                call(model(server.url, max_response_bytes=2_000_000), "hi")


@functools.cache
def bomb(layers: int, size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    data = b"".join([packer.compress(PIECE) for _ in range(size // len(PIECE))]) + packer.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


@four_ways
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_compressed_answer_is_measured_decompressed(call: Way, layers: int) -> None:
    packed = bomb(layers, 200_000_000)
    for kind in ("application/json", "text/event-stream"):
        headers = {"content-encoding": ", ".join(["gzip"] * layers), "content-type": kind}
        with ScriptedServer(lambda _, headers=headers: Scripted(packed, headers=headers)) as server:
            tracemalloc.start()
            try:
                with pytest.raises(MalformedResponseError, match="max_response_bytes"):
                    call(model(server.url, max_response_bytes=4_000_000), "hi")
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < 30_000_000


def saying_nothing(body: bytes, status: bytes = b"200 OK") -> Callable[[socket.socket, int], None]:
    """Answer with a body of three compressions, and keep the connection open."""

    def serve(connection: socket.socket, _: int) -> None:
        start = b"HTTP/1.1 %b\r\ncontent-encoding: gzip, gzip, gzip\r\ntransfer-encoding: chunked\r\n" % status
        take_request(connection)
        connection.sendall(start + b"content-type: text/event-stream\r\n\r\n" + chunk(body))
        connection.recv(1)

    return serve


@four_ways
@pytest.mark.parametrize("kind", SILENCES)
def test_compressed_bytes_that_contain_nothing_are_counted(call: Way, kind: str) -> None:
    with RawServer(saying_nothing(silent(kind, 300))) as server:
        began = time.process_time()
        with pytest.raises(MalformedResponseError, match="larger than 2000000 bytes.*max_response_bytes"):
            call(model(server.url, max_response_bytes=2_000_000, timeout=20), "hi")
        assert time.process_time() - began < 2


@four_ways
@pytest.mark.parametrize("kind", SILENCES)
def test_the_time_ends_also_while_they_are_decompressed(call: Way, kind: str) -> None:
    with RawServer(saying_nothing(silent(kind, 20_000))) as server:
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match="first_event"):
            call(model(server.url, max_response_bytes=None, timeout=Timeouts(first_event=0.5)), "hi")
        assert 0.45 < time.monotonic() - began < 15


@four_ways
def test_an_error_that_contains_nothing_is_that_error(call: Way) -> None:
    for kind in SILENCES:
        with RawServer(saying_nothing(silent(kind, 1_000), b"429 No")) as server:
            began = time.process_time()
            with pytest.raises(DatabricksRateLimitError):
                call(model(server.url, timeout=20), "hi")
            assert time.process_time() - began < 2


@four_ways
def test_a_small_answer_may_be_larger_when_it_is_compressed(call: Way) -> None:
    def reply(received: Any) -> Scripted:
        body = sse(CHUNK, LAST) if received.json.get("stream") else json.dumps(WHOLE).encode()
        sizes.append(len(body))
        packed = b"".join(gzip.compress(body[at : at + 1]) for at in range(len(body)))
        kind = "text/event-stream" if received.json.get("stream") else "application/json"
        return Scripted(packed, headers={"content-encoding": "gzip", "content-type": kind})

    sizes: list[int] = []
    with ScriptedServer(reply) as server:
        call(model(server.url), "hi")
        assert call(model(server.url, max_response_bytes=sizes[-1]), "hi").text == "a"


@four_ways
def test_an_answer_up_to_the_limit_is_read_and_none_means_any(call: Way) -> None:
    whole = json.dumps({**WHOLE, "padding": "x" * 300_000}).encode()
    streamed = sse({**CHUNK, "padding": "x" * 300_000}, LAST)

    def reply(received: Any) -> Scripted:
        return Scripted(streamed if received.json.get("stream") else whole, headers={"x-a": "b"})

    with ScriptedServer(reply) as server:
        for limit in (400_000, None):
            answer: AIMessage = call(model(server.url, max_response_bytes=limit), "hi")
            assert answer.text == "a"
        with pytest.raises(MalformedResponseError, match="max_response_bytes"):
            call(model(server.url, max_response_bytes=200_000), "hi")
        with pytest.raises(MalformedResponseError, match="max_response_bytes"):
            call(model(server.url).bind(max_response_bytes=200_000), "hi")


def test_the_page_names_the_bounds_that_the_code_has() -> None:
    waits, limits = Timeouts(), clients._LIMITS
    rows = {
        "Connections of a process": f"{limits.max_connections}, of which {limits.max_keepalive_connections} may be",
        "The head of an answer": _size(http11._HEAD_LIMIT),
        "The first line of a chunk": f"{_size(http11._LINE_LIMIT)} each",
        "Bytes that an event loop holds": f"{_size(async_sockets._HIGH_WATER)} and one read, then",
        "Bytes of one read": f"{_size(sockets.BUFFER)}; {_size(sockets.FLOOD)} after",
        "The body of an error": f"{_size(content.ERROR_BODY_LIMIT)} is read",
        "The largest answer": f"`max_response_bytes`, {_size(channel.MAX_RESPONSE_BYTES)} by default",
        "What goes into each": f"{_size(decompression._GROWTH)} more than",
        "Connecting": f"`timeout.connect`, {waits.connect:.0f} s",
        "Sending a request": f"`timeout.write`, {waits.write:.0f} s",
        "Waiting for a connection": f"`timeout.pool`, {waits.pool:.0f} s",
    }
    table = PAGE.read_text("utf-8").partition("## Its bounds")[2].partition("\n\n##")[0]
    for what, bound in rows.items():
        assert re.search(rf"^\| {re.escape(what)}[^|]*\| {re.escape(bound)}", table, re.MULTILINE), (what, bound)
    assert ChatDatabricksCompat(model="e", host="https://h").max_response_bytes == channel.MAX_RESPONSE_BYTES


def _size(number: int) -> str:
    return f"{number / 1024**2:g} MiB" if number >= 1024**2 else f"{number / 1024:g} KiB"


@four_ways
def test_the_limit_counts_each_byte(call: Way) -> None:
    def reply(received: Any) -> Scripted:
        bodies.append(streamed if received.json.get("stream") else whole)
        return Scripted(bodies[-1], headers={"x-a": "b"})

    whole, streamed, bodies = json.dumps(WHOLE).encode(), sse(CHUNK, LAST), [b""]
    with ScriptedServer(reply) as server:
        call(model(server.url), "hi")
        size = len(bodies[-1])
        answer: AIMessage = call(model(server.url, max_response_bytes=size), "hi")
        assert answer.text == "a"
        with pytest.raises(MalformedResponseError, match=f"larger than {size - 1} bytes"):
            call(model(server.url, max_response_bytes=size - 1), "hi")


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("gzip, deflate", lambda data: zlib.compress(gzip.compress(data))),
        ("identity, gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:])),
        ("gzip", lambda data: gzip.compress(data) + b"\0" * 10),
        ("identity", lambda data: data),
        ("", lambda data: data),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_compressed_bodies_cut_anywhere(encoding: str, pack: Callable[[bytes], bytes], size: int) -> None:
    data = bytes(range(256)) * 500 + b"x" * 200_000
    packed = pack(data)
    unpacker = decompressor_for(encoding, math.inf)
    if unpacker is None:
        assert packed == data
        return
    assert b"".join(_pieces(unpacker, packed, size)) == data


def test_deflate_without_a_header_whose_first_bytes_could_be_one() -> None:
    found = 0
    for number in range(0, 2**16, 37):
        data = number.to_bytes(2, "big") * 3
        packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        packed = packing.compress(data) + packing.flush()
        found += packed[0] & 15 > zlib.DEFLATED and int.from_bytes(packed[:2], "big") % 31 == 0
        unpacker = decompressor_for("deflate", math.inf)
        assert unpacker is not None
        assert b"".join(_pieces(unpacker, packed, 4)) == data
    assert found  # by its check alone, such a body has a header


def _pieces(unpacker: Decompressor, packed: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(packed), size):
        unpacker.push(packed[start : start + size])
        while (piece := unpacker.pull()) is not None:
            assert len(piece) <= 65536
            yield piece


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "gzip, gzip, gzip, gzip"])
def test_encodings_that_nobody_asked_for(encoding: str) -> None:
    with ScriptedServer(lambda _: Scripted(b"???", headers={"content-encoding": encoding})) as server:
        for way in ("sync", "async"):
            with pytest.raises(MalformedResponseError, match="content-encoding"):
                _post(way, Channel(Rotating()), request_to(server))


def test_many_members_of_gzip_take_no_time_that_grows_with_their_square() -> None:
    packed = gzip.compress(b"") * 50_000
    began = time.process_time()
    unpacker = decompressor_for("gzip", math.inf)
    assert unpacker is not None
    assert b"".join(_pieces(unpacker, packed, 65536)) == b""
    assert time.process_time() - began < 5


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("packing", ["", "gzip"])
def test_a_token_answer_is_bounded(way: str, packing: str) -> None:
    piece = bomb(1, 50_000_000) if packing else PIECE
    with RawServer(endless(JSON, piece, packing.encode())) as server:
        request = _token_request(server.url)
        with pytest.raises(MalformedResponseError, match="larger than 1048576 bytes"):
            fetch_token(way, request)


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_token_answer_that_contains_nothing_is_bounded(way: str) -> None:
    with RawServer(saying_nothing(silent("a name without an end", 300))) as server:
        with pytest.raises(MalformedResponseError, match="larger than 1048576 bytes"):
            fetch_token(way, _token_request(server.url))


def fetch_token(way: str, request: TokenRequest) -> object:
    effect = fetch_grant(lambda: request)
    return effect.call() if way == "sync" else asyncio.run(effect.acall())  # type: ignore[arg-type]  # a coroutine


def _token_request(url: str) -> TokenRequest:
    from pydantic import SecretStr  # here alone

    return TokenRequest(url, SecretStr("Basic x"), {}, "OAuth M2M token request", "step")


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("drip", ["news before the head", "a head", "comments", "spaces", "a body without a length"])
def test_a_token_answer_has_a_deadline(way: str, drip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "TIMEOUT", 0.4)
    assert grants.LARGEST == 1024 * 1024
    with RawServer(dripping(*DRIPS[drip])) as server:
        request = _token_request(server.url)
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError):
            fetch_token(way, request)
        assert time.monotonic() - began < 15


# Events


def test_empty_lines_of_one_event_are_counted() -> None:
    decoder = EventStreamDecoder()
    some = b"data:\n" * 20_000
    for _ in range(20):
        assert decoder.feed(some) == []
    with pytest.raises(MalformedResponseError, match="larger than"):
        list(map(decoder.feed, [some] * 10))


def test_small_reads_of_one_event_take_no_time_that_grows_with_their_square() -> None:
    def seconds(lines: int) -> float:
        decoder = EventStreamDecoder()
        began = time.process_time()
        for _ in range(lines):
            decoder.feed(b"data: x\n")
        assert len(decoder.feed(b"\n")[0]) == 2 * lines - 1
        return time.process_time() - began

    seconds(1_000)
    assert seconds(200_000) < 40 * max(seconds(20_000), 0.01)


@pytest.mark.parametrize(
    "within",
    [
        b"{}\n",
        b"data: 1,\n{}\n",
        b"event: error\n{}\n",
        b"{}\nevent: x\n",
        b"event: ping\n",
        b"id: x\n",
        b": x\n",
        b": x\r",
        b"stray\n",
    ],
)
def test_what_stands_within_a_large_event_takes_no_time_that_grows_with_its_size(within: bytes) -> None:
    def seconds(size: int) -> float:
        decoder = EventStreamDecoder()
        began = time.process_time()
        decoder.feed(b"data: [" + b"1," * size + b"\n")
        for _ in range(size // 100):
            decoder.feed(within)
        return time.process_time() - began

    seconds(1_000)
    assert seconds(200_000) < 40 * max(seconds(20_000), 0.01)


def test_a_line_in_single_bytes_takes_little_memory() -> None:
    decoder = EventStreamDecoder()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1_000_000):
        decoder.feed(b"xy"[:1])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


# Headers


@four_ways
@pytest.mark.parametrize(
    "name",
    [
        "Transfer-Encoding",
        "content-length",
        "Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Keep-Alive",
        "HTTP2-Settings",
        "Transfer_Encoding",
        "content_length",
        "Proxy_Connection",
        " Transfer-Encoding",
        "tRANSFER-eNCODING ",
    ],
)
def test_headers_that_frame_a_request_are_refused(call: Way, name: str) -> None:
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server:
        with pytest.raises(ConfigurationError, match=name):
            call(model(server.url).bind(extra_headers={name: "chunked"}), "hi")
        with pytest.raises(ConfigurationError, match=name):
            call(model(server.url, default_headers={name: "chunked"}), "hi")
        assert server.requests == []


@four_ways
@pytest.mark.parametrize("headers", [{5: "x"}, {"X-A": 5}, {b"X-A": "x"}, {"X-A": None}])
def test_headers_that_are_no_strings_are_refused(call: Way, headers: Any) -> None:
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server:
        with pytest.raises(ConfigurationError, match=re.escape(f"The header {next(iter(headers))!r} contains")):
            call(model(server.url).bind(extra_headers=headers), "hi")
        assert server.requests == []


def test_a_host_of_the_users_is_sent() -> None:
    with ScriptedServer(lambda _: Scripted(WHOLE)) as server:
        model(server.url, default_headers={"Host": "workspace.example"}).invoke("hi")
        assert server.requests[0].headers["host"] == "workspace.example"


# The end of a loop


async def _loop_over(stream: Any) -> None:
    async for _ in stream:
        1 / 0  # noqa: B018  # what the user's code does


async def _generator_around(stream: Any) -> Any:
    async for part in stream:
        yield part


@pytest.mark.parametrize(
    "open_stream",
    [
        lambda llm: llm.astream("hi"),
        lambda llm: llm._astream([HumanMessage("hi")]),
        lambda llm: (llm | StrOutputParser()).astream("hi"),
        lambda llm: _generator_around(llm.astream("hi")),
        lambda llm: _generator_around(_generator_around(llm._astream([HumanMessage("hi")]))),
    ],
    ids=["astream", "hook", "chain", "wrapped", "wrapped twice"],
)
def test_an_exception_in_the_loop_over_a_stream_ends_in_silence(open_stream: Callable[[Any], Any]) -> None:
    said: list[Any] = []
    kept: list[BaseException] = []

    async def use(url: str) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        await _loop_over(open_stream(model(url)))

    with ScriptedServer(lambda _: Scripted([sse(CHUNK, done=False)], stall=True)) as server:
        for _ in range(20):  # the loop's end takes its generators in any order
            with pytest.raises(ZeroDivisionError) as caught:
                asyncio.run(use(server.url))
            kept.append(caught.value)  # its frames hold the generators
        assert server.wait_open(0) == 0
    assert said == []
    assert len(kept) == 20
