"""Partial instances: equal to those that are built from the whole JSON, whatever the class contains."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from langchain_dbchat.chat_models.partial_instances import PartialInstances
from langchain_dbchat.chat_models.partial_json import PartialJson
from langchain_dbchat.chat_models.structured import ask_for
from langchain_dbchat.chat_models.structured_shapes import AnswerShape


class Part(BaseModel):
    name: str
    size: float = 0


class Item(BaseModel):
    name: str
    parts: list[Part] = []
    main: Part | None = None
    notes: dict[str, int | str] = {}


class Items(BaseModel):
    title: str = ""
    items: list[Item]


class Aliased(BaseModel):
    items: list[Item] = Field(alias="entries")
    more: list[Item] = Field(default=[], validation_alias="others")


class Tree(BaseModel):
    name: str
    below: list[Tree] = []


class Asking(BaseModel):
    """A class whose validators see the JSON."""

    items: list[Item]

    @field_validator("items", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        assert all(isinstance(item, dict) for item in value)
        return value


class Checked(BaseModel):
    name: str
    parts: list[Part] = []

    @model_validator(mode="before")
    @classmethod
    def _see(cls, value: Any) -> Any:
        assert isinstance(value, dict)
        return value


class CheckedItems(BaseModel):
    items: list[Checked]


class Again(BaseModel):
    model_config = ConfigDict(revalidate_instances="always", strict=True)
    items: list[Item]


class Left(BaseModel):
    parts: list[Part]


class LargePart(BaseModel):
    name: str
    size: float


class Right(BaseModel):
    parts: list[LargePart]
    extra: int


class Either(BaseModel):
    items: list[Right | Left]


_PARTS = [{"name": "bolt", "size": 3}, {"name": "nut"}]
_ITEMS = [{"name": f"item {number}", "parts": _PARTS, "main": _PARTS[0], "notes": {"a": number}} for number in range(3)]
_TREE = {"name": "a", "below": [{"name": "b", "below": [{"name": "c"}, {"name": "d"}]}, {"name": "e"}]}

CASES = [
    (Items, {"title": "All", "items": _ITEMS}),
    (Items, {"items": _ITEMS, "title": "All"}),
    (Aliased, {"entries": _ITEMS, "others": _ITEMS}),
    (Tree, _TREE),
    (Asking, {"items": _ITEMS}),
    (CheckedItems, {"items": [{"name": "x", "parts": _PARTS}, {"name": "y", "parts": _PARTS}]}),
    (Again, {"items": _ITEMS}),
    (Either, {"items": [{"parts": [{"name": "a", "size": 1}], "extra": 1}, {"parts": [{"name": "a"}]}]}),
    (TypeAdapter(list[Item]), _ITEMS),
]


def _shape(kind: Any) -> AnswerShape:
    shape = ask_for(kind, "function_calling", None, ())[1].shape
    assert isinstance(shape, AnswerShape)
    return shape


@pytest.mark.parametrize(("kind", "value"), CASES)
def test_each_partial_instance_is_that_of_the_whole_json(kind: Any, value: Any) -> None:
    validate = kind.validate_python if isinstance(kind, TypeAdapter) else kind.model_validate
    instances, parser, text, built = PartialInstances(_shape(kind)), PartialJson(), json.dumps(value), 0
    for char in text:
        parser.feed(char)
        raw = parser.value()
        try:
            wanted = validate(raw)
        except ValidationError:
            with pytest.raises(ValidationError):
                instances.build(raw)
        else:
            found = instances.build(raw)
            assert found == wanted
            assert repr(found) == repr(wanted)
            built += 1
    assert built > 1


def test_complete_instances_are_not_built_again() -> None:
    instances, parser = PartialInstances(_shape(Items)), PartialJson()
    parser.feed('{"items": [{"name": "a"}, {"name": "b"')
    before = instances.build(parser.value())
    parser.feed('}, {"name": "c"}')
    after = instances.build(parser.value())
    assert after.items[0] is before.items[0]
    assert [item.name for item in before.items] == ["a", "b"]
    assert [item.name for item in after.items] == ["a", "b", "c"]
