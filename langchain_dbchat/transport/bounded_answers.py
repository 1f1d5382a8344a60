"""Bound the answers that code of the user's reads before the call does: an authentication, and hooks.

Rule 1. Such an answer has the same bound as every other, counted after decompression, before httpx decompresses it.
Rule 2. The answer that the call reads is not counted here, because it is counted there.
Rule 3. A hook sees an answer before anything of ours does. So a client with such hooks is copied for each call, with
one more hook before them. The client itself stays as it is, and the copy has the same connections, cookies and hooks.
Only httpx's own classes are copied: a class of the user's may keep a state, or close its connections when it goes.
Rule 4. The body of an error ends for the user's code where it ends for the call: after a megabyte, or where it cannot
be read on. So its status is what the call raises. What is wrong with the body of a success raises an error of httpx
there, and the call raises the same, also if the user's code has caught it.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, cast

import httpx

from langchain_dbchat.errors import ConfigurationError, DatabricksError
from langchain_dbchat.transport.content import ERROR_BODY_LIMIT
from langchain_dbchat.transport.decompression import decompressor_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

    from langchain_dbchat.transport.clients import AnyClient
    from langchain_dbchat.transport.decompression import Decompressor

__all__ = ["AnswerBound", "UnreadableAnswer"]


class UnreadableAnswer(httpx.ReadError):
    """What code of the user's gets from an answer that the call cannot use.

    Args:
        reason: What is wrong with it.
    """

    def __init__(self, reason: DatabricksError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class AnswerBound:
    """The bound of the answers to one attempt.

    Args:
        limit: The maximum size of an answer in bytes, decompressed.
        refuse: Makes the error for an answer that is larger.
    """

    def __init__(self, limit: float, refuse: Callable[[httpx.Response], DatabricksError]) -> None:
        self._limit = limit
        self._refuse = refuse
        self._last: _Counted | None = None

    def bound(self, response: httpx.Response) -> None:
        """Bound what is read of an answer.

        Args:
            response: The open response.
        """
        if self._last is None or self._last.response is not response:  # a hook has not bounded it already
            response.stream = self._last = _Counted(response, self._limit, self._refuse)

    async def abound(self, response: httpx.Response) -> None:
        """Do the same as the hook of an async client."""
        self.bound(response)

    def before_hooks(self, client: AnyClient) -> AnyClient:
        """Return what sends for a client, so that its hooks get answers that are bounded.

        Args:
            client: The user's client.

        Returns:
            A copy; the client itself if no hook of it sees answers, or if it is not of httpx's own classes.
        """
        ours = {httpx.Client: self.bound, httpx.AsyncClient: self.abound}.get(type(client))
        if ours is None or "send" in vars(client) or not client.event_hooks["response"]:
            return client
        sender = copy(client)
        sender.event_hooks = {**client.event_hooks, "response": [ours, *client.event_hooks["response"]]}
        return sender

    def lift(self, response: httpx.Response, setting: str) -> None:
        """Let the call read an answer itself, if the user's code has not.

        Args:
            response: The answer.
            setting: The name of the setting that the client was given as.

        Raises:
            httpx.HTTPError: The user's code has begun to, and nothing that can be used is left.
        """
        if self._last is not None and self._last.response is response:
            if self._last.error is not None:
                raise self._last.error
            self._last.is_lifted = True  # a hook may have put it into a stream of its own
            if response.stream is self._last:
                response.stream = self._last.inner
        if (response.is_stream_consumed or response.is_closed) and not _is_kept(response):
            words = f"A hook or the authentication of {setting} has taken or closed an answer without keeping it."
            advice = "Call response.read() there, or await response.aread() in an event loop: both keep it."
            raise UnreadableAnswer(ConfigurationError(f"{words} {advice}"))


def _is_kept(response: httpx.Response) -> bool:
    try:
        _ = response.content
    except httpx.ResponseNotRead:
        return False
    return True


class _Counted(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that raises when it is too large; that of an error ends."""

    def __init__(
        self, response: httpx.Response, limit: float, refuse: Callable[[httpx.Response], DatabricksError]
    ) -> None:
        self.response = response
        self.inner = response.stream
        self.error: httpx.HTTPError | None = None
        self.is_lifted = False
        self._is_error = not response.is_success
        self._room = ERROR_BODY_LIMIT if self._is_error else limit
        self._refuse = refuse

    def __iter__(self) -> Iterator[bytes]:
        with self._ending():
            count = self._counter()
            for piece in cast("Iterable[bytes]", self.inner):
                count(piece)
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._ending():
            count = self._counter()
            async for piece in cast("AsyncIterable[bytes]", self.inner):
                count(piece)
                yield piece

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            if not self._is_error or self.is_lifted:
                self.error = error
                raise

    def _counter(self) -> Callable[[bytes], None]:
        coding = "" if self.is_lifted else self.response.headers.get("content-encoding", "")
        unpacker = decompressor_for(coding)

        def count(piece: bytes) -> None:
            for size in () if self.is_lifted else _sizes(piece, unpacker):
                self._room -= size
                if self._room < 0:
                    raise UnreadableAnswer(self._refuse(self.response))

        return count

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
