"""The HTTP surface: names, discovery, the record, rehearsed faults, and the life of the server."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from langchain_dbchat.cli import main as cli
from langchain_dbchat.local import LocalWorkspace

HI = {"messages": [{"role": "user", "content": "Hi"}]}
CHAT = "/serving-endpoints/databricks-claude-sonnet-4-6/invocations"


# -- names: docs/wire.md, 1.1, 1.2


@pytest.mark.parametrize(
    ("url", "model", "status"),
    [
        ("/serving-endpoints/chat/completions", "databricks-gpt-5", 200),
        ("/serving-endpoints/chat/completions", "support-bot", 200),
        ("/serving-endpoints/chat/completions", "system.ai.gpt-5", 404),
        ("/serving-endpoints/chat/completions", "databricks-gpt-5.5", 404),
        ("/serving-endpoints/chat/completions", "gpt-5", 404),
        ("/ai-gateway/mlflow/v1/chat/completions", "system.ai.gpt-5", 200),
        ("/ai-gateway/mlflow/v1/chat/completions", "databricks-gpt-5", 200),
        ("/ai-gateway/mlflow/v1/chat/completions", "system.ai.nothing", 404),
        ("/serving-endpoints/databricks-gpt-5/invocations", "whatever", 200),
        ("/serving-endpoints/system.ai.gpt-5/invocations", "whatever", 404),
        ("/serving-endpoints/nothing/invocations", "databricks-gpt-5", 404),
    ],
)
def test_names(client: httpx.Client, url: str, model: str, status: int) -> None:
    response = client.post(url, json={**HI, "model": model})
    assert response.status_code == status
    if status == 404:
        assert response.json()["error_code"] == "ENDPOINT_NOT_FOUND"
        assert response.json()["message"].startswith("The given endpoint does not exist, please retry after checking")


def test_the_openai_alias_wants_a_model(client: httpx.Client) -> None:
    assert client.post("/serving-endpoints/chat/completions", json=HI).status_code == 400


def test_an_endpoint_of_ones_own_is_as_strict_as_its_model(client: httpx.Client) -> None:
    response = client.post("/serving-endpoints/support-bot/invocations", json={**HI, "seed": 1})
    assert "Extra inputs are not permitted" in response.text


def test_an_endpoint_of_an_unknown_model() -> None:
    with pytest.raises(ValueError, match="wants the model 'gpt-9'"):
        LocalWorkspace(endpoints={"mine": "gpt-9"})


def test_the_responses_api_refuses_claude_and_the_supervisor(client: httpx.Client) -> None:
    # docs/wire.md, 1.2, 6.2
    body = {"model": "databricks-claude-sonnet-4-6", "input": "Hi"}
    response = client.post("/serving-endpoints/responses", json=body)
    assert (response.status_code, response.json()["message"]) == (400, "Responses API passthrough is not supported")
    assert "Supervisor API is not enabled" in client.post("/ai-gateway/mlflow/v1/responses", json=body).text


def test_unknown_paths(client: httpx.Client) -> None:
    response = client.get("/api/2.0/nothing")
    assert response.status_code == 404
    assert response.json()["message"] == "No API found for 'GET /api/2.0/nothing'"


def test_every_response_has_a_request_id(client: httpx.Client) -> None:
    ids = {client.post(CHAT, json=HI).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert client.post(CHAT, json=HI).headers["server"] == "databricks"


# -- discovery: docs/wire.md, 1.4


def test_the_list_of_endpoints(client: httpx.Client, workspace: LocalWorkspace) -> None:
    listed = {entry["name"]: entry for entry in client.get("/api/2.0/serving-endpoints").json()["endpoints"]}
    assert sorted(listed) == workspace.endpoints
    assert listed["databricks-gte-large-en"]["task"] == "llm/v1/embeddings"
    assert listed["support-bot"]["task"] == "llm/v1/chat"
    (entity,) = listed["support-bot"]["config"]["served_entities"]
    assert entity["foundation_model"]["name"] == "system.ai.claude-sonnet-4-6"
    assert listed["gpt-4o"]["config"]["served_entities"][0]["external_model"]["provider"] == "openai"


def test_one_endpoint(client: httpx.Client) -> None:
    assert client.get("/api/2.0/serving-endpoints/databricks-gpt-5").json()["state"]["ready"] == "READY"
    response = client.get("/api/2.0/serving-endpoints/nothing")
    assert (response.status_code, response.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_retired_models_are_served_on_request_only(workspace: LocalWorkspace) -> None:
    with LocalWorkspace() as today:
        assert "databricks-claude-3-7-sonnet" not in today.endpoints
        assert "databricks-claude-3-7-sonnet" in workspace.endpoints


# -- the record and the faults


def fresh(workspace: LocalWorkspace) -> httpx.Client:
    return httpx.Client(base_url=workspace.host, headers={"authorization": f"Bearer {workspace.token}"})


def test_requests_are_recorded_without_secrets(workspace: LocalWorkspace) -> None:
    with fresh(workspace) as client:
        client.post(f"{CHAT}?o=1", json={**HI, "max_tokens": 5}, headers={"x-tag": "a"})
    last = workspace.requests[-1]
    assert (last.method, last.path, last.query) == ("POST", CHAT, "o=1")
    assert last.json == {**HI, "max_tokens": 5}
    assert last.headers["x-tag"] == "a"
    assert workspace.token not in repr(last)


def test_faults_are_met_once_each_and_in_order(workspace: LocalWorkspace) -> None:
    workspace.fail_next(429, headers={"retry-after": "7"})
    workspace.fail_next(500, body={"error": "boom"}, times=2)
    with fresh(workspace) as client:
        answers = [client.post(CHAT, json=HI) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 500, 500, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert answers[1].json() == {"error": "boom"}


def test_a_fault_may_wait_for_its_path(workspace: LocalWorkspace) -> None:
    workspace.fail_next(503, body="<html>busy</html>", path="/embeddings")
    with fresh(workspace) as client:
        assert client.post(CHAT, json=HI).status_code == 200
        body = {"model": "databricks-gte-large-en", "input": "x"}
        refused = client.post("/serving-endpoints/embeddings", json=body)
        assert (refused.status_code, refused.text) == (503, "<html>busy</html>")
        assert refused.headers["content-type"].startswith("text/html")
        assert client.post("/serving-endpoints/embeddings", json=body).status_code == 200


def test_a_dropped_connection(workspace: LocalWorkspace) -> None:
    workspace.fail_next(drop=True)
    with fresh(workspace) as client:
        with pytest.raises(httpx.TransportError):
            client.post(CHAT, json=HI)
        assert client.post(CHAT, json=HI).status_code == 200


def test_a_stream_cut_in_the_middle(workspace: LocalWorkspace) -> None:
    workspace.fail_next(drop_after=2)
    seen: list[bytes] = []
    with fresh(workspace) as client, client.stream("POST", CHAT, json={**HI, "stream": True}) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            seen.extend(response.iter_raw())
    assert b"".join(seen).count(b"data: ") == 2
    assert b"[DONE]" not in b"".join(seen)


# -- time


def test_latency_and_pace() -> None:
    with LocalWorkspace(latency=0.2, pace=0.05) as slow, fresh(slow) as client:
        start = time.monotonic()
        client.post(CHAT, json=HI)
        assert time.monotonic() - start >= 0.2
        start = time.monotonic()
        text = client.post(CHAT, json={**HI, "stream": True}).text
        assert time.monotonic() - start >= 0.2 + 0.05 * (text.count("data: {") - 1)
        assert text.count("data: {") > 3


def test_answers_do_not_wait_for_acknowledgements(workspace: LocalWorkspace) -> None:
    """With Nagle's algorithm on, each answer on a kept connection would take at least 40 ms."""
    with fresh(workspace) as client:

        def seconds() -> float:
            start = time.monotonic()
            client.post(CHAT, json={**HI, "stream": True})
            return time.monotonic() - start

        assert any(seconds() < 0.03 for _ in range(300))  # a busy machine is often slow, and not always


