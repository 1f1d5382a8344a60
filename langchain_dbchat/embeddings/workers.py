"""Send the batches of an embedding run, several at the same time: in threads, or in tasks of an event loop.

Rule 1. `send_batches` takes batches from the run's plan and gives it the outcomes. The plan alone decides what to
send and what an outcome means.
Rule 2. `ThreadWorkers` block and never suspend (see `transport/blocking`); `TaskWorkers` never block the event loop.
Rule 3. Threads only send. The caller's thread reads their answers: rows that many threads have allocated need a fifth
more memory, and only one thread at a time can read anyway.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection

    from langchain_core.rate_limiters import BaseRateLimiter

    from langchain_dbchat.connection.session import Session
    from langchain_dbchat.embeddings.run import EmbeddingRun, PreparedBatch
    from langchain_dbchat.embeddings.settings import EmbeddingSettings
    from langchain_dbchat.embeddings.wire import BatchResult
    from langchain_dbchat.transport.messages import Reply

__all__ = ["TaskWorkers", "ThreadWorkers", "Workers", "send_batches"]

_Job = TypeVar("_Job", "Future[Reply]", "asyncio.Task[BatchResult]")


class Workers(ABC, Generic[_Job]):
    """What sends the batches of one run.

    Args:
        run: The run.
        rate_limiter: What each request waits for before it is sent; None to send at once.
    """

    def __init__(self, run: EmbeddingRun, rate_limiter: BaseRateLimiter | None) -> None:
        self._run = run
        self._rate_limiter = rate_limiter

    @staticmethod
    @abstractmethod
    async def session(model: EmbeddingSettings) -> Session:
        """Return the connection of a model."""

    @abstractmethod
    def start(self, prepared: PreparedBatch) -> _Job:
        """Begin to send a batch."""

    @abstractmethod
    async def first(self, in_flight: Collection[_Job]) -> set[_Job]:
        """Wait until one batch has its outcome, and return all that have."""

    @abstractmethod
    def result(self, done: _Job, prepared: PreparedBatch) -> BatchResult:
        """Return the rows of a batch that was sent, or raise."""

    @abstractmethod
    async def stop(self, in_flight: Collection[_Job]) -> None:
        """End the work; what is in flight is not wanted any more."""


async def send_batches(run: EmbeddingRun, workers: Workers[_Job]) -> None:
    """Send the batches of a run until its plan has no more.

    Args:
        run: The run, which gets the outcomes.
        workers: What sends them.
    """
    in_flight: dict[_Job, PreparedBatch] = {}
    try:
        while True:
            for prepared in run.next_batches(len(in_flight)):
                in_flight[workers.start(prepared)] = prepared
            if not in_flight:
                return
            for done in await workers.first(in_flight):
                prepared = in_flight.pop(done)
                run.take(prepared.batch, partial(workers.result, done, prepared))
    finally:
        await workers.stop(in_flight)


class ThreadWorkers(Workers["Future[Reply]"]):
    """Threads; the caller's own if the run sends one request after the other."""

    def __init__(self, run: EmbeddingRun, rate_limiter: BaseRateLimiter | None) -> None:
        super().__init__(run, rate_limiter)
        self._threads = ThreadPoolExecutor(run.ahead, "dbchat-embed") if run.width > 1 else _InlineExecutor()

    @staticmethod
    async def session(model: EmbeddingSettings) -> Session:
        """Return the connection of a model."""
        return model._session()  # noqa: SLF001  # of this package's model

    def start(self, prepared: PreparedBatch) -> Future[Reply]:
        """Begin to send a batch."""
        return self._threads.submit(copy_context().run, self._send, prepared)

    def _send(self, prepared: PreparedBatch) -> Reply:
        if self._rate_limiter is not None:
            self._rate_limiter.acquire(blocking=True)
        return self._run.channel.post(prepared.request, prepared.revise, self._run.limiter)

    async def first(self, in_flight: Collection[Future[Reply]]) -> set[Future[Reply]]:
        """Wait until one batch has its outcome, and return all that have."""
        return wait(in_flight, return_when=FIRST_COMPLETED).done

    def result(self, done: Future[Reply], prepared: PreparedBatch) -> BatchResult:
        """Return the rows of a batch that was sent, or raise."""
        return self._run.read(prepared, done.result())

    async def stop(self, in_flight: Collection[Future[Reply]]) -> None:
        """End the threads; a KeyboardInterrupt does not wait for what is in flight."""
        self._threads.shutdown(wait=not in_flight, cancel_futures=True)


class TaskWorkers(Workers["asyncio.Task[BatchResult]"]):
    """Tasks of the running event loop."""

    @staticmethod
    async def session(model: EmbeddingSettings) -> Session:
        """Return the connection of a model."""
        return await model._asession()  # noqa: SLF001  # of this package's model

    def start(self, prepared: PreparedBatch) -> asyncio.Task[BatchResult]:
        """Begin to send a batch."""
        return asyncio.create_task(self._send(prepared))

    async def _send(self, prepared: PreparedBatch) -> BatchResult:
        if self._rate_limiter is not None:
            await self._rate_limiter.aacquire(blocking=True)
        run = self._run
        reply = await run.channel.apost(prepared.request, prepared.revise, run.limiter)
        await asyncio.sleep(0)  # the next request is sent before this answer is parsed
        return run.read(prepared, reply)

    async def first(self, in_flight: Collection[asyncio.Task[BatchResult]]) -> set[asyncio.Task[BatchResult]]:
        """Wait until one batch has its outcome, and return all that have."""
        return (await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED))[0]

    def result(self, done: asyncio.Task[BatchResult], prepared: PreparedBatch) -> BatchResult:
        """Return the rows of a batch that was sent, or raise."""
        del prepared  # each task reads its answer, so that the loop runs others between two of them
        return done.result()

    async def stop(self, in_flight: Collection[asyncio.Task[BatchResult]]) -> None:
        """Cancel what is in flight, and wait for its end."""
        for task in in_flight:
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


class _InlineExecutor(Executor):
    """Runs what is submitted at once, in the caller's thread, because a single text needs no other thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function, and return its outcome as a future."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # the future raises it where the result is asked for
            done.set_exception(error)
        return done
