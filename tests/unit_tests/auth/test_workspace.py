from __future__ import annotations

import pytest

from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.routing.address import Workspace, parse_workspace

AWS = "https://dbc-1.cloud.databricks.com"
AZURE = "https://adb-12.3.azuredatabricks.net"
SE = "/serving-endpoints"
GATEWAY = "/ai-gateway/mlflow/v1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dbc-1.cloud.databricks.com", Workspace(AWS)),
        ("  dbc-1.cloud.databricks.com \n", Workspace(AWS)),
        ("//dbc-1.cloud.databricks.com", Workspace(AWS)),
        (f"{AWS}/", Workspace(AWS)),
        ("HTTPS://DBC-1.cloud.Databricks.com", Workspace(AWS)),
        ("dbc-1.cloud.databricks.com:443", Workspace(AWS)),
        (f"{AWS}:8443/", Workspace(f"{AWS}:8443")),
        (f"{AZURE}/?o=123", Workspace(AZURE, workspace_id="123")),
        (f"{AZURE}?o=123&foo=bar#/x?o=4", Workspace(AZURE, workspace_id="123")),
        (f"{AWS}{SE}", Workspace(AWS)),
        (f"{AWS}{SE}//", Workspace(AWS)),
        (f"{AWS}{SE}/chat/completions", Workspace(AWS)),
        (f"{AWS}{SE}/embeddings", Workspace(AWS)),
        (f"{AWS}{SE}/my-model/invocations", Workspace(AWS, endpoint="my-model")),
        (f"{AWS}{SE}/my-model/invocations?o=7", Workspace(AWS, endpoint="my-model", workspace_id="7")),
        (f"{AWS}{SE}/my-model", Workspace(AWS, endpoint="my-model")),
        (f"{AWS}/ml/endpoints/my-model?o=7", Workspace(AWS, endpoint="my-model", workspace_id="7")),
        (f"{AWS}/ml/endpoints", Workspace(AWS)),
        (f"{AWS}{GATEWAY}", Workspace(AWS, "gateway", GATEWAY)),
        (f"{AWS}{GATEWAY}/chat/completions", Workspace(AWS, "gateway", GATEWAY)),
        (f"{AWS}/ai-gateway", Workspace(AWS, "gateway", GATEWAY)),
        (f"{AWS}/ai-gateway/openai/v1/responses", Workspace(AWS, "gateway", "/ai-gateway/openai/v1", wire="responses")),
        (
            "my-app-1.aws.databricksapps.com",
            Workspace("https://my-app-1.aws.databricksapps.com", "app", "", wire="responses"),
        ),
        (
            "https://my-app-1.aws.databricksapps.com/responses",
            Workspace("https://my-app-1.aws.databricksapps.com", "app", "", wire="responses"),
        ),
        (
            "https://x.serving.cloud.databricks.com/99/serving-endpoints/e/invocations",
            Workspace("https://x.serving.cloud.databricks.com", "optimized", "/99/serving-endpoints", endpoint="e"),
        ),
        (
            "x.serving.cloud.databricks.com/99/serving-endpoints/my%2De",
            Workspace("https://x.serving.cloud.databricks.com", "optimized", "/99/serving-endpoints", endpoint="my-e"),
        ),
        (
            "https://x.3.serving.azuredatabricks.net/99/Serving-Endpoints/e/Invocations/?o=99",
            Workspace(
                "https://x.3.serving.azuredatabricks.net", "optimized", "/99/serving-endpoints", "99", endpoint="e"
            ),
        ),
        (
            "https://x.serving.gcp.databricks.com/9/serving-endpoints/e/invocations",
            Workspace("https://x.serving.gcp.databricks.com", "optimized", "/9/serving-endpoints", endpoint="e"),
        ),
        (
            "https://x.serving.databricks.azure.us/9/serving-endpoints/e/invocations",
            Workspace("https://x.serving.databricks.azure.us", "optimized", "/9/serving-endpoints", endpoint="e"),
        ),
        (
            "https://x.serving.databricks.example.com/9/serving-endpoints/e/invocations",
            Workspace("https://x.serving.databricks.example.com", base_path="/9/serving-endpoints", endpoint="e"),
        ),
        ("http://localhost:8000", Workspace("http://localhost:8000")),
        ("http://127.0.0.1:80/serving-endpoints", Workspace("http://127.0.0.1")),
        ("http://[::1]:9000/", Workspace("http://[::1]:9000")),
        ("localhost:8000", Workspace("https://localhost:8000")),
        ("https://llm.example.com/v1", Workspace("https://llm.example.com", "openai", "/v1")),
        ("https://llm.example.com/v1/chat/completions", Workspace("https://llm.example.com", "openai", "/v1")),
        ("https://proxy.x/dbx/serving-endpoints", Workspace("https://proxy.x", base_path=f"/dbx{SE}")),
    ],
)
def test_every_shape_of_address(text: str, expected: Workspace) -> None:
    assert parse_workspace(text) == expected


