"""Fixtures for every test: a clean environment, and one embedded workspace for the session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from langchain_dbchat.local import LocalWorkspace

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPEAKS = ("DATABRICKS_", "ARM_", "GOOGLE_", "CONNECT_", "RSTUDIO_", "POSIT_", "LANGSMITH_", "LANGCHAIN_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the developer's own credentials, profiles and proxies."""
    for name in list(os.environ):
        if name.startswith(_SPEAKS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(home / "no-cli"))


@pytest.fixture(scope="session")
def workspace() -> Iterator[LocalWorkspace]:
    """Serve one embedded workspace for all tests."""
    with LocalWorkspace() as served:
        yield served
