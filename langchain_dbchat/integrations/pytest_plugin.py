"""Fixtures for pytest: a local workspace, models that are signed in to it, and recordings of a real workspace.

Rule 1. pytest imports this module wherever the package is installed, so it imports pytest alone; a fixture imports what
it needs.
Rule 2. Each test has a workspace of its own, at a port of its own, so that nothing is left of other tests: no request,
no script, no fault, and nothing that the client has learned of an endpoint. It starts in a few milliseconds, and stops
in the background.
Rule 3. What a fixture is made with comes from the fixture ``<name>_settings``, which a conftest.py may replace, and
from the markers ``@pytest.mark.<name>(...)``; the nearest marker counts most.
Rule 4. After a test that has passed, scripted answers that are left are an error, and so are recorded calls that are
left and requests that were not recorded. After a test that has failed they are not, because they follow from it.
Rule 5. A recording is written under a name of its own, and replaces the one before it only if the test passes.
"""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from langchain_dbchat.chat_models import ChatDatabricksCompat
    from langchain_dbchat.embeddings import DatabricksEmbeddings
    from langchain_dbchat.local import LocalWorkspace
    from langchain_dbchat.testing import RecordingWorkspace, ReplayWorkspace

    AnyWorkspace = LocalWorkspace | RecordingWorkspace | ReplayWorkspace
    Stop = Callable[[AnyWorkspace], None]

CHAT_MODEL = "databricks-claude-sonnet-4-6"
EMBEDDING_MODEL = "databricks-gte-large-en"
_MARKERS = {
    "local_workspace": "(assert_scripts_used=True, **settings): settings of the fixture's LocalWorkspace.",
    "chat_model": "(**settings): settings of the fixture's ChatDatabricksCompat.",
    "embeddings": "(**settings): settings of the fixture's DatabricksEmbeddings.",
    "recorded": "(path=None, secrets=(), ignore=(), assert_all_used=True): chat_model and embeddings answer from a "
    "recording; --dbchat-record makes it, on the workspace that the environment names.",
}
_STOP_SECONDS = 30.0
_HAS_FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that records."""
    text = "call the real workspace in tests marked `recorded`, and record what it answers (langchain-dbchat)"
    parser.getgroup("dbchat").addoption("--dbchat-record", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for name, text in _MARKERS.items():
        config.addinivalue_line("markers", f"{name}{text}")


@pytest.hookimpl(hookwrapper=True)  # the newer kind would be an error in every run of an older pytest
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Note which tests have failed."""
    outcome = yield
    if outcome.get_result().failed:
        item.stash[_HAS_FAILED] = True


@pytest.fixture
def local_workspace_settings() -> dict[str, Any]:
    """Return what `local_workspace` is made with; replace it to change that for a folder, module or class."""
    return {}


@pytest.fixture
def chat_model_settings() -> dict[str, Any]:
    """Return what `chat_model` is made with, beside host and token; replace it to change that."""
    return {}


@pytest.fixture
def embeddings_settings() -> dict[str, Any]:
    """Return what `embeddings` are made with, beside host and token; replace it to change that."""
    return {}


@pytest.fixture(scope="session")
def _dbchat_stop() -> Iterator[Stop]:
    """Return what stops a workspace without waiting for it."""
    threads: list[threading.Thread] = []

    def stop(workspace: AnyWorkspace) -> None:
        threads[:] = [thread for thread in threads if thread.is_alive()]
        threads.append(threading.Thread(target=workspace.stop, name="dbchat-stop", daemon=True))
        threads[-1].start()

    yield stop
    for thread in threads:
        thread.join(_STOP_SECONDS)


@pytest.fixture
def local_workspace(
    request: pytest.FixtureRequest, local_workspace_settings: Mapping[str, Any], _dbchat_stop: Stop
) -> Iterator[LocalWorkspace]:
    """Serve a workspace on 127.0.0.1 for this test; its scripted answers have to be used."""
    try:
        from langchain_dbchat.local import LocalWorkspace  # noqa: PLC0415  # rule 1
    except ImportError as error:
        raise _refusal(str(error)) from None
    settings = _marked(request, "local_workspace", local_workspace_settings)
    is_strict = settings.pop("assert_scripts_used", True)
    _forget()
    workspace = LocalWorkspace(**settings).start()
    try:
        yield workspace
        if is_strict and not _has_failed(request):
            workspace.assert_scripts_used()
    finally:
        _dbchat_stop(workspace)


