"""Where rows are kept, as lists and as an array: put in place, cut, scaled, dropped."""

from __future__ import annotations

import math
from array import array

import pytest

from langchain_dbchat.embeddings.rows import RowArray, RowList, Shape
from langchain_dbchat.errors import MalformedResponseError

np = pytest.importorskip("numpy", reason='needs numpy: pip install "langchain-dbchat[numpy]"')


def filled(kind: type[RowList | RowArray], *rows: list[float] | array[float], **shape: int | bool) -> list[list[float]]:
    kept = kind(len(rows), Shape(**shape))  # type: ignore[arg-type]  # each test gives the right kinds
    for index, row in reversed(list(enumerate(rows))):
        kept.put(index, row)
    return [list(map(float, row)) for row in kept.rows if row is not None]


both = pytest.mark.parametrize("kind", [RowList, RowArray])


@both
def test_rows_come_in_any_order_and_of_either_encoding(kind: type[RowList | RowArray]) -> None:
    assert filled(kind, [1.0, 2.0], array("f", [3.0, 4.0])) == [[1.0, 2.0], [3.0, 4.0]]


@both
def test_scaling_to_length_one(kind: type[RowList | RowArray]) -> None:
    rows = filled(kind, [3.0, 4.0], [0.0, 0.0], array("f", [0.0, 24.0]), normalize=True)
    assert rows == [pytest.approx([0.6, 0.8]), [0.0, 0.0], [0.0, 1.0]]


@both
def test_a_row_that_is_too_long_is_cut_and_scaled_if_the_model_allows_it(kind: type[RowList | RowArray]) -> None:
    rows = filled(kind, [3.0, 4.0, 12.0], array("f", [3.0, 4.0, 12.0]), dimensions=2, cuttable=True)
    assert rows == [pytest.approx([0.6, 0.8])] * 2
    assert filled(kind, [3.0, 4.0], dimensions=2, cuttable=True) == [[3.0, 4.0]]
    for row, cuttable in (([1.0, 2.0, 3.0], False), ([1.0], True)):
        with pytest.raises(MalformedResponseError, match=f"{len(row)} dimensions, and dimensions=2 was asked for"):
            filled(kind, row, dimensions=2, cuttable=cuttable)


def test_lists_hold_floats_and_none() -> None:
    kept = RowList(3, Shape())
    kept.put(0, array("f", [1.0]))
    kept.put(2, [2.0])
    kept.drop(2)
    assert kept.rows == [[1.0], None, None]
    assert type(kept.rows[0]) is list


def test_the_array_has_32_bit_floats_and_nan_where_there_is_no_row() -> None:
    kept = RowArray(3, Shape())
    kept.put(1, [1.0, math.pi])
    assert kept.rows.dtype == np.float32
    assert kept.rows.shape == (3, 2)
    assert np.isnan(kept.rows[[0, 2]]).all()
    kept.drop(1)
    assert np.isnan(kept.rows).all()
    with pytest.raises(MalformedResponseError, match="rows of 2 and of 3 dimensions"):
        kept.put(0, [1.0, 2.0, 3.0])


def test_no_rows_have_a_shape_too() -> None:
    assert RowArray(0, Shape()).rows.shape == (0, 0)
    assert RowArray(2, Shape(8)).rows.shape == (2, 8)
    assert RowList(0, Shape()).rows == []
