"""`dbchat models` for programs: lines with tabs, and JSON."""

from __future__ import annotations

import pytest

from kit.commands import Script
from kit.scripted import Scripted, ScriptedServer
from kit.sign_in import PAT
from langchain_dbchat.local import LocalWorkspace

pytest.importorskip("rich")


def test_a_pipe_gets_a_line_for_each_endpoint(script: Script, home: LocalWorkspace) -> None:
    assert script("models") == 0
    rows = [line.split("\t") for line in script.out.splitlines()]
    assert {len(row) for row in rows} == {8}
    assert [row[0] for row in rows] == sorted(home.endpoints)
    found = {row[0]: row[1:] for row in rows}
    assert found["databricks-claude-sonnet-4-6"] == [
        "llm/v1/chat",
        "claude-4-6",
        "chat,messages",
        "1000000",
        "tools,reasoning,images",
        "3",
        "15",
    ]
    assert found["databricks-gte-large-en"][:3] == ["llm/v1/embeddings", "gte-large-en", ""]
    assert found["agent-support"] == ["agent/v2/chat", "generic", "agent", "", "", "", ""]


def test_a_word_chooses_and_json_has_every_field(script: Script, home: LocalWorkspace) -> None:
    assert home.endpoints
    assert script("models", "GTE", "--json") == 0
    (one,) = script.json
    assert one == {
        "name": "databricks-gte-large-en",
        "task": "llm/v1/embeddings",
        "family": "gte-large-en",
        "wires": [],
        "context": None,
        "capabilities": [],
        "dollars_in": 0.13,
        "dollars_out": 0,
        "is_ready": True,
    }
    assert script("models", "embeddings", "--json") == 0
    assert {one["task"] for one in script.json} == {"llm/v1/embeddings"}
    assert script("models", "no-such-model", "--json") == 0
    assert script.json == []


def test_the_services_of_the_gateway_are_listed_on_demand(script: Script, home: LocalWorkspace) -> None:
    assert home.endpoints
    script("models", "system.ai")
    assert script.out == ""
    script("models", "system.ai", "--services")
    assert "system.ai.gpt-oss-20b\t" in script.out


def test_the_models_of_another_server(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", PAT)
    with ScriptedServer(Scripted({"data": [{"id": "local-model"}]})) as server:
        assert script("models", "--base-url", f"{server.url}/v1", "--token-env", "TOKEN") == 0
    assert script.out.startswith("local-model\t")
