"""Fixtures for the tests of `langchain_dbchat.auth`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kit.token_server import FakeClock, TokenServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PREFIXES = ("DATABRICKS_", "CONNECT_", "POSIT_", "RSTUDIO_", "RS", "ARM_", "AZURE_", "GOOGLE_", "IS_IN_", "DB_")


@pytest.fixture
def hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without credentials, an empty home and a PATH without commands; gives the home."""
    for name in list(os.environ):
        if name.upper().startswith(_PREFIXES) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return home


@pytest.fixture
def server() -> Iterator[TokenServer]:
    server = TokenServer()
    yield server
    server.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
