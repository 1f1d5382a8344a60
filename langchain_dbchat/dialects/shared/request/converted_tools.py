"""Convert a tool once, however often it is bound: an agent binds its tools again for each call of the model.

Rule 1. The key is the tool object, which is not kept alive, and what its conversion depends on: a tool that was changed
is converted again. Other kinds of tools (dicts, TypedDicts, tools of a class of their own) are converted each time.
Rule 2. Each caller gets a copy.
"""

from __future__ import annotations

import marshal
import weakref
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_dbchat.dialects.shared.request.tools import convert_tool

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["convert_once"]

_FORMAT = 2
"""The version of `marshal` that writes equal values as equal bytes."""


class _Converted(NamedTuple):
    tool: weakref.ref[Any]
    state: tuple[Any, ...]
    packed: bytes


_known: dict[tuple[int, bool | None], _Converted] = {}


def convert_once(tool: Any, strict: bool | None) -> dict[str, Any]:
    """Do the same as `convert_tool`, but convert each tool once.

    Args:
        tool: A tool of any kind.
        strict: Whether to ask for arguments that follow the schema exactly; None says nothing.

    Returns:
        The tool in OpenAI's shape.
    """
    try:
        state = _state_of(tool)
        known = None if state is None else _known.get((id(tool), strict))
        if known is not None and known.tool() is tool and known.state == state:
            return marshal.loads(known.packed)  # type: ignore[no-any-return]  # noqa: S302  # the bytes are our own
        converted = convert_tool(tool, strict)
        if state is not None:
            key = (id(tool), strict)
            packed = marshal.dumps(converted, _FORMAT)
            _known[key] = _Converted(weakref.ref(tool, lambda _: _known.pop(key, None)), state, packed)
    except ValueError:  # the schema has other values than JSON's
        return convert_tool(tool, strict)
    return converted


def _state_of(tool: Any) -> tuple[Any, ...] | None:
    """Return what the conversion of a tool depends on, without a reference to the tool; None if that is not known."""
    if isinstance(tool, FunctionType):
        hints = tuple(tool.__annotations__.items())
        return (tool.__name__, tool.__doc__, tool.__code__, tool.__defaults__, hints)
    if isinstance(tool, type):
        schema = vars(tool).get("__pydantic_core_schema__")
        return None if not isinstance(schema, dict) else (tool.__name__, tool.__doc__, _Same(schema))
    if not _is_structured_tool(tool) or getattr(tool, "extras", None) is not None:
        return None
    arguments = tool.args_schema
    if isinstance(arguments, dict):
        written: Any = marshal.dumps(arguments, _FORMAT)
    else:
        written = _state_of(arguments)
        if written is None:
            return None
    codes = tuple(getattr(run, "__code__", type(run)) for run in (tool.func, tool.coroutine))
    return (tool.name, tool.description, codes, written)


class _Same:
    """Equal to itself and to what holds the same object."""

    __slots__ = ("_it",)

    def __init__(self, it: Mapping[str, Any]) -> None:
        self._it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._it is other._it

    __hash__ = None  # type: ignore[assignment]  # not a key


def _is_structured_tool(tool: Any) -> bool:
    from langchain_core.tools import StructuredTool  # noqa: PLC0415  # loaded where a tool was made

    return type(tool) is StructuredTool
