"""The Python blocks of the documents: read them, run them as a reader would, and compare what they print.

Rule 1. A block that prints is followed by a line "It prints:" and a block ``text`` with what it prints. A block that
        prints nothing has no such block behind it.
Rule 2. In that text, ``...`` stands for any text, as in doctest's ELLIPSIS: for ids, times and ports, and for what is
        too long to show.
Rule 3. The blocks of a page run in their order in one fresh ``__main__``: as a whole (a script, a cell of a notebook),
        and line by line, as the REPL of Python 3.11 reads what is pasted
        (https://docs.python.org/3.11/library/code.html#code.InteractiveConsole.push).
Rule 4. A page that imports a package with state for the whole process (``OWN_PROCESS``) runs in a process of its own.
Rule 5. A page whose first block does not start a local workspace says that the environment names a workspace.
"""

from __future__ import annotations

import ast
import code
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback
import types
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langchain_dbchat.local import LocalWorkspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
OWN_PROCESS = frozenset({"langchain_chroma", "mlflow", "opentelemetry", "pyspark"})
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "JAVA_HOME", "VIRTUAL_ENV")
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?P<output>\nIt prints:\n\n```text\n(?P<printed>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One Python block of a page, and what the page says that it prints."""

    code: str
    printed: str
    place: str
    """The page and the line at which the block begins, for messages."""


def pages() -> list[Path]:
    """Return every document that has Python blocks, the README first."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in documents if "\n```python\n" in page.read_text("utf-8")]


def blocks(page: Path) -> list[Block]:
    """Return the Python blocks of a page in their order."""
    text = page.read_text("utf-8")
    return [
        Block(it["code"], it["printed"] or "", f"{page.name}, line {text.count(chr(10), 0, it.start()) + 1}")
        for it in BLOCK.finditer(text)
    ]


def needs_environment(page: Path) -> bool:
    """Return whether the environment has to name a workspace for this page (Rule 5)."""
    return "LocalWorkspace()" not in blocks(page)[0].code


def needs_process(page: Path) -> bool:
    """Return whether a page has to run in a process of its own (Rule 4)."""
    return not OWN_PROCESS.isdisjoint(_imported(page))


def missing_packages(page: Path) -> list[str]:
    """Return the packages that the blocks of a page import and that are neither installed nor written by the page."""
    text = page.read_text("utf-8")
    needed = (name for name in _imported(page) if f'"{name}.py"' not in text)
    return sorted(name for name in needed if importlib.util.find_spec(name) is None)


def _imported(page: Path) -> set[str]:
    tree = ast.parse("\n".join(block.code for block in blocks(page)))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def run_in_a_process(page: Path, way: Literal["script", "console"]) -> list[str]:
    """Run a page in a process of its own, and return what each block prints."""
    return printed_by("kit.pages", way, page)


def printed_by(module: str, *arguments: str | Path) -> list[str]:
    """Run a module of the kit in a process whose environment and home know no workspace.

    Args:
        module: It writes a list of texts as its last line.
        arguments: Its arguments; the last one is the document.

    Raises:
        AssertionError: If it fails.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        environment |= {"HOME": home, "DATABRICKS_CLI_PATH": f"{home}/no-cli", "PYTHONPATH": path}
        environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
        command = [sys.executable, "-m", module, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=home)
    if done.returncode:
        raise AssertionError(f"{arguments[-1]} does not run:\n{done.stderr}")
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_as_script(these: Sequence[Block]) -> list[str]:
    """Run blocks one after the other, each as a whole, and return what each prints."""

    def run_block(block: Block, names: dict[str, Any]) -> None:
        exec(compile(block.code, block.place, "exec"), names)  # noqa: S102  # our own document, and that is the point

    return _run(these, run_block)


def run_in_console(these: Sequence[Block]) -> list[str]:
    """Paste blocks line by line into Python's REPL, and return what each prints."""
    consoles: list[_Console] = []

    def run_block(block: Block, names: dict[str, Any]) -> None:
        if not consoles:
            consoles.append(_Console(names))
        for line in [*block.code.splitlines(), ""]:
            consoles[0].push(line)
            if consoles[0].failure:
                raise AssertionError(f"{block.place}, at {line!r} in the REPL:\n{consoles[0].failure}")

    return _run(these, run_block)


