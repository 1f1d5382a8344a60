from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import stat
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from kit.token_server import PAT, SECRET
from langchain_dbchat.auth import steps
from langchain_dbchat.auth.credentials import StaticToken
from langchain_dbchat.auth.resolver import ResolvedAuth, resolve
from langchain_dbchat.auth.search import Search
from langchain_dbchat.auth.settings import IDENTITY, AuthSettings
from langchain_dbchat.errors import ConfigurationError, DatabricksAuthenticationError
from langchain_dbchat.transport.signing import Credentials
from langchain_dbchat.transport.user_clients import UserClients

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kit.token_server import TokenServer

pytestmark = pytest.mark.usefixtures("hermetic")
HOST = "https://dbc-1.cloud.databricks.com"
SCRIPT = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for the CLI is a script")


class Own:
    """The least that fulfils `Credentials`."""

    name = "mine"

    def headers(self, *, refresh: bool = False) -> Mapping[str, str]:
        return {"Authorization": "Bearer again" if refresh else "Bearer own"}

    async def aheaders(self, *, refresh: bool = False) -> Mapping[str, str]:
        return self.headers(refresh=refresh)


def sign_in(environ: dict[str, str], **arguments: Any) -> ResolvedAuth:
    return resolve(AuthSettings(**{"host": HOST, **arguments}), environ)


def bearer_of(signed: ResolvedAuth) -> str:
    return signed.credentials.headers()["Authorization"].removeprefix("Bearer ")


EVERYTHING = {
    "DATABRICKS_TOKEN": "env-token",
    "DATABRICKS_API_KEY": "env-key",
    "DATABRICKS_CLIENT_ID": "env-id",
    "DATABRICKS_CLIENT_SECRET": SECRET,
    "DATABRICKS_AUTH_TYPE": "azure-cli",
}


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        ({"credentials": Own(), "token": "t"}, "credentials argument"),
        ({"token": "t", "client_id": "i", "client_secret": "s", "profile": "p"}, "token argument"),
        ({"token": lambda: "t", "client_id": "i", "client_secret": "s"}, "token argument"),
        ({"client_id": "i", "client_secret": "s", "profile": "p"}, "client_id and client_secret arguments"),
    ],
)
def test_arguments_go_before_the_whole_environment(arguments: dict[str, Any], step: str) -> None:
    assert sign_in(EVERYTHING, **arguments).step == step


@pytest.mark.parametrize(
    ("missing", "step"),
    [
        ([], "DATABRICKS_TOKEN or DATABRICKS_API_KEY"),
        (["DATABRICKS_TOKEN"], "DATABRICKS_TOKEN or DATABRICKS_API_KEY"),
        (["DATABRICKS_TOKEN", "DATABRICKS_API_KEY"], "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"),
    ],
)
def test_the_environments_order(missing: list[str], step: str) -> None:
    environ = {key: value for key, value in EVERYTHING.items() if key not in {*missing, "DATABRICKS_AUTH_TYPE"}}
    assert sign_in(environ).step == step


def test_one_of_two_tokens_is_used_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"DATABRICKS_TOKEN": "env-token", "DATABRICKS_API_KEY": "env-key"}
    with caplog.at_level(logging.WARNING):
        signed = [sign_in(environ) for _ in range(2)]
    assert {bearer_of(one) for one in signed} == {"env-token"}
    assert signed[0].credentials.name == "DATABRICKS_TOKEN"
    assert len(caplog.records) == 1
    assert "env-" not in caplog.text
    assert bearer_of(sign_in({"DATABRICKS_API_KEY": "env-key"})) == "env-key"


@pytest.mark.parametrize(
    ("auth_type", "step"),
    [
        ("pat", "DATABRICKS_TOKEN or DATABRICKS_API_KEY"),
        ("oauth-m2m", "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"),
        ("OAuth-M2M", "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET"),
        ("external-browser", "Databricks SDK"),
        ("azure-cli", "Databricks SDK"),
    ],
)
def test_auth_type_jumps_to_its_step(auth_type: str, step: str) -> None:
    assert sign_in(EVERYTHING, auth_type=auth_type).step == step
    assert sign_in({**EVERYTHING, "DATABRICKS_AUTH_TYPE": auth_type}).step == step


