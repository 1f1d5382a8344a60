"""Event streams over a real socket: arrival, timeouts, the end, and closing. Each test runs sync and async."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kit.scripted import Scripted, ScriptedServer, sse
from kit.signing import Rotating, request_to
from kit.watchers import wait_for_watchers
from langchain_dbchat.errors import (
    DatabricksInvalidRequestError,
    DatabricksTimeoutError,
    MalformedResponseError,
    StreamInterruptedError,
)
from langchain_dbchat.transport.channel import Channel, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Generator

    from langchain_dbchat.transport.messages import Request

EVENTS = {"content-type": "text/event-stream"}


async def collect(way: str, channel: Channel, request: Request, arrived: list[bytes] | None = None) -> list[bytes]:
    """Read a stream to its end; what has arrived is in `arrived` even if it breaks."""
    arrived = [] if arrived is None else arrived

    def blocking() -> None:
        with channel.stream(request) as incoming:
            for payloads in incoming:
                assert payloads
                arrived.extend(payloads)

    if way == "sync":
        await asyncio.to_thread(blocking)
    else:
        async with channel.astream(request) as incoming:
            async for payloads in incoming:
                assert payloads
                arrived.extend(payloads)
    return arrived


def channel(**timeouts: float) -> Channel:
    return Channel(Rotating(), timeouts=Timeouts(**timeouts))


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_events_arrive_and_the_connection_is_used_again(way: str) -> None:
    body = [sse({"n": 1}, {"n": 2}, done=False), sse({"n": 3})]
    with ScriptedServer(lambda _: Scripted(body)) as server:
        for _ in range(3):
            assert await collect(way, channel(), request_to(server, streaming=True)) == [
                b'{"n":1}',
                b'{"n":2}',
                b'{"n":3}',
                b"[DONE]",
            ]
    assert server.connections == 1
    headers = server.requests[0].headers
    assert (headers["accept"], headers["accept-encoding"]) == ("text/event-stream", "identity")


@pytest.mark.parametrize("chunked", [True, False])
async def test_cut_at_every_position_of_the_body(way: str, chunked: bool) -> None:
    body = b'\xef\xbb\xbf: hi\r\ndata: {"a":"\xc3\xa5"}\r\n\r\ndata: [DONE]\n\n'
    cuts = iter(range(1, len(body)))

    def reply(_: Any) -> Scripted:
        cut = next(cuts)
        return Scripted([body[:cut], body[cut:]], headers=EVENTS, chunked=chunked)

    with ScriptedServer(reply) as server:
        for cut in range(1, len(body)):
            got = await collect(way, channel(), request_to(server, streaming=True))
            assert got == ['{"a":"å"}'.encode(), b"[DONE]"], cut


async def test_each_event_arrives_before_the_next_is_sent(way: str) -> None:
    body = [b"data: %d\n\n" % n for n in range(4)]
    arrived: list[bytes] = []
    with ScriptedServer(Scripted(body, delay=lambda number: len(arrived) == number)) as server:
        await collect(way, channel(), request_to(server, streaming=True), arrived)
    assert arrived == [b"0", b"1", b"2", b"3"]


async def test_headers_are_there_before_the_first_event(way: str) -> None:
    with ScriptedServer(Scripted(sse(), headers={**EVENTS, "X-Request-Id": "r"})) as server:
        request = request_to(server, streaming=True)
        if way == "sync":
            with channel().stream(request) as incoming:
                headers = dict(incoming.headers)
        else:
            async with channel().astream(request) as aincoming:
                headers = dict(aincoming.headers)
    assert headers["x-request-id"] == "r"


async def test_a_stream_that_ignores_the_wish_to_stream(way: str) -> None:
    with ScriptedServer(
        Scripted([b'{"a"', b": 1}"], headers={"content-type": "application/json; charset=utf-8"})
    ) as server:
        assert await collect(way, channel(), request_to(server, streaming=True)) == [b'{"a": 1}']


async def test_an_empty_body_has_no_events(way: str) -> None:
    with ScriptedServer(Scripted(b""), Scripted(b"", headers=EVENTS)) as server:
        for _ in range(2):
            assert await collect(way, channel(), request_to(server, streaming=True)) == []


@pytest.mark.parametrize(("packing", "bits"), [("gzip", 31), ("deflate", 15)])
async def test_a_compressed_stream(way: str, packing: str, bits: int) -> None:
    packer = zlib.compressobj(wbits=bits)
    packed = packer.compress(sse({"a": 1}, {"a": 2})) + packer.flush()
    pieces = [packed[:12], packed[12:30], packed[30:]]
    with ScriptedServer(Scripted(pieces, headers={**EVENTS, "content-encoding": packing})) as server:
        assert await collect(way, channel(), request_to(server, streaming=True)) == [b'{"a":1}', b'{"a":2}', b"[DONE]"]
        assert server.open_connections == 1  # it was read to its end, so the connection is kept


async def test_a_last_event_without_its_empty_line(way: str) -> None:
    with ScriptedServer(Scripted(b'data: {"a":1}\n\ndata: {"a":2}')) as server:
        assert await collect(way, channel(), request_to(server, streaming=True)) == [b'{"a":1}', b'{"a":2}']


async def test_an_error_status_is_read_and_its_connection_kept(way: str) -> None:
    refused = Scripted([b'{"error_code": "BAD_', b'REQUEST", "message": "no"}'], 400)
    with ScriptedServer(refused, Scripted(sse())) as server:
        with pytest.raises(DatabricksInvalidRequestError, match="HTTP 400 BAD_REQUEST: no"):
            await collect(way, channel(), request_to(server, streaming=True))
        await collect(way, channel(), request_to(server, streaming=True))
    assert server.connections == 1


async def test_overload_before_a_stream_is_waited_for(way: str) -> None:
    with ScriptedServer(Scripted(b"", 503, headers={"retry-after": "0"}), Scripted(sse({"a": 1}))) as server:
        assert await collect(way, channel(), request_to(server, streaming=True)) == [b'{"a":1}', b"[DONE]"]


async def test_a_page_instead_of_a_stream(way: str) -> None:
    page = Scripted(b"<html><title>Sign in</title></html>", headers={"content-type": "text/html"})
    with ScriptedServer(page) as server, pytest.raises(MalformedResponseError, match="Sign in"):
        await collect(way, channel(), request_to(server, streaming=True))


async def test_an_event_that_is_too_large(way: str) -> None:
    body = [b"data: ", *[b"x" * 2**20] * 17]
    with ScriptedServer(Scripted(body, stall=True)) as server:
        with pytest.raises(MalformedResponseError, match="larger than") as caught:
            await collect(way, channel(), request_to(server, streaming=True))
        assert await server.await_open(0) == 0
    assert caught.value.endpoint == "my-endpoint"


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_cut_connection_is_an_interruption(way: str, chunked: bool) -> None:
    body = [sse({"a": 1}, done=False), b'data: {"a":', b"2}\n\n"]
    cut = Scripted(body, drop_after=2, chunked=chunked, headers={"x-request-id": "r"})
    with ScriptedServer(cut) as server:
        arrived: list[bytes] = []
        with pytest.raises(StreamInterruptedError, match="in the middle of the answer") as caught:
            await collect(way, channel(), request_to(server, streaming=True), arrived)
        assert len(server.requests) == 1
    assert arrived == [b'{"a":1}']
    assert (caught.value.request_id, caught.value.host, caught.value.is_retryable) == ("r", server.url, True)
    assert isinstance(caught.value.__cause__, httpx.RemoteProtocolError)


async def test_a_cut_before_the_first_event_is_an_interruption(way: str) -> None:
    cut = Scripted([b"data: x\n\n"], drop_after=0, headers=EVENTS)
    with ScriptedServer(cut) as server, pytest.raises(StreamInterruptedError):
        await collect(way, channel(), request_to(server, streaming=True))


@pytest.mark.parametrize("noise", [b"", b": keep-alive\n\n", b"data: half", b"event: x\n"])
async def test_silence_between_events_is_idle_and_noise_is_silence(way: str, noise: bytes) -> None:
    body = [b"data: 1\n\ndata: 2\n\n"]
    with ScriptedServer(Scripted(body, stall=True, stall_piece=noise)) as server:
        arrived: list[bytes] = []
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match=r"no further event within 0\.2 s \(timeout: idle\)") as caught:
            await collect(way, channel(first_event=20, idle=0.2), request_to(server, streaming=True), arrived)
        assert 0.15 < time.monotonic() - began < 15
        assert await server.await_open(0) == 0
    assert arrived == [b"1", b"2"]
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("noise", [b"", b": keep-alive\n\n"])
async def test_silence_before_the_first_event_is_first_event(way: str, noise: bytes) -> None:
    with ScriptedServer(Scripted([b": hello\n\n"], stall=True, stall_piece=noise, headers=EVENTS)) as server:
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match=r"no first event within 0\.3 s \(timeout: first_event\)"):
            await collect(way, channel(first_event=0.3, idle=0.05), request_to(server, streaming=True))
        assert 0.25 < time.monotonic() - began < 15


async def test_the_first_event_may_take_longer_than_the_pauses(way: str) -> None:
    with ScriptedServer(Scripted([b": hello\n\n", sse("1")], delay=0.6, headers=EVENTS)) as server:
        got = await collect(way, channel(first_event=20, idle=0.3), request_to(server, streaming=True))
    assert got == [b"1", b"[DONE]"]


async def test_the_time_of_the_head_counts_towards_the_first_event(way: str) -> None:
    with ScriptedServer(Scripted([b": hello\n\n"], wait=3.9, stall=True, headers=EVENTS)) as server:
        began = time.monotonic()
        with pytest.raises(DatabricksTimeoutError, match="first_event"):
            await collect(way, channel(first_event=4), request_to(server, streaming=True))
        assert time.monotonic() - began < 7.8  # 7.9 if it did not


async def test_the_time_the_caller_takes_does_not_count() -> None:
    with ScriptedServer(lambda _: Scripted([b"data: 1\n\n", b"data: 2\n\n"], delay=2.2)) as server:
        request = request_to(server, streaming=True)
        with channel(idle=1.5).stream(request) as incoming:
            got = next(incoming)
            time.sleep(1.7)  # noqa: ASYNC251  # a slow consumer of a sync stream
            got += [event for payloads in incoming for event in payloads]
        async with channel(idle=1.5).astream(request) as aincoming:
            got += await anext(aincoming)
            await asyncio.sleep(1.7)
            got += [event async for payloads in aincoming for event in payloads]
    assert got == [b"1", b"2"] * 2


async def test_a_server_that_stays_after_the_end_is_left(way: str) -> None:
    with ScriptedServer(Scripted([sse({"a": 1})], stall=True)) as server:
        began = time.monotonic()
        assert await collect(way, channel(idle=20), request_to(server, streaming=True)) == [b'{"a":1}', b"[DONE]"]
        assert time.monotonic() - began < 15
        assert await server.await_open(0) == 0


async def test_a_cut_after_the_end_is_no_interruption(way: str) -> None:
    with ScriptedServer(Scripted([sse({"a": 1})], drop_after=1)) as server:
        assert await collect(way, channel(), request_to(server, streaming=True)) == [b'{"a":1}', b"[DONE]"]


async def test_an_event_after_done_is_passed_on(way: str) -> None:
    with ScriptedServer(Scripted([sse({"a": 1}), b'data: {"trace_id":"t"}\n\n'])) as server:
        got = await collect(way, channel(), request_to(server, streaming=True))
    assert got == [b'{"a":1}', b"[DONE]", b'{"trace_id":"t"}']


async def test_a_connection_given_back_has_its_own_timeouts_again(way: str) -> None:
    slow = Scripted({"ok": 1}, wait=0.3)
    with ScriptedServer(Scripted([sse({"a": 1})]), slow) as server:
        await collect(way, channel(idle=0.05), request_to(server, streaming=True))
        patient = channel(first_event=10)
        request = request_to(server)
        reply = await (patient.apost(request) if way == "async" else asyncio.to_thread(patient.post, request))
    assert reply.body == b'{"ok":1}'
    assert server.connections == 1


async def test_leaving_a_sync_stream_closes_its_connection() -> None:
    with ScriptedServer(lambda _: Scripted([b"data: 1\n\n"], stall=True, stall_piece=b"data: 2\n\n")) as server:
        request = request_to(server, streaming=True)
        with channel().stream(request) as incoming:
            assert next(incoming) == [b"1"]
            assert server.open_connections == 1
        assert await server.await_open(0) == 0
        assert list(incoming) == []
        with pytest.raises(ZeroDivisionError), channel().stream(request) as incoming:
            len(next(incoming)) / 0
        assert await server.await_open(0) == 0


async def test_leaving_an_async_stream_closes_its_connection() -> None:
    with ScriptedServer(lambda _: Scripted([b"data: 1\n\n"], stall=True, stall_piece=b"data: 2\n\n")) as server:
        async with channel().astream(request_to(server, streaming=True)) as incoming:
            async for payloads in incoming:
                assert payloads == [b"1"]
                break
            assert server.open_connections == 1
        assert await server.await_open(0) == 0
        assert [payloads async for payloads in incoming] == []


@pytest.mark.parametrize("noise", [b"", b": keep-alive\n\n"])
async def test_a_cancelled_stream_closes_its_connection(noise: bytes) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async with channel().astream(request_to(server, streaming=True)) as incoming:
            async for _ in incoming:
                started.set()

    with ScriptedServer(Scripted([b"data: 1\n\n"], stall=True, stall_piece=noise)) as server:
        task = asyncio.create_task(read())
        await asyncio.wait_for(started.wait(), 30)
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await server.await_open(0) == 0


async def test_a_generator_around_a_stream_closes_it_when_it_is_closed() -> None:
    async def chunks() -> Any:
        async with channel().astream(request_to(server, streaming=True)) as incoming:
            async for payloads in incoming:
                yield payloads

    with ScriptedServer(Scripted([b"data: 1\n\n"], stall=True)) as server:
        generator = chunks()
        assert await anext(generator) == [b"1"]
        await generator.aclose()
        assert await server.await_open(0) == 0


@pytest.mark.parametrize("idle", [0.2, None])
async def test_transports_without_a_network_stream_work_too(way: str, idle: float | None) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer token-1"
        return httpx.Response(200, headers=EVENTS, content=sse({"a": 1}))

    transport = httpx.MockTransport(answer)
    with httpx.Client(transport=transport) as client:
        async with httpx.AsyncClient(transport=transport) as async_client:
            theirs = Channel(
                Rotating(), timeouts=Timeouts(idle=idle), http_client=client, http_async_client=async_client
            )
            got = await collect(way, theirs, request_to("http://mocked", streaming=True))
    assert got == [b'{"a":1}', b"[DONE]"]


@pytest.mark.parametrize(
    ("options", "watchers"),
    [
        ({}, 1),
        ({"transport": httpx.MockTransport(lambda _: httpx.Response(200, headers=EVENTS, content=sse({})))}, 0),
        ({"event_hooks": {"response": [lambda response: response.read()]}}, 0),
    ],
    ids=["a socket", "no socket", "a body that was read"],
)
@pytest.mark.usefixtures("no_thread_stays")
def test_a_thread_watches_a_users_client_only_where_it_can_end_a_read(options: Any, watchers: int) -> None:
    with ScriptedServer(Scripted(sse({}))) as server, httpx.Client(**options) as client:
        with Channel(Rotating(), http_client=client).stream(request_to(server, streaming=True)) as incoming:
            wait_for_watchers(watchers, 10)
            assert [event for events in incoming for event in events] == [b"{}", b"[DONE]"]


async def test_a_hook_that_reads_the_response_does_no_harm(way: str) -> None:
    async def aread(response: httpx.Response) -> None:
        await response.aread()

    read = {"response": [lambda response: response.read()]}
    with ScriptedServer(Scripted(sse({"a": 1}))) as server, httpx.Client(event_hooks=read) as client:
        async with httpx.AsyncClient(event_hooks={"response": [aread]}) as async_client:
            theirs = Channel(Rotating(), http_client=client, http_async_client=async_client)
            got = await collect(way, theirs, request_to(server, streaming=True))
    assert got == [b'{"a":1}', b"[DONE]"]


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
async def test_a_compressed_stream_that_only_makes_noise_times_out(way: str, packing: str) -> None:
    packer = zlib.compressobj(wbits=31 if packing == "gzip" else 15)
    head = packer.compress(b": x\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)
    noise = packer.compress(b": x\n\n" * 2) + packer.flush(zlib.Z_SYNC_FLUSH)
    script = Scripted([head], stall=True, stall_piece=noise, headers={**EVENTS, "content-encoding": packing})
    with ScriptedServer(script) as server:
        with pytest.raises(DatabricksTimeoutError, match="first_event"):
            await collect(way, channel(first_event=0.2, idle=0.1), request_to(server, streaming=True))
        assert await server.await_open(0) == 0


async def test_a_stream_that_cannot_be_decompressed(way: str) -> None:
    for packing in ("gzip", "deflate"):
        script = Scripted([b"no", b"thing of the kind"], headers={**EVENTS, "content-encoding": packing}, stall=True)
        with ScriptedServer(script) as server:
            with pytest.raises(MalformedResponseError):
                await collect(way, channel(), request_to(server, streaming=True))
            assert await server.await_open(0) == 0


async def test_a_hundred_streams_at_once() -> None:
    with ScriptedServer(
        lambda r: Scripted([sse({"n": r.json["n"]}, done=False), sse({"n": -1})], delay=0.02)
    ) as server:
        shared = channel()
        got = await asyncio.gather(
            *(collect("async", shared, request_to(server, {"n": n}, streaming=True)) for n in range(100))
        )
    assert got == [[b'{"n":%d}' % n, b'{"n":-1}', b"[DONE]"] for n in range(100)]


# A client of the user's, which does not ask our deadline before each read


@contextlib.asynccontextmanager
async def channel_of_the_users(**timeouts: float) -> AsyncIterator[Channel]:
    with httpx.Client(trust_env=False) as sync:
        async with httpx.AsyncClient(trust_env=False) as asynchronous:
            yield Channel(Rotating(), timeouts=Timeouts(**timeouts), http_client=sync, http_async_client=asynchronous)


class Closed:
    """An awaitable that closes a coroutine at its n-th step, as its collection does, and then waits for a moment."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], step: int) -> None:
        self._coroutine = coroutine
        self._step = step

    def __await__(self) -> Generator[Any, Any, None]:
        inner = self._coroutine.__await__()
        with contextlib.suppress(StopIteration):
            for _ in range(self._step):
                yield inner.send(None)
            inner.send(None)
        yield from asyncio.sleep(0.02).__await__()
        self._coroutine.close()
        yield from asyncio.sleep(0.1).__await__()


