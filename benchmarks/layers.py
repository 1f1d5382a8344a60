"""Where each microsecond of a streamed event goes: each layer by itself, on the bytes that it gets in a stream.

The layers are run one after the other on the same stream, so that no profiler stands between them; what the whole
model takes beyond their sum is langchain-core's loop and the model's own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import httpx
import server
from pydantic_core import from_json

from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.dialects.chat_completions.decode import ChatStreamDecoder
from langchain_dbchat.dialects.dialect import Target
from langchain_dbchat.dialects.shared.answer.copied_messages import content_chunk, generation_chunk
from langchain_dbchat.dialects.shared.answer.events import DONE, is_last
from langchain_dbchat.models.families import family_of
from langchain_dbchat.transport.clients import sync_client
from langchain_dbchat.transport.sse import EventStreamDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from langchain_core.outputs import ChatGenerationChunk

_ROUNDS = 7


def _best(run: Callable[[], object]) -> float:
    """Return the CPU of the best round, in µs an event."""
    taken = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return min(taken) / server.EVENTS * 1e6


def _pieces(base: str, kind: str) -> list[bytes]:
    body = b'{"stream": true}'
    request = httpx.Request("POST", f"{base}/bench-{kind}", content=body, extensions={"timeout": {}})
    response = sync_client().send(request, stream=True)
    try:
        return list(cast("Iterable[bytes]", response.stream))
    finally:
        response.close()


def _events(pieces: list[bytes]) -> list[list[bytes]]:
    decoder = EventStreamDecoder(is_last=is_last)
    return [decoder.feed(piece) for piece in pieces]


def _decode(events: list[list[bytes]], target: Target, *, merge: bool) -> list[ChatGenerationChunk]:
    decoder = ChatStreamDecoder(target, coalesce=merge)
    return [*(chunk for together in events for chunk in decoder.feed(together)), *decoder.close()]


def _rebuild(contents: list[Any]) -> None:
    for content in contents:
        generation_chunk(content_chunk(content))


def layers(base: str, kind: str, *, merge: bool) -> list[tuple[str, float]]:
    """Measure the layers of one kind of stream.

    Args:
        base: The server.
        kind: The kind of events.
        merge: Whether deltas that arrived together are merged.

    Returns:
        The layers' names and their microseconds for an event.
    """
    target = Target(f"bench-{kind}", family_of("claude", "claude"))
    pieces = _pieces(base, kind)
    events = _events(pieces)
    payloads = [raw for together in events for raw in together if raw != DONE]
    contents = [chunk.message.content for chunk in _decode(events, target, merge=merge)]
    model = ChatDatabricksCompat(model=f"bench-{kind}", family="claude", host=base, token="t", coalesce=merge)  # noqa: S106  # invented
    http = _best(lambda: _pieces(base, kind))
    sse = _best(lambda: _events(pieces))
    json = _best(lambda: [from_json(raw) for raw in payloads])
    objects = _best(lambda: _rebuild(contents))
    dialect = _best(lambda: _decode(events, target, merge=merge))
    whole = _best(lambda: list(model.stream("Hi")))
    return [
        ("HTTP and sockets", http),
        ("SSE", sse),
        ("JSON (pydantic_core)", json),
        ("dialect: reading, joining", dialect - json - objects),
        ("message and generation chunks", objects),
        ("langchain-core: loop, callbacks; our stream loop", whole - http - sse - dialect),
        ("all", whole),
    ]


def main() -> None:
    """Print the table."""
    served = subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, str(Path(__file__).parent / "server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    base = f"http://127.0.0.1:{cast('IO[str]', served.stdout).readline().strip()}"
    kinds = [(kind, merge) for kind in ("text", "reasoning", "tools") for merge in (False, True)]
    try:
        columns = [layers(base, kind, merge=merge) for kind, merge in kinds]
    finally:
        served.communicate()
    heads = [f"{kind}{', merged' if merge else ''}" for kind, merge in kinds]
    print(f"| CPU µs an event, sync | {' | '.join(heads)} |")
    print("|---" * (len(heads) + 1) + "|")
    for row in zip(*columns, strict=True):
        print(f"| {row[0][0]} | {' | '.join(f'{value:.1f}' for _, value in row)} |")


if __name__ == "__main__":
    main()
