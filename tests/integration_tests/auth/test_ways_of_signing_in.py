"""Each way of signing in, in each way of calling, over real sockets to a real counterpart."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from kit.sign_in import (
    BUSY,
    DENIED,
    EXCHANGE,
    INVALID,
    PAT,
    UNKNOWN,
    Mirror,
    chat,
    on_connect,
    write_cli,
    write_workbench,
)
from kit.ways import Way, four_ways
from langchain_dbchat import DatabricksEmbeddings
from langchain_dbchat.errors import (
    ConfigurationError,
    DatabricksAuthenticationError,
    DatabricksPermissionDeniedError,
)
from langchain_dbchat.local import LocalWorkspace


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A server that says who asked."""
    with Mirror() as server:
        yield server


class Own:
    """Credentials of the user's own."""

    name = "my vault"

    def headers(self, *, refresh: bool = False) -> dict[str, str]:
        return {"Authorization": f"Bearer vault{'-again' * refresh}", "X-Extra": "sent, too"}

    async def aheaders(self, *, refresh: bool = False) -> dict[str, str]:
        return self.headers(refresh=refresh)


async def _async_token() -> str:
    await asyncio.sleep(0)
    return "async-token"


# The whole environment at once: whatever an argument says must win over all of it, without a word.
CROWD = {
    "DATABRICKS_TOKEN": "of-the-environment",
    "DATABRICKS_API_KEY": "of-the-environment-too",
    "DATABRICKS_CLIENT_ID": "nobody",
    "DATABRICKS_CLIENT_SECRET": "nothing",
    "DATABRICKS_USERNAME": "ada",
    "DATABRICKS_PASSWORD": "hush-hush",
    "ARM_CLIENT_ID": "azure",
}
ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"token": "a-string"}, "a-string"),
    ({"token": SecretStr("a-secret")}, "a-secret"),
    ({"api_key": "an-alias"}, "an-alias"),
    ({"token": lambda: "from-a-callable"}, "from-a-callable"),
    ({"token": lambda: {"Authorization": "Bearer from-a-mapping"}}, "from-a-mapping"),
    ({"token": _async_token}, "async-token"),
    ({"credentials": Own()}, "vault"),
    ({"user_session_token": "viewer"}, "for-viewer-1"),
    ({"user_session_token": lambda: SecretStr("caller")}, "for-caller-1"),
    ({"profile": "named"}, "of-the-profile"),
    ({"auth_type": "pat"}, "of-the-environment"),
    ({"auth_type": "databricks-cli"}, "cli-1"),
    ({"auth_type": "posit-connect-service-account"}, "for-content-1"),
]


@four_ways
@pytest.mark.parametrize(("arguments", "token"), ARGUMENTS, ids=[str(list(row[0]))[2:-2] + row[1] for row in ARGUMENTS])
def test_what_is_given_wins_over_the_whole_environment(
    call: Way, arguments: dict[str, Any], token: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    everything = {**CROWD, **on_connect(mirror), "CONNECT_CONTENT_SESSION_TOKEN": "content"}
    for name, value in everything.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(write_cli(tmp_path / "bin").with_name("databricks")))
    Path(os.environ["HOME"], ".databrickscfg").write_text(f"[named]\nhost = {mirror.url}\ntoken = of-the-profile\n")
    host = None if "profile" in arguments else mirror.url
    assert call(chat(host, **arguments), "Who am I?").text == token
    assert mirror.signers == [token]
    assert mirror.exchanged == token.startswith("for-")  # no token is fetched that is not used


@four_ways
def test_every_header_of_ones_own_credentials_is_sent(call: Way, mirror: Mirror) -> None:
    assert call(chat(mirror.url, credentials=Own()), "Who am I?").text == "vault"
    assert mirror.questions[0].headers["x-extra"] == "sent, too"


