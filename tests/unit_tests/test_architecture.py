"""Who may import whom, read from the code. The table is exact: it permits nothing that is not used."""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import sys
import tokenize
from functools import cache
from pathlib import Path

import httpx
import pytest

import langchain_dbchat
from kit.extras import missing_package
from langchain_dbchat.transport import http

ROOT = Path(langchain_dbchat.__file__).parent
REPOSITORY = Path(__file__).parents[2]
OURS = "langchain_dbchat"

# Packages that nobody outside of this project imports.
DOORS = (
    "auth",
    "connection",
    "dialects",
    "dialects.shared",
    "local.faults",
    "local.rule_model",
    "local.server",
    "local.small_model",
    "models",
    "routing",
    "transport",
    "transport.http",
)

TYPE = re.compile("_?[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")

OLD = frozenset(
    {
        "Link", "Holder", "of_call", "WHO", "TRAVEL", "Call", "write_call", "_tell", "_heed", "amend", "Run", "Ask",
        "Facts", "Pace", "Reading", "Incoming", "Gate", "Lane", "Turn", "_Bell", "FreeList", "Shelf", "Ticket",
        "_Flight", "_Landing", "_Lease", "Nobody", "FirstThatWorks", "Signed", "Asked", "Seal", "mind", "Front",
        "Found", "filling", "Mishap",
    }
)  # fmt: skip
"""Names that were decoded, not read; each has a plain one now."""

BESIDE = ("benchmarks", "examples", "fuzz", "release", "soak", "tests", "website")
"""The folders with code beside the package."""
EXEMPTION = re.compile("noqa|type: *ignore|nosec|pylint|pyright")
EXEMPTION_WITH_REASON = re.compile(
    r"# (?:ruff: )?(noqa: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)*|type: ignore\[[a-z-]+(, ?[a-z-]+)*\])  # .+"
)

# For each room: the rooms of ours that it imports, and the packages of others.
ARROWS: dict[str, tuple[set[str], set[str]]] = {
    "__init__": (
        {"_version", "chat_models", "connection", "embeddings", "errors", "integrations", "transport"},
        set(),
    ),
    "__main__": ({"cli"}, set()),
    "_core": (set(), {"langchain_core"}),
    "cli": (
        {"_version", "auth", "chat_models", "connection", "embeddings", "errors", "integrations", "local"},
        {"langchain_core", "pyarrow", "pydantic_core", "rich", "shtab"},
    ),
    "spark": ({"embeddings", "errors", "integrations"}, {"langchain_core", "pandas", "pydantic_core", "pyspark"}),
    "integrations": (
        {
            "_process_lock",
            "_version",
            "chat_models",
            "connection",
            "embeddings",
            "errors",
            "local",
            "models",
            "testing",
            "transport",
        },
        {"langchain", "langchain_core", "mlflow", "opentelemetry", "pydantic_core", "pytest", "yaml"},
    ),
    "chat_models": (
        {"_core", "_version", "connection", "dialects", "errors", "models", "transport"},
        {"langchain_core", "pydantic"},
    ),
    "embeddings": (
        {"_core", "_process_lock", "connection", "dialects", "errors", "models", "transport"},
        {"langchain_core", "numpy", "pydantic", "pydantic_core", "tqdm"},
    ),
    "connection": (
        {"auth", "errors", "models", "routing", "transport"},
        {"langchain_core", "mlflow", "pydantic", "pydantic_core"},
    ),
    "auth": (
        {"_loopback", "_version", "errors", "routing", "transport"},
        {"databricks", "pydantic", "pydantic_core"},
    ),
    "dialects": ({"errors", "models"}, {"langchain_core", "pydantic", "pydantic_core"}),
    "testing": ({"connection", "errors", "local", "transport"}, {"pydantic_core", "starlette"}),
    "transport": ({"_loopback", "_version", "errors"}, {"anyio", "h11", "httpx", "pydantic_core"}),
    "routing": ({"_loopback", "errors"}, set()),
    "models": (set(), {"langchain_core"}),
    "errors": (set(), {"langchain_core", "pydantic_core"}),
    "local": (
        set(),
        {"dasllama", "gguf", "httpx", "platformdirs", "pydantic_core", "starlette", "uvicorn"},
    ),
    "_loopback": (set(), set()),
    "_process_lock": (set(), set()),
    "_version": (set(), set()),
}