@pytest.mark.parametrize("users", [False, True])
@pytest.mark.parametrize("step", range(5))
async def test_a_coroutine_that_is_closed_while_it_opens_a_stream_closes_its_connection(users: bool, step: int) -> None:
    with ScriptedServer(Scripted([b"data: 1\n\n"], wait=0.05, stall=True)) as server:
        async with channel_of_the_users() as own:
            opened = (own if users else channel()).astream(request_to(server, streaming=True))
            await Closed(opened.__aenter__(), step)
            await opened.__aexit__(None, None, None)  # for a step at which it was open
            assert await server.await_open(0) == 0


@pytest.mark.parametrize("noise", [b"", b": keep-alive\n\n", b"data: half"])
async def test_silence_with_a_client_of_the_users(way: str, noise: bytes) -> None:
    body = [b"data: 1\n\ndata: 2\n\n"]
    with ScriptedServer(Scripted(body, stall=True, stall_piece=noise)) as server:
        arrived: list[bytes] = []
        began = time.monotonic()
        async with channel_of_the_users(first_event=20, idle=0.2) as own:
            with pytest.raises(DatabricksTimeoutError, match=r"no further event within 0\.2 s \(timeout: idle\)"):
                await collect(way, own, request_to(server, streaming=True), arrived)
        assert 0.15 < time.monotonic() - began < 15
        assert await server.await_open(0) == 0
    assert arrived == [b"1", b"2"]


