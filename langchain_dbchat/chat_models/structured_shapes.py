"""Say what a structured answer is: how it is taken out of its wrapper, built, and described.

Rule 1. What was asked for as a property of an object, because its schema is not an object, is taken out of it again. A
model that left the wrapper out is understood where the schema leaves no doubt.
Rule 2. Answers are built as the Python type that was given; a TypedDict and a JSON schema give what the model wrote.
Rule 3. The output schema is that of the caller, as langchain-core means it (``Runnable.get_output_schema``).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from langchain_core.utils.json_schema import dereference_refs
from pydantic import BaseModel, RootModel, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.dialects.shared.spellings import Wanted

NOTHING: Any = object()
"""No answer (yet); None is an answer where the schema allows null."""


class AnswerShape(NamedTuple):
    """What an answer is.

    Attributes:
        wanted: The schema that was asked for.
        key: The property that the answer is wrapped in; None if it is an object itself.
        build: What makes an instance of the type that was given; None if answers are dicts.
    """

    wanted: Wanted
    key: str | None
    build: Callable[[Any], Any] | None

    @classmethod
    def of(cls, wanted: Wanted, key: str | None) -> AnswerShape:
        """Make the shape of a schema's answers.

        Args:
            wanted: The schema that was asked for.
            key: The property that the answer is wrapped in, or None.

        Returns:
            The shape.
        """
        return cls(wanted, key, _builder(wanted.kind) if wanted.builds else None)

    def unwrapped(self, value: Any) -> Any:
        """Take an answer out of its wrapper; a model that left the wrapper out is understood where that is possible."""
        if self.key is None:
            return value
        if isinstance(value, dict) and set(value) <= {self.key}:
            return value.get(self.key, NOTHING)
        if self.wanted.builds or not isinstance(value, dict) or _may_be_object(self.wanted.schema):
            return value
        raise ValueError(f"The answer is an object without {self.key!r}, where the schema has none.")

    @property
    def output_type(self) -> Any:
        """The type of answers, as `OutputType` means it."""
        kind = self.wanted.kind
        if isinstance(kind, TypeAdapter):
            return Any
        return self._plain if kind is None else kind

    def output_schema(self, name: str) -> type[BaseModel]:
        """Return a model of the answers; its JSON schema is the one that was asked for."""
        kind = self.wanted.kind
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        root = (
            self.output_type if self.wanted.builds and not hasattr(kind, "__fields__") else self._plain
        )  # not for Pydantic v1
        return _described(name, root, self.wanted)

    @property
    def _plain(self) -> Any:
        """The type of answers that are not built: a dict, unless the schema is not an object."""
        return dict[str, Any] if self.key is None else Any


def _builder(kind: Any) -> Callable[[Any], Any]:
    """Return what makes a type's instances: Pydantic of either version, or an adapter."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_validate
    if hasattr(kind, "parse_obj"):
        return kind.parse_obj  # type: ignore[no-any-return]  # Pydantic v1
    adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    return adapter.validate_python


def _may_be_object(schema: Any) -> bool:
    """Tell whether a JSON schema may allow an object; a reference or no type may."""
    if not isinstance(schema, dict):
        return True
    kind = schema.get("type")
    if kind is not None and "object" not in ([kind] if isinstance(kind, str) else kind):
        return False
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and not any(map(_may_be_object, schema[key])):
            return False
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return values is None or any(isinstance(value, dict) for value in values)


def _described(name: str, root: Any, wanted: Wanted) -> type[BaseModel]:
    """Make a model of values that a JSON schema describes."""
    described: dict[str, Any] = {"title": wanted.name, **wanted.schema}
    if wanted.description:
        described["description"] = wanted.description

    class Described(RootModel[root]):
        json_schema_of_answer: ClassVar[dict[str, Any]] = described

        @classmethod
        def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
            del args, kwargs
            return copy.deepcopy(cls.json_schema_of_answer)

        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
            del core_schema, handler
            inlined = dereference_refs(copy.deepcopy(cls.json_schema_of_answer))
            return {key: value for key, value in inlined.items() if key not in {"$defs", "definitions"}}

    Described.__name__ = Described.__qualname__ = name
    return Described
