"""Break transport and auth, one small change at a time, and see that a test fails: `make mutate`.

Rule 1. The changes are cosmic-ray's (https://cosmic-ray.readthedocs.io); those that only change an annotation, a
docstring, a message of an error, a protocol or how an argument may be passed are left out, because no behaviour hangs
on them; so is `is` instead of `==`, which differs only by what Python happens to hold twice.
Rule 2. A random sample with a seed is tried, the same number in every file as far as a file has so many, within a
number of seconds. The repository is not changed: a copy of the package goes before it on the path.
Rule 3. The tests nearest to a file are run first (`nearest.py`), then those of its folder. They are run in a process
that has imported everything but the package, because the imports take longer than most tests.
Rule 4. A change that no test notices is a survivor. It has to be listed in `survivors.toml` with the reason why it
changes nothing that anyone could see; the command fails if it is not.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nearest import FOLDERS, NEAREST

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "langchain_dbchat"
SURVIVORS = Path(__file__).with_name("survivors.toml")
PATIENCE = 240  # seconds that one run of the tests may take; a change that makes an endless loop is noticed by this
# Imported once, before the tests are run again and again: all that takes time, and nothing of the package.
IMPORTED = ["pytest", "pytest_asyncio", "httpx", "pydantic", "langchain_core.language_models", "langchain_core.tools"]


class Change(NamedTuple):
    """One change of one file."""

    file: str
    operator: str
    code: str
    before: str
    after: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before!r} -> {self.after!r}"


def main() -> int:
    """Run; the exit status is 1 if a change survived that is not listed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--files", nargs="*", default=["auth", "transport"], help="files or folders of the package")
    parser.add_argument("--sample", type=int, default=60, help="how many changes")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--seconds", type=float, default=900, help="after which no other change is tried")
    parser.add_argument("--near", action="store_true", help="run the tests nearest to a file and no others")
    parser.add_argument("--workers", type=int, default=2, help="how many changes at the same time")
    options = parser.parse_args()
    files = _files(options.files)
    changes = list(itertools.islice(_spread(files, options.seed), options.sample))
    with ThreadPoolExecutor(options.workers) as pool:
        if not _pass_unchanged(files, pool, near=options.near):
            return 1
        end = time.monotonic() + options.seconds
        verdicts = list(pool.map(lambda change: _verdict(change, end=end, near=options.near), changes))
    counts = {verdict: verdicts.count(verdict) for verdict in ("noticed", "listed", "survived")}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    print(f"{sum(counts.values())} changes tried in {len(files)} files: {told} (seed {options.seed}).")
    return 1 if counts["survived"] or not sum(counts.values()) else 0


def _pass_unchanged(files: list[Path], pool: Executor, *, near: bool) -> bool:
    """See that the tests pass without a change: otherwise each change would seem to be noticed."""
    names = [str(path.relative_to(PACKAGE)) for path in files]
    tests = [test for name in names for test in NEAREST[name]]
    tests += [] if near else [test for room in map(_room, names) for test in FOLDERS[room]]
    tests = list(dict.fromkeys(tests))
    code = files[0].read_text("utf-8")
    failures = pool.map(lambda test: _is_noticed(names[0], code, (test,)), tests)
    failing = [test for test, failed in zip(tests, failures, strict=True) if failed]
    if failing:
        print(f"These tests fail without any change; run them first: {', '.join(failing)}.")
    return not failing


def _verdict(change: Change, *, end: float, near: bool) -> str:
    if time.monotonic() > end:
        return "not tried"
    if (change.file, change.before, change.after) in _listed():
        return "listed"
    runs = [NEAREST[change.file], *([] if near else [(tests,) for tests in FOLDERS[_room(change.file)]])]
    if any(_is_noticed(change.file, change.code, tests) for tests in runs):
        return "noticed"
    print(f"survived  {change}", flush=True)
    return "survived"


def _room(file: str) -> str:
    return file.partition("/")[0]


def _files(names: list[str]) -> list[Path]:
    paths = [PACKAGE / name.removeprefix("langchain_dbchat/") for name in names]
    found = sorted(file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]))
    return [file for file in found if file.name != "__init__.py"]


