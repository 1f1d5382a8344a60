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
    from collections.abc import Callable, Mapping

    from langchain_core.tools import StructuredTool

    _StateOf = Callable[[Any], tuple[Any, ...] | None]

__all__ = ["MARSHAL_FORMAT", "convert_once"]

MARSHAL_FORMAT = 2
"""The version of `marshal` that writes equal values as equal bytes."""


class _Converted(NamedTuple):
    tool: weakref.ref[Any]
    state_of: _StateOf
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
    key = (id(tool), strict)
    try:
        known = _known.get(key)
        if known is not None and known.tool() is tool and known.state_of(tool) == known.state:
            return marshal.loads(known.packed)  # type: ignore[no-any-return]  # noqa: S302  # the bytes are our own
        state_of = _state_reader(tool)
        state = None if state_of is None else state_of(tool)
        converted = convert_tool(tool, strict)
        if state_of is not None and state is not None:
            packed = marshal.dumps(converted, MARSHAL_FORMAT)
            _known[key] = _Converted(weakref.ref(tool, lambda _: _known.pop(key, None)), state_of, state, packed)
    except ValueError:  # the schema has other values than JSON's
        return convert_tool(tool, strict)
    return converted


def _state_reader(tool: Any) -> _StateOf | None:
    """Return what reads the state of a tool of this kind; None if its state cannot be known."""
    if isinstance(tool, FunctionType):
        return _state_of_function
    if isinstance(tool, type):
        return _state_of_class
    return _state_of_tool if _is_structured_tool(tool) else None


# Each of these returns what the conversion of a tool depends on, without a reference to the tool; None if that is not
# known.


def _state_of_function(tool: FunctionType) -> tuple[Any, ...]:
    return (tool.__name__, tool.__doc__, tool.__code__, tool.__defaults__, tuple(tool.__annotations__.items()))


def _state_of_class(tool: Any) -> tuple[Any, ...] | None:
    schema = vars(tool).get("__pydantic_core_schema__")
    return None if not isinstance(schema, dict) else (tool.__name__, tool.__doc__, _Same(schema))


def _state_of_tool(tool: StructuredTool) -> tuple[Any, ...] | None:
    if getattr(tool, "extras", None) is not None:
        return None
    arguments: Any = tool.args_schema
    if isinstance(arguments, dict):
        written: Any = marshal.dumps(arguments, MARSHAL_FORMAT)
    else:
        written = _state_of_class(arguments) if isinstance(arguments, type) else None
        if written is None:
            return None
    function, coroutine = tool.func, tool.coroutine
    codes = (getattr(function, "__code__", type(function)), getattr(coroutine, "__code__", type(coroutine)))
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
