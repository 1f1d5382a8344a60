"""Keep the rows of an embedding run, in a list of lists as LangChain asks, or in one array of 32-bit floats.

Rule 1. Rows come in any order and are put in the place of their text; nothing is kept twice. A list of 1,024 Python
floats takes 32 KiB, a row of the array 4 KiB.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.errors import ConfigurationError, MalformedResponseError

if TYPE_CHECKING:
    from langchain_dbchat.embeddings.wire import Vector

__all__ = ["RowArray", "RowList", "Shape"]

_UNIT = 1e-6  # how far from 1 a length may be that counts as 1


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape that rows must have.

    Attributes:
        dimensions: Length of a row; None for any.
        cuttable: Whether a longer row may be cut and scaled to length 1.
        normalize: Whether rows are scaled to length 1.
        scaled: How many dimensions rows have that are scaled to length 1 in any case; None for no such rows. The facts
            of a model say nothing about rows with other dimensions than its own.
    """

    dimensions: int | None = None
    cuttable: bool = False
    normalize: bool = False
    scaled: int | None = None

    def fit(self, row: Vector) -> tuple[Vector, bool]:
        """Cut a row to the dimensions of this shape, if it is longer.

        Args:
            row: The row as it came.

        Returns:
            The row, and whether it must be scaled to length 1.

        Raises:
            MalformedResponseError: If it has other dimensions and cannot be cut.
        """
        if self.dimensions is None or len(row) == self.dimensions:
            return row, self.normalize or len(row) == self.scaled
        if len(row) < self.dimensions or not self.cuttable:
            raise MalformedResponseError(
                f"The endpoint answered with {len(row)} dimensions, and dimensions={self.dimensions} was asked for."
            )
        return row[: self.dimensions], True


class RowList:
    """Rows as lists of floats.

    Args:
        count: How many rows there will be.
        shape: The shape that they must have.
    """

    def __init__(self, count: int, shape: Shape) -> None:
        self._shape = shape
        self._width: int | None = None
        self.rows: list[list[float] | None] = [None] * count

    def put(self, index: int, row: Vector) -> None:
        """Keep a row.

        Args:
            index: Its place.
            row: The row.

        Raises:
            MalformedResponseError: If it has other dimensions than those asked for, or than the other rows.
        """
        row, normalize = self._shape.fit(row)
        self._width = _same_width(self._width, row)
        values = row.tolist() if isinstance(row, array) else row
        self.rows[index] = _unit(values) if normalize else values

    def drop(self, index: int) -> None:
        """Remove a row.

        Args:
            index: Its place.
        """
        self.rows[index] = None


class RowArray:
    """Rows of one numpy array of 32-bit floats, made when the first row shows how long rows are.

    Args:
        count: How many rows there will be.
        shape: The shape that they must have.

    Raises:
        ConfigurationError: If numpy is not installed.
    """

    def __init__(self, count: int, shape: Shape) -> None:
        try:
            import numpy as np  # noqa: PLC0415  # an extra, loaded only for arrays
        except ImportError as error:
            raise ConfigurationError('Arrays need numpy: pip install "langchain-dbchat[numpy]".') from error
        self._np = np
        self._shape = shape
        self._count = count
        self._rows: Any = None

    @property
    def rows(self) -> Any:
        """Return the array; rows that are missing are NaN."""
        return self._array(self._shape.dimensions or 0)

    def put(self, index: int, row: Vector) -> None:
        """Keep a row.

        Args:
            index: Its place.
            row: The row.

        Raises:
            MalformedResponseError: If it has other dimensions than those asked for, or than the other rows.
        """
        row, normalize = self._shape.fit(row)
        rows, np = self._array(len(row)), self._np
        _same_width(rows.shape[1], row)
        with np.errstate(over="ignore"):
            if normalize:
                wide = np.asarray(row, dtype=np.float64)
                length = _finite(float(np.linalg.norm(wide)) or 1.0, row)
                values = (wide / length).astype(np.float32)
            else:
                values = np.asarray(row, dtype=np.float32)
        if not np.isfinite(values).all():
            raise MalformedResponseError("The endpoint answered with a number that is too large for a 32-bit float.")
        rows[index] = values

    def drop(self, index: int) -> None:
        """Remove a row.

        Args:
            index: Its place.
        """
        self._array(0)[index] = self._np.nan

    def _array(self, dimensions: int) -> Any:
        if self._rows is None:
            self._rows = self._np.full((self._count, dimensions), self._np.nan, dtype=self._np.float32)
        return self._rows


def _same_width(width: int | None, row: Vector) -> int:
    """Check that a row has the width of those before it."""
    if width is not None and width != len(row):
        raise MalformedResponseError(f"The endpoint answered with rows of {width} and of {len(row)} dimensions.")
    return len(row)


def _unit(row: list[float]) -> list[float]:
    """Scale a row to length 1; a row of zeros has no direction and stays."""
    length = math.hypot(*row)
    if length == 0 or abs(length - 1) < _UNIT:
        return row
    length = _finite(length, row)
    return [value / length for value in row]


def _finite(length: float, row: Vector) -> float:
    """Check the length of a row; one that was computed as infinite is computed again, more slowly."""
    length = length if math.isfinite(length) else math.hypot(*row)
    if math.isinf(length):
        raise MalformedResponseError("The endpoint answered with numbers too large for a row to be scaled to length 1.")
    return length
