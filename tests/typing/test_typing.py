"""The public classes have the right types from outside, without a plugin, for mypy and for pyright."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from arguments_docstring import DOCSTRINGS, with_arguments
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel
from settings_table import PAGE, TABLES, docstrings, written
from write_arguments import FILES, LANGCHAIN, ROOT, Written

from langchain_dbchat import ChatDatabricksCompat, DatabricksEmbeddings

HERE = Path(__file__).parent


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip where a tool is not installed."""
    return pytest.mark.skipif(find_spec(tool) is None, reason=f"{tool} is not installed")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["mypy", "--strict", "--config-file=", "--no-incremental"], id="mypy", marks=needs("mypy")),
        pytest.param(["pyright", "--pythonpath", sys.executable], id="pyright", marks=needs("pyright")),
    ],
)
def test_a_users_program_is_accepted_and_mistakes_are_found(command: list[str], tmp_path: Path) -> None:
    """Check copies in a folder without any configuration of ours."""
    version = [sys.executable, "-m", command[0], "--version"]
    if subprocess.run(version, capture_output=True, check=False, timeout=200).returncode:
        pytest.skip(f"{command[0]} cannot run here: it fetches itself when it is first used")
    for name in ("program.py", "mistakes.py"):
        shutil.copy(HERE / name, tmp_path)
    run = [sys.executable, "-m", *command, "program.py", "mistakes.py"]
    said = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=300).stdout
    found = {(name, int(line)) for name, line in re.findall(r"(\w+\.py):(\d+):.*\berror\b", said)}
    lines = (HERE / "mistakes.py").read_text("utf-8").splitlines()
    mistakes = {("mistakes.py", number) for number, line in enumerate(lines, 1) if line.endswith("# error")}
    assert found == mistakes, said


@pytest.mark.parametrize(("path", "cls"), DOCSTRINGS.items())
def test_the_docstrings_have_every_argument_on_a_line(path: str, cls: type[BaseModel]) -> None:
    source = (ROOT / path).read_text("utf-8")
    assert source == with_arguments(source, cls), "run `make arguments`"


@needs("ruff")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_arguments_are_those_of_the_fields(file: Written) -> None:
    assert (ROOT / file.path).read_text("utf-8") == file.text(), "run `make arguments`"


def test_every_field_of_langchains_chat_model_is_an_argument() -> None:
    assert set(BaseChatModel.model_fields) == set(LANGCHAIN)


def test_the_page_of_settings_has_every_field() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), "run `make arguments`"
    for cls in (ChatDatabricksCompat, DatabricksEmbeddings):
        ours = {name for table in TABLES.values() if issubclass(cls, table) for name in docstrings(table)}
        ours &= cls.model_fields.keys()
        assert cls.model_fields.keys() - ours <= LANGCHAIN.keys()
        assert all(f"| `{name}` |" in page for name in ours)
