"""Token requests are sent as calls are: by the user's own client, with its proxy, and with one retry policy."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.scripted import Received, Scripted, ScriptedServer
from kit.sign_in import BUSY, EXCHANGE, PAT, Mirror, chat, on_connect
from kit.tls import contexts
from kit.ways import Way, four_ways
from langchain_dbchat.auth import grants
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.settings import AuthSettings
from langchain_dbchat.errors import DatabricksConnectionError, DatabricksError
from langchain_dbchat.transport.user_clients import UserClients

TOKEN = "/oidc/v1/token"


def own_clients(sync: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """A client for each way of calling, which keeps no connection for a loop that will have ended."""
    options = {"trust_env": False, "limits": httpx.Limits(max_keepalive_connections=0), **options}
    return {
        "http_client": httpx.Client(**{**options, **(sync or {})}),
        "http_async_client": httpx.AsyncClient(**options),
    }


@pytest.fixture(autouse=True)
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setattr(grants, "FIRST_PAUSE", 0.01)
    with Mirror() as server:
        yield server


class Recording:
    """A client for each way of calling, and the paths that they were asked for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

        async def note(request: httpx.Request) -> None:
            self.paths.append(request.url.path)

        hooks = {"event_hooks": {"request": [lambda request: self.paths.append(request.url.path)]}}
        self.settings = own_clients(hooks, event_hooks={"request": [note]})


@four_ways
@pytest.mark.parametrize("source", ["arguments", "environment", "profile"])
def test_a_client_of_the_users_asks_for_tokens_too(
    call: Way, source: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recording = Recording()
    settings: dict[str, Any] = {}
    if source == "arguments":
        settings = {"client_id": "id", "client_secret": PAT}
    elif source == "environment":
        monkeypatch.setenv("DATABRICKS_CLIENT_ID", "id")
        monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", PAT)
    else:
        path = tmp_path / "config"
        path.write_text(f"[mine]\nhost = {mirror.url}\nclient_id = id\nclient_secret = {PAT}\n")
        settings = {"profile": "mine", "config_file": str(path)}
    assert call(chat(mirror.url, **settings, **recording.settings), "Who am I?").text == "of-id"
    assert recording.paths[0] == TOKEN
    assert len(recording.paths) == 2


@four_ways
def test_a_client_of_the_users_exchanges_sessions_too(
    call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in on_connect(mirror).items():
        monkeypatch.setenv(name, value)
    recording = Recording()
    assert call(chat(mirror.url, user_session_token="ada", **recording.settings), "Who am I?").text == "for-ada-1"
    assert recording.paths[0] == EXCHANGE


@four_ways
def test_a_client_given_for_one_call_asks_for_its_token(call: Way, mirror: Mirror) -> None:
    recording = Recording()
    llm = chat(mirror.url, client_id="id", client_secret=PAT).model_copy(update=recording.settings)
    assert call(llm.with_credentials(client_id="other", client_secret=PAT), "Who am I?").text == "of-other"
    assert recording.paths[0] == TOKEN


def _of_somebody_else(request: httpx.Request) -> httpx.Request:
    """Sign token requests of a client for somebody else."""
    if request.url.path == TOKEN:
        request.headers["Authorization"] = "Basic b3RoZXI6cHc="
    return request


@four_ways
def test_a_client_of_the_users_signs_in_nobody_else(call: Way, mirror: Mirror) -> None:
    own = own_clients(
        auth=_of_somebody_else, cookies={"session": "of-ada"}, params={"key": "1"}, headers={"x-via": "1"}
    )
    assert call(chat(mirror.url, client_id="id", client_secret=PAT, **own), "Who am I?").text == "of-id"
    token, answer = mirror.requests
    assert token.headers["x-via"] == answer.headers["x-via"] == "1"
    assert "cookie" not in token.headers
    assert token.path == TOKEN
    assert answer.headers["cookie"] == "session=of-ada"


@four_ways
def test_a_certificate_authority_of_the_users_client_counts_for_tokens(call: Way, tmp_path: Path) -> None:
    of_server, trusting = contexts(tmp_path)
    with Mirror(of_server) as secure:
        with pytest.raises(DatabricksConnectionError, match=r"OAuth M2M token request .*CERTIFICATE_VERIFY_FAILED"):
            call(chat(secure.url, client_id="id", client_secret=PAT), "Who am I?")
        llm = chat(secure.url, client_id="id", client_secret=PAT, **own_clients(verify=trusting))
        assert call(llm, "Who am I?").text == "of-id"


@four_ways
def test_a_proxy_of_the_users_client_sees_token_requests(call: Way, mirror: Mirror) -> None:
    own = own_clients(proxy=mirror.url)
    llm = chat("http://workspace.example", client_id="id", client_secret=PAT, allow_http=True, **own)
    assert call(llm, "Who am I?").text == "of-id"
    assert [received.headers["host"] for received in mirror.requests] == ["workspace.example"] * 2


def test_a_pickle_of_credentials_leaves_the_users_client_behind(mirror: Mirror) -> None:
    credentials = resolve(
        AuthSettings(host=mirror.url, client_id="id", client_secret=PAT, clients=UserClients(httpx.Client()))
    ).credentials
    opened = pickle.loads(pickle.dumps(credentials))
    assert opened == credentials  # who calls does not depend on the client that sends
    assert opened.clients == UserClients()
    assert opened.headers() == {"Authorization": "Bearer of-id"}


@four_ways
@pytest.mark.parametrize("faults", [1, 2, 3])
def test_retries_are_those_of_every_request(call: Way, faults: int) -> None:
    def answer(received: Received) -> Scripted:
        if len(server.requests) <= faults:
            return BUSY
        return Scripted({"access_token": "late", "expires_in": 3600}) if received.path == TOKEN else Scripted({}, 400)

    with ScriptedServer(answer) as server:
        with pytest.raises(DatabricksError) as caught:
            call(chat(server.url, client_id="id", client_secret=PAT, max_retries=0), "Who am I?")
        tries = sum(received.path == TOKEN for received in server.requests)
    assert tries == min(faults, grants.RETRIES) + 1
    if faults > grants.RETRIES:
        assert caught.value.status_code == 503
        notes = caught.value.__notes__
        assert [note.partition(":")[0] for note in notes] == ["attempt 1", "attempt 2", "attempt 3"]
        assert "given up after 2 retries" in notes[-1]


def test_a_token_request_loads_no_second_transport() -> None:
    script = """
        import sys
        from langchain_dbchat.auth.m2m import ClientCredentials
        from langchain_dbchat.auth.secret import Secret
        from pydantic import SecretStr
        try:
            ClientCredentials("http://127.0.0.1:1", "id", Secret(SecretStr("not-a-secret"))).headers()
        except ConnectionError:
            pass
        print("httpcore" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
