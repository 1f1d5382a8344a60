"""``family="discover"``: hosts and endpoints do not wait for each other, and every call's timeout holds."""

from __future__ import annotations

import asyncio
import gc
import itertools
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.connection import discovery
from langchain_dbchat.connection.endpoints import LIFETIME, endpoint_of
from langchain_dbchat.transport import clients

TESTS = Path(__file__).parents[1]
CLAUDE = {"config": {"served_entities": [{"foundation_model": {"name": "system.ai.claude-sonnet-4-5"}}]}}
_names = itertools.count()


class Serving(ScriptedServer):
    """Answers questions at once, and describes its endpoints as `description`; while it is `slow`, it does not."""

    def __init__(self, *, slow: bool = False) -> None:
        super().__init__(self._reply)
        self.slow = slow
        self.description = Scripted(CLAUDE, wait=lambda: not self.slow)

    def _reply(self, received: Received) -> Scripted:
        if received.method == "GET":
            return self.description
        choice = {"index": 0, "finish_reason": "stop"}
        head = {"id": "1", "created": 1, "model": "m"}
        if received.json.get("stream"):
            chunk = {**head, "object": "chat.completion.chunk"}
            return Scripted(sse({**chunk, "choices": [{**choice, "delta": {"role": "assistant", "content": "Hi"}}]}))
        message = {"role": "assistant", "content": "Hi"}
        return Scripted({**head, "object": "chat.completion", "choices": [{**choice, "message": message}]})

    @property
    def asked(self) -> list[str]:
        """The endpoints that were asked for."""
        return [received.path.rpartition("/")[2] for received in self.requests if received.method == "GET"]


@pytest.fixture
def slow() -> Iterator[Serving]:
    with Serving(slow=True) as server:
        yield server


@pytest.fixture
def quick() -> Iterator[Serving]:
    with Serving() as server:
        yield server


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def model(server: Serving, name: str | None = None, **settings: Any) -> ChatDatabricksCompat:
    name = name or f"bot-{next(_names)}"
    return ChatDatabricksCompat(model=name, family="discover", host=server.url, token="t", max_retries=0, **settings)


def family(llm: ChatDatabricksCompat) -> str:
    return str(llm.invoke("Hello!").response_metadata["model_family"])


async def afamily(llm: ChatDatabricksCompat) -> str:
    return str((await llm.ainvoke("Hello!")).response_metadata["model_family"])


async def _until_asked(server: Serving, times: int = 1) -> None:
    while len(server.asked) < times:  # noqa: ASYNC110  # it changes in another thread
        await asyncio.sleep(0.005)


