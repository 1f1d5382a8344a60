"""databricks-langchain's Vector Search, Genie and Unity Catalog tools work beside our model; `resources` finds theirs.

The packages are the real ones; what they ask of Databricks is answered by a server on loopback. A function of Unity
Catalog runs in the process that their client starts for ``execution_mode="local"``, not in Spark. The agents are those
of the page's ``py`` blocks, which run here because the page's own test does without these packages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.graph import START, MessagesState, StateGraph

from kit.scripted import Received, Scripted, ScriptedServer
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.integrations.mlflow import resources
from langchain_dbchat.local import LocalWorkspace

theirs = pytest.importorskip("databricks_langchain", reason='needs pip install "langchain-dbchat[peers]"')
pytestmark = pytest.mark.filterwarnings("ignore")  # of these packages

SONNET, GTE, INDEX = "databricks-claude-sonnet-4-6", "databricks-gte-large-en", "main.docs.passages"
COLUMNS = [{"name": "id"}, {"name": "text"}, {"name": "score"}]
PAGE = Path(__file__).parents[3] / "docs" / "vector-stores.md"
SPACE, FUNCTION = "01f0a1b2", "main.default.add_tax"
GENIE, ASKED = f"/api/2.0/genie/spaces/{SPACE}", f"/api/2.0/genie/spaces/{SPACE}/conversations/c1/messages/m1"
REVENUE = [{"name": "region", "type_name": "STRING"}, {"name": "revenue", "type_name": "LONG"}]
PRICE = {"name": "price", "type_name": "DOUBLE", "type_text": "double", "comment": "The price without tax."}


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
        search = theirs.VectorSearchRetrieverTool(
            index_name=INDEX, tool_name="search_passages", tool_description="Search passages about taxes."
        )
        model = ChatDatabricksCompat(model=SONNET, **signed_in(workspace))
        agent: Any = create_agent(model, [search])
        state = agent.invoke({"messages": [("user", "Search the passages: when are taxes due?")]})
        asked = [request.json for request in server.requests if request.path.endswith("/query")]
    assert len(asked) == 1
    assert "taxes" in asked[0]["query_text"]
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert "Taxes are due in April." in state["messages"][-1].text
    assert named(agent) == {
        ("DatabricksServingEndpoint", SONNET),
        ("DatabricksServingEndpoint", GTE),
        ("DatabricksVectorSearchIndex", INDEX),
    }


def answer_of_databricks(received: Received) -> Scripted:
    """Answer like Genie's conversations, the functions of Unity Catalog, and an endpoint."""
    query = {"query": "SELECT region, SUM(amount) AS revenue FROM sales GROUP BY region", "description": "Sums."}
    found = {"data_array": [["North", "1200"], ["South", "700"]]}
    rows = {"status": {"state": "SUCCEEDED"}, "manifest": {"schema": {"columns": REVENUE}}, "result": found}
    parameter = {**PRICE, "position": 0, "type_json": '{"name": "price", "type": "double", "nullable": true}'}
    names = {"full_name": FUNCTION, "catalog_name": "main", "schema_name": "default", "name": "add_tax"}
    body = {"routine_body": "EXTERNAL", "external_language": "PYTHON", "routine_definition": "return price * 1.25"}
    kind = {"data_type": "DOUBLE", "full_data_type": "DOUBLE", "comment": "Add the tax to a price."}
    message = {"role": "assistant", "content": "North sold more."}
    replies: dict[str, dict[str, Any]] = {
        GENIE: {"space_id": SPACE, "title": "Sales", "description": "Knows the revenue of each region."},
        f"{GENIE}/start-conversation": {"conversation_id": "c1", "message_id": "m1"},
        ASKED: {
            "conversation_id": "c1", "status": "COMPLETED", "attachments": [{"attachment_id": "a1", "query": query}]
        },
        f"{ASKED}/attachments/a1/query-result": {"statement_response": rows},
        f"/api/2.1/unity-catalog/functions/{FUNCTION}": {
            **names, **body, **kind, "input_params": {"parameters": [parameter]}
        },
        f"/serving-endpoints/{SONNET}/invocations": {
            "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]
        },
    }  # fmt: skip
    return Scripted(replies[received.path]) if received.path in replies else Scripted({}, status=404)


