"""The shape of a structured answer: unwrap it, build it, and describe its schema.

Rule 1. If a schema is not an object, its answer was requested as the property of an object, and is unwrapped. An answer
without the wrapper is accepted if the schema makes it unambiguous.
Rule 2. Answers are built as the given Python type; for a TypedDict and a JSON schema they stay as the model wrote them.
Rule 3. The output schema is the caller's schema (langchain-core, ``Runnable.get_output_schema``).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from langchain_core.utils.json_schema import dereference_refs
from pydantic import BaseModel, RootModel, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_dbchat.dialects.shared.request.spellings import Wanted

NOTHING: Any = object()
"""Marks that there is no answer (yet). None cannot, because a schema may allow null."""


class AnswerShape(NamedTuple):
    """The shape of an answer.

    Attributes:
        wanted: The requested schema.
        key: The property that the answer is wrapped in; None if the answer is an object itself.
        build: Makes an instance of the given type; None if answers are dicts.
    """

    wanted: Wanted
    key: str | None
    build: Callable[[Any], Any] | None

    @classmethod
    def of(cls, wanted: Wanted, key: str | None) -> AnswerShape:
        """Return the shape of a schema's answers.

        Args:
            wanted: The requested schema.
            key: The property that the answer is wrapped in, or None.

        Returns:
            The shape.
        """
        return cls(wanted, key, _builder(wanted.kind) if wanted.builds else None)

    def unwrapped(self, value: Any) -> Any:
        """Return an answer without its wrapper (rule 1)."""
        if self.key is None:
            return value
        if isinstance(value, dict) and set(value) <= {self.key}:
            return value.get(self.key, NOTHING)
        if self.wanted.builds or not isinstance(value, dict) or _may_be_object(self.wanted.schema):
            return value
        raise ValueError(f"The answer is an object without {self.key!r}, but the schema does not allow an object.")

    @property
    def output_type(self) -> Any:
        """Return the type of answers, for `OutputType`."""
        kind = self.wanted.kind
        if isinstance(kind, TypeAdapter):
            return Any
        return self._plain if kind is None else kind

    def output_schema(self, name: str) -> type[BaseModel]:
        """Return a model of the answers, with the requested JSON schema."""
        kind = self.wanted.kind
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        is_v1 = hasattr(kind, "__fields__")  # a Pydantic v1 class cannot be a field of a v2 model
        return _described(name, self.output_type if self.wanted.builds and not is_v1 else self._plain, self.wanted)

    @property
    def _plain(self) -> Any:
        """Return the type of answers that are not built: a dict, unless the schema is not an object."""
        return dict[str, Any] if self.key is None else Any


def _builder(kind: Any) -> Callable[[Any], Any]:
    """Return the function that makes instances of a type: of Pydantic v1 or v2, or of a ``TypeAdapter``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_validate
    if hasattr(kind, "parse_obj"):
        return kind.parse_obj  # type: ignore[no-any-return]  # Pydantic v1
    adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    return adapter.validate_python


def _may_be_object(schema: Any) -> bool:
    """Return whether a JSON schema may allow an object; a reference, or a schema without a type, may."""
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
    """Return a model of the values that a JSON schema describes."""
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
