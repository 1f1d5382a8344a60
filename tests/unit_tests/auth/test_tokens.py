from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from langchain_dbchat.auth import tokens
from langchain_dbchat.auth.tokens import Grant, TokenCell, TokenCells
from langchain_dbchat.transport.effects import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit.token_server import FakeClock


class Mint:
    """Gives out t1, t2, ...; may be slow, and may fail."""

    def __init__(self, lifetime: float = 3600.0, delay: float = 0.0) -> None:
        self.lifetime = lifetime
        self.delay = delay
        self.count = 0
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Grant:
        with self._lock:
            self.count += 1
            number = self.count
        time.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return Grant(SecretStr(f"t{number}"), self.lifetime)

    @property
    def effect(self) -> Effect:
        return Effect(self, self.later)

    async def later(self) -> Grant:
        with self._lock:
            self.count += 1
            number = self.count
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return Grant(SecretStr(f"t{number}"), self.lifetime)


def in_threads(fetch: Callable[[], Grant]) -> Effect:
    return Effect(fetch, lambda: asyncio.to_thread(fetch))


def waiting(cell: TokenCell) -> int:
    """Count the threads that wait for a fetch which is under way."""
    assert cell._in_flight is not None
    return len(cell._in_flight.future._waiters)  # of the standard library


def show(token: SecretStr) -> str:
    return token.get_secret_value()


def elsewhere(cell: TokenCell, mint: Mint, *, refresh: bool = False) -> str:
    """Ask in a context of its own, as another request does."""
    return contextvars.Context().run(lambda: show(cell.get(mint.effect, refresh=refresh)))