def test_auth_type_has_no_say_in_objects_of_the_users_own() -> None:
    assert bearer_of(sign_in({}, credentials=Own(), auth_type="oauth-m2m")) == "own"


@pytest.mark.parametrize("auth_type", ["databricks-cli", "posit-workbench", "runtime", "model-serving"])
def test_a_step_that_was_asked_for_and_does_not_apply_is_an_error(auth_type: str) -> None:
    with pytest.raises(ConfigurationError, match=f"with auth_type '{auth_type}'") as caught:
        sign_in(EVERYTHING, auth_type=auth_type)
    assert "DATABRICKS_CLIENT_ID" not in str(caught.value)


def test_the_last_error_lists_every_step_and_no_secret(hermetic: Path) -> None:
    (hermetic / ".databrickscfg").write_text(f"[DEFAULT]\nhost = https://else.x\ntoken = {PAT}\n")
    environ = {
        "DATABRICKS_CLIENT_SECRET": SECRET,
        "DATABRICKS_CONFIG_FILE": "",
        "CONNECT_API_KEY": "connect-key-1",
        "POSIT_PRODUCT": "CONNECT",
    }
    with pytest.raises(ConfigurationError) as caught:
        sign_in(environ)
    text = str(caught.value)
    for step in steps.STEPS:
        assert f"  - {step.name} - " in text
    assert "only DATABRICKS_CLIENT_SECRET is set" in text
    assert "CONNECT_SERVER is not set" in text
    assert "is for https://else.x, not for dbc-1.cloud.databricks.com" in text
    assert "DATABRICKS_TOKEN" in text
    assert "***" not in text
    for secret in (SECRET, PAT, "connect-key-1"):
        assert secret not in text


def test_without_a_host_the_error_says_where_it_was_looked_for() -> None:
    with pytest.raises(
        ConfigurationError, match=r"DATABRICKS_API_BASE and DATABRICKS_HOST.*does not exist.*host='https"
    ):
        resolve(AuthSettings(token="t"), {})


@pytest.mark.parametrize(
    ("arguments", "environ", "source", "host"),
    [
        ({"host": "https://a", "base_url": "https://b/v1"}, {"DATABRICKS_HOST": "https://c"}, "base_url argument", "b"),
        ({"host": "https://a"}, {"DATABRICKS_HOST": "https://c"}, "host argument", "a"),
        ({}, {"DATABRICKS_HOST": "https://c", "DATABRICKS_API_BASE": "https://d"}, "DATABRICKS_API_BASE", "d"),
        ({}, {"DATABRICKS_HOST": "c.x", "DATABRICKS_API_BASE": " "}, "DATABRICKS_HOST", "c.x"),
    ],
)
def test_where_the_host_comes_from(arguments: dict[str, Any], environ: dict[str, str], source: str, host: str) -> None:
    signed = resolve(AuthSettings(token="t", **arguments), environ)
    assert (signed.host_source, signed.workspace.host) == (source, host)


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        ({"host": f"{HOST}/?o=1"}, {}, "1"),
        ({"host": f"{HOST}/?o=1", "workspace_id": "2"}, {}, "2"),
        ({"host": HOST}, {"DATABRICKS_WORKSPACE_ID": "3"}, None),
        ({}, {"DATABRICKS_HOST": HOST, "DATABRICKS_WORKSPACE_ID": "3"}, "3"),
        ({"profile": "p"}, {}, "4"),
    ],
)
def test_the_workspace_id_is_sent(
    hermetic: Path, arguments: dict[str, Any], environ: dict[str, str], expected: str | None
) -> None:
    (hermetic / ".databrickscfg").write_text(f"[p]\nhost = {HOST}\nworkspace_id = 4\n")
    signed = resolve(AuthSettings(token="t", **arguments), environ)
    assert signed.credentials.headers().get("X-Databricks-Workspace-Id") == expected


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [({}, {}, "5"), ({}, {"DATABRICKS_HOST": "https://c"}, "5"), ({"host": "https://a"}, {}, None)],
)
def test_the_workspace_id_of_a_config_is_sent_to_the_host_of_the_config(
    hermetic: Path, arguments: dict[str, Any], environ: dict[str, str], expected: str | None
) -> None:
    assert hermetic.exists()
    config = SimpleNamespace(host=HOST, workspace_id=5)
    signed = resolve(AuthSettings(token="t", config=config, **arguments), environ)
    assert signed.credentials.headers().get("X-Databricks-Workspace-Id") == expected


