"""Answers from an OpenAI-compatible server: checked and shaped here, made there."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest
from pydantic_core import from_json, to_json

from langchain_dbchat.local import LocalWorkspace

if TYPE_CHECKING:
    from collections.abc import Iterator

Body = dict[str, Any]


class Upstream(BaseHTTPRequestHandler):
    """A little OpenAI-compatible server."""

    seen: ClassVar[list[Body]] = []
    deltas: ClassVar[list[Body]] = []
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self._reply(to_json({"data": [{"id": "tiny-1"}]}), "application/json")

    def do_POST(self) -> None:
        body = from_json(self.rfile.read(int(self.headers["content-length"])))
        type(self).seen.append(body)
        if self.path.endswith("/embeddings"):
            rows = [{"index": place, "embedding": [float(place), 1.0]} for place in range(len(body["input"]))]
            self._reply(to_json({"data": rows[::-1]}), "application/json")
            return
        events: list[Body] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in self.deltas
        ]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        text = b"".join(b"data: " + to_json(event) + b"\n\n" for event in events)
        self._reply(text + b"data: [DONE]\n\n", "text/event-stream")

    def _reply(self, content: bytes, kind: str) -> None:
        self.send_response(self.status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[LocalWorkspace]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with LocalWorkspace(backend=f"http://127.0.0.1:{server.server_port}") as workspace:
        yield workspace
    server.shutdown()
    server.server_close()


@pytest.fixture
def send(proxy: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> Any:
    def post(model: str, deltas: list[Body], status: int = 200, **fields: Any) -> httpx.Response:
        monkeypatch.setattr(Upstream, "deltas", deltas)
        monkeypatch.setattr(Upstream, "status", status)
        body = {"messages": [{"role": "user", "content": "Hi"}], **fields}
        headers = {"authorization": f"Bearer {proxy.token}"}
        return httpx.post(f"{proxy.host}/serving-endpoints/databricks-{model}/invocations", json=body, headers=headers)

    return post


def test_words_come_from_there_in_the_familys_shape(send: Any) -> None:
    answer = send("claude-opus-5", [{"content": "Good "}, {"content": "day"}]).json()
    assert answer["choices"][0]["message"]["content"] == [{"type": "text", "text": "Good day"}]
    assert answer["usage"]["completion_tokens"] == 2
    assert Upstream.seen[-1]["model"] == "tiny-1"


def test_reasoning_becomes_signed(send: Any) -> None:
    deltas = [{"reasoning_content": "Hm."}, {"content": "Day"}]
    fields = {"thinking": {"type": "adaptive", "display": "summarized"}}
    part = send("claude-opus-5", deltas, **fields).json()["choices"][0]["message"]["content"][0]
    assert part["summary"][0]["text"] == "Hm."
    assert part["summary"][0]["signature"]
    assert "thinking" not in Upstream.seen[-1]


def test_calls_stream_on(send: Any) -> None:
    function = {"name": "look", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": '{"q":1}'}}
    fields = {"tools": [{"type": "function", "function": function}], "stream": True}
    text = send("glm-5-2", [{"tool_calls": [first]}, {"tool_calls": [rest]}], **fields).text
    assert '"id":"c1"' in text
    assert '{\\"q\\":1}' in text
    assert Upstream.seen[-1]["tools"][0]["function"]["name"] == "look"


def test_what_only_the_family_knows_stays_here(send: Any) -> None:
    content = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]
    send("claude-sonnet-4-6", [{"content": "x"}], messages=[{"role": "user", "content": content}], max_tokens=7)
    assert Upstream.seen[-1]["messages"] == [{"role": "user", "content": "Hi"}]
    assert Upstream.seen[-1]["max_tokens"] == 7


def test_the_choice_of_a_tool_is_passed_on(send: Any) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    for choice, sent in (("required", "required"), ("auto", None), (None, None)):
        send("glm-5-2", [{"content": "x"}], tools=[tool], tool_choice=choice, stop="END", temperature=0.5)
        assert Upstream.seen[-1].get("tool_choice") == sent
        assert (Upstream.seen[-1]["stop"], Upstream.seen[-1]["temperature"]) == (["END"], 0.5)


def test_it_is_as_strict_as_ever(send: Any) -> None:
    before = len(Upstream.seen)
    assert send("claude-sonnet-4-6", [], seed=1).status_code == 400
    assert len(Upstream.seen) == before


@pytest.mark.parametrize("streaming", [False, True])
def test_its_failures_are_a_502(send: Any, streaming: bool) -> None:
    response = send("claude-sonnet-4-6", [], status=500, stream=streaming)
    assert (response.status_code, response.json()["error_code"]) == (502, "INTERNAL_ERROR")


def test_a_fault_of_the_workspace_keeps_the_connection(proxy: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends its next request on it would meet a reset."""
    monkeypatch.setattr(Upstream, "deltas", ["not an object"])
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    path = f"{proxy.host}/serving-endpoints/databricks-claude-sonnet-4-6/invocations"
    connections = set()
    with httpx.Client(headers={"authorization": f"Bearer {proxy.token}"}, trust_env=False) as client:
        for _ in range(20):
            response = client.post(path, json=body)
            assert response.status_code == 500
            assert "The local workspace failed: AttributeError" in response.text
            connections.add(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(connections) == 1


def test_nobody_there() -> None:
    with LocalWorkspace(backend="http://127.0.0.1:9/v1") as workspace:
        response = httpx.post(
            f"{workspace.host}/serving-endpoints/databricks-claude-sonnet-4-6/invocations",
            json={"messages": [{"role": "user", "content": "Hi"}]},
            headers={"authorization": f"Bearer {workspace.token}"},
        )
    assert response.status_code == 502


def test_embeddings_in_order(proxy: LocalWorkspace) -> None:
    rows = httpx.post(
        f"{proxy.host}/serving-endpoints/embeddings",
        json={"model": "databricks-gte-large-en", "input": ["a", "b"]},
        headers={"authorization": f"Bearer {proxy.token}"},
    ).json()["data"]
    assert [row["embedding"] for row in rows] == [[0.0, 1.0], [1.0, 1.0]]
