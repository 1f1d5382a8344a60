"""Who may import whom, read from the code. The table is exact: it permits nothing that is not used."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import langchain_dbchat
from langchain_dbchat.transport import http

ROOT = Path(langchain_dbchat.__file__).parent
OURS = "langchain_dbchat"

# For each room: the rooms of ours that it imports, and the packages of others.
ARROWS: dict[str, tuple[set[str], set[str]]] = {
    "__init__": ({"_core", "_version", "chat_models", "embeddings", "errors", "transport"}, set()),
    "_core": (set(), {"langchain_core"}),
    "cli": (
        {"_version", "auth", "chat_models", "embeddings", "errors", "local", "routing", "transport"},
        {"pydantic_core"},
    ),
    "spark": ({"embeddings", "errors"}, {"langchain_core", "pandas", "pydantic_core", "pyspark"}),
    "chat_models": (
        {"_version", "connection", "dialects", "errors", "models", "transport"},
        {"langchain_core", "pydantic"},
    ),
    "embeddings": (
        {"connection", "dialects", "errors", "models", "transport"},
        {"langchain_core", "numpy", "pydantic", "pydantic_core", "tqdm"},
    ),
    "connection": ({"auth", "errors", "models", "routing", "transport"}, {"pydantic", "pydantic_core"}),
    "auth": (
        {"_loopback", "_version", "errors", "routing", "transport"},
        {"databricks", "pydantic", "pydantic_core"},
    ),
    "dialects": ({"errors", "models"}, {"langchain_core", "pydantic", "pydantic_core"}),
    "transport": ({"_loopback", "_version", "errors"}, {"h11", "httpx", "pydantic_core"}),
    "routing": ({"_loopback", "errors"}, set()),
    "models": (set(), {"langchain_core"}),
    "errors": (set(), {"langchain_core", "pydantic_core"}),
    "local": (set(), {"httpx", "pydantic_core", "starlette", "uvicorn"}),
    "_loopback": (set(), set()),
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


@pytest.mark.parametrize("room", ["embeddings", "errors", "models"])
def test_no_modules_of_a_room_make_a_circle(room: str) -> None:
    """Imports for types and within functions count too."""
    modules = {f"{OURS}.{room}.{path.stem}".removesuffix(".__init__"): path for path in (ROOT / room).glob("*.py")}
    imports = {
        module: {
            name if name in modules else name.rpartition(".")[0] for name in _imports(_tree(path)) if name != module
        }
        & modules.keys()
        for module, path in modules.items()
    }
    list(graphlib.TopologicalSorter(imports).static_order())


def test_a_dialect_imports_no_other_dialect() -> None:
    for path in (ROOT / "dialects").rglob("*.py"):
        own = path.relative_to(ROOT / "dialects").parts[0]
        for name in _imports(_tree(path)):
            if name.startswith(f"{OURS}.dialects."):
                other = name.split(".")[2]
                assert other in {own, "shared", "dialect"}, f"{path.relative_to(ROOT)} must not import {name}"


def test_nothing_outside_the_dialects_knows_a_wire() -> None:
    for path in _files():
        if _room(path) != "dialects":
            names = [name.split(".") for name in _imports(_tree(path)) if name.startswith(f"{OURS}.dialects.")]
            wires = {name[2] for name in names} - {"shared", "dialect", "dialect_named"}
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


def _files() -> Iterator[Path]:
    return (path for path in sorted(ROOT.rglob("*.py")) if "__pycache__" not in path.parts)


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))
