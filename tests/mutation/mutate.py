"""Break transport and auth, one small change at a time, and see that a test fails: `make mutate`.

Rule 1. The changes are cosmic-ray's (https://cosmic-ray.readthedocs.io); those that only change an annotation, a
docstring, a message of an error or how an argument may be passed are left out, because no behaviour hangs on them.
Rule 2. A random sample with a seed is tried, within a number of seconds. The repository is not changed: a copy of the
package goes before it on the path.
Rule 3. A change that no test notices is a survivor. It has to be listed in `survivors.toml` with the reason why it
changes nothing that anyone could see; the command fails if it is not.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "langchain_dbchat"
SURVIVORS = Path(__file__).with_name("survivors.toml")
PATIENCE = 240  # seconds that one run of the tests may take; a change that makes an endless loop is noticed by this
# For each folder: the tests that are tried one after the other until one fails.
TESTS = {
    "auth": ("tests/unit_tests/auth", "tests/integration_tests/auth"),
    "transport": ("tests/unit_tests/transport", "tests/integration_tests/test_fault_proxy.py", "tests/wire"),
}


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
    options = parser.parse_args()
    changes = [change for path in _files(options.files) for change in _changes(path)]
    random.Random(options.seed).shuffle(changes)  # noqa: S311  # a sample, not a secret
    listed = _listed()
    for room in {change.file.partition("/")[0] for change in changes}:
        untouched = next(PACKAGE.joinpath(room).glob("*.py"))
        if _is_noticed(str(untouched.relative_to(PACKAGE)), untouched.read_text("utf-8")):
            print(f"The tests of {room} fail without any change; run them first.")
            return 1
    end = time.monotonic() + options.seconds
    tried = killed = known = 0
    survivors: list[Change] = []
    for change in changes[: options.sample]:
        if time.monotonic() > end:
            break
        tried += 1
        if (change.file, change.before, change.after) in listed:
            known += 1
        elif _is_noticed(change.file, change.code):
            killed += 1
        else:
            survivors.append(change)
            print(f"survived  {change}", flush=True)
    print(
        f"{tried} of {len(changes)} changes tried: {killed} noticed, {known} listed, {len(survivors)} survived "
        f"(seed {options.seed}).",
    )
    return 1 if survivors or not tried else 0


def _files(names: list[str]) -> list[Path]:
    paths = [PACKAGE / name.removeprefix("langchain_dbchat/") for name in names]
    return sorted(file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]))


def _listed() -> set[tuple[str, str, str]]:
    content = importlib.import_module("tomllib").loads(SURVIVORS.read_text("utf-8"))
    rows: list[dict[str, Any]] = content.get("survivor", [])
    for row in rows:
        if not row.get("reason", "").strip():
            raise ValueError(f"{SURVIVORS.name}: a survivor has no reason: {row}")
    return {(row["file"], row["before"], row["after"]) for row in rows}


def _changes(path: Path) -> list[Change]:
    """All changes of a file that change what it does."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source = path.read_text("utf-8")
    meaning = _meaning(source)
    name = str(path.relative_to(PACKAGE))
    found: dict[str, Change] = {}
    for operator in sorted(name for name in operator_names() if not get_operator(name).arguments()):
        for occurrence in range(10_000):
            try:
                code = mutate_code(source.encode(), get_operator(operator)(), occurrence)
            except AttributeError:  # cosmic-ray cannot replace `except a.B`
                continue
            if code is None:
                break
            code = code if isinstance(code, str) else code.decode()
            if _meaning(code) not in {meaning, None} and code not in found:
                found[code] = _describe(name, operator, source, code)
    return list(found.values())


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

    def visit_If(self, node: ast.If) -> ast.AST:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return ast.Pass()
        self.generic_visit(node)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.copy_location(ast.Constant("text"), node)


def _is_noticed(file: str, code: str) -> bool:
    """Run the tests on a copy of the package with a file of this content; those that are about that file come first."""
    room, _, name = file.partition("/")
    nearest = [path for path in (f"{TESTS[room][0]}/test_{name}",) if Path(ROOT, path).exists()]
    with tempfile.TemporaryDirectory(prefix="mutated-") as folder:
        copy = Path(folder, PACKAGE.name)
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / file).write_text(code, "utf-8")
        return any(_fails(tests, folder) for tests in (*nearest, *TESTS[room]))


def _fails(tests: str, folder: str) -> bool:
    # -P, because the working directory would come before the copy, and with it the package as it is.
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", tests]
    environ = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
