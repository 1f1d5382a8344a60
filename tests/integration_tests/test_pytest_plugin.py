"""The plugin in a pytest of its own, as a user's tests use it; its entry point is the one of pyproject.toml."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_dbchat.local import LocalWorkspace

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
OPTIONS = ("-p", "no:cacheprovider", "--strict-markers", "-W", "error")

AGENT = '''
import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool

from langchain_dbchat.errors import DatabricksRateLimitError

@tool
def get_weather(city: str) -> str:
    """Get the weather."""
    return f"Rain in {city}."

def test_an_agent(local_workspace, chat_model):
    local_workspace.script().call(get_weather, city="Oslo").answer("It rains.")
    agent = create_agent(chat_model, [get_weather])
    messages = agent.invoke({"messages": [("human", "Weather?")]})["messages"]
    assert messages[-1].text == "It rains."
    first, second = local_workspace.assert_called(2, tools=[get_weather])
    assert (first.texts[-1], second.texts[-1]) == ("Weather?", "Rain in Oslo.")

@pytest.mark.chat_model(max_retries=0)
def test_a_fault(local_workspace, chat_model):
    local_workspace.fail_next("rate_limit")
    with pytest.raises(DatabricksRateLimitError):
        chat_model.invoke("Hi")
    assert chat_model.invoke("Say: hi").text == "hi"

async def test_async(local_workspace, chat_model):
    assert not local_workspace.requests, "nothing is left of other tests"
    assert "".join([chunk.text async for chunk in chat_model.astream("Say: one two")]) == "one two"

def test_vectors(local_workspace, embeddings):
    local_workspace.script("databricks-gte-large-en").embed([1, 0])
    assert embeddings.embed_query("a") == [1.0, 0.0]
    local_workspace.assert_called_once(api="embeddings", text="a")
'''

SETTINGS = """
import pytest
from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings

pytestmark = [
    pytest.mark.chat_model(temperature=0.1, max_tokens=5), pytest.mark.embeddings(model="databricks-bge-large-en")
]

@pytest.fixture
def chat_model_settings():
    return {"model": "databricks-gemini-3-5-flash", "temperature": 0.5, "top_p": 0.9}

@pytest.mark.chat_model(max_tokens=7)
def test_the_nearest_counts(chat_model, embeddings, local_workspace):
    chat_model.invoke("Hi")
    local_workspace.assert_called_once(
        endpoint="databricks-gemini-3-5-flash", fields={"temperature": 0.1, "max_tokens": 7, "top_p": 0.9}
    )
    assert embeddings.model == "databricks-bge-large-en"

@pytest.mark.parametrize("chat_model_settings", [{"endpoint": "bot"}])
@pytest.mark.local_workspace(endpoints={"bot": "gemini-3-5-flash"})
def test_own_endpoints(chat_model, local_workspace):
    assert chat_model.invoke("Hi").text
    local_workspace.assert_called_once(endpoint="bot")

def test_code_that_makes_its_own_models(databricks_environment, monkeypatch):
    assert ChatDatabricksCompat(model="databricks-gemini-3-5-flash").invoke("Say: hi").text == "hi"
    assert DatabricksEmbeddings(model="databricks-gte-large-en").embed_query("a")
    databricks_environment.assert_called(2)

class TestOwnFixture:
    @pytest.fixture
    def chat_model(self):
        return "mine"

    def test_a_fixture_of_the_same_name_is_the_users(self, chat_model):
        assert chat_model == "mine"
"""

MISTAKES = """
import pytest

def test_an_answer_is_left(local_workspace):
    local_workspace.script().answer("never")

@pytest.mark.local_workspace(assert_scripts_used=False)
def test_it_may_be_left(local_workspace):
    local_workspace.script().answer("never")

def test_a_failure_is_reported_once(local_workspace, chat_model):
    local_workspace.script("databricks-gpt-5-2").answer("never")
    chat_model.invoke("Hello")
    local_workspace.assert_called_once(text="Oslo")

@pytest.mark.chat_model("databricks-gpt-5-2")
def test_settings_have_names(chat_model):
    pass

@pytest.mark.recorded("x.jsonl", secret="s")
def test_the_marker_has_arguments(chat_model):
    pass

