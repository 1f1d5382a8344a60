"""Make the signature of a class that `help()`, IPython and completion show: its arguments, in groups, with short types.

Rule 1. An argument that the constructor accepts is in it, under each of its names: the fields in the order of their
groups, LangChain's own at the end, then the other names.
Rule 2. The names and types are those for type checkers (`arguments.py`). The fields of a user's subclass come first.
Rule 3. A default that a function makes for each object (``default_factory``) is shown as ``...``, as in type stubs.
"""

from __future__ import annotations

import textwrap
from inspect import Parameter, Signature, formatannotation
from itertools import groupby
from typing import TYPE_CHECKING, Any, get_args

from pydantic_core import PydanticUndefined

from langchain_dbchat.connection.marks import SettingGroup, marks_of

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ["signature_of"]

_SUBCLASS = "of a subclass"
_OTHER_NAMES = "other names"

_INDENT = "    "
_WIDTH = 76  # of a screen with 80 columns, `help()` uses four for its margin


class _Argument(Parameter):
    """An argument with the group that it is shown in; a type that is given as text is shown without quotes."""

    __slots__ = ("group",)

    group: str

    def __str__(self) -> str:
        """Return the argument as it would be written in a definition."""
        written = self.annotation if isinstance(self.annotation, str) else formatannotation(self.annotation)
        if self.default is self.empty:
            return f"{self.name}: {written}"
        return f"{self.name}: {written} = {'...' if self.default is ... else repr(self.default)}"


class _GroupedSignature(Signature):
    """A signature that is shown in lines of a terminal's width; each group begins a line."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return the signature in several lines."""
        return self.format()

    def format(self, **_: Any) -> str:
        """Return the signature in several lines.

        Args:
            **_: The width that `help()` gives since Python 3.13; the lines fit into its window already.

        Returns:
            The text.
        """
        lines: list[str] = []
        for group, arguments in groupby(self.parameters.values(), key=lambda each: getattr(each, "group", "")):
            # The docstring explains the other names at their fields.
            texts = [f"{each.name}=None" if group == _OTHER_NAMES else str(each) for each in arguments]
            lines += _filled(texts)
        return "(\n    *,\n" + "\n".join(lines) + "\n)"


def _filled(arguments: list[str]) -> list[str]:
    """Return lines with as many arguments as fit; one that is longer than a line has lines of its own."""
    lines: list[str] = []
    for argument in arguments:
        if lines and len(lines[-1]) + len(argument) + 2 <= _WIDTH:
            lines[-1] += f" {argument},"
        else:
            lines += textwrap.wrap(f"{argument},", _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT * 2)
    return lines


def signature_of(cls: type[BaseModel], arguments: type) -> Signature:
    """Return the signature of the constructor of a class.

    Args:
        cls: The class.
        arguments: The `TypedDict` of the names and types that its constructor accepts.

    Returns:
        The signature. All arguments are keywords.
    """
    groups = marks_of(cls).groups
    order = (_SUBCLASS, *get_args(SettingGroup), _OTHER_NAMES)
    types = {name: getattr(it, "__forward_arg__", it) for name, it in arguments.__annotations__.items()}
    added = {name: field.annotation for name, field in cls.model_fields.items() if name not in types}
    found: list[_Argument] = []
    for name, annotation in {**added, **types}.items():
        field = cls.model_fields.get(name)
        default = None if field is None else _default(field)
        argument = _Argument(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        argument.group = _SUBCLASS if name in added else groups.get(name, _OTHER_NAMES)
        found.append(argument)
    found.sort(key=lambda each: order.index(each.group))
    return _GroupedSignature(found)


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return Parameter.empty
    return ... if field.default is PydanticUndefined else field.default
