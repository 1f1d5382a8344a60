"""`make demo` does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # our own script
        [sys.executable, str(DEMO), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def test_all_four_run() -> None:
    done = _run()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("Importing LangChain and langchain-dbchat ...")
    assert "\nAll four ran in " in done.stdout
    assert "Try next:" in done.stdout
    assert "[get_weather] It is 12 °C and raining in Oslo." in done.stdout
    assert "[get_population] Oslo has 709,037 inhabitants." in done.stdout
    # The answer rests on the passages that it names, which are this repository's.
    retrieval = done.stdout.partition("3. Retrieval")[2]
    assert "langchain-core" in retrieval.partition("Passages used:")[0]
    assert "README.md" in retrieval.partition("Passages used:")[2]
    endpoint = done.stdout.partition("4. An agent endpoint")[2]
    steps, _, answer = endpoint.partition("[success] A ChatAgent returns the messages of all its steps.")
    assert "it calls search_handbook {'query': 'What does a ChatAgent return?'}" in steps
    assert "The handbook says: A ChatAgent returns" in answer


def test_live_without_a_workspace_says_what_to_do() -> None:
    done = _run("--live")
    assert done.returncode == 1
    assert "DATABRICKS_HOST" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_small_model_without_its_packages_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "dasllama").mkdir()
    (tmp_path / "dasllama" / "__init__.py").write_text("raise ModuleNotFoundError('gone', name='dasllama')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = _run("--real", PYTHONPATH=path)
    assert done.returncode == 1
    assert 'pip install "langchain-dbchat[small-model]"' in done.stderr
    assert "Traceback" not in done.stderr
