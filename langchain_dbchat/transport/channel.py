"""The two loops that obey an exchange: one sync, one async, equal line by line, and without a decision.

What they have in common is elsewhere: `exchange` says what to do next, `Attempt` what a sending became, `Reading`
what the bytes of a stream mean. A twin only moves bytes, asks the credentials, sleeps, and closes what it opened,
also when a `CancelledError` or a `KeyboardInterrupt` passes through.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, cast

from langchain_dbchat.transport.attempt import Attempt
from langchain_dbchat.transport.exchange import Failure, Pause, Reply, Request, RetryPolicy, Unsent, exchange
from langchain_dbchat.transport.incoming import NETWORK_ERRORS, AsyncIncoming, Incoming
from langchain_dbchat.transport.limits import Turn
from langchain_dbchat.transport.pools import async_client, sync_client
from langchain_dbchat.transport.timeouts import Timeouts

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Iterator,
        Mapping,
    )

    import httpx

    from langchain_dbchat.auth.credentials import Credentials
    from langchain_dbchat.errors import DatabricksError
    from langchain_dbchat.transport.exchange import Send
    from langchain_dbchat.transport.limits import Gate

    Amend = Callable[[DatabricksError, Request], Request | None]
    Steps = Generator[Send | Pause, Reply | Failure | Unsent | None, Reply]

__all__ = ["AsyncIncoming", "Channel", "Incoming", "Timeouts"]


class _Queue:
    """Where a call waits for its turns, and a clock that stands still meanwhile.

    The deadline of the retries is about a service that fails. A call that has waited minutes for its turn in a long
    batch has as much time for them as the first.
    """

    __slots__ = ("_began", "_clock", "_waited", "gate")

    def __init__(self, gate: Gate | None, clock: Callable[[], float]) -> None:
        self.gate = gate
        self._clock = clock
        self._began = self._waited = 0.0

    def clock(self) -> float:
        """Say the time, without the time in the queue."""
        return self._clock() - self._waited

    def lines_up(self) -> None:
        """Begin to wait for a turn."""
        self._began = self._clock()

    def is_served(self) -> None:
        """Have a turn."""
        self._waited += self._clock() - self._began


class Channel:
    """A way to the server for one identity.

    Args:
        credentials: Who signs; asked for each attempt.
        timeouts: How long to wait for what; the defaults of `Timeouts` if None.
        policy: When to send again; the defaults of `RetryPolicy` if None.
        http_client: A client of the user's for sync calls; used as it is, and never closed. None for the shared one.
        http_async_client: The same for async calls.
        clock: Seconds of a clock that never goes back.
        dice: A random number from 0 up to 1.
        sleep: How sync calls pause.
        asleep: How async calls pause.
    """

    def __init__(  # noqa: PLR0913 - the parts of a call that differ between users, and the world's parts for tests
        self,
        credentials: Credentials,
        *,
        timeouts: Timeouts | None = None,
        policy: RetryPolicy | None = None,
        http_client: httpx.Client | None = None,
        http_async_client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
        asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._credentials = credentials
        self._timeouts = timeouts or Timeouts()
        self._policy = policy or RetryPolicy()
        self._http_client = http_client
        self._http_async_client = http_async_client
        self._clock = clock
        self._dice = dice
        self._sleep = sleep
        self._asleep = asleep

    @property
    def timeouts(self) -> Timeouts:
        """How long a call of this channel waits for what."""
        return self._timeouts

    def post(self, request: Request, amend: Amend | None = None, gate: Gate | None = None) -> Reply:
        """Send a request and read the whole answer.

        Args:
            request: The request; its `streaming` is False.
            amend: Given a refusal and the request, another request to send instead, or None.
            gate: Where each attempt waits for its turn; None to send at once.

        Returns:
            The 2xx reply with its body.

        Raises:
            DatabricksError: The call failed.
        """
        queue = _Queue(gate, self._clock)
        return self._obey(self._exchange(request, amend, queue), queue)

    async def apost(self, request: Request, amend: Amend | None = None, gate: Gate | None = None) -> Reply:
        """Send a request and read the whole answer.

        Args:
            request: The request; its `streaming` is False.
            amend: Given a refusal and the request, another request to send instead, or None.
            gate: Where each attempt waits for its turn; None to send at once.

        Returns:
            The 2xx reply with its body.

        Raises:
            DatabricksError: The call failed.
        """
        queue = _Queue(gate, self._clock)
        return await self._aobey(self._exchange(request, amend, queue), queue)

    @contextmanager
    def stream(self, request: Request, amend: Amend | None = None, gate: Gate | None = None) -> Iterator[Incoming]:
        """Send a request and open the stream of its answer.

        Args:
            request: The request; its `streaming` is True.
            amend: Given a refusal and the request, another request to send instead, or None.
            gate: Where each attempt waits for its turn, which ends when the stream opens: the user's code runs while it
                is open, and could wait for itself. None to send at once.

        Yields:
            The stream; leaving the context closes it, and the connection with it unless it was read to its end.

        Raises:
            DatabricksError: The call failed, or the stream broke.
        """
        queue = _Queue(gate, self._clock)
        reply = self._obey(self._exchange(request, amend, queue), queue)
        with closing(Incoming(reply.source)) as incoming:
            yield incoming

    @asynccontextmanager
    async def astream(
        self, request: Request, amend: Amend | None = None, gate: Gate | None = None
    ) -> AsyncIterator[AsyncIncoming]:
        """Send a request and open the stream of its answer.

        Args:
            request: The request; its `streaming` is True.
            amend: Given a refusal and the request, another request to send instead, or None.
            gate: Where each attempt waits for its turn, which ends when the stream opens: the user's code runs while it
                is open, and could wait for itself. None to send at once.

        Yields:
            The stream; leaving the context closes it, and the connection with it unless it was read to its end.

        Raises:
            DatabricksError: The call failed, or the stream broke.
        """
        queue = _Queue(gate, self._clock)
        reply = await self._aobey(self._exchange(request, amend, queue), queue)
        async with aclosing(AsyncIncoming(reply.source)) as incoming:
            yield incoming

    def _exchange(self, request: Request, amend: Amend | None, queue: _Queue) -> Steps:
        auth = self._credentials.name
        return exchange(request, self._policy, clock=queue.clock, dice=self._dice, auth=auth, amend=amend)

    def _attempt(self, send: Send, signature: Mapping[str, str]) -> Attempt:
        return Attempt(send.request, signature, self._credentials.name, self._timeouts, self._clock)

    def _obey(self, steps: Steps, queue: _Queue) -> Reply:
        outcome: Reply | Failure | Unsent | None = None
        with closing(steps):
            while True:
                try:
                    wanted = steps.send(outcome)
                except StopIteration as end:
                    return cast("Reply", end.value)
                if isinstance(wanted, Pause):
                    self._sleep(wanted.seconds)
                    outcome = None
                else:
                    queue.lines_up()
                    with Turn(queue.gate) as turn:
                        queue.is_served()
                        outcome = turn.outcome = self._send(wanted)

    async def _aobey(self, steps: Steps, queue: _Queue) -> Reply:
        outcome: Reply | Failure | Unsent | None = None
        with closing(steps):
            while True:
                try:
                    wanted = steps.send(outcome)
                except StopIteration as end:
                    return cast("Reply", end.value)
                if isinstance(wanted, Pause):
                    await self._asleep(wanted.seconds)
                    outcome = None
                else:
                    queue.lines_up()
                    async with Turn(queue.gate) as turn:
                        queue.is_served()
                        outcome = turn.outcome = await self._asend(wanted)

    def _send(self, send: Send) -> Reply | Failure | Unsent:
        signature = self._credentials.headers(refresh=send.refresh)
        if send.is_vain(signature):
            return Unsent()
        attempt = self._attempt(send, signature)
        client = self._http_client or sync_client()
        request = attempt.build(client, ours=client is not self._http_client)
        try:
            response = client.send(request, stream=True, follow_redirects=False)
            if attempt.opened(response):
                return attempt.reply()
            body = response.stream if attempt.is_plain else response.iter_bytes()
            with closing(response):
                for piece in cast("Iterable[bytes]", body):
                    if not attempt.takes(piece):
                        break
        except NETWORK_ERRORS as error:
            return attempt.failed(error)
        return attempt.reply()

    async def _asend(self, send: Send) -> Reply | Failure | Unsent:
        signature = await self._credentials.aheaders(refresh=send.refresh)
        if send.is_vain(signature):
            return Unsent()
        attempt = self._attempt(send, signature)
        client = self._http_async_client or await async_client()
        request = attempt.build(client, ours=client is not self._http_async_client)
        try:
            response = await client.send(request, stream=True, follow_redirects=False)
            if attempt.opened(response):
                return attempt.reply()
            # An async client's response has an async stream.
            body = aiter(response.stream if attempt.is_plain else response.aiter_bytes())  # type: ignore[arg-type]
            async with aclosing(response), aclosing(cast("AsyncGenerator[bytes, None]", body)):
                async for piece in body:
                    if not attempt.takes(piece):
                        break
        except NETWORK_ERRORS as error:
            return attempt.failed(error)
        return attempt.reply()
