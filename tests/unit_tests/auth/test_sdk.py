"""The real databricks-sdk against a server on loopback."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import threading
import time
from collections import UserDict
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from blockbuster import blockbuster_ctx

from kit.serving import needs_a_folder_of_our_own
from kit.token_server import PAT, SECRET
from langchain_dbchat.auth import sdk
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.settings import AuthSettings
from langchain_dbchat.errors import ConfigurationError, DatabricksAuthenticationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.token_server import TokenServer

pytestmark = pytest.mark.usefixtures("hermetic")


def metadata_requests(server: TokenServer) -> int:
    return sum(seen.path == "/.well-known/databricks-config" for seen in server.seen)


class Strategy:
    """A credentials strategy of the user's own, with two headers."""

    def __init__(self) -> None:
        self.count = 0
        self.headers: dict[str, str] = {}

    def auth_type(self) -> str:
        return "my-own"

    def __call__(self, config: object) -> Any:
        del config
        self.count += 1
        self.headers = {"Authorization": f"Bearer own-{self.count}", "X-Databricks-Azure-SP-Management-Token": "extra"}
        return lambda: self.headers


async def test_every_header_of_a_strategy_is_sent_and_copied(server: TokenServer) -> None:
    from databricks.sdk.core import Config

    strategy = Strategy()
    config = Config(host=server.origin, credentials_strategy=cast("Any", strategy))
    signed = resolve(AuthSettings(config=config))
    assert signed.workspace.origin == server.origin
    expected = {"Authorization": "Bearer own-1", "X-Databricks-Azure-SP-Management-Token": "extra"}
    headers = signed.credentials.headers()
    assert headers == await signed.credentials.aheaders() == expected
    assert headers is not strategy.headers
    before = config._header_factory
    renewed = signed.credentials.headers(refresh=True)
    assert renewed["Authorization"] == "Bearer own-2"
    assert config._header_factory is before
    assert signed.credentials.headers() == renewed


def test_a_workspace_client_goes_before_the_environment(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient(host=server.origin, token=PAT)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "id")
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("DATABRICKS_TOKEN", "another")
    monkeypatch.setenv("DATABRICKS_HOST", "https://another.x")
    signed = resolve(AuthSettings(workspace_client=client))
    assert signed.workspace.origin == server.origin
    assert signed.credentials.headers() == {"Authorization": f"Bearer {PAT}"}
    assert signed.credentials.headers(refresh=True) == {"Authorization": f"Bearer {PAT}"}
    assert server.posts == []
    assert PAT not in repr(signed)


def test_a_token_argument_goes_before_a_config_which_names_the_host(server: TokenServer) -> None:
    from databricks.sdk.core import Config

    config = Config(host=server.origin, token=PAT)
    signed = resolve(AuthSettings(config=config, token="users-own"))
    assert (signed.workspace.origin, signed.credentials.headers()) == (
        server.origin,
        {"Authorization": "Bearer users-own"},
    )


@pytest.mark.parametrize("wrong", [{"workspace_client": object()}, {"config": object()}])
def test_an_object_that_is_not_the_sdks_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"databricks\.sdk"):
        resolve(AuthSettings(host="https://x", **wrong))  # type: ignore[arg-type]  # what an untyped caller may pass


@pytest.fixture
def basic(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> TokenServer:
    """An environment that only the SDK's own chain understands."""
    monkeypatch.setenv("DATABRICKS_HOST", server.origin)
    monkeypatch.setenv("DATABRICKS_USERNAME", "ada")
    monkeypatch.setenv("DATABRICKS_PASSWORD", "hush-hush")
    return server


async def test_the_rest_of_the_chain_works_off_the_loop_with_one_config(basic: TokenServer) -> None:
    signed = await asyncio.to_thread(resolve, AuthSettings())
    assert signed.step == "Databricks SDK"
    assert basic.seen == []
    with blockbuster_ctx():
        found = await asyncio.gather(*(signed.credentials.aheaders() for _ in range(20)))
    assert {headers["Authorization"] for headers in found} == {"Basic YWRhOmh1c2gtaHVzaA=="}
    assert resolve(AuthSettings()).credentials.headers() == found[0]
    assert metadata_requests(basic) == 1


def test_threads_share_the_one_config(basic: TokenServer) -> None:
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: resolve(AuthSettings()).credentials.headers(), range(20)))
    assert len({headers["Authorization"] for headers in found}) == 1
    assert metadata_requests(basic) == 1


