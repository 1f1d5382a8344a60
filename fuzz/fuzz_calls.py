"""Fuzz target: calls that are cancelled, timed out, interrupted, dropped, collected, closed and forked at any point.

Whatever happens to a call: no other call gets its bytes, the pool lends as many connections afterwards as before, and
no socket stays open. Async calls are cancelled at their n-th await, sync ones are disturbed at their n-th bytecode
within the transport, so that a case can be repeated exactly. A call that never ends is a finding, too: the process then
says where it stands, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import dis
import faulthandler
import functools
import gc
import itertools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from hostile_server import HostileServer, hostile_servers
from running import run

from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.transport import channel as channel_module
from langchain_dbchat.transport.channel import Channel, Timeouts
from langchain_dbchat.transport.exchange import RetryPolicy
from langchain_dbchat.transport.http.transport import AsyncPooledTransport, PooledTransport
from langchain_dbchat.transport.messages import Request

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
    from types import CodeType

    from langchain_dbchat.transport.stream import AsyncEventStream, EventStream

_SLOTS = 3
_LIMITS = httpx.Limits(max_connections=_SLOTS, max_keepalive_connections=_SLOTS, keepalive_expiry=30)
_TIMEOUTS = Timeouts(connect=5, write=5, pool=1, first_event=5, idle=5)
_NEVER = RetryPolicy(max_retries=0)
_PATIENCE = 30  # seconds until a case that does not end is a finding
_TRANSPORT = str(Path(channel_module.__file__).parent)
_numbers = itertools.count(1)


class _Nobody:
    """Credentials that sign nothing."""

    name = "nobody"

    def headers(self, *, refresh: bool = False) -> dict[str, str]:
        """Return no headers."""
        del refresh
        return {}

    async def aheaders(self, *, refresh: bool = False) -> dict[str, str]:
        """Return no headers."""
        return self.headers(refresh=refresh)


class Interrupted(BaseException):
    """What a signal handler raises."""


def _request(server: HostileServer, number: int) -> Request:
    return Request(
        url=f"{server.url}/echo/{number}", headers={}, body=b"{}", endpoint="x", host=server.url, streaming=True
    )


def _check(number: int, payloads: list[bytes]) -> int:
    if any(payload != b"%d" % number for payload in payloads):
        raise AssertionError(f"call {number} got somebody else's bytes: {payloads!r}")
    return len(payloads)


def _whole(number: int, got: int) -> None:
    if got != number % 4 + 1:
        raise AssertionError(f"call {number} got {got} events and not {number % 4 + 1}")


# Async calls


class _CancelAt:
    """Await something, and cancel it at its n-th step."""

    def __init__(self, awaited: Any, step: int) -> None:
        self._awaited = awaited
        self._step = step

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._awaited.__await__()
        value: Any = None
        error: BaseException | None = None
        for step in itertools.count():
            if step == self._step:
                error = asyncio.CancelledError()
            try:
                wanted = inner.send(value) if error is None else inner.throw(error)
            except StopIteration as end:
                return end.value
            value = error = None
            try:
                value = yield wanted
            except BaseException as thrown:  # noqa: BLE001  # what cancels the task is the call's to end with
                error = thrown


async def _cancel_at(awaited: Any, step: int) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await _CancelAt(awaited, step)


async def _acall(channel: Channel, server: HostileServer, *, leaves_after: int | None = None) -> None:
    number = next(_numbers)
    got = 0
    async with channel.astream(_request(server, number)) as incoming:
        async for payloads in incoming:
            got += _check(number, payloads)
            if leaves_after is not None and got >= leaves_after:
                return
    _whole(number, got)


async def _drop(channel: Channel, server: HostileServer) -> None:
    """Leave a stream half read, in a cycle that only the collector finds."""
    number = next(_numbers)
    opened = channel.astream(_request(server, number))
    incoming: AsyncEventStream = await opened.__aenter__()
    _check(number, await anext(aiter(incoming)))
    cycle: list[Any] = [opened, incoming]
    cycle.append(cycle)
    asyncio.get_running_loop().call_later(0.01, gc.collect)  # before those that wait for its connection give up


def _async_call(dice: random.Random, channel: Channel, server: HostileServer) -> Any:
    what = dice.random()
    if what < 0.5:
        return _cancel_at(_acall(channel, server), dice.randint(0, 14))
    if what < 0.65:
        return _timed_out(channel, server, dice.random() * 0.006)
    if what < 0.75:
        return _acall(channel, server, leaves_after=dice.randint(1, 3))
    if what < 0.8:
        return _drop(channel, server)
    return _acall(channel, server)


async def _timed_out(channel: Channel, server: HostileServer, seconds: float) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_acall(channel, server), seconds)


async def _crowd(dice: random.Random, server: HostileServer) -> None:
    """Call with more tasks than connections, disturb most of them, and see that all connections are lent again."""
    pool = AsyncPooledTransport(lambda: server.trusting, _LIMITS)
    async with httpx.AsyncClient(transport=pool, trust_env=False) as client:
        channel = Channel(_Nobody(), timeouts=_TIMEOUTS, policy=_NEVER, http_async_client=client)
        calls = [asyncio.ensure_future(_async_call(dice, channel, server)) for _ in range(dice.randint(1, 9))]
        if dice.random() < 0.3:
            await asyncio.sleep(dice.random() * 0.004)
            dice.choice(calls).cancel()
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                raise outcome
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.gather(*(_hold_and_read(channel, server) for _ in range(_SLOTS)))


async def _hold_and_read(channel: Channel, server: HostileServer) -> None:
    await asyncio.wait_for(_acall(channel, server), 5)


# Sync calls


class _Disturbance:
    """Do something at the n-th bytecode within the transport, or at the next one at which Python runs signal handlers.

    Python runs them behind a call, at a function's start and at a jump back, so that `with lock:` always gives the lock
    back (https://github.com/python/cpython/issues/74174). Finalizers run, and forks happen, anywhere.

    Args:
        at: Which bytecode.
        what: What is done then; it may raise.
        anywhere: Whether it may happen at any bytecode.
    """

    def __init__(self, at: int, what: Callable[[], object], *, anywhere: bool) -> None:
        self._left = at
        self._what = what
        self._anywhere = anywhere

    def __call__(self, frame: Any, event: str, _: object) -> Any:
        """Trace a frame; `sys.settrace`'s hook."""
        if not frame.f_code.co_filename.startswith(_TRANSPORT):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self._left -= 1
            if self._left <= 0 and (self._anywhere or _runs_signal_handlers(frame.f_code, frame.f_lasti)):
                sys.settrace(None)
                self._what()
        return self

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Watch what runs in this context."""
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(None)


@functools.cache
def _runs_signal_handlers(code: CodeType, at: int) -> bool:
    """Return whether Python runs signal handlers just before a bytecode."""
    before = ""
    for step in dis.get_instructions(code):
        if step.offset == at:
            return step.opname == "RESUME" or step.opname.startswith("JUMP_B") or before.startswith("CALL")
        before = step.opname
    return False


def _call(channel: Channel, server: HostileServer) -> None:
    number = next(_numbers)
    got = 0
    with channel.stream(_request(server, number)) as incoming:
        for payloads in incoming:
            got += _check(number, payloads)
    _whole(number, got)


def _open(channel: Channel, server: HostileServer) -> list[Any]:
    number = next(_numbers)
    opened = channel.stream(_request(server, number))
    incoming: EventStream = opened.__enter__()
    _check(number, next(iter(incoming)))
    return [opened, incoming]


def _raise() -> None:
    raise Interrupted


def _fork() -> None:
    """Fork, and let the child drop what it inherited: it has to end."""
    child = os.fork()
    if child == 0:
        gc.collect()
        os._exit(0)
    end = time.monotonic() + 10
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, 9)
            os.waitpid(child, 0)
            raise AssertionError("a forked child waits for ever")
        time.sleep(0.002)


def _alone(dice: random.Random, server: HostileServer) -> None:
    """Disturb one sync call at one bytecode, and see that all connections are lent again."""
    pool = PooledTransport(lambda: server.trusting, _LIMITS)
    with httpx.Client(transport=pool, trust_env=False) as client:
        channel = Channel(_Nobody(), timeouts=_TIMEOUTS, policy=_NEVER, http_client=client)
        for _ in range(dice.randint(0, 2)):
            _call(channel, server)  # so that a connection lies in the pool
        what: Callable[[], object] = dice.choice((_raise, _raise, _raise, gc.collect, gc.collect, pool.close, _fork))
        gc.disable()
        try:
            if what in {gc.collect, _fork}:
                cycle = _open(channel, server)
                cycle.append(cycle)
                del cycle
            with (
                contextlib.suppress(Interrupted, DatabricksError if what == pool.close else Interrupted),
                _Disturbance(dice.randint(1, 2500), what, anywhere=what in {gc.collect, _fork}).under_way(),
            ):
                _call(channel, server)
        finally:
            gc.enable()
        gc.collect()
        _lends_all(channel, server)


def _lends_all(channel: Channel, server: HostileServer) -> None:
    """Hold all connections at once, then give them back."""
    held = [_open(channel, server) for _ in range(_SLOTS)]
    for opened, incoming in held:
        for _ in incoming:
            pass
        opened.__exit__(None, None, None)


def disturbing(dice: random.Random, servers: Sequence[HostileServer]) -> None:
    """Run one case, sync or async, with one of the servers."""
    server = dice.choice(servers)
    faulthandler.dump_traceback_later(_PATIENCE, exit=True)
    complaints: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, complaints.append
    try:
        if dice.random() < 0.5:
            asyncio.run(_listened_to(_crowd(dice, server), complaints))
        else:
            _alone(dice, server)
        left = server.wait_closed()
        if left:
            raise AssertionError(f"{left} sockets stay open")
    finally:
        sys.unraisablehook = before
        faulthandler.cancel_dump_traceback_later()
    if complaints:
        raise AssertionError(f"something was logged that no caller can catch: {complaints}")


async def _listened_to(case: Coroutine[Any, Any, None], complaints: list[object]) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await case


def main() -> int:
    """Run the target as the command line says."""
    with hostile_servers() as servers:
        return run(lambda dice: disturbing(dice, servers))


if __name__ == "__main__":
    sys.exit(main())
