from __future__ import annotations

import asyncio
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

from kit.token_server import PAT
from langchain_dbchat.auth import cli
from langchain_dbchat.auth.cli import parse_expiry
from langchain_dbchat.auth.resolver import resolve
from langchain_dbchat.auth.settings import AuthSettings
from langchain_dbchat.errors import ConfigurationError, DatabricksAuthenticationError, DatabricksTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for the CLI is a script")
HOST = "https://dbc-1.cloud.databricks.com"


class Cli:
    """An executable named `databricks` that writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "databricks"
        self.log = folder / "calls"
        self.becomes()

    def becomes(self, behaviour: str = "", lifetime: float = 3600) -> None:
        expiry = (datetime.now(timezone.utc) + timedelta(seconds=lifetime)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
        self.path.write_text(
            f"""#!{sys.executable}
import json, os, sys, time
with open({str(self.log)!r}, "a") as log:
    log.write(" ".join(sys.argv[1:]) + " " + os.environ.get("DATABRICKS_CONFIG_FILE", "-") + chr(10))
with open({str(self.log)!r}) as log:
    count = len(log.readlines())
{behaviour}
print(json.dumps({{"access_token": f"cli-{{count}}", "token_type": "Bearer", "expiry": {expiry!r}}}))
"""
        )
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def databricks(hermetic: Path, tmp_path: Path) -> Cli:
    assert hermetic.exists()
    folder = tmp_path / "bin"
    folder.mkdir()
    return Cli(folder)


def test_whoever_is_signed_in_is_asked_for_once(databricks: Cli) -> None:
    for _ in range(3):
        signed = resolve(AuthSettings(host=HOST))
        assert signed.credentials.headers() == {"Authorization": "Bearer cli-1"}
        assert signed.step == "Databricks CLI"
    assert databricks.calls == [f"auth token --host {HOST} -"]


@pytest.mark.parametrize("name", ["DATABRICKS_CONFIG_FILE", "DATABRICKS_CONFIG_PROFILE", "HOME"])
def test_another_environment_is_another_user(databricks: Cli, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for value in ("ada", "bob", "ada"):
        monkeypatch.setenv(name, value)
        said.append(resolve(AuthSettings(host=HOST)).credentials.headers()["Authorization"])
    assert said == ["Bearer cli-1", "Bearer cli-2", "Bearer cli-1"]
    assert len(databricks.calls) == 2


async def test_nothing_blocks_the_event_loop_and_fifty_tasks_start_one_process(databricks: Cli) -> None:
    signer = resolve(AuthSettings(host=HOST)).credentials
    with blockbuster_ctx():
        found = await asyncio.gather(*(signer.aheaders() for _ in range(50)))
    assert {headers["Authorization"] for headers in found} == {"Bearer cli-1"}
    assert len(databricks.calls) == 1


async def test_a_token_that_is_held_needs_no_thread(databricks: Cli) -> None:
    signer = resolve(AuthSettings(host=HOST)).credentials
    await signer.aheaders()
    await asyncio.get_running_loop().shutdown_default_executor()  # a thread is an error from here on
    assert await signer.aheaders() == {"Authorization": "Bearer cli-1"}
    assert len(databricks.calls) == 1


def test_fifty_threads_start_one_process(databricks: Cli) -> None:
    signer = resolve(AuthSettings(host=HOST)).credentials
    with ThreadPoolExecutor(50) as pool:
        assert {h["Authorization"] for h in pool.map(lambda _: signer.headers(), range(50))} == {"Bearer cli-1"}
    assert len(databricks.calls) == 1


def test_a_token_is_asked_for_again_when_it_has_run_out(databricks: Cli) -> None:
    databricks.becomes(lifetime=1)
    signer = resolve(AuthSettings(host=HOST)).credentials
    signer.headers()
    time.sleep(1.05)
    signer.headers()
    assert len(databricks.calls) == 2


def test_a_refused_token_is_forced_anew_and_an_old_cli_asked_without_the_flag(databricks: Cli) -> None:
    signer = resolve(AuthSettings(host=HOST)).credentials
    signer.headers()
    assert signer.headers(refresh=True) == {"Authorization": "Bearer cli-2"}
    assert databricks.calls[-1] == f"auth token --host {HOST} --force-refresh -"
    databricks.becomes('if "--force-refresh" in sys.argv: sys.exit("Error: unknown flag: --force-refresh")')
    assert signer.headers(refresh=True) == {"Authorization": "Bearer cli-4"}


def test_a_profile_of_the_cli_is_asked_for_by_name(databricks: Cli, hermetic: Path, tmp_path: Path) -> None:
    (hermetic / ".databrickscfg").write_text(f"[dev]\nhost = {HOST}\nauth_type = databricks-cli\n")
    assert resolve(AuthSettings(profile="dev")).credentials.headers() == {"Authorization": "Bearer cli-1"}
    other = tmp_path / "other.cfg"
    other.write_text(f"[dev]\nhost = {HOST}\nauth_type = databricks-cli\n")
    signer = resolve(AuthSettings(profile="dev", config_file=str(other))).credentials
    assert signer.headers() == {"Authorization": "Bearer cli-2"}
    assert databricks.calls == ["auth token --profile dev -", f"auth token --profile dev {other}"]


def test_auth_type_jumps_over_a_token(databricks: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    signer = resolve(AuthSettings(host=HOST, auth_type="databricks-cli")).credentials
    assert signer.headers() == {"Authorization": "Bearer cli-1"}
    assert len(databricks.calls) == 1


def test_the_path_of_the_environment_is_respected(
    databricks: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "a b; echo"
    databricks.path.rename(elsewhere)
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(elsewhere))
    assert resolve(AuthSettings(host=HOST)).credentials.headers() == {"Authorization": "Bearer cli-1"}


async def test_a_cli_without_a_login_shows_its_words_scrubbed_and_the_command_to_run(databricks: Cli) -> None:
    databricks.becomes(f"sys.exit('Error: cache: databricks OAuth is not configured, token {PAT} expired')")
    signer = resolve(AuthSettings(host=HOST)).credentials
    for sync in (True, False):
        with pytest.raises(DatabricksAuthenticationError) as caught:
            signer.headers() if sync else await signer.aheaders()
        text = str(caught.value)
        assert "OAuth is not configured" in text
        assert f"auth login --host {HOST}" in text
        assert PAT not in text
        assert "DATABRICKS_TOKEN" in text


def test_a_token_that_is_cut_by_the_length_of_the_error_is_not_shown_either(databricks: Cli) -> None:
    databricks.becomes(f"sys.exit('token {PAT} ' + 'x' * 470)")
    with pytest.raises(DatabricksAuthenticationError) as caught:
        resolve(AuthSettings(host=HOST)).credentials.headers()
    assert PAT[-8:] not in str(caught.value)


@pytest.mark.parametrize("answer", ["print('hello')", "print('{}')", "print('{\"access_token\": 5}')"])
def test_an_answer_without_a_token_is_an_error(databricks: Cli, answer: str) -> None:
    databricks.becomes(f"{answer}; sys.exit(0)")
    with pytest.raises(DatabricksAuthenticationError, match="not JSON with an access_token"):
        resolve(AuthSettings(host=HOST)).credentials.headers()


def test_a_cli_that_hangs_is_a_timeout(databricks: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "TIMEOUT", 0.5)
    databricks.becomes("time.sleep(20)")
    with pytest.raises(DatabricksTimeoutError, match="Run it in a terminal"):
        resolve(AuthSettings(host=HOST)).credentials.headers()


def test_a_cli_that_cannot_be_run_is_named(databricks: Cli) -> None:
    signer = resolve(AuthSettings(host=HOST)).credentials
    databricks.path.write_text("#!/nonexistent/interpreter\n")
    with pytest.raises(DatabricksAuthenticationError, match="DATABRICKS_CLI_PATH"):
        signer.headers()


def test_a_profile_that_wants_a_cli_which_is_not_there(hermetic: Path) -> None:
    (hermetic / ".databrickscfg").write_text(f"[dev]\nhost = {HOST}\nauth_type = databricks-cli\n")
    with pytest.raises(ConfigurationError, match="no command `databricks` on PATH"):
        resolve(AuthSettings(profile="dev"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-01T00:00:00Z", 1704067200),
        ("2024-01-01T00:00:00.123456789Z", 1704067200),
        ("2024-01-01T02:00:00+02:00", 1704067200),
        ("2023-12-31T19:00:00.5-0500", 1704067200),
        ("2024-01-01 00:00:00", 1704067200),
        ("", None),
        ("tomorrow", None),
        ("2024-13-01T00:00:00Z", None),
    ],
)
def test_times_as_go_prints_them(text: str, seconds: float | None) -> None:
    assert parse_expiry(text) == seconds
