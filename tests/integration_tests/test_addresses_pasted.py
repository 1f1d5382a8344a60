"""Addresses as people paste them: a page's and the API's, in an argument, the environment and a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.ways import Way, four_ways
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings
from langchain_dbchat.connection.requests import family_for
from langchain_dbchat.routing.address import Workspace, parse_workspace

if TYPE_CHECKING:
    from pathlib import Path

SE = "/serving-endpoints"
GATEWAY = "/ai-gateway/mlflow/v1"
HOSTS = [
    "https://dbc-a1b2.cloud.databricks.com",
    "https://adb-1234567890123456.7.azuredatabricks.net",
    "https://1234567890123456.7.gcp.databricks.com",
    "https://dbc-a1b2.cloud.databricks.us",
    "https://dbc-a1b2.cloud.databricks.mil",
    "https://adb-1234567890123456.7.databricks.azure.us",
    "https://adb-1234567890123456.7.databricks.azure.cn",
    "https://acme.cloud.databricks.com",
]
PAGES = [
    "/browse?o=123",
    "/browse/?o=123",
    "/Browse?O=123",
    "/browse/folders/99?o=123",
    "/?o=123",
    "/?o=123#",
    "?o=123",
    "?o=123/",
    "/#?o=123",
    "/?o=123#/setting/account",
    "/?o=123#notebook/44/command/45",
    "/#job/5/run/1?o=123",
    "/editor/notebooks/444?o=123#command/5",
    "/editor/files/8?o=123",
    "/sql/editor/0f1?o=123",
    "/sql/warehouses?o=123",
    "/explore/data/main/default/t?o=123&activeTab=sample",
    "/explore/data/models/main/default/m?o=123",
    "/jobs?o=123",
    "/compute/clusters/01-a?o=123",
    "/settings/user/developer/access-tokens?o=123",
    "/onboarding?o=123",
    "/login.html?o=123",
    "/login.html?next_url=%2F%3Fo%3D123",
    "/login.html?next_url=%2Fbrowse%3Fo%3D123&tuuid=abc",
    "/dashboardsv3/01ef/published?o=123",
    "/genie/rooms/01ef?o=123",
    "/ml/playground?o=123",
    "/ml/experiments/9?o=123",
    "/ml/endpoints?o=123",
    "/a/page/of/next/year?o=123",
]
NAMED = [
    "/ml/endpoints/my-bot?o=123",
    "/ml/endpoints/my-bot/?o=123",
    "/ml/endpoints/my-bot/edit?o=123",
    "/ML/Endpoints/my-bot?o=123",
    "/ml/endpoints/my%2Dbot?o=123",
    "/?o=123#/ml/endpoints/my-bot",
    "/?o=123#ml/endpoints/my-bot",
    "/?o=123#mlflow/endpoints/my-bot",
    "/#mlflow/endpoints/my-bot?o=123",
    "/login.html?next_url=%2Fml%2Fendpoints%2Fmy-bot%3Fo%3D123",
    f"{SE}/my-bot/invocations?o=123",
    f"{SE}/my-bot/invocations/?o=123",
    f"{SE}/my-bot?o=123",
    "/Serving-Endpoints/my-bot/Invocations?o=123",
    f"{SE}/my-bot/chat/completions?o=123",
    f"{SE}/my-bot/v1?o=123",
    f"{SE}/my-bot/served-models/my-bot-1/invocations?o=123",
    f"/api/2.0{SE}/my-bot?o=123",
    f"/api/2.0{SE}/my-bot/config?o=123",
    f"/api/2.0{SE}/my-bot/permissions/?o=123",
    f"{SE}/gemini/v1beta/models/my-bot:generateContent?o=123",
]
PLACES = [
    SE,
    f"{SE}/",
    f"{SE}/v1",
    f"{SE}/v1/",
    f"{SE}/v1/chat/completions",
    f"{SE}/openai/v1",
    f"{SE}/chat/completions",
    f"{SE}/completions",
    f"{SE}/embeddings",
    f"{SE}/responses",
    f"{SE}/open-responses",
    f"{SE}/anthropic",
    f"{SE}/anthropic/v1/messages",
    f"{SE}/gemini",
    "/serving%2Dendpoints/chat/completions",
    f"/api/2.0{SE}",
    f"/api/2.1{SE}/",
    "/openai/v1",
    "/v1",
    "/v1/chat/completions",
]
GATEWAYS = [
    "/ai-gateway",
    "/ai-gateway/",
    "/AI-Gateway/mlflow/v1",
    "/ai-gateway/mlflow",
    f"{GATEWAY}/chat/completions",
    f"{GATEWAY}/embeddings",
    "/ai-gateway/anthropic/v1/messages",
    "/ai-gateway/codex/v1/responses",
    "/ai-gateway/gemini/v1beta/models",
]

WIRES: dict[str, Any] = {
    f"{SE}/responses": "responses",
    f"{SE}/open-responses": "responses",
    f"{SE}/anthropic": "messages",
    f"{SE}/anthropic/v1/messages": "messages",
    "/ai-gateway/anthropic/v1/messages": "messages",
    "/ai-gateway/codex/v1/responses": "responses",
}
"""The wire format that an address names."""


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("plain", [False, True], ids=["host", "base_url"])
def test_every_page_of_a_workspace_stands_for_the_workspace(host: str, plain: bool) -> None:
    for page in PAGES:
        assert parse_workspace(host + page, plain=plain) == Workspace(host, workspace_id="123"), page
        bare = parse_workspace(host + page.partition("?")[0].partition("#")[0], plain=plain)
        assert bare == Workspace(host), page


@pytest.mark.parametrize("host", HOSTS[:2])
@pytest.mark.parametrize("plain", [False, True], ids=["host", "base_url"])
def test_an_address_that_names_an_endpoint_in_each_spelling(host: str, plain: bool) -> None:
    for path in NAMED:
        assert parse_workspace(host + path, plain=plain) == Workspace(host, workspace_id="123", endpoint="my-bot"), path


@pytest.mark.parametrize("host", HOSTS[:2])
@pytest.mark.parametrize("plain", [False, True], ids=["host", "base_url"])
def test_an_address_of_the_api_in_each_spelling(host: str, plain: bool) -> None:
    for path in PLACES:
        assert parse_workspace(host + path, plain=plain) == Workspace(host, wire=WIRES.get(path)), path
    for path in GATEWAYS:
        found = parse_workspace(host + path, plain=plain)
        assert found == Workspace(host, "gateway", GATEWAY, wire=WIRES.get(path)), path


def test_a_server_on_a_clusters_driver_is_a_server_of_its_own() -> None:
    address = f"{HOSTS[0]}/driver-proxy-api/o/12/0401-abc/8000/v1"
    for path in ("", "/", "/chat/completions"):
        found = parse_workspace(address + path, plain=True)
        assert found == Workspace(HOSTS[0], "openai", "/driver-proxy-api/o/12/0401-abc/8000/v1")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/browse?o=123", Workspace("https://dbx.acme.example", workspace_id="123")),
        ("/any/page?o=123", Workspace("https://dbx.acme.example", workspace_id="123")),
        ("/browse", Workspace("https://dbx.acme.example")),
        ("/sql/editor/1", Workspace("https://dbx.acme.example")),
        ("/login.html?next_url=%2F%3Fo%3D123", Workspace("https://dbx.acme.example", workspace_id="123")),
        ("/ml/endpoints/bot", Workspace("https://dbx.acme.example", endpoint="bot")),
        ("/v1", Workspace("https://dbx.acme.example", "openai", "/v1")),
        ("/ml/v1", Workspace("https://dbx.acme.example", "openai", "/ml/v1")),
        ("/proxy/openai/v1/chat/completions", Workspace("https://dbx.acme.example", "openai", "/proxy/openai/v1")),
    ],
)
def test_a_host_whose_name_does_not_say_databricks(address: str, expected: Workspace) -> None:
    assert parse_workspace(f"https://dbx.acme.example{address}") == expected


def test_a_base_url_of_another_server_keeps_its_path() -> None:
    for path in ("/v1", "/browse", "/sql/v1", "/driver-proxy/x"):
        found = parse_workspace(f"https://llm.example.com{path}", plain=True)
        assert (found.kind, found.base_path) == ("openai", path)


@pytest.mark.parametrize(
    "host", ["evil-databricks.com", "databricks.com.evil.example", "azuredatabricks.net.evil.example"]
)
def test_a_name_that_only_looks_like_databricks_is_another_server(host: str) -> None:
    assert parse_workspace(f"https://{host}/v1").kind == "openai"


def _answer(request: Received) -> Scripted:
    if "embed" in str(request.json) or "input" in request.json:
        return Scripted({"data": [{"index": 0, "embedding": [0.5]}]})
    if request.json.get("stream"):
        return Scripted(sse({"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}))
    return Scripted({"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]})


def _from_host(url: str, patch: pytest.MonkeyPatch, home: Path) -> dict[str, Any]:
    del patch, home
    return {"host": url, "token": "t"}


def _from_environment(url: str, patch: pytest.MonkeyPatch, home: Path) -> dict[str, Any]:
    del home
    patch.setenv("DATABRICKS_HOST", url)
    patch.setenv("DATABRICKS_TOKEN", "t")
    return {}


def _from_profile(url: str, patch: pytest.MonkeyPatch, home: Path) -> dict[str, Any]:
    patch.setenv("DATABRICKS_CONFIG_FILE", str(home / "cfg"))
    (home / "cfg").write_text(f"[DEFAULT]\nhost = {url}\ntoken = t\n")
    return {}


@four_ways
@pytest.mark.parametrize("given", [_from_host, _from_environment, _from_profile])
@pytest.mark.parametrize("page", ["/browse?o=123", "/?o=123#/ml/experiments", "/serving-endpoints/v1?o=123"])
def test_a_pasted_page_reaches_the_endpoint(
    call: Way, given: Any, page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ScriptedServer(_answer) as server:
        llm = ChatDatabricksCompat(model="m", **given(server.url + page, monkeypatch, tmp_path))
        assert call(llm, "hi").text == "ok"
    (request,) = server.requests
    assert request.path == f"{SE}/m/invocations"
    assert request.headers["x-databricks-workspace-id"] == "123"


@four_ways
@pytest.mark.parametrize("page", ["/ml/endpoints/my-bot", "/api/2.0/serving-endpoints/my-bot"])
def test_the_endpoint_of_a_pasted_page_is_called(call: Way, page: str) -> None:
    with ScriptedServer(_answer) as server:
        call(ChatDatabricksCompat(host=server.url + page, token="t"), "hi")
        DatabricksEmbeddings(host=server.url + page, token="t").embed_query("hi")
    assert [request.path for request in server.requests] == [f"{SE}/my-bot/invocations"] * 2


def test_an_address_over_http_that_is_allowed_is_read_where_a_model_is_made() -> None:
    page = "http://dbx.internal/ml/endpoints/my-bot"
    assert ChatDatabricksCompat(host=page, token="t", allow_http=True).model == "my-bot"
    plain = ChatDatabricksCompat(model="m", base_url="http://llm.internal/v1", token="t", allow_http=True)
    assert family_for(plain, "m").name == "openai-compatible"
