"""Which host a secret that was found may be sent to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kit.token_server import PAT, SECRET
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.search import Search
from langchain_dbchat.auth.settings import AuthSettings
from langchain_dbchat.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("hermetic")

HOME = "https://models.corp.example"
ELSEWHERE = "https://elsewhere.example"
OTHER_WORKSPACE = "https://adb-1.2.azuredatabricks.net"
FOUND: dict[str, dict[str, str]] = {
    "token": {"DATABRICKS_TOKEN": "found"},
    "key": {"DATABRICKS_API_KEY": "found"},
    "client": {"DATABRICKS_CLIENT_ID": "id", "DATABRICKS_CLIENT_SECRET": SECRET},
    "connect": {
        "POSIT_PRODUCT": "CONNECT",
        "CONNECT_SERVER": "https://connect.example",
        "CONNECT_API_KEY": "key",
        "CONNECT_CONTENT_SESSION_TOKEN": "content",
    },
    "serving": {"IS_IN_DB_MODEL_SERVING_ENV": "true"},
    "runtime": {"DATABRICKS_RUNTIME_VERSION": "16.4"},
    "azure": {"ARM_CLIENT_ID": "a", "ARM_CLIENT_SECRET": "b", "ARM_TENANT_ID": "c"},
    "oidc": {"DATABRICKS_OIDC_TOKEN": "federated"},
    "cli": {},
    "profile": {},
    "workbench": {},
}


@pytest.fixture(params=sorted(FOUND))
def found(request: pytest.FixtureRequest, hermetic: Path, tmp_path: Path) -> dict[str, str]:
    """An environment that holds one secret, and names no host."""
    environ = {"SERVING_CREDENTIALS_DIR": str(tmp_path), **FOUND[request.param]}
    if request.param == "serving":
        (tmp_path / "model-dependencies-oauth-token").write_text("{}")
    if request.param == "cli":
        (tmp_path / "databricks").touch(mode=0o755)
        environ["DATABRICKS_CLI_PATH"] = str(tmp_path / "databricks")
    if request.param == "profile":
        (hermetic / ".databrickscfg").write_text("[DEFAULT]\ntoken = found\n")
    if request.param == "workbench":
        path = tmp_path / "posit-workbench.cfg"
        path.write_text("[workbench]\ntoken = found\n")
        environ["DATABRICKS_CONFIG_FILE"] = str(path)
    return environ


def may(environ: dict[str, str], **arguments: Any) -> bool:
    try:
        resolve(AuthSettings(**arguments), environ)
    except ConfigurationError as error:
        said = str(error)
    else:
        return True
    assert "Pass the credentials for this host as arguments too (token=..." in said
    assert SECRET not in said
    return False


@pytest.mark.parametrize("variable", ["DATABRICKS_HOST", "DATABRICKS_API_BASE"])
@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ({}, True),
        ({"host": HOME}, True),
        ({"host": "MODELS.corp.example:443/serving-endpoints/e/invocations"}, True),
        ({"base_url": f"{HOME}/serving-endpoints"}, True),
        ({"host": OTHER_WORKSPACE}, True),
        ({"base_url": f"{OTHER_WORKSPACE}/serving-endpoints"}, True),
        ({"host": "http://127.0.0.1:8000"}, True),
        ({"host": "http://localhost:8000"}, True),
        ({"host": "http://[::1]:8000"}, True),
        ({"base_url": "http://127.0.0.1:8000/serving-endpoints"}, False),
        ({"host": ELSEWHERE}, False),
        ({"host": f"{ELSEWHERE}/serving-endpoints"}, False),
        ({"host": f"{ELSEWHERE}/ai-gateway/mlflow/v1"}, False),
        ({"base_url": f"{ELSEWHERE}/serving-endpoints"}, False),
        ({"base_url": f"{ELSEWHERE}/ai-gateway/mlflow/v1"}, False),
        ({"host": f"{HOME}:8443"}, False),
        ({"host": HOME.replace("https", "http"), "allow_http": True}, False),
        ({"host": "https://models.corp.example.evil.example"}, False),
        ({"host": "https://evil-databricks.com"}, False),
        ({"host": "https://azuredatabricks.net.evil.example"}, False),
    ],
)
def test_what_the_environment_holds_goes_to_the_host_that_it_names(
    found: dict[str, str], variable: str, arguments: dict[str, Any], allowed: bool
) -> None:
    assert may({**found, variable: HOME}, **arguments) is allowed


def test_where_the_environment_names_no_host_host_decides_and_base_url_does_not(found: dict[str, str]) -> None:
    assert may(found, host=ELSEWHERE)
    assert may(found, host=OTHER_WORKSPACE)
    assert may(found, base_url=f"{OTHER_WORKSPACE}/serving-endpoints")
    assert not may(found, base_url=f"{ELSEWHERE}/serving-endpoints")


@pytest.mark.parametrize("junk", ["http://in-clear.example", "https://accounts.cloud.databricks.com", "not a host"])
def test_a_host_of_the_environment_that_is_not_usable_is_another_host(junk: str) -> None:
    assert not may({"DATABRICKS_TOKEN": "t", "DATABRICKS_HOST": junk}, host=ELSEWHERE)
    assert may({"DATABRICKS_TOKEN": "t", "DATABRICKS_HOST": junk}, host=OTHER_WORKSPACE)


@pytest.mark.parametrize("source", ["profile", "workbench", "serving"])
def test_every_place_of_the_environment_that_names_a_host_counts(hermetic: Path, tmp_path: Path, source: str) -> None:
    environ = {"DATABRICKS_TOKEN": "t"}
    if source == "profile":
        (hermetic / ".databrickscfg").write_text(f"[DEFAULT]\nhost = {HOME}\n")
    elif source == "workbench":
        path = tmp_path / "posit-workbench.cfg"
        path.write_text(f"[workbench]\nhost = {HOME}\n")
        environ["DATABRICKS_CONFIG_FILE"] = str(path)
    else:
        environ["DATABRICKS_MODEL_SERVING_HOST_URL"] = HOME
    assert may(environ)
    assert may(environ, host=HOME)
    assert not may(environ, host=ELSEWHERE)


@pytest.mark.parametrize(
    "body",
    [
        "token = found",
        f"client_id = id\nclient_secret = {SECRET}",
        "auth_type = azure-cli",
        "azure_client_id = a\nazure_client_secret = b\nazure_tenant_id = c",
        "auth_type = databricks-cli",
    ],
)
@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ({}, True),
        ({"host": HOME}, True),
        ({"host": OTHER_WORKSPACE}, True),
        ({"host": "http://127.0.0.1:8000"}, True),
        ({"host": ELSEWHERE}, False),
        ({"base_url": f"{ELSEWHERE}/serving-endpoints"}, False),
        ({"base_url": f"{ELSEWHERE}/v1"}, False),
        ({"base_url": "http://127.0.0.1:8000/v1"}, False),
    ],
)
def test_a_profile_that_was_named_signs_for_its_own_host(
    hermetic: Path, tmp_path: Path, body: str, arguments: dict[str, Any], allowed: bool
) -> None:
    (tmp_path / "databricks").touch(mode=0o755)
    environ = {"DATABRICKS_CLI_PATH": str(tmp_path / "databricks")}
    (hermetic / ".databrickscfg").write_text(f"[work]\nhost = {HOME}\n{body}\n")
    assert may(environ, profile="work", **arguments) is allowed
    if not body.startswith(("azure", "auth_type = azure")):
        asked = {"auth_type": {"t": "pat", "c": "oauth-m2m", "a": "databricks-cli"}[body[0]]}
        assert may(environ, profile="work", **asked, **arguments) is allowed
    before = AuthSettings(**{"host": HOME, **arguments}, token="before")
    if before.host or before.base_url:
        named = before.with_identity(profile="work")
        assert may(environ, **{name: getattr(named, name) for name in ("host", "base_url", "profile")}) is allowed


def test_a_profile_without_a_host_signs_for_the_host_that_is_given(hermetic: Path) -> None:
    (hermetic / ".databrickscfg").write_text("[work]\ntoken = found\n")
    assert may({}, profile="work", host=ELSEWHERE)
    assert not may({}, profile="work", base_url=f"{ELSEWHERE}/serving-endpoints")
    assert not may({}, profile="work", base_url=f"{ELSEWHERE}/v1")


def test_a_profile_of_the_environment_that_the_cli_or_the_sdk_uses_signs_for_its_own_host(
    hermetic: Path, tmp_path: Path
) -> None:
    (tmp_path / "databricks").touch(mode=0o755)
    (hermetic / ".databrickscfg").write_text(f"[work]\nhost = {HOME}\nauth_type = databricks-cli\n")
    environ = {"DATABRICKS_CLI_PATH": str(tmp_path / "databricks"), "DATABRICKS_CONFIG_PROFILE": "work"}
    for auth_type in ("databricks-cli", "azure-cli", "external-browser"):
        assert may(environ, host=HOME, auth_type=auth_type)
        assert not may(environ, host=ELSEWHERE, auth_type=auth_type)
        assert not may({**environ, "DATABRICKS_HOST": ELSEWHERE}, auth_type=auth_type)


def test_the_host_that_issues_the_token_is_judged_too() -> None:
    environ = {**FOUND["client"], "DATABRICKS_HOST": HOME}
    app = "https://app.databricksapps.com"
    assert may(environ, base_url=app)
    assert not may(environ, base_url=app, host=ELSEWHERE)


def test_what_the_user_passes_goes_where_the_user_says() -> None:
    environ = {"DATABRICKS_HOST": HOME, "DATABRICKS_TOKEN": "found", "DATABRICKS_CLIENT_SECRET": SECRET}
    addresses: list[dict[str, Any]] = [{"host": ELSEWHERE}, {"base_url": f"{ELSEWHERE}/v1"}]
    for arguments in (*addresses, {"base_url": f"{ELSEWHERE}/ai-gateway/x"}):
        signed = resolve(AuthSettings(token="given", **arguments), environ)
        assert signed.credentials.headers() == {"Authorization": "Bearer given"}
    signed = resolve(AuthSettings(host=ELSEWHERE, client_id="i", client_secret="s"), environ)
    assert signed.step == "client_id and client_secret arguments"


def test_the_reason_names_both_hosts_and_the_argument() -> None:
    environ = {"DATABRICKS_HOST": HOME, "DATABRICKS_TOKEN": "found"}
    with pytest.raises(
        ConfigurationError,
        match=r"belongs to models\.corp\.example and is not sent to elsewhere\.example \(host argument\)",
    ):
        resolve(AuthSettings(host=ELSEWHERE), environ)


def test_a_host_of_the_environment_that_is_a_token_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="a host whose address is not valid") as caught:
        resolve(AuthSettings(host=ELSEWHERE), {"DATABRICKS_HOST": PAT, "DATABRICKS_TOKEN": "found"})
    assert PAT not in str(caught.value)


def test_the_next_way_that_belongs_to_the_host_is_used(hermetic: Path) -> None:
    (hermetic / ".databrickscfg").write_text(f"[DEFAULT]\nhost = {ELSEWHERE}\ntoken = of-the-profile\n")
    signed = resolve(AuthSettings(host=ELSEWHERE), {"DATABRICKS_HOST": HOME, "DATABRICKS_TOKEN": "found"})
    assert signed.credentials.headers() == {"Authorization": "Bearer of-the-profile"}


@pytest.mark.parametrize(
    ("owner", "belongs"),
    [("m", True), ("a", False), ("z", False)],
)
def test_a_host_that_issues_no_tokens_takes_those_of_the_workspace_beside_it(owner: str, belongs: bool) -> None:
    settings = AuthSettings(
        base_url="https://1.ai-gateway.cloud.databricks.com/mlflow/v1", host="https://m.cloud.databricks.com"
    )
    search = Search(settings, {})
    assert search.belongs(f"https://{owner}.cloud.databricks.com") is belongs
    assert Search(AuthSettings(host="https://m.cloud.databricks.com"), {}).belongs(search.workspace.origin) is False
