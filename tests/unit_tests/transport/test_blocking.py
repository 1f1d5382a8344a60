"""Code that is written once for threads and for event loops, run in a thread."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from langchain_dbchat.transport.blocking import finish

_asked: ContextVar[int] = ContextVar("_asked", default=0)


async def _number() -> int:
    return 21


async def _double() -> int:
    _asked.set(_asked.get() + 1)
    return 2 * await _number()


def test_the_result_is_returned_and_the_context_is_the_callers() -> None:
    before = _asked.get()
    assert finish(_double()) == 42
    assert _asked.get() == before + 1


async def test_it_runs_in_a_thread_that_has_an_event_loop() -> None:
    assert finish(_double()) == 42


def test_exceptions_pass_and_what_was_opened_is_closed() -> None:
    closed: list[bool] = []

    async def fail() -> None:
        try:
            await _number()
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        finish(fail())
    assert closed == [True]


async def test_work_that_would_wait_for_an_event_loop_is_ended_and_named() -> None:
    closed: list[bool] = []

    async def suspend() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="about to wait for an event loop"):
        finish(suspend())
    assert closed == [True]
