"""The shared limit: what it decides, and that threads, tasks, loops and forks wait for it without losing a turn."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import math
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.interrupts import Interrupt, Interruption
from langchain_dbchat.errors import DatabricksConnectionError
from langchain_dbchat.transport import limiter as limits
from langchain_dbchat.transport.blocking import finish
from langchain_dbchat.transport.content import Content
from langchain_dbchat.transport.exchange import Failure
from langchain_dbchat.transport.limit import Limit
from langchain_dbchat.transport.limiter import (
    AsyncEvent,
    EndpointLimiter,
    LocalLimiter,
    Permit,
    Slot,
    ThreadEvent,
    limiter_for,
)
from langchain_dbchat.transport.messages import Reply

OK = Reply(200, {}, Content(b"{}"))
FULL = Reply(429, {}, Content())
BUSY = Reply(503, {}, Content())
DROPPED = Failure(DatabricksConnectionError("gone"), sent=True)


def started(limit: Limit, count: int) -> list[int]:
    return [limit.start() for _ in range(count)]


def test_nothing_is_limited_until_the_endpoint_complains() -> None:
    limit = Limit()
    rounds = started(limit, 1000)
    assert limit.wait(0) == 0
    for round_ in rounds:
        limit.end(round_, OK, 0)
    assert (limit.bound, limit.in_flight) == (math.inf, 0)


@pytest.mark.parametrize("complaint", [FULL, BUSY])
def test_a_complaint_lowers_what_may_travel(complaint: Reply) -> None:
    limit = Limit()
    first, *_ = started(limit, 10)
    assert "at most 9" in str(limit.end(first, complaint, 0))
    limit.in_flight = 8
    assert limit.wait(0) == 0
    limit.in_flight = 9
    assert limit.wait(0) == math.inf


def test_a_crowd_that_is_refused_is_halved_once() -> None:
    limit = Limit()
    rounds = started(limit, 20)
    late = rounds.pop()
    told = [limit.end(round_, FULL, 0) for round_ in rounds]
    assert limit.bound == 10
    assert [words for words in told if words][-1] == "HTTP 429: at most 10 at once from now on"
    limit.in_flight = 10
    limit.end(limit.start(), FULL, 0)  # one of the next crowd
    assert limit.bound == 9
    limit.end(limit.start(), FULL, 0)
    before = limit.bound
    limit.end(late, FULL, 0)  # a crowd that has gone
    assert limit.bound == before


def test_it_climbs_by_one_a_round_while_it_is_in_the_way() -> None:
    limit = Limit(bound=4)
    for _ in range(2):
        for round_ in [*started(limit, 4)]:
            limit.end(round_, OK, 0)
            limit.in_flight = 3
            limit.start()
        limit.in_flight = 0
    assert 5 < limit.bound < 6


@pytest.mark.parametrize("together", range(1, 6))
def test_it_climbs_while_one_more_would_have_to_wait(together: int) -> None:
    limit = Limit(bound=together + 0.5)
    limit.end(started(limit, together)[0], OK, 0)
    assert limit.bound > together + 0.5


def test_it_does_not_climb_when_nobody_waits() -> None:
    limit = Limit(bound=4)
    for _ in range(100):
        limit.end(limit.start(), OK, 0)
    assert limit.bound == 4


@pytest.mark.parametrize("outcome", [DROPPED, None, Reply(500, {}, Content()), Reply(400, {}, Content(b""))])
def test_other_outcomes_do_not_lower_it(outcome: Reply | Failure | None) -> None:
    limit = Limit(bound=4)
    assert limit.end(started(limit, 4)[0], outcome, 0) is None
    assert limit.bound >= 4
    assert limit.in_flight == 3


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, {"retry-after": "7"}, Content()),
        Reply(503, {}, Content(b'{"error": {"message": "x", "retry_after": 7}}')),
    ],
)
def test_retry_after_holds_everybody(reply: Reply) -> None:
    limit = Limit()
    assert "7.00 s" in str(limit.end(limit.start(), reply, 100.0))
    assert limit.wait(100.0) == 7
    assert limit.wait(106.0) == 1
    assert limit.wait(107.0) == 0


def test_a_late_complaint_does_not_shorten_the_wait() -> None:
    limit = Limit()
    first, second = started(limit, 2)
    limit.end(first, Reply(429, {"retry-after": "7"}, Content()), 100.0)
    limit.end(second, Reply(429, {"retry-after": "1"}, Content()), 101.0)
    assert limit.wait(101.0) == 6


def test_at_one_the_wait_doubles_up_to_a_minute_and_a_success_forgets_it() -> None:
    limit, waits, now = Limit(bound=1), [], 0.0
    for _ in range(9):
        limit.end(limit.start(), FULL, now)
        waits.append(limit.wait(now))
        now += waits[-1]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    limit.end(limit.start(), OK, now)
    limit.bound = 1
    limit.end(limit.start(), FULL, now)
    assert limit.wait(now) == 0.5


@given(st.lists(st.sampled_from(["start", "ok", "full", "asked", "drop"]), max_size=200))
def test_no_course_of_events_closes_it_for_ever(events: list[str]) -> None:
    limit, travelling, now = Limit(), list[int](), 0.0
    outcomes: dict[str, Any] = {
        "ok": OK,
        "full": FULL,
        "asked": Reply(429, {"retry-after": "3"}, Content()),
        "drop": DROPPED,
    }
    for event in events:
        now += 0.1
        if event == "start":
            if limit.wait(now) == 0:
                travelling.append(limit.start())
        elif travelling:
            limit.end(travelling.pop(0), outcomes[event], now)
        assert limit.bound >= 1
        assert limit.in_flight == len(travelling)
    for round_ in travelling:
        limit.end(round_, None, now)
    assert limit.wait(now + 61) == 0


class Crowd:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = self.turns = 0
        self.lock = threading.Lock()

    def come(self) -> None:
        with self.lock:
            self.inside += 1
            self.turns += 1
            self.most = max(self.most, self.inside)

    def go(self) -> None:
        with self.lock:
            self.inside -= 1


def limited(bound: float) -> EndpointLimiter:
    gate = EndpointLimiter("host endpoint")
    gate.limit.bound = bound
    return gate


async def avisit(gate: EndpointLimiter, crowd: Crowd, outcome: Reply | None = None) -> None:
    async with Slot(gate, AsyncEvent()) as turn:
        crowd.come()
        await asyncio.sleep(0.002)
        crowd.go()
        turn.outcome = outcome


def visit(gate: EndpointLimiter, crowd: Crowd, outcome: Reply | None = None) -> None:
    async def stay() -> None:
        async with Slot(gate, ThreadEvent()) as turn:
            crowd.come()
            time.sleep(0.002)  # noqa: ASYNC251  # it runs in a thread
            crowd.go()
            turn.outcome = outcome

    finish(stay())


def acquire(gate: EndpointLimiter) -> Permit:
    event = ThreadEvent()
    permit = Permit(event.set)
    finish(gate.acquire(permit, event))
    return permit


async def aacquire(gate: EndpointLimiter) -> Permit:
    event = AsyncEvent()
    permit = Permit(event.set)
    await gate.acquire(permit, event)
    return permit


def test_threads_take_turns() -> None:
    gate, crowd = limited(3), Crowd()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: visit(gate, crowd), range(100)))
    assert (crowd.turns, crowd.most, gate.limit.in_flight) == (100, 3, 0)


def test_threads_and_the_tasks_of_several_loops_share_the_turns() -> None:
    gate, crowd = limited(2), Crowd()

    async def tasks() -> None:
        await asyncio.gather(*[avisit(gate, crowd) for _ in range(50)])

    with ThreadPoolExecutor(4) as threads:
        loops = [threads.submit(asyncio.run, tasks()) for _ in range(2)]
        for _ in range(20):
            visit(gate, crowd)
        for loop in loops:
            loop.result()
    assert (crowd.turns, crowd.most, gate.limit.in_flight) == (120, 2, 0)


def pass_through(gate: EndpointLimiter, outcome: Reply | None) -> None:
    async def pass_by() -> None:
        async with Slot(gate, ThreadEvent()) as slot:
            slot.outcome = outcome

    finish(pass_by())


def _lends_all(gate: EndpointLimiter, most: int) -> None:
    assert gate.in_flight == 0
    permits = [acquire(gate) for _ in range(most)]
    assert gate.in_flight == most
    for permit in permits:
        gate.release(permit, None)


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("outcome", [None, FULL])
@pytest.mark.parametrize("is_local", [False, True])
def test_an_interrupt_at_any_moment_loses_no_slot(most: int, outcome: Reply | None, is_local: bool) -> None:
    moments = 0
    for at in itertools.count(1):
        shared = limited(most)
        gate = LocalLimiter(most, shared) if is_local else shared
        interruption = Interruption(at, limits.__file__)
        try:
            with interruption.under_way():
                pass_through(gate, outcome)
        except Interrupt:
            moments += 1
        shared.limit.held_until = -math.inf
        shared.limit.bound = most
        _lends_all(gate, most)
        _lends_all(shared, most)
        if interruption.left > 0:
            break
    assert moments > 15


async def test_an_interrupt_of_one_task_loses_no_slot_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaves admits the next one, and may be interrupted while it does."""
    monkeypatch.setattr(limits, "_RECHECK", 0.01)
    moments = 0
    for at in itertools.count(1):
        gate = limited(1)
        entered: Permit | None = await aacquire(gate)
        waiting = asyncio.create_task(aacquire(gate))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        interruption = Interruption(at, limits.__file__)
        try:
            with interruption.under_way():
                assert entered is not None
                gate.release(entered, None)
        except Interrupt:
            moments += 1
        entered = None
        gate.release(await asyncio.wait_for(waiting, 30), None)
        del waiting
        _lends_all(gate, 1)
        if interruption.left > 0:
            break
    assert moments > 5


