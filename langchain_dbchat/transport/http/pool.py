"""Decide who may use which connection of a pool. This module has no threads and no event loops.

Idle connections of a server are on a stack: the one that was used last is on top, because the server has probably not
closed it yet; the one that expires first is at the bottom.

Rule 1. A `PooledConnection` ("slot") is the right to one connection, with that connection once it is open. The number
of slots is not counted up and down: it is the number of `PooledConnection` objects that the pool knows. An exception
that a signal handler raises between any two steps can lose a slot, but then the object is collected, and the pool
notices that. If somebody keeps the exception, and with it the frames that refer to the slot, the call says that it has
ended (`end`): of the slots that are neither idle nor given back, those that no call uses are lost.
Rule 2. A slot is given back with `give`, which appends to a queue and takes no lock, because a finalizer may run in a
thread that holds the pool's lock. `settle` empties the queue; the next user of the pool and all waiters call it.
Rule 3. A connection is checked whenever another caller gets it: the server may have closed it after its last answer, or
sent bytes that nobody asked for, which would be read as the next caller's answer.
Rule 4. Such bytes may also come a moment later, when the next request has been sent, and then they look like
its answer. So the first connections of a server that are used again are watched for a moment. After a server has sent
such bytes, each of its connections is closed after one answer for a minute, and then it is watched again.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

    import httpx

__all__ = ["ConnectionPool", "Origin", "PooledConnection", "Waiter"]

Origin = tuple[str, str, int]

_WATCH = 0.02  # seconds without a byte after an answer, until a connection of a new server is used again
_PROVEN = 3  # the number of connections that have to stay quiet
_AT_ONCE = 1.0  # seconds; a connection that is closed sooner after an answer was not closed because it was idle
_DISTRUST = 60.0  # seconds


class _Closable(Protocol):
    def close(self) -> None: ...

    def is_stale(self) -> bool: ...


_C = TypeVar("_C", bound=_Closable)


class PooledConnection(Generic[_C]):
    """The right to one connection, and the connection once it is open.

    Args:
        origin: The server it is for.

    Attributes:
        request: The request that uses it; None if none does.
    """

    __slots__ = ("__weakref__", "cell", "is_doubtful", "origin", "request", "since")

    def __init__(self, origin: Origin) -> None:
        self.is_doubtful = False  # the request that takes it has to check the connection again
        self.origin = origin
        self.request: httpx.Request | None = None
        self.cell: list[_C] = []  # the connection, if it is open; the pool keeps this list, too
        self.since = 0.0  # when it was given back

    def close(self) -> None:
        """Close the connection; the right to another one stays."""
        _close(self.cell)


class Waiter(Generic[_C]):
    """A place in the queue of waiters.

    Args:
        origin: The server it is for.
        request: The request that needs a slot.
        call: Called with the slot that it gets, or with None, to call `settle` again.
    """

    __slots__ = ("__weakref__", "call", "has_left", "origin", "request")

    def __init__(
        self, origin: Origin, request: httpx.Request, call: Callable[[PooledConnection[_C] | None], object]
    ) -> None:
        self.origin = origin
        self.request = request
        self.call = call
        self.has_left = False  # the queue: it may still be in there


class ConnectionPool(Generic[_C]):
    """The slots of a pool. Any thread may call `give` at any time; only one at a time may call the other methods.

    Args:
        limits: The maximum number, the maximum number of idle ones, and how long they stay idle.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, limits: httpx.Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = limits.max_connections
        self._most_idle = limits.max_keepalive_connections
        self._expiry = limits.keepalive_expiry
        self._clock = clock
        self._known: dict[ref[PooledConnection[_C]], list[_C]] = {}  # every slot that exists, with its cell
        self._lost: deque[ref[PooledConnection[_C]]] = deque()  # collected without having been given back
        self._returned: deque[PooledConnection[_C]] = deque()
        self._ended: deque[ref[httpx.Request]] = deque()  # an exception has ended their calls at some step
        self._idle: OrderedDict[Origin, deque[PooledConnection[_C]]] = OrderedDict()  # by last return
        self._line: deque[ref[Waiter[_C]]] = deque()
        self._left = 0  # how many have left since the queue had none of those
        self._quiet: dict[Origin, int] = {}  # how many of its connections have stayed quiet
        self._shunned: dict[Origin, float] = {}  # servers that are not trusted, and until when
        self._idle_then = 0  # how many were idle when `settle` was done; `give` may not count while others move them

    @property
    def idle(self) -> int:
        """Return how many connections are idle."""
        self.settle()
        return self._idle_then

    @property
    def total(self) -> int:
        """Return how many slots exist: with idle connections, in use, or rights to open one."""
        self.settle()
        return len(self._known)

    def take(self, origin: Origin, request: httpx.Request) -> PooledConnection[_C] | None:
        """Return a slot, with an idle connection or the right to open one; None if the caller has to wait."""
        self.settle()
        slot = self._find(origin)
        if slot is not None:
            slot.request = request
            slot.is_doubtful = self.watch(slot) > 0
        self._count_idle()
        return slot

    def line_up(self, waiter: Waiter[_C]) -> None:
        """Add a waiter to the queue; it is dropped if its owner is collected."""
        self._line.append(ref(waiter))
        self.settle()  # a slot that was given back just before has called no waiter

    def leave(self, waiter: Waiter[_C]) -> None:
        """Remove a waiter from the queue, with or without a slot."""
        waiter.has_left = True
        self._left += 1
        if self._left * 2 > len(self._line):  # to look for it each time would take long if thousands leave
            self._line = deque(each for each in [*self._line] if _waits(each()))
            self._left = 0
        self.settle()

    def give(self, slot: PooledConnection[_C]) -> None:
        """Give a slot back: with its connection, if that is ready for another request.

        Any thread may call it at any time, also a finalizer within `settle`: it takes no lock.
        """
        slot.since = now = self._clock()
        slot.request = None
        if slot.cell:
            crowded = self._most_idle is not None and self._idle_then + len(self._returned) >= self._most_idle
            if (crowded and not self._line) or now < self._shunned.get(slot.origin, now):
                slot.close()  # here, because nobody may empty the queue for a long time
        self._returned.append(slot)
        first = self._first_in_line()
        if first is not None:
            first.call(None)

    def end(self, request: httpx.Request) -> None:
        """Note that an exception has ended a call, so that the next `settle` takes back what it has lost.

        Any thread may call it at any time, as `give`.
        """
        self._ended.append(ref(request))

    def watch(self, slot: PooledConnection[_C]) -> float:
        """Return for how many seconds a connection still has to be watched before it is used again."""
        if not slot.cell or self._quiet.get(slot.origin, 0) >= _PROVEN:
            return 0.0
        return max(0.0, _WATCH - (self._clock() - slot.since))

    def judge(self, slot: PooledConnection[_C], *, stale: bool) -> None:
        """Note the result of a check just before a connection is used again, and close a stale one."""
        if not stale:
            if self.watch(slot) == 0:
                self._quiet[slot.origin] = self._quiet.get(slot.origin, 0) + 1
            return
        if self._clock() - slot.since < _AT_ONCE:
            self.distrust(slot.origin)
        slot.close()

    def distrust(self, origin: Origin) -> None:
        """Note that a server closes its connections after an answer, or sends bytes that nobody asked for."""
        self._quiet.pop(origin, None)
        self._shunned[origin] = self._clock() + _DISTRUST

    def settle(self) -> None:
        """Process returned and lost slots, close expired connections, and give slots to waiters."""
        while self._lost:
            _close(self._known.get(self._lost[0], []))
            self._known.pop(self._lost[0], None)
            self._lost.popleft()  # last: if an exception ends this after any step, all of them are done again
        while self._ended:
            self._take_back(self._ended[0]())
            self._ended.popleft()
        while self._returned:
            self._place(self._returned.popleft())
        while (oldest := self._oldest()) and self._has_expired(oldest[0]):
            self._retire(oldest.popleft())
        while self._line:
            waiter = self._line[0]()
            if _waits(waiter):
                slot = self._find(waiter.origin)
                if slot is None:
                    break
                slot.request, slot.is_doubtful = waiter.request, True  # time will pass until the waiter takes it
                waiter.call(slot)
                del slot
            self._line.popleft()
        self._count_idle()
        while self._most_idle is not None and self._idle_then > self._most_idle and (oldest := self._oldest()):
            self._retire(oldest.popleft())
            self._count_idle()

    def clear(self) -> None:
        """Close all idle connections."""
        self.settle()
        while oldest := self._oldest():
            self._retire(oldest.popleft())
        self._idle_then = 0

    def _find(self, origin: Origin) -> PooledConnection[_C] | None:
        while stack := self._idle.get(origin):
            slot = stack.pop()
            if not self._has_expired(slot):
                stale = slot.cell[0].is_stale()
                self.judge(slot, stale=stale)
                if not stale:
                    return slot
            self._retire(slot)
        if self._most is not None and len(self._known) >= self._most:
            oldest = self._oldest()
            if oldest is None:
                return None
            self._retire(oldest.popleft())
        slot = PooledConnection(origin)
        self._known[ref(slot, self._lost.append)] = slot.cell
        return slot

    def _take_back(self, ended: httpx.Request | None) -> None:
        """Close the slots that a request has lost, or a step that ended before a request got them."""
        kept = {id(slot) for stack in [*self._idle.values(), self._returned] for slot in [*stack]}
        for slot in [each() for each in [*self._known]]:
            if slot is not None and id(slot) not in kept and slot.request in {None, ended}:
                self._retire(slot)
        for waiter in [each() for each in [*self._line]]:
            if waiter is not None and waiter.request is ended:
                waiter.has_left = True

    def _place(self, slot: PooledConnection[_C]) -> None:
        """Put a slot that was given back on its stack."""
        if not slot.cell:
            self._retire(slot)
            return
        self._idle.setdefault(slot.origin, deque()).append(slot)
        self._idle.move_to_end(slot.origin)

    def _retire(self, slot: PooledConnection[_C]) -> None:
        slot.close()
        self._known.pop(ref(slot), None)

    def _oldest(self) -> deque[PooledConnection[_C]] | None:
        """Return the stack of the server that was used least recently, and remove empty stacks."""
        while self._idle:
            origin, stack = next(iter(self._idle.items()))
            if stack:
                return stack
            del self._idle[origin]
        return None

    def _count_idle(self) -> None:
        self._idle_then = sum(map(len, self._idle.values()))

    def _has_expired(self, slot: PooledConnection[_C]) -> bool:
        return self._expiry is not None and self._clock() - slot.since > self._expiry

    def _first_in_line(self) -> Waiter[_C] | None:
        """Return the first waiter. If another thread is changing the queue, that thread calls `settle`."""
        place = 0
        while place < len(self._line):
            try:
                waiter = self._line[place]()
            except IndexError:
                return None
            if _waits(waiter):
                return waiter
            place += 1
        return None


def _waits(waiter: Waiter[_C] | None) -> TypeGuard[Waiter[_C]]:
    return waiter is not None and not waiter.has_left


def _close(cell: list[_C]) -> None:
    while cell:
        cell[-1].close()
        cell.pop()
