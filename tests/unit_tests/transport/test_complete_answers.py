"""What follows a complete answer is no error, on each wire that says in an event that an answer is complete."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langchain_core.tools import tool

from kit.drips import EVENTS, chunk, head
from kit.raw import RawServer, take_request
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.errors import DatabricksError
from langchain_dbchat.transport.channel import Timeouts


def events(*payloads: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in payloads)


def text(words: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": words, "annotations": []}]
    return {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": content}


def response(*items: dict[str, Any], end: str = "completed") -> bytes:
    about = {"id": "r", "object": "response", "model": "m"}
    return events(
        {"type": "response.created", "response": {**about, "status": "in_progress", "output": []}},
        *({"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(items)),
        {"type": f"response.{end}", "response": {**about, "status": end, "output": list(items)}},
    )


MESSAGE = events(
    {"type": "message_start", "message": {"id": "m", "role": "assistant", "model": "m", "content": [], "usage": {}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
)
CALL = {"type": "function_call", "id": "f", "call_id": "c", "name": "look", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "found"}
TRACE = b'data: {"trace_id": "t"}\n\n'


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def keep_alive(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(chunk(b": ping\n\n"))
            time.sleep(0.02)


def reset_later(connection: socket.socket) -> None:
    time.sleep(0.1)
    reset(connection)


def send(data: bytes, then: Callable[[socket.socket], object]) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.sendall(data)
        then(connection)

    return serve


def wait(connection: socket.socket) -> None:
    connection.recv(1)


ENDINGS: dict[str, Callable[[socket.socket], None]] = {
    "silence": wait,
    "comments": keep_alive,
    "a reset": reset,
    "a later reset": reset_later,
    "no last chunk": socket.socket.close,
    "nonsense instead of a chunk": send(b"nonsense\r\n", wait),
    "half an event": send(chunk(b"data: {"), reset),
    "a web page": send(chunk(b"<html>\n") + chunk(b""), wait),
}
NOT_KEPT = httpx.Limits(max_keepalive_connections=0)  # for clients that nobody closes in their event loop
OWN: dict[str, Callable[[], dict[str, Any]]] = {
    "ours": dict,
    "the user's": lambda: {
        "http_client": httpx.Client(limits=NOT_KEPT),
        "http_async_client": httpx.AsyncClient(limits=NOT_KEPT),
    },
}


def ending(body: bytes, end: str) -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(head(EVENTS) + chunk(body))
        ENDINGS[end](connection)

    return serve


def ask(
    call: Way, body: bytes, end: str, client: str = "ours", api: str = "responses", name: str = "e", idle: float = 0.5
) -> Any:
    with RawServer(ending(body, end)) as server:
        settings: dict[str, Any] = {"api": api, "max_retries": 0, "streaming": True, **OWN[client]()}
        timeout = Timeouts(first_event=20, idle=idle)
        host = server.url.removesuffix("/x")
        llm = ChatDatabricksCompat(model=name, base_url=host, token="t", timeout=timeout, **settings)  # no secret
        return call(llm, "hi")


@four_ways
@pytest.mark.parametrize("client", OWN)
@pytest.mark.parametrize("end", ENDINGS)
def test_what_follows_a_complete_answer_is_no_error(call: Way, client: str, end: str) -> None:
    for api, body in (
        ("responses", response(text("a"))),
        ("responses", response(text("a")) + TRACE),
        ("messages", MESSAGE),
    ):
        assert ask(call, body, end, client, api).text == "a"


@four_ways
@pytest.mark.parametrize("client", OWN)
@pytest.mark.parametrize("end", ["silence", "comments"])
def test_nobody_waits_for_what_follows(call: Way, client: str, end: str) -> None:
    for api, body, name in (
        ("responses", response(text("a")), "databricks-gpt-5-2"),
        ("responses", response(text("a"), end="incomplete"), "system.ai.gpt-5-2"),
        ("messages", MESSAGE, "e"),
    ):
        began = time.monotonic()
        assert ask(call, body, end, client, api, name, idle=30).text == "a"
        assert time.monotonic() - began < 20


@four_ways
def test_an_answer_at_its_largest_size_is_one_too(call: Way) -> None:
    message = ask(call, response(text("a"), end="incomplete"), "a reset")
    assert message.text == "a"
    assert message.response_metadata["finish_reason"] == "length"


@four_ways
@pytest.mark.parametrize("end", [end for end in ENDINGS if end != "a web page"])
@pytest.mark.parametrize(
    "begun",
    [
        response(CALL),
        response(CALL) + events(RESULT),
        response(CALL) + events({"type": "response.output_item.done", "item": RESULT}),
        response(text("a")) + events({"type": "response.created", "response": {}}),
        response(text("a")) + events({"type": "response.output_text.delta", "item_id": "j", "delta": "b"}),
    ],
    ids=["a call", "its result", "its result as an item", "another response", "another text"],
)
def test_an_agent_that_goes_on_was_cut_off(call: Way, end: str, begun: bytes) -> None:
    @tool
    def other(city: str) -> str:
        """Do something else."""
        return city

    def bound(llm: Any, messages: Any) -> Any:
        return call(llm.bind_tools([other]), messages)

    for ways in (call, bound):
        with pytest.raises(DatabricksError):
            ask(ways, begun, end)


@four_ways
def test_an_agents_next_response_is_waited_for(call: Way) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        take_request(connection)
        connection.sendall(head(EVENTS) + chunk(response(text("a"))))
        time.sleep(0.7)
        connection.sendall(chunk(response(text("b"))) + chunk(b""))

    with RawServer(serve) as server:
        host = server.url.removesuffix("/x")
        llm = ChatDatabricksCompat(
            model="e",
            base_url=host,
            token="t",
            api="responses",
            streaming=True,
            max_retries=0,  # no secret
        )
        assert call(llm, "hi").text.endswith("b")
