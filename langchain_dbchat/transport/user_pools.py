"""What is put right in httpcore's pool of a user's client.

Rule 1. httpcore loses a connection, and takes its place for used for ever, if a call is cancelled or interrupted while
the pool gives it a new connection, at one of httpcore's locks or while SOCKS opens a way, and if TLS fails in a tunnel.
In a pool, a connection that no request uses is idle or closed. Any other is lost, over HTTP/2 too: the call that opened
it was cancelled meanwhile, and it would fail the next one. A signal handler may end a call between any two steps: then
the request that is left is that of a call that is over, which the next call finds.
Rule 2. Over HTTP/2, httpcore gives the calls of several threads the same connection, but its locks leave gaps: two
calls get one stream, or write one table of headers, and fail. And its locks have no timeout. So a connection of a sync
client serves one call at a time, as over HTTP/1.1. In an event loop calls share it.
Rule 3. httpcore does not tell an HTTP/2 server that a stream is left before its end: it counts as open, its rest is
still sent, and a server that is gone is asked again. So such a connection gets no further calls; those that it has go
on.
Rule 4. The pool is read and changed as httpcore does it, in its lock; httpx shows it nowhere else. It is looked for in
transports that wrap others. A client without such a pool is left alone.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import httpx

from langchain_dbchat.transport.call_traces import CallTrace
from langchain_dbchat.transport.open_answers import forget_answers, keep_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UserPool", "hold_whole", "leave"]

_TRANSPORTS = (httpx.BaseTransport, httpx.AsyncBaseTransport)
_WRAPPERS = 8  # transports around another, at most


class UserPool:
    """The pool that a user's client uses for a URL.

    Args:
        client: The client of httpx.
        url: The URL.

    Attributes:
        is_found: Whether the client has such a pool.
    """

    def __init__(self, client: Any, url: httpx.URL) -> None:
        choose = getattr(client, "_transport_for_url", None)
        self._pool: Any = None if choose is None else _pool_in(choose(url))
        self.is_found = self._pool is not None
        if self._pool is not None:
            hold_whole(self._pool._optional_thread_lock)  # noqa: SLF001  # see rule 4

    def take_lost(self, ended: CallTrace | None = None) -> Sequence[Any]:
        """Take what is lost out of the pool; the places of the connections go to who waits.

        Args:
            ended: The trace of a call of which no request goes on.

        Returns:
            The connections, to be closed.
        """
        pool = self._pool
        if pool is None:
            return []
        with pool._optional_thread_lock:  # noqa: SLF001  # see rule 4
            for each in [*pool._requests]:  # noqa: SLF001  # the same
                if _is_gone(each) or _is_of(ended, each):
                    pool._requests.remove(each)  # noqa: SLF001  # the same
            lost = _lost(pool)
            if not lost:
                return []
            for each in lost:
                pool._connections.remove(each)  # noqa: SLF001  # the same
            return [*lost, *pool._assign_requests_to_connections()]  # noqa: SLF001  # the same

    def recovered(self) -> Sequence[Any]:
        """Do the same if the pool has a request of a call that is over.

        Returns:
            The connections, to be closed.
        """
        forget_answers()
        if self._pool is None or not any(map(_is_gone, [*self._pool._requests])):  # noqa: SLF001  # see rule 4
            return []
        return self.take_lost()

    def keep(self, response: httpx.Response) -> None:
        """Keep an open answer of a sync client until it is closed (see `open_answers`).

        Args:
            response: The answer.
        """
        if self._pool is not None:
            keep_answer(response, self._pool._optional_thread_lock)  # noqa: SLF001  # see rule 4

    def serve_one_call_each(self) -> None:
        """Let each connection of a sync client serve one call at a time, those too that the pool will open."""
        pool = self._pool
        if pool is None or not getattr(pool, "_http2", False) or "create_connection" in vars(pool):
            return
        with pool._optional_thread_lock:  # noqa: SLF001  # see rule 4
            if "create_connection" in vars(pool):  # another thread was faster
                return
            create = pool.create_connection

            def created(origin: Any) -> Any:
                return _for_one_call(create(origin), pool)

            for each in pool._connections:  # noqa: SLF001  # the same
                _for_one_call(each, pool)
            pool.create_connection = created


def leave(connection: Any, stream: int) -> None:
    """Let a connection of HTTP/2 get no further calls, if a stream is left on it; it is closed when the last one ends.

    Args:
        connection: The connection of httpcore, or None.
        stream: The number of a stream that its call reads no more.
    """
    left = None if connection is None else connection._h2_state.streams.get(stream)  # noqa: SLF001  # see rule 4
    if left is not None and left.open:
        connection._used_all_stream_ids = True  # noqa: SLF001  # the same


def _pool_in(transport: Any) -> Any:
    """Return the pool of httpcore in a transport, or in one that it wraps."""
    for _ in range(_WRAPPERS):
        pool = getattr(transport, "_pool", None)
        if all(isinstance(getattr(pool, name, None), list) for name in ("_requests", "_connections")):
            return pool if hasattr(pool, "_optional_thread_lock") else None
        parts = getattr(transport, "__dict__", {}).values()
        inner = [each for each in parts if isinstance(each, _TRANSPORTS)]
        transport = inner[0] if len(inner) == 1 else None  # which of several sends is not known
    return None


def hold_whole(lock: Any) -> None:
    """Let no exception of a signal handler leave a lock held for ever; it stays the same lock.

    `with` then enters and leaves the lock of Python in it, within which no handler can run.

    Args:
        lock: A lock of httpcore; anything else is left alone.
    """
    kind = type(lock)
    if hasattr(lock, "_lock") and not isinstance(vars(kind).get("__enter__"), property):
        lock.__class__ = _whole(kind)  # type: ignore[arg-type]  # classes have a hash


@lru_cache(maxsize=8)
def _whole(kind: type[Any]) -> type[Any]:
    own = {name: property(attrgetter(f"_lock.{name}")) for name in ("__enter__", "__exit__")}
    return type(kind.__name__, (kind,), own)


def _is_gone(request: Any) -> bool:
    trace = request.request.extensions.get("trace")
    return isinstance(trace, CallTrace) and trace.is_over and trace.has_sent(request.request)


def _is_of(ended: CallTrace | None, request: Any) -> bool:
    trace = request.request.extensions.get("trace")
    return ended is not None and trace is ended and not ended.is_elsewhere(request.request)


def _lost(pool: Any) -> list[Any]:
    used = {id(request.connection) for request in pool._requests}  # noqa: SLF001  # see rule 4
    return [
        each
        for each in pool._connections  # noqa: SLF001  # the same
        if not (id(each) in used or each.is_idle() or each.is_closed() or each.has_expired())
    ]


def _for_one_call(connection: Any, pool: Any) -> Any:
    """Let the pool give a connection no second call while it has one; it asks in its lock."""
    is_available, is_idle = connection.is_available, connection.is_idle

    def is_free() -> bool:
        if not is_idle():
            return False
        return all(request.connection is not connection for request in pool._requests)  # noqa: SLF001  # see rule 4

    connection.is_idle = is_free  # what is idle may also be closed for another host
    connection.is_available = lambda: is_free() and is_available()
    return connection