@pytest.fixture
def recorded_workspace(
    request: pytest.FixtureRequest, _dbchat_stop: Stop
) -> Iterator[RecordingWorkspace | ReplayWorkspace]:
    """Answer from the recording of this test; with ``--dbchat-record``, call the real workspace and record it."""
    try:
        from langchain_dbchat.testing import RecordingWorkspace, ReplayWorkspace  # noqa: PLC0415  # rule 1
    except ImportError as error:
        raise _refusal(str(error)) from None
    given = _Recorded(request)
    _forget()
    if request.config.getoption("--dbchat-record"):
        part = given.path.with_name(f"{given.path.name}.part")
        with RecordingWorkspace(part, secrets=given.secrets) as recording:
            yield recording
        if _has_failed(request):
            part.unlink()
        else:
            part.replace(given.path)
        return
    try:
        replay = ReplayWorkspace(given.path, secrets=given.secrets, ignore=given.ignore)
    except (FileNotFoundError, ValueError) as error:
        raise _refusal(str(error)) from None
    try:
        yield replay.start()
        if not _has_failed(request):
            replay.assert_all_recorded()
            if given.assert_all_used:
                replay.assert_all_used()
    finally:
        _dbchat_stop(replay)


@pytest.fixture
def tested_workspace(request: pytest.FixtureRequest) -> AnyWorkspace:
    """Return `recorded_workspace` in a test marked ``recorded``, else `local_workspace`."""
    is_recorded = request.node.get_closest_marker("recorded") is not None
    workspace: AnyWorkspace = request.getfixturevalue("recorded_workspace" if is_recorded else "local_workspace")
    return workspace


@pytest.fixture
def chat_model(
    request: pytest.FixtureRequest, tested_workspace: AnyWorkspace, chat_model_settings: Mapping[str, Any]
) -> ChatDatabricksCompat:
    """Return a chat model that is signed in to the workspace of this test."""
    from langchain_dbchat.chat_models import ChatDatabricksCompat  # noqa: PLC0415  # rule 1

    settings = _marked(request, "chat_model", chat_model_settings)
    return ChatDatabricksCompat(**_signed_in(tested_workspace, CHAT_MODEL, settings))


@pytest.fixture
def embeddings(
    request: pytest.FixtureRequest, tested_workspace: AnyWorkspace, embeddings_settings: Mapping[str, Any]
) -> DatabricksEmbeddings:
    """Return embeddings that are signed in to the workspace of this test."""
    from langchain_dbchat.embeddings import DatabricksEmbeddings  # noqa: PLC0415  # rule 1

    settings = _marked(request, "embeddings", embeddings_settings)
    return DatabricksEmbeddings(**_signed_in(tested_workspace, EMBEDDING_MODEL, settings))


@pytest.fixture
def databricks_environment(tested_workspace: AnyWorkspace, monkeypatch: pytest.MonkeyPatch) -> AnyWorkspace:
    """Let the environment name the workspace of this test, for code that makes its own models; return the workspace."""
    for name in list(os.environ):
        if name.startswith("DATABRICKS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_HOST", tested_workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", tested_workspace.token)
    return tested_workspace


class _Recorded:
    """What the marker ``recorded`` says about a test.

    Args:
        request: The request of the fixture.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        marker = request.node.get_closest_marker("recorded")
        args, options = ((), {}) if marker is None else (marker.args, dict(marker.kwargs))
        folder = request.path.parent
        path = args[0] if args else options.pop("path", None)
        name = re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
        self.path = folder / "recordings" / request.path.stem / f"{name}.jsonl" if path is None else folder / path
        self.secrets: list[str] = list(options.pop("secrets", ()))
        self.ignore: list[str] = list(options.pop("ignore", ()))
        self.assert_all_used: bool = options.pop("assert_all_used", True)
        if options or len(args) > 1:
            takes = _MARKERS["recorded"].partition(":")[0]
            raise _refusal(f"@pytest.mark.recorded{takes} has no {[*args[1:], *options]}.")


def _marked(request: pytest.FixtureRequest, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those of a test's markers over them."""
    merged = dict(settings)
    for marker in reversed(list(request.node.iter_markers(name))):
        if marker.args:
            raise _refusal(f"@pytest.mark.{name} takes settings by name, such as model=..., and not {marker.args}.")
        merged |= marker.kwargs
    return merged


def _signed_in(workspace: AnyWorkspace, model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    names = {"model", "endpoint"}
    default = {} if names & settings.keys() else {"model": model}
    return {**default, "host": workspace.host, "token": workspace.token, **settings}


def _has_failed(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.stash.get(_HAS_FAILED, False))


def _refusal(text: str) -> BaseException:
    """Return what ends a test with a text alone."""
    return pytest.fail.Exception(text, pytrace=False)


def _forget() -> None:
    """Forget what the client has learned of endpoints: the system may give a port to two tests."""
    from langchain_dbchat.connection.endpoints import forget  # noqa: PLC0415  # rule 1

    forget()
