"""What the client keeps for the length of its process is emptied between tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import langchain_dbchat
from kit.forgetting import KEPT, forget_everything
from langchain_dbchat.connection.endpoints import endpoint_of

PACKAGE = Path(langchain_dbchat.__file__).parent
# What needs no emptying: the entry goes with the object, the file, the loop or the call that it belongs to.
GOES_BY_ITSELF = {
    "auth.profiles._parsed",
    "auth.sdk._successors",
    "auth.tokens._locked",
    "connection.discovery._running",
    "dialects.shared.request.converted_tools._known",
    "transport.bare_threads._beginning",
    "transport.cancelling._undoing",
    "transport.open_answers._open",
}


def _containers(path: Path) -> Iterator[str]:
    """Yield the names of the containers that a module makes empty, to fill them later."""
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.parse(path.read_text("utf-8")).body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        value = getattr(node, "value", None)
        is_empty = isinstance(value, ast.Dict | ast.List) and not ast.unparse(value)[1:-1]
        is_made = isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in {
            "dict", "list", "set", "deque", "OrderedDict", "defaultdict", "TokenCells", "WeakSet", "WeakKeyDictionary",
        }  # fmt: skip
        if is_empty or (is_made and not getattr(value, "args", [])):
            yield from (f"{module}.{ast.unparse(target)}" for target in targets)


def test_all_that_is_kept_is_known() -> None:
    found = {name for path in PACKAGE.rglob("*.py") for name in _containers(path)}
    assert found == set(KEPT) | GOES_BY_ITSELF


def test_nothing_is_left() -> None:
    endpoint_of("http://127.0.0.1:1", "e")
    forget_everything()
    assert [name for name, kept in KEPT.items() if len(kept)] == []  # type: ignore[arg-type]  # each has a length
