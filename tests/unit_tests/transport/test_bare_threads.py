"""Threads that are started without a lock: the interpreter does not end before they have begun."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from unittest.mock import Mock

import pytest

from langchain_dbchat.transport import bare_threads

_AT_THE_END = """
    import _thread, atexit, os, sys, threading
    atexit.register(lambda: print(_thread._count()))  # runs last, because it was registered first
    from langchain_dbchat.transport.bare_threads import start_thread
    sys.setswitchinterval(100)  # no thread begins while this one runs
    never = threading.Lock()
    never.acquire()
"""


def _printed(program: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(_AT_THE_END) + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [(), ("-X", "dev")])
def test_the_interpreter_does_not_end_before_its_threads_have_begun(options: tuple[str, ...]) -> None:
    assert _printed("for _ in range(8): start_thread(never.acquire)", *options) == "8\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
def test_a_child_does_not_wait_for_the_threads_of_its_parent() -> None:
    program = """
        import time
        from langchain_dbchat.transport import bare_threads
        start_thread(never.acquire)
        if child := os.fork():
            os.waitpid(child, 0)
        else:
            bare_threads.time.sleep = lambda _: os.write(1, b"waited ")
    """
    assert _printed(program).split() == ["0", "1"]


async def test_work_in_a_thread_gives_its_result_or_its_exception() -> None:
    def fail() -> None:
        raise ZeroDivisionError("of the work")

    assert await bare_threads.in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError, match="of the work"):
        await bare_threads.in_thread(fail)


def test_work_whose_loop_has_ended_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    ended, done = threading.Event(), threading.Event()

    def work() -> None:
        ended.wait(30)
        done.set()

    async def leave() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(bare_threads.in_thread(work), 0.05)

    asyncio.run(leave())
    ended.set()
    assert done.wait(30)
    time.sleep(0.05)
    assert capfd.readouterr().err == ""


def test_a_thread_gets_what_it_is_given() -> None:
    got: list[tuple[int, ...]] = []
    done = threading.Event()

    def run(*given: int) -> None:
        got.append(given)
        done.set()

    bare_threads.start_thread(run, 1, 2)
    assert done.wait(10)
    assert got == [(1, 2)]


def test_a_thread_that_cannot_start_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_thread.start_new_thread", Mock(side_effect=RuntimeError("can't start new thread")))
    with pytest.raises(RuntimeError, match="can't start"):
        bare_threads.start_thread(print)
    assert not bare_threads._beginning
