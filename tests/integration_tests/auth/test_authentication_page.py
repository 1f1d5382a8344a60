"""The examples of docs/authentication.md sign in as the page says, each section in the environment that it needs.

That each block runs for a reader who has none of these environments is in test_pages.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.route_optimized import OptimizedWorkspace, route
from kit.sign_in import Mirror, on_connect, write_cli, write_workbench
from kit.tls import contexts
from langchain_dbchat import ChatDatabricksCompat
from langchain_dbchat.auth.steps import STEPS
from langchain_dbchat.local import LocalWorkspace

PAGE = Path(__file__).resolve().parents[3] / "docs" / "authentication.md"
SECTIONS = {
    title.partition("\n")[0]: re.findall(r"^```python\n(.*?)^```", title, re.MULTILINE | re.DOTALL)
    for title in re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
}


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with Mirror() as server:
        monkeypatch.setenv("DATABRICKS_HOST", server.url)
        yield server


@pytest.fixture
def optimized(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OptimizedWorkspace]:
    route(monkeypatch)
    of_server, _ = contexts(tmp_path)
    with OptimizedWorkspace(of_server) as server:
        yield server


SETUP = ("The examples on this page",)
NOT_CALLED = ("A profile", "The Databricks CLI", "Posit Workbench", "Route-optimized endpoints")
"""The sections whose example makes the model and does not call it, because a reader may not have what they need."""

Answer = Callable[[str, dict[str, str]], str]


@pytest.mark.parametrize("title", [title for title, examples in SECTIONS.items() if examples and title not in SETUP])
def test_every_example_runs(
    title: str,
    mirror: Mirror,
    workspace: LocalWorkspace,
    optimized: OptimizedWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, Any] = {"my_token": "mine", "my_host": mirror.url}
    names |= {"my_client_id": workspace.client_id, "my_client_secret": workspace.client_secret}
    environment: dict[str, dict[str, str]] = {
        "A service principal": {"DATABRICKS_HOST": workspace.host},
        "Route-optimized endpoints": {
            "DATABRICKS_HOST": optimized.url,
            "SSL_CERT_FILE": str(tmp_path / "both.pem"),
        },
        "The Databricks CLI": {"DATABRICKS_CLI_PATH": str(write_cli(tmp_path / "bin").with_name("databricks"))},
        "Posit Workbench": {"DATABRICKS_CONFIG_FILE": str(write_workbench(tmp_path, mirror.url, "of-workbench"))},
        "Posit Connect": on_connect(mirror),
    }
    for name, value in environment.get(title, {}).items():
        monkeypatch.setenv(name, value)
    Path(os.environ["HOME"], ".databrickscfg").write_text(f"[work]\nhost = {mirror.url}\ntoken = of-the-profile\n")
    names["ChatDatabricksCompat"] = ChatDatabricksCompat  # an earlier section imports it
    said = []
    for example in SECTIONS[title]:
        here = re.sub(r"(?<=my_endpoint_url = ).*", repr(optimized.endpoint()), example)
        exec(compile(here.replace("workspace.stop()", ""), str(PAGE), "exec"), names)  # noqa: S102  # our own document, and that is the point
    if title in NOT_CALLED:
        said = [names["llm"].invoke("Who am I?").text]
    said += capsys.readouterr().out.split()
    headers = {"Posit-Connect-User-Session-Token": "ada", "x-forwarded-access-token": "of-ada"}
    said += [answer("Who am I?", headers) for name, answer in names.items() if name.startswith("answer")]
    assert (
        said
        == {
            "A token": ["mine", "1", "mine"],
            "A service principal": ["hello"],
            "A profile": ["of-the-profile"],
            "The Databricks CLI": ["cli-1"],
            "Databricks SDK": ["mine", "mine"],
            "Posit Workbench": ["of-workbench"],
            "Posit Connect": ["for-ada-1"],
            "On behalf of a user": ["mine"] * 2 + ["of-ada"] * 2,
            "Unified hosts": ["mine"],
            "Route-optimized endpoints": [f"for-e-id-of-{workspace.client_id}-0-1"],
            "What is kept safe": ["mine"],
        }[title]
    )
    if title == "Unified hosts":
        assert mirror.questions[0].headers["x-databricks-workspace-id"] == "1234567890123456"


def test_the_page_names_every_way() -> None:
    text = PAGE.read_text("utf-8")
    for step in STEPS:
        for kind in sorted(step.auth_types & {"pat", "oauth-m2m", "databricks-cli", "posit-workbench", "runtime"}):
            assert f"`{kind}`" in text, kind
    for link in re.findall(r"\]\(#([\w-]+)\)", text):
        assert link in {title.lower().replace(" ", "-") for title in SECTIONS}, link