def test_another_environment_is_another_config(basic: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve(AuthSettings()).credentials.headers()
    monkeypatch.setenv("DATABRICKS_USERNAME", "bob")
    assert resolve(AuthSettings()).credentials.headers() != first
    assert metadata_requests(basic) == 2


def test_the_sdks_user_agent_is_left_alone(basic: TokenServer) -> None:
    from databricks.sdk import useragent

    before = (useragent.product(), list(useragent.extra()))
    resolve(AuthSettings()).credentials.headers()
    assert (useragent.product(), list(useragent.extra())) == before
    assert metadata_requests(basic) == 1


def test_what_the_sdk_signs_with_is_in_no_repr_and_no_pickle(basic: TokenServer) -> None:
    signed = resolve(AuthSettings())
    headers = signed.credentials.headers()
    data = pickle.dumps(signed)
    assert b"hush" not in data
    assert b"YWRhOm" not in data
    assert "hush" not in repr(signed)
    assert pickle.loads(data).credentials.headers() == headers
    assert metadata_requests(basic) == 1


def test_a_refused_token_of_the_sdk_is_signed_in_for_again(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(sdk, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", "federated")
    signer = resolve(AuthSettings(host=server.origin, auth_type="env-oidc")).credentials
    assert signer.headers() == {"Authorization": "Bearer federated-1"}
    now[0] += sdk.REPEAT_AFTER - 0.5
    assert signer.headers(refresh=True) == {"Authorization": "Bearer federated-1"}, "twice within five seconds"
    now[0] += 0.5
    assert signer.headers(refresh=True) == {"Authorization": "Bearer federated-2"}


def test_federation_is_found_without_being_asked_for(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", "federated")
    assert resolve(AuthSettings(host=server.origin)).credentials.headers() == {"Authorization": "Bearer federated-1"}


def test_a_host_that_is_not_there_costs_seconds_and_not_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "RETRY_TIMEOUT", 1)
    monkeypatch.setenv("DATABRICKS_USERNAME", "ada")
    monkeypatch.setenv("DATABRICKS_PASSWORD", "hush-hush")
    started = time.monotonic()
    resolve(AuthSettings(host="http://127.0.0.1:9")).credentials.headers()
    assert time.monotonic() - started < 20


async def test_what_the_sdk_refuses_is_an_error_without_its_traceback(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", SECRET)
    signer = resolve(AuthSettings(host=server.origin, auth_type="azure-client-secret")).credentials
    for sync in (True, False):
        with pytest.raises(ConfigurationError, match="auth_type 'azure-client-secret'") as caught:
            signer.headers() if sync else await signer.aheaders()
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_a_strategy_that_breaks_is_an_authentication_error(server: TokenServer) -> None:
    class Broken:
        host = server.origin
        auth_type = "broken"

        def authenticate(self) -> dict[str, str]:
            raise OSError(f"cannot sign in with {PAT}")

    with pytest.raises(DatabricksAuthenticationError, match="OSError: cannot sign in") as caught:
        resolve(AuthSettings(config=Broken())).credentials.headers()
    assert PAT not in str(caught.value)


@pytest.fixture
def serving(server: TokenServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TokenServer:
    (tmp_path / "model-dependencies-oauth-token").write_text(
        json.dumps({"OAUTH_TOKEN": [{"oauthTokenValue": "principal"}]})
    )
    monkeypatch.setenv("IS_IN_DATABRICKS_MODEL_SERVING_ENV", "true")
    monkeypatch.setenv("SERVING_CREDENTIALS_DIR", str(tmp_path))
    monkeypatch.setenv("DATABRICKS_MODEL_SERVING_HOST_URL", server.origin)
    return server


@needs_a_folder_of_our_own
def test_model_serving_signs_in_as_its_own_principal(serving: TokenServer) -> None:
    signed = resolve(AuthSettings())
    assert (signed.step, signed.workspace.origin) == ("Databricks model serving", serving.origin)
    assert signed.credentials.headers() == {"Authorization": "Bearer principal"}


@needs_a_folder_of_our_own
@pytest.mark.parametrize("auth_type", ["model_serving_user_credentials", "model-serving-user"])
async def test_model_serving_on_behalf_of_the_user_asks_each_time(
    serving: TokenServer, monkeypatch: pytest.MonkeyPatch, auth_type: str
) -> None:
    signer = resolve(AuthSettings(auth_type=auth_type)).credentials
    assert "on behalf of the user" in signer.name
    main = threading.main_thread()
    for user in ("ada", "bob"):
        monkeypatch.setitem(main.__dict__, "invokers_token", user)
        assert signer.headers() == await signer.aheaders() == {"Authorization": f"Bearer {user}"}
    assert metadata_requests(serving) == 1


def test_a_model_logged_without_resources_is_told(serving: TokenServer, tmp_path: Path) -> None:
    (tmp_path / "model-dependencies-oauth-token").unlink()
    with pytest.raises(ConfigurationError, match="logged with its resources"):
        resolve(AuthSettings())
    assert serving.seen == []


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_notebook_finds_host_and_token_in_its_runtime(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    found = run(f"""
import sys, types
runtime = types.ModuleType("dbruntime.sdk_credential_provider")
runtime.init_runtime_native_unified = lambda: (
    {server.origin!r}, None, "7", lambda: {{"Authorization": "Bearer notebook"}}
)
sys.modules["dbruntime"] = types.ModuleType("dbruntime")
sys.modules["dbruntime.sdk_credential_provider"] = runtime
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.settings import AuthSettings
signed = resolve(AuthSettings())
print(signed.step, signed.workspace.origin, signed.credentials.headers()["Authorization"])
""")
    assert found == f"Databricks runtime {server.origin} Bearer notebook"


def test_a_runtime_that_names_no_host_is_passed_over(hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hermetic.exists()
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    with pytest.raises(ConfigurationError, match="No Databricks workspace is known"):
        resolve(AuthSettings(token="t"))


def test_without_the_sdk_everything_else_works_and_the_rest_says_what_to_install() -> None:
    run("""
import sys
sys.modules["databricks.sdk"] = None
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.settings import AuthSettings
from langchain_dbchat.auth.sdk import SdkSignIn
from langchain_dbchat.errors import ConfigurationError
assert resolve(AuthSettings(host="https://x", token="t")).credentials.headers()
for attempt in (
    lambda: resolve(AuthSettings(host="https://x", auth_type="azure-cli")),
    lambda: resolve(AuthSettings(host="https://x")),
    lambda: SdkSignIn("azure-cli", "https://x").headers(),
):
    try:
        attempt()
    except ConfigurationError as error:
        assert "databricks-sdk" in str(error), error
    else:
        raise AssertionError
""")


def test_another_thread_may_delete_a_variable_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deleting(UserDict[str, str]):
        def __iter__(self) -> Iterator[str]:
            return iter(["DATABRICKS_GONE", *self.data])

    monkeypatch.setattr("os.environ", Deleting(DATABRICKS_HOST="one"))
    first = sdk._fingerprint()
    monkeypatch.setattr("os.environ", Deleting(DATABRICKS_HOST="two"))
    assert sdk._fingerprint() != first