def test_a_plain_base_url_is_plain_unless_it_is_databricks() -> None:
    assert parse_workspace("http://localhost:4000", plain=True) == Workspace("http://localhost:4000", "openai", "")
    assert parse_workspace(AWS, plain=True) == Workspace(AWS)
    assert parse_workspace(f"http://localhost:4000{SE}", plain=True) == Workspace("http://localhost:4000")


def test_urls_are_joined_without_double_slashes() -> None:
    workspace = parse_workspace(f"{AWS}{SE}/")
    assert workspace.base_url == f"{AWS}{SE}"
    assert workspace.host == "dbc-1.cloud.databricks.com"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("not a url", "spaces"),
        ("ftp://x.cloud.databricks.com", "scheme is 'ftp'"),
        ("https://", "no host"),
        ("https://:443", "no host"),
        ("https://host:port", "port"),
        ("https:/x.cloud.databricks.com", "two slashes"),
        ("https://[::1", "not a URL"),
        ("https://accounts.cloud.databricks.com", "account console"),
        ("accounts.azuredatabricks.net", "account console"),
        ("http://dbc-1.cloud.databricks.com", "unencrypted"),
        ("http://localhost.example.com", "unencrypted"),
        (f"{AWS}?o=1%0d%0aX: y", "spaces"),
        (f"{AWS}?o=1%0d%0aX", "characters that an id cannot have"),
        ("https://llm.example.com/v1?api-version=1", "default_query"),
    ],
)
def test_what_is_no_address_is_refused_and_the_error_says_why(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse_workspace(text)


def test_a_host_that_is_no_string_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="int, not a string"):
        parse_workspace(5)  # type: ignore[arg-type]  # what an untyped caller may pass


@pytest.mark.parametrize(
    "text",
    [
        "https://user:hunter2pass@x.cloud.databricks.com",
        "dapi0123456789abcdef0123456789abcdef",
        "token:hunter2pass@host",
    ],
)
def test_an_address_with_a_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_workspace(text)
    assert "hunter2pass" not in str(caught.value)
    assert "dapi0" not in str(caught.value)


def test_http_is_allowed_where_the_user_says_so() -> None:
    assert parse_workspace("http://dbx.internal", allow_http=True).origin == "http://dbx.internal"


@pytest.mark.parametrize(
    ("text", "issues"),
    [
        (AWS, True),
        (f"{AWS}{GATEWAY}", True),
        ("http://127.0.0.1:1", True),
        ("https://a.databricksapps.com", False),
        ("https://x.serving.cloud.databricks.com/1/serving-endpoints/e/invocations", False),
        ("https://x.3.serving.azuredatabricks.net/1/serving-endpoints/e/invocations", False),
        ("https://x.serving.cloud.databricks.us/1/serving-endpoints/e/invocations", False),
        ("https://x.serving.databricks.azure.cn/1/serving-endpoints/e/invocations", False),
        ("https://1.ai-gateway.cloud.databricks.com", False),
        ("https://llm.example.com/v1", False),
    ],
)
def test_which_hosts_issue_tokens(text: str, issues: bool) -> None:
    assert parse_workspace(text).issues_tokens is issues


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/9",
        "/9/serving-endpoints",
        "/9/serving-endpoints/anthropic/v1/messages",
        "/v1",
        "/?o=9",
        "/ai-gateway",
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_the_host_of_a_route_optimized_endpoint_needs_its_name(path: str, plain: bool) -> None:
    with pytest.raises(ConfigurationError, match=r"does not name it.*/serving-endpoints/<name>/invocations"):
        parse_workspace(f"https://x.serving.cloud.databricks.com{path}", plain=plain)
