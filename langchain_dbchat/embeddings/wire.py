"""The embeddings API: write requests, and read rows of floats from answers.

Rule 1. Rows come with an ``index`` and may come in any order. A server that loses one must not shift the others.
Rule 2. Databricks documents neither ``encoding_format`` nor ``user``, so they are sent only if the caller asks for
them. Rows in base64 (32-bit floats, as OpenAI's API sends them for ``encoding_format="base64"``) are read only where
they were asked for, and no Python float is made of them.
Rule 3. A row has at least one finite number, and all rows of an answer have the same length. Any other row (NaN,
infinite, null, text, nested, too large for a float) is an error of its own, so that the other rows are not lost: a
model in half precision answers NaN for single texts (https://github.com/QwenLM/Qwen3-Embedding/issues/164).
"""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic_core import from_json

from langchain_dbchat.dialects.shared.answer.bounds import bounded
from langchain_dbchat.dialects.shared.answer.errors_within import raise_error_within
from langchain_dbchat.dialects.shared.answer.wires import names_in
from langchain_dbchat.errors import MalformedResponseError

__all__ = [
    "BLANK",
    "PATHS",
    "BatchResult",
    "Vector",
    "encode_embedding_request",
    "read_rows",
    "token_count",
]

PATHS = {
    "workspace": ("{model}/invocations",),
    "optimized": ("{model}/invocations",),
    "service": ("/ai-gateway/mlflow/v1/embeddings",),
    "gateway": ("embeddings",),
    "app": ("embeddings",),
    "openai": ("embeddings",),
}
"""Where embeddings are served; see `langchain_dbchat.routing.routes`."""

BLANK = " "
"""What is sent for an empty text or one of whitespace alone: servers refuse an empty input, every text needs a row, and
texts without words should get the same row."""

_NUMBERS = frozenset({float, int})
_MOST_TOKENS = 2**63  # a larger count is not one

Vector: TypeAlias = "list[float] | array[float]"
"""One embedding: a list of floats, or 32-bit floats as they came."""

BatchResult: TypeAlias = "tuple[Sequence[Vector | MalformedResponseError], Mapping[str, Any]]"
"""For each text of a batch its row or the error that says what is wrong with it; and the usage."""


def encode_embedding_request(texts: Sequence[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Write the body of a request.

    Args:
        texts: What to embed.
        params: Further request fields, such as ``instruction``.

    Returns:
        The body.
    """
    return {"input": [BLANK if not text or text.isspace() else text for text in texts], **params}


def token_count(value: Any) -> int | None:
    """Read a number of tokens that a server reports.

    Args:
        value: Any JSON value.

    Returns:
        The number; None if it is not a count.
    """
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else None


def read_rows(body: bytes, count: int, endpoint: str, *, packed: bool = True) -> BatchResult:
    """Read an answer, and check each row on its own.

    Args:
        body: The response body.
        count: Number of texts that were sent.
        endpoint: The endpoint's name, for errors.
        packed: Whether rows in base64 are accepted.

    Returns:
        For each text its row or the error that says what is wrong with it; and the usage.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If it is unclear which row belongs to which text: one is missing, comes twice or is not
            an object.
    """
    try:
        payload = from_json(bounded(body))
    except ValueError as error:
        raise MalformedResponseError(
            f"The endpoint {endpoint!r} answered with something that is not JSON: {error}"
        ) from error
    if not isinstance(payload, Mapping):
        raise MalformedResponseError(f"The endpoint {endpoint!r} answered with a JSON {type(payload).__name__}.")
    data = payload.get("data")
    raise_error_within(payload, "data", endpoint=endpoint)
    if not isinstance(data, list):
        raise MalformedResponseError(
            f"The endpoint {endpoint!r} answered with {names_in(payload)} instead of 'data': is it an embedding "
            "endpoint?"
        )
    if len(data) != count:
        raise MalformedResponseError(f"The endpoint {endpoint!r} answered {len(data)} rows for {count} texts.")
    rows: list[Vector | MalformedResponseError | None] = [None] * count
    for position, item in enumerate(data):
        if not isinstance(item, Mapping):
            raise MalformedResponseError(
                f"The endpoint {endpoint!r} answered with a row that is not an object: {item!r:.80}"
            )
        index = position if item.get("index") is None else item["index"]
        if type(index) is not int or not 0 <= index < count or rows[index] is not None:
            raise MalformedResponseError(f"The endpoint {endpoint!r} answered with a wrong row index: {index!r:.80}.")
        row = _row(item.get("embedding"), packed=packed)
        rows[index] = row if not isinstance(row, str) else _malformed(endpoint, row, index)
    usage = payload.get("usage")
    read = [row for row in rows if row is not None]
    return _of_one_length(read, endpoint), usage if isinstance(usage, Mapping) else {}


def _malformed(endpoint: str, what: str, index: int) -> MalformedResponseError:
    return MalformedResponseError(f"The endpoint {endpoint!r} answered with {what} in row {index}.", endpoint=endpoint)


def _of_one_length(rows: list[Vector | MalformedResponseError], endpoint: str) -> list[Vector | MalformedResponseError]:
    """Refuse rows whose length is not that of most rows; where lengths are equally frequent, that of the first."""
    lengths = Counter(len(row) for row in rows if not isinstance(row, MalformedResponseError))
    if len(lengths) < 2:  # noqa: PLR2004  # one length
        return rows
    usual = lengths.most_common(1)[0][0]
    return [
        row
        if isinstance(row, MalformedResponseError) or len(row) == usual
        else _malformed(endpoint, f"{len(row)} numbers, unlike the {usual} of other rows,", index)
        for index, row in enumerate(rows)
    ]


def _row(value: Any, *, packed: bool) -> Vector | str:
    """Read a row; if it is not one, return words that say what it is."""
    if isinstance(value, str):
        if not packed:
            return "a text, for which encoding_format was not asked,"
        row: Vector | None = _unpack(value)
    elif not isinstance(value, list) or not value or not (kinds := set(map(type, value))) <= _NUMBERS:
        row = None
    else:
        row = value if kinds == {float} else _floats(value)
    if not row:
        return "no list of numbers"
    # A sum is quick, and it is finite only if all numbers are. That of very large numbers may be infinite all the same.
    return row if math.isfinite(sum(row)) or all(map(math.isfinite, row)) else "a number that is not finite"


def _floats(value: list[float]) -> list[float]:
    """Convert whole numbers to floats; a number that is too large makes the row infinite."""
    try:
        return [float(number) for number in value]
    except OverflowError:
        return [math.inf]


def _unpack(text: str) -> array[float] | None:
    """Read base64 of little-endian 32-bit floats."""
    row = array("f")
    try:
        row.frombytes(b64decode(text, validate=True))
    except ValueError:  # not base64, or not a whole number of floats
        return None
    if sys.byteorder == "big":
        row.byteswap()
    return row or None
