"""The loop that executes an exchange, for threads and for event loops (see `blocking` and `waits`).

Rule 1. The loop contains no decision. `exchange` decides what to do next, `Attempt` reads the result of an attempt, and
`StreamReader` reads the bytes of a stream.
Rule 2. It asks the credentials, transfers bytes, pauses, and closes what it opened, also when a `CancelledError` or a
`KeyboardInterrupt` is raised.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import closing, contextmanager
from copy import copy
from typing import TYPE_CHECKING

from langchain_dbchat.errors import ConfigurationError, DatabricksError
from langchain_dbchat.transport.attempt import Attempt
from langchain_dbchat.transport.blocking import finish
from langchain_dbchat.transport.exchange import Failure, Pause, RetryPolicy, Unsent, exchange
from langchain_dbchat.transport.messages import Reply, Request
from langchain_dbchat.transport.stream import NETWORK_ERRORS, AsyncEventStream, EventStream
from langchain_dbchat.transport.timeouts import Timeouts
from langchain_dbchat.transport.waits import TaskWaits, ThreadWaits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

    import httpx

    from langchain_dbchat.transport.clients import AnyClient
    from langchain_dbchat.transport.exchange import Send
    from langchain_dbchat.transport.limiter import EndpointLimiter, Slot
    from langchain_dbchat.transport.signing import Credentials
    from langchain_dbchat.transport.waits import Waits

    Revise = Callable[[DatabricksError], Request | None]
    Steps = Generator[Send | Pause, Reply | Failure | Unsent | None, Reply]

__all__ = ["AsyncEventStream", "Channel", "EventStream", "Timeouts"]

MAX_RESPONSE_BYTES = 128 * 1024 * 1024  # far above what a model writes, far below the memory of a process


class _Call:
    """One call: its exchange, what the last step has resulted in, and a clock that does not count waits for a limiter.

    The deadline of the retries is about a service that fails. A call that has waited minutes for its turn in a long
    batch has as much time for retries as the first call.
    """

    __slots__ = ("_clock", "attempt", "limiter", "outcome", "reply", "slot", "steps", "waited")

    steps: Steps
    reply: Reply

    def __init__(self, limiter: EndpointLimiter | None, clock: Callable[[], float]) -> None:
        self.limiter = limiter
        self.outcome: Reply | Failure | Unsent | None = None
        self.attempt: Attempt | None = None  # the last one
        self.slot: Slot | None = None  # that of the limiter, until it has been left
        self._clock = clock
        self.waited = 0.0  # seconds in the queue of the limiter

    def clock(self) -> float:
        """Return the time, without the time in the queue."""
        return self._clock() - self.waited

    def next(self) -> Send | Pause | None:
        """Return the next step; None if the call has its `reply`."""
        try:
            return self.steps.send(self.outcome)
        except StopIteration as end:
            self.reply = end.value
            return None

    async def abandon(self, waits: Waits[AnyClient]) -> None:
        """Close what an exception has left behind, if there is something."""
        source = self.outcome.source if isinstance(self.outcome, Reply) else None
        try:
            if source is not None:
                await waits.close(source.response)
        finally:
            if self.attempt is not None:
                self.attempt.is_over = self.attempt.is_over or (source is not None and source.is_over)
                self.attempt.end()
            if self.slot is not None:
                self.slot.end()


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

    Raises:
        ConfigurationError: `max_response_bytes` is not above 0.
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
        if max_response_bytes is not None and max_response_bytes <= 0:
            raise ConfigurationError("max_response_bytes has to be above 0 bytes, or None for no limit.")
        self._credentials = credentials
        self._timeouts = timeouts or Timeouts()
        self._policy = policy or RetryPolicy()
        self._max_response_bytes = max_response_bytes
        self._clock = clock
        self._dice = dice
        self._thread = ThreadWaits(http_client, proxy, sleep)
        self._task = TaskWaits(http_async_client, proxy, asleep)

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
        return finish(self._obey(self._call(request, revise, limiter), self._thread))

    async def apost(
        self, request: Request, revise: Revise | None = None, limiter: EndpointLimiter | None = None
    ) -> Reply:
        """Do the same as `post` without blocking the event loop."""
        return await self._obey(self._call(request, revise, limiter), self._task)

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
        try:
            with closing(EventStream(finish(self._obey(call, self._thread)).source)) as incoming:
                try:
                    yield incoming
                except DatabricksError as error:
                    incoming.locate(error)
                    raise
        except BaseException:
            finish(call.abandon(self._thread))  # also if an interrupt came before the context began
            raise

    def astream(
        self, request: Request, revise: Revise | None = None, limiter: EndpointLimiter | None = None
    ) -> _AsyncStream:
        """Do the same as `stream` without blocking the event loop.

        Returns:
            A context that opens the stream; leaving it closes the stream, and the connection with it unless it was read
            to its end.
        """
        call = self._call(request, revise, limiter)
        return _AsyncStream(lambda: self._obey(call, self._task))

    def _call(self, request: Request, revise: Revise | None, limiter: EndpointLimiter | None) -> _Call:
        call, auth = _Call(limiter, self._clock), self._credentials.name
        call.steps = exchange(request, self._policy, clock=call.clock, dice=self._dice, auth=auth, revise=revise)
        return call

    async def _obey(self, call: _Call, waits: Waits[AnyClient]) -> Reply:
        try:
            while (wanted := call.next()) is not None:
                if isinstance(wanted, Pause):
                    await waits.pause(wanted.seconds)
                    call.outcome = None
                else:
                    await waits.turn()
                    if call.limiter is None:
                        call.outcome = await self._send(wanted, waits, call)
                    else:
                        await self._send_in_turn(wanted, waits, call, call.limiter)
        except BaseException:
            await call.abandon(waits)
            raise
        finally:
            call.steps.close()
        return call.reply

    async def _send_in_turn(self, send: Send, waits: Waits[AnyClient], call: _Call, limiter: EndpointLimiter) -> None:
        from langchain_dbchat.transport.limiter import Slot  # noqa: PLC0415  # few calls are limited

        slot = call.slot = Slot(limiter, waits.event(), self._policy.deadline, self._clock)
        async with slot:
            call.waited += slot.waited
            # Here, so that an interrupt while the slot is left does not lose an open stream.
            call.outcome = slot.outcome = await self._send(send, waits, call)
        call.slot = None

    async def _send(self, send: Send, waits: Waits[AnyClient], call: _Call) -> Reply | Failure | Unsent:
        signature = await waits.sign(self._credentials, refresh=send.refresh)
        if send.was_refused(signature):
            return Unsent()
        limit, auth = self._max_response_bytes, self._credentials.name
        earlier = () if call.attempt is None else call.attempt.secrets()
        attempt = Attempt(send.request, signature, auth, self._timeouts, self._clock, limit, earlier)
        call.attempt = attempt
        client = await waits.client()
        request = attempt.build(client, ours=client is not waits.http_client)
        try:
            response = await waits.send(attempt, client, request)
            try:
                if not attempt.begin(response):
                    await waits.read(attempt, response)
                return attempt.reply()
            finally:
                if not attempt.is_handed_on:
                    attempt.release()
                    await waits.close(response)
                    attempt.is_over = True
        except NETWORK_ERRORS as error:
            attempt.is_over = True
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

    async def __aexit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._incoming is not None:
            if isinstance(error, DatabricksError):
                self._incoming.locate(error)
            await self._incoming.aclose()
