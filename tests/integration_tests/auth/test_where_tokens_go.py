"""Where a token goes and what goes with it: to no other host, never in clear, with the workspace's id and our name."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from blockbuster import blockbuster_ctx

import langchain_dbchat
from kit.scripted import Scripted, ScriptedServer
from kit.sign_in import EXCHANGE, PAT, Mirror, chat, on_connect, write_cli, write_workbench
from kit.ways import Way, four_ways
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.errors import ConfigurationError, DatabricksError
from langchain_dbchat.local import LocalWorkspace

OURS = f"langchain-dbchat/{langchain_dbchat.__version__} python/{'.'.join(platform.python_version_tuple()[:2])}"
MODEL = "databricks-claude-sonnet-4-6"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        yield server


# --- redirects and http -----------------------------------------------------------------------------------------------


@four_ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(call: Way, status: int, mirror: Mirror) -> None:
    away = Scripted(b"", status, {"location": f"{mirror.url}/login.html?token=once"})
    with ScriptedServer(lambda _: away) as server:
        with pytest.raises(DatabricksError, match="login") as caught:
            call(chat(server.url, token=PAT), "Who am I?")
        assert len(server.requests) in {1, 2}  # a login page is asked again with a new token, at the same host
    assert "once" not in str(caught.value)
    assert mirror.requests == []


@four_ways
def test_a_redirect_is_not_followed_by_a_users_own_client_either(call: Way, mirror: Mirror) -> None:
    away = Scripted(b"", 307, {"location": f"{mirror.url}/elsewhere"})
    options: dict[str, Any] = {"follow_redirects": True, "limits": httpx.Limits(max_keepalive_connections=0)}
    with ScriptedServer(lambda _: away) as server, httpx.Client(**options) as client:
        llm = chat(server.url, token=PAT, http_client=client, http_async_client=httpx.AsyncClient(**options))
        with pytest.raises(DatabricksError, match="Redirects are not followed"):
            call(llm, "Who am I?")
    assert mirror.requests == []


@four_ways
@pytest.mark.parametrize("kind", ["service principal", "viewer"])
def test_a_redirect_of_a_token_request_is_not_followed(
    call: Way, kind: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(lambda _: Scripted(b"", 307, {"location": f"{mirror.url}{EXCHANGE}"})) as server:
        for name, value in on_connect(server).items():
            monkeypatch.setenv(name, value)
        pair = {"client_id": "id", "client_secret": "dose" + "0" * 32}
        with pytest.raises(DatabricksError, match=" 307 "):
            call(chat(server.url, **(pair if kind != "viewer" else {"user_session_token": "ada"})), "Who am I?")
        assert len(server.requests) == 1
    assert mirror.requests == []


@four_ways
@pytest.mark.parametrize("source", ["host", "base_url", "DATABRICKS_HOST", "DATABRICKS_API_BASE", "profile"])
def test_http_to_another_machine_is_refused(call: Way, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {}
    address = "http://workspace.example"
    if source == "profile":
        Path(os.environ["HOME"], ".databrickscfg").write_text(f"[DEFAULT]\nhost = {address}\ntoken = {PAT}\n")
    elif source.startswith("DATABRICKS"):
        monkeypatch.setenv(source, address)
    else:
        settings[source] = address
    with pytest.raises(ValueError, match="allow_http=True"):
        call(chat(token=PAT, **settings), "Who am I?")
    allowed = chat(token=PAT, allow_http=True, **settings)._session()
    assert allowed.workspace.origin == address


@four_ways
def test_this_machine_needs_no_tls(call: Way, mirror: Mirror) -> None:
    assert call(chat(mirror.url.replace("127.0.0.1", "localhost"), token="mine"), "Who am I?").text == "mine"


# --- unified hosts ----------------------------------------------------------------------------------------------------


@four_ways
@pytest.mark.parametrize("source", ["address", "argument", "DATABRICKS_WORKSPACE_ID", "profile", "nowhere"])
def test_a_unified_host_is_told_which_workspace(
    call: Way, source: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    host: str | None = mirror.url
    settings: dict[str, Any] = {"token": "mine"}
    if source == "address":
        host = f"{host}/?o=42"
    elif source == "argument":
        settings["workspace_id"] = "42"
    elif source == "profile":
        text = f"[DEFAULT]\nhost = {host}\nworkspace_id = 42\ntoken = mine\n"
        Path(os.environ["HOME"], ".databrickscfg").write_text(text)
        host, settings = None, {}
    elif source.startswith("DATABRICKS"):
        monkeypatch.setenv("DATABRICKS_HOST", mirror.url)
        monkeypatch.setenv(source, "42")
        host = None
    assert call(chat(host, **settings), "Who am I?").text == "mine"
    DatabricksEmbeddings(model="e", host=host, **settings).embed_query("x")
    expected = None if source == "nowhere" else "42"
    assert [received.headers.get("x-databricks-workspace-id") for received in mirror.questions] == [expected] * 2


# --- who we say we are ------------------------------------------------------------------------------------------------


@four_ways
@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        ({}, {}, OURS),
        ({"user_agent": "acme-rag/2.1"}, {"DATABRICKS_USER_AGENT": "other/1"}, f"acme-rag/2.1 {OURS}"),
        ({}, {"DATABRICKS_USER_AGENT": "acme/1"}, f"acme/1 {OURS}"),
        ({}, {"SPARK_CONNECT_USER_AGENT": "posit/3"}, f"posit/3 {OURS}"),
        ({"user_agent": "acme/1"}, {"SPARK_CONNECT_USER_AGENT": "posit/3"}, f"acme/1 posit/3 {OURS}"),
        ({}, {"DATABRICKS_USER_AGENT": "a/1", "SPARK_CONNECT_USER_AGENT": "a/1"}, f"a/1 {OURS}"),
        ({"user_agent": "acme/1", "default_headers": {"User-Agent": "mine"}}, {}, "mine"),
    ],
)
def test_the_user_agent_has_a_prefix_if_one_is_given(
    call: Way,
    settings: dict[str, Any],
    environ: dict[str, str],
    expected: str,
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    call(chat(mirror.url, token="mine", **settings), "Who am I?")
    DatabricksEmbeddings(model="e", host=mirror.url, token="mine", **settings).embed_query("x")
    assert [received.headers["user-agent"] for received in mirror.questions] == [expected] * 2


@pytest.mark.parametrize("source", ["user_agent", "DATABRICKS_USER_AGENT", "SPARK_CONNECT_USER_AGENT"])
def test_a_prefix_that_would_break_the_header_is_refused(
    source: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "acme/1\r\nX-Evil: 1"
    if source != "user_agent":
        monkeypatch.setenv(source, broken)
    with pytest.raises(ConfigurationError, match=source):
        chat(mirror.url, token="mine", user_agent=broken if source == "user_agent" else None).invoke("x")
    assert mirror.requests == []


# --- what a call costs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["token", "callable", "viewer", "profile", "workbench", "cli", "m2m", "sdk"])
async def test_nothing_blocks_the_event_loop(
    kind: str, mirror: Mirror, workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in on_connect(mirror).items():
        monkeypatch.setenv(name, value)
    if kind == "cli":
        log = await asyncio.to_thread(write_cli, tmp_path / "bin")
        monkeypatch.setenv("DATABRICKS_CLI_PATH", str(log.with_name("databricks")))
    if kind == "workbench":
        file = await asyncio.to_thread(write_workbench, tmp_path, mirror.url, "w")
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(file))
    if kind == "sdk":
        monkeypatch.setenv("DATABRICKS_USERNAME", "ada")
        monkeypatch.setenv("DATABRICKS_PASSWORD", "hush-hush")
    text = f"[named]\nhost = {mirror.url}\ntoken = mine\n"
    await asyncio.to_thread(Path(os.environ["HOME"], ".databrickscfg").write_text, text)
    ways: dict[str, dict[str, Any]] = {
        "token": {"token": "mine"},
        "callable": {"token": lambda: Path(os.environ["HOME"], ".databrickscfg").read_text()[-5:-1]},
        "viewer": {"user_session_token": "ada"},
        "profile": {"profile": "named", "host": None},
        "m2m": {"host": workspace.host, "client_id": workspace.client_id, "client_secret": workspace.client_secret},
    }
    settings = {"host": mirror.url, "model": MODEL, **ways.get(kind, {})}
    with blockbuster_ctx():
        llm = chat(**settings)
        assert (await llm.ainvoke("Hello!")).text
        said = await asyncio.gather(*(llm.ainvoke("Hello!") for _ in range(10)))
        assert all(message.text for message in said)
        assert [chunk async for chunk in llm.astream("Hello!")]
        if kind != "m2m":
            embeddings = DatabricksEmbeddings(**{**settings, "model": "e"})
            assert await embeddings.aembed_query("x") == [1.0]


WITHOUT_THE_SDK = """
import os, sys
from langchain_dbchat import ChatDatabricksCompat
mirror, host, client_id, client_secret, file, cli = sys.argv[1:]

