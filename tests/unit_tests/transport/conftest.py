"""Fixtures of the transport's tests: TLS of a server and of a client that trusts it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from kit.tls import contexts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates are."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def secured(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of the server and of the client."""
    return contexts(folder)
