"""The calls of an event loop give way to its other tasks once their share of its time is used."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from kit.scripted import Scripted, ScriptedServer, sse
from kit.signing import Rotating, request_to
from kit.silence import SILENCES, silent
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.transport import stream as streams
from langchain_dbchat.transport import waits
from langchain_dbchat.transport.channel import AsyncEventStream, Channel
from langchain_dbchat.transport.turns import GATHERING, SHARE, Gathering, LoopShare, loop_share

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

CALLS = 12
PACKED = {"content-type": "text/event-stream", "content-encoding": "gzip"}


class Passes:
    """Counts how often the loop has run another task of the program."""

    count = 0

    @contextlib.asynccontextmanager
    async def counting(self) -> AsyncIterator[Passes]:
        async def count() -> None:
            while True:
                self.count += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(count())
        yield self
        task.cancel()


@dataclass
class Noting(Rotating):
    """Credentials that note in which pass each call is signed."""

    passes: Passes = field(default_factory=Passes)
    signed: list[int] = field(default_factory=list)

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        self.signed.append(self.passes.count)
        return await super().aheaders(refresh=refresh)


@pytest.fixture
def use_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], float]], None]:
    def use(clock: Callable[[], float]) -> None:
        share = LoopShare(clock, lambda: math.inf)  # so that the clock of CPU is asked each time
        for module in (streams, waits):
            monkeypatch.setattr(module, "loop_share", share)

    return use


def each_step_uses_the_share() -> Callable[[], float]:
    return map(float, itertools.count()).__next__


async def test_calls_that_begin_together_leave_the_loop_to_other_tasks(
    use_clock: Callable[[Callable[[], float]], None],
) -> None:
    use_clock(each_step_uses_the_share())
    async with Passes().counting() as passes:
        with ScriptedServer(lambda _: Scripted({"ok": True})) as server:
            noting = Noting(passes=passes)
            channel = Channel(noting)
            await asyncio.gather(*(channel.apost(request_to(server)) for _ in range(CALLS)))
    assert set(Counter(noting.signed).values()) == {1}, "two calls ran without another task between them"
    assert len(noting.signed) == CALLS


async def test_calls_within_their_share_begin_together(use_clock: Callable[[Callable[[], float]], None]) -> None:
    use_clock(lambda: 0.0)
    async with Passes().counting() as passes:
        with ScriptedServer(lambda _: Scripted({"ok": True})) as server:
            noting = Noting(passes=passes)
            channel = Channel(noting)
            await asyncio.gather(*(channel.apost(request_to(server)) for _ in range(CALLS)))
    assert len(set(noting.signed)) == 1


async def test_a_small_read_that_contains_much_leaves_the_loop_to_other_tasks(
    use_clock: Callable[[Callable[[], float]], None],
) -> None:
    """Each piece that is decompressed is a step of its own, whether it contains events or nothing."""
    use_clock(each_step_uses_the_share())
    pieces = 40
    for line in (b": nothing\n\n", b"data: 12\n\n"):
        body = gzip.compress(line * (pieces * 64 * 1024 // len(line)) + sse({"n": 1}))
        async with Passes().counting() as passes:
            with ScriptedServer(lambda _, body=body: Scripted(body, headers=PACKED)) as server:
                async with Channel(Rotating()).astream(request_to(server, streaming=True)) as incoming:
                    before = passes.count
                    async for payloads in incoming:
                        if b'{"n":1}' in payloads:
                            break
                    assert passes.count - before >= pieces // 2


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", SILENCES)
async def test_so_does_one_that_contains_nothing(
    use_clock: Callable[[Callable[[], float]], None], kind: str, *, streaming: bool
) -> None:
    use_clock(each_step_uses_the_share())
    headers = {**PACKED, "content-encoding": "gzip, gzip"}
    async with Passes().counting() as passes:
        with ScriptedServer(lambda _: Scripted(silent(kind, 1, layers=2), headers=headers)) as server:
            channel, request = Channel(Rotating()), request_to(server, streaming=streaming)
            before = passes.count
            if streaming:
                async with channel.astream(request) as incoming:
                    assert [payloads async for payloads in incoming] == []
            else:
                await channel.apost(request)
            assert passes.count - before >= 1_000_000 // 4096


async def test_streams_with_events_leave_the_loop_to_other_tasks(
    use_clock: Callable[[Callable[[], float]], None],
) -> None:
    arrived: list[int] = []
    with ScriptedServer(lambda _: Scripted(sse({"n": 1}))) as server:
        channel = Channel(Rotating())
        async with contextlib.AsyncExitStack() as stack:
            opening = (channel.astream(request_to(server, streaming=True)) for _ in range(CALLS))
            incoming = [await stack.enter_async_context(one) for one in opening]
            await asyncio.sleep(0.3)  # the events of all streams have come; if not, the test proves less
            use_clock(each_step_uses_the_share())
            passes = await stack.enter_async_context(Passes().counting())

            async def read(stream: AsyncEventStream) -> list[bytes]:
                payloads = []
                async for some in stream:
                    arrived.append(passes.count)
                    payloads += some
                return payloads

            found = await asyncio.gather(*map(read, incoming))
    assert found == [[b'{"n":1}', b"[DONE]"]] * CALLS
    assert set(Counter(arrived).values()) == {1}, "two streams were read without another task between them"


async def test_no_call_waits_forever_while_others_begin(use_clock: Callable[[Callable[[], float]], None]) -> None:
    """Those that gave way first go first, in the public ways of calling too."""
    use_clock(each_step_uses_the_share())
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    chunk = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    with ScriptedServer(lambda got: Scripted(sse(chunk) if got.json.get("stream") else answer)) as server:
        llm = ChatDatabricksCompat(model="m", host=server.url, token="t")

        async def stream() -> str:
            return "".join([one.text async for one in llm.astream("Hello!")])

        async def invoke() -> str:
            return (await llm.ainvoke("Hello!")).text

        assert await asyncio.gather(*(way() for _ in range(CALLS) for way in (stream, invoke))) == ["Hi"] * 2 * CALLS


async def test_a_share_ends_when_its_time_is_used() -> None:
    now = 100.0
    share = LoopShare(lambda: now, lambda: now)
    assert share.is_used()  # nothing is known of the time before
    await share.give_way()
    assert not share.is_used()
    now += SHARE
    assert not share.is_used()
    now += SHARE / 2
    assert share.is_used()
    await share.give_way()
    assert not share.is_used()


async def test_the_clock_of_cpu_is_asked_only_when_the_share_may_be_used() -> None:
    asked: list[float] = []
    passed = used = 0.0

    def cpu() -> float:
        asked.append(used)
        return used

    share = LoopShare(cpu, lambda: passed)
    await share.give_way()
    assert not share.is_used()
    asked.clear()
    passed += SHARE * 0.9
    assert not share.is_used()
    assert asked == []  # less time has passed than is left
    passed += SHARE * 100
    used += SHARE * 0.5
    assert not share.is_used()  # the thread was waiting
    assert len(asked) == 1
    passed += SHARE * 0.6
    used += SHARE * 0.6
    assert share.is_used()


@pytest.mark.parametrize("child", [True, False])
async def test_a_clock_that_goes_back_gives_no_longer_share(child: bool) -> None:
    """In a forked child, the clock of CPU begins anew; a clock that was replaced in a test may go back."""
    used, passed = 1000.0, 2000.0
    share = LoopShare(lambda: used, lambda: passed)
    await share.give_way()
    assert not share.is_used()
    used, passed = (0.0, passed + 1) if child else (used + SHARE * 2, 0.0)
    assert share.is_used()
    await share.give_way()
    assert not share.is_used()


async def test_a_loop_is_busy_while_its_shares_are_used_quickly() -> None:
    used = passed = 100.0
    share = LoopShare(lambda: used, lambda: passed)
    await share.give_way()
    assert not share.is_busy(passed)  # nothing is known of the time before
    used, passed = used + SHARE, passed + SHARE * 3
    await share.give_way()
    assert share.is_busy(passed)
    used, passed = used + SHARE, passed + SHARE * 5
    await share.give_way()
    assert share.is_busy(passed)  # for a while
    passed += 1
    assert not share.is_busy(passed)
    await share.give_way()
    assert not share.is_busy(passed)


async def test_a_stream_waits_between_chunks_only_while_the_loop_is_busy() -> None:
    used = passed = 100.0
    share = LoopShare(lambda: used, lambda: passed)
    gathering = Gathering(share)
    assert gathering.rest() == 0.0
    passed += GATHERING / 4
    assert gathering.rest() == 0.0  # the loop has time
    await share.give_way()
    await share.give_way()
    passed += GATHERING / 4
    assert gathering.rest() == pytest.approx(GATHERING * 3 / 4)
    passed += GATHERING * 3 / 4
    assert gathering.rest() == pytest.approx(GATHERING)  # since the last ones were taken
    passed += GATHERING * 2.5
    assert gathering.rest() == 0.0  # events that are further apart do not wait
    assert Gathering(share).rest() == 0.0  # nor does the first event of a stream


@pytest.mark.parametrize("coalesce", [True, False])
@pytest.mark.parametrize("busy", [True, False])
async def test_events_of_a_busy_loop_become_fewer_chunks(
    busy: bool, coalesce: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event comes by itself, two milliseconds after the one before."""
    asked: list[float] = []

    def is_busy(now: float) -> bool:
        asked.append(now)
        return busy

    monkeypatch.setattr(loop_share, "is_busy", is_busy)
    words = [f"{number} " for number in range(100)]
    events = [sse({"choices": [{"index": 0, "delta": {"content": word}}]}, done=False) for word in words]
    events.append(sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    began = asyncio.get_running_loop().time()
    with ScriptedServer(lambda _: Scripted(events, delay=0.002)) as server:
        llm = ChatDatabricksCompat(model="m", host=server.url, token="t", coalesce=coalesce)
        texts = [chunk.text async for chunk in llm.astream("Hello!")]
    taken = asyncio.get_running_loop().time() - began
    assert "".join(texts) == "".join(words)
    assert bool(asked) is coalesce
    if not coalesce:
        assert len([text for text in texts if text]) == len(words)
    elif busy:
        assert len(texts) <= taken / GATHERING + 3  # the first one, and those of the end