def test_settings_say_who_calls_and_not_through_which_client() -> None:
    mine, shared = (AuthSettings(host=HOST, token="t", clients=clients) for clients in (UserClients(), None))
    assert mine == shared
    assert repr(mine) == repr(shared)


def test_a_workspace_id_that_would_break_the_header_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="workspace id"):
        sign_in({}, token="t", workspace_id="1\r\nX-Evil: 1")


def test_secrets_of_the_environment_do_not_go_to_strangers() -> None:
    with pytest.raises(ConfigurationError, match=r"DATABRICKS_TOKEN is set, but .*pass token="):
        sign_in(EVERYTHING | {"DATABRICKS_AUTH_TYPE": ""}, host=None, base_url="https://llm.example.com/v1")
    with pytest.raises(ConfigurationError, match="not sent there"):
        sign_in(
            {**EVERYTHING, "IS_IN_DB_MODEL_SERVING_ENV": "true"},
            host="https://llm.example.com/v1",
            auth_type="oauth-m2m",
        )
    assert bearer_of(sign_in(EVERYTHING, base_url="https://llm.example.com/v1", token="sk-x")) == "sk-x"
    own = {"DATABRICKS_API_BASE": "https://llm.example.com/v1", "DATABRICKS_API_KEY": "sk-x"}
    assert bearer_of(resolve(AuthSettings(), own)) == "sk-x"


def test_an_app_is_signed_for_by_its_workspace(server: TokenServer) -> None:
    environ = {"DATABRICKS_HOST": server.origin, "DATABRICKS_CLIENT_ID": "id", "DATABRICKS_CLIENT_SECRET": SECRET}
    signed = resolve(AuthSettings(host="https://my.databricksapps.com"), environ)
    assert signed.workspace.kind == "app"
    assert bearer_of(signed) == "m2m-1"
    del environ["DATABRICKS_HOST"]
    with pytest.raises(ConfigurationError, match="Set DATABRICKS_HOST to the workspace"):
        resolve(AuthSettings(host="https://my.databricksapps.com"), environ)


@pytest.mark.parametrize("name", ["token", "client_id", "client_secret", "host", "profile", "user_session_token"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_what_is_given_but_empty_is_refused(name: str, empty: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} was given but is empty"):
        AuthSettings(**{name: empty})  # type: ignore[arg-type]  # any of the string fields


@pytest.mark.parametrize("pair", [{"client_id": "i"}, {"client_secret": "s"}])
def test_half_a_pair_is_refused(pair: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="needs both"):
        sign_in(EVERYTHING, **pair)


@pytest.mark.parametrize("wrong", [5, b"bytes", object()])
def test_a_token_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="it must be a string"):
        AuthSettings(token=wrong)  # type: ignore[arg-type]  # what an untyped caller may pass


def test_credentials_that_fulfil_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="aheaders"):
        sign_in({}, credentials=object())
    with pytest.raises(ConfigurationError, match="credentials is the class Own;"):
        sign_in({"DATABRICKS_HOST": HOST}, credentials=Own)


async def test_the_async_twin_finds_the_same() -> None:
    assert (await asyncio.to_thread(resolve, AuthSettings(host=HOST, token="t"), {})) == sign_in({}, token="t")