def test_a_permit_that_is_forgotten_is_given_to_who_waits() -> None:
    gate, crowd = limited(1), Crowd()
    forgotten: list[Permit] = [acquire(gate)]
    thread = threading.Thread(target=visit, args=(gate, crowd))
    thread.start()
    time.sleep(0.05)
    assert crowd.turns == 0
    forgotten.clear()
    thread.join(30)
    assert crowd.turns == 1
    assert gate.in_flight == 0


async def test_first_come_first_served() -> None:
    gate, order = limited(1), list[int]()

    async def come(number: int) -> None:
        async with Slot(gate, AsyncEvent()):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*map(come, range(20)))
    assert order == list(range(20))


async def test_a_cancelled_task_gives_its_place_and_its_turn_back() -> None:
    gate = limited(1)
    inside = asyncio.create_task(_stay(gate))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(_stay(gate)) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    await asyncio.sleep(0)
    gate._admitted.clear()  # a slot becomes free, and nobody is woken ...
    gate._admit()  # ... is given to the next who waits ...
    waiting[1].cancel()  # ... and that one is cancelled in the same moment
    await asyncio.gather(waiting[0], waiting[1], return_exceptions=True)
    await asyncio.sleep(0.01)
    assert gate.limit.in_flight == 1  # the last one is inside
    inside.cancel()
    waiting[2].cancel()
    await asyncio.gather(inside, waiting[2], return_exceptions=True)
    assert not gate._queue


