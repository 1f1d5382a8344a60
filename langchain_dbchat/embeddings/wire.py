"""The embeddings dialect: texts in, rows of floats out.

Rows come with an ``index`` and need not come in order; a server that loses one must not shift the others. Neither
``encoding_format`` nor ``user`` is documented by Databricks, so neither is sent unless the caller asks; rows in base64
(32-bit floats, as OpenAI's API sends them for ``encoding_format="base64"``) are read where they were asked for, and no
Python float is made of them.

A row is at least one finite number, and all rows of an answer have the same length. A row that is anything else (NaN,
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

from langchain_dbchat.dialects.shared.errors_within import raise_error_within
from langchain_dbchat.errors import MalformedResponseError

PATHS = {
    "workspace": ("{model}/invocations",),
    "service": ("/ai-gateway/mlflow/v1/embeddings",),
    "gateway": ("embeddings",),
    "app": ("embeddings",),
    "openai": ("embeddings",),
}
"""Where embeddings are served; see `langchain_dbchat.routing.routes`."""

MAX_INPUTS = 150
"""Inputs of one request at the most: Databricks answers 400, "exceeding 150 limit", to more."""

_NUMBERS = frozenset({float, int})

BLANK = " "
"""What an empty text, or one of whitespace alone, is sent as: an empty input is refused, a row is owed for every text,
and texts that say nothing should get the same row."""

Row: TypeAlias = "list[float] | array[float]"
"""One embedding: a list of floats, or 32-bit floats as they came."""


def encode_embedding_request(texts: Sequence[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Write the body of a request.

    Args:
        texts: What to embed.
        params: Further request fields, such as ``instruction``.

    Returns:
        The body.
    """
    return {"input": [BLANK if not text or text.isspace() else text for text in texts], **params}


def decode_embeddings(
    body: bytes, count: int, endpoint: str, *, packed: bool = True
) -> tuple[list[Row], Mapping[str, Any]]:
    """Read an answer of which every row is needed.

    Args:
        body: The response body.
        count: How many rows are owed.
        endpoint: The endpoint's name, for errors.
        packed: Whether rows in base64 are accepted.

    Returns:
        The rows in the order of the texts, each with as many floats as the model has dimensions; and the usage.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If a row is missing, comes twice or is not a list of finite numbers like the others.
    """
    read, usage = read_rows(body, count, endpoint, packed=packed)
    rows: list[Row] = []
    for row in read:
        if isinstance(row, MalformedResponseError):
            raise row
        rows.append(row)
    return rows, usage


def read_rows(
    body: bytes, count: int, endpoint: str, *, packed: bool = True
) -> tuple[list[Row | MalformedResponseError], Mapping[str, Any]]:
    """Read an answer, and judge each row on its own.

    Args:
        body: The response body.
        count: How many rows are owed.
        endpoint: The endpoint's name, for errors.
        packed: Whether rows in base64 are accepted.

    Returns:
        For each text its row, or the error that says what is wrong with it; and the usage.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If rows cannot be told apart: one is missing, comes twice or is not an object.
    """
    try:
        payload = from_json(body)
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
            f"The endpoint {endpoint!r} answered with {sorted(payload)} instead of 'data': is it an embedding endpoint?"
        )
    if len(data) != count:
        raise MalformedResponseError(f"The endpoint {endpoint!r} answered {len(data)} rows for {count} texts.")
    rows: list[Row | MalformedResponseError | None] = [None] * count
    for position, item in enumerate(data):
        if not isinstance(item, Mapping):
            raise MalformedResponseError(
                f"The endpoint {endpoint!r} answered with a row that is no object: {item!r:.80}"
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


def _of_one_length(rows: list[Row | MalformedResponseError], endpoint: str) -> list[Row | MalformedResponseError]:
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


def _row(value: Any, *, packed: bool) -> Row | str:
    """Read a row; a text says what it is instead."""
    if isinstance(value, str):
        if not packed:
            return "a text, for which encoding_format was not asked,"
        row: Row | None = _unpack(value)
    elif not isinstance(value, list) or not value or not (kinds := set(map(type, value))) <= _NUMBERS:
        row = None
    else:
        row = value if kinds == {float} else _floats(value)
    if not row:
        return "no list of numbers"
    # A sum is quick, and it is finite only if all numbers are; that of very large numbers is looked at more closely.
    return row if math.isfinite(sum(row)) or all(map(math.isfinite, row)) else "a number that is not finite"


def _floats(value: list[float]) -> list[float]:
    """Make floats of whole numbers, infinite ones of those that are too large."""
    try:
        return [float(number) for number in value]
    except OverflowError:
        return [math.inf]


def _unpack(text: str) -> array[float] | None:
    """Read base64 of little-endian 32-bit floats."""
    row = array("f")
    try:
        row.frombytes(b64decode(text, validate=True))
    except ValueError:  # no base64, or not a whole number of floats
        return None
    if sys.byteorder == "big":
        row.byteswap()
    return row or None
