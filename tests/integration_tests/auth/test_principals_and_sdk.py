"""Service principals against the workspace's token endpoint, and the real databricks-sdk, in each way of calling."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.serving import needs_a_folder_of_our_own
from kit.sign_in import (
    Mirror,
    chat,
)
from kit.ways import Way, four_ways
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.auth import m2m
from langchain_dbchat.errors import (
    DatabricksAuthenticationError,
    DatabricksRateLimitError,
)
from langchain_dbchat.local import LocalWorkspace

MODEL = "databricks-claude-sonnet-4-6"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A server that says who asked."""
    with Mirror() as server:
        yield server


@pytest.fixture(scope="module")
def short() -> Iterator[LocalWorkspace]:
    """A workspace whose tokens live for a second."""
    with LocalWorkspace(token_lifetime=1.0) as served:
        yield served


# --- OAuth machine-to-machine, against the workspace's own token endpoint ---------------------------------------------


def _fetches(workspace: LocalWorkspace) -> int:
    return sum(request.path == "/oidc/v1/token" for request in workspace.requests)


def _questions(workspace: LocalWorkspace) -> int:
    return sum(request.path.endswith("/invocations") for request in workspace.requests)


@four_ways
@pytest.mark.parametrize("source", ["arguments", "environment", "profile"])
def test_a_service_principal_fetches_one_token(
    call: Way, source: str, monkeypatch: pytest.MonkeyPatch, workspace: LocalWorkspace
) -> None:
    pair = {"client_id": workspace.client_id, "client_secret": workspace.client_secret}
    settings: dict[str, Any] = {}
    if source == "arguments":
        settings = {"host": workspace.host, **pair}
        monkeypatch.setenv("DATABRICKS_TOKEN", "wrong")
    elif source == "environment":
        monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
        for name, value in pair.items():
            monkeypatch.setenv(f"DATABRICKS_{name.upper()}", value)
    else:
        lines = "\n".join(f"{name} = {value}" for name, value in {"host": workspace.host, **pair}.items())
        Path(os.environ["HOME"], ".databrickscfg").write_text(f"[DEFAULT]\n{lines}\n")
    before = _fetches(workspace)
    for _ in range(2):
        assert call(chat(**settings, model=MODEL), "Hello!").text
    embeddings = DatabricksEmbeddings(model="databricks-gte-large-en", **settings)
    assert len(embeddings.embed_query("x")) == len(asyncio.run(embeddings.aembed_query("x"))) == 1024
    assert _fetches(workspace) == before + 1


@four_ways
def test_a_token_that_ran_out_is_replaced_before_the_first_byte(call: Way, short: LocalWorkspace) -> None:
    llm = chat(short.host, model=MODEL, client_id=short.client_id, client_secret=short.client_secret, max_retries=0)
    assert call(llm, "Hello!").text
    short._identity._issued.clear()  # the workspace forgets its tokens, before they end: 401
    before = _fetches(short)
    assert call(llm, "Hello!").text
    assert _fetches(short) == before + 1
    short.fail_next(403, body={"error_code": "403", "message": "Invalid Token"}, path="/invocations")
    assert call(llm, "Hello!").text
    assert _fetches(short) == before + 2


def test_an_agent_outlives_its_tokens(short: LocalWorkspace) -> None:
    llm = chat(short.host, model=MODEL, client_id=short.client_id, client_secret=short.client_secret, max_retries=0)
    before, sent = _fetches(short), _questions(short)

    async def work() -> int:
        calls, end = 0, asyncio.get_running_loop().time() + 2.5
        while asyncio.get_running_loop().time() < end:
            assert (await llm.ainvoke("Hello!")).text
            await asyncio.sleep(0.1)
            calls += 1
        return calls

    calls = asyncio.run(work())
    assert 2 <= _fetches(short) - before <= 8
    # Renewed ahead of their end, not after a refusal; one may run out on the way where the machine is busy.
    assert _questions(short) - sent - calls <= 1


@four_ways
def test_a_token_endpoint_that_falters_is_asked_again(call: Way, short: LocalWorkspace) -> None:
    for status in (503, 429):
        short.fail_next(status, headers={"retry-after": "0"}, path="/oidc/v1/token")
    llm = chat(short.host, model=MODEL, client_id=short.client_id, client_secret=short.client_secret)
    before = _fetches(short)
    assert call(llm, "Hello!").text
    assert _fetches(short) == before + 3


@four_ways
def test_a_wrong_secret_is_one_error_and_no_question(call: Way, short: LocalWorkspace) -> None:
    llm = chat(short.host, model=MODEL, client_id=short.client_id, client_secret="dose" + "f" * 32)
    asked = _questions(short)
    with pytest.raises(DatabricksAuthenticationError, match="invalid_client"):
        call(llm, "Hello!")
    assert _questions(short) == asked