def test_the_arrows_between_rooms_are_exactly_these() -> None:
    found: dict[str, tuple[set[str], set[str]]] = {}
    for path in _files():
        room = _room(path)
        ours, others = found.setdefault(room, (set(), set()))
        for name in _imports(_tree(path)):
            package, _, rest = name.partition(".")
            if package == OURS:
                ours.update({rest.partition(".")[0]} - {room})
            elif package not in sys.stdlib_module_names and package not in {"typing_extensions", "__future__"}:
                others.add(package)
    assert found == ARROWS


def test_no_arrows_make_a_circle() -> None:
    list(graphlib.TopologicalSorter({room: ours for room, (ours, _) in ARROWS.items()}).static_order())


def test_no_modules_make_a_circle() -> None:
    """Imports for types and within functions count too."""
    modules = {_module(path): path for path in _files()}
    imports = {
        module: {name if name in modules else name.rpartition(".")[0] for name in _imports(_tree(path))}
        & (modules.keys() - {module})
        for module, path in modules.items()
    }
    list(graphlib.TopologicalSorter(imports).static_order())


def test_no_two_classes_or_types_share_a_name() -> None:
    """A leading underscore does not make another name of it."""
    places: dict[str, list[str]] = {}
    for path in _files():
        tree = _tree(path)
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        for node in tree.body:
            if isinstance(node, ast.Assign):
                names += [name.id for name in node.targets if isinstance(name, ast.Name) and TYPE.fullmatch(name.id)]
        for name in names:
            places.setdefault(name.lstrip("_"), []).append(_module(path))
    assert not {name: modules for name, modules in places.items() if len(modules) > 1}


def test_no_name_from_before_the_renaming_is_left() -> None:
    for path in _files():
        assert path.stem not in {"pools", "pace", "asked", "seal", "mind", "front", "found", "filling", "mishap"}
        for node in ast.walk(_tree(path)):
            for attribute in ("id", "attr", "name", "arg"):
                assert getattr(node, attribute, None) not in OLD, f"{_module(path)}:{getattr(node, 'lineno', '')}"


def test_every_package_lists_what_it_exports() -> None:
    for path in _files():
        if path.name == "__init__.py" and not missing_package(_module(path)):
            package = importlib.import_module(_module(path))
            assert list(package.__all__) == sorted(package.__all__), _module(path)
            for name in package.__all__:
                if not hasattr(package, name) and not missing_package(f"{_module(path)}.{name}"):
                    importlib.import_module(f"{_module(path)}.{name}")


@pytest.mark.parametrize("package", DOORS)
def test_a_package_exports_what_the_others_import(package: str) -> None:
    inside = f"{OURS}.{package}"
    used: set[str] = set()
    for path in _files():
        if not f"{_module(path)}.".startswith(f"{inside}."):
            names = {name for name in _imports(_tree(path)) if name.startswith(f"{inside}.")}
            used |= {name.removeprefix(f"{inside}.").partition(".")[0] for name in names}
    assert used == set(importlib.import_module(inside).__all__)


def test_exemptions_from_the_tools_have_one_form_and_a_reason() -> None:
    # `pragma: no cover` and `fmt` mark code for other tools, which take no reason.
    for folder in (ROOT, *(REPOSITORY / name for name in BESIDE)):
        for path in folder.rglob("*.py"):
            with path.open("rb") as file:
                comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
            for comment in comments:
                if EXEMPTION.search(comment.string):
                    where = f"{path}:{comment.start[0]} {comment.string}"
                    assert EXEMPTION_WITH_REASON.fullmatch(comment.string), where


def test_docstrings_of_functions_are_imperative() -> None:
    nouns = {
        "The",
        "A",
        "An",
        "All",
        "Each",
        "Every",
        "One",
        "No",
        "Its",
        "Their",
        "What",
        "Whether",
        "How",
        "Why",
        "This",
    }
    found = [
        f"{path.relative_to(ROOT)}: {node.name}: {text.partition(chr(10))[0]}"
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (text := ast.get_docstring(node) or "")
        and text.split()[0] in {*nouns, "Returns", "Gets", "Makes", "Says", "Tells"}
    ]
    assert found == []


