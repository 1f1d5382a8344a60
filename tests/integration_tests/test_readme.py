"""The Python in the documents runs, from top to bottom, as a newcomer would paste it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from langchain_dbchat.local import LocalWorkspace

ROOT = Path(__file__).resolve().parents[2]


def _run(document: Path) -> int:
    examples = re.findall(r"^```python\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, str(document), "exec"), names)  # noqa: S102  # our own document, and that is the point
    return len(examples)


def _printed(document: Path) -> str:
    """What a page says that its blocks print."""
    blocks = re.findall(r"^It prints:\n\n```text\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return "".join(blocks)


def test_the_readme_runs(
    workspace: LocalWorkspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", workspace.token)
    assert _run(ROOT / "README.md") > 7
    printed = capsys.readouterr().out
    assert "A serving endpoint gives a model a URL" in printed
    assert "Oslo is the capital of Norway." in printed
    assert "{'city': 'Oslo'}" in printed
    assert "It rains in Oslo." in printed
    assert "punchline=" in printed
    assert "Thought:" in printed
    assert "Taxes are due in April." in printed
    assert "404 ENDPOINT_NOT_FOUND" in printed


def test_the_page_on_reasoning_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "reasoning.md") == 2
    assert "It rains in Oslo." in capsys.readouterr().out


def test_the_page_on_agents_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "agents.md") == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["[('open_ticket', {'title': 'The printer is broken.'})]", "Done: ticket 17 is open."]


def test_the_page_on_apis_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "apis.md") == 2
    assert "'/ai-gateway/" in capsys.readouterr().out


def test_the_page_on_messages_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "messages.md") == 2
    assert "Hello!" in capsys.readouterr().out


def test_the_page_on_anthropics_messages_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "messages-api.md") == 2
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["hello", "/serving-endpoints/anthropic/v1/messages"]
    assert "'ephemeral_1h_input_tokens'" in printed[2]
    assert "'cache_read': 0" not in printed[3]


def test_the_page_on_settings_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "settings.md") == 2
    assert "'max_completion_tokens'" in capsys.readouterr().out


def test_the_page_on_the_local_workspace_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "local-workspace.md") == 6
    printed = capsys.readouterr().out
    assert "['server_tool_call', 'server_tool_result', 'text'] Order 8 was sent on Monday." in printed
    assert "blocked: input ('violent-crimes',)" in printed
    assert "after 4 requests" in printed
    assert "language model.) after 5 requests" in printed
    assert "'title': 'Yr'" in printed
    assert "'messages': [{'content': 'Hello!', 'role': 'user'}]" in printed.replace(
        "'role': 'user', 'content': 'Hello!'", "'content': 'Hello!', 'role': 'user'"
    )


def test_the_page_on_costs_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "costs.md"
    assert _run(page) == 4
    assert capsys.readouterr().out == _printed(page)


def test_the_page_on_observability_prints_what_it_says() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs OpenTelemetry's SDK: pip install opentelemetry-sdk")
    page = ROOT / "docs" / "observability.md"
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == _printed(page)


def test_the_page_on_http_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "http.md") == 1
    assert capsys.readouterr().out.strip()


def test_the_page_on_errors_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "errors.md") == 2
    printed = capsys.readouterr().out
    assert "too long, says anthropic" in printed
    assert "input guardrail: ('pii',)" in printed


def test_the_page_on_structured_output_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "structured-output.md") == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "name='Tom'"
    assert printed[1] == "[7]"
    assert printed[2] in {"Cat", "Dog"}
    assert printed[3] == "{'name': 'Ada'}"


def test_the_page_on_answers_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "answers.md") == 1
    assert "language model.) msg_bdrk_" in capsys.readouterr().out


def test_the_page_on_schemas_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "schemas.md") == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[2] for line in printed] == ["Tree True", "Tree False", "Tree False"]


def test_the_page_on_moving_over_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ROOT / "docs" / "migrating.md") == 4
    printed = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("Hello!") for line in printed) == 3
    assert "2" in printed
