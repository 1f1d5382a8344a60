"""databricks-langchain's own Vector Search tool works beside our model, and `resources` finds what it needs."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent

from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.integrations.mlflow import resources
from langchain_dbchat.local import LocalWorkspace

theirs = pytest.importorskip("databricks_langchain", reason='needs pip install "langchain-dbchat[peers]"')
pytestmark = pytest.mark.filterwarnings("ignore")  # of these packages

SONNET, GTE, INDEX = "databricks-claude-sonnet-4-6", "databricks-gte-large-en", "main.docs.passages"
COLUMNS = [{"name": "id"}, {"name": "text"}, {"name": "score"}]


def answer(received: Received) -> Scripted:
    """Answer like the API of Vector Search."""
    if received.path.endswith("/query"):
        found = {"row_count": 1, "data_array": [["1", "Taxes are due in April.", 0.9]]}
        return Scripted({"manifest": {"column_count": len(COLUMNS), "columns": COLUMNS}, "result": found})
    source = {"name": "text", "embedding_model_endpoint_name": GTE}
    spec = {"source_table": "main.docs.table", "embedding_source_columns": [source]}
    index = {"name": INDEX, "endpoint_name": "search", "index_type": "DELTA_SYNC", "primary_key": "id"}
    return Scripted({**index, "delta_sync_index_spec": spec, "status": {"ready": True}})


def test_an_agent_searches_an_index_with_their_tool(workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(answer) as server:
        monkeypatch.setenv("DATABRICKS_HOST", server.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", "dapi0")
        tool = theirs.VectorSearchRetrieverTool(
            index_name=INDEX, tool_name="search_passages", tool_description="Search passages about taxes."
        )
        model = ChatDatabricksCompat(model=SONNET, host=workspace.host, token=workspace.token)
        agent: Any = create_agent(model, [tool])
        state = agent.invoke({"messages": [("user", "Search the passages: when are taxes due?")]})
        asked = [request.json for request in server.requests if request.path.endswith("/query")]
    assert len(asked) == 1
    assert "taxes" in asked[0]["query_text"]
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert "Taxes are due in April." in state["messages"][-1].text
    assert {(type(found).__name__, found.name) for found in resources(agent)} == {
        ("DatabricksServingEndpoint", SONNET),
        ("DatabricksServingEndpoint", GTE),
        ("DatabricksVectorSearchIndex", INDEX),
    }
