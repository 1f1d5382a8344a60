"""Bound the answers that code of the user's reads before the call does: an authentication, and hooks.

Rule 1. Such an answer has the same bound as every other, counted after decompression, before httpx decompresses it.
Rule 2. The answer that the call reads is not counted here, because it is counted there.
Rule 3. A hook, and a method of a class of the user's, sees an answer before anything of ours does. So what sends is not
the client but an object of a derived class, which has the client's own attributes: not a copy of them. It bounds each
answer as soon as it comes. The client itself stays as it is.
Rule 4. The body of an error ends for the user's code where it ends for the call: after a megabyte, or where it cannot
be read on. So its status is what the call raises. What is wrong with the body of a success raises an error of httpx
there, and the call raises the same, also if the user's code has caught it.
"""

from __future__ import annotations

from abc import ABCMeta
from contextlib import contextmanager
from functools import lru_cache
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakMethod

import httpx

from langchain_dbchat.errors import ConfigurationError, DatabricksError
from langchain_dbchat.transport.content import ERROR_BODY_LIMIT
from langchain_dbchat.transport.decompression import decompressor_for
from langchain_dbchat.transport.turns import loop_share

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
        self._refuse_of = WeakMethod(refuse)  # of the attempt, which has this object
        self._last: _Counted | None = None

    def bound(self, response: httpx.Response) -> None:
        """Bound what is read of an answer.

        Args:
            response: The open response.
        """
        if self._last is None or self._last.response is not response:  # it is not bounded already
            response.stream = self._last = _Counted(response, self._limit, self._refuse)

    def _refuse(self, response: httpx.Response) -> DatabricksError:
        refuse = self._refuse_of()
        return ConfigurationError("The call of this answer has ended.") if refuse is None else refuse(response)

    def sender(self, client: AnyClient) -> AnyClient:
        """Return what sends for a client, so that its code gets answers that are bounded.

        Args:
            client: The user's client.

        Returns:
            The client itself, if nothing of its own sees an answer, or if its class cannot be derived from.
        """
        kind = cast("type[Any]", type(client))
        if kind in _HTTPX and not client.event_hooks["response"]:
            return client
        derived = _derived(kind)  # type: ignore[arg-type]  # classes have a hash
        if derived is None:
            return client
        sender: Any = object.__new__(derived)
        for name, value in {"__dict__": vars(client), "_dbchat_client": client, "_dbchat_answers": self}.items():
            object.__setattr__(sender, name, value)  # a class of the user's may have a way of its own
        return cast("AnyClient", sender)

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


_HTTPX = (httpx.Client, httpx.AsyncClient)


class _Sender:
    """The same client, whose answers are bounded as soon as they come; its own code may make others of this class."""

    __slots__ = ()
    _dbchat_answers: AnswerBound
    _dbchat_client: httpx.Client | httpx.AsyncClient

    def __eq__(self, other: object) -> bool:
        client = getattr(self, "_dbchat_client", None)
        return super().__eq__(other) if client is None else client == other

    def __hash__(self) -> int:
        client = getattr(self, "_dbchat_client", None)
        return super().__hash__() if client is None else hash(client)

    def __del__(self) -> None:
        """Leave everything open: it is the client's own."""
        if getattr(self, "_dbchat_client", None) is None:
            getattr(super(), "__del__", _nothing)()


def _nothing() -> None:
    pass


class _ThreadSender(_Sender):
    __slots__ = ()

    def _send_single_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = super()._send_single_request(request)  # type: ignore[misc]  # the client's
        if hasattr(self, "_dbchat_answers"):
            self._dbchat_answers.bound(response)
        return response


class _TaskSender(_Sender):
    __slots__ = ()

    async def _send_single_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await super()._send_single_request(request)  # type: ignore[misc]  # the client's
        if hasattr(self, "_dbchat_answers"):
            self._dbchat_answers.bound(response)
        return response


@lru_cache(maxsize=64)
def _derived(kind: type) -> type | None:
    """Derive a class from that of a client; None if that would run the user's code, or leave state behind."""
    runs_code = type(kind) not in {type, ABCMeta} or hasattr(kind.__init_subclass__, "__func__")
    has_slots = any(isinstance(each, MemberDescriptorType) for base in kind.__mro__ for each in vars(base).values())
    has_own_new = any("__new__" in vars(base) for base in kind.__mro__[:-1])
    if runs_code or has_slots or has_own_new or not hasattr(kind, "_send_single_request"):
        return None
    ours = _TaskSender if issubclass(kind, httpx.AsyncClient) else _ThreadSender
    names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return type(kind)(kind.__name__, (ours, kind), {**names, "__slots__": ("_dbchat_answers", "_dbchat_client")})


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
        try:
            with self._ending():
                count = self._counter()
                for piece in cast("Iterable[bytes]", self.inner):
                    for _ in count(piece):
                        pass
                    yield piece
        except UnreadableAnswer:
            self.close()  # what reads it may not do so
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            with self._ending():
                count = self._counter()
                async for piece in cast("AsyncIterable[bytes]", self.inner):
                    for _ in count(piece):
                        if loop_share.is_used():
                            await loop_share.give_way()
                    yield piece
        except UnreadableAnswer:
            await self.aclose()
            raise

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            if not self._is_error or self.is_lifted:
                self.error = error
                raise

    def _counter(self) -> Callable[[bytes], Iterator[None]]:
        """Return what counts a piece in steps, before it is passed on: httpx decompresses all of it at once."""
        coding = "" if self.is_lifted else self.response.headers.get("content-encoding", "")
        unpacker = decompressor_for(coding, self._room)

        def count(piece: bytes) -> Iterator[None]:
            for size in () if self.is_lifted else _sizes(piece, unpacker):
                self._room -= size
                if self._room < 0:
                    raise UnreadableAnswer(self._refuse(self.response))
                yield

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