def _listed() -> set[tuple[str, str, str]]:
    content = importlib.import_module("tomllib").loads(SURVIVORS.read_text("utf-8"))
    rows: list[dict[str, Any]] = content.get("survivor", [])
    for row in rows:
        if not row.get("reason", "").strip():
            raise ValueError(f"{SURVIVORS.name}: a survivor has no reason: {row}")
    return {(row["file"], row["before"], row["after"]) for row in rows}


def _spread(files: list[Path], seed: int) -> Iterator[Change]:
    """Take a change of each file in turn."""
    left = [_changes(path, random.Random(f"{seed} {path.name}")) for path in files]  # noqa: S311  # not a secret
    while left:
        for changes in left.copy():
            change = next(changes, None)
            if change is None:
                left.remove(changes)
            else:
                yield change


def _changes(path: Path, dice: random.Random) -> Iterator[Change]:
    """All changes of a file that change what it does, in a random order."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source = path.read_text("utf-8")
    operators = {
        name: get_operator(name)
        for name in operator_names()
        if not get_operator(name).arguments() and not name.endswith(("_Eq_Is", "_NotEq_IsNot"))
    }
    nodes = list(ast_nodes(get_ast(source)))
    places = [
        (name, occurrence)
        for name, operator in sorted(operators.items())
        for occurrence in range(sum(1 for node in nodes for _ in operator().mutation_positions(node)))
    ]
    dice.shuffle(places)
    seen = {_meaning(source), None}
    for name, occurrence in places:
        try:
            code = mutate_code(source, operators[name](), occurrence)
        except AttributeError:  # cosmic-ray cannot replace `except a.B`
            continue
        meaning = None if code is None else _meaning(code)
        if code is not None and meaning not in seen:
            seen.add(meaning)
            yield _describe(str(path.relative_to(PACKAGE)), name, source, code)


def _describe(name: str, operator: str, source: str, code: str) -> Change:
    old, new = source.splitlines(), code.splitlines()
    pairs = zip(old, new, strict=False)
    place = next((place for place, (one, two) in enumerate(pairs) if one != two), min(len(old), len(new)) - 1)
    return Change(name, operator, code, old[place].strip(), new[place].strip(), place + 1)


def _meaning(code: str) -> str | None:
    """Write a file without annotations, docstrings and messages; None if it is not Python any more."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return None
    return ast.dump(_Stripped().visit(tree))


class _Stripped(ast.NodeTransformer):
    """Takes out what nobody can see at run time."""

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        # "*" becomes "/": more ways of passing an argument, and no other behaviour.
        self.generic_visit(node)
        given = [default for default in node.kw_defaults if default is not None]
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.defaults = [*node.defaults, *given]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if any(ast.unparse(base) == "Protocol" for base in node.bases):
            return ast.Pass()
        self.generic_visit(node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return ast.Pass()
        self.generic_visit(node)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.copy_location(ast.Constant("text"), node)


def _is_noticed(file: str, code: str, tests: tuple[str, ...]) -> bool:
    """Run tests on a copy of the package with a file of this content."""
    with tempfile.TemporaryDirectory(prefix="mutated-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder, PACKAGE.name)
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / file).write_text(code, "utf-8")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        process = context.Process(target=_run, args=(tests, folder))
        process.start()
        process.join(PATIENCE)
        process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)  # what the tests left running, too
        process.join()
        return process.exitcode != 0


def _run(tests: tuple[str, ...], folder: str) -> None:
    """Run tests in this process, which is a new one."""
    import pytest

    os.setsid()
    sink = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(sink, descriptor)
    os.chdir(ROOT)
    # Safe path: a process that a test starts here would import the package as it is, from the working directory.
    os.environ.update(PYTHONPATH=folder, PYTHONSAFEPATH="1", PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = True
    sys.path[:] = [folder, *(path for path in sys.path if path not in ("", str(ROOT)))]
    os._exit(pytest.main(["-q", "-x", "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests]))


if __name__ == "__main__":
    sys.exit(main())
