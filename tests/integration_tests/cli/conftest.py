"""Fixtures for the commands of `dbchat`."""

from __future__ import annotations

import pytest

from kit.commands import Script
from langchain_dbchat.local import LocalWorkspace


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Script:
    return Script(capsys, monkeypatch)


@pytest.fixture
def home(workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch) -> LocalWorkspace:
    """The local workspace, signed in to by the environment."""
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    return workspace