def matches(expected: str, printed: str) -> bool:
    """Return whether a block printed what the page says (Rule 2)."""
    pattern = ".*?".join(re.escape(part) for part in _ended(expected).split("..."))
    return re.fullmatch(pattern, _ended(printed), re.DOTALL) is not None


def elide(first: str, second: str) -> str:
    """Return what a block printed in one run, with ``...`` for the words that another run printed otherwise."""
    lines, others = first.splitlines(keepends=True), second.splitlines(keepends=True)
    if len(lines) != len(others):
        raise ValueError(f"A block prints another number of lines each time:\n{first}---\n{second}")
    return "".join(_elide_line(line, other) for line, other in zip(lines, others, strict=True))


def with_outputs(text: str, printed: Sequence[str]) -> str:
    """Return the text of a page with the outputs of its blocks; one that still matches is kept as it is."""
    outputs = iter(printed)

    def written(found: re.Match[str]) -> str:
        now = _ended(next(outputs))
        block = f"```python\n{found['code']}```\n"
        if found["output"] and (now and matches(found["printed"], now)):
            return found[0]
        return f"{block}\nIt prints:\n\n```text\n{now}```\n" if now else block

    return BLOCK.sub(written, text)


class _Console(code.InteractiveConsole):
    """A REPL that remembers the first error."""

    failure = ""

    def showtraceback(self) -> None:
        self.failure = self.failure or traceback.format_exc()

    def showsyntaxerror(self, *args: Any, **settings: Any) -> None:  # noqa: ARG002  # another signature in each Python
        self.failure = self.failure or traceback.format_exc()


def _run(these: Sequence[Block], run_block: Callable[[Block, dict[str, Any]], None]) -> list[str]:
    printed = []
    with _fresh_main() as names:
        for block in these:
            with redirect_stdout(StringIO()) as output:
                run_block(block, names)
            printed.append(output.getvalue())
    return printed


@contextmanager
def _fresh_main() -> Iterator[dict[str, Any]]:
    """Put an empty module in the place of ``__main__``, so that pickles and types find what a block defines.

    The environment is as before afterwards.
    """
    before, display, environment = sys.modules["__main__"], sys.displayhook, dict(os.environ)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.displayhook = lambda value: None  # noqa: ARG005  # the REPL shows values; the page shows what is printed
    try:
        yield module.__dict__
    finally:
        sys.modules["__main__"], sys.displayhook = before, display
        os.environ.clear()
        os.environ.update(environment)


def _ended(printed: str) -> str:
    """Return a text that ends with the end of a line, as each block of a page does."""
    return printed + "\n" if printed and not printed.endswith("\n") else printed


def _elide_line(line: str, other: str) -> str:
    words, others = (re.findall(r"[\w.]+|[^\w.]", it) for it in (line, other))
    if words == others:
        return line
    shorter = min(len(words), len(others))
    start = next((index for index in range(shorter) if words[index] != others[index]), shorter)
    end = next((index for index in range(shorter - start) if words[-1 - index] != others[-1 - index]), shorter - start)
    return "".join(words[:start]) + "..." + "".join(words[len(words) - end :])


def _main(way: str, page: Path) -> None:
    run = run_as_script if way == "script" else run_in_console
    if needs_environment(page):
        with LocalWorkspace() as workspace:
            os.environ.update(DATABRICKS_HOST=workspace.host, DATABRICKS_TOKEN=workspace.token)
            printed = run(blocks(page))
    else:
        printed = run(blocks(page))
    sys.stdout.write("\n" + json.dumps(printed))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
