"""The body of an answer is in memory once."""

from __future__ import annotations

import tracemalloc

import httpx

from kit.signing import request_to
from langchain_dbchat.transport.attempt import Attempt
from langchain_dbchat.transport.exchange import Reply
from langchain_dbchat.transport.timeouts import Timeouts

PIECE = bytes(64 * 1024)
PIECES = 128


def test_the_body_of_an_answer_is_in_memory_once() -> None:
    attempt = Attempt(request_to("http://127.0.0.1"), {}, "t", Timeouts(), lambda: 0.0, None)
    assert not attempt.begin(httpx.Response(200, stream=httpx.ByteStream(b"")))
    tracemalloc.start()
    try:
        for _ in range(PIECES):
            assert attempt.feed(PIECE)
        reply = attempt.reply()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(reply, Reply)
    assert reply.body == PIECE * PIECES
    assert peak < 1.3 * PIECES * len(PIECE)
