"""One workspace for all tests of this folder, and a client that talks to it as anyone would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic_core import from_json

from langchain_dbchat.local import LocalWorkspace

Body = dict[str, Any]
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def running() -> Iterator[LocalWorkspace]:
    with LocalWorkspace(retired=True, endpoints={"support-bot": "claude-sonnet-4-6"}) as workspace:
        yield workspace


@pytest.fixture
def workspace(running: LocalWorkspace) -> Iterator[LocalWorkspace]:
    """The workspace itself; what a test has left in it is forgotten."""
    running.reset()
    yield running
    running.reset()


@pytest.fixture(scope="module")
def served() -> Iterator[LocalWorkspace]:
    """A workspace that the tests of one module use up: its log, its scripts."""
    with LocalWorkspace() as one:
        yield one


@pytest.fixture(scope="session")
def client(running: LocalWorkspace) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {running.token}"}
    with httpx.Client(base_url=running.host, headers=headers, trust_env=False, timeout=60) as one:
        yield one


@pytest.fixture(scope="session")
def ask(client: httpx.Client) -> Ask:
    """Send a chat request to ``databricks-<model>`` on the path surface."""

    def send(model: str, messages: str | list[Body], **fields: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": messages}] if isinstance(messages, str) else messages}
        return client.post(f"/serving-endpoints/databricks-{model}/invocations", json={**body, **fields})

    return send


@pytest.fixture(scope="session")
def say(ask: Ask) -> Callable[..., Body]:
    """The message that answers a chat request."""

    def send(model: str, messages: str | list[Body], **fields: Any) -> Body:
        response = ask(model, messages, **fields)
        assert response.status_code == 200, response.text
        message: Body = response.json()["choices"][0]["message"]
        return message

    return send


@pytest.fixture(scope="session")
def stream(ask: Ask) -> Callable[..., list[Body]]:
    """The events of a streamed answer; that the stream ends with ``[DONE]`` is checked here."""

    def send(model: str, messages: str | list[Body], **fields: Any) -> list[Body]:
        response = ask(model, messages, stream=True, **fields)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.text.split("\n\n") if line]
        assert lines[-1] == "data: [DONE]"
        return [from_json(line.removeprefix("data: ")) for line in lines[:-1]]

    return send
