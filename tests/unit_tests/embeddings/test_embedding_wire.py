"""The embeddings API: requests and rows."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from pydantic_core import to_json

from langchain_dbchat.embeddings.wire import Vector, encode_embedding_request, read_rows
from langchain_dbchat.errors import DatabricksError, DatabricksRateLimitError, MalformedResponseError


def row(index: int | None, *values: Any) -> dict[str, Any]:
    return {"object": "embedding", "embedding": list(values), **({} if index is None else {"index": index})}


def decode(data: Any, count: int) -> list[Vector]:
    rows: list[Vector] = []
    for row in read_rows(to_json({"data": data}), count, "gte")[0]:
        if isinstance(row, MalformedResponseError):
            raise row
        rows.append(row)
    return rows


def test_the_request() -> None:
    params = {"instruction": "Represent this sentence:"}
    assert encode_embedding_request(["a", "", "b"], params) == {"input": ["a", " ", "b"], **params}
    assert params == {"instruction": "Represent this sentence:"}


def test_rows_are_put_in_order_and_the_usage_is_kept() -> None:
    body = to_json({"data": [row(1, 0.5), row(0, 1.5)], "usage": {"prompt_tokens": 2}})
    assert read_rows(body, 2, "gte") == ([[1.5], [0.5]], {"prompt_tokens": 2})


def test_texts_that_say_nothing_are_sent_alike() -> None:
    assert encode_embedding_request(["", " \n\t ", "\u2003"], {}) == {"input": [" ", " ", " "]}
    assert encode_embedding_request([" a "], {}) == {"input": [" a "]}


def test_base64_is_read_without_making_floats() -> None:
    assert decode([{"index": 0, "embedding": "AACAPwAAAMA="}], 1) == [array("f", [1.0, -2.0])]


def test_rows_without_an_index_come_in_order() -> None:
    assert decode([row(None, 1.0), {**row(None, 2.0), "index": None}], 2) == [[1.0], [2.0]]


def test_whole_numbers_become_floats() -> None:
    (vector,) = decode([row(0, 1, 0.5, 0)], 1)
    assert vector == [1.0, 0.5, 0.0]
    assert all(type(value) is float for value in vector)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ([row(0, 1.0)], "1 rows for 2 texts"),
        ([row(0, 1.0), row(0, 1.0)], "wrong row index: 0"),
        ([row(0, 1.0), row(2, 1.0)], "wrong row index: 2"),
        ([row(0, 1.0), row(-1, 1.0)], "wrong row index: -1"),
        ([row(0, 1.0), {**row(1, 1.0), "index": "1"}], "wrong row index: '1'"),
        ([row(0, 1.0), row(1)], "no list of numbers in row 1"),
        ([row(0, 1.0), {"index": 1, "embedding": "AACAPw"}], "no list of numbers in row 1"),
        ([row(0, 1.0), {"index": 1, "embedding": "AACA"}], "no list of numbers in row 1"),
        ([row(0, 1.0), {"index": 1, "embedding": ""}], "no list of numbers in row 1"),
        ([row(0, 1.0), row(1, "a")], "no list of numbers in row 1"),
        ([row(0, 1.0), row(1, 1.0, None)], "no list of numbers in row 1"),
        ([row(0, 1.0), row(1, 1.0, "2")], "no list of numbers in row 1"),
        ([row(0, 1.0), row(1, True)], "no list of numbers in row 1"),
        ([row(0, 1.0), [1.0]], "not an object"),
        ("rows", "instead of 'data'"),
        (None, "instead of 'data'"),
    ],
)
def test_an_answer_that_is_not_what_is_owed_raises(data: Any, why: str) -> None:
    with pytest.raises(MalformedResponseError, match=why) as caught:
        decode(data, 2)
    assert "'gte'" in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"3", b'"data"'])
def test_a_body_that_is_no_object_raises(body: bytes) -> None:
    with pytest.raises(MalformedResponseError, match="'gte'"):
        read_rows(body, 1, "gte")


@pytest.mark.parametrize("data", [[], [{"index": 0, "embedding": [1.0]}]])
def test_an_error_beside_rows_is_that_error(data: list[Any]) -> None:
    with pytest.raises(DatabricksRateLimitError, match="slow down"):
        read_rows(to_json({"data": data, "error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slow down"}), 1, "gte")


def test_an_error_in_spite_of_its_status_raises_as_that_error() -> None:
    body = to_json({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slow down"})
    with pytest.raises(DatabricksRateLimitError, match="slow down"):
        read_rows(body, 1, "gte")
    with pytest.raises(DatabricksError):
        read_rows(b'{"error": "boom"}', 1, "gte")
