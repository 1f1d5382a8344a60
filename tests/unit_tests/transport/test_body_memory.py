"""The body of an answer is in memory once, and what it took is given back."""

from __future__ import annotations

import mmap
import os
import tracemalloc
import weakref
from io import BytesIO
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.scripted import Received, Scripted, ScriptedServer
from kit.signing import Rotating, request_to
from langchain_dbchat.transport import content
from langchain_dbchat.transport.attempt import Attempt
from langchain_dbchat.transport.channel import Channel
from langchain_dbchat.transport.content import Content
from langchain_dbchat.transport.http.sockets import BUFFER, FLOOD, Socket
from langchain_dbchat.transport.messages import Reply
from langchain_dbchat.transport.timeouts import Timeouts

PIECE = bytes(64 * 1024)
PIECES = 128
MIB = 1024 * 1024
_MAP = mmap.mmap


class _Maps:
    """Counts the maps that are open."""

    def __init__(self) -> None:
        self.now = self.most = self.made = 0

    def make(self, *args: Any, **options: Any) -> mmap.mmap:
        self.now += 1
        self.made += 1
        self.most = max(self.most, self.now)
        found = _MAP(*args, **options)
        weakref.finalize(found, self._gone)
        return found

    def _gone(self) -> None:
        self.now -= 1


@pytest.fixture
def maps(monkeypatch: pytest.MonkeyPatch) -> _Maps:
    found = _Maps()
    monkeypatch.setattr(mmap, "mmap", found.make)
    return found


def test_the_body_of_an_answer_is_in_memory_once(maps: _Maps) -> None:
    attempt = Attempt(request_to("http://127.0.0.1"), {}, "t", Timeouts(), lambda: 0.0, None)
    assert not attempt.begin(httpx.Response(200, stream=httpx.ByteStream(b"")))
    size = PIECES * len(PIECE)
    tracemalloc.start()
    try:
        for _ in range(PIECES):
            assert attempt.feed(PIECE)
        reply = attempt.reply()
        received = tracemalloc.get_traced_memory()[1]
        assert isinstance(reply, Reply)
        body = reply.body
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert body == PIECE * PIECES
    assert reply.body is body
    assert received < MIB, "the allocator keeps what is received"
    assert maps.most * MIB < 1.3 * size
    assert maps.now == 0
    assert peak < 1.3 * size


def test_a_map_is_given_back_as_soon_as_it_was_copied(maps: _Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    open_maps: list[int] = []

    class Joined(BytesIO):
        def write(self, data: Any, /) -> int:
            open_maps.append(maps.now)
            return super().write(data)

    received = Content(bytes(5 * MIB))
    monkeypatch.setattr(content, "BytesIO", Joined)
    assert len(received.read()) == 5 * MIB
    assert open_maps == [5, 5, 4, 3, 2, 1]


def test_what_is_dropped_unread_is_given_back(maps: _Maps) -> None:
    received = Content(bytes(3 * MIB))
    assert maps.now == 3
    del received
    assert maps.now == 0


def test_most_answers_need_no_map(maps: _Maps) -> None:
    received = Content()
    for _ in range(16):
        received.write(bytes(1024))
    assert received.read() == bytes(16 * 1024)
    assert maps.made == 0


SIZES = st.one_of(st.integers(0, 70), st.integers(16_300, 16_500), st.integers(1_040_000, 1_060_000))


@given(st.lists(SIZES, max_size=12))
def test_pieces_of_any_size_come_back_as_they_were_written(sizes: list[int]) -> None:
    pieces = [os.urandom(size) for size in sizes]
    received, whole = Content(), b"".join(pieces)
    for piece in pieces:
        received.write(piece)
    assert received.first(256) == whole[:256]
    assert received.read() == whole
    assert received.read() == whole
    assert received.first(256) == whole[:256]


def _large(_: Received) -> Scripted:
    return Scripted(b"x" * 4 * MIB)


@pytest.mark.parametrize(("streaming", "most"), [(False, BUFFER), (True, FLOOD)])
def test_a_thread_reads_more_at_once_of_a_stream_than_of_a_whole_answer(
    monkeypatch: pytest.MonkeyPatch, streaming: bool, most: int
) -> None:
    asked: set[int] = set()

    def read(self: Socket, *args: Any) -> bytes:
        asked.update(args[1:])
        return reading(self, *args)

    reading = Socket.read
    monkeypatch.setattr(Socket, "read", read)
    with ScriptedServer(_large) as server:
        request = request_to(server.url)._replace(streaming=streaming)
        if streaming:
            with Channel(Rotating()).stream(request) as incoming:
                list(incoming)
        else:
            Channel(Rotating()).post(request)
    assert asked == {most}


def test_a_map_that_the_system_refuses_is_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(MemoryError, match="Cannot allocate"):
        Content(bytes(MIB))
