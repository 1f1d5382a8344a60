"""The embeddings dialect: texts in, rows of floats out.

Rows come with an ``index`` and need not come in order; a server that loses one must not shift the others. Neither
``encoding_format`` nor ``user`` is documented by Databricks, so neither is sent unless the caller asks; rows in base64
(32-bit floats, as OpenAI's API sends them for ``encoding_format="base64"``) are read all the same, and then no Python
float is made of them.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic_core import from_json

from langchain_dbchat.dialects.errors_within import raise_error_within
from langchain_dbchat.errors import MalformedResponseError

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


def decode_embeddings(body: bytes, count: int, endpoint: str) -> tuple[list[Row], Mapping[str, Any]]:
    """Read an answer.

    Args:
        body: The response body.
        count: How many rows are owed.
        endpoint: The endpoint's name, for errors.

    Returns:
        The rows in the order of the texts, each with as many floats as the model has dimensions; and the usage.

    Raises:
        DatabricksError: If the body is an error in spite of its status.
        MalformedResponseError: If a row is missing, comes twice or is no list of numbers.
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
    rows: list[Row | None] = [None] * count
    for position, item in enumerate(data):
        if not isinstance(item, Mapping):
            raise MalformedResponseError(
                f"The endpoint {endpoint!r} answered with a row that is no object: {item!r:.80}"
            )
        index = position if item.get("index") is None else item["index"]
        if not isinstance(index, int) or not 0 <= index < count or rows[index] is not None:
            raise MalformedResponseError(f"The endpoint {endpoint!r} answered with a wrong row index: {index!r}.")
        row = _row(item.get("embedding"))
        if row is None:
            raise MalformedResponseError(f"The endpoint {endpoint!r} answered with no list of numbers in row {index}.")
        rows[index] = row
    usage = payload.get("usage")
    return [row for row in rows if row is not None], usage if isinstance(usage, Mapping) else {}


def _row(value: Any) -> Row | None:
    if isinstance(value, str):
        return _unpack(value)
    if not isinstance(value, list) or not value or not (kinds := set(map(type, value))) <= _NUMBERS:
        return None
    return value if kinds == {float} else [float(number) for number in value]


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