def test_nothing_is_shown(server: TokenServer) -> None:
    settings = AuthSettings(
        host=server.origin, token=PAT, client_id="id", client_secret=SECRET, user_session_token="u-hush"
    )
    shown = repr(settings) + repr(resolve(settings, {})) + str(settings)
    env = resolve(AuthSettings(host=server.origin), {"DATABRICKS_TOKEN": PAT})
    m2m = resolve(AuthSettings(host=server.origin, client_id="id", client_secret=SECRET), {})
    shown += repr(env) + repr(m2m)
    for secret in (PAT, SECRET, "u-hush"):
        assert secret not in shown
    assert isinstance(settings.token, SecretStr)
    assert isinstance(settings.client_secret, SecretStr)


def test_settings_and_credentials_pickle_and_copy_where_the_users_inputs_do(server: TokenServer) -> None:
    settings = AuthSettings(host=server.origin, token=PAT, credentials=Own(), profile="p")
    for twin in (pickle.loads(pickle.dumps(settings)), copy.deepcopy(settings), copy.copy(settings)):
        assert twin.token == settings.token
        assert twin.credentials is not None
        assert twin.credentials.headers() == Own().headers()
    signed = resolve(AuthSettings(host=server.origin, client_id="id", client_secret=SECRET), {})
    assert bearer_of(signed) == "m2m-1"
    assert b"m2m-1" not in pickle.dumps(signed)
    for again in (pickle.loads(pickle.dumps(signed)), copy.deepcopy(signed)):
        assert bearer_of(again) == "m2m-1"
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(AuthSettings(token=lambda: "t"))


def test_a_token_of_the_environment_is_found_again_where_the_pickle_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    signed = resolve(AuthSettings(host=HOST))
    data = pickle.dumps(signed)
    assert PAT.encode() not in data
    assert bearer_of(copy.deepcopy(signed)) == PAT
    monkeypatch.setenv("DATABRICKS_TOKEN", "of-the-executor")
    assert bearer_of(pickle.loads(data)) == "of-the-executor"
    monkeypatch.delenv("DATABRICKS_TOKEN")
    with pytest.raises(ConfigurationError, match="DATABRICKS_TOKEN is not set in this process"):
        pickle.loads(data).credentials.headers()


def test_with_identity_changes_who_calls_and_nothing_else() -> None:
    before = AuthSettings(host=HOST, workspace_id="1", token="one", client_id="i", client_secret="s", auth_type="pat")
    after = before.with_identity(token="two")
    assert (after.host, after.workspace_id, after.auth_type, after.client_id) == (HOST, "1", None, None)
    assert bearer_of(resolve(after, {})) == "two"
    assert bearer_of(resolve(before, {})) == "one"
    kept = AuthSettings(profile="dev").with_identity(token="t")
    assert kept.profile == "dev"
    replaced = AuthSettings(host=HOST, credentials=Own(), profile="dev").with_identity(client_id="i", client_secret="s")
    assert (replaced.credentials, replaced.client_id) == (None, "i")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"token": None},
        {"host": "https://x"},
        {"user_session_token": None, "audience": "guid"},
        {"token": None, "auth_type": "pat"},
        {"audience": "guid"},
    ],
)
def test_with_identity_takes_identities_only(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="takes audience, auth_type, "):
        AuthSettings(host=HOST).with_identity(**wrong)


def test_the_list_of_identities_is_that_of_the_fields() -> None:
    assert set(IDENTITY) <= set(AuthSettings.__dataclass_fields__)
    assert isinstance(Own(), Credentials)
    assert isinstance(sign_in({}, token="t").credentials, StaticToken)


