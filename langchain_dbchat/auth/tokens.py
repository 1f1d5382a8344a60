"""Cache tokens that expire: one cell for each identity, in which one caller at a time fetches the next token.

Rule 1. A cell contains one token, and returns it until shortly before it expires. Then one caller fetches the next one,
and all others still get the old one. After it has expired, one caller fetches, and the others wait for that fetch, in
any thread, task or event loop. So fifty callers make one request to the token endpoint.
Rule 2. The wall clock may be set back, and the monotonic clock of Linux stops while a laptop sleeps. The age of a token
is the larger of the two. It is counted from before the request for the token was sent.
Rule 3. A refused token (`refresh=True`) is fetched again once, even if fifty callers were refused: a caller that was
given an older token than the one that was fetched since gets the new one. A context variable contains which token a
caller was given.
Rule 4. If the task that fetches is cancelled, the waiting callers decide again, and one of them fetches.
Rule 5. A sync caller on the thread of the event loop that is fetching must not wait for it: it fetches for itself.
Rule 6. A forked child drops locks and fetches, which only its parent can finish, and keeps the token.

`_plan` decides; `transport.effects` executes it, in a thread or in a task. The lock is held for a few instructions
only, never during I/O.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import itertools
import os
import threading
import time
import weakref
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from langchain_dbchat.transport.effects import Effect, aexecute, execute

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable

    from pydantic import SecretStr

# A token is renewed when this many seconds of its lifetime are left, or half of it if that is less. The Databricks SDK
# renews 20 minutes before; ten are enough for a slow token endpoint, and halve the number of fetches.
AHEAD = 600.0
# A token with fewer seconds left is not sent, because it could expire on the way.
MARGIN = 10.0
# After a failed renewal, the old token is used for this many seconds before the next attempt.
REST = 30.0
# A caller that has waited this many seconds for another caller's fetch fetches for itself.
PATIENCE = 60.0


class Clock(Protocol):
    """Two clocks, because of rule 2."""

    def monotonic(self) -> float:
        """Return the seconds on a clock that is never set."""
        ...

    def wall(self) -> float:
        """Return the seconds since the epoch."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def monotonic(self) -> float:
        """Return the seconds on a clock that is never set."""
        return time.monotonic()

    def wall(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()


@dataclass(frozen=True)
class Grant:
    """The answer of a token endpoint.

    Args:
        token: The access token.
        lifetime: How long it is valid, in seconds from the request for it.
    """

    token: SecretStr
    lifetime: float


@dataclass(frozen=True)
class _CachedToken:
    """A grant, and when it was requested."""

    grant: Grant
    serial: int
    forced: bool
    monotonic: float
    wall: float

    def left(self, clock: Clock) -> float:
        """Return the seconds until it expires, by the clock that returns less."""
        return self.grant.lifetime - max(clock.monotonic() - self.monotonic, clock.wall() - self.wall)


@dataclass(frozen=True)
class _FetchResult:
    """The result of a fetch: a token, an error, or neither if the fetching task was cancelled."""

    cached: _CachedToken | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class _InFlight:
    """A fetch under way."""

    thread: int
    on_loop: bool
    forced: bool
    future: concurrent.futures.Future[_FetchResult] = field(default_factory=concurrent.futures.Future)


_serials = itertools.count(1)
# The cells whose tokens this context was given last, each with the token's serial number; the latest first. There are
# two, because one token may be exchanged for another (`endpoint_tokens`).
_given: ContextVar[tuple[tuple[int, int], ...]] = ContextVar("langchain_dbchat_given", default=())


class TokenCell:
    """The token of one identity.

    Args:
        clock: The clocks.
    """

    __slots__ = ("__weakref__", "_cached", "_clock", "_in_flight", "_lock", "_number", "_rest_until")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._number = next(_serials)
        self._cached: _CachedToken | None = None
        self._rest_until = 0.0
        self._in_flight: _InFlight | None = None
        self._lock = threading.RLock()  # the garbage collector may end a fetch in a thread that has it
        _locked.add(self)

    @property
    def is_empty(self) -> bool:
        """Return whether no token was ever fetched."""
        return self._cached is None

    def after_fork(self) -> None:
        """Drop what only the parent process can finish; keep the token."""
        self._lock = threading.RLock()
        self._in_flight = None

    def get(self, fetch: Effect, *, refresh: bool = False) -> SecretStr:
        """Return the token, and fetch it first if necessary.

        Args:
            fetch: Fetches a `Grant`; may raise.
            refresh: Whether the last token was refused.
        """
        return execute(self._plan(fetch, refresh=refresh, on_loop=False))

    async def aget(self, fetch: Effect, *, refresh: bool = False) -> SecretStr:
        """Do the same as `get` without blocking the event loop."""
        return await aexecute(self._plan(fetch, refresh=refresh, on_loop=True))

    def _plan(self, fetch: Effect, *, refresh: bool, on_loop: bool) -> Generator[Effect, Any, SecretStr]:
        """Decide whether this caller fetches, waits, or uses the cached token."""
        impatient = False
        while True:
            with self._lock:
                choice = self._choose(refresh=refresh, on_loop=on_loop, impatient=impatient)
            if isinstance(choice, _InFlight):
                return (yield from self._fetch_now(fetch, choice))
            if isinstance(choice, _CachedToken):
                return self._hand_out(choice)
            result: _FetchResult | None = yield choice
            if result is None:
                impatient = True
            elif result.error is not None:
                raise _again(result.error)
            elif result.cached is not None:
                return self._hand_out(result.cached)

    def _choose(self, *, refresh: bool, on_loop: bool, impatient: bool) -> _CachedToken | Effect | _InFlight:
        """Decide once, under the lock."""
        cached, in_flight = self._cached, self._in_flight
        if cached is not None and self._usable(cached) and not (refresh and not self._replaced(cached)):
            early = cached.left(self._clock) <= min(AHEAD, cached.grant.lifetime / 2)
            if not early or in_flight is not None or self._clock.monotonic() < self._rest_until:
                return cached
            refresh = False
        elif in_flight is not None and not impatient:
            would_block_itself = in_flight.on_loop and not on_loop and in_flight.thread == threading.get_ident()
            if not would_block_itself:
                return _result_of(in_flight.future)
        own = _InFlight(threading.get_ident(), on_loop, refresh)
        if in_flight is None or impatient:
            self._in_flight = own
        return own

    def _fetch_now(self, fetch: Effect, in_flight: _InFlight) -> Generator[Effect, Any, SecretStr]:
        """Fetch, and pass the result to the waiting callers."""
        monotonic, wall = self._clock.monotonic(), self._clock.wall()
        try:
            grant: Grant = yield fetch
        except Exception as error:
            with self._lock:
                self._rest_until = self._clock.monotonic() + REST
                old = self._cached
            self._finish(in_flight, _FetchResult(error=error))
            if old is not None and not in_flight.forced and self._usable(old):
                return self._hand_out(old)
            raise
        except BaseException:
            self._finish(in_flight, _FetchResult())
            raise
        cached = _CachedToken(grant, next(_serials), in_flight.forced, monotonic, wall)
        with self._lock:
            self._cached = cached
            self._rest_until = 0.0
        self._finish(in_flight, _FetchResult(cached))
        return self._hand_out(cached)

    def _finish(self, in_flight: _InFlight, result: _FetchResult) -> None:
        """End a fetch."""
        with self._lock:
            if self._in_flight is in_flight:
                self._in_flight = None
        in_flight.future.set_result(result)

    def _usable(self, cached: _CachedToken) -> bool:
        """Return whether a token may still be sent."""
        return cached.left(self._clock) > min(MARGIN, cached.grant.lifetime / 10)

    def _replaced(self, cached: _CachedToken) -> bool:
        """Return whether another caller has replaced the refused token of this context already."""
        return cached.forced and any(cell == self._number and serial < cached.serial for cell, serial in _given.get())

    def _hand_out(self, cached: _CachedToken) -> SecretStr:
        """Return the token, and note which one this context was given."""
        given, others = (self._number, cached.serial), _given.get()
        if others[:1] != (given,):
            _given.set((given, *[other for other in others if other[0] != self._number][:1]))
        return cached.grant.token


class TokenCells:
    """The cells of one way of signing in, shared by the whole process; the least recently used ones are dropped.

    Args:
        limit: How many identities to keep.
        clock: The clocks.
    """

    def __init__(self, limit: int, clock: Clock | None = None) -> None:
        self._limit = limit
        self._clock: Clock = clock or SystemClock()
        self._cells: OrderedDict[Hashable, TokenCell] = OrderedDict()
        self._lock = threading.Lock()
        _locked.add(self)

    def after_fork(self) -> None:
        """Drop the lock, which another thread of the parent may hold."""
        self._lock = threading.Lock()

    def cell(self, key: Hashable) -> TokenCell:
        """Return the cell of one identity.

        Args:
            key: What distinguishes it from all others; it must not contain a secret in clear.
        """
        with self._lock:
            cell = self._cells.get(key)
            if cell is None:
                cell = self._cells[key] = TokenCell(self._clock)
                while len(self._cells) > self._limit:
                    self._cells.popitem(last=False)
            self._cells.move_to_end(key)
            return cell

    def filled(self, key: Hashable) -> TokenCell | None:
        """Return the cell of one identity if a token was fetched for it.

        Args:
            key: What identifies it.
        """
        with self._lock:
            cell = self._cells.get(key)
            if cell is None or cell.is_empty:
                return None
            self._cells.move_to_end(key)
            return cell

    def clear(self) -> None:
        """Drop all tokens."""
        with self._lock:
            self._cells.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._cells)