@pytest.fixture(autouse=True)
def traces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let MLflow write the traces of these tools into a folder of the test, not into the repository."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tmp_path.as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")


@pytest.fixture
def databricks(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """Serve these APIs where the environment says that the workspace is."""
    with ScriptedServer(answer_of_databricks) as server:
        monkeypatch.setenv("DATABRICKS_HOST", server.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", "dapi0")
        yield server


def test_an_agent_asks_genie_as_a_tool(databricks: ScriptedServer, workspace: LocalWorkspace) -> None:
    agent = made_by_the_page("Genie", workspace)["agent"]
    state = agent.invoke({"messages": [("user", "Ask sales: what is the revenue of each region?")]})
    started = [request.json for request in databricks.requests if request.path == f"{GENIE}/start-conversation"]
    assert len(started) == 1
    assert "revenue of each region" in started[0]["content"]
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert "1200" in state["messages"][-1].text
    assert named(agent) == {("DatabricksServingEndpoint", SONNET), ("DatabricksGenieSpace", SPACE)}


def test_our_model_answers_after_genie_in_a_graph(databricks: ScriptedServer) -> None:
    genie = theirs.GenieAgent(SPACE, "sales")
    model = ChatDatabricksCompat(model=SONNET, host=databricks.url, token="dapi0")

    async def sum_up(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder: Any = StateGraph(MessagesState)
    builder.add_node("sales", genie)
    builder.add_node("sum_up", sum_up)
    builder.add_edge(START, "sales")
    builder.add_edge("sales", "sum_up")
    graph = builder.compile()
    state = asyncio.run(graph.ainvoke({"messages": [("user", "Which region sold more?")]}))
    (sent,) = [request.json["messages"] for request in databricks.requests if "/invocations" in request.path]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]  # the server refuses a last assistant
    assert "1200" in sent[1]["content"]
    assert state["messages"][-1].text == "North sold more."
    assert named(graph) == {("DatabricksServingEndpoint", SONNET), ("DatabricksGenieSpace", SPACE)}


@pytest.mark.usefixtures("databricks")
def test_an_agent_calls_a_function_of_unity_catalog(workspace: LocalWorkspace) -> None:
    made = made_by_the_page("Functions of Unity Catalog", workspace)
    state = made["agent"].invoke({"messages": [("user", "Add the tax to the price 80.")]})
    question, call, result, last = state["messages"]
    assert [(each["name"], each["args"]) for each in call.tool_calls] == [("main__default__add_tax", {"price": 80})]
    assert result.text == '{"format": "SCALAR", "value": 100.0}'
    assert "100.0" in last.text
    assert question.type == "human"
    assert named(made["agent"]) == {("DatabricksServingEndpoint", SONNET), ("DatabricksFunction", FUNCTION)}
    assert named(made["toolkit"]) == {("DatabricksFunction", FUNCTION)}


def made_by_the_page(section: str, workspace: LocalWorkspace) -> dict[str, Any]:
    """Run the block of a section of the page, and return what it made."""
    code = PAGE.read_text("utf-8").partition(f"\n## {section}\n")[2].partition("```py\n")[2].partition("```")[0]
    made: dict[str, Any] = {"__name__": "page", "llm": ChatDatabricksCompat(model=SONNET, **signed_in(workspace))}
    exec(compile(code, PAGE.name, "exec"), made)  # noqa: S102  # the page's own code
    return made


def signed_in(workspace: LocalWorkspace) -> dict[str, Any]:
    return {"host": workspace.host, "token": workspace.token}


def named(*objects: Any) -> set[tuple[str, str]]:
    return {(type(found).__name__, found.name) for found in resources(*objects)}
