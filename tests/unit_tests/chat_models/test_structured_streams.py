"""Streamed structured answers: the last one is the whole answer, once, and deep ones are read or refused in words."""

from __future__ import annotations

import contextlib
import functools
import itertools
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel, ConfigDict
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_dbchat.chat_models.structured import ask_for


class Open(BaseModel):
    """A class that keeps fields that it does not declare."""

    model_config = ConfigDict(extra="allow")
    name: str = ""


class Priced(BaseModel):
    price: Decimal = Decimal(0)


class Sets(BaseModel):
    numbers: set[Any] = set()


class Person(BaseModel):
    name: str = ""
    email: str | None = None

    @functools.cached_property
    def initial(self) -> str:
        return self.name[:1]


class Old(BaseModelV1):
    name: str = ""
    size: Any = None


@dataclass
class Point:
    x: Any = None


@dataclass
class Held:
    person: Person | None = None


class Tree(BaseModel):
    below: list[Tree] = []


def _streamed(kind: Any, pieces: list[str]) -> list[Any]:
    parser = ask_for(kind, "json_schema", None, ())[1]
    return list(parser.transform(iter([AIMessageChunk(content=piece) for piece in pieces])))


def _whole(kind: Any, text: str) -> Any:
    return ask_for(kind, "json_schema", None, ())[1].invoke(AIMessage(text))


def _written(value: Any) -> Any:
    """Return a value with the names of the fields that were set."""
    if isinstance(value, Held):
        return _written(value.person)
    if isinstance(value, BaseModelV1):
        return repr(value), value.__fields_set__
    return repr(value), getattr(value, "model_fields_set", None)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Open, '{"name":"a","price":100.0}'),
        (Priced, '{"price":"1.00"}'),
        (Sets, '{"numbers":[1.0]}'),
        (Old, '{"size":1.0}'),
        (Old, '{"name":"a","size":null}'),
        (Point, '{"x":-0.0}'),
        (Held, '{"person":{"name":"a","email":null}}'),
    ],
)
def test_the_last_value_is_the_whole_answer_in_what_is_not_compared(kind: Any, text: str) -> None:
    assert _written(_streamed(kind, list(text))[-1]) == _written(_whole(kind, text))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Open, '{"name":"a","price":1.5}'),
        (Priced, '{"price":"1.25"}'),
        (Sets, '{"numbers":[1,"a","b",2.5]}'),
        (Old, '{"name":"a","size":[1]}'),
        (Point, '{"x":{"y":[0.5]}}'),
        (Held, '{"person":{"name":"a"}}'),
    ],
)
def test_a_value_that_is_the_same_comes_once(kind: Any, text: str) -> None:
    assert len(_streamed(kind, [text])) == 1


def test_a_property_that_was_read_meanwhile_is_no_part_of_the_answer() -> None:
    parser = ask_for(Person, "json_schema", None, ())[1]
    assert [found.initial for found in parser.transform(iter([AIMessageChunk(content='{"name":"Ada"}')]))] == ["A"]


@pytest.mark.parametrize("depth", range(20, 500, 10))
@pytest.mark.parametrize("in_pieces", [True, False])
def test_a_deep_answer_is_read_or_is_an_error_of_the_parser(depth: int, in_pieces: bool) -> None:
    text = '{"below":[' * depth + "]}" * depth
    half = len(text) // 2
    cuts = [0, half - 8, half - 2, len(text) - 6, len(text) - 4, len(text) - 2, len(text)] if in_pieces else [0, None]
    with contextlib.suppress(OutputParserException):
        assert _streamed(Tree, [text[start:end] for start, end in itertools.pairwise(cuts)])