@pytest.mark.recorded
def test_it_was_never_recorded(chat_model):
    pass
"""

RECORDED = '''
import asyncio, pytest
from langchain.agents import create_agent
from langchain_core.tools import tool

@tool
def get_weather(city: str) -> str:
    """Get the weather."""
    return f"Rain in {city}."

@pytest.mark.recorded
@pytest.mark.parametrize("city", ["Oslo", "San José"])
def test_an_agent(chat_model, city):
    agent = create_agent(chat_model, [get_weather])
    messages = agent.invoke({"messages": [("human", f"Weather in {city}?")]})["messages"]
    assert "Rain" in messages[-1].text

@pytest.mark.recorded("all.jsonl", secrets=["correct-horse-battery"])
def test_all_ways(chat_model, embeddings, recorded_workspace):
    said = [chat_model.invoke("Say: a").text, "".join(chunk.text for chunk in chat_model.stream("Say: b"))]
    said.append(asyncio.run(chat_model.ainvoke("Say: c")).text)
    async def collect():
        return "".join([chunk.text async for chunk in chat_model.astream("Say: d")])
    said.append(asyncio.run(collect()))
    assert said == ["a", "b", "c", "d"]
    assert len(embeddings.embed_query("a correct-horse-battery")) == 1024
    recorded_workspace.assert_called(5)
'''


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for a pytest that finds the plugin as pip would have installed it."""
    entry_points = re.search(
        r"^\[project.entry-points.pytest11\]\n(.+\n)+", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert entry_points is not None
    info = pytester.path / "site" / "dbchat_plugin-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dbchat-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(entry_points[0].replace("project.entry-points.", "").replace('"', ""))
    paths = [str(info.parent), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    return pytester


def test_a_user_scripts_answers_and_faults(inner: pytest.Pytester) -> None:
    inner.makepyfile(AGENT)
    inner.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=4)


def test_a_user_changes_what_the_fixtures_are_made_with(inner: pytest.Pytester) -> None:
    inner.makepyfile(SETTINGS)
    inner.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=4)


def test_mistakes_are_explained(inner: pytest.Pytester) -> None:
    inner.makepyfile(MISTAKES)
    result = inner.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(passed=2, failed=1, errors=4)
    result.stdout.fnmatch_lines_random(
        [
            "*Scripted answers that no request has taken: 1 of any endpoint.",
            "*Expected 1 call with text='Oslo', but there were 0. These calls came in:",
            "*  1. databricks-claude-sonnet-4-6 (chat), 1 texts, the last is 'Hello'",
            "*mark.chat_model takes settings by name, such as model=..., and not ('databricks-gpt-5-2',).",
            "*mark.recorded(path=None, *) has no [[]'secret'].",
            "*There is no recording *test_it_was_never_recorded.jsonl. Record one with `pytest --dbchat-record` *",
        ]
    )
    result.stdout.no_fnmatch_line("*1 of databricks-gpt-5-2*")


