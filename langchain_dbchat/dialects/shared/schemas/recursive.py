"""Make complete schemas of Python types that contain themselves.

langchain-core inlines references, and replaces a schema that contains itself by ``{}``, which allows any value: the
children of a tree are lost. For a TypedDict that contains itself it raises RecursionError, and for ``NotRequired`` and
``Required`` TypeError.

Rule 1. Only schemas that langchain-core cuts or refuses are made here, with ``$ref`` and ``$defs``.
Rule 2. Name and description are langchain-core's, and titles are left out, as langchain-core does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from langchain_core.utils.pydantic import is_basemodel_subclass
from typing_extensions import NotRequired, Required, is_typeddict

from langchain_dbchat.dialects.shared.schemas.parts import (
    Document,
    Schema,
    is_annotated_only,
    map_schemas,
    subschemas,
)

_QUALIFIERS = frozenset({Required, NotRequired})


def recursive_parameters(tool: Any, converted: Any) -> Schema | None:
    """Return the parameters of a tool whose schema contains itself.

    Args:
        tool: A Pydantic class, function or LangChain tool.
        converted: The parameters as langchain-core made them.

    Returns:
        The parameters with ``$defs``; None if langchain-core's are complete.
    """
    if not any(map(is_annotated_only, subschemas(converted))):
        return None  # nothing was cut
    schema = _full_schema(tool)
    if schema is None or not _contains_itself(schema):
        return None
    return _plain(schema)


def recursive_function(tool: Any) -> dict[str, Any] | None:
    """Return the function of a TypedDict that langchain-core cannot convert.

    Args:
        tool: Anything.

    Returns:
        Name, description and parameters; None for anything else.

    Raises:
        TypeError: If it is a ``typing.TypedDict`` and Python is older than 3.12.
    """
    if not is_typeddict(tool) or not _is_refused_by_core(tool):
        return None
    from pydantic import PydanticUserError, TypeAdapter  # noqa: PLC0415  # few tools need it

    try:
        schema = TypeAdapter(tool).json_schema()
    except PydanticUserError as error:
        raise TypeError(
            f"{tool.__name__} is a TypedDict that contains itself or NotRequired: take TypedDict from "
            f"typing_extensions instead of typing, or use a Pydantic class ({error.message})"
        ) from error
    parameters = _plain(schema)
    for name, described in _descriptions(tool):
        parameters["properties"][name] = {**parameters["properties"][name], "description": described}
    return {
        "name": tool.__name__,
        "description": inspect.getdoc(tool) or "",
        "parameters": parameters,
    }


def _descriptions(typed_dict: Any) -> Iterator[tuple[str, str]]:
    """Read LangChain's way to describe a key: ``Annotated[type, default, "description"]``."""
    for name, hint in get_type_hints(typed_dict, include_extras=True).items():
        bare = get_args(hint)[0] if get_origin(hint) in _QUALIFIERS else hint
        said = [one for one in getattr(bare, "__metadata__", ())[1:2] if isinstance(one, str)]
        yield from ((name, one) for one in said)


def _is_refused_by_core(typed_dict: Any) -> bool:
    """Return whether a TypedDict, or one inside of it, contains itself, ``Required`` or ``NotRequired``."""
    done: set[Any] = set()

    def loops(kind: Any, above: tuple[Any, ...]) -> bool:
        if get_origin(kind) in _QUALIFIERS:
            return True
        if not is_typeddict(kind):
            return any(loops(inner, above) for inner in get_args(kind))
        if kind in above:
            return True
        if kind in done:
            return False
        done.add(kind)
        hints = get_type_hints(kind, include_extras=True)
        return any(loops(inner, (*above, kind)) for inner in hints.values())

    try:
        return loops(typed_dict, ())
    except (NameError, TypeError):
        return False  # langchain-core reports names that cannot be resolved


def _full_schema(tool: Any) -> Schema | None:
    from langchain_core.tools import BaseTool, Tool  # noqa: PLC0415  # loaded for calls with tools

    source = tool
    if isinstance(tool, BaseTool):
        if isinstance(tool, Tool) and not tool.args_schema:
            return None
        source = tool.tool_call_schema
    elif not isinstance(tool, type) and callable(tool):
        from langchain_core.tools.base import create_schema_from_function  # noqa: PLC0415  # the same

        source = create_schema_from_function(
            tool.__name__, tool, filter_args=(), parse_docstring=True, include_injected=False
        )
    if isinstance(source, dict):
        return source
    if not (isinstance(source, type) and is_basemodel_subclass(source)):
        return None
    make: Any = getattr(source, "model_json_schema", None) or source.schema  # type: ignore[attr-defined]  # Pydantic 1's
    schema: Schema = make()
    return schema


def _contains_itself(schema: Schema) -> bool:
    document = Document(schema)
    state: dict[str, bool] = {}

    def loops(node: Any) -> bool:
        for inner in subschemas(_without_defined(node)):
            reference = inner.get("$ref")
            if not isinstance(reference, str) or state.get(reference) is False:
                continue
            if reference in state:
                return True
            state[reference] = True
            if reference == "#" or loops(document.resolve(reference)):
                return True
            state[reference] = False
        return False

    return loops(schema)


def _without_defined(node: Any) -> Any:
    return {key: value for key, value in node.items() if key not in {"$defs", "definitions"}}


def _plain(schema: Schema) -> Schema:
    """Replace a root that is a reference by what it names, and remove titles."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target = Document(schema).resolve(reference)
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    untitled = _untitled(schema)
    return {key: value for key, value in untitled.items() if key != "description"}


def _untitled(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    return map_schemas({key: value for key, value in node.items() if key != "title"}, _untitled)
