"""`dbchat doctor` as a terminal of 80 columns shows it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from kit.scripted import Scripted, ScriptedServer
from kit.sign_in import DENIED, PAT, Mirror
from langchain_dbchat.local import LocalWorkspace

pytest.importorskip("pyte")
if sys.platform == "win32":  # pragma: no cover  # there are no pseudo-terminals
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

from kit.terminal import Terminal, assert_well_shown, run


def test_a_right_token(workspace: LocalWorkspace) -> None:
    screen = run("doctor", variables={"DATABRICKS_HOST": workspace.host, "DATABRICKS_TOKEN": workspace.token})
    assert_well_shown(screen, workspace.token)
    lines = screen.text.splitlines()
    assert [line[:18].split() for line in lines[2:6]] == [
        ["ok", "host"],
        ["ok", "sign-in"],
        ["ok", "listing"],
        ["ok", "question"],
    ]
    assert "databricks-claude-sonnet-4-6 answered 'OK.'" in screen.words
    assert lines[-1] == "Everything works."
    assert (screen.code, screen.scrolled) == (0, 0)


def test_a_wrong_token_is_reported_once_with_one_advice(workspace: LocalWorkspace) -> None:
    variables = {"DATABRICKS_HOST": workspace.host, "DATABRICKS_TOKEN": PAT, "DATABRICKS_MODEL": "databricks-gpt-5-2"}
    screen = run("doctor", variables=variables)
    assert_well_shown(screen, PAT)
    assert screen.words.count("FAILED") == screen.words.count("fix ") == 1
    assert "Set DATABRICKS_HOST and DATABRICKS_TOKEN to what `dbchat local` has printed" in screen.words
    assert screen.words.count("HTTP 401") == 1
    assert (screen.code, screen.scrolled) == (3, 0)


def test_no_host(tmp_path: Path) -> None:
    home = tmp_path / ("a-long-name-" * 8)
    screen = run("doctor", variables={"HOME": str(home)})
    assert_well_shown(screen, str(home))
    assert "~/.databrickscfg" in screen.words
    assert "FAILED host No Databricks workspace is known." in screen.words
    assert "fix Give --host https://<workspace> or set DATABRICKS_HOST." in screen.words
    assert (screen.code, screen.scrolled) == (3, 0)


def test_nobody_signed_in(workspace: LocalWorkspace) -> None:
    screen = run("doctor", "--host", workspace.host)
    assert_well_shown(screen)
    assert f"FAILED sign-in No credentials for {workspace.host.removeprefix('http://')} (from --host)." in screen.words
    assert "fix Give --token-env NAME, or set DATABRICKS_TOKEN, or run `databricks auth login`." in screen.words
    assert (screen.code, screen.scrolled) == (3, 0)


def test_a_host_that_does_not_answer() -> None:
    with ScriptedServer(Scripted(b"{}", wait=30)) as silent:
        words = ("doctor", "--host", silent.url, "--timeout", "0.5")
        with Terminal(*words, variables={"DATABRICKS_TOKEN": PAT}) as screen:
            screen.wait_for("... listing")
            screen.finish()
    assert_well_shown(screen, PAT)
    assert "..." not in screen.text.partition("fix")[0]
    assert "a larger --timeout" in screen.words
    assert screen.words.count("FAILED") == 1
    assert len(silent.requests) == 1
    assert (screen.code, screen.scrolled) == (1, 0)


def test_no_permission_to_query() -> None:
    mirror = Mirror()
    choose = mirror._choose
    mirror._choose = lambda received: choose(received) if received.method == "GET" else DENIED
    with mirror:
        variables = {"DATABRICKS_HOST": mirror.url, "DATABRICKS_TOKEN": PAT, "DATABRICKS_MODEL": "my-endpoint"}
        screen = run("doctor", variables=variables)
    assert_well_shown(screen, PAT)
    assert "ok listing 1 serving endpoints" in screen.words
    assert "FAILED question my-endpoint: HTTP 403 PERMISSION_DENIED" in screen.words
    assert "needs CAN QUERY on the endpoint 'my-endpoint'; ask its owner" in screen.words
    assert (screen.code, screen.scrolled) == (1, 0)


def test_ctrl_c_ends_it_cleanly() -> None:
    with ScriptedServer(Scripted(b"{}", wait=30)) as silent:
        with Terminal("doctor", "--host", silent.url, variables={"DATABRICKS_TOKEN": PAT}) as screen:
            screen.wait_for("... listing")
            for _ in range(900):  # an interrupt while pydantic builds a class is one of pydantic's own errors
                if silent.requests:
                    break
                time.sleep(0.1)
            screen.interrupt()
            screen.finish()
    assert_well_shown(screen, PAT)
    assert screen.code == 130