def test_a_user_records_once_and_replays(inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    inner.makepyfile(RECORDED)
    with LocalWorkspace() as real:
        monkeypatch.setenv("DATABRICKS_HOST", real.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", real.token)
        inner.runpytest_subprocess(*OPTIONS, "--dbchat-record").assert_outcomes(passed=3)
        recorded = len(real.requests.calls)
        assert recorded >= 9
        token = real.token
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    files = sorted(inner.path.rglob("*.jsonl"))
    folder = inner.path / "recordings" / "test_a_user_records_once_and_replays"
    assert files == sorted(
        [inner.path / "all.jsonl", folder / "test_an_agent-Oslo.jsonl", folder / "test_an_agent-San-Jos-xe9.jsonl"]
    )
    text = "".join(file.read_text("utf-8") for file in files)
    assert token not in text
    assert "correct-horse-battery" not in text
    inner.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=3)
    inner.makepyfile(
        RECORDED.replace("Weather in", "What is the weather in").replace('embed_query("a', 'embed_query("b')
    )
    changed = inner.runpytest_subprocess(*OPTIONS)
    changed.assert_outcomes(failed=3)
    changed.stdout.fnmatch_lines_random(
        [
            "*messages[[]0].content is 'What is the weather in Oslo?'; recorded was 'Weather in Oslo?'",
            "*input[[]0] is 'b [*][*][*]'; recorded was 'a [*][*][*]'",
        ]
    )


def test_a_recording_that_fails_keeps_the_one_before(inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    inner.makepyfile(
        "import pytest\n@pytest.mark.recorded('x.jsonl')\ndef test_x(chat_model):\n"
        "    assert chat_model.invoke('Say: a').text == 'b'\n"
    )
    before = inner.path / "x.jsonl"
    before.write_text("as it was")
    with LocalWorkspace() as real:
        monkeypatch.setenv("DATABRICKS_HOST", real.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", real.token)
        inner.runpytest_subprocess(*OPTIONS, "--dbchat-record").assert_outcomes(failed=1)
        assert len(real.requests.calls) == 1
    assert before.read_text() == "as it was"
    assert not list(inner.path.rglob("*.part"))


def test_a_test_that_hides_its_errors_fails_all_the_same(inner: pytest.Pytester) -> None:
    (inner.path / "x.jsonl").write_text('{"dbchat_recording": 1}\n')
    inner.makepyfile(
        "import contextlib, pytest\n@pytest.mark.recorded('x.jsonl')\ndef test_x(chat_model):\n"
        "    with contextlib.suppress(Exception):\n        chat_model.invoke('Hi')\n"
    )
    result = inner.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*is not in *x.jsonl, which is empty.*"])


def test_workers_have_workspaces_of_their_own(inner: pytest.Pytester) -> None:
    inner.makepyfile(AGENT)
    inner.runpytest_subprocess(*OPTIONS, "-n", "2").assert_outcomes(passed=4)


def test_it_costs_nothing_where_it_is_not_used(inner: pytest.Pytester) -> None:
    inner.makepyfile(
        "import sys\ndef test_x():\n"
        "    assert 'langchain_dbchat.integrations.pytest_plugin' in sys.modules\n"
        "    heavy = {'starlette', 'uvicorn', 'httpx', 'pydantic', 'langchain_core', 'databricks'}\n"
        "    assert not heavy & {name.partition('.')[0] for name in sys.modules}\n"
    )
    others = [
        argument
        for name in ("langsmith_plugin", "anyio", "hypothesispytest", "recording", "syrupy", "llmock")
        for argument in ("-p", f"no:{name}")
    ]
    inner.runpytest_subprocess(*OPTIONS, *others).assert_outcomes(passed=1)
    inner.runpytest_subprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.recorded(path=None, *"])


def test_a_missing_extra_is_named(inner: pytest.Pytester) -> None:
    inner.makeconftest("import sys\nsys.modules['uvicorn'] = None\n")
    inner.makepyfile(
        "import pytest\ndef test_x(chat_model): pass\n@pytest.mark.recorded\ndef test_y(chat_model): pass\n"
        "def test_z(): pass\n"
    )
    result = inner.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(
        ["*needs the package 'uvicorn'. Install it with: pip install \"langchain-dbchat[[]local]\"*"]
    )


def test_importing_the_plugin_loads_pytest_alone() -> None:
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport langchain_dbchat.integrations.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "langchain_dbchat",
        "langchain_dbchat._version",
        "langchain_dbchat.integrations",
        "langchain_dbchat.integrations.pytest_plugin",
    ]


def test_the_page_on_testing_runs(inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "testing.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    tests = [block for block in blocks if "def test_" in block]
    programs = [block for block in blocks if "def test_" not in block]
    assert (len(tests), len(programs)) == (4, 1)
    for number, block in enumerate(tests):
        (inner.path / f"test_block{number}.py").write_text(block)
    with LocalWorkspace() as real:
        monkeypatch.setenv("DATABRICKS_HOST", real.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", real.token)
        inner.runpytest_subprocess(*OPTIONS, "--dbchat-record", "-k", "capital").assert_outcomes(passed=1, deselected=7)
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    inner.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=8)
    (inner.path / "program.py").write_text(programs[0])
    result = inner.runpython(inner.path / "program.py")
    result.stdout.fnmatch_lines(["hello", "hello"])
