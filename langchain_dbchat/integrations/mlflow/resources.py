"""Find the resources of everything that a chain, an agent or a retriever contains.

Rule 1. MLflow itself finds the models of databricks-langchain only, and only within chains
(github.com/mlflow/mlflow, mlflow/langchain/databricks_dependencies.py).
Rule 2. Objects are searched through their attributes, and functions through their closures, their defaults and the
names that they use: global ones, and those of modules that are imported already. An agent graph keeps its model in a
closure. Objects of packages that hold no models are not searched.
Rule 3. A class of the user's is searched too, because the methods of a ResponsesAgent use global names
(mlflow.org/docs/latest/genai/serving/responses-agent). Classes of libraries are not: their methods use everything.
Rule 4. Some tools, such as databricks-langchain's Vector Search, say themselves what they need, in an attribute
``resources``. Its Genie agents and its tools for Unity Catalog's functions only keep a name
(databricks_ai_bridge/genie.py of databricks-ai-bridge 0.22, unitycatalog/ai/langchain/toolkit.py of
unitycatalog-langchain 0.3).
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from langchain_dbchat.connection.resources import mlflow_resource
from langchain_dbchat.connection.settings import DatabricksConnection

__all__ = ["resources"]

_MOST = 200_000
"""Objects that are looked at; an agent has a few thousand."""

_NOT_SEARCHED = frozenset(
    {
        "abc", "ast", "asyncio", "builtins", "chromadb", "collections", "concurrent", "contextvars", "databricks",
        "datetime", "decimal", "enum", "faiss", "httpcore", "httpx", "inspect", "logging", "mlflow", "multiprocessing",
        "numpy", "openai", "pandas", "pathlib", "polars", "pyarrow", "pyspark", "queue", "re", "socket", "ssl",
        "tenacity", "threading", "torch", "typing", "typing_extensions", "uuid", "weakref",
    }
)  # fmt: skip
"""Top-level modules of classes whose objects hold no models of ours."""

_LIBRARIES = (
    sys.stdlib_module_names
    | _NOT_SEARCHED
    | {
        "databricks_ai_bridge", "databricks_langchain", "fastapi", "langchain", "langchain_classic",
        "langchain_community", "langchain_core", "langchain_dbchat", "langgraph", "langsmith", "pydantic",
        "pydantic_core", "starlette", "unitycatalog",
    }
)  # fmt: skip
"""Top-level modules whose classes and modules are not the user's."""

_KEEPS_A_NAME = {
    ("databricks_ai_bridge", "Genie"): ("space_id", "DatabricksGenieSpace"),
    ("unitycatalog", "UnityCatalogTool"): ("uc_function_name", "DatabricksFunction"),
}
"""By package and class: the attribute that has a resource's name, and the kind of the resource."""

_WRAPPERS: Mapping[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"),
    types.MethodType: ("__self__", "__func__"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget",),
}
"""By class: the attributes that have what it wraps."""

_PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None))


def resources(*objects: Any, on_behalf_of_user: bool | None = None) -> list[Any]:
    """Return the resources that chains, agents, retrievers, tools or functions need, for `log_model`.

    Args:
        *objects: What is deployed: an agent, a chain, a model, or an object, a class, a function or a module of yours
            that uses them.
        on_behalf_of_user: Whether the deployed agent uses the permissions of who calls it, for our models.

    Returns:
        Objects of ``mlflow.models.resources``, each once, in the order in which they were found.

    Raises:
        ImportError: If MLflow is not installed.

    Example:
        >>> from langchain_core.output_parsers import StrOutputParser
        >>> from langchain_dbchat import ChatDatabricksCompat
        >>> from langchain_dbchat.integrations.mlflow import resources
        >>> chain = ChatDatabricksCompat(model="databricks-claude-sonnet-4-6") | StrOutputParser()
        >>> [resource.name for resource in resources(chain)]  # doctest: +SKIP
        ['databricks-claude-sonnet-4-6']
    """
    found: dict[tuple[str, str], Any] = {}
    for part in _walk([*objects, *(vars(each) for each in objects if isinstance(each, types.ModuleType))]):
        if isinstance(part, DatabricksConnection):
            given = part.resources(on_behalf_of_user=on_behalf_of_user)
        else:
            given = _own_resources(part)
        for resource in given:
            found.setdefault((type(resource).__name__, resource.name), resource)
    return list(found.values())