def test_a_dialect_imports_no_other_dialect() -> None:
    for path in (ROOT / "dialects").rglob("*.py"):
        own = path.relative_to(ROOT / "dialects").parts[0]
        for name in _imports(_tree(path)):
            if name.startswith(f"{OURS}.dialects."):
                other = name.split(".")[2]
                assert other in {own, "shared", "dialect"}, f"{path.relative_to(ROOT)} must not import {name}"


def test_the_arrows_between_the_rooms_of_shared_are_exactly_these() -> None:
    inside = f"{OURS}.dialects.shared"
    found: dict[str, set[str]] = {}
    for path in (ROOT / "dialects" / "shared").glob("*/*.py"):
        names = [name.removeprefix(f"{inside}.") for name in _imports(_tree(path)) if name.startswith(f"{inside}.")]
        rooms = {name.partition(".")[0] for name in names}
        found.setdefault(path.parent.name, set()).update(rooms - {path.parent.name})
    assert found == {
        "blocks": set(),
        "schemas": set(),
        "conversation": {"blocks"},
        "request": {"blocks", "schemas"},
        "answer": {"blocks", "request", "schemas"},
    }


def test_nothing_outside_the_dialects_knows_a_wire() -> None:
    for path in _files():
        if _room(path) != "dialects":
            names = [name.split(".") for name in _imports(_tree(path)) if name.startswith(f"{OURS}.dialects.")]
            wires = {name[2] for name in names} - {"shared", "dialect", "choose_dialect", "dialect_named", "AUTO"}
            assert not wires, f"{path.relative_to(ROOT)} must not import {wires}"


def test_httpx_is_imported_in_transport_alone() -> None:
    users = [path for path in _files() if any(name.partition(".")[0] == "httpx" for name in _imports(_tree(path)))]
    # The embedded workspace is a client of the model server that stands behind it.
    assert {str(path.relative_to(ROOT)) for path in users if _room(path) != "transport"} == {
        "local/rule_model/backend.py"
    }


def test_the_http_stack_is_fenced() -> None:
    stack = f"{OURS}.transport.http"
    users: set[tuple[str, str]] = set()
    for path in _files():
        names = {name for name in _imports(_tree(path)) if name == stack or name.startswith(f"{stack}.")}
        if path.parent == ROOT / "transport" / "http":
            others = {name for name in _imports(_tree(path)) if name.startswith(OURS)} - names
            # A few lines each, which import nothing of ours.
            allowed = ("blocking.finish", "bare_threads.in_thread", "bare_threads.start_thread")
            others -= {f"{OURS}.transport.{name}" for name in allowed}
            assert not others, f"{path.name} must not import {others}"
        else:
            users |= {(path.name, name) for name in names}
    assert users == {("clients.py", f"{stack}.{name}") for name in ("AsyncPooledTransport", "PooledTransport")}
    assert {name for _, name in users} == {f"{stack}.{name}" for name in http.__all__}
    assert issubclass(http.PooledTransport, httpx.BaseTransport)
    assert issubclass(http.AsyncPooledTransport, httpx.AsyncBaseTransport)


def test_no_end_marker_of_an_api_stands_in_transport() -> None:
    for path in (ROOT / "transport").rglob("*.py"):
        assert "[DONE]" not in path.read_text("utf-8"), f"{path.name}: the caller passes is_last"


def test_the_sdk_is_imported_in_one_place_and_only_inside_functions() -> None:
    for path in _files():
        tree = _tree(path)
        if any(name.startswith("databricks.") for name in _imports(tree)):
            assert path.name == "sdk.py"
            top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
            assert not any(name.startswith("databricks.") for node in top for name in _imports(node))


@cache
def _files() -> tuple[Path, ...]:
    return tuple(path for path in sorted(ROOT.rglob("*.py")) if "__pycache__" not in path.parts)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def _imports(tree: ast.AST) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))