@SCRIPT
async def test_a_cli_without_a_login_gives_way_to_the_sdks_chain_and_is_not_asked_again(
    server: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    cli = folder / "databricks"
    cli.write_text(f"#!/bin/sh\necho x >> {tmp_path}/calls\necho 'Error: not logged in' >&2\nexit 1\n")
    cli.chmod(cli.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(DatabricksAuthenticationError, match=r"(?s)Tried:.*not logged in.*Did not apply:.*Workbench"):
        resolve(AuthSettings(host=server.origin)).credentials.headers()
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", "federated")
    signer = resolve(AuthSettings(host=server.origin)).credentials
    assert signer.headers() == {"Authorization": "Bearer federated-1"}
    assert await signer.aheaders() == {"Authorization": "Bearer federated-1"}
    assert len((tmp_path / "calls").read_text().split()) == 2
    assert signer.name == "Databricks SDK's own chain"
    assert "Databricks CLI" in pickle.loads(pickle.dumps(signer)).name


@SCRIPT
@pytest.mark.parametrize(
    ("host", "order"),
    [
        (HOST, ["Databricks CLI", "Databricks SDK's own chain"]),
        ("https://adb-1.2.azuredatabricks.net", ["Databricks SDK's own chain", "Databricks CLI"]),
    ],
)
def test_an_identity_of_azure_goes_before_the_cli_on_azure(tmp_path: Path, host: str, order: list[str]) -> None:
    cli = tmp_path / "databricks"
    cli.touch(mode=0o755)
    signed = resolve(AuthSettings(host=host), {"PATH": str(tmp_path), "ARM_CLIENT_ID": "a"})
    assert signed.credentials.name == ", else ".join(order)
    assert signed.step in order[0]


def test_the_common_ways_load_neither_the_sdk_nor_httpx_before_they_need_it(
    server: TokenServer, hermetic: Path
) -> None:
    # langchain-core's own imports may load httpx (through langsmith), so the package is entered here beside its
    # __init__.
    code = f"""
import os, sys, types
import importlib.util
package = types.ModuleType("langchain_dbchat")
package.__path__ = [os.path.dirname(importlib.util.find_spec("langchain_dbchat").origin)]
sys.modules["langchain_dbchat"] = package
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.settings import AuthSettings
host = {server.origin!r}
assert resolve(AuthSettings(host=host, token="t")).credentials.headers()
os.environ["DATABRICKS_TOKEN"] = "t"
assert resolve(AuthSettings(host=host)).credentials.headers()
del os.environ["DATABRICKS_TOKEN"]
path = os.path.join({str(hermetic)!r}, "posit-workbench")
open(path, "w").write("[workbench]" + chr(10) + "token = t" + chr(10))
os.environ["DATABRICKS_CONFIG_FILE"] = path
assert resolve(AuthSettings(host=host)).step == "Posit Workbench"
assert resolve(AuthSettings(host=host)).credentials.headers()
del os.environ["DATABRICKS_CONFIG_FILE"]
assert "httpx" not in sys.modules
assert resolve(AuthSettings(host=host, client_id="id", client_secret={SECRET!r})).credentials.headers()
os.environ.update(POSIT_PRODUCT="CONNECT", CONNECT_SERVER=host, CONNECT_API_KEY="k")
assert resolve(AuthSettings(host=host, user_session_token="s")).credentials.headers()
del os.environ["POSIT_PRODUCT"]
folder = os.path.join({str(hermetic)!r}, "databricks")
open(folder, "w").write("#!/bin/sh" + chr(10) + "echo '{{\\"access_token\\": \\"t\\"}}'" + chr(10))
os.chmod(folder, 0o755)
os.environ["DATABRICKS_CLI_PATH"] = folder
if os.name == "posix":
    assert resolve(AuthSettings(host=host)).credentials.headers() == {{"Authorization": "Bearer t"}}
print([name for name in sys.modules if name.startswith("databricks.sdk")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for the CLI is a script")
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("host", ["https://adb-1.1.azuredatabricks.net", HOST])
def test_the_azure_cli_is_asked_for_hosts_of_azure_alone(
    hermetic: Path, tmp_path: Path, host: str, is_there: bool
) -> None:
    assert hermetic.exists()
    command = tmp_path / "az"
    command.touch(mode=0o755)
    search = Search(AuthSettings(host=host), {"PATH": str(tmp_path) if is_there else ""})
    assert steps._has_azure_cli(search) is (is_there and host != HOST)