def test_a_token_is_kept_while_fresh_and_renewed_ahead_of_its_end(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(3600)
    assert show(cell.get(mint.effect)) == "t1"
    clock.advance(2999)
    assert show(cell.get(mint.effect)) == "t1"
    clock.advance(2)
    assert show(cell.get(mint.effect)) == "t2"
    assert mint.count == 2


def test_a_short_life_is_renewed_at_half_time(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(100)
    cell.get(mint.effect)
    clock.advance(49)
    assert show(cell.get(mint.effect)) == "t1"
    clock.advance(2)
    assert show(cell.get(mint.effect)) == "t2"


@pytest.mark.parametrize("hand", ["ticks", "date"])
def test_either_clock_ends_a_token(clock: FakeClock, hand: str) -> None:
    # A laptop that slept shows it on the wall clock only; a wall clock that was set back, on the monotonic one only.
    cell, mint = TokenCell(clock), Mint(3600)
    cell.get(mint.effect)
    setattr(clock, hand, getattr(clock, hand) + 4000)
    assert show(cell.get(mint.effect)) == "t2"


def test_a_wall_clock_set_back_does_not_prolong_a_life(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(3600)
    cell.get(mint.effect)
    clock.date -= 100_000
    clock.ticks += 3600
    assert show(cell.get(mint.effect)) == "t2"


def test_a_life_is_counted_from_before_the_request(clock: FakeClock) -> None:
    cell = TokenCell(clock)
    count = 0

    def slow() -> Grant:
        nonlocal count
        count += 1
        clock.advance(60)
        return Grant(SecretStr(f"t{count}"), 62)

    cell.get(in_threads(slow))
    cell.get(in_threads(slow))
    assert count == 2


def test_a_failed_renewal_goes_on_with_the_old_token_and_rests(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(3600)
    cell.get(mint.effect)
    clock.advance(3100)
    mint.error = RuntimeError("down")
    assert show(cell.get(mint.effect)) == "t1"
    assert show(cell.get(mint.effect)) == "t1"
    assert mint.count == 2
    clock.advance(tokens.REST + 1)
    cell.get(mint.effect)
    assert mint.count == 3
    clock.advance(480)
    with pytest.raises(RuntimeError, match="down"):
        cell.get(mint.effect)


def test_a_refused_token_is_replaced_and_a_failure_to_do_so_is_told(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint()
    cell.get(mint.effect)
    assert show(cell.get(mint.effect, refresh=True)) == "t2"
    assert show(cell.get(mint.effect)) == "t2"
    mint.error = RuntimeError("down")
    with pytest.raises(RuntimeError, match="down"):
        cell.get(mint.effect, refresh=True)


def test_those_who_were_refused_late_take_what_another_has_fetched(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint()
    late = contextvars.Context()
    assert late.run(lambda: show(cell.get(mint.effect))) == "t1"
    assert elsewhere(cell, mint, refresh=True) == "t2"
    assert late.run(lambda: show(cell.get(mint.effect, refresh=True))) == "t2"
    assert late.run(lambda: show(cell.get(mint.effect, refresh=True))) == "t3"


def test_fifty_threads_make_one_request(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(delay=0.2)
    barrier = threading.Barrier(50)

    def ask(_: int) -> str:
        barrier.wait()
        return show(cell.get(mint.effect))

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(50))) == {"t1"}
    assert mint.count == 1


async def test_fifty_tasks_make_one_request(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(delay=0.1)
    found = await asyncio.gather(*(cell.aget(mint.effect) for _ in range(50)))
    assert {show(token) for token in found} == {"t1"}
    assert mint.count == 1


def test_threads_and_event_loops_share_one_request(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(delay=0.3)
    barrier = threading.Barrier(12)

    def sync(_: int) -> set[str]:
        barrier.wait()
        return {show(cell.get(mint.effect))}

    def loops(_: int) -> set[str]:
        async def main() -> set[str]:
            barrier.wait()
            found = await asyncio.gather(*(cell.aget(mint.effect) for _ in range(5)))
            return {show(token) for token in found}

        return asyncio.run(main())

    with ThreadPoolExecutor(12) as pool:
        results = [pool.submit(sync if number % 2 else loops, number) for number in range(12)]
        names = set.union(*(result.result() for result in results))
    assert names == {"t1"}
    assert mint.count == 1


def test_while_one_renews_the_others_go_on_with_the_old_token(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint()
    cell.get(mint.effect)
    clock.advance(3100)
    entered, leave = threading.Event(), threading.Event()

    def slow() -> Grant:
        entered.set()
        assert leave.wait(30)
        return Grant(SecretStr("new"), 3600)

    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(cell.get, in_threads(slow))
        assert entered.wait(30)
        assert elsewhere(cell, mint) == "t1"
        assert asyncio.run(asyncio.wait_for(cell.aget(mint.effect), 30)).get_secret_value() == "t1"
        leave.set()
        assert show(renewing.result()) == "new"
    assert mint.count == 1


def test_all_who_wait_get_the_error_and_the_next_caller_tries_again(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint()
    mint.error = ValueError("refused")

    def fetch() -> Grant:
        while waiting(cell) < 9:
            time.sleep(0.005)
        return mint()

    def ask(_: int) -> BaseException | None:
        try:
            cell.get(in_threads(fetch))
        except ValueError as error:
            return error
        return None

    with ThreadPoolExecutor(10) as pool:
        errors = list(pool.map(ask, range(10)))
    assert [str(error) for error in errors] == ["refused"] * 10
    assert len({id(error) for error in errors}) == 10
    assert mint.count == 1
    mint.error = None
    assert show(cell.get(mint.effect)) == "t2"


async def test_a_cancelled_fetch_leaves_its_place_to_those_who_wait(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(delay=60)
    first = asyncio.create_task(cell.aget(mint.effect))
    others = [asyncio.create_task(cell.aget(mint.effect)) for _ in range(5)]
    await asyncio.sleep(0.05)
    mint.delay = 0
    first.cancel()
    found = {show(token) for token in await asyncio.gather(*others)}
    assert found == {"t2"}
    assert mint.count == 2


def test_a_fetch_that_is_collected_waits_for_no_lock(clock: FakeClock) -> None:
    """Its event loop has ended without it; the collector runs where the lock is held."""
    cell, mint = TokenCell(clock), Mint(delay=60)
    loop = asyncio.new_event_loop()
    left = [loop.create_task(cell.aget(mint.effect))]
    loop.run_until_complete(asyncio.sleep(0.01))
    left[0]._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio would complain, rightly, of this test
    loop.close()
    assert mint.count == 1

    def collect() -> None:
        with cell._lock:
            left.clear()
            gc.collect()

    collecting = threading.Thread(target=collect, daemon=True)
    collecting.start()
    collecting.join(30)
    assert not collecting.is_alive()
    mint.delay = 0
    assert cell.get(mint.effect).get_secret_value() == "t2"


async def test_a_cancelled_waiter_takes_nobody_with_it(clock: FakeClock) -> None:
    cell, mint, may_answer = TokenCell(clock), Mint(), asyncio.Event()

    async def fetch() -> Grant:
        await may_answer.wait()
        return await mint.later()

    first, second, third = (asyncio.create_task(cell.aget(Effect(mint, fetch))) for _ in range(3))
    await asyncio.sleep(0.05)
    second.cancel()
    may_answer.set()
    assert {show(await first), show(await third)} == {"t1"}
    assert second.cancelled()
    assert mint.count == 1


async def test_sync_code_on_the_thread_of_the_fetching_loop_does_not_wait_for_itself(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(delay=0.1)
    fetching = asyncio.create_task(cell.aget(mint.effect))
    await asyncio.sleep(0.02)
    assert show(cell.get(mint.effect)) == "t2"
    assert show(await fetching) == "t1"


def test_patience_ends(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "PATIENCE", 0.05)
    cell, mint = TokenCell(clock), Mint()
    entered, leave = threading.Event(), threading.Event()

    def stuck() -> Grant:
        entered.set()
        leave.wait(30)
        return Grant(SecretStr("late"), 3600)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(cell.get, in_threads(stuck))
        assert entered.wait(30)
        assert elsewhere(cell, mint) == "t1"
        assert show(asyncio.run(cell.aget(mint.effect))) == "t1"
        leave.set()


def test_only_as_many_identities_as_the_limit_are_kept(clock: FakeClock) -> None:
    cells, mint = TokenCells(2, clock), Mint()
    a = cells.cell("a")
    cells.cell("b")
    assert cells.cell("a") is a
    cells.cell("c")
    assert len(cells) == 2
    assert cells.cell("a") is a
    assert show(cells.cell("b").get(mint.effect)) == "t1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.12 warns of every fork in a process with threads")
def test_a_forked_child_waits_for_nothing_that_only_its_parent_can_finish(clock: FakeClock) -> None:
    cell = TokenCell(clock)
    entered, leave = threading.Event(), threading.Event()

    def slow() -> Grant:
        entered.set()
        leave.wait(30)
        return Grant(SecretStr("parent"), 3600)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cell.get, in_threads(slow))
        assert entered.wait(30)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if show(cell.get(in_threads(lambda: Grant(SecretStr("child"), 3600)))) == "child" else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        leave.set()
        assert show(waiting.result()) == "parent"
    assert status == 0


def test_no_repr_shows_a_token() -> None:
    assert "hush" not in repr(Grant(SecretStr("hush"), 1))


def test_who_was_refused_an_older_token_than_the_one_that_was_fetched_by_force_gets_that_one(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint()
    mine, other = contextvars.Context(), contextvars.Context()
    assert mine.run(lambda: show(cell.get(mint.effect))) == "t1"
    assert other.run(lambda: show(cell.get(mint.effect))) == "t1"
    assert other.run(lambda: show(cell.get(mint.effect, refresh=True))) == "t2"
    assert mine.run(lambda: show(cell.get(mint.effect, refresh=True))) == "t2"  # t1 was refused, and t2 is newer
    assert mint.count == 2
    assert mine.run(lambda: show(cell.get(mint.effect, refresh=True))) == "t3"  # t2 itself was refused
    assert mint.count == 3


def test_who_was_refused_an_older_token_than_one_that_was_renewed_for_its_age_forces_another(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint(3600)
    mine = contextvars.Context()
    assert mine.run(lambda: show(cell.get(mint.effect))) == "t1"
    clock.advance(3500)
    assert elsewhere(cell, mint) == "t2"
    assert mine.run(lambda: show(cell.get(mint.effect, refresh=True))) == "t3"


def test_a_token_of_another_cell_says_nothing_about_this_one(clock: FakeClock) -> None:
    first, second, mint = TokenCell(clock), TokenCell(clock), Mint()
    mine = contextvars.Context()
    assert mine.run(lambda: show(first.get(mint.effect))) == "t1"
    assert elsewhere(second, mint) == "t2"
    assert elsewhere(second, mint, refresh=True) == "t3"
    assert mine.run(lambda: show(second.get(mint.effect, refresh=True))) == "t4"


def test_a_context_that_was_given_nothing_forces_a_fetch(clock: FakeClock) -> None:
    cell, mint = TokenCell(clock), Mint()
    assert elsewhere(cell, mint, refresh=True) == "t1"
    assert elsewhere(cell, mint, refresh=True) == "t2"