def _own_resources(part: Any) -> list[Any]:
    """Return what a tool or a retriever says that it needs."""
    if isinstance(part, (types.FunctionType, type)) or not _has_vars(part):
        return []
    own = vars(part)
    given = own.get("resources")
    said = given if isinstance(given, (list, tuple)) else ()
    found = [each for each in said if any(kind.__name__ == "DatabricksResource" for kind in type(each).__mro__)]
    for kind in type(part).__mro__:
        attribute, resource = _KEEPS_A_NAME.get((kind.__module__.partition(".")[0], kind.__name__), ("", ""))
        if own.get(attribute):
            found.append(mlflow_resource(resource, own[attribute]))
    return found


def _walk(objects: Collection[Any]) -> Iterator[Any]:
    """Visit each reachable object once, in the order of their depth."""
    waiting: list[Any] = list(objects)
    seen: dict[int, Any] = {}  # keeps what was seen alive, so that no id is used twice
    place = 0
    while place < len(waiting) and len(seen) < _MOST:
        part = waiting[place]
        place += 1
        if isinstance(part, _PLAIN) or id(part) in seen:
            continue
        seen[id(part)] = part
        yield part
        waiting.extend(_inside(part))


def _inside(part: Any) -> Iterator[Any]:
    if isinstance(part, Mapping):
        yield from part.values()
    elif isinstance(part, (list, tuple, set, frozenset)):
        yield from part
    elif isinstance(part, tuple(_WRAPPERS)):
        wrapped = next(names for kind, names in _WRAPPERS.items() if isinstance(part, kind))
        yield from (getattr(part, name) for name in wrapped)
    elif isinstance(part, types.FunctionType):
        yield from _inside_function(part)
    elif isinstance(part, type):
        yield from _inside_class(part)
    elif not isinstance(part, types.ModuleType) and _package(type(part).__module__) not in _NOT_SEARCHED:
        yield type(part)
        if _has_vars(part):
            yield from vars(part).values()
        yield from (getattr(part, name) for name in _slots(type(part)) if hasattr(part, name))
        yield from (getattr(part, "__pydantic_private__", None) or {}).values()


def _inside_class(kind: type) -> Iterator[Any]:
    """Return the bases of a user's class, its methods, and its attributes."""
    if _package(kind.__module__) in _LIBRARIES:
        return
    yield from kind.__bases__
    for name, value in vars(kind).items():
        if isinstance(value, types.FunctionType) or not name.startswith("__"):
            yield value


def _inside_function(function: types.FunctionType) -> Iterator[Any]:
    yield from map(_content, function.__closure__ or ())
    yield from (function.__defaults__ or (), function.__kwdefaults__ or {}, getattr(function, "__wrapped__", None))
    if _package(function.__module__) in _NOT_SEARCHED:
        return
    names = tuple(_names(function.__code__))
    yield from (function.__globals__.get(name) for name in names)
    for module in _modules(function, names):
        yield from (vars(module).get(name) for name in names)


def _modules(function: types.FunctionType, names: Collection[str]) -> Iterator[types.ModuleType]:
    """Return the user's modules that a function uses by a global name, or imports itself."""
    package = function.__globals__.get("__package__")
    for name in names:
        for found in (function.__globals__.get(name), sys.modules.get(name), sys.modules.get(f"{package}.{name}")):
            if isinstance(found, types.ModuleType) and _package(found.__name__) not in _LIBRARIES:
                yield found


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return None


def _names(code: types.CodeType) -> Iterator[str]:
    """Return the global names that a function and the functions within it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _has_vars(part: Any) -> bool:
    return hasattr(part, "__dict__")


def _slots(kind: type) -> Iterator[str]:
    for each in kind.__mro__:
        slots = each.__dict__.get("__slots__", ())
        yield from (name for name in ((slots,) if isinstance(slots, str) else slots) if not name.startswith("__"))
