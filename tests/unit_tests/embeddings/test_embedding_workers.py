"""The threads of an embedding run, and what ends them."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from langchain_core.rate_limiters import BaseRateLimiter

from kit.embedding import Endpoint
from kit.scripted import ScriptedServer
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.embeddings import run
from langchain_dbchat.embeddings.wire import read_rows
from langchain_dbchat.transport.content import Content


class OneWaitsOneIsInterrupted(BaseRateLimiter):
    """The first request waits until the test lets it go; the second is interrupted meanwhile."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.may_go = threading.Event()
        self.gone: list[str] = []

    def acquire(self, *, blocking: bool = True) -> bool:  # noqa: ARG002  # the interface
        if next(self.numbers) == 0:
            self.may_go.wait(30)
            self.gone.append("first")
            return True
        raise KeyboardInterrupt

    async def aacquire(self, *, blocking: bool = True) -> bool:
        raise NotImplementedError


def test_an_interrupted_run_does_not_wait_for_the_requests_of_its_threads() -> None:
    limiter = OneWaitsOneIsInterrupted()
    with ScriptedServer(Endpoint()) as server:
        embeddings = DatabricksEmbeddings(
            model="m", host=server.url, token="t", rate_limiter=limiter, batch_size=1, max_concurrency=2
        )
        with pytest.raises(KeyboardInterrupt):
            embeddings.embed_documents(["one", "two"])
        waited_for = list(limiter.gone)
        limiter.may_go.set()
        for thread in threading.enumerate():  # else it would leave its connection to the next test
            if thread.name.startswith("dbchat-embed"):
                thread.join(30)
    assert not waited_for


def test_answers_are_read_in_the_callers_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What many threads have allocated, rows and joined bodies, needs more memory."""
    readers: list[threading.Thread] = []
    joiners: set[threading.Thread] = set()

    def reading(*args: Any, **settings: Any) -> Any:
        readers.append(threading.current_thread())
        return read_rows(*args, **settings)

    def joining(self: Content) -> bytes:
        joiners.add(threading.current_thread())
        return join(self)

    join = Content.read
    monkeypatch.setattr(run, "read_rows", reading)
    monkeypatch.setattr(Content, "read", joining)
    with ScriptedServer(Endpoint()) as server:
        embeddings = DatabricksEmbeddings(model="m", host=server.url, token="t", batch_size=1, max_concurrency=4)
        assert len(embeddings.embed_documents([str(number) for number in range(12)])) == 12
    assert readers == [threading.current_thread()] * 12
    assert joiners == {threading.current_thread()}
