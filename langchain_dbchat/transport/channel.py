"""The two loops that execute an exchange: one sync, one async, equal line by line.

Rule 1. A loop contains no decision: `exchange` says what to do next, `Attempt` what the result of a sending is, and
`StreamReader` what the bytes of a stream mean.
Rule 2. A loop transfers bytes, asks the credentials, sleeps, and closes what it opened, also when a `CancelledError` or
a `KeyboardInterrupt` is raised.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing, closing, contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, cast

import httpx

from langchain_dbchat.transport.attempt import Attempt
from langchain_dbchat.transport.clients import async_client, sync_client
from langchain_dbchat.transport.exchange import Failure, Pause, Reply, Request, RetryPolicy, Unsent, exchange
from langchain_dbchat.transport.limiter import Slot
from langchain_dbchat.transport.stream import NETWORK_ERRORS, AsyncEventStream, EventStream
from langchain_dbchat.transport.timeouts import Timeouts
from langchain_dbchat.transport.turns import loop_share

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Iterator,
        Mapping,
    )

    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.transport.exchange import Send
    from langchain_dbchat.transport.limiter import EndpointLimiter
    from langchain_dbchat.transport.signing import Credentials

    Revise = Callable[[DatabricksError], Request | None]
    Steps = Generator[Send | Pause, Reply | Failure | Unsent | None, Reply]

__all__ = ["AsyncEventStream", "Channel", "EventStream", "Timeouts"]

MAX_RESPONSE_BYTES = 128 * 1024 * 1024  # far above what a model writes, far below the memory of a process


class _Call:
    """One call: its exchange, what the last step has resulted in, and a clock that does not count waits for a limiter.

    The deadline of the retries is about a service that fails. A call that has waited minutes for its turn in a long
    batch has as much time for retries as the first call.

    As a context it ends the exchange, and closes the answer that an exception has left behind.
    """

    __slots__ = ("_began", "_clock", "_waited", "limiter", "outcome", "reply", "steps")

    steps: Steps
    reply: Reply

    def __init__(self, limiter: EndpointLimiter | None, clock: Callable[[], float]) -> None:
        self.limiter = limiter
        self.outcome: Reply | Failure | Unsent | None = None
        self._clock = clock
        self._began = self._waited = 0.0

    def clock(self) -> float:
        """Return the time, without the time in the queue."""
        return self._clock() - self._waited

    def line_up(self) -> None:
        """Note that a wait for the limiter begins."""
        self._began = self._clock()

    def served(self) -> None:
        """Note that it has ended."""
        self._waited += self._clock() - self._began

    def next(self) -> Send | Pause | None:
        """Return the next step; None if the call has its `reply`."""
        try:
            return self.steps.send(self.outcome)
        except StopIteration as end:
            self.reply = end.value
            return None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        response = self._left_behind(error)
        if response is not None:
            response.close()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        response = self._left_behind(error)
        if response is not None:
            await response.aclose()

    def _left_behind(self, error: BaseException | None) -> httpx.Response | None:
        self.steps.close()
        source = self.outcome.source if error is not None and isinstance(self.outcome, Reply) else None
        return None if source is None else source.response


class Channel:
    """A way to the server for one identity.

    Args:
        credentials: Who signs; asked for each attempt.
        timeouts: The timeouts of a call; the defaults of `Timeouts` if None.
        policy: When to send again; the defaults of `RetryPolicy` if None.
        max_response_bytes: The maximum size of an answer, decompressed; None for no limit.
        http_client: A client of the user's for sync calls; used as it is, and never closed. None for the shared one.
        http_async_client: The same for async calls.
        proxy: The URL of the shared clients' proxy; None for the environment's.
        clock: Seconds of a clock that never goes back.
        dice: A random number from 0 up to 1.
        sleep: How sync calls pause.
        asleep: How async calls pause.
    """

    def __init__(  # noqa: PLR0913  # what differs between users, and what tests replace
        self,
        credentials: Credentials,
        *,
        timeouts: Timeouts | None = None,
        policy: RetryPolicy | None = None,
        max_response_bytes: int | None = MAX_RESPONSE_BYTES,
        http_client: httpx.Client | None = None,
        http_async_client: httpx.AsyncClient | None = None,
        proxy: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
        asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._credentials = credentials
        self._timeouts = timeouts or Timeouts()
        self._policy = policy or RetryPolicy()
        self._max_response_bytes = max_response_bytes
        self._http_client = http_client
        self._http_async_client = http_async_client
        self._proxy = proxy
        self._clock = clock
        self._dice = dice
        self._sleep = sleep
        self._asleep = asleep

    @property
    def timeouts(self) -> Timeouts:
        """Return the timeouts of this channel's calls."""
        return self._timeouts

    def signed_by(self, credentials: Credentials) -> Channel:
        """Return a channel for another identity, with the same options.

        Args:
            credentials: What signs.
        """
        other = copy(self)
        other._credentials = credentials  # noqa: SLF001  # a new object of this class
        return other

    def post(self, request: Request, revise: Revise | None = None, limiter: EndpointLimiter | None = None) -> Reply:
        """Send a request and read the whole answer.

        Args:
            request: The request; its `streaming` is False.
            revise: Returns another request to send after a refusal, or None.
            limiter: The limiter that each attempt waits for; None to send at once.

        Returns:
            The 2xx reply with its body.

        Raises:
            DatabricksError: The call failed.
        """
        return self._obey(self._call(request, revise, limiter))

    async def apost(
        self, request: Request, revise: Revise | None = None, limiter: EndpointLimiter | None = None
    ) -> Reply:
        """Send a request and read the whole answer.

        Args:
            request: The request; its `streaming` is False.
            revise: Returns another request to send after a refusal, or None.
            limiter: The limiter that each attempt waits for; None to send at once.

        Returns:
            The 2xx reply with its body.

        Raises:
            DatabricksError: The call failed.
        """
        return await self._aobey(self._call(request, revise, limiter))

    @contextmanager
    def stream(
        self, request: Request, revise: Revise | None = None, limiter: EndpointLimiter | None = None
    ) -> Iterator[EventStream]:
        """Send a request and open the stream of its answer.

        Args:
            request: The request; its `streaming` is True.
            revise: Returns another request to send after a refusal, or None.
            limiter: The limiter that each attempt waits for, only until the stream opens: while it is open, the user's
                code runs, and could wait for itself. None to send at once.

        Yields:
            The stream; leaving the context closes it, and the connection with it unless it was read to its end.

        Raises:
            DatabricksError: The call failed, or the stream broke.
        """
        call = self._call(request, revise, limiter)
        with call, closing(EventStream(self._obey(call).source)) as incoming:
            yield incoming

    def astream(
        self, request: Request, revise: Revise | None = None, limiter: EndpointLimiter | None = None
    ) -> _AsyncStream:
        """Send a request and open the stream of its answer.

        Args:
            request: The request; its `streaming` is True.
            revise: Returns another request to send after a refusal, or None.
            limiter: The limiter that each attempt waits for, only until the stream opens: while it is open, the user's
                code runs, and could wait for itself. None to send at once.

        Returns:
            A context that opens the stream; leaving it closes the stream, and the connection with it unless it was read
            to its end.

        Raises:
            DatabricksError: The call failed, or the stream broke.
        """
        call = self._call(request, revise, limiter)
        return _AsyncStream(lambda: self._aobey(call))

    def _call(self, request: Request, revise: Revise | None, limiter: EndpointLimiter | None) -> _Call:
        call, auth = _Call(limiter, self._clock), self._credentials.name
        call.steps = exchange(request, self._policy, clock=call.clock, dice=self._dice, auth=auth, revise=revise)
        return call

    def _attempt(self, send: Send, signature: Mapping[str, str]) -> Attempt:
        limit = self._max_response_bytes
        return Attempt(send.request, signature, self._credentials.name, self._timeouts, self._clock, limit)

    def _obey(self, call: _Call) -> Reply:
        with call:
            while (wanted := call.next()) is not None:
                if isinstance(wanted, Pause):
                    self._sleep(wanted.seconds)
                    call.outcome = None
                else:
                    call.line_up()
                    with Slot(call.limiter, self._policy.deadline) as slot:
                        call.served()
                        call.outcome = slot.outcome = self._send(wanted)
            return call.reply

    async def _aobey(self, call: _Call) -> Reply:
        async with call:
            while (wanted := call.next()) is not None:
                if isinstance(wanted, Pause):
                    await self._asleep(wanted.seconds)
                    call.outcome = None
                else:
                    call.line_up()
                    if loop_share.is_used():
                        await loop_share.give_way()
                    async with Slot(call.limiter, self._policy.deadline) as slot:
                        call.served()
                        call.outcome = slot.outcome = await self._asend(wanted)
            return call.reply

    def _send(self, send: Send) -> Reply | Failure | Unsent:
        signature = self._credentials.headers(refresh=send.refresh)
        if send.is_vain(signature):
            return Unsent()
        attempt = self._attempt(send, signature)
        client = self._http_client or sync_client(self._proxy)
        request = attempt.build(client, ours=client is not self._http_client)
        try:
            response = client.send(request, stream=True, auth=_auth_of(send.request), follow_redirects=False)
            try:
                if not attempt.begin(response):
                    body = response.stream if attempt.is_raw() else response.iter_bytes()
                    for piece in cast("Iterable[bytes]", body):
                        if not attempt.feed(piece):
                            break
                return attempt.reply()
            finally:
                if not attempt.is_handed_on:
                    attempt.release()
                    response.close()
        except NETWORK_ERRORS as error:
            return attempt.failed(error)

    async def _asend(self, send: Send) -> Reply | Failure | Unsent:
        signature = await self._credentials.aheaders(refresh=send.refresh)
        if send.is_vain(signature):
            return Unsent()
        attempt = self._attempt(send, signature)
        client = self._http_async_client or await async_client(self._proxy)
        request = attempt.build(client, ours=client is not self._http_async_client)
        try:
            response = await attempt.in_time(
                client.send(request, stream=True, auth=_auth_of(send.request), follow_redirects=False)
            )
            try:
                if not attempt.begin(response):
                    source = response.stream if attempt.is_raw() else response.aiter_bytes()
                    body = aiter(source)  # type: ignore[arg-type]  # an async client's response has an async stream
                    async with aclosing(attempt.bounded(cast("AsyncGenerator[bytes, None]", body))) as pieces:
                        async for piece in pieces:
                            if not attempt.feed(piece):
                                break
                return attempt.reply()
            finally:
                if not attempt.is_handed_on:
                    attempt.release()
                    await response.aclose()
        except NETWORK_ERRORS as error:
            return attempt.failed(error)


class _AsyncStream:
    """The context of an async stream.

    It is not an async generator, because a loop that ends closes all of those at once and in any order; closing one
    that another one is just closing raises "already running".
    """

    __slots__ = ("_incoming", "_opening")

    def __init__(self, opening: Callable[[], Awaitable[Reply]]) -> None:
        self._opening = opening
        self._incoming: AsyncEventStream | None = None

    async def __aenter__(self) -> AsyncEventStream:
        reply = await self._opening()
        self._incoming = AsyncEventStream(reply.source)
        return self._incoming

    async def __aexit__(self, *_: object) -> None:
        if self._incoming is not None:
            await self._incoming.aclose()


def _auth_of(request: Request) -> Any:
    """Return the ``auth`` of httpx: a user's client may have its own, but not for a request that signs in."""
    return httpx.USE_CLIENT_DEFAULT if request.purpose is None else None
