"""A loopback server of pre-rendered bytes: the same for every client, and cheap enough to leave the CPU to them.

The name of the model says what is wanted (``bench-text``, ``bench-paced`` ...), in the URL or in the body, so the
server knows no client. Every event is an HTTP chunk of its own, as servers send it; what differs is how many go into
one write. It runs in its own process, speaks HTTP/1.1 with keep-alive on 127.0.0.1 only, and ends with its parent.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
from functools import cache
from typing import Any, cast

import wires

EVENTS = 2000
"""Events of a stream that is sent in bursts."""

LONG = 20_000
"""Events of the stream that memory is measured with."""

PACED = 200
"""Events of a stream that is sent one by one."""

DIMENSIONS = 1024

_BURST = 64 * 1024  # bytes of one write
_PAUSES = {"single": 0.001, "paced": 0.005}  # seconds between two events
_FIRST_ALONE = 0.01  # seconds between the first event of a stream and the others
_LATENCY = 0.05  # seconds before an answer of a model whose name says "slow", or of embeddings
_NAME = re.compile(rb"bench-([a-z]+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SERVED = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
_TAIL = {"id": "msg_bdrk_01ThinkAboutSky", "created": 1767220000}
_WORDS = ("The", " sky", " over", " Oslo", " is", " blue", " and", " wide", " today", ".")


def _usage(completion: int | None) -> dict[str, Any]:
    total = None if completion is None else completion + 430
    counts = {"completion_tokens": completion, "prompt_tokens": 430, "total_tokens": total}
    return {"cache_read_input_tokens": 0, **counts, "cache_creation_input_tokens": 0}


def _event(delta: dict[str, Any], reason: str | None = None, usage: int | None = None) -> bytes:
    choice = {"delta": delta, "index": 0, "finish_reason": reason}
    payload = {
        "model": _SERVED,
        "choices": [choice],
        "usage": _usage(usage),
        **_TAIL,
        "object": "chat.completion.chunk",
    }
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


@cache
def objects(kind: str) -> str:
    """Return the JSON that a stream of objects has: 26 kB, and ten times as much in the kinds for growth.

    Args:
        kind: The model's name without ``bench-``.
    """
    count = 5000 if "large" in kind else 500
    items = [{"name": f"item {number}", "price": number, "tags": ["a"]} for number in range(count)]
    return json.dumps({"items": items})


@cache
def object_pieces(kind: str) -> list[str]:
    """Cut the JSON of a stream of objects into the pieces that its events have.

    Args:
        kind: The model's name without ``bench-``.
    """
    text = objects(kind)
    return [text[start : start + 5] for start in range(0, len(text), 5)]


def _object_events(kind: str) -> list[bytes]:
    pieces = object_pieces(kind)
    if "calls" not in kind:
        return [_event({"role": "assistant", "content": piece}) for piece in pieces]
    first = {"index": 0, "id": "toolu_bdrk_01", "type": "function", "function": {"name": "answer", "arguments": ""}}
    deltas = [first, *({"index": 0, "function": {"arguments": piece}} for piece in pieces)]
    return [_event({"role": "assistant", "content": None, "tool_calls": [delta]}) for delta in deltas]


def _delta(kind: str, number: int) -> dict[str, Any]:
    word = _WORDS[number % len(_WORDS)]
    if kind == "reasoning":
        entry = {"type": "summary_text", "text": word, "signature": ""}
        return {"role": "assistant", "content": [{"type": "reasoning", "summary": [entry]}]}
    if kind == "tools":
        function = {"arguments": word}
        if number == 0:
            call = {
                "index": 0,
                "id": "toolu_bdrk_01",
                "type": "function",
                "function": {"name": "note", "arguments": ""},
            }
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        if number == 1:
            function["arguments"] = '{"text": "'
        return {"role": "assistant", "content": None, "tool_calls": [{"index": 0, "function": function}]}
    return {"role": "assistant", "content": word}


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@cache
def stream(kind: str) -> list[bytes]:
    """Render a stream.

    Args:
        kind: The model's name without ``bench-``.

    Returns:
        The HTTP chunks, one for each event, the end included.
    """
    if kind.startswith("object"):
        end = _event({"role": "assistant", "content": ""}, "tool_calls" if "calls" in kind else "stop", 77)
        return [*map(_chunked, [*_object_events(kind), end]), _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"]
    if kind in wires.WIRES:
        words = [_WORDS[number % len(_WORDS)] for number in range(EVENTS)]
        return [*map(_chunked, wires.stream(kind, words)), b"0\r\n\r\n"]
    count = {"long": LONG, "first": 20, "paced": PACED, "single": PACED * 2}.get(kind, EVENTS)
    events = [_event(_delta(kind, number)) for number in range(count - 2)]
    if kind == "tools":
        events.append(_event({"tool_calls": [{"index": 0, "function": {"arguments": '"}'}}]}))
    else:
        events.append(_event({} if kind == "reasoning" else {"role": "assistant", "content": "."}))
    events.append(_event({"role": "assistant", "content": ""}, "tool_calls" if kind == "tools" else "stop", 77))
    return [*map(_chunked, events), _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"]


def _whole(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: bench\r\ncontent-length: %d\r\n\r\n%b"
        % (len(body), body)
    )


@cache
def answer() -> bytes:
    """Render an answer that is not streamed."""
    message = {"role": "assistant", "content": "The sky over Oslo is blue and wide today. " * 5}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    payload = {"model": _SERVED, "choices": [choice], "usage": _usage(77), **_TAIL, "object": "chat.completion"}
    return _whole(json.dumps(payload).encode())


@cache
def embeddings(count: int) -> bytes:
    """Render embeddings.

    Args:
        count: How many rows are asked for.
    """
    row = [round(0.0001 * (number % 997) - 0.05, 8) + 1e-9 * number for number in range(DIMENSIONS)]
    data = [{"object": "embedding", "index": index, "embedding": row} for index in range(count)]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return _whole(json.dumps({"object": "list", "model": "gte", "data": data, "usage": usage}).encode())


_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: bench\r\ntransfer-encoding: chunked\r\n\r\n"
)


@cache
def _bursts(kind: str) -> list[bytes]:
    whole = _HEAD + b"".join(stream(kind))
    return [whole[start : start + _BURST] for start in range(0, len(whole), _BURST)]


class Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self) -> None:
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Take bytes, and answer when a request is complete."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            return
        self._buffer = b""
        name = _NAME.search(head) or _NAME.search(body)
        self._answer("" if name is None else name[1].decode(), body)

    def _answer(self, kind: str, body: bytes) -> None:
        if not kind:
            self._write(b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        elif kind == "embed":
            texts = json.loads(body)["input"]
            self._loop.call_later(_LATENCY, self._write, embeddings(1 if isinstance(texts, str) else len(texts)))
        elif not re.search(rb'"stream": ?true', body):
            self._loop.call_later(_LATENCY if kind == "slow" else 0, self._write, answer())
        elif kind in _PAUSES:
            self._write(_HEAD)
            self._next(kind, 0, self._loop.time())
        elif kind == "first":
            self._write(_HEAD + stream(kind)[0])
            self._loop.call_later(_FIRST_ALONE, self._write, b"".join(stream(kind)[1:]))
        else:
            for burst in _bursts(kind):
                self._write(burst)

    def _next(self, kind: str, number: int, due: float) -> None:
        chunks = stream(kind)
        self._write(chunks[number])
        if number + 1 < len(chunks) and self._transport is not None:
            due += _PAUSES[kind]
            self._loop.call_at(due, self._next, kind, number + 1, due)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    for kind in ("text", "reasoning", "tools", "long", "paced", "single", *wires.WIRES):
        _bursts(kind)
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=512)
    stop = asyncio.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(stop.set)), daemon=True).start()
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
