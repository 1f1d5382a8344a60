"""Close answers of a sync client of httpx wherever that happens: in a finalizer, in a signal handler, after a fork.

httpcore's pool has a lock that a thread cannot take twice. The garbage collector may run a finalizer, and the system a
signal handler, in a thread that holds it: closing an answer there would wait for itself.

Rule 1. An answer, and the iterator over its body, are kept until it is closed. So the collector does not finalize what
httpcore has of it, but what we have.
Rule 2. If the lock of its pool cannot be taken soon, another thread closes it.
Rule 3. A forked child closes its copy of the socket and keeps the rest, because a thread that holds the lock does not
exist in the child, and the connection is the parent's.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from langchain_dbchat.transport.bare_threads import start_thread
from langchain_dbchat.transport.call_traces import CallTrace

if TYPE_CHECKING:
    import httpx

__all__ = ["close_answer", "forget_answers", "keep_answer", "keep_reading"]

_READING = "langchain_dbchat.reading"  # the extension of an answer that has the iterator over its body
_SOON = 0.05  # seconds; far longer than another thread holds the lock
_TURN = 0.002  # seconds
_SHORT_TURNS = 50

_CLOSING = object()  # instead of the lock: another thread closes it
_open: dict[httpx.Response, tuple[int, Any]] = {}  # the process, and the lock of the pool


def keep_answer(response: httpx.Response, lock: Any) -> None:
    """Keep an open answer until `close_answer`.

    Args:
        response: The answer.
        lock: The lock of the client's pool, as httpcore has it.
    """
    _open[response] = (os.getpid(), getattr(lock, "_lock", None))


def keep_reading(response: httpx.Response, pieces: Any) -> None:
    """Keep the iterator over the body of an answer as long as the answer.

    Args:
        response: The answer.
        pieces: The iterator.
    """
    response.extensions[_READING] = pieces


def forget_answers() -> None:
    """Forget the answers of calls that are over, because an exception of a signal handler has ended them."""
    for response, (_, lock) in [*_open.items()]:
        if lock is _CLOSING:
            continue
        request = getattr(response, "_request", None)  # an answer of a user's own making may have none
        trace = None if request is None else request.extensions.get("trace")
        if isinstance(trace, CallTrace) and trace.is_over:
            _open.pop(response, None)


def close_answer(response: httpx.Response) -> None:
    """Close an answer of a sync client.

    Args:
        response: The answer, kept or not.
    """
    pid, lock = _open.get(response, (os.getpid(), None))
    if lock is _CLOSING:
        return
    if pid != os.getpid():
        if (connected := _socket_of(response)) is not None:
            connected.close()
    elif lock is None or _is_free_soon(lock):
        _close(response)
    else:
        _open[response] = (pid, _CLOSING)
        start_thread(_close, response)


def _socket_of(response: httpx.Response) -> socket.socket | None:
    stream = response.extensions.get("network_stream")
    found = None if stream is None or response.http_version.startswith("HTTP/2") else stream.get_extra_info("socket")
    return found if isinstance(found, socket.socket) else None


def _is_free_soon(lock: Any) -> bool:
    """Return whether a lock is free, so that this thread does not hold it; it is not taken, to leave nothing behind."""
    until = time.monotonic() + _SOON
    turns = 0
    while lock.locked():
        if time.monotonic() > until:
            return False
        time.sleep(_TURN if turns > _SHORT_TURNS else 0)  # most are held for microseconds
        turns += 1
    return True


def _close(response: httpx.Response) -> None:
    try:
        with contextlib.suppress(ValueError):  # another call has just taken it out of the pool (see `user_pools`)
            response.close()
    except BaseException:
        if (connected := _socket_of(response)) is not None:  # it may not be ready for another request
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
        raise
    finally:
        _open.pop(response, None)
        response.extensions.pop(_READING, None)
