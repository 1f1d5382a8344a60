"""Bound the answers that the authentication of a user's client gets before the call does.

httpx reads the whole answer to each request of an authentication but the last, and an authentication may read any.

Rule 1. Such an answer has the same bound as every other, counted after decompression, before httpx decompresses it.
Rule 2. The answer that the call reads is not counted here, because it is counted there.
Rule 3. A request that the authentication makes itself has the deadlines of the call, because httpx gives it none, and
its secrets are masked. After it was sent, it is as it was before, because the authentication may send it again.
"""

from __future__ import annotations

import math
from contextlib import aclosing, closing, contextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx

from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.transport.decompression import decompressor_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator

    from langchain_dbchat.transport.decompression import Decompressor
    from langchain_dbchat.transport.sending import Sending

__all__ = ["BoundedAuth", "unbounded"]


class BoundedAuth(httpx.Auth):
    """The authentication of a user's client, whose answers are bounded.

    Args:
        auth: The user's own.
        sending: What the client does with the request.
        limit: The maximum size of an answer in bytes, decompressed.
        refuse: Makes the error for an answer that is larger.
    """

    def __init__(
        self, auth: httpx.Auth, sending: Sending, limit: float, refuse: Callable[[httpx.Response], Exception]
    ) -> None:
        self._auth = auth
        self._sending = sending
        self._limit = limit
        self._refuse = refuse

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Do what the user's does, with bounded answers."""
        with closing(self._auth.sync_auth_flow(request)) as flow:
            wanted = next(flow, None)
            while True:
                with self._as_of_call(wanted, request) as asked:
                    response = yield asked
                try:
                    wanted = flow.send(self._bounded(response))
                except StopIteration:
                    return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same in an event loop."""
        async with aclosing(self._auth.async_auth_flow(request)) as flow:
            wanted = await anext(flow, None)
            while True:
                with self._as_of_call(wanted, request) as asked:
                    response = yield asked
                try:
                    wanted = await flow.asend(self._bounded(response))
                except StopAsyncIteration:
                    return

    @contextmanager
    def _as_of_call(self, wanted: httpx.Request | None, request: httpx.Request) -> Iterator[httpx.Request]:
        """Give a request what it lacks of the call's, while it is sent."""
        if not isinstance(wanted, httpx.Request):
            raise ConfigurationError(
                f"The authentication of your HTTP client gave {type(wanted).__name__} instead of a request. Its flow "
                "has to yield the request that it was given, signed."
            )
        self._sending.is_for_auth = False
        own = wanted.extensions
        ours: dict[str, Any] = {
            key: request.extensions[key] for key in ("timeout", "trace") if key in request.extensions
        }
        wanted.extensions = {**ours, **own}
        try:
            yield wanted
        finally:
            wanted.extensions = own

    def _bounded(self, response: httpx.Response) -> httpx.Response:
        self._sending.is_for_auth = True
        if self._limit < math.inf:
            response.stream = _Counted(response, self._limit, self._refuse)
        return response


def unbounded(response: httpx.Response) -> None:
    """Let the call read an answer itself, if the authentication has not."""
    if isinstance(response.stream, _Counted):
        response.stream = response.stream.inner


class _Counted(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that raises when it is too large."""

    def __init__(self, response: httpx.Response, limit: float, refuse: Callable[[httpx.Response], Exception]) -> None:
        self.inner = response.stream
        self._response = response
        self._room = limit
        self._refuse = refuse

    def __iter__(self) -> Iterator[bytes]:
        unpacker = self._unpacker()
        for piece in cast("Iterable[bytes]", self.inner):
            self._count(piece, unpacker)
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpacker = self._unpacker()
        async for piece in cast("AsyncIterable[bytes]", self.inner):
            self._count(piece, unpacker)
            yield piece

    def _unpacker(self) -> Decompressor | None:
        return decompressor_for(self._response.headers.get("content-encoding", ""))

    def _count(self, piece: bytes, unpacker: Decompressor | None) -> None:
        for size in _sizes(piece, unpacker):
            self._room -= size
            if self._room < 0:
                raise self._refuse(self._response)

    def close(self) -> None:
        cast("httpx.SyncByteStream", self.inner).close()

    async def aclose(self) -> None:
        await cast("httpx.AsyncByteStream", self.inner).aclose()


def _sizes(piece: bytes, unpacker: Decompressor | None) -> Iterator[int]:
    """Yield the sizes of what is in a piece of a body, decompressed step by step."""
    if unpacker is None:
        yield len(piece)
        return
    unpacker.push(piece)
    while (part := unpacker.pull()) is not None:
        yield len(part)