async def test_the_next_task_is_on_its_way_before_the_one_that_leaves_does_anything_else() -> None:
    gate = limited(1)
    lane = LocalLimiter(1, gate)
    entered = await aacquire(lane)
    waiting = asyncio.create_task(aacquire(lane))
    await asyncio.sleep(0.01)
    lane.release(entered, None)
    await asyncio.sleep(0)  # what an embedding run does before it parses the answer
    assert waiting.done()
    lane.release(waiting.result(), None)


async def _stay(gate: EndpointLimiter) -> None:
    async with Slot(gate, AsyncEvent()):
        await asyncio.sleep(60)


def test_a_waiter_of_a_dead_loop_is_passed_over() -> None:
    gate = limited(1)
    entered = acquire(gate)
    loop = asyncio.new_event_loop()
    task = loop.create_task(aacquire(gate))
    loop.run_until_complete(asyncio.sleep(0.01))
    assert len(gate._queue) == 1
    loop.close()  # nobody cancelled the task
    gate.release(entered, None)
    assert gate.limit.in_flight == 0
    acquire(gate)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio would complain, rightly, of this test


@pytest.mark.parametrize("is_local", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_a_task_that_is_collected_waits_for_no_lock(waits: bool, is_local: bool) -> None:
    """Its event loop has ended without it, while it waited or was inside; the collector runs where the lock is held."""
    shared = limited(1)
    gate = LocalLimiter(1, shared) if is_local else shared
    entered = acquire(gate) if waits else None
    loop = asyncio.new_event_loop()
    left = [loop.create_task(_stay(gate))]
    loop.run_until_complete(asyncio.sleep(0.01))
    left[0]._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio would complain, rightly, of this test
    loop.close()
    if entered is not None:
        gate.release(entered, None)
    assert (gate.in_flight, shared.in_flight) == ((0, 0) if waits else (1, 1))

    def collect() -> None:
        with gate._lock, contextlib.nullcontext() if gate is shared else shared._lock:
            left.clear()
            gc.collect()

    collecting = threading.Thread(target=collect, daemon=True)
    collecting.start()
    collecting.join(30)
    assert not collecting.is_alive()
    _lends_all(gate, 1)
    _lends_all(shared, 1)


def test_what_is_given_up_while_the_lock_is_held_goes_to_who_waits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_RECHECK", 60.0)
    gate, crowd = limited(1), Crowd()
    entered = acquire(gate)
    waiting = threading.Thread(target=visit, args=(gate, crowd))
    waiting.start()
    while not gate._queue:
        time.sleep(0.001)

    def clock() -> float:
        gate._clock = time.monotonic
        gate.release(entered, None)  # as a finalizer does, within the step of somebody who has the lock
        return time.monotonic()

    gate._clock = clock
    gate._admit()
    waiting.join(15)
    assert crowd.turns == 1


def test_who_waits_is_woken_when_the_hold_ends_though_nobody_leaves() -> None:
    gate, crowd = limited(1), Crowd()
    entered = acquire(gate)
    threads = [threading.Thread(target=visit, args=(gate, crowd)) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.01)
    began = time.monotonic()
    gate.release(entered, Reply(429, {"retry-after": "0.05"}, Content()))
    for thread in threads:
        thread.join(30)
    assert crowd.turns == 3
    assert time.monotonic() - began > 0.04


async def test_tasks_are_woken_when_the_hold_ends_though_the_first_of_them_has_left() -> None:
    gate, crowd = limited(1), Crowd()
    entered = await aacquire(gate)
    first, *others = [asyncio.create_task(avisit(gate, crowd)) for _ in range(4)]
    await asyncio.sleep(0.01)
    gate.release(entered, Reply(503, {"retry-after": "1"}, Content()))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait_for(asyncio.gather(*others), 30)
    assert crowd.turns == 3


@pytest.mark.parametrize(("width", "bound", "most"), [(2, 5, 2), (5, 2, 2), (3, math.inf, 3)])
def test_a_lane_is_as_wide_as_itself_and_the_gate_behind_it(width: int, bound: float, most: int) -> None:
    gate, crowd = limited(bound), Crowd()
    lane = LocalLimiter(width, gate)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: visit(lane, crowd), range(60)))

    async def tasks() -> None:
        await asyncio.gather(*[avisit(lane, crowd) for _ in range(60)])

    asyncio.run(tasks())
    assert (crowd.turns, crowd.most) == (120, most)
    assert gate.limit.in_flight == lane.limit.in_flight == 0
    visit(lane, crowd, FULL)
    assert (gate.limit.round, lane.limit.bound) == (1, width)


