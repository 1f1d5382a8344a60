"""Give back the places of connections that httpcore has lost in its pool.

httpcore loses a connection, and takes its place for used for ever, if a call is cancelled or interrupted while the pool
gives it a new connection, at one of httpcore's locks or while SOCKS opens a way, and if TLS fails in a tunnel.

Rule 1. In a pool, a connection that no request uses is idle or closed. Any other is lost, over HTTP/2 too: the call
that opened it was cancelled meanwhile, and it would fail the next one.
Rule 2. The pool is read and changed as httpcore does it, in its lock; httpx shows it nowhere else. A transport without
such a pool is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["take_lost_connections"]


def take_lost_connections(client: Any, url: str) -> Sequence[Any]:
    """Take the connections that are lost out of the pool that a client uses for a URL; their places go to who waits.

    Args:
        client: The client of httpx.
        url: The URL.

    Returns:
        The connections, to be closed.
    """
    choose = getattr(client, "_transport_for_url", None)
    pool: Any = None if choose is None else getattr(choose(httpx.URL(url)), "_pool", None)
    if not all(hasattr(pool, name) for name in ("_requests", "_connections", "_optional_thread_lock")):
        return []
    with pool._optional_thread_lock:  # noqa: SLF001  # see rule 2
        lost = _lost(pool)
        if not lost:
            return []
        for each in lost:
            pool._connections.remove(each)  # noqa: SLF001  # the same
        return [*lost, *pool._assign_requests_to_connections()]  # noqa: SLF001  # the same


def _lost(pool: Any) -> list[Any]:
    used = {id(request.connection) for request in pool._requests}  # noqa: SLF001  # see rule 2
    return [
        each
        for each in pool._connections  # noqa: SLF001  # the same
        if not (id(each) in used or each.is_idle() or each.is_closed() or each.has_expired())
    ]