async def test_a_slow_caller_with_a_client_of_the_users_is_not_timed_out() -> None:
    with ScriptedServer(lambda _: Scripted([b"data: 1\n\n", sse()], delay=0.02)) as server:
        got: list[bytes] = []
        async with channel_of_the_users(first_event=20, idle=1.5) as own:
            for _ in range(2):
                with own.stream(request_to(server, streaming=True)) as incoming:
                    for payloads in incoming:
                        got += payloads
                        time.sleep(1.7)  # noqa: ASYNC251  # a slow consumer of a sync stream
        assert got == [b"1", b"[DONE]"] * 2
        assert server.connections == 1  # nobody has touched the connection, and nobody watches it any more


async def test_no_object_of_the_users_client_is_changed(way: str) -> None:
    """A connection is lent to us, and used by others later."""
    seen: list[dict[str, Any]] = []

    async def anote(response: httpx.Response) -> None:
        seen.append(vars(response.extensions["network_stream"]))

    def note(response: httpx.Response) -> None:
        seen.append(vars(response.extensions["network_stream"]))

    with ScriptedServer(lambda _: Scripted(sse({"a": 1}))) as server:
        async with channel_of_the_users(first_event=5, idle=5) as own:
            own._thread.http_client.event_hooks["response"].append(note)  # type: ignore[union-attr]  # it is there
            own._task.http_client.event_hooks["response"].append(anote)  # type: ignore[union-attr]  # the same
            request = request_to(server, streaming=True)
            if way == "sync":
                with own.stream(request) as stream:
                    next(stream)
                    assert "read" not in seen[0]
            else:
                async with own.astream(request) as astream:
                    await anext(astream)
                    assert "read" not in seen[0]


@pytest.mark.parametrize("is_given", [True, False])
async def test_the_caller_names_the_last_event(way: str, is_given: bool) -> None:
    """After it, the end of the body is waited for a moment only, whatever the API calls it."""
    with ScriptedServer(Scripted([b'data: {"type":"message_stop"}\n\n'], stall=True)) as server:
        request = request_to(server, streaming=True)._replace(
            is_last=(lambda event: b"message_stop" in event) if is_given else None
        )
        began = time.monotonic()
        with contextlib.nullcontext() if is_given else pytest.raises(DatabricksTimeoutError):
            assert await collect(way, channel(idle=20 if is_given else 0.3), request) == [b'{"type":"message_stop"}']
        assert time.monotonic() - began < 15