async def test_a_lane_without_a_gate_and_a_task_cancelled_between_both() -> None:
    crowd = Crowd()
    await asyncio.gather(*[avisit(LocalLimiter(2, None), crowd) for _ in range(4)])
    gate = limited(1)
    lane, entered = LocalLimiter(1, gate), acquire(gate)
    task = asyncio.create_task(avisit(lane, crowd))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert lane.limit.in_flight == 0
    gate.release(entered, None)
    assert gate.limit.in_flight == 0


def test_the_log_tells(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", limits.__name__)
    gate = EndpointLimiter("https://workspace.example my-endpoint")
    gate.release(acquire(gate), Reply(429, {"retry-after": "0.01"}, Content()))
    assert caplog.messages == [
        "https://workspace.example my-endpoint: HTTP 429: at most 1 at once from now on, nothing for 0.01 s"
    ]


def test_one_gate_for_an_endpoint_of_a_process() -> None:
    assert limiter_for("https://a.example", "e") is limiter_for("https://a.example", "e")
    assert limiter_for("https://a.example", "e") is not limiter_for("https://a.example", "f")
    assert limiter_for("https://a.example", "e") is not limiter_for("https://b.example", "e")


FORK = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")  # Python warns of forks with threads, which is what this is about
from langchain_dbchat.transport.blocking import finish
from langchain_dbchat.transport.limiter import Permit, Slot, ThreadEvent, limiter_for
gate = limiter_for("h", "e")
gate.limit.bound = 1
event = ThreadEvent()
used = Permit(event.set)
finish(gate.acquire(used, event))
gate._lock.acquire()
child = os.fork()
if child == 0:
    async def enter():
        async with Slot(limiter_for("h", "e"), ThreadEvent()):
            os._exit(42)
    finish(enter())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
def test_a_child_begins_anew() -> None:
    assert subprocess.run([sys.executable, "-c", FORK], timeout=120, check=False).returncode == 42
