"""The threads of an embedding run, and what ends them."""

from __future__ import annotations

import itertools
import threading

import pytest
from langchain_core.rate_limiters import BaseRateLimiter

from kit.embedding import Endpoint
from kit.scripted import ScriptedServer
from langchain_dbchat import DatabricksEmbeddings


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
    assert not waited_for
