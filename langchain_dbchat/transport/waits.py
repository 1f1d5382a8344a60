"""What a call waits for: in a thread, and in a task of an event loop.

Rule 1. The methods of `ThreadWaits` block and never suspend (see `blocking`). Those of `TaskWaits` never block the
event loop.
Rule 2. They contain no decision: `Channel` decides what is waited for, `Attempt` what the bytes of an answer mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, cast

import httpx

from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.transport.clients import AnyClient, async_client, sync_client
from langchain_dbchat.transport.deadlines import ReadGuard, aclose_in_order, asks_deadline, close_in_order
from langchain_dbchat.transport.turns import loop_share

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

    from langchain_dbchat.transport.attempt import Attempt
    from langchain_dbchat.transport.limiter import WaitEvent
    from langchain_dbchat.transport.signing import Credentials

__all__ = ["TaskWaits", "ThreadWaits", "Waits"]


class Waits(ABC, Generic[AnyClient]):
    """What a call waits for.

    Args:
        http_client: The user's client; None for the shared one.
        proxy: The URL of the shared client's proxy; None for the environment's.
        sleep: Pauses for so many seconds.
    """

    http_client: AnyClient | None

    def __init__(self, http_client: AnyClient | None, proxy: str | None, sleep: Callable[[float], Any]) -> None:
        self.http_client = http_client
        self._proxy = proxy
        self._sleep = sleep

    @abstractmethod
    async def pause(self, seconds: float) -> None:
        """Pause for so many seconds."""

    async def turn(self) -> None:
        """Let the other tasks of an event loop run, if its calls have used their share of its time."""

    @abstractmethod
    def event(self) -> WaitEvent:
        """Return what a call waits for its turn at the endpoint with."""

    @abstractmethod
    async def sign(self, credentials: Credentials, *, refresh: bool) -> Mapping[str, str]:
        """Return the headers that sign one attempt."""

    @abstractmethod
    async def client(self) -> AnyClient:
        """Return the client that sends."""

    @abstractmethod
    async def send(self, attempt: Attempt, client: AnyClient, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer when the head has come."""

    @abstractmethod
    async def read(self, attempt: Attempt, response: httpx.Response) -> None:
        """Read the body of an answer, as far as the attempt wants it."""

    @abstractmethod
    async def close(self, response: httpx.Response) -> None:
        """Close an answer."""


class ThreadWaits(Waits[httpx.Client]):
    """What a call in a thread waits for."""

    async def pause(self, seconds: float) -> None:
        """Pause for so many seconds."""
        self._sleep(seconds)

    def event(self) -> WaitEvent:
        """Return what a call waits for its turn at the endpoint with."""
        from langchain_dbchat.transport.limiter import ThreadEvent  # noqa: PLC0415  # few calls are limited

        return ThreadEvent()

    async def sign(self, credentials: Credentials, *, refresh: bool) -> Mapping[str, str]:
        """Return the headers that sign one attempt."""
        return credentials.headers(refresh=refresh)

    async def client(self) -> httpx.Client:
        """Return the client that sends."""
        return sync_client(self._proxy) if self.http_client is None else _open(self.http_client, "http_client")

    async def send(self, attempt: Attempt, client: httpx.Client, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer when the head has come."""
        sender, options = attempt.sender(client)
        send = partial(sender.send, request, **options)
        return send() if attempt.sending is None else await attempt.sending.run(send)

    async def read(self, attempt: Attempt, response: httpx.Response) -> None:
        """Read the body of an answer, as far as the attempt wants it."""
        body = cast("Iterable[bytes]", response.stream if attempt.is_raw() else response.iter_bytes())
        pieces = body if asks_deadline(response) else ReadGuard.pieces(body)

        def feed(piece: bytes) -> bool:
            return attempt.feed(piece) and all(iter(attempt.unpack, None))

        all(map(feed, pieces))  # unlike a loop, it holds no piece while it waits for the next one

    async def close(self, response: httpx.Response) -> None:
        """Close an answer."""
        close_in_order(response)


class TaskWaits(Waits[httpx.AsyncClient]):
    """What a call in a task of an event loop waits for."""

    async def pause(self, seconds: float) -> None:
        """Pause for so many seconds."""
        await self._sleep(seconds)

    async def turn(self) -> None:
        """Let the other tasks of the event loop run, if its calls have used their share of its time."""
        if loop_share.is_used():
            await loop_share.give_way()

    def event(self) -> WaitEvent:
        """Return what a call waits for its turn at the endpoint with."""
        from langchain_dbchat.transport.limiter import AsyncEvent  # noqa: PLC0415  # few calls are limited

        return AsyncEvent()

    async def sign(self, credentials: Credentials, *, refresh: bool) -> Mapping[str, str]:
        """Return the headers that sign one attempt."""
        return await credentials.aheaders(refresh=refresh)

    async def client(self) -> httpx.AsyncClient:
        """Return the client that sends."""
        if self.http_client is None:
            return await async_client(self._proxy)
        return _open(self.http_client, "http_async_client")

    async def send(self, attempt: Attempt, client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer when the head has come."""
        sender, options = attempt.sender(client)
        send = partial(sender.send, request, **options)
        return await (send() if attempt.sending is None else attempt.sending.run(send))

    async def read(self, attempt: Attempt, response: httpx.Response) -> None:
        """Read the body of an answer, as far as the attempt wants it."""
        source = response.stream if attempt.is_raw() else response.aiter_bytes()
        body = aiter(source)  # type: ignore[arg-type]  # an async client's response has an async stream
        async with aclosing(attempt.bounded(cast("AsyncGenerator[bytes, None]", body))) as pieces:
            async for piece in pieces:
                more: bool | None = attempt.feed(piece)
                while more and (more := attempt.unpack()):
                    await self.turn()
                if more is False:
                    break

    async def close(self, response: httpx.Response) -> None:
        """Close an answer."""
        await aclose_in_order(response)


def _open(client: AnyClient, setting: str) -> AnyClient:
    """Return a user's client, or raise if it was closed."""
    if getattr(client, "is_closed", False):
        raise ConfigurationError(
            f"The client given as {setting}= is closed. Keep it open while the model is used, or leave {setting} out."
        )
    return client