# What the environment has, best first; each row is found once those above it are taken away.
@four_ways
def test_the_environments_order(call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = {
        **CROWD,
        "DATABRICKS_CONFIG_FILE": str(write_workbench(tmp_path, mirror.url, "of-workbench")),
        **on_connect(mirror),
        "CONNECT_CONTENT_SESSION_TOKEN": "content",
        "DATABRICKS_CLI_PATH": str(write_cli(tmp_path / "bin").with_name("databricks")),
    }
    Path(os.environ["HOME"], ".databrickscfg").write_text(f"[DEFAULT]\nhost = {mirror.url}\ntoken = of-the-profile\n")
    for name, value in {"DATABRICKS_HOST": mirror.url, **environment}.items():
        monkeypatch.setenv(name, value)
    found = []
    tokens, then = ("DATABRICKS_TOKEN", "DATABRICKS_API_KEY"), ("DATABRICKS_CONFIG_FILE", "POSIT_PRODUCT", "HOME")
    for gone in (*tokens, "DATABRICKS_CLIENT_ID", *then, "DATABRICKS_CLI_PATH"):
        found.append(call(chat(), "Who am I?").text)
        monkeypatch.setenv(gone, str(tmp_path / "nowhere") if gone == "HOME" else "")
    assert found == [
        "of-the-environment",
        "of-the-environment-too",
        "of-nobody",
        "of-workbench",
        "for-content-2",
        "of-the-profile",
        "cli-1",
    ]


@four_ways
@pytest.mark.parametrize(
    ("auth_type", "token"),
    [
        ("posit-workbench", "of-workbench"),
        ("databricks-cli", "cli-1"),
        ("posit-connect-service-account", "for-content-1"),
    ],
)
def test_the_variable_jumps_to_the_named_step(
    call: Way, auth_type: str, token: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = {
        **CROWD,
        **on_connect(mirror),
        "CONNECT_CONTENT_SESSION_TOKEN": "content",
        "DATABRICKS_HOST": mirror.url,
        "DATABRICKS_AUTH_TYPE": auth_type,
        "DATABRICKS_CONFIG_FILE": str(write_workbench(tmp_path, mirror.url, "of-workbench")),
        "DATABRICKS_CLI_PATH": str(write_cli(tmp_path / "bin").with_name("databricks")),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert call(chat(), "Who am I?").text == token
    assert call(chat(token="given"), "Who am I?").text == "given"


@four_ways
def test_nobody_is_an_error_that_lists_every_step(call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", PAT)
    with pytest.raises(ConfigurationError) as caught:
        call(chat(mirror.url), "Who am I?")
    text = str(caught.value)
    assert text.count("\n  - ") == 15
    assert "only DATABRICKS_CLIENT_SECRET is set, and it takes both" in text
    assert PAT not in text
    assert mirror.requests == []


# --- refusals and rotation --------------------------------------------------------------------------------------------


class Rotating:
    """A token that is another one each time."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)

    def __call__(self) -> str:
        return f"token-{next(self.numbers)}"


@four_ways
@pytest.mark.parametrize("refusal", [UNKNOWN, INVALID], ids=["401", "403 Invalid Token"])
def test_an_unknown_caller_is_signed_for_again_once(call: Way, refusal: Any, mirror: Mirror) -> None:
    mirror.faults = [refusal]
    assert call(chat(mirror.url, token=Rotating(), max_retries=0), "Who am I?").text == "token-2"
    mirror.faults = [refusal, refusal]
    with pytest.raises(DatabricksAuthenticationError):
        call(chat(mirror.url, token=Rotating(), max_retries=5), "Who am I?")
    assert mirror.signers == ["token-1", "token-2", "token-1", "token-2"]


@four_ways
def test_a_caller_who_may_not_is_not_signed_for_again(call: Way, mirror: Mirror) -> None:
    mirror.faults = [DENIED]
    with pytest.raises(DatabricksPermissionDeniedError):
        call(chat(mirror.url, token=Rotating()), "Who am I?")
    assert mirror.signers == ["token-1"]


@four_ways
def test_every_attempt_is_signed_anew(call: Way, mirror: Mirror) -> None:
    mirror.faults = [BUSY, UNKNOWN, BUSY]
    assert call(chat(mirror.url, token=Rotating()), "Who am I?").text == "token-4"
    assert mirror.signers == ["token-1", "token-2", "token-3", "token-4"]


def test_embeddings_are_signed_for_each_attempt_too(mirror: Mirror) -> None:
    embeddings = DatabricksEmbeddings(model="e", host=mirror.url, token=Rotating(), batch_size=1)
    mirror.faults = [UNKNOWN]
    assert embeddings.embed_documents(["a", "b"]) == [[1.0], [1.0]]
    mirror.faults = [BUSY]
    assert asyncio.run(embeddings.aembed_documents(["c"])) == [[1.0]]
    assert sorted(mirror.signers) == [f"token-{number}" for number in range(1, 6)]  # batches may go side by side


@four_ways
def test_a_variable_that_was_set_anew_is_seen_when_the_old_token_is_refused(
    call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "old")
    llm = chat(mirror.url)
    assert call(llm, "Who am I?").text == "old"
    monkeypatch.setenv("DATABRICKS_TOKEN", "new")
    mirror.refused = {"old": UNKNOWN}
    assert call(llm, "Who am I?").text == "new"
    assert call(llm, "Who am I?").text == "new"
    assert mirror.signers == ["old", "old", "new", "new"]


@four_ways
@pytest.mark.parametrize("kind", ["viewer", "cli"])
def test_a_refused_token_is_got_anew(
    call: Way, kind: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in on_connect(mirror).items():
        monkeypatch.setenv(name, value)
    log = write_cli(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(log.parent))
    monkeypatch.delenv("DATABRICKS_CLI_PATH")
    llm = chat(mirror.url, **({"user_session_token": "ada"} if kind == "viewer" else {}))
    first, second = ("for-ada-1", "for-ada-2") if kind == "viewer" else ("cli-1", "cli-2")
    mirror.refused = {first: INVALID}
    assert call(llm, "Who am I?").text == second
    assert call(llm, "Who am I?").text == second
    assert mirror.signers == [first, second, second]
    if kind == "cli":
        ask = f"auth token --host {mirror.url}"
        assert log.read_text().splitlines() == [ask, f"{ask} --force-refresh"]


@four_ways
def test_the_clis_token_is_kept_until_it_ends(
    call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = write_cli(tmp_path / "bin", lifetime="seconds=-1")
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(log.with_name("databricks")))
    llm = chat(mirror.url)
    assert [call(llm, "Who am I?").text for _ in range(2)] == ["cli-1", "cli-2"]
    write_cli(log.parent)
    assert [call(llm, "Who am I?").text for _ in range(2)] == ["cli-3", "cli-3"]


# --- Posit ------------------------------------------------------------------------------------------------------------


@four_ways
def test_workbenchs_file_rotates_between_calls_and_attempts(
    call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(write_workbench(tmp_path, mirror.url, "first")))
    llm = chat()
    assert call(llm, "Who am I?").text == "first"
    write_workbench(tmp_path, mirror.url, "second")
    assert call(llm, "Who am I?").text == "second"
    reply = mirror._choose

    def rotate(received: Any) -> Any:
        if len(mirror.questions) == 3:
            write_workbench(tmp_path, mirror.url, "third")
            return UNKNOWN
        return reply(received)

    mirror._choose = rotate
    assert call(llm, "Who am I?").text == "third"
    assert mirror.signers == ["first", "second", "second", "third"]


async def test_workbenchs_file_rotates_during_a_stream(
    workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = await asyncio.to_thread(write_workbench, tmp_path, workspace.host, workspace.token)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(file))
    llm = chat(model="databricks-claude-sonnet-4-6", coalesce=False)
    for stale in ("", "dapi" + "e" * 32):
        pieces = []
        async for chunk in llm.astream("Tell me about Oslo."):
            await asyncio.to_thread(write_workbench, tmp_path, workspace.host, stale)
            pieces.append(chunk.text)
        assert len(pieces) > 5
        if stale:  # a stream goes on to its end; the next call reads the file as it is now
            with pytest.raises(DatabricksAuthenticationError, match="Posit Workbench"):
                await llm.ainvoke("Hello!")
        else:  # a file half written: the last token once more
            assert (await llm.ainvoke("Hello!")).text
        await asyncio.to_thread(write_workbench, tmp_path, workspace.host, workspace.token)
    assert (await llm.ainvoke("Hello!")).text


@four_ways
def test_a_viewer_per_call_is_exchanged_once_and_never_shared(
    call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**on_connect(mirror), "DATABRICKS_TOKEN": "of-the-app"}.items():
        monkeypatch.setenv(name, value)
    llm = chat(mirror.url)
    said = [call(llm.bind(user_session_token=name), "Who am I?").text for name in ("ada", "bob", "ada", "bob")]
    assert said == ["for-ada-1", "for-bob-2", "for-ada-1", "for-bob-2"]
    assert call(llm, "Who am I?").text == "of-the-app"
    exchanges = [received for received in mirror.requests if received.path == EXCHANGE]
    assert [received.headers["authorization"] for received in exchanges] == ["Key connect-key"] * 2


@four_ways
def test_a_viewer_off_connect_is_refused(call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "of-the-app")
    with pytest.raises(ConfigurationError, match="Posit Connect only"):
        call(chat(mirror.url, user_session_token="ada"), "Who am I?")
    assert mirror.requests == []


@four_ways
def test_connect_over_http_to_another_machine_is_refused(
    call: Way, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**on_connect(mirror), "CONNECT_SERVER": "http://connect.example"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="allow_http=True"):
        call(chat(mirror.url, user_session_token="ada"), "Who am I?")