# --- databricks-sdk ---------------------------------------------------------------------------------------------------


@four_ways
@pytest.mark.parametrize("kind", ["config", "client"])
def test_the_sdks_own_objects_sign(
    call: Way, kind: str, workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from databricks.sdk import WorkspaceClient, useragent
    from databricks.sdk.core import Config

    pair = {"client_id": workspace.client_id, "client_secret": workspace.client_secret}
    config = Config(host=workspace.host, **pair)  # type: ignore[arg-type]  # the SDK types **kwargs one by one
    before = (useragent.product(), list(useragent.extra()), config.user_agent)
    client = config if kind == "config" else WorkspaceClient(config=config)
    monkeypatch.setenv("DATABRICKS_TOKEN", "wrong")
    llm = chat(model=MODEL, workspace_client=client, user_agent="acme/1")
    assert call(llm, "Hello!").text
    embeddings = DatabricksEmbeddings(model="databricks-gte-large-en", workspace_client=client)
    assert len(embeddings.embed_query("x")) == 1024
    assert (useragent.product(), list(useragent.extra()), config.user_agent) == before


@four_ways
def test_a_refused_token_of_the_sdk_is_got_anew(call: Way, workspace: LocalWorkspace) -> None:
    from databricks.sdk.core import Config

    pair = {"client_id": workspace.client_id, "client_secret": workspace.client_secret}
    config = Config(host=workspace.host, **pair)  # type: ignore[arg-type]  # the SDK types **kwargs one by one
    llm = chat(model=MODEL, workspace_client=config, max_retries=0)
    for _ in range(2):
        before = _fetches(workspace)
        assert call(llm, "Hello!").text
        assert _fetches(workspace) == before + 1
        workspace._identity._issued.clear()


@needs_a_folder_of_our_own
@four_ways
def test_model_serving_signs_as_its_own_principal_or_as_the_user(
    call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = '{"OAUTH_TOKEN": [{"oauthTokenValue": "principal"}]}'
    (tmp_path / "model-dependencies-oauth-token").write_text(secret)
    monkeypatch.setenv("IS_IN_DATABRICKS_MODEL_SERVING_ENV", "true")
    monkeypatch.setenv("SERVING_CREDENTIALS_DIR", str(tmp_path))
    monkeypatch.setenv("DATABRICKS_MODEL_SERVING_HOST_URL", mirror.url)
    assert call(chat(), "Who am I?").text == "principal"
    llm = chat(auth_type="model_serving_user_credentials")
    for who in ("ada", "bob"):
        monkeypatch.setitem(threading.main_thread().__dict__, "invokers_token", who)
        assert call(llm, "Who am I?").text == who


NOTEBOOK = """
import asyncio, sys, types
runtime = types.ModuleType("dbruntime.sdk_credential_provider")
signature = {"Authorization": "Bearer notebook"}
runtime.init_runtime_native_unified = lambda: (sys.argv[1], None, "7", lambda: signature)
sys.modules["dbruntime"] = types.ModuleType("dbruntime")
sys.modules["dbruntime.sdk_credential_provider"] = runtime
from langchain_dbchat import ChatDatabricksCompat
llm = ChatDatabricksCompat(model="my-endpoint")
async def stream():
    return "".join([chunk.text async for chunk in llm.astream("Who am I?")])
print(llm.invoke("Who am I?").text, asyncio.run(llm.ainvoke("Who am I?")).text)
print("".join(chunk.text for chunk in llm.stream("Who am I?")), asyncio.run(stream()))
"""


def test_a_notebook_signs_as_its_runtime_says(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    # In a process of its own, for the SDK asks the runtime once.
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    command = [sys.executable, "-c", NOTEBOOK, mirror.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["notebook"] * 4, done.stderr


@four_ways
def test_the_rest_of_the_sdks_chain_signs(call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DATABRICKS_USERNAME": "ada", "DATABRICKS_PASSWORD": "hush-hush"}.items():
        monkeypatch.setenv(name, value)
    assert call(chat(mirror.url), "Who am I?").text == "Basic YWRhOmh1c2gtaHVzaA=="


@four_ways
def test_too_many_requests_for_a_token_are_told(call: Way, short: LocalWorkspace) -> None:
    m2m.CELLS.clear()
    short.fail_next(429, headers={"retry-after": "3600"}, path="/oidc/v1/token")
    llm = chat(short.host, model=MODEL, client_id=short.client_id, client_secret=short.client_secret)
    with pytest.raises(DatabricksRateLimitError, match="OAuth M2M"):
        call(llm, "Hello!")