def test_many_at_once(workspace: LocalWorkspace) -> None:
    def one(place: int) -> str:
        body = {"messages": [{"role": "user", "content": f"Say n{place}"}]}
        with fresh(workspace) as client:
            return str(client.post(CHAT, json=body).json()["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == [f"n{place}" for place in range(24)]


async def test_from_an_event_loop(workspace: LocalWorkspace) -> None:
    headers = {"authorization": f"Bearer {workspace.token}"}
    async with httpx.AsyncClient(base_url=workspace.host, headers=headers) as client:
        answers = await asyncio.gather(*(client.post(CHAT, json=HI) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}


# -- life


def test_it_starts_again_and_again() -> None:
    workspace = LocalWorkspace()
    with pytest.raises(RuntimeError, match="not running"):
        _ = workspace.host
    with workspace:
        first = workspace.host
        with pytest.raises(RuntimeError, match="running already"):
            workspace.start()
        assert first.startswith("http://127.0.0.1:")
    with pytest.raises(httpx.ConnectError):
        httpx.get(first)
    with workspace:
        assert httpx.get(f"{workspace.host}/.well-known/databricks-config").status_code == 200


def test_stopping_does_not_wait_for_streams() -> None:
    before = {thread.name for thread in threading.enumerate()}
    with (
        LocalWorkspace(pace=30) as workspace,
        fresh(workspace) as client,
        client.stream("POST", CHAT, json={**HI, "stream": True}) as response,
    ):
        next(response.iter_raw())
        start = time.monotonic()
        workspace.stop()
        assert time.monotonic() - start < 20  # the next piece is due after 30
    assert {thread.name for thread in threading.enumerate()} - before <= {"asyncio_0"}


def test_a_taken_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            LocalWorkspace(port=taken.getsockname()[1]).start()


# -- the terminal


def test_the_command_serves() -> None:
    command = [sys.executable, "-u", "-m", "langchain_dbchat.local", "--port", "0", "--token", "dapi-cli"]
    with subprocess.Popen(  # our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = [process.stdout.readline() for _ in range(14)]
            host = said[12].removeprefix("export DATABRICKS_HOST=").strip()
            assert said[13] == "export DATABRICKS_TOKEN=dapi-cli\n"
            headers = {"authorization": "Bearer dapi-cli"}
            assert httpx.post(host + CHAT, json=HI, headers=headers).status_code == 200
        finally:
            process.terminate()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert errors == ""
    assert re.match(r"A local workspace with \d+ endpoints", said[0])


def test_the_command_line_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["local", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(option in said for option in ("--port", "--token", "--latency", "--backend"))
    with pytest.raises(SystemExit) as refused:
        cli.main(["nothing"])
    assert refused.value.code == 2


def test_a_taken_port_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert cli.main(["local", "--port", str(taken.getsockname()[1])]) == 1
    assert "Try --port 0" in capsys.readouterr().err


# -- what it is made of


def test_it_says_what_to_install() -> None:
    script = (
        "import sys\n"
        "sys.modules['starlette'] = None\n"
        "from langchain_dbchat.cli.main import main\n"
        "raise SystemExit(main(['local']))\n"
    )
    done = subprocess.run(  # our own script
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert 'pip install "langchain-dbchat[local]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_connection_is_kept_while_a_client_pauses(workspace: LocalWorkspace) -> None:
    """As other servers do; after uvicorn's five seconds, a client that pauses would meet the end of its connection."""
    connection = http.client.HTTPConnection(workspace.host.removeprefix("http://"), timeout=15)
    connection.connect()
    connection.auto_open = 0  # a second connection would hide the end of the first
    with contextlib.closing(connection):
        for pause in (0.0, 6.0):
            time.sleep(pause)
            connection.request("GET", "/")
            assert connection.getresponse().read()
