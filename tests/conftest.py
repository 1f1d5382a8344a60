"""Fixtures for every test: a clean environment, and one embedded workspace for the session."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from kit.contexts import keep_contexts_apart
from kit.forgetting import forget_everything
from kit.watchers import wait_for_watchers, watchers
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.local import LocalWorkspace

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONG = 15.0  # seconds
_SPEAKS = ("DATABRICKS_", "ARM_", "GOOGLE_", "CONNECT_", "RSTUDIO_", "POSIT_", "LANGSMITH_", "LANGCHAIN_")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the whole suite run without burst merging."""
    parser.addoption("--unmerged", action="store_true", help="models give one chunk for each event (coalesce=False)")
    parser.addoption("--uvloop", action="store_true", help="event loops are uvloop's (extra fast)")


def pytest_configure(config: pytest.Config) -> None:
    """Change the default before any model is made, and keep pytest from rewriting our modules, which assert nothing.

    Hypothesis tries the same examples in each run, so that a run says something about the change that it tests. To look
    for new ones, use ``--hypothesis-profile=default``.

    pytest rewrites the packages of its plugins. Two threads that import at the same time would both build syntax trees,
    which Python 3.11 can get wrong: "AST constructor recursion depth mismatch"
    (https://github.com/python/cpython/issues/106905).
    """
    keep_contexts_apart()
    vars(config.pluginmanager.rewrite_hook).get("_must_rewrite", set()).discard("langchain_dbchat")
    if not config.getoption("--hypothesis-profile", None):
        slow = [HealthCheck.too_slow]
        settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=slow)
        settings.load_profile("same")
    if config.getoption("--unmerged"):
        ChatDatabricksCompat.model_fields["coalesce"].default = False
        ChatDatabricksCompat.model_rebuild(force=True)
        ChatDatabricksCompat.__pydantic_init_subclass__()  # pydantic calls it for a new class, and not now
    if config.getoption("--uvloop"):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def pytest_collection_finish() -> None:
    """Keep the collected tests out of garbage collections, each of which would look at them for half a second."""
    gc.collect()
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> str:
    """Say what the models of this run do."""
    loops = "uvloop's" if config.getoption("--uvloop") else "asyncio's"
    return f"burst merging: {'off' if config.getoption('--unmerged') else 'on'}; event loops: {loops}"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the developer's own credentials, profiles and proxies, and all that earlier tests have left."""
    forget_everything()
    for name in list(os.environ):
        if name.startswith(_SPEAKS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DATABRICKS_CLI_PATH", str(home / "no-cli"))


@pytest.fixture
def no_thread_stays() -> Iterator[None]:
    """Check that each thread of the package ends soon after a test, and let those of earlier tests end before it."""
    if watchers():
        gc.collect()
        wait_for_watchers(0, _LONG)
    yield
    wait_for_watchers(0, _LONG)


@pytest.fixture(scope="session")
def served_workspace() -> Iterator[LocalWorkspace]:
    """Serve one embedded workspace for all tests."""
    with LocalWorkspace() as served:
        yield served


@pytest.fixture
def workspace(served_workspace: LocalWorkspace) -> LocalWorkspace:
    """Return the workspace of all tests, without the requests, scripts and faults of earlier ones."""
    served_workspace.reset()
    return served_workspace
