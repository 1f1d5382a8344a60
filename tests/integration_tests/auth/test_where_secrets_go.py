"""No secret of the environment reaches a host that only an argument names: the sockets are watched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.sign_in import PAT, UNKNOWN, Mirror, chat, on_connect, write_cli, write_workbench
from kit.ways import Way, four_ways
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.auth import cli, m2m, posit
from langchain_dbchat.errors import ConfigurationError, DatabricksAuthenticationError

ELSEWHERE = "http://elsewhere.example"
SOURCES = ["token", "key", "client", "connect", "profile", "workbench", "cli"]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Receive every request to any other machine, because the environment's proxy is this server."""
    for cells in (m2m.CELLS, posit.CELLS, cli.CELLS):
        cells.clear()
    with Mirror() as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        yield server


@pytest.fixture(params=SOURCES)
def found(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Mirror]:
    """One secret in the environment, which belongs to the server that is given."""
    with Mirror() as home:
        environ = {
            "token": {"DATABRICKS_TOKEN": PAT},
            "key": {"DATABRICKS_API_KEY": PAT},
            "client": {"DATABRICKS_CLIENT_ID": "id", "DATABRICKS_CLIENT_SECRET": PAT},
            "connect": {**on_connect(home), "CONNECT_CONTENT_SESSION_TOKEN": "content"},
            "cli": {"DATABRICKS_CLI_PATH": str(write_cli(tmp_path / "bin", PAT).with_name("databricks"))},
            "workbench": {"DATABRICKS_CONFIG_FILE": str(write_workbench(tmp_path, home.url, PAT))},
        }.get(request.param, {})
        if request.param == "profile":
            Path(os.environ["HOME"], ".databrickscfg").write_text(f"[DEFAULT]\nhost = {home.url}\ntoken = {PAT}\n")
        for name, value in {"DATABRICKS_HOST": home.url, **environ}.items():
            monkeypatch.setenv(name, value)
        yield home


@four_ways
@pytest.mark.parametrize(
    "settings",
    [{"host": ELSEWHERE}, {"base_url": f"{ELSEWHERE}/serving-endpoints"}, {"base_url": f"{ELSEWHERE}/ai-gateway"}],
)
def test_what_the_environment_holds_stays_at_home(
    call: Way, settings: dict[str, Any], found: Mirror, elsewhere: Mirror
) -> None:
    llm = chat(allow_http=True, **settings)
    with pytest.raises(ConfigurationError, match="token=..."):
        call(llm, "Who am I?")
    assert elsewhere.requests == []
    assert found.questions == []
    given = llm.with_credentials(token="given")
    assert call(given, "Who am I?").text == "given"
    assert call(llm.bind(token="of-this-call"), "Who am I?").text == "of-this-call"
    assert {request.headers["authorization"] for request in elsewhere.requests} == {
        "Bearer given",
        "Bearer of-this-call",
    }
    assert found.questions == []
    assert call(chat(), "Who am I?").text


@four_ways
def test_another_kind_of_server_is_asked_without_a_signature_or_not_at_all(
    call: Way, found: Mirror, elsewhere: Mirror
) -> None:
    llm = chat(base_url=f"{ELSEWHERE}/v1", allow_http=True)
    if "DATABRICKS_TOKEN" in os.environ or "DATABRICKS_API_KEY" in os.environ:
        with pytest.raises(ConfigurationError, match="token=..."):
            call(llm, "Who am I?")
    else:
        assert call(llm, "Who am I?").text == "nobody"
    assert found.questions == []
    assert not any("authorization" in request.headers for request in elsewhere.requests)


@pytest.mark.parametrize("settings", [{"host": ELSEWHERE}, {"base_url": f"{ELSEWHERE}/serving-endpoints"}])
def test_the_same_for_embeddings(settings: dict[str, Any], found: Mirror, elsewhere: Mirror) -> None:
    embeddings = DatabricksEmbeddings(model="e", allow_http=True, **settings)
    with pytest.raises(ConfigurationError, match="token=..."):
        embeddings.embed_query("x")
    with pytest.raises(ConfigurationError, match="token=..."):
        asyncio.run(embeddings.aembed_query("x"))
    assert elsewhere.requests == []
    assert found.questions == []


@four_ways
def test_a_profile_that_is_named_for_a_copy_of_the_model_stays_at_home(call: Way, elsewhere: Mirror) -> None:
    text = f"[work]\nhost = https://models.corp.example\ntoken = {PAT}\n"
    Path(os.environ["HOME"], ".databrickscfg").write_text(text)
    llm = chat(ELSEWHERE, token="given", allow_http=True).with_credentials(profile="work")
    with pytest.raises(ConfigurationError, match=r"belongs to models\.corp\.example"):
        call(llm, "Who am I?")
    assert elsewhere.requests == []


@four_ways
@pytest.mark.parametrize("name", ["DATABRICKS_TOKEN", "DATABRICKS_API_KEY"])
def test_a_refused_token_is_not_replaced_by_that_of_another_host(
    call: Way, name: str, elsewhere: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", ELSEWHERE)
    monkeypatch.setenv(name, "of-elsewhere")
    llm = chat(allow_http=True)
    assert call(llm, "Who am I?").text == "of-elsewhere"
    elsewhere.refused["of-elsewhere"] = UNKNOWN
    monkeypatch.setenv("DATABRICKS_HOST", "https://models.corp.example")
    monkeypatch.setenv(name, PAT)
    with pytest.raises(DatabricksAuthenticationError):
        call(llm, "Who am I?")
    assert PAT not in elsewhere.signers
    monkeypatch.setenv("DATABRICKS_HOST", ELSEWHERE)
    assert call(llm, "Who am I?").text == PAT