def _in_threads(works: list[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(works)) as threads:
        return [future.result() for future in [threads.submit(work) for work in works]]


@four_ways
def test_a_slow_host_does_not_hold_up_another(call: Way, slow: Serving, quick: Serving) -> None:
    one = model(slow)
    blocked = [threading.Thread(target=one.invoke, args=("Hello!",)) for _ in range(8)]
    for thread in blocked:
        thread.start()
    while not slow.asked:
        time.sleep(0.005)
    assert call(model(quick), "Hello!").text == "Hi"
    assert all(thread.is_alive() for thread in blocked)
    slow.slow = False
    for thread in blocked:
        thread.join()


async def test_tasks_that_wait_for_a_slow_host_do_not_hold_up_another(slow: Serving, quick: Serving) -> None:
    one = model(slow)
    # More than the default executor has threads on any machine.
    waiting = [asyncio.ensure_future(afamily(one)) for _ in range(40)]
    await _until_asked(slow)
    with blockbuster_ctx():
        assert await afamily(model(quick)) == "claude"
    assert not any(task.done() for task in waiting)
    slow.slow = False
    assert set(await asyncio.gather(*waiting)) == {"claude"}
    assert len(slow.asked) == 1


def test_a_slow_endpoint_does_not_hold_up_another_of_its_host(quick: Serving) -> None:
    released = threading.Event()
    quick._choose = lambda received: (
        Scripted(CLAUDE, wait=released.is_set) if received.path.endswith("/slow-bot") else quick._reply(received)
    )
    slow = threading.Thread(target=model(quick, "slow-bot").invoke, args=("Hello!",))
    slow.start()
    while not quick.asked:
        time.sleep(0.005)
    assert family(model(quick, "other-bot")) == "claude"
    assert slow.is_alive()
    released.set()
    slow.join()


def test_one_question_is_under_way_for_all_threads_and_loops(slow: Serving) -> None:
    llm = model(slow)
    works = [lambda: family(llm)] * 4 + [lambda: asyncio.run(afamily(llm))] * 4
    threading.Timer(0.5, lambda: setattr(slow, "slow", False)).start()  # by then all wait; if not, it proves less
    assert _in_threads(works) == ["claude"] * 8
    assert len(slow.asked) == 1
    assert family(llm) == "claude"
    assert len(slow.asked) == 1


@pytest.mark.parametrize("kind", ["threads", "tasks", "tasks for a thread", "threads for a task"])
def test_the_timeout_holds_for_those_that_wait_too(kind: str, slow: Serving) -> None:
    patient = model(slow, timeout=60)
    hasty = patient.model_copy(update={"timeout": 2})
    first: Callable[[], Any] = lambda: asyncio.run(afamily(patient))  # noqa: E731  # one of two, by name
    if kind in {"threads", "tasks for a thread"}:
        first = lambda: family(patient)  # noqa: E731  # the same
    asker = threading.Thread(target=first)
    asker.start()
    while not slow.asked:
        time.sleep(0.005)

    async def together() -> None:
        assert await asyncio.gather(*(afamily(hasty) for _ in range(5))) == ["generic"] * 5

    if kind.startswith("tasks"):
        asyncio.run(together())
    else:
        assert _in_threads([lambda: family(hasty)] * 5) == ["generic"] * 5
    assert asker.is_alive()
    slow.slow = False
    asker.join()
    assert len(slow.asked) == 1
    assert family(patient) == "claude"


def test_calls_that_waited_for_a_question_that_failed_do_not_ask_one_after_the_other(slow: Serving) -> None:
    hasty = model(slow, timeout=2)
    assert _in_threads([lambda: family(hasty)] * 6) == ["generic"] * 6
    assert len(slow.asked) <= 3  # two, or three where a thread comes late


@pytest.mark.parametrize("waiter", ["task", "thread"])
async def test_a_task_that_is_cancelled_while_it_asks_leaves_the_question_to_another(
    waiter: str, slow: Serving
) -> None:
    llm = model(slow, timeout=20)
    asker = asyncio.ensure_future(afamily(llm))
    await _until_asked(slow)
    others = [afamily(llm) if waiter == "task" else asyncio.to_thread(family, llm) for _ in range(3)]
    waiting = [asyncio.ensure_future(other) for other in others]
    await asyncio.sleep(0.2)
    asker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asker
    await _until_asked(slow, 2)
    slow.slow = False
    assert await asyncio.gather(*waiting) == ["claude"] * 3
    assert len(slow.asked) == 2


async def test_a_task_that_is_cancelled_while_it_waits_takes_nobody_with_it(slow: Serving) -> None:
    llm = model(slow, timeout=20)
    asker = asyncio.ensure_future(afamily(llm))
    await _until_asked(slow)
    waiting = [asyncio.ensure_future(afamily(llm)) for _ in range(3)]
    await asyncio.sleep(0.2)
    waiting[0].cancel()
    slow.slow = False
    assert await asyncio.gather(asker, *waiting[1:]) == ["claude"] * 3
    assert len(slow.asked) == 1


async def test_a_sync_call_in_the_loop_that_asks_does_not_wait_for_itself(slow: Serving) -> None:
    llm = model(slow, timeout=20)
    asker = asyncio.ensure_future(afamily(llm))
    await _until_asked(slow)
    held, slow.description = slow.description, Scripted(CLAUDE)
    assert family(llm) == "claude"
    assert not asker.done()
    slow.description, slow.slow = held, False
    assert await asker == "claude"


def test_a_loop_that_died_while_it_asked_holds_nobody_up(slow: Serving) -> None:
    llm = model(slow, timeout=20)
    loop = asyncio.new_event_loop()
    asker = loop.create_task(afamily(llm))
    while not slow.asked:
        loop.run_until_complete(asyncio.sleep(0.01))
    kept = next(iter(discovery._running))
    asker._log_destroy_pending = False  # type: ignore[attr-defined]  # it is what this test does
    loop.close()
    slow.description = Scripted(CLAUDE)
    assert family(llm) == "claude"
    assert kept not in discovery._running
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del asker, loop
        asyncio.run(clients.async_client())  # it forgets the clients of loops that are closed
        gc.collect()


def test_a_caller_whom_nobody_knows_leaves_the_question_to_another(quick: Serving) -> None:
    quick._choose = lambda received: (
        Scripted(CLAUDE, wait=0.3)
        if received.method == "GET" and "good" in received.headers["authorization"]
        else Scripted({"error_code": "401", "message": "no"}, 401, wait=0.3)
        if received.method == "GET"
        else quick._reply(received)
    )
    bad = model(quick)
    good = bad.model_copy(update={"token": "good"})
    asker = threading.Thread(target=bad.invoke, args=("Hello!",))
    asker.start()
    while not quick.asked:
        time.sleep(0.005)
    assert family(good.with_credentials(token="good")) == "claude"
    asker.join()


def _hidden_from(server: Serving, user: str, status: int) -> None:
    refusal = Scripted({"error_code": "PERMISSION_DENIED", "message": "no view"}, status, wait=0.2)
    server._choose = lambda received: (
        refusal
        if received.method == "GET" and received.headers["authorization"].endswith(user)
        else server._reply(received)
    )


@four_ways
@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_counts_for_its_caller_alone(call: Way, status: int, quick: Serving) -> None:
    _hidden_from(quick, "user-a", status)
    first = model(quick).with_credentials(token="user-a")
    second = first.with_credentials(token="user-b")
    families = [call(llm, "Hello!").response_metadata["model_family"] for llm in (first, first, second)]
    assert families == ["generic", "generic", "claude"]
    assert len(quick.asked) == 2
    assert call(first, "Hello!").response_metadata["model_family"] == "claude"  # what a success says counts for all
    assert len(quick.asked) == 2


@four_ways
def test_where_the_caller_is_not_known_a_refusal_counts_for_its_call(call: Way, quick: Serving) -> None:
    users = iter(["user-a", "user-a", "user-b", "user-b"])
    _hidden_from(quick, "user-a", 403)
    llm = model(quick).with_credentials(token=lambda: next(users))
    families = [call(llm, "Hello!").response_metadata["model_family"] for _ in range(2)]
    assert families == ["generic", "claude"]


@pytest.mark.parametrize("waiter", ["task", "thread"])
async def test_calls_that_waited_for_a_question_that_was_refused_to_another_ask(waiter: str, slow: Serving) -> None:
    _hidden_from(slow, "user-a", 403)
    first = model(slow).with_credentials(token="user-a")
    second = first.with_credentials(token="user-b")
    asker = asyncio.ensure_future(afamily(first))
    await _until_asked(slow)
    others = [afamily(second) if waiter == "task" else asyncio.to_thread(family, second) for _ in range(3)]
    waiting = [asyncio.ensure_future(other) for other in others]
    assert await asyncio.gather(*[asker, afamily(first)]) == ["generic"] * 2
    slow.slow = False  # not before: what another's success says counts for all
    assert await asyncio.gather(*waiting) == ["claude"] * 3


def test_a_refusal_ends_after_an_hour(quick: Serving) -> None:
    _hidden_from(quick, "user-a", 403)
    llm = model(quick).with_credentials(token="user-a")
    assert [family(llm), family(llm)] == ["generic"] * 2
    quick._choose = quick._reply
    record = endpoint_of(llm._session().address, llm.model)
    record.clock = lambda: time.monotonic() + LIFETIME
    assert family(llm) == "claude"


@pytest.mark.parametrize(
    "body",
    [
        "not JSON", "", "null", "[]", "1", '{"config": null}', '{"config": []}', '{"config": {"served_entities": {}}}',
        '{"config": {"served_entities": [null, 1, "x", [], {"foundation_model": [], "name": 5, "entity_name": null}]}}',
    ],
)  # fmt: skip
@four_ways
def test_a_description_that_is_not_understood_hurts_nobody(call: Way, body: str, quick: Serving) -> None:
    quick.description = Scripted(body, headers={"content-type": "application/json"})
    assert call(model(quick), "Hello!").text == "Hi"


FORK = """
import os, sys, threading, time, warnings
sys.path.insert(0, {tests!r})
warnings.simplefilter("ignore")
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.connection import discovery
from langchain_dbchat.transport import clients
llm = ChatDatabricksCompat(model="forked", family="discover", host={url!r}, token="t", max_retries=0)
asker = threading.Thread(target=llm.invoke, args=("Hello!",))
asker.start()
while not discovery._running:
    time.sleep(0.005)
time.sleep(0.1)
child = os.fork()
if child == 0:
    assert llm.invoke("Hello!").response_metadata["model_family"] == "claude"
    os._exit(0)
_, status = os.waitpid(child, 0)
asker.join()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system does not fork")
def test_a_forked_child_asks_for_itself(slow: Serving) -> None:
    script = FORK.format(tests=str(TESTS), url=slow.url)
    slow.description = Scripted(CLAUDE, wait=lambda: len(slow.asked) == 2)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert slow.asked == ["forked", "forked"]
