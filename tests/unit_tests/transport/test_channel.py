"""The loop over a real socket: whole answers, errors, retries, headers. Each test runs sync and async."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic_core import to_json

from kit.scripted import Received, Scripted, ScriptedServer
from kit.signing import Rotating, request_to
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAPIError,
    DatabricksAuthenticationError,
    DatabricksConnectionError,
    DatabricksError,
    DatabricksInvalidRequestError,
    DatabricksRateLimitError,
    DatabricksTimeoutError,
    MalformedResponseError,
)
from langchain_dbchat.transport.channel import Channel, Timeouts
from langchain_dbchat.transport.clients import async_client, sync_client
from langchain_dbchat.transport.exchange import RetryPolicy
from langchain_dbchat.transport.headers import plain_headers
from langchain_dbchat.transport.limiter import EndpointLimiter
from langchain_dbchat.transport.messages import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from langchain_dbchat.transport.limiter import Permit, WaitEvent
    from langchain_dbchat.transport.messages import Reply


class Sleepless:
    """A channel whose pauses only move its clock."""

    def __init__(self, **options: Any) -> None:
        self.pauses: list[float] = []
        self.credentials = options.pop("credentials", None) or Rotating()
        self.channel = Channel(
            self.credentials, sleep=self.pauses.append, asleep=self._asleep, dice=lambda: 0.5, **options
        )

    async def _asleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def post(way: str, channel: Channel, request: Request, revise: Any = None) -> Reply:
    if way == "async":
        return await channel.apost(request, revise)
    return await asyncio.to_thread(channel.post, request, revise)


async def test_a_header_of_the_credentials_that_is_no_string_is_named() -> None:
    signer = Rotating(more={"X-A": 5})  # type: ignore[dict-item]  # that is the point
    with pytest.raises(ConfigurationError, match="not a string"):
        await Channel(signer).apost(Request("http://h/x", {}, b"{}", "ep", "http://h"))


class _Body(httpx.AsyncByteStream):
    """A body without an end, whose iterator cannot be closed."""

    is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return b"x" * 10

    async def aclose(self) -> None:
        self.is_closed = True


async def test_a_body_of_a_users_transport_that_is_not_read_to_its_end_is_closed() -> None:
    body = _Body()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=body))
    async with httpx.AsyncClient(transport=transport) as client:
        channel = Channel(Rotating(), http_async_client=client, max_response_bytes=100)
        with pytest.raises(MalformedResponseError, match="larger than 100 bytes"):
            await channel.apost(Request("http://h/x", {}, b"{}", "ep", "http://h"))
    assert body.is_closed


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_answer_and_the_request_on_the_wire(way: str) -> None:
    with ScriptedServer(Scripted({"a": 1}, headers={"X-Request-Id": "r"})) as server:
        reply = await post(way, Channel(Rotating()), request_to(server, {"messages": ["å"]}, X_Own="yes"))
    assert (reply.status, reply.body, reply.headers["x-request-id"]) == (200, b'{"a":1}', "r")
    (received,) = server.requests
    assert (received.method, received.path) == ("POST", "/serving-endpoints/my-endpoint/invocations")
    assert received.query == {"o": ["1"]}
    assert received.json == {"messages": ["å"]}
    headers = dict(received.headers)
    assert headers.pop("host") == server.url.removeprefix("http://")
    assert "gzip" in headers.pop("accept-encoding")
    assert headers.pop("user-agent").startswith("langchain-dbchat/")
    assert headers == {
        "accept": "application/json",
        "content-type": "application/json",
        "content-length": str(len(received.body)),
        "authorization": "Bearer token-1",
        "x-own": "yes",
    }


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ([(b"X-A", b"1"), (b"x-a", b"2"), (b"Retry-After", b"3")], {"x-a": "1, 2", "retry-after": "3"}),
        ([(b"X-A", "å".encode()), (b"X-B", b"1")], {"x-a": "å", "x-b": "1"}),
        ([(b"X-A", b"\xe5")], {"x-a": "å"}),
    ],
)
def test_headers_are_read_as_httpx_reads_them(sent: list[tuple[bytes, bytes]], read: dict[str, str]) -> None:
    assert (
        plain_headers(httpx.Headers(sent)) == read == {name.lower(): text for name, text in httpx.Headers(sent).items()}
    )


async def test_a_hook_that_reads_the_answer_does_no_harm(way: str) -> None:
    async def aread(response: httpx.Response) -> None:
        await response.aread()

    read = {"response": [lambda response: response.read()]}
    with ScriptedServer(Scripted({"a": 1})) as server, httpx.Client(event_hooks=read) as client:
        async with httpx.AsyncClient(event_hooks={"response": [aread]}) as async_client:
            theirs = Channel(Rotating(), http_client=client, http_async_client=async_client)
            assert (await post(way, theirs, request_to(server))).body == b'{"a":1}'


async def test_user_agent_names_package_and_python(way: str) -> None:
    with ScriptedServer(Scripted({})) as server:
        await post(way, Channel(Rotating()), request_to(server))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert server.requests[0].headers["user-agent"] == f"langchain-dbchat/0.1.0 python/{python}"


async def test_the_signature_wins_but_over_an_authorization_of_the_user(way: str) -> None:
    with ScriptedServer(Scripted({}), Scripted({})) as server:
        channel = Channel(Rotating(more={"X-Databricks-Workspace-Id": "1"}))
        await post(way, channel, request_to(server, x_databricks_workspace_id="9", user_agent="mine"))
        await post(way, channel, request_to(server, aUTHORIZATION="Bearer own"))
    first, second = (received.headers for received in server.requests)
    assert (first["authorization"], first["x-databricks-workspace-id"]) == ("Bearer token-1", "1")
    assert first["user-agent"] == "mine"
    assert second["authorization"] == "Bearer own"


async def test_one_connection_serves_call_after_call(way: str) -> None:
    with ScriptedServer(lambda _: Scripted({})) as server:
        for _ in range(4):
            await post(way, Channel(Rotating()), request_to(server))
    assert [received.connection for received in server.requests] == [1, 1, 1, 1]


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_answers_and_errors_are_read(way: str, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    head = {"content-encoding": encoding, "content-type": "application/json"}
    with ScriptedServer(
        Scripted(pack(b'{"a": 1}'), headers=head), Scripted(pack(b'{"message": "no"}'), 400, headers=head)
    ) as server:
        assert (await post(way, Channel(Rotating()), request_to(server))).body == b'{"a": 1}'
        with pytest.raises(DatabricksInvalidRequestError, match="HTTP 400: no"):
            await post(way, Channel(Rotating()), request_to(server))


async def test_an_answer_that_cannot_be_decompressed(way: str) -> None:
    with ScriptedServer(Scripted(b"not gzip at all", headers={"content-encoding": "gzip"})) as server:
        with pytest.raises(MalformedResponseError, match="cannot be decompressed"):
            await post(way, Channel(Rotating()), request_to(server))
        assert await server.await_open(0) == 0


async def test_a_large_answer_is_read_whole(way: str) -> None:
    body = to_json({"data": [0.5] * 700_000})
    with ScriptedServer(Scripted(body)) as server:
        assert (await post(way, Channel(Rotating()), request_to(server))).body == body


async def test_overload_is_waited_for_as_the_server_asks(way: str) -> None:
    limited = Scripted({"message": "slow"}, 429, headers={"Retry-After": "3"})
    with ScriptedServer(limited, Scripted(b"", 503), Scripted({"ok": True})) as server:
        sleepless = Sleepless()
        assert (await post(way, sleepless.channel, request_to(server))).body == b'{"ok":true}'
    assert sleepless.pauses == [3, 0.5]
    assert sleepless.credentials.asked == [way] * 3
    assert [received.body for received in server.requests] == [server.requests[0].body] * 3


async def test_the_last_error_is_raised_with_its_history(way: str) -> None:
    with ScriptedServer(lambda _: Scripted({"message": "full"}, 503, headers={"x-request-id": "r"})) as server:
        sleepless = Sleepless(policy=RetryPolicy(max_retries=2))
        with pytest.raises(DatabricksAPIError, match="HTTP 503: full") as caught:
            await post(way, sleepless.channel, request_to(server))
    assert len(server.requests) == 3
    assert len(caught.value.__dict__["__notes__"]) == 3
    assert (caught.value.endpoint, caught.value.host) == ("my-endpoint", server.url)
    assert caught.value.request_id == "r"


async def test_a_refused_token_is_renewed_once(way: str) -> None:
    def check(received: Received) -> Scripted:
        fresh = received.headers["authorization"] == "Bearer token-2"
        return Scripted({"ok": 1}) if fresh else Scripted(b"Invalid Token", 403)

    with ScriptedServer(check) as server:
        sleepless = Sleepless()
        await post(way, sleepless.channel, request_to(server))
    assert sleepless.credentials.asked == [way, f"{way} refresh"]

    with ScriptedServer(lambda _: Scripted({"error_code": 401, "message": "no"}, 401)) as server:
        with pytest.raises(DatabricksAuthenticationError, match="TEST_TOKEN"):
            await post(way, Sleepless().channel, request_to(server))
        assert len(server.requests) == 2


async def test_a_refused_field_is_revised_once(way: str) -> None:
    def revise(error: DatabricksError) -> Request:
        assert error.detail == "b: Extra inputs are not permitted"
        return request_to(server, {"a": 1})

    def check(received: Received) -> Scripted:
        refused = Scripted({"error_code": "BAD_REQUEST", "message": "b: Extra inputs are not permitted"}, 400)
        return refused if "b" in received.json else Scripted({"ok": 1})

    with ScriptedServer(check) as server:
        await post(way, Channel(Rotating()), request_to(server, {"a": 1, "b": 2}), revise)
    assert [received.json for received in server.requests] == [{"a": 1, "b": 2}, {"a": 1}]


async def test_redirects_are_not_followed(way: str) -> None:
    login = ScriptedServer(lambda r: Scripted(b"", 302, headers={"location": f"/login{r.path}"}))
    with login as server, pytest.raises(DatabricksAuthenticationError, match="login page"):
        await post(way, Channel(Rotating()), request_to(server))
    assert {received.path for received in server.requests} == {"/serving-endpoints/my-endpoint/invocations"}


async def test_cookies_are_not_kept(way: str) -> None:
    with ScriptedServer(lambda _: Scripted({}, headers={"set-cookie": "session=1; Path=/"})) as server:
        for _ in range(2):
            await post(way, Channel(Rotating()), request_to(server))
        client = sync_client() if way == "sync" else await async_client()
    assert all("cookie" not in received.headers for received in server.requests)
    assert list(client.cookies.jar) == []


async def test_an_endless_error_body_is_not_read_to_its_end(way: str) -> None:
    endless = Scripted(
        [b"x" * 65_536] * 17, 400, stall=True, stall_piece=b"x" * 65_536, headers={"content-type": "text/plain"}
    )
    with ScriptedServer(endless) as server:
        with pytest.raises(DatabricksInvalidRequestError) as caught:
            await post(way, Channel(Rotating()), request_to(server))
        assert await server.await_open(0) == 0
    assert caught.value.response is not None
    assert len(caught.value.response.text) == 65_536


async def test_an_error_whose_explanation_is_cut_off_is_still_that_error(way: str) -> None:
    cut = Scripted([b'{"message": "slo', b'w"}'], 429, drop_after=1, headers={"retry-after": "900"})
    with ScriptedServer(cut) as server, pytest.raises(DatabricksRateLimitError, match="slo") as caught:
        await post(way, Channel(Rotating()), request_to(server))
    assert caught.value.retry_after == 900


async def test_an_answer_that_is_cut_off_is_not_asked_for_again(way: str) -> None:
    cut = Scripted([b'{"a": ', b"1}"], drop_after=1)
    with ScriptedServer(cut, Scripted({})) as server:
        with pytest.raises(DatabricksConnectionError, match="before its answer was complete") as caught:
            await post(way, Sleepless().channel, request_to(server))
        assert len(server.requests) == 1
        assert isinstance(caught.value.__cause__, httpx.RemoteProtocolError)

    with ScriptedServer(cut, Scripted({"ok": 1})) as server:
        sleepless = Sleepless(policy=RetryPolicy(retry_sent=True))
        assert (await post(way, sleepless.channel, request_to(server))).body == b'{"ok":1}'


async def test_no_answer_at_all(way: str) -> None:
    with ScriptedServer(Scripted(drop_after=-1), Scripted({})) as server:
        with pytest.raises(DatabricksConnectionError, match=server.url):
            await post(way, Sleepless().channel, request_to(server))
        assert len(server.requests) == 1


async def test_a_silent_server_runs_into_first_event(way: str) -> None:
    with ScriptedServer(Scripted({}, wait=30)) as server:
        channel = Channel(Rotating(), timeouts=Timeouts(first_event=0.15))
        with pytest.raises(DatabricksTimeoutError, match=r"within 0\.15 s \(timeout: first_event\)") as caught:
            await post(way, channel, request_to(server))
        assert isinstance(caught.value, TimeoutError)
        assert await server.await_open(0) == 0
        assert len(server.requests) == 1


async def test_an_unreachable_host_is_tried_again_and_named(way: str) -> None:
    with ScriptedServer(Scripted({})) as server:
        pass
    sleepless = Sleepless(policy=RetryPolicy(max_retries=2))
    with pytest.raises(DatabricksConnectionError, match=f"{server.url} cannot be reached") as caught:
        await post(way, sleepless.channel, request_to(server))
    assert "DATABRICKS_HOST" in caught.value.message
    assert len(sleepless.pauses) == 2
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize("host", ["my-workspace", "ftp://host", "http://host:port"])
async def test_a_host_that_is_no_address(way: str, host: str) -> None:
    sleepless = Sleepless()
    with pytest.raises(ConfigurationError, match="not an address that can be called"):
        await post(way, sleepless.channel, request_to(host))
    assert sleepless.pauses == []


@pytest.mark.parametrize("secret", ["Bearer s3cret\nvalue", "Bearer s3cret…"])
async def test_a_signature_that_cannot_be_sent_is_not_shown(way: str, secret: str) -> None:
    channel = Channel(Rotating(more={"Authorization": secret}))
    with pytest.raises(ConfigurationError, match="TEST_TOKEN") as caught:
        await post(way, channel, request_to("http://127.0.0.1:9"))
    assert "s3cret" not in repr(caught.value)


@pytest.mark.parametrize("value", ["s3cret\r\nX-Evil: 1", "s3cret…"])
async def test_a_header_of_the_user_that_cannot_be_sent(way: str, value: str) -> None:
    with ScriptedServer(Scripted({})) as server:
        with pytest.raises(ConfigurationError, match=r"default_headers|line breaks") as caught:
            await post(way, Channel(Rotating()), request_to(server, X_Own=value))
        assert server.requests == []
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_errors_of_the_credentials_pass_through(way: str) -> None:
    class Broken(Rotating):
        def _sign(self, refresh: bool) -> dict[str, str]:
            del refresh
            raise ConfigurationError("no token anywhere")

    with pytest.raises(ConfigurationError, match="no token anywhere"):
        await post(way, Channel(Broken()), request_to("http://127.0.0.1:9"))


async def test_clients_of_the_user_are_used_as_they_are(way: str) -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> None:
        seen.append(str(request.url))

    async def anote(request: httpx.Request) -> None:
        note(request)

    options: dict[str, Any] = {
        "headers": {"X-Theirs": "1", "Authorization": "Bearer theirs"},
        "base_url": "http://other",
    }
    hooked = httpx.Client(**options, event_hooks={"request": [note]})
    with ScriptedServer(lambda _: Scripted({})) as server, hooked as client:
        async with httpx.AsyncClient(**options, event_hooks={"request": [anote]}) as async_client:
            channel = Channel(Rotating(), http_client=client, http_async_client=async_client)
            for _ in range(2):
                await post(way, channel, request_to(server))
            assert not client.is_closed
            assert not async_client.is_closed
    headers = server.requests[1].headers
    assert (headers["x-theirs"], headers["authorization"]) == ("1", "Bearer token-1")
    assert seen == [f"{server.url}/serving-endpoints/my-endpoint/invocations?o=1"] * 2
    assert server.connections == 1


async def test_many_calls_at_once(way: str) -> None:
    with ScriptedServer(lambda r: Scripted({"echo": r.json["n"]}, wait=0.01)) as server:
        channel = Channel(Rotating())
        replies = await asyncio.gather(*(post(way, channel, request_to(server, {"n": n})) for n in range(60)))
    assert [reply.body for reply in replies] == [b'{"echo":%d}' % n for n in range(60)]


async def test_a_cancelled_call_closes_its_connection() -> None:
    with ScriptedServer(Scripted({}, wait=30)) as server:
        task = asyncio.create_task(Channel(Rotating()).apost(request_to(server)))
        assert await server.await_open(1) == 1
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await server.await_open(0) == 0


async def test_a_cancelled_pause_ends_the_call() -> None:
    with ScriptedServer(lambda _: Scripted(b"", 503, headers={"retry-after": "60"})) as server:
        task = asyncio.create_task(Channel(Rotating()).apost(request_to(server)))
        assert await server.await_open(1) == 1
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(server.requests) == 1


async def test_a_wait_for_the_limiter_is_not_counted_in_the_deadline_of_the_retries(way: str) -> None:
    now = 0.0

    class Slow(EndpointLimiter):
        async def acquire(self, permit: Permit, woken: WaitEvent) -> None:
            nonlocal now
            now += 100
            await super().acquire(permit, woken)

        def release(self, permit: Permit, outcome: Any) -> None:
            del outcome
            super().release(permit, None)

    replies = iter([Scripted({"error_code": "TEMPORARILY_UNAVAILABLE"}, status=503), Scripted({"ok": True})])
    with ScriptedServer(lambda _: next(replies)) as server:
        request, limiter = request_to(server), Slow("host endpoint")
        channel = Sleepless(clock=lambda: now, policy=RetryPolicy(deadline=50)).channel
        if way == "async":
            reply = await channel.apost(request, limiter=limiter)
        else:
            reply = await asyncio.to_thread(channel.post, request, limiter=limiter)
    assert (reply.status, now) == (200, 200)
