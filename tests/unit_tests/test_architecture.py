"""Who may import whom. The arrows of the house are read from the code."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import langchain_dbchat

ROOT = Path(langchain_dbchat.__file__).parent
OURS = "langchain_dbchat"

# For each room: the rooms of ours, and the packages of others, that it may import.
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "errors": ({"error_bodies"}, {"langchain_core", "pydantic_core"}),
    "error_answers": ({"error_bodies", "error_meanings", "error_sent", "errors"}, {"langchain_core"}),
    "error_bodies": ({"error_guardrails", "error_pages", "error_redaction"}, {"pydantic_core"}),
    "error_guardrails": (set(), set()),
    "error_advice": (set(), set()),
    "error_redaction": (set(), set()),
    "error_meanings": ({"error_advice", "error_bodies", "error_guardrails", "error_overflow"}, set()),
    "error_pages": (set(), set()),
    "error_sent": ({"error_redaction"}, set()),
    "error_overflow": ({"error_advice"}, set()),
    "proxies": ({"errors"}, set()),
    "models": (set(), {"langchain_core"}),
    "auth": (
        {"errors", "error_bodies", "error_sent", "proxies", "_version"},
        {"pydantic", "pydantic_core", "httpx", "databricks"},
    ),
    "dialects": ({"models", "errors", "error_answers"}, {"langchain_core", "pydantic", "pydantic_core", "numpy"}),
    "transport": (
        {"auth", "errors", "error_answers", "error_bodies", "error_meanings", "error_sent", "proxies", "_version"},
        {"httpx", "h11", "langchain_core", "pydantic_core"},
    ),
    "local": ({"_version"}, {"starlette", "uvicorn", "pydantic_core", "httpx"}),
    "connection": (
        {"link", "marks", "notices", "auth", "models", "errors", "transport"},
        {"pydantic", "pydantic_core"},
    ),
    "link": ({"auth", "errors", "marks", "transport"}, set()),
    "marks": (set(), {"pydantic"}),
    "notices": (set(), set()),
    "discovery": ({"auth", "link", "notices", "models", "errors", "transport"}, {"pydantic_core"}),
    "chat_settings": ({"connection", "marks"}, {"pydantic"}),
    "structured_output": ({"dialects", "models", "structured_answers", "structured_shapes"}, {"langchain_core"}),
    "structured_answers": ({"dialects", "structured_shapes"}, {"langchain_core", "pydantic"}),
    "structured_shapes": ({"dialects"}, {"langchain_core", "pydantic"}),
    "calling": (
        {
            "link",
            "marks",
            "notices",
            "chat_settings",
            "discovery",
            "structured_output",
            "dialects",
            "models",
            "errors",
            "transport",
        },
        {"langchain_core"},
    ),
    "batching": ({"notices"}, {"langchain_core"}),
    "chat_models": (
        {
            "batching",
            "calling",
            "link",
            "marks",
            "notices",
            "chat_settings",
            "discovery",
            "structured_answers",
            "structured_output",
            "dialects",
            "models",
            "errors",
            "_version",
        },
        {"langchain_core", "pydantic"},
    ),
    "embeddings": (
        {"embedding_calls", "link", "notices", "connection", "dialects", "errors"},
        {"langchain_core", "pydantic"},
    ),
    "embedding_calls": (
        {"link", "notices", "connection", "embeddings", "dialects", "models", "errors", "transport"},
        {"pydantic_core", "tqdm"},
    ),
    "spark": (
        {"embeddings", "errors"},
        {"langchain_core", "pydantic_core", "pandas", "pyspark"},
    ),
    "doctor": (
        {"auth", "chat_models", "embeddings", "errors", "error_bodies", "transport", "_version"},
        {"pydantic_core"},
    ),
    "cli": ({"chat_models", "doctor", "embeddings", "local", "auth", "errors", "_version"}, set()),
    "__init__": ({"_version", "chat_models", "embeddings"}, {"langchain_core"}),
    "_version": (set(), set()),
}


def _files() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


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


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = _room(path)
    ours, others = MAY_IMPORT[room]
    for name in _imports(ast.parse(path.read_text("utf-8"))):
        package, _, rest = name.partition(".")
        if package == OURS:
            target = rest.partition(".")[0]
            assert target == room or target in ours, f"{room} must not import {name}"
        elif package not in sys.stdlib_module_names and package not in {"typing_extensions", "__future__"}:
            assert package in others, f"{room} must not import {name}"


def test_the_sdk_is_imported_in_one_place_and_only_inside_functions() -> None:
    for path in _files():
        tree = ast.parse(path.read_text("utf-8"))
        if any(name.startswith("databricks.") for name in _imports(tree)):
            assert path.name == "sdk.py"
            top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
            assert not any(name.startswith("databricks.") for node in top for name in _imports(node))


def test_httpx_is_imported_by_transport_and_auth_alone_besides_the_local_backend() -> None:
    rooms = {_room(path) for path in _files() if "httpx" in {n.partition(".")[0] for n in _imports(_tree(path))}}
    assert rooms <= {"transport", "auth", "local"}


def _tree(path: Path) -> ast.AST:
    return ast.parse(path.read_text("utf-8"))