def ask(who, environ, **settings):
    os.environ.update(environ)
    llm = ChatDatabricksCompat(**{"model": "my-endpoint", "host": mirror, **settings})
    said = llm.invoke("Who am I?").text
    assert said == who or who is None, (said, who)
    assert llm.with_config({}).invoke("Who am I?").text
    for name in environ:
        del os.environ[name]
    loaded = sorted(name for name in sys.modules if name.startswith(("databricks.", "google.auth")))
    assert not loaded, (who, loaded[:5])
    print(who)

ask("pat", {"DATABRICKS_TOKEN": "pat"})
ask(None, {"DATABRICKS_CLIENT_ID": client_id, "DATABRICKS_CLIENT_SECRET": client_secret}, host=host,
    model="databricks-claude-sonnet-4-6")
ask("workbench", {"DATABRICKS_CONFIG_FILE": file})
connect = {"POSIT_PRODUCT": "CONNECT", "CONNECT_SERVER": mirror, "CONNECT_API_KEY": "key"}
ask("for-ada-1", connect, user_session_token="ada")
ask("for-content-2", {**connect, "CONNECT_CONTENT_SESSION_TOKEN": "content"})
ask("cli-1", {"DATABRICKS_CLI_PATH": cli})
"""


def test_the_common_ways_load_no_sdk(mirror: Mirror, workspace: LocalWorkspace, tmp_path: Path) -> None:
    file = write_workbench(tmp_path, mirror.url, "workbench")
    command = write_cli(tmp_path / "bin").with_name("databricks")
    pair = (workspace.client_id, workspace.client_secret)
    arguments = [mirror.url, workspace.host, *pair, str(file), str(command)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_SDK, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.split() == ["pat", "None", "workbench", "for-ada-1", "for-content-2", "cli-1"], done.stderr
