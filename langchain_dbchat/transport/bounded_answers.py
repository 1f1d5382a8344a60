"""Bound the answers that code of the user's reads before the call does: an authentication, and hooks.

Rule 1. Such an answer has the same bound as every other, counted after decompression, before httpx decompresses it.
Rule 2. The answer that the call reads is not counted here, because it is counted there.
Rule 3. A hook sees an answer before anything of ours does. So a client with such hooks is copied for each call, with
one more hook before them. The client itself stays as it is, and the copy has the same connections, cookies and hooks.
"""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING, Any, cast

import httpx

from langchain_dbchat.transport.decompression import decompressor_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

    from langchain_dbchat.transport.clients import AnyClient
    from langchain_dbchat.transport.decompression import Decompressor

__all__ = ["AnswerBound", "unbounded"]


class AnswerBound:
    """The bound of the answers to one attempt.

    Args:
        limit: The maximum size of an answer in bytes, decompressed.
        refuse: Makes the error for an answer that is larger.
    """

    def __init__(self, limit: float, refuse: Callable[[httpx.Response], Exception]) -> None:
        self._limit = limit
        self._refuse = refuse

    def bound(self, response: httpx.Response) -> None:
        """Bound what is read of an answer.

        Args:
            response: The open response.
        """
        if self._limit < math.inf and not isinstance(response.stream, _Counted):
            response.stream = _Counted(response, self._limit, self._refuse)

    async def abound(self, response: httpx.Response) -> None:
        """Do the same as the hook of an async client."""
        self.bound(response)

    def before_hooks(self, client: AnyClient) -> AnyClient:
        """Return what sends for a client, so that its hooks get answers that are bounded.

        Args:
            client: The user's client.

        Returns:
            A copy; the client itself if no hook of it sees answers, or if it cannot be copied.
        """
        hooks: dict[str, list[Any]] = client.event_hooks
        if not hooks.get("response"):
            return client
        try:
            sender: Any = copy(client)
        except Exception:  # noqa: BLE001  # an object around a client, say, which can raise anything
            return client
        ours = self.abound if isinstance(sender, httpx.AsyncClient) else self.bound
        sender.event_hooks = {**hooks, "response": [ours, *hooks["response"]]}
        return cast("AnyClient", sender)


def unbounded(response: httpx.Response) -> None:
    """Let the call read an answer itself, if the user's code has not."""
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