# All objects with a lock, which a forked child replaces.
_locked: weakref.WeakSet[TokenCell | TokenCells] = weakref.WeakSet()


def _after_fork() -> None:
    """Run in a forked child, where no other thread exists."""
    for owner in list(_locked):
        owner.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


def _result_of(future: concurrent.futures.Future[_FetchResult]) -> Effect:
    """Return the effect of waiting for another caller's fetch, `PATIENCE` seconds at most; it gives None after that."""
    return Effect(lambda: _wait(future), lambda: _await(future))


def _wait(future: concurrent.futures.Future[_FetchResult]) -> _FetchResult | None:
    concurrent.futures.wait([future], timeout=PATIENCE)
    return future.result() if future.done() else None


async def _await(future: concurrent.futures.Future[_FetchResult]) -> _FetchResult | None:
    # A waiting task that is cancelled must not cancel the fetch of the others: `asyncio.wait` does not.
    await asyncio.wait({asyncio.wrap_future(future)}, timeout=PATIENCE)
    return future.result() if future.done() else None


def _again(error: Exception) -> Exception:
    """Return a copy of the error of a shared fetch, because a traceback belongs to one thread."""
    try:
        twin = copy.copy(error)
    except TypeError:  # an exception of another library, whose arguments are not those of its constructor
        return error
    return twin.with_traceback(None)
