"""Connect to the first of a host's addresses that answers (RFC 8305, "Happy Eyeballs" in event loops).

Rule 1. asyncio can do this itself, but does not close a socket if it is cancelled at the moment in which the socket has
connected. Here every socket is closed by the task that opened it or by the caller that it was given to.
Rule 2. Threads try one address after the other.
Rule 3. The system looks a name up for as long as it likes, often for half a minute, and cannot be stopped. So a thread
of its own does that, which a call leaves when the time is up: those of an event loop's executor are few, so that other
calls would wait, and the loop's end waits for them.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import time
from collections import Counter
from typing import Any

from langchain_dbchat.transport.bare_threads import in_thread, start_thread

__all__ = ["first_in_turn", "first_to_answer", "time_left"]

_STAGGER = 0.25  # seconds until the next address is tried beside the first, as RFC 8305 advises

Info = tuple[Any, ...]


async def first_to_answer(host: str, port: int) -> socket.socket:
    """Connect.

    Args:
        host: The host's name or address.
        port: The port.

    Returns:
        A connected socket that does not block.

    Raises:
        OSError: No address answers; the error of the first one.
    """
    infos = _by_turns(await _resolve(host, port))
    attempts: list[asyncio.Task[socket.socket]] = []
    winner: socket.socket | None = None
    try:
        for number in range(len(infos)):
            attempts.append(asyncio.create_task(_connect(infos[number])))
            winner = await _first_of(attempts, _STAGGER if number + 1 < len(infos) else None)
            if winner is not None:
                return winner
        for attempt in attempts:
            attempt.result()  # raises: nobody has won
        raise OSError(f"{host} has no address")
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(lambda ended: _close_unless(ended, winner))


def first_in_turn(host: str, port: int, until: float | None) -> socket.socket:
    """Connect to one address of a host after the other, as `socket.create_connection`, but all by one deadline.

    Each address has its share of the time that is left, so that one that leads nowhere does not use it up.
    """
    failed: OSError | None = None
    infos = _look_up(host, port, until)
    for number, info in enumerate(infos):
        try:
            left = time_left(until)
            return _connect_in_time(info, None if left is None else left / (len(infos) - number))
        except OSError as error:  # noqa: PERF203  # few hosts have several addresses
            failed = failed or error
    raise failed or OSError(f"{host} has no address")


def _connect_in_time(info: Info, seconds: float | None) -> socket.socket:
    family, kind, protocol, _, address = info
    made = socket.socket(family, kind, protocol)
    try:
        made.settimeout(seconds)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def _look_up(host: str, port: int, until: float | None) -> list[Info]:
    """Return the addresses of a host; raise TimeoutError if the system does not find them in time."""
    try:
        return _numeric(host, port)
    except socket.gaierror:
        left = time_left(until)
    found: queue.SimpleQueue[list[Info] | BaseException] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except BaseException as error:  # noqa: BLE001  # raised in the thread that waits
            found.put(error)

    try:
        start_thread(look_up)
    except RuntimeError:  # there can be no more threads
        look_up()
    try:
        answer = found.get(timeout=left)
    except queue.Empty:
        raise TimeoutError("timed out") from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def time_left(until: float | None) -> float | None:
    """Return how many seconds are left; raise TimeoutError if there are none."""
    if until is None:
        return None
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


async def _resolve(host: str, port: int) -> list[Info]:
    try:
        return _numeric(host, port)
    except socket.gaierror:
        return await in_thread(lambda: list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def _numeric(host: str, port: int) -> list[Info]:
    """Read an address, which needs no name server, and no thread to wait for it."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))


async def _first_of(attempts: list[asyncio.Task[socket.socket]], patience: float | None) -> socket.socket | None:
    """Wait for one that has connected: until none is left, or one has failed and the next may begin, or time is up."""
    while True:
        for attempt in attempts:
            if attempt.done() and attempt.exception() is None:
                return attempt.result()
        open_ones = [attempt for attempt in attempts if not attempt.done()]
        if not open_ones or (patience is not None and attempts[-1].done()):
            return None
        done, _ = await asyncio.wait(open_ones, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return None


async def _connect(info: Info) -> socket.socket:
    family, kind, protocol, _, address = info
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _by_turns(infos: list[Info]) -> list[Info]:
    """Let the families take turns, so that one that leads nowhere costs one pause at most."""
    seen: Counter[int] = Counter()
    turns = []
    for info in infos:
        turns.append(seen[info[0]])
        seen[info[0]] += 1
    return [info for _, info in sorted(zip(turns, infos, strict=True), key=lambda pair: pair[0])]


def _close_unless(ended: asyncio.Task[socket.socket], winner: socket.socket | None) -> None:
    if not ended.cancelled() and ended.exception() is None and ended.result() is not winner:
        ended.result().close()
