"""Build what an answer that is still arriving stands for: instances of a Pydantic class, or JSON.

Rule 1. Instances within the answer that were complete are not built again, so the time is linear in the answer:
Pydantic takes an instance of a field's class as it is.
Rule 2. This holds if the class has no validators of its own, because such a validator would get an instance where it
gets a dict otherwise, and no union of classes, because the answer may turn out to be of the other class. All other
types are built from the whole JSON each time.
Rule 3. Nulls that the caller's schema does not allow are dropped, in what has arrived since the answer before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from langchain_dbchat.chat_models.structured_shapes import NOTHING
from langchain_dbchat.dialects.shared.schemas import PartialNulls

if TYPE_CHECKING:
    from langchain_dbchat.chat_models.structured_shapes import AnswerShape

__all__ = ["PartialInstances"]

_PLAIN_TYPES = frozenset(
    {
        "any",
        "bool",
        "date",
        "datetime",
        "decimal",
        "default",
        "definition-ref",
        "definitions",
        "dict",
        "enum",
        "float",
        "int",
        "list",
        "literal",
        "model",
        "model-field",
        "model-fields",
        "none",
        "nullable",
        "str",
        "union",
    }
)
"""The types of Pydantic's core schemas in which nothing of the class runs."""

_CLASSES = frozenset({"model", "definition-ref"})
_BELOW = ("schema", "items_schema", "keys_schema", "values_schema", "definitions")

_SPECIAL = ("custom_init", "post_init", "revalidate_instances", "root_model", "strict")


class PartialInstances:
    """Builds the instance of each partial answer.

    Args:
        shape: The shape of the answer.
    """

    def __init__(self, shape: AnswerShape) -> None:
        self._build = shape.build
        kind = shape.wanted.kind
        schema = getattr(kind, "__pydantic_core_schema__", getattr(kind, "core_schema", None))
        self._is_plain = isinstance(schema, dict) and _is_plain(schema)
        self._nulls = PartialNulls(shape.wanted.schema)
        self._raw: Any = NOTHING
        self._built: Any = None

    def build(self, raw: Any, *, holds_null: bool = True) -> Any:
        """Build an instance, or return the JSON of an answer that has no class.

        Args:
            raw: The JSON of a partial answer. Its complete parts are the same objects as in the answer before.
            holds_null: Whether there may be a null in it.

        Returns:
            The instance, or the JSON, without the nulls that the schema does not allow.

        Raises:
            ValidationError: If the JSON does not fit the class.
        """
        if holds_null:
            raw = self._nulls.drop(raw)
        if self._build is None:
            return raw
        built = self._build(_reusing(raw, self._raw, self._built) if self._is_plain else raw)
        self._raw, self._built = raw, built
        return built


def _reusing(raw: Any, before: Any, built: Any) -> Any:
    """Return JSON with the instances of an earlier answer in place of their own JSON."""
    if raw is before:
        return built if isinstance(built, BaseModel) else raw
    if isinstance(raw, dict) and isinstance(before, dict) and isinstance(built, BaseModel):
        fields = type(built).model_fields
        return {
            key: _reusing(value, before[key], built.__dict__[key])
            if key in before and key in fields and fields[key].validation_alias is None
            else value
            for key, value in raw.items()
        }
    if isinstance(raw, list) and isinstance(before, list) and isinstance(built, list) and before:
        last = len(before) - 1  # all but the last one were complete
        if (
            not isinstance(built[0], BaseModel)
            or len(built) != len(before)
            or len(raw) < len(before)  # the key came once more
            or (last and raw[last - 1] is not before[last - 1])
        ):
            return raw
        return [*built[:last], _reusing(raw[last], before[last], built[last]), *raw[last + 1 :]]
    return raw


def _is_plain(schema: Any, allowed: frozenset[str] = _PLAIN_TYPES) -> bool:
    """Return whether a core schema consists of types in which nothing of the class runs."""
    if isinstance(schema, (list, tuple)):
        return all(_is_plain(below, allowed) for below in schema)
    if not isinstance(schema, dict):
        return True
    kind = schema.get("type")
    config = schema.get("config") or {}
    if kind not in allowed or any(schema.get(name) or config.get(name) for name in _SPECIAL):
        return False
    if kind == "union":
        return _is_plain(schema["choices"], allowed - _CLASSES)
    fields = schema["fields"] if kind == "model-fields" else {}
    return _is_plain([*fields.values(), *(schema[name] for name in _BELOW if name in schema)], allowed)
