"""`dbchat doctor`: what it finds, what it advises, what it never says, and that it needs no server packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.scripted import Scripted, ScriptedServer
from kit.sign_in import DENIED, MODEL, PAT, Mirror, on_connect, write_cli
from langchain_dbchat.cli.main import main
from langchain_dbchat.local import LocalWorkspace

CLAUDE = "databricks-claude-sonnet-4-6"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        yield server


class Doctor:
    """Runs the command and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""

    def __call__(self, *words: str) -> int:
        code = main(["doctor", *words])
        printed = self._capsys.readouterr()
        self.said = printed.out
        assert PAT not in printed.out + printed.err
        assert printed.err == ""
        return code


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(capsys)


@pytest.fixture
def at_home(workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> LocalWorkspace:
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    return workspace


def test_all_is_well(doctor: Doctor, at_home: LocalWorkspace) -> None:
    assert doctor("--verbose") == 0
    assert f"ok      host      {at_home.host}, from DATABRICKS_HOST\n" in doctor.said
    assert "ok      sign-in   DATABRICKS_TOKEN\n" in doctor.said
    assert "  - token argument - not given\n" in doctor.said
    assert "DATABRICKS_HOST, DATABRICKS_TOKEN" in doctor.said
    assert "ok      listing   69 serving endpoints, 3 of them for embeddings\n" in doctor.said
    assert f"ok      question  {CLAUDE} answered 'OK.' in " in doctor.said
    assert doctor.said.endswith("\nEverything works.\n")
    assert at_home.token not in doctor.said
    listed, asked = at_home.requests
    assert (listed.method, listed.path, listed.body) == ("GET", "/api/2.0/serving-endpoints", b"")
    assert asked.path == f"/serving-endpoints/{CLAUDE}/invocations"


def test_it_prints_json_for_scripts(doctor: Doctor, at_home: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor("--json", "--host", at_home.host) == 0
    result = json.loads(doctor.said)
    assert (result["ok"], result["advice"]) == (True, None)
    assert [(step["step"], step["state"]) for step in result["steps"]] == [
        ("host", "ok"),
        ("sign-in", "ok"),
        ("listing", "ok"),
        ("question", "ok"),
    ]
    assert "DATABRICKS_TOKEN" in result["variables"]
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    assert doctor("--json") == 3
    result = json.loads(doctor.said)
    assert (result["ok"], result["steps"][-1]["state"]) == (False, "failed")
    assert result["advice"].startswith("Set DATABRICKS_HOST")


def test_the_model_of_the_environment_is_asked(
    doctor: Doctor, at_home: LocalWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_MODEL", "databricks-gpt-5-2")
    assert doctor("--host", at_home.host) == 0
    assert "ok      question  databricks-gpt-5-2 answered 'OK.' in " in doctor.said


def test_a_model_is_asked(doctor: Doctor, at_home: LocalWorkspace) -> None:
    assert doctor("--model", CLAUDE) == 0
    assert f"ok      question  {CLAUDE} answered 'OK.' in " in doctor.said
    assert doctor("--model", "databricks-gte-large-en") == 0
    assert "ok      question  databricks-gte-large-en answered a row of 1024 numbers in " in doctor.said
    assert at_home.requests[-1].method == "POST"


def test_a_name_that_is_nearly_right(doctor: Doctor, at_home: LocalWorkspace) -> None:
    assert at_home.endpoints
    assert doctor("--model", "databricks-claude-sonet-4-6") == 1
    assert f"fix     Did you mean {CLAUDE}" in doctor.said


def test_a_token_that_is_not_known(doctor: Doctor, at_home: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    assert doctor("--model", CLAUDE) == 3
    assert "ok      sign-in   DATABRICKS_TOKEN\n" in doctor.said
    assert "FAILED  listing   HTTP 401" in doctor.said
    assert doctor.said.count("FAILED") == doctor.said.count("fix  ") == 1
    assert len(at_home.requests) == 1


def test_how_to_sign_in_to_a_real_workspace(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is a proxy's, so nothing leaves this machine."""
    unknown = Scripted({"error_code": "401", "message": "Invalid access token"}, 401)
    with ScriptedServer(lambda _: unknown) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
        assert doctor("--host", "http://adb-1.azuredatabricks.net", "--allow-http") == 3
    advice = (
        "fix     Make a new token in the workspace and set DATABRICKS_TOKEN to it; or unset DATABRICKS_TOKEN and run "
    )
    assert f"{advice}`databricks auth login --host http://adb-1.azuredatabricks.net`." in doctor.said


def test_no_host_and_nobody_signed_in(doctor: Doctor, workspace: LocalWorkspace) -> None:
    assert doctor() == 3
    assert "FAILED  host      No Databricks workspace is known." in doctor.said
    assert "fix     Give --host https://<workspace> or set DATABRICKS_HOST.\n" in doctor.said
    assert doctor("--host", workspace.host) == 3
    assert "(from --host)" in doctor.said
    assert "  - " not in doctor.said
    assert "or run `databricks auth login`" in doctor.said
    assert doctor("--host", workspace.host, "--verbose") == 3
    assert doctor.said.count("  - ") == 15


def test_a_cli_that_nobody_is_signed_in_to(
    doctor: Doctor, workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write_cli(tmp_path / "bin").with_name("databricks")
    path.write_text(f"#!/bin/sh\necho 'cannot get access token {PAT}' >&2\nexit 1\n")
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(path))
    assert doctor("--host", workspace.host) == 3
    assert "FAILED  sign-in   (Databricks CLI) " in doctor.said
    assert "cannot get access token" in doctor.said
    assert doctor.said.count("fix  ") == 1


def test_a_service_principal_that_the_workspace_refuses(
    doctor: Doctor, workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", PAT)
    assert doctor("--host", workspace.host) == 3
    assert "FAILED  sign-in   (DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET) OAuth M2M token" in doctor.said
    assert doctor.said.count("ok  ") == 1
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", workspace.client_secret)
    assert doctor("--host", f"{workspace.host}/?o=42", "--verbose") == 0
    assert "workspace id 42" in doctor.said
    assert "signs the headers Authorization, X-Databricks-Workspace-Id" in doctor.said


def test_profiles_and_auth_types_are_named(doctor: Doctor, workspace: LocalWorkspace) -> None:
    text = f"[work]\nhost = {workspace.host}\ntoken = {workspace.token}\n"
    Path(os.environ["HOME"], ".databrickscfg").write_text(text)
    assert doctor("--profile", "work") == 0
    assert "from profile 'work'" in doctor.said
    assert doctor("--profile", "wrok") == 3
    assert "it has: work" in doctor.said
    assert doctor("--host", workspace.host, "--auth-type", "oauth-m2m") == 3
    assert "with auth_type 'oauth-m2m'" in doctor.said


def test_who_may_not_list_may_still_ask(doctor: Doctor, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "mine")
    choose = mirror._choose
    mirror._choose = lambda received: DENIED if received.method == "GET" else choose(received)
    assert doctor("--host", mirror.url) == 0
    assert f"ok      question  {CLAUDE} answered 'mine'" in doctor.said
    assert doctor("--host", mirror.url, "--model", MODEL) == 0
    assert "FAILED  listing   HTTP 403 PERMISSION_DENIED: User does not have permission\n" in doctor.said
    assert f"ok      question  {MODEL} answered 'mine'" in doctor.said
    assert "You may query this endpoint; a list of endpoints is not needed for that." in doctor.said


def test_another_kind_of_server(doctor: Doctor, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-proxy")
    words = ("--base-url", f"{mirror.url}/v1", "--token-env", "OPENAI_API_KEY")
    assert doctor(*words, "--model", MODEL) == 0
    assert "ok      listing   1 models\n" in doctor.said
    assert mirror.requests[0].headers["authorization"] == "Bearer sk-of-the-proxy"
    assert mirror.requests[1].path == "/v1/chat/completions"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert doctor(*words) == 3
    assert "--token-env names OPENAI_API_KEY, which is not set" in doctor.said


@pytest.mark.parametrize(
    ("reply", "advice", "code"),
    [
        (Scripted("<html>Sign in</html>", 200, {"content-type": "text/html"}), "what stays after login", 1),
        (Scripted({"message": f"boom {PAT}"}, 500, {"retry-after": "0"}), "report the request id", 1),
        (Scripted(b"{}", wait=2), "a larger --timeout. Proxy variables that are set: none.", 1),
        (Scripted({"error_code": "NOT_FOUND", "message": "no"}, 404), "Check the name", 1),
    ],
)
def test_each_failure_has_its_advice(
    doctor: Doctor, reply: Scripted, advice: str, code: int, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    mirror._choose = lambda _: reply
    assert doctor("--host", mirror.url, "--timeout", "0.3") == code
    assert advice in doctor.said.partition("fix  ")[2]


def test_a_host_that_is_not_there(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert doctor("--host", "http://127.0.0.1:9") == 1
    advice = "check the address, a proxy, a VPN. Proxy variables that are set: NO_PROXY."
    assert f"fix     Open http://127.0.0.1:9 in a browser on this machine; {advice}" in doctor.said
    assert doctor.said.count("FAILED") == 1


def test_content_on_connect(doctor: Doctor, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**on_connect(mirror), "CONNECT_CONTENT_SESSION_TOKEN": "content"}.items():
        monkeypatch.setenv(name, value)
    assert doctor("--host", mirror.url) == 0
    assert "ok      sign-in   Posit Connect service account" in doctor.said
    assert "connect-key" not in doctor.said


WITHOUT_A_SERVER = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"starlette", "uvicorn", "databricks", "rich"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from langchain_dbchat.cli.main import main
sys.exit(main(["doctor", "--model", "databricks-claude-sonnet-4-6"]))
"""


def test_it_needs_no_server_packages(at_home: LocalWorkspace) -> None:
    assert at_home.endpoints
    command = [sys.executable, "-c", WITHOUT_A_SERVER]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\nok  ") == 4
